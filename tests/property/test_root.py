"""The search between two ints ends at a flip, adjacent to a safe one, and asks little."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.risk.root import Probe, flip_between

BIG = 10**24
POINTS = st.integers(-BIG, BIG)


class Counter:
    """Asks, and counts how often."""

    def __init__(self, gap: Callable[[int], int]) -> None:
        self.gap = gap
        self.asked = 0

    def __call__(self, x: int) -> Probe:
        self.asked += 1
        value = self.gap(x)
        return Probe(value, value < 0)


@settings(deadline=None)
@given(
    edge=POINTS,
    away=st.integers(1, BIG),
    thousandths=st.integers(1, 10**6),
    slope=st.integers(1, 10**9),
    up=st.booleans(),
)
def test_a_straight_line_takes_a_handful_of_questions(
    edge: int, away: int, thousandths: int, slope: int, up: bool
) -> None:
    sign, beyond = 1 if up else -1, away * thousandths // 1000
    ask = Counter(lambda x: (sign * (edge - x)) * slope)
    safe, bad = flip_between(ask, edge - sign * away, edge + sign * (1 + beyond))
    assert (safe, bad) == (edge, edge + sign)
    assert ask.asked <= 16


@settings(deadline=None)
@given(edge=POINTS, away=st.integers(1, BIG), beyond=st.integers(0, BIG), power=st.sampled_from([2, 3, 5, 9]))
def test_a_bent_line_takes_fewer_questions_than_halving(
    edge: int, away: int, beyond: int, power: int
) -> None:
    low = edge - away

    def gap(x: int) -> int:
        return (edge - low + 1) ** power - (x - low + 1) ** power

    ask = Counter(gap)
    assert flip_between(ask, low, edge + 1 + beyond) == (edge, edge + 1)
    assert ask.asked <= 3 * max(away + beyond, 2).bit_length() // 2 + 8


@settings(deadline=None)
@given(
    edge=st.integers(0, 10**6),
    width=st.integers(2, 10**6),
    step=st.integers(1, 1000),
    seed=st.integers(0, 99),
)
def test_the_predicate_rules_even_where_the_gap_says_nonsense(
    edge: int, width: int, step: int, seed: int
) -> None:
    low, high = edge - width, edge + width

    def ask(x: int) -> Probe:
        return Probe((x * 7919 + seed * 104_729) % 1001 - 500, x > edge)

    safe, bad = flip_between(ask, low, high, step)
    assert safe <= edge < bad
    assert bad - safe <= step


@settings(deadline=None)
@given(bad=st.sets(st.integers(1, 999), max_size=200), up=st.booleans())
def test_of_several_flips_it_is_one(bad: set[int], up: bool) -> None:
    bad = bad | {1000}

    def ask(x: int) -> Probe:
        y = x if up else 1000 - x
        return Probe(-1 if y in bad else 1, y in bad)

    start, end = (0, 1000) if up else (1000, 0)
    safe, found = flip_between(ask, start, end)
    assert abs(safe - found) == 1
    assert ask(found).is_bad
    assert not ask(safe).is_bad
