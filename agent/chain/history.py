"""Events inside a reading: how they are asked for, and how they travel as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError

from agent.chain import shape
from agent.errors import DecodeMismatch
from agent.values.block import Block
from agent.values.call import Past

if TYPE_CHECKING:
    from agent.chain.transport import Json

LABEL = "eth_getLogs"
_ROWS = ["(bytes32[],bytes)[]"]

Record = tuple[tuple[bytes, ...], bytes]  # topics and data


def asked(call: Past, at: object) -> tuple[str, Sequence[object]]:
    """The request for them. A block's events are asked by number: the node that reorganises meanwhile tells
    of another chain, which is for the reading to find out.
    """
    newest = at.number if isinstance(at, Block) else at
    last = newest if call.last is None else call.last
    query = {
        "address": call.target,
        "topics": [["0x" + topic.hex() for topic in place] or None for place in call.topics],
        "fromBlock": hex(call.first),
        "toBlock": hex(last) if isinstance(last, int) else last,
    }
    return LABEL, (query,)


def pack(value: list[Json]) -> bytes:
    """The node's list as an answer's bytes, oldest first, without what was removed. Raises DecodeMismatch."""
    entries = [shape.record(entry, LABEL) for entry in value]
    found = [shape.log(entry, LABEL) for entry in entries if entry.get("removed") is not True]
    found.sort(key=lambda log: (log.block_number, log.index))
    return bytes(codec.encode(_ROWS, [[(log.topics, log.data) for log in found]]))


def unpack(data: bytes, target: str) -> tuple[Record, ...]:
    """Topics and data of each event, oldest first. Raises DecodeMismatch."""
    try:
        (rows,) = codec.decode(_ROWS, data)
    except (DecodingError, OverflowError) as error:
        raise DecodeMismatch(label=LABEL, target=target, expected="events", reason=str(error)) from error
    return cast(tuple[Record, ...], rows)
