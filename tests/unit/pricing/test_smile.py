"""One expiry's curve: its formulas, the proof that it has no butterfly arbitrage, and its fit."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pricing.arbitrage import has_no_butterfly, has_no_calendar
from agent.pricing.calibration import Shape, fit_ssvi
from agent.pricing.repair import fit_svi
from agent.pricing.smile import Smile, blend
from tests.unit.pricing.volatility import (
    ROUNDING,
    exact_density,
    noisy_strip,
    spreads,
    strip_of,
    true_smile,
    wide_grid,
    wild_strip,
)

SWEEP = 500
VOGT = Smile.of_raw(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)  # Gatheral and Jacquier 2014, section 3.1


# --- the formulas ----------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_the_curve_is_the_raw_form(seed: int) -> None:
    smile, _, deviation = true_smile(random.Random(seed))
    a, b, rho, m, sigma = smile.raw
    k = deviation * np.linspace(-20, 20, 81)
    raw = a + b * (rho * (k - m) + np.sqrt((k - m) ** 2 + sigma**2))
    assert smile.variance(k) == pytest.approx(raw, rel=1e-12, abs=1e-13 * (abs(a) + b * sigma))
    assert Smile.of_raw(a, b, rho, m, sigma).variance(k) == pytest.approx(raw, rel=1e-9)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_derivatives_by_strike_and_by_parameter_are_those_of_differences(seed: int) -> None:
    smile, _, deviation = true_smile(random.Random(seed))
    k, h = deviation * np.linspace(-6, 6, 41), 1e-5 * min(smile.width, deviation)
    _, first, second = smile.slopes(k)
    assert first == pytest.approx(
        (smile.variance(k + h) - smile.variance(k - h)) / (2 * h), rel=1e-4, abs=1e-7 * deviation
    )
    assert second == pytest.approx(
        (smile.slopes(k + h)[1] - smile.slopes(k - h)[1]) / (2 * h), rel=1e-4, abs=1e-6
    )
    for index, change in enumerate(_changes(smile)):
        up, down = (Smile(*values) for values in change)
        size = _place(up)[index] - _place(down)[index]
        for order, part in enumerate(smile.gradient(k)):
            steep = (up.slopes(k)[order] - down.slopes(k)[order]) / size
            assert part[:, index] == pytest.approx(
                steep, rel=2e-3, abs=1e-5 * float(np.max(np.abs(steep))) + 1e-9
            )


@given(seed=st.integers(0, 2**32), place=st.floats(-4, 4))
@settings(max_examples=40, deadline=None)
def test_the_density_is_the_calls_second_derivative_to_twelve_digits(seed: int, place: float) -> None:
    smile, _, deviation = true_smile(random.Random(seed))
    expected = exact_density(smile, place * deviation)
    assert float(smile.density(place * deviation)) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_density_of_a_whole_smile_is_one() -> None:
    dice = random.Random(5)
    for _ in range(20):
        smile, _, deviation = true_smile(dice)
        k = deviation * np.linspace(-40, 40, 200_001)
        assert float(np.trapezoid(smile.density(k), k)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "raw",
    [
        (0.04, -0.1, 0.0, 0.0, 0.1),
        (0.04, 0.1, 1.1, 0.0, 0.1),
        (0.04, 0.1, 0.0, 0.0, 0.0),
        (0.04, 1.5, 0.5, 0.0, 0.1),
        (-0.02, 0.1, 0.0, 0.0, 0.1),
        (math.nan, 0.1, 0.0, 0.0, 0.1),
        (0.04, 0.1, 0.0, math.inf, 0.1),
    ],
)
def test_parameters_outside_the_domain_are_refused(raw: tuple[float, float, float, float, float]) -> None:
    with pytest.raises(ValueError):
        Smile.of_raw(*raw)


# --- the proof -------------------------------------------------------------------------------------


def test_the_textbook_smile_with_a_negative_density_is_found_out() -> None:
    assert not has_no_butterfly(VOGT)
    assert VOGT.butterfly(np.linspace(-1.5, 1.5, 301)).min() < -0.03


def test_the_proof_and_a_dense_grid_say_the_same() -> None:
    dice = random.Random(1)
    verdicts = []
    for _ in range(SWEEP):
        b, rho, sigma = 10 ** dice.uniform(-3, 0), dice.uniform(-0.99, 0.99), 10 ** dice.uniform(-2, 0.5)
        if b * (1 + abs(rho)) >= 2:
            continue
        floor, m = 10 ** dice.uniform(-3, 0), dice.uniform(-0.5, 0.5)
        smile = Smile.of_raw(floor - b * sigma * math.sqrt(1 - rho * rho), b, rho, m, sigma)
        verdicts.append(has_no_butterfly(smile))
        assert verdicts[-1] is bool(smile.butterfly(wide_grid(smile)).min() > 0)
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9


def test_the_proof_finds_the_edge_of_arbitrage_to_the_last_places() -> None:
    """On the way from an honest smile to the textbook's bad one, g touches zero where the proof gives up."""
    good, low, high = Smile.flat(0.02), 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if has_no_butterfly(blend(good, VOGT, middle)) else (low, middle)
    edge = blend(good, VOGT, low)
    assert abs(edge.butterfly(np.linspace(-3, 3, 200_001)).min()) < 1e-7


