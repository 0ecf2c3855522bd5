"""Whether an endpoint is to be asked at all: a state machine. Pure: the clock is passed in.

    CLOSED --n faults in a row, or one lie--> OPEN --a wait--> HALF_OPEN --its one probe answered--> CLOSED
                                                                   `-- it failed: OPEN, for twice the wait
    CUT_OFF: for good, from anywhere

Only the answers to what was asked since the last change of state count: a late one tells of the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Of an endpoint."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """``faults`` in a row open it, for ``wait_s`` that doubles up to ``max_wait_s`` while probes fail."""

    faults: int = 3
    wait_s: float = 0.5
    max_wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to ask once; to be given back by `Breaker.succeed`, `fail` or `abandon`."""

    era: int


class Breaker:
    """Not for two threads at once."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.policy = policy or BreakerPolicy()
        self.state = State.CLOSED
        self.faults = 0  # in a row
        self._wait_s = self.policy.wait_s
        self._until_s = 0.0
        self._era = 0

    def admit(self, now_s: float, *, is_urgent: bool = False) -> Permit | None:
        """Leave to ask, or None. Urgent does not wait for the probe's time, but is the probe."""
        if self.state is State.OPEN and (is_urgent or now_s >= self._until_s):
            self._become(State.HALF_OPEN)
            return Permit(self._era)
        return Permit(self._era) if self.state is State.CLOSED else None

    def rest_s(self, now_s: float) -> float:
        """Seconds until it may be probed; 0 where that is now, or a probe is on its way."""
        return max(0.0, self._until_s - now_s) if self.state is State.OPEN else 0.0

    def succeed(self, permit: Permit) -> None:
        """What was asked was answered."""
        if permit.era != self._era:
            return
        self.faults = 0
        if self.state is State.HALF_OPEN:
            self._wait_s = self.policy.wait_s
            self._become(State.CLOSED)

    def fail(self, permit: Permit, now_s: float) -> None:
        """It was not."""
        if permit.era != self._era:
            return
        self.faults += 1
        if self.state is State.HALF_OPEN:
            self._wait_s = min(self._wait_s * 2, self.policy.max_wait_s)
            self._open(now_s)
        elif self.state is State.CLOSED and self.faults >= self.policy.faults:
            self._open(now_s)

    def abandon(self, permit: Permit, now_s: float) -> None:
        """It was never asked: says nothing, and another may be the probe at once."""
        if permit.era == self._era and self.state is State.HALF_OPEN:
            self._become(State.OPEN)
            self._until_s = now_s

    def trip(self, now_s: float) -> None:
        """It told something that cannot be true: the longest rest at once. A cut-off one stays so."""
        if self.state is not State.CUT_OFF:
            self.faults += 1
            self._wait_s = self.policy.max_wait_s
            self._open(now_s)

    def cut_off(self) -> None:
        """Never again."""
        self._become(State.CUT_OFF)

    def _open(self, now_s: float) -> None:
        self._become(State.OPEN)
        self._until_s = now_s + self._wait_s

    def _become(self, state: State) -> None:
        self.state = state
        self._era += 1
