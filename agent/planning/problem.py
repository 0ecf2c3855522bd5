"""What the optimiser is asked: choices that cost something, and rows of what they have to leave behind.

Everything here is a float in the problem's own units (asset units, units of a token, quote): the answers are
guesses that the front turns back into exact ints and judges again with the exact models.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TOLERANCE = 1e-7  # of a row's own magnitude: what a float solution may miss it by


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be done at a size from 0 to the last of ``sizes``, straight between them.

    ``costs`` and each of ``effects`` (by measure) are cumulative at ``sizes``, 0 at 0; ``fixed_cost`` (gas)
    and ``once`` (by measure) come on top as soon as it is done at all. ``lot`` 0: any size. ``capacity``,
    ``lot_limit`` and ``minimum_limit`` name what the size is limited by; an unnamed end of ``sizes`` is not a
    limit, only as far as anybody looked. A capacity that is dropped lets the size go on to ``reach``.
    """

    name: str
    sizes: tuple[float, ...]
    costs: tuple[float, ...]
    fixed_cost: float = 0.0
    lot: float = 0.0
    minimum: float = 0.0
    effects: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    once: Mapping[str, float] = field(default_factory=dict)
    capacity: str = ""
    lot_limit: str = ""
    minimum_limit: str = ""
    reach: float = 0.0

    def cost(self, size: float) -> float:
        """What doing ``size`` of it costs, fixed cost included; 0 for 0."""
        return 0.0 if size == 0 else self.fixed_cost + between(self.sizes, self.costs, size)

    def effect(self, measure: str, size: float) -> float:
        """What doing ``size`` of it changes in ``measure``."""
        if size == 0:
            return 0.0
        values = self.effects.get(measure)
        along = 0.0 if values is None else between(self.sizes, values, size)
        return along + self.once.get(measure, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """A bound on a measure: ``start`` plus all effects lies in [``lower``, ``upper``].

    ``limit`` names it in a conflict. With a ``price`` it is a wish: every unit outside costs that much.
    ``only_if`` names a choice: the row counts only when that is done.
    """

    measure: str
    start: float
    lower: float = -math.inf
    upper: float = math.inf
    limit: str = ""
    price: float | None = None
    only_if: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Least cost over ``choices`` with every row kept; of each group in ``exclusive`` at most one is done."""

    choices: tuple[Choice, ...]
    rows: tuple[Row, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of everything that can be dropped, each once, in the order they were given."""
        names = [row.limit for row in self.rows if row.price is None and row.limit]
        for choice in self.choices:
            names += [choice.capacity, choice.minimum_limit if choice.minimum > 0 else ""]
            names.append(choice.lot_limit if choice.lot > 0 else "")
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What sizes cost in a problem, wishes included, and the names of the limits they break."""

    cost: float
    broken: tuple[str, ...]


def judge(problem: Problem, sizes: Mapping[str, float], tolerance: float = TOLERANCE) -> Verdict:
    """Reckon ``sizes`` (0 where a choice is not named) without any solver: what the solver is held to.

    ``tolerance`` is relative to the largest number that meets in a row. An unnamed limit is broken as
    "limit of ..." and the rule that two choices exclude each other as "exclusive".
    """
    broken: list[str] = []
    cost = 0.0
    for choice in problem.choices:
        size = sizes.get(choice.name, 0.0)
        if size == 0:
            continue
        cost += choice.cost(size)
        slack = tolerance * max(choice.sizes[-1], size)
        if size > choice.sizes[-1] + slack or size < 0:
            broken.append(choice.capacity or f"limit of {choice.name}")
        if size < choice.minimum - slack:
            broken.append(choice.minimum_limit or f"limit of {choice.name}")
        if choice.lot > 0 and abs(size - round(size / choice.lot) * choice.lot) > slack:
            broken.append(choice.lot_limit or f"limit of {choice.name}")
    for row in problem.rows:
        if row.only_if and sizes.get(row.only_if, 0.0) == 0:
            continue
        parts = [row.start, *(c.effect(row.measure, sizes.get(c.name, 0.0)) for c in problem.choices)]
        value = math.fsum(parts)
        outside = max(row.lower - value, value - row.upper, 0.0)
        if row.price is not None:
            cost += row.price * outside
            continue
        edges = (_finite(row.lower), _finite(row.upper))
        if outside > tolerance * max(abs(part) for part in (*parts, *edges)):
            broken.append(row.limit or f"limit of {row.measure}")
    for group in problem.exclusive:
        if sum(sizes.get(name, 0.0) != 0 for name in group) > 1:
            broken.append("exclusive")
    return Verdict(cost, tuple(dict.fromkeys(broken)))


def between(sizes: Sequence[float], values: Sequence[float], size: float) -> float:
    """The value at ``size`` on the straight lines through the points; the last line goes on beyond them."""
    after = min(max(bisect_left(sizes, size), 1), len(sizes) - 1)
    low, high = sizes[after - 1], sizes[after]
    return values[after - 1] + (values[after] - values[after - 1]) * (size - low) / (high - low)


def chord_errors(sizes: Sequence[float], costs: Sequence[float]) -> list[float]:
    """How far each straight line can be above a convex, rising curve through the points, at most.

    Between two points such a curve lies above the neighbouring lines carried on (to the left of the first
    it cannot fall), so the error of a stretch of width h with slope s between neighbours of slope p and q is
    at most h (s - p) (q - s) / (q - p). At the last stretch q is not known and the error is at most
    h (s - p).
    """
    slopes = [(costs[k + 1] - costs[k]) / (sizes[k + 1] - sizes[k]) for k in range(len(sizes) - 1)]
    found = []
    for k, slope in enumerate(slopes):
        width = sizes[k + 1] - sizes[k]
        rise = max(0.0, slope - (slopes[k - 1] if k > 0 else min(0.0, slope)))
        if k + 1 < len(slopes):
            fall = max(0.0, slopes[k + 1] - slope)
            found.append(width * rise * fall / (rise + fall) if rise + fall > 0 else 0.0)
        else:
            found.append(width * rise)
    return found


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
