"""Which positions an account holds: told by events, proved by the pool.

The pool stores no list of positions, only a hash of it, and wants the list from whoever calls it. So the list
is rebuilt from the pool's events and then compared with the hash at the very block that is read (`reader`): a
wrong list is refused, however it came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from agent.chain.abi import load
from agent.chain.history import Record
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Past
from agent.venues.deployments import PanopticPool

PANOPTIC = load("panoptic")
MINTED, BURNT = "OptionMinted", "OptionBurnt"
LABEL = "panoptic.events"
FINAL_BLOCKS = 64  # events deeper than that are not asked for again
CHUNK_BLOCKS = 10_000  # of one question: many nodes answer no more


@dataclass
class Memory:
    """What is known of accounts for good: by pool and account, the block up to which, and the positions then.
    It saves questions and decides nothing: whatever it says is proved by the hash each time.
    """

    known: dict[tuple[str, str], tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def start(self, pool: PanopticPool, account: Address, block: Block) -> tuple[int, tuple[int, ...]]:
        """From which block on to ask, and what was held before it."""
        nothing = (pool.first_block, ())
        since, ids = self.known.get((pool.address, account), nothing)
        return (since, ids) if since <= block.number else nothing

    def forget(self, pool: PanopticPool, account: Address) -> None:
        """After a list that was not the pool's: the next reading asks for everything again."""
        self.known.pop((pool.address, account), None)

    def keep(self, pool: PanopticPool, account: Address, since: int, ids: tuple[int, ...]) -> None:
        """Before block ``since`` the account held these."""
        self.known[(pool.address, account)] = (since, ids)


def questions(pool: PanopticPool, account: Address, block: Block, memory: Memory) -> tuple[Past, ...]:
    """The account's events that are not known yet: those that are deep first, in stretches, then the newest.

    A forced exercise and a liquidation burn with the same event as the holder's own burning.
    """
    since, _ = memory.start(pool, account, block)
    bounds = list(range(since, block.number - FINAL_BLOCKS, CHUNK_BLOCKS))
    deep = max(since, block.number - FINAL_BLOCKS)
    ends = [*bounds[1:], deep][: len(bounds)]
    kinds = tuple(bytes.fromhex(PANOPTIC.events[name].topic[2:]) for name in (MINTED, BURNT))
    topics = (kinds, (bytes(12) + bytes.fromhex(account[2:]),))
    target = Address(pool.address)
    old = [
        Past(target, b"", label=LABEL, topics=topics, first=first, last=end - 1)
        for first, end in zip(bounds, ends, strict=True)
    ]
    return (*old, Past(target, b"", label=LABEL, topics=topics, first=deep))


def held(
    pool: PanopticPool,
    account: Address,
    block: Block,
    memory: Memory,
    answers: Sequence[Sequence[Record]],
) -> tuple[int, ...]:
    """The positions after these events, of which all but the last lot are for good."""
    _, ids = memory.start(pool, account, block)
    *old, newest = answers
    for lot in old:
        ids = replay(ids, lot)
    if old:
        memory.keep(pool, account, block.number - FINAL_BLOCKS, ids)
    return replay(ids, newest)


def replay(ids: Iterable[int], records: Sequence[Record]) -> tuple[int, ...]:
    """The positions after these events, in the order in which they were minted. Pure."""
    kept = dict.fromkeys(ids)
    for topics, data in records:
        words = ["0x" + topic.hex() for topic in topics]
        event = PANOPTIC.event_of(words)
        if event is None or event.name not in (MINTED, BURNT):
            continue
        number = cast(int, event.decode(words, data)["tokenId"])
        if event.name == MINTED:
            kept[number] = None
        else:
            kept.pop(number, None)
    return tuple(kept)
