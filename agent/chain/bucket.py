"""A token bucket with a queue: who may go when. Pure: the clock is passed in; `agent.chain.limiter` waits.

In any span of T seconds at most ``burst + rate x T`` tokens are taken. Priorities decide who gets them:

- The queue is by priority, then by arrival. A part of the burst is kept back (RESERVES), so that a rescue
  finds tokens at once however much is being scanned.
- Nobody starves: who has waited PATIENCE_S and was passed by PASSED_SHARE times the tokens it needs goes
  next. Under a flood of rescues the others so keep a tenth of the rate, and no more.
- A hold (the node said 429) stops all but rescues, which may be the last call for a book.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from agent.chain.priority import Priority

PASSED_SHARE = 9
PATIENCE_S = 2.0
RESERVES: Mapping[Priority, float] = {Priority.RESCUE: 0.0, Priority.NORMAL: 0.25, Priority.SCAN: 0.5}
EPSILON = 1e-9  # tokens; less than any request costs


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the queue. ``cost`` in tokens, ``born_s`` when it came, ``passed`` what others took."""

    priority: Priority
    cost: int
    born_s: float
    passed: float = 0.0
    is_admitted: bool = False


class Bucket:
    """``rate_per_s`` tokens come each second, at most ``burst`` are kept. A rate of 0 is no limit.

    Not for two threads at once.
    """

    def __init__(self, rate_per_s: float, burst: int, now_s: float) -> None:
        self._rate = rate_per_s if rate_per_s > 0 else math.inf
        self._burst = burst if rate_per_s > 0 else sys.maxsize
        self._tokens = float(self._burst)
        self._filled_s = now_s
        self._held_until_s = -math.inf
        self._queue: list[Ticket] = []

    def largest(self, priority: Priority) -> int:
        """The most tokens one ticket of this priority may cost."""
        return self._burst - self._reserve(priority)

    def join(self, priority: Priority, cost: int, now_s: float) -> Ticket:
        """A place in the queue, for 1 to `largest` tokens. Raises ValueError."""
        if not 1 <= cost <= self.largest(priority):
            raise ValueError(f"a ticket costs 1 to {self.largest(priority)} tokens, not {cost}")
        ticket = Ticket(priority, cost, now_s)
        place = next((i for i, other in enumerate(self._queue) if other.priority > priority), None)
        self._queue.insert(len(self._queue) if place is None else place, ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place up."""
        self._queue.remove(ticket)

    def admit(self, now_s: float) -> list[Ticket]:
        """Take out of the queue whoever's turn it is, in order."""
        self._fill(now_s)
        admitted = []
        while (found := self._next(now_s)) is not None:
            ticket, floor = found
            if self._tokens + EPSILON < ticket.cost + floor:
                break
            self._tokens -= ticket.cost
            self._queue.remove(ticket)
            ticket.is_admitted = True
            admitted.append(ticket)
            for other in self._queue:
                if other.priority > ticket.priority:
                    other.passed += ticket.cost
        return admitted

    def hold(self, until_s: float) -> None:
        """Nothing but rescues until then."""
        self._held_until_s = max(self._held_until_s, until_s)

    def held_s(self, now_s: float) -> float:
        """Seconds until the hold ends; 0 without one."""
        return max(0.0, self._held_until_s - now_s)

    def soonest_s(self, ticket: Ticket, now_s: float) -> float:
        """Seconds until the ticket's turn at the very earliest, if nobody were before it."""
        return self._wait_s(ticket.priority, ticket.cost, now_s)

    def likely_s(self, priority: Priority, cost: int, now_s: float) -> float:
        """Seconds that a ticket would wait if it came now and nobody overtook it."""
        ahead = sum(other.cost for other in self._queue if other.priority <= priority)
        return self._wait_s(priority, cost + ahead + self._reserve(priority), now_s)

    def next_s(self, now_s: float) -> float:
        """Seconds until `admit` should be called again; infinite if nobody waits."""
        found = self._next(now_s)
        if found is not None:
            return self._wait_s(Priority.RESCUE, found[0].cost + found[1], now_s)
        return self.held_s(now_s) if self._queue else math.inf

    def _wait_s(self, priority: Priority, needed: int, now_s: float) -> float:
        self._fill(now_s)
        missing_s = max(0.0, (needed - self._tokens) / self._rate)
        return missing_s if priority is Priority.RESCUE else max(missing_s, self.held_s(now_s))

    def _next(self, now_s: float) -> tuple[Ticket, int] | None:
        """Whose turn it is, and how many tokens must stay behind."""
        is_held = self.held_s(now_s) > 0
        waiting = [t for t in self._queue if t.priority is Priority.RESCUE or not is_held]
        starved = [t for t in waiting if t.passed >= PASSED_SHARE * t.cost and now_s - t.born_s >= PATIENCE_S]
        if starved:
            return min(starved, key=lambda t: t.born_s), 0
        return (waiting[0], self._reserve(waiting[0].priority)) if waiting else None

    def _reserve(self, priority: Priority) -> int:
        return int(self._burst * RESERVES[priority]) if math.isfinite(self._rate) else 0

    def _fill(self, now_s: float) -> None:
        elapsed_s = now_s - self._filled_s
        if elapsed_s > 0:
            self._tokens = min(float(self._burst), self._tokens + elapsed_s * self._rate)
            self._filled_s = now_s
