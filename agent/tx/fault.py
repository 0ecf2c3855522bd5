"""What a node's refusal of a broadcast means for the errand."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent.chain.error_table import SendFault, send_fault
from agent.tx.errand import Fault, Reply

# Rejected is what a node says of a transaction before it could have let it into its pool. "Nonce too low"
# proves nothing: the nonce may have been used by this very transaction, sent twice by something between us
# and the node. Nor does "replacement underpriced": what it does not outbid may be this very transaction,
# which a gateway gave to two nodes. One that gave way was in a pool, and one that was waited for still is. A
# full pool proves nothing either: reth and erigon let a transaction in before they find that it is one too
# many. A gapped nonce and a full lane pass by themselves.
MEANING: Mapping[SendFault, tuple[Reply, Fault]] = MappingProxyType(
    {
        SendFault.ALREADY_KNOWN: (Reply.ACCEPTED, Fault.NONE),
        SendFault.NONCE_TOO_LOW: (Reply.UNKNOWN, Fault.UNSURE),
        SendFault.NONCE_TOO_HIGH: (Reply.REJECTED, Fault.CROWDED),
        SendFault.REPLACEMENT_UNDERPRICED: (Reply.UNKNOWN, Fault.UNDERPRICED),
        SendFault.UNDERPRICED: (Reply.REJECTED, Fault.UNDERPRICED),
        SendFault.FEE_TOO_LOW: (Reply.REJECTED, Fault.UNDERPRICED),
        SendFault.INSUFFICIENT_FUNDS: (Reply.REJECTED, Fault.INVALID),
        SendFault.GAS_TOO_LOW: (Reply.REJECTED, Fault.INVALID),
        SendFault.EXCEEDS_BLOCK_GAS: (Reply.REJECTED, Fault.INVALID),
        SendFault.DELEGATED_IN_FLIGHT: (Reply.REJECTED, Fault.CROWDED),
        SendFault.POOL_FULL: (Reply.UNKNOWN, Fault.CROWDED),
        SendFault.ACCOUNT_LIMIT: (Reply.REJECTED, Fault.CROWDED),
        SendFault.TYPE_UNSUPPORTED: (Reply.REJECTED, Fault.INVALID),
        SendFault.CHAIN_MISMATCH: (Reply.REJECTED, Fault.INVALID),
        SendFault.SENDER_REFUSED: (Reply.REJECTED, Fault.INVALID),
        SendFault.MALFORMED: (Reply.REJECTED, Fault.INVALID),
        SendFault.NODE_CAP: (Reply.REJECTED, Fault.INVALID),
        SendFault.DROPPED: (Reply.UNKNOWN, Fault.UNSURE),
        SendFault.AWAITED: (Reply.UNKNOWN, Fault.UNSURE),
        SendFault.OTHER: (Reply.UNKNOWN, Fault.UNSURE),
    }
)


def classify(message: str, code: int = 0) -> tuple[Reply, Fault]:
    """Only a refusal that proves the transaction is in no pool is a rejection. ``code`` is the node's."""
    return MEANING[send_fault(message, code)]