def test_a_crossing_far_beyond_every_strike_is_a_calendar_arbitrage() -> None:
    earlier = Smile.of_raw(0.02, 0.05, -0.2, 0.0, 0.1)
    assert has_no_calendar(earlier, earlier)
    assert has_no_calendar(earlier, Smile.of_raw(0.03, 0.05, -0.2, 0.0, 0.1))
    assert not has_no_calendar(earlier, Smile.of_raw(0.04, 0.0499, -0.2, 0.0, 0.1))  # they cross at k = 200
    assert not has_no_calendar(earlier, Smile.of_raw(0.0140, 0.06, -0.2, 0.0, 0.1))
    assert not has_no_calendar(Smile.of_raw(0.03, 0.05, -0.2, 0.0, 0.1), earlier)


def test_curves_whose_centres_lie_far_out_are_compared_beyond_them() -> None:
    earlier = Smile.of_raw(0.02, 0.05, -0.2, 300.0, 0.1)
    assert has_no_calendar(earlier, Smile.of_raw(0.021, 0.05, -0.2, 300.0, 0.1))
    assert not has_no_calendar(earlier, Smile.of_raw(0.021, 0.05, -0.2, 310.0, 0.1))


def test_curves_too_near_to_tell_apart_are_not_called_ordered_at_any_price() -> None:
    earlier = Smile.of_raw(0.02, 0.05, -0.2, 0.0, 0.1)
    assert not has_no_calendar(earlier, blend(earlier, Smile.of_raw(0.03, 0.06, -0.2, 0.0, 0.1), 1e-14))


# --- the fit ---------------------------------------------------------------------------------------


def test_exact_quotes_give_their_own_smile_back() -> None:
    dice = random.Random(2)
    worst = 0.0
    for _ in range(200):
        smile, years, deviation = true_smile(dice)
        k = deviation * np.array(sorted(dice.uniform(-3, 3) for _ in range(dice.randint(8, 30))))
        strip = strip_of(k, np.sqrt(smile.variance(k) / years), years)
        found, is_repaired = fit_svi(strip)
        assert not is_repaired
        worst = max(worst, float(np.max(np.abs(strip.misses(found)))))
    assert worst < 1e-6


def test_no_fit_of_random_quotes_has_a_butterfly_arbitrage() -> None:
    dice, repaired, least = random.Random(3), 0, math.inf
    for index in range(SWEEP):
        strip = wild_strip(dice) if index % 20 == 0 else noisy_strip(dice)
        smile, is_repaired = fit_svi(strip)
        repaired += is_repaired
        assert has_no_butterfly(smile)
        least = min(least, float(smile.butterfly(wide_grid(smile)).min()))
        assert spreads(smile).min() > -ROUNDING, strip
        if index % 50 == 0:
            deviation = math.sqrt(float(smile.variance(0.0)))
            assert min(exact_density(smile, place * deviation) for place in np.linspace(-6, 6, 13)) > -1e-20
    assert least > 0
    assert SWEEP // 10 < repaired < SWEEP * 9 // 10


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_any_quotes_at_all_give_a_proven_smile(seed: int) -> None:
    strip = wild_strip(random.Random(seed))
    smile, is_repaired = fit_svi(strip)
    assert has_no_butterfly(smile)
    if is_repaired:
        assert strip.loss(smile) <= strip.loss(fit_ssvi(strip, Shape()))


def test_three_quotes_of_an_ssvi_slice_give_it_back() -> None:
    truth = Smile.of_ssvi(0.04, -0.4, 1.2)
    k = np.array([-0.3, 0.0, 0.25])
    strip = strip_of(k, np.sqrt(truth.variance(k) / 0.25), 0.25)
    found = fit_ssvi(strip, Shape())
    assert np.max(np.abs(strip.misses(found))) < 1e-5
    assert has_no_butterfly(found)


def test_two_quotes_take_the_shape_they_are_given() -> None:
    k = np.array([-0.1, 0.1])
    strip = strip_of(k, np.array([0.8, 0.8]), 0.1)
    skews = [
        float(np.diff(fit_ssvi(strip, Shape(rho, 0.5)).variance(np.array([-0.5, 0.5]))[::-1])[0])
        for rho in (0.5, 0.0, -0.5)
    ]
    assert all(one < other for one, other in pairwise(skews))


def _place(smile: Smile) -> list[float]:
    return [math.log(smile.floor), smile.right, smile.left, smile.centre, math.log(smile.width)]


def _changes(smile: Smile) -> list[list[tuple[float, ...]]]:
    """The parameters a little up and down, one at a time."""
    values = (smile.floor, smile.right, smile.left, smile.centre, smile.width)
    changes = []
    for index, value in enumerate(values):
        step = 1e-6 * (smile.width if index == 3 else value)
        changes.append([(*values[:index], value + sign * step, *values[index + 1 :]) for sign in (1, -1)])
    return changes
