"""Threads waiting for their turn at one endpoint; `agent.chain.bucket` says whose it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.chain.bucket import Bucket
from agent.chain.priority import Priority

MAX_HOLD_S = 60.0  # a node that asks for more is asked again after this
FIRST_HOLD_S = 1.0  # where it does not say how long; doubles while it goes on
MAX_BLIND_HOLD_S = 16.0
SHORTEST_WAIT_S = 0.001


class Limiter:
    """One per endpoint, for all its users. A rate of 0 is no limit but the node's own 429s."""

    def __init__(
        self, rate_per_s: float = 0.0, burst: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._bucket = Bucket(rate_per_s, burst, clock())
        self._is_free = rate_per_s <= 0
        self._turn = threading.Condition()
        self._refusals = 0

    def largest(self, priority: Priority) -> int:
        """The most tokens that can be asked for at once."""
        return self._bucket.largest(priority)

    def enter(self, priority: Priority, cost: int, timeout_s: float) -> bool:
        """Wait for ``cost`` tokens; False if they cannot come, or did not, within ``timeout_s``."""
        if self._is_free and self._bucket.held_s(self._clock()) == 0:
            return True
        with self._turn:
            deadline = self._clock() + timeout_s
            ticket = self._bucket.join(priority, cost, self._clock())
            while True:
                now_s = self._clock()
                admitted = self._bucket.admit(now_s)
                if len(admitted) > ticket.is_admitted:  # others than ourselves
                    self._turn.notify_all()
                if ticket.is_admitted:
                    return True
                if now_s + self._bucket.soonest_s(ticket, now_s) >= deadline:
                    self._bucket.leave(ticket)
                    self._turn.notify_all()  # whoever was behind it
                    return False
                wait_s = min(self._bucket.next_s(now_s), deadline - now_s)
                self._turn.wait(max(wait_s, SHORTEST_WAIT_S))

    def refused(self, retry_after_s: float | None) -> None:
        """The node said that it was too much: hold all but rescues, for as long as it said, within bounds."""
        with self._turn:
            blind_s = min(FIRST_HOLD_S * 2**self._refusals, MAX_BLIND_HOLD_S)
            self._refusals = min(self._refusals + 1, 16)
            wait_s = blind_s if retry_after_s is None else min(max(retry_after_s, 0.0), MAX_HOLD_S)
            self._bucket.hold(self._clock() + wait_s)

    def served(self) -> None:
        """The node answered: the next refusal without a time starts from the shortest hold."""
        self._refusals = 0

    def held_s(self) -> float:
        """Seconds for which the node wants no requests."""
        with self._turn:
            return self._bucket.held_s(self._clock())

    def likely_s(self, priority: Priority, cost: int) -> float:
        """Seconds that a request would wait if nobody overtook it."""
        with self._turn:
            return self._bucket.likely_s(priority, cost, self._clock())
