"""The newest block: once, or as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty

from agent.chain import shape
from agent.chain.listener import Listener, Word
from agent.chain.rpc import Rpc
from agent.errors import (
    ChainMismatch,
    DecodeMismatch,
    HeadStale,
    ReadUnpinned,
    RpcRejected,
    Transient,
)
from agent.values.address import BlockHash
from agent.values.block import Block

LAG_S = 1.0  # how long the node we read from may know less than the one that told of a head
TURN_S = 0.05
MAX_GAP = 128  # blocks filled in after a silence; older ones are nobody's business any more


def latest(rpc: Rpc, max_age_s: float | None, now_s: float) -> Block:
    """The newest block, at most ``max_age_s`` older than the wall clock ``now_s``. Raises HeadStale.

    ``max_age_s=None``: the chain's clock is not the wall clock (a simulation), so age says nothing.
    """
    block = rpc.block("latest")
    age_s = now_s - block.timestamp_s
    if max_age_s is not None and age_s > max_age_s:
        raise HeadStale(number=block.number, age_s=round(age_s), max_age_s=max_age_s)
    return block


class Heads:
    """Every new head from now on, the present one first; ends after `stop`. Iterated once.

    Heads come by WebSocket from the first of ``ws_urls`` that works, the next taking over when it fails;
    while none does (and without any) the node is asked every ``poll_s`` seconds. Nothing waits on the way:
    a head is yielded as soon as the socket brings it. Blocks that were skipped are fetched by their hashes,
    back to one that was yielded: what is yielded is a chain without a gap (of at most MAX_GAP blocks), and
    after a reorganisation it goes on with the first block of the new branch; ``reorgs`` counts those.

    A node that does not answer is asked again for ``patience_s``, one that answers nonsense too; then the
    error is raised. ChainMismatch is raised when every socket is of another chain, ConfigInvalid at once for
    what is no ws(s) address.
    """

    def __init__(
        self, rpc: Rpc, ws_urls: Sequence[str] = (), poll_s: float = 1.0, patience_s: float = 60.0
    ) -> None:
        self._rpc = rpc
        self._listener = Listener(rpc, ws_urls)
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._stopped = self._listener.stopped
        self._last: Block | None = None
        self._chain: dict[int, BlockHash] = {}  # what was yielded and is canonical, as far as we know
        self.reorgs = 0

    def stop(self) -> None:
        """End the iteration now. Any thread may call it."""
        self._stopped.set()
        self._listener.inbox.put(Word.END)

    def __iter__(self) -> Iterator[Block]:
        self._listener.start()
        said: Block | Word = Word.LOOK
        failing_since: float | None = None
        try:
            while not self._stopped.is_set():
                try:
                    yield from self._heard(said)
                    failing_since = None
                except (Transient, RpcRejected, DecodeMismatch):
                    now = time.monotonic()
                    failing_since = now if failing_since is None else failing_since
                    if now - failing_since >= self._patience_s:
                        raise
                said = self._next()
        finally:
            self._stopped.set()

    def _next(self) -> Block | Word:
        """What to look at next: what a socket brings, or the node at its turn. Raises ChainMismatch."""
        while not self._stopped.is_set():
            try:
                said = self._listener.inbox.get(timeout=self._poll_s)
            except Empty:
                if self._listener.is_live:
                    continue
                return Word.LOOK
            if isinstance(said, ChainMismatch):
                raise said
            return said
        return Word.END

    def _heard(self, said: Block | Word) -> Iterator[Block]:
        if said is Word.END:
            return
        if isinstance(said, Block):
            yield from self._advance(said)
            return
        head = self._rpc.block("latest")
        if said is Word.QUIET and self._last is not None and head.number > self._last.number:
            self._listener.is_deaf.set()  # there were heads, and it told of none
        yield from self._advance(head)

    # --- the chain -------------------------------------------------------------------------------------

    def _advance(self, head: Block) -> Iterator[Block]:
        """The blocks from the last one that is an ancestor of ``head``, to it."""
        if self._chain.get(head.number) == head.hash:
            return  # somebody told of it already
        branch = self._branch(head)
        first, last = branch[-1], self._last
        is_joined = self._chain.get(first.number - 1) == first.parent_hash
        if last is not None and (first.number <= last.number if is_joined else self._is_broken(first, last)):
            self.reorgs += 1
        for block in reversed(branch):
            self._accept(block)
            yield block

    def _branch(self, head: Block) -> list[Block]:
        """``head`` and its ancestors back to the first that is not known, newest first."""
        branch = [head]
        if self._last is None:
            return branch
        oldest = min(self._chain)
        find = self._finder(head)
        while len(branch) <= MAX_GAP:
            first = branch[-1]
            if first.number <= oldest or self._chain.get(first.number - 1) == first.parent_hash:
                break
            try:
                branch.append(find(first))
            except ReadUnpinned:
                break  # it is gone again: the next head tells
        return branch

    def _finder(self, head: Block) -> Callable[[Block], Block]:
        """How to get a block's parent. Where many are missing they are asked for at once, by number; what
        does not belong to the branch is asked for by hash.
        """
        known: dict[BlockHash, Block] = {}
        first = max(max(self._chain) + 1, head.number - MAX_GAP)
        if head.number - first > 1:
            asked = self._rpc.batch(
                [("eth_getBlockByNumber", (hex(number), False)) for number in range(first, head.number)]
            )
            values = [result.value for result in asked if result.value is not None]
            blocks = [shape.header(value, "eth_getBlockByNumber") for value in values]
            known = {block.hash: block for block in blocks}
        deadline = time.monotonic() + LAG_S

        def find(child: Block) -> Block:
            while True:
                if child.parent_hash in known:
                    return known[child.parent_hash]
                try:
                    return self._rpc.block(child.parent_hash)
                except ReadUnpinned:
                    if time.monotonic() > deadline or self._stopped.wait(TURN_S):
                        raise

        return find

    @staticmethod
    def _is_broken(first: Block, last: Block) -> bool:
        """Whether a block that does not follow on what is known shows that ``last`` is not canonical."""
        return first.number <= last.number or (
            first.number == last.number + 1 and first.parent_hash != last.hash
        )

    def _accept(self, block: Block) -> None:
        gone = [n for n in self._chain if n >= block.number or n < block.number - 2 * MAX_GAP]
        for number in gone:
            del self._chain[number]
        self._chain[block.number] = block.hash
        self._last = block
