"""The closed form of the usual case: one thing to bring to zero, some venues to do it on, nothing in the way.

Without the rows that couple choices, the optimum for a given set of venues is to fill their stretches in the
order of their slopes, up to the price of leaving the rest open. All sets are tried. If the result keeps every
row of the whole problem, it is the whole problem's optimum: a relaxation's optimum that is feasible.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, combinations, pairwise

from agent.planning.optimum import USED, Optimum
from agent.planning.problem import Choice, Problem, Row, judge

MOST_CHOICES = 5  # 31 sets


def split(problem: Problem, measures: Sequence[str]) -> Optimum | None:
    """The optimum, or None where the closed form does not hold: something couples the choices, or pays.

    ``measures`` are those that are to come to zero. Every choice that changes one of them has to change it
    by the same amount per unit and towards zero; all others must cost something.
    """
    sizes: dict[str, float] = {}
    for measure in measures:
        goals = [r for r in problem.rows if r.measure == measure and r.price is not None]
        choices = [c for c in problem.choices if measure in c.effects]
        if len(goals) != 1 or not 0 < len(choices) <= MOST_CHOICES:
            return None
        found = _one(goals[0], choices)
        if found is None:
            return None
        sizes |= found
    others = [c for c in problem.choices if not any(measure in c.effects for measure in measures)]
    if any(min(c.costs) < 0 or c.fixed_cost < 0 for c in others):
        return None
    verdict = judge(problem, sizes, USED)
    return None if verdict.broken else Optimum(sizes, verdict.cost, verdict.cost)


def _one(goal: Row, choices: Sequence[Choice]) -> dict[str, float] | None:
    """The cheapest sizes for one goal alone, or None if it is not of the simple kind."""
    price, start = goal.price or 0.0, goal.start
    if goal.lower != 0 or goal.upper != 0 or goal.only_if or start == 0:
        return None
    for choice in choices:
        slopes = _slopes(choice.sizes, choice.costs)
        steps = _slopes(choice.sizes, choice.effects[goal.measure])
        is_simple = choice.lot == 0 and not choice.once and slopes[0] > -price
        is_straight = all(abs(abs(step) - 1.0) < 1e-9 and step * start < 0 for step in steps)
        is_convex = all(after >= before - 1e-9 * abs(before) for before, after in pairwise(slopes))
        if not (is_simple and is_straight and is_convex):
            return None
    able = [choice for choice in choices if choice.minimum <= choice.sizes[-1]]
    best, least = {}, price * abs(start)
    for count in range(1, len(able) + 1):
        for group in combinations(able, count):
            sizes = _fill(abs(start), price, group)
            left = abs(abs(start) - sum(sizes.values()))
            cost = price * left + sum(c.cost(sizes[c.name]) for c in group)
            if cost < least:
                best, least = sizes, cost
    return {name: size for name, size in best.items() if size > 0}


def _fill(wanted: float, price: float, group: Sequence[Choice]) -> dict[str, float]:
    """Every one of ``group`` at its smallest size, then the cheapest stretches first."""
    sizes = {choice.name: choice.minimum for choice in group}
    left = wanted - sum(sizes.values())
    stretches = sorted(
        (slope, choice.name, low, high)
        for choice in group
        for slope, low, high in zip(_rising(choice), choice.sizes[:-1], choice.sizes[1:], strict=True)
    )
    for slope, name, low, high in stretches:
        width = min(left, high - max(low, sizes[name]))
        if slope >= price or left <= 0:
            break
        if width > 0:
            sizes[name] += width
            left -= width
    return sizes


def _rising(choice: Choice) -> list[float]:
    """The slopes of its costs. Rounding may let a straight stretch fall by a hair: the nearer comes first."""
    return list(accumulate(_slopes(choice.sizes, choice.costs), max))


def _slopes(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    return [(values[k + 1] - values[k]) / (sizes[k + 1] - sizes[k]) for k in range(len(sizes) - 1)]
