"""Events of many blocks, however much or little of them a node tells at once; and where to begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned, RpcRejected, RpcTimeout
from agent.values.address import Address
from agent.values.log import Filter, Log

SPAN = 64  # blocks asked for at first: how much they tell is not known
MOST = 2_000_000
AIMED = 5_000  # events of one answer: few enough to be held, many enough to be worth the asking
GROWTH = 4  # at most, from one question to the next


@dataclass(frozen=True, slots=True)
class Sheaf:
    """All events of the blocks ``first`` to ``last``, both included."""

    first: int
    last: int
    logs: tuple[Log, ...]


def harvest(rpc: Rpc, wanted: Filter, first: int, last: int, span: int = SPAN) -> Iterator[Sheaf]:
    """The events of ``first`` to ``last``, oldest first, without a gap.

    A range that the node refuses or does not answer in time is halved until it does; of a single block the
    error is raised (RpcRejected, RpcTimeout), as is every other one of `Rpc`. Then it may be called again
    from the block after the last sheaf.
    """
    wide, most = max(1, span), MOST
    while first <= last:
        end = min(last, first + wide - 1)
        try:
            logs = rpc.logs(wanted, first, end)
        except (RpcRejected, RpcTimeout):
            if end == first:
                raise
            wide = max(1, (end - first + 1) // 2)
            most = wide  # it was refused once: never so wide again
            continue
        yield Sheaf(first, end, tuple(logs))
        first = end + 1
        fitting = wide * AIMED // max(1, len(logs))
        wide = min(most, max(fitting, wide // GROWTH, 1), wide * GROWTH)


def birth(rpc: Rpc, address: Address, newest: int) -> int:
    """The first block after which there is code at ``address``, by halving; ``newest`` + 1 if there is none.

    0 where the node has forgotten its early states: then nothing is known and nothing may be left out.
    """
    if not rpc.code(address, hex(newest)):
        return newest + 1
    before, there = -1, newest
    while there - before > 1:
        middle = (before + there) // 2
        try:
            has_code = bool(rpc.code(address, hex(middle)))
        except (ReadUnpinned, RpcRejected):
            return 0
        before, there = (before, middle) if has_code else (middle, there)
    return there
