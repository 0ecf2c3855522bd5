"""The postconditions a mined hedge promised, read back from its own calldata on chain."""

from __future__ import annotations

from agent.chain import shape
from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned
from agent.tx.executor import hedge_fields
from agent.values.address import TxHash, parse_address
from agent.values.check import Check, Term


def read_promises(rpc: Rpc, tx_hash: TxHash, names: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """The checks after the calls of a mined transaction. Calldata carries no names: ``names`` gives them.

    Raises ReadUnpinned when the node does not know the transaction, DecodeMismatch on foreign calldata.
    """
    answer = rpc.request("eth_getTransactionByHash", [tx_hash])
    if answer is None:
        raise ReadUnpinned(block=tx_hash, reason="the node does not know the transaction")
    transaction = shape.record(answer, "eth_getTransactionByHash")
    data = shape.hex_bytes(transaction.get("input"), "transaction.input")
    return decode_promises(data, names)


def decode_promises(data: bytes, names: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """The checks after the calls inside calldata of ``encode_hedge``. Raises DecodeMismatch."""
    _, _, _, post = hedge_fields(data)
    named = names if len(names) == len(post) else tuple(f"check after {i}" for i in range(len(post)))
    return tuple(
        Check(
            name,
            tuple(
                Term(parse_address(target), read, word, signed, multiplier)
                for target, read, word, signed, multiplier in terms
            ),
            lower,
            upper,
        )
        for name, (terms, lower, upper) in zip(named, post, strict=True)
    )
