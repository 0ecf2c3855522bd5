"""The optimiser finds what trying everything finds, and names conflicts none of whose limits can go."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.planning.conflict import conflicts
from agent.planning.optimum import Infeasible, Optimum, Trouble, is_feasible, solve
from agent.planning.problem import Choice, Problem, Row

TOLERANCE = 1e-6  # relative to the cost
SECONDS = 5.0


def book(seed: int, scale: float = 1.0) -> Problem:
    """A small book drawn at random: up to three venues in lots, two margin accounts, one wallet.

    Sizes, money and prices per unit all carry ``scale``, so that the same book can be tiny or huge.
    """
    draw = random.Random(seed)
    choices: list[Choice] = []
    rows: list[Row] = []
    delta = draw.choice([-1, 1]) * draw.randint(0, 6)
    for venue in range(draw.randint(1, 3)):
        lots = draw.randint(1, 5)
        fee, impact = draw.uniform(0.1, 5), draw.choice([0.0, draw.uniform(0.1, 3)])
        carry, margin = draw.uniform(-2, 2), draw.uniform(0.5, 4)
        minimum = draw.choice([0, 0, 2])
        sizes = [float(n) for n in range(lots + 1)]
        choices.append(
            Choice(
                f"trade {venue}",
                tuple(scale * n for n in sizes),
                tuple(scale * (n * (fee + carry) + impact * n * n) for n in sizes),
                fixed_cost=scale * draw.choice([0.0, draw.uniform(0, 6)]),
                lot=scale,
                minimum=scale * minimum,
                effects={
                    "delta": tuple((-scale if delta > 0 else scale) * n for n in sizes),
                    f"slack {venue % 2}": tuple(-scale * margin * n * (1 + 0.1 * n) for n in sizes),
                },
                capacity=f"capacity {venue}",
                minimum_limit=f"minimum {venue}",
                lot_limit=f"lot {venue}",
            )
        )
    wallet = draw.randint(0, 12)
    for account in range(2):
        pays = draw.randint(3, 8)
        choices.append(
            Choice(
                f"add {account}",
                (0.0, scale * pays),
                (0.0, 0.0),
                fixed_cost=scale * draw.uniform(0.1, 2),
                lot=scale,
                effects={f"slack {account}": (0.0, scale * pays), "wallet": (0.0, -scale * pays)},
            )
        )
        rows.append(Row(f"slack {account}", scale * draw.randint(-4, 6), lower=0.0, limit=f"floor {account}"))
    if draw.random() < 0.5:
        gone = scale * draw.randint(1, 4)
        choices.append(
            Choice(
                "close 0",
                (0.0, gone),
                (0.0, scale * draw.uniform(0, 4)),
                fixed_cost=scale,
                lot=gone,
                minimum=gone,
                effects={"delta": (0.0, gone * draw.choice([-1, 1]))},
                once={"slack 0": scale * 5, "wallet": scale * draw.randint(-3, 3)},
            )
        )
    band = scale * draw.randint(0, 2)
    rows.append(Row("delta", scale * delta, -band, band, "band"))
    rows.append(Row("delta", scale * delta, 0.0, 0.0, price=draw.uniform(0, 10)))
    rows.append(Row("wallet", scale * wallet, lower=0.0, limit="wallet"))
    rows.append(Row("slack 1", scale * draw.randint(-6, 6), 0.0, price=0.3, only_if="add 1"))
    exclusive = (("add 0", "close 0"),) if choices[-1].name == "close 0" else ()
    return Problem(tuple(choices), tuple(rows), exclusive)


def cheapest(problem: Problem) -> float | None:
    """The least cost of all ways to choose whole lots; None if none keeps every row. Plain arrays, one axis
    per choice: none of the optimiser's own parts.
    """
    count = len(problem.choices)

    def along(axis: int, values: list[float]) -> NDArray[np.float64]:
        return np.asarray(values).reshape([-1 if k == axis else 1 for k in range(count)])

    ladders = [[n * c.lot for n in range(round(c.sizes[-1] / c.lot) + 1)] for c in problem.choices]
    used = {c.name: along(k, [float(x > 0) for x in ladders[k]]) for k, c in enumerate(problem.choices)}
    cost: NDArray[np.float64] = np.zeros([len(ladder) for ladder in ladders])
    broken = np.zeros(cost.shape, dtype=bool)
    for k, c in enumerate(problem.choices):
        cost = cost + along(k, [float(np.interp(x, c.sizes, c.costs)) for x in ladders[k]])
        cost = cost + used[c.name] * c.fixed_cost
        broken = broken | along(k, [float(0 < x < c.minimum - 1e-9) for x in ladders[k]]).astype(bool)
    for row in problem.rows:
        value = np.full(cost.shape, row.start)
        for k, c in enumerate(problem.choices):
            if row.measure in c.effects:
                value = value + along(k, [np.interp(x, c.sizes, c.effects[row.measure]) for x in ladders[k]])
            value = value + used[c.name] * c.once.get(row.measure, 0.0)
        outside = np.maximum(np.maximum(row.lower - value, value - row.upper), 0.0)
        if row.only_if:
            outside = outside * used[row.only_if]
        if row.price is None:
            broken = broken | (outside > 1e-9)
        else:
            cost = cost + outside * row.price
    for group in problem.exclusive:
        broken = broken | (np.sum([used[name] + np.zeros(cost.shape) for name in group], axis=0) > 1)
    return None if bool(broken.all()) else float(cost[~broken].min())


def test_on_two_hundred_small_books_the_cost_is_that_of_exhaustive_search() -> None:
    feasible = worst = 0.0
    for seed in range(200):
        problem = book(seed)
        best = cheapest(problem)
        answer = solve(problem, SECONDS)
        if best is None:
            assert isinstance(answer, Infeasible), seed
            continue
        feasible += 1
        assert isinstance(answer, Optimum), (seed, answer)
        worst = max(worst, abs(answer.cost - best) / max(1.0, abs(best)))
        assert answer.bound <= best + TOLERANCE * max(1.0, abs(best))
    assert worst <= TOLERANCE
    assert 80 <= feasible <= 180  # the draw has both kinds


def test_a_named_conflict_is_minimal() -> None:
    """Its limits alone cannot be kept; drop any one of them and the rest can."""
    seen = 0
    for seed in range(60):
        problem = book(seed)
        if not isinstance(solve(problem, SECONDS), Infeasible):
            assert conflicts(problem, lambda: SECONDS) == ()
            continue
        found = conflicts(problem, lambda: SECONDS)
        assert found
        names = frozenset(problem.limits)
        for conflict in found:
            assert conflict.is_minimal
            kept = frozenset(conflict.limits)
            assert is_feasible(problem, SECONDS, names - kept) is False
            for name in kept:
                assert is_feasible(problem, SECONDS, names - (kept - {name})) is True
            seen += 1
        for one, other in combinations(found, 2):
            assert not set(one.limits) & set(other.limits)
        # one member of each conflict dropped and whatever is left is no conflict of those
        if len(found) == 1:
            dropped = [is_feasible(problem, SECONDS, frozenset({name})) for name in found[0].limits]
            assert any(dropped) or len(found[0].limits) < len(names)
    assert seen >= 10


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e7])
def test_tiny_and_huge_books_have_the_same_answer(scale: float) -> None:
    for seed in range(25):
        usual, scaled = solve(book(seed), SECONDS), solve(book(seed, scale), SECONDS)
        assert type(usual) is type(scaled), seed
        if isinstance(usual, Optimum) and isinstance(scaled, Optimum):
            assert scaled.cost / scale == pytest.approx(usual.cost, rel=1e-6, abs=1e-6), seed


def test_without_time_there_is_no_answer_and_it_says_so() -> None:
    assert isinstance(solve(book(1), 0.0), Trouble)
    assert is_feasible(book(1), 0.0, frozenset()) is None
