"""What a node's refusal of a broadcast means for the errand."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent.chain.error_table import SendFault, send_fault
from agent.tx.errand import Fault, Reply

# "Nonce too low" proves nothing: the nonce may have been used by this very transaction, sent twice by
# something between us and the node. A gapped nonce and a full lane pass by themselves.
MEANING: Mapping[SendFault, tuple[Reply, Fault]] = MappingProxyType(
    {
        SendFault.ALREADY_KNOWN: (Reply.ACCEPTED, Fault.NONE),
        SendFault.NONCE_TOO_LOW: (Reply.UNKNOWN, Fault.UNSURE),
        SendFault.NONCE_TOO_HIGH: (Reply.REJECTED, Fault.CROWDED),
        SendFault.REPLACEMENT_UNDERPRICED: (Reply.REJECTED, Fault.UNDERPRICED),
        SendFault.UNDERPRICED: (Reply.REJECTED, Fault.UNDERPRICED),
        SendFault.FEE_TOO_LOW: (Reply.REJECTED, Fault.UNDERPRICED),
        SendFault.INSUFFICIENT_FUNDS: (Reply.REJECTED, Fault.INVALID),
        SendFault.GAS_TOO_LOW: (Reply.REJECTED, Fault.INVALID),
        SendFault.EXCEEDS_BLOCK_GAS: (Reply.REJECTED, Fault.INVALID),
        SendFault.DELEGATED_IN_FLIGHT: (Reply.REJECTED, Fault.CROWDED),
        SendFault.OTHER: (Reply.UNKNOWN, Fault.UNSURE),
    }
)


def classify(message: str) -> tuple[Reply, Fault]:
    """Only a refusal that proves the transaction is in no pool is a rejection."""
    return MEANING[send_fault(message)]
