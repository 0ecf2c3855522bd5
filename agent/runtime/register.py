"""Who has an account at a venue: found in its events, followed by block, taken back by reorganisations.

The file is a cache: it makes the second start fast and may be deleted at any time.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.chain import shape
from agent.chain.harvest import birth, harvest
from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned
from agent.values.address import BlockHash
from agent.values.block import Block
from agent.values.log import Log
from agent.venues.crowd import CrowdVenue

FORM = 1  # of the file; another one is not read
DEEP = 256  # blocks that a reorganisation may take back; beyond a deeper one as many again are looked at
KEPT_EVERY = 50  # sheaves between two writes of the file

ANEW = "starting again"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Page:
    """One block that was looked through, and whom it changed."""

    number: int
    hash: BlockHash
    changed: set[int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file says. ``marks``: a block too deep to be taken back and the last one, with hashes."""

    first: int
    marks: tuple[tuple[int, str], ...]
    found: Mapping[int, int]


@dataclass
class Register:
    """The accounts of one venue on one chain, in the order in which they were found.

    ``found`` has the block of each account's first event; ``done`` is the last block that was looked through.
    ``path``: where the cache is, None for none. ``say`` hears what takes long or is not as expected.
    """

    rpc: Rpc
    venue: CrowdVenue[object]
    chain_id: int
    path: Path | None = None
    first: int | None = None
    say: Say = field(default=lambda _text: None)
    found: dict[int, int] = field(default_factory=dict)
    done: int = -1
    is_resumed: bool = False
    lost: int = 0  # accounts that reorganisations took back
    _pages: deque[Page] = field(default_factory=deque)
    _changed: set[int] = field(default_factory=set)  # and not yet told

    def __len__(self) -> int:
        return len(self.found)

    @property
    def subjects(self) -> tuple[int, ...]:
        """Everybody, oldest first."""
        return tuple(self.found)

    def open(self) -> None:
        """Read the cache, if there is one of this venue on this chain and its last block still is."""
        kept = self._kept()
        if kept is None:
            return
        is_there = [self._is_there(number, hash_) for number, hash_ in kept.marks]
        if not any(is_there):
            self.say(f"none of the cache's blocks are on this chain: {ANEW}")
            return
        self.first, self.found, self.done = kept.first, dict(kept.found), kept.marks[-1][0]
        if not is_there[-1]:
            self.say(f"block {self.done} of the cache is no longer there: looking {DEEP} blocks back")
            self._drop(kept.marks[0][0])
        self.is_resumed = True

    def follow(self, block: Block) -> frozenset[int]:
        """Look through everything up to ``block``; whom it changed, among those that are known afterwards.

        Raises ReadUnpinned if the chain is reorganised meanwhile, and what `Rpc` raises; what was found until
        then is kept, and the next call goes on from there.
        """
        tip = self._pages[-1] if self._pages else None
        if tip is None or tip.hash not in (block.hash, block.parent_hash):
            self._changed |= self._unwound(block)
            if self.first is None:
                self.first = self._begin(block)
            self.done = max(self.done, self.first - 1)
            self._catch_up(block)
            if self._torn(block):
                raise ReadUnpinned(block=block.number, reason="the chain was reorganised while it was read")
        if self.done < block.number:
            self._note(self.rpc.logs_of(self.venue.events(), block))
            self._turn(block.number, block.hash)
        changed, self._changed = self._changed, set()
        return frozenset(subject for subject in changed if subject in self.found)

    def keep(self) -> None:
        """Write the cache, whole or not at all. Raises OSError."""
        if self.path is None or self.first is None:
            return
        deep = max(self.done - DEEP, 0)
        state = {
            "form": FORM,
            "chain_id": self.chain_id,
            "homes": list(self.venue.homes),
            "first": self.first,
            "marks": [[number, self.rpc.block(number).hash] for number in (deep, self.done)],
            "accounts": [[hex(subject), number] for subject, number in self.found.items()],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as partial:
            json.dump(state, partial)
        Path(partial.name).replace(self.path)

    def _begin(self, block: Block) -> int:
        self.say("looking for the venue's first block")
        return min(birth(self.rpc, home, block.number) for home in self.venue.homes)

    def _catch_up(self, block: Block) -> None:
        """The blocks before ``block``, by ranges."""
        sheaves = harvest(self.rpc, self.venue.events(), self.done + 1, block.number - 1)
        for count, sheaf in enumerate(sheaves, 1):
            self._note(sheaf.logs)
            self.done = sheaf.last
            self.say(f"block {sheaf.last} of {block.number}: {len(self.found)} accounts")
            if count % KEPT_EVERY == 0 and sheaf.last < block.number - DEEP:
                self.keep()

    def _note(self, logs: Iterable[Log]) -> None:
        for log in logs:
            for subject in self.venue.introduced(log):
                self.found.setdefault(subject, log.block_number)
            changed = self.venue.touched(log)
            self._changed.update(changed)
            self._turn(log.block_number, log.block_hash, changed)

    def _turn(self, number: int, hash_: BlockHash, changed: Iterable[int] = ()) -> None:
        """A block that told something, or the newest one."""
        if not self._pages or self._pages[-1].hash != hash_:
            self._pages.append(Page(number, hash_, set()))
        self._pages[-1].changed.update(changed)
        self.done = max(self.done, number)
        while self._pages[0].number < self.done - DEEP:
            self._pages.popleft()

    def _torn(self, block: Block) -> int | None:
        """The number of the first kept block that is not on the chain of ``block``; None if all are."""
        above = [page for page in self._pages if page.number > block.number]
        asked = [page for page in self._pages if page.number <= block.number]
        label = "eth_getBlockByNumber"
        calls = [(label, (hex(number), False)) for number in (*(page.number for page in asked), block.number)]
        answers = [result.unwrap() for result in self.rpc.batch(calls)]
        hashes = [None if answer is None else shape.header(answer, label).hash for answer in answers]
        if hashes[-1] != block.hash:
            raise ReadUnpinned(block=block.number, reason="it is no longer the chain's")
        gone = [page for page, found in zip(asked, hashes, strict=False) if page.hash != found]
        return min((page.number for page in (*gone, *above)), default=None)

    def _unwound(self, block: Block) -> set[int]:
        """Take back what is not on the chain of ``block``; whom that had changed."""
        torn = self._torn(block)
        if torn is None:
            return set()
        changed: set[int] = set()
        while self._pages and self._pages[-1].number >= torn:
            changed |= self._pages.pop().changed
        last = torn - 1
        if not self._pages:
            self.say(f"a reorganisation deeper than what was followed: looking {DEEP} blocks back")
            last -= DEEP
        self._drop(last)
        return changed

    def _drop(self, last: int) -> None:
        """Forget who was found after the block ``last``."""
        gone = [subject for subject, number in self.found.items() if number > last]
        for subject in gone:
            del self.found[subject]
        self.lost += len(gone)
        self.done = last

    def _is_there(self, number: int, hash_: str) -> bool:
        try:
            return self.rpc.block(number).hash == hash_
        except ReadUnpinned:
            return False

    def _kept(self) -> Kept | None:
        if self.path is None or not self.path.is_file():
            return None
        try:
            state = json.loads(self.path.read_text())
            if state["form"] != FORM or state["chain_id"] != self.chain_id:
                raise ValueError("it is of another chain or version")
            if state["homes"] != list(self.venue.homes):
                raise ValueError("it is of other contracts")
            marks = tuple((int(number), str(hash_)) for number, hash_ in state["marks"])
            found = {int(subject, 16): int(number) for subject, number in state["accounts"]}
            return Kept(int(state["first"]), marks, found)
        except (ValueError, KeyError, TypeError, OSError) as error:
            self.say(f"the cache {self.path} cannot be used ({error}): {ANEW}")
            return None
