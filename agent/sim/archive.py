"""Does a node serve old state? A fork asks for the state of its block for as long as it runs, while the chain
goes on: a node that forgets after some hundred blocks would break it in the middle.
"""

from __future__ import annotations

from agent.chain.rpc import Rpc
from agent.errors import DecodeMismatch, ReadUnpinned, RpcRejected, StateMissing
from agent.values.address import ZERO, Address
from agent.values.block import Block
from agent.values.call import Slot

DEPTH = 10_000  # blocks: far more than any node keeps that does not keep everything


def require_archive(rpc: Rpc, contract: Address = ZERO, depth: int = DEPTH) -> Block:
    """The newest block, if the node also has the state ``depth`` blocks before it (or of the first block).

    Reads what a fork does: a balance, a word of ``contract``'s storage and its code. Raises StateMissing.
    """
    head = rpc.block("latest")
    number = max(0, head.number - depth)
    try:
        block = rpc.block(number)
        rpc.balance(contract, hex(number))
        rpc.code(contract, hex(number))
        rpc.calls([Slot(contract, bytes(32), label="storage")], block)
    except (ReadUnpinned, RpcRejected, DecodeMismatch) as error:
        raise StateMissing(
            endpoint=rpc.endpoint,
            number=number,
            depth=head.number - number,
            reason=error.fields.get("reason", error.sentence),
        ) from error
    return head
