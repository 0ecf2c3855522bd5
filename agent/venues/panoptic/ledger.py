"""Which positions an account holds: told by events, proved by the pool.

The pool stores no list of positions, only a hash of it, and wants the list from whoever calls it. So the list
is rebuilt from the pool's events and then compared with the hash at the very block that is read (`reader`): a
wrong list is refused, however it came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from agent.chain.abi import load
from agent.chain.rpc import Rpc
from agent.values.address import Address
from agent.values.block import Block
from agent.values.log import Filter, Log
from agent.venues.deployments import PanopticPool

PANOPTIC = load("panoptic")
MINTED, BURNT = "OptionMinted", "OptionBurnt"
FINAL_BLOCKS = 64  # older events are not asked for again
CHUNK_BLOCKS = 10_000


class Ledger(Protocol):
    """Tells the ids of an account's positions in a pool, as of a block. It is not believed."""

    def held(self, pool: PanopticPool, account: Address, block: Block) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class Told:
    """A list that somebody gives: by pool and account."""

    ids: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def held(self, pool: PanopticPool, account: Address, block: Block) -> tuple[int, ...]:
        """What was told of them, whatever the block."""
        del block
        return self.ids.get((pool.address, account), ())


@dataclass
class EventLedger:
    """Rebuilds the lists from the node's events, and remembers those of blocks that are long past."""

    rpc: Rpc
    _known: dict[tuple[str, str], tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def held(self, pool: PanopticPool, account: Address, block: Block) -> tuple[int, ...]:
        """Raises what `Rpc.logs` raises."""
        key = (pool.address, account)
        since, ids = self._known.get(key, (pool.first_block, ()))
        final = block.number - FINAL_BLOCKS
        wanted = events(Address(pool.address), account)
        while since <= final:
            last = min(since + CHUNK_BLOCKS - 1, final)
            ids, since = replay(ids, self.rpc.logs(wanted, since, last)), last + 1
            self._known[key] = (since, ids)
        return replay(ids, self.rpc.logs(wanted, since, block.number)) if since <= block.number else ids


def events(pool: Address, account: Address) -> Filter:
    """The events in which an account's positions begin and end. A forced exercise and a liquidation burn with
    the same event as the holder's own burning.
    """
    topics = tuple(bytes.fromhex(PANOPTIC.events[name].topic[2:]) for name in (MINTED, BURNT))
    return Filter((pool,), (topics, (bytes(12) + bytes.fromhex(account[2:]),)))


def replay(ids: Iterable[int], logs: Sequence[Log]) -> tuple[int, ...]:
    """The positions after these events, in the order in which they were minted. Pure."""
    held = dict.fromkeys(ids)
    for log in logs:
        topics = ["0x" + topic.hex() for topic in log.topics]
        event = PANOPTIC.event_of(topics)
        if event is None or event.name not in (MINTED, BURNT):
            continue
        number = cast(int, event.decode(topics, log.data, log.address)["tokenId"])
        if event.name == MINTED:
            held[number] = None
        else:
            held.pop(number, None)
    return tuple(held)
