"""The highest block accepted from several endpoints, below which nothing is read any more."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from agent.errors import HeadBehind, HeadImplausible
from agent.values.block import Block

MAX_BLOCKS_PER_S = 50  # more than any chain makes
FRESH_S = 60.0
PATIENCE_S = 30.0
REMEMBERED = 256


class Summit:
    """Threads may share it. ``clock`` is monotonic, ``wall`` the wall clock.

    ``max_future_s``: how far a block may be ahead of the wall clock; None where the chain's is another one.
    """

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], float], max_future_s: float | None
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._max_future_s = max_future_s
        self._lock = threading.Lock()
        self._below_since_s: float | None = None
        self._below: Block | None = None
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self.block: Block | None = None

    @property
    def number(self) -> int:
        """Of the block; -1 before the first."""
        return -1 if self.block is None else self.block.number

    def number_of(self, block_hash: str | None) -> int | None:
        """The number of a block that was a head lately."""
        return None if block_hash is None else self._numbers.get(block_hash.lower())

    def doubt(self, endpoint: str, head: Block) -> HeadImplausible | None:
        """Why the block cannot be, if it cannot."""
        if self._max_future_s is None:
            return None
        reason, known = "", self.block
        ahead_s = head.timestamp_s - self._wall()
        if ahead_s > self._max_future_s:
            reason = f"it is {ahead_s:.0f} s in the future by our clock"
        elif known is not None:
            steps, took_s = head.number - known.number, max(0, head.timestamp_s - known.timestamp_s)
            if steps > (took_s + self._max_future_s) * MAX_BLOCKS_PER_S:
                reason = f"no chain makes {steps} blocks in {took_s} s"
        return HeadImplausible(endpoint=endpoint, number=head.number, reason=reason) if reason else None

    def accept(self, endpoint: str, head: Block) -> None:
        """Raises HeadBehind if the block is below, unless the one above is gone for good."""
        seen = self.number
        if not self._offer(head) and not self._recede(head):
            raise HeadBehind(endpoint=endpoint, number=head.number, seen=seen)

    def _offer(self, head: Block) -> bool:
        """Take it, unless it is below."""
        with self._lock:
            self._numbers[head.hash] = head.number
            while len(self._numbers) > REMEMBERED:
                self._numbers.popitem(last=False)
            if self.block is not None and head.number < self.block.number:
                return False
            self.block = head
            self._below_since_s = self._below = None
            return True

    def _recede(self, highest: Block) -> bool:
        """No endpoint has the block any more, ``highest`` is the best there is: whether to take that.

        Not before PATIENCE_S, and only what is not merely late: a fresh block, or (where the chain's clock
        says nothing) one that came meanwhile. So a reorganisation or a lie blinds us for as long and no
        longer, and an endpoint that lags is never believed.
        """
        with self._lock:
            now_s = self._clock()
            if self._below_since_s is None or self._below is None:
                self._below_since_s, self._below = now_s, highest
                return False
            is_alive = (
                highest.number > self._below.number
                if self._max_future_s is None
                else self._wall() - highest.timestamp_s <= FRESH_S
            )
            if now_s - self._below_since_s < PATIENCE_S or not is_alive:
                return False
            self.block = highest
            self._below_since_s = self._below = None
            return True
