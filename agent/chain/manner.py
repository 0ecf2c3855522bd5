"""How one endpoint is best read, as far as it has shown: by which means, and how much at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from enum import Enum

REPROBE_S = 600.0  # an endpoint that can only do less is tried for more after this
GROWTH = 1.1
SHY = 0.9  # of what was once refused is asked again
FORGETTING = 1.002  # and this is how fast that is forgotten
WIDTHS = (1, 2, 4)
GAIN = 1.15  # more connections must read so much faster
TRIES = 3  # tables by which a number of connections is judged
REMEASURE = 256  # tables until it is judged again
SMOOTHING = 0.3
MOST_SHAPES = 256
MOST_HEAVY = 4096


class Means(Enum):
    """Ways to read much at once, the best first."""

    OVERRIDE = "override"  # a lens at an unused address, by state override
    DEPLOYLESS = "deployless"  # a lens in the code of a deployment that never happens
    MULTICALL = "multicall"  # Multicall3, where it is deployed
    PLAIN = "plain"  # one eth_call each, in JSON-RPC batches


class Ceiling:
    """The most that is asked at once: halved where the node refuses, then raised up to what it refused."""

    def __init__(self, start: int, least: int = 1) -> None:
        self._start, self._least = start, least
        self._now, self._refused, self._proven = float(start), math.inf, 0.0

    @property
    def now(self) -> int:
        """At least ``least``."""
        return max(self._least, int(self._now))

    def shrink(self, asked: int) -> None:
        """``asked`` was too much."""
        self._refused = min(self._refused, asked)
        self._now = min(self._now, asked / 2)

    def grow(self, asked: int) -> None:
        """``asked`` went well."""
        self._proven = max(self._proven, asked)
        self._refused *= FORGETTING
        if asked * GROWTH >= self.now:
            most = min(self._refused * SHY, self._start)
            double = self._now * 2
            self._now = min(double if double <= most else self._now * GROWTH, most)

    def excuse(self) -> None:
        """It was not too much: there was one thing in it that is always refused."""
        self._now, self._refused = max(self._proven, self._now), math.inf


class Pace:
    """How many connections read a table fastest: each number is tried, the best is kept."""

    def __init__(self) -> None:
        self._speeds: dict[int, list[float]] = {width: [] for width in WIDTHS}
        self._most = WIDTHS[-1]
        self._reads = 0

    def width(self) -> int:
        """For the next table."""
        self._reads += 1
        if self._reads % REMEASURE == 0:  # another machine, another load
            self._speeds = {width: [] for width in WIDTHS}
        best = WIDTHS[0]
        for width in WIDTHS:
            if width > self._most:
                break
            if len(self._speeds[width]) < TRIES:
                return width
            if width != best and max(self._speeds[width]) < max(self._speeds[best]) * GAIN:
                break
            best = width
        return best

    def learn(self, width: int, cells_per_s: float) -> None:
        """A table was read so fast."""
        if self._reads > 1 and len(self._speeds[width]) < TRIES:  # not the first: it found out more than this
            self._speeds[width].append(cells_per_s)

    def narrow(self) -> None:
        """The node asked for fewer requests: one connection from now on."""
        self._most = WIDTHS[0]


class Manner:
    """What is known of one endpoint. Threads may share it. ``forced``: this means and no other, unprobed."""

    def __init__(self, forced: Means | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._forced = forced
        self._clock = clock
        self._means: Means | None = None
        self._until_s = 0.0
        self.gas = 0  # at a lens's start
        self.reverts = True  # whether a deployless lens leaves by revert
        self.answer_bytes = Ceiling(4 << 20, least=1 << 10)  # of one table request
        self.cells = Ceiling(2_000)  # of one aggregate3
        self.calls = Ceiling(2_000)  # of one list through a lens
        self.batch = Ceiling(500)  # of one JSON-RPC batch; geth refuses more than 1000 by default
        self.pace = Pace()
        self._row_gas: dict[Hashable, float] = {}
        self._caps: dict[Hashable, int] = {}
        self._heavy: set[tuple[str, bytes]] = set()

    @property
    def allowed(self) -> tuple[Means, ...]:
        """What may be tried, the best first; plain calls are always possible."""
        return tuple(Means) if self._forced is None else tuple(dict.fromkeys((self._forced, Means.PLAIN)))

    @property
    def means(self) -> Means | None:
        """The best that works, None before that is known and when it is to be found out again."""
        with self._lock:
            is_best = self._means is self.allowed[0]
            return self._means if is_best or self._clock() < self._until_s else None

    def settle(self, means: Means, gas: int) -> None:
        """A probe found that this is the best that works, with so much gas."""
        with self._lock:
            self._means, self._until_s = means, self._clock() + REPROBE_S
            self.gas = gas

    def forget(self) -> None:
        """It refused what it had offered: probe again."""
        with self._lock:
            self._means = None

    def row_gas(self, shape: Hashable, guess: float) -> float:
        """What a row of a table of this shape costs."""
        return self._row_gas.get(shape, guess)

    def learn_row_gas(self, shape: Hashable, gas: float) -> None:
        with self._lock:
            if len(self._row_gas) >= MOST_SHAPES:
                self._row_gas.clear()
            before = self._row_gas.get(shape, gas)
            self._row_gas[shape] = max(gas, before + SMOOTHING * (gas - before))

    def cap(self, shape: Hashable, start: int) -> int:
        """The gas that one call of a table may take."""
        return max(1, min(self._caps.get(shape, start), self.gas // 4))

    def raise_cap(self, shape: Hashable, cap: int) -> bool:
        """Too many calls took more than half of ``cap``: whether it can be more from now on."""
        if cap >= self.gas // 4:
            return False
        with self._lock:
            if len(self._caps) >= MOST_SHAPES:
                self._caps.clear()
            self._caps[shape] = cap * 4
        return True

    def is_heavy(self, target: str, data: bytes) -> bool:
        """Whether this function took so much gas before that it is asked alone."""
        return (target, data[:4]) in self._heavy

    def learn_heavy(self, target: str, data: bytes) -> None:
        with self._lock:
            if len(self._heavy) >= MOST_HEAVY:
                self._heavy.clear()
            self._heavy.add((target, data[:4]))
