"""Several expiries together: no calendar arbitrage, what is said of their quality, and what is refused."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from agent.errors import VolOutOfRange, VolQuoteInvalid
from agent.market.vol import VolQuote
from agent.pricing import surface
from agent.pricing.arbitrage import BETWEEN, has_no_butterfly, has_no_calendar
from agent.pricing.smile import Smile, butterfly
from agent.pricing.surface import Extrapolation, Kind, Surface
from agent.values.fixed import DAY_S, YEAR_S
from tests.unit.pricing.volatility import AT_S, ROUNDING, Floats, quotes_of, spreads, wide_grid

FORWARD = 2000.0
MONTH_S, QUARTER_S = AT_S + 30 * DAY_S, AT_S + 90 * DAY_S


def _quotes(smile: Smile, expiry_s: int, strikes: Floats, forward: float = FORWARD) -> list[VolQuote]:
    years = (expiry_s - AT_S) / YEAR_S
    return [
        VolQuote(expiry_s, float(k), forward, math.sqrt(float(smile.variance(math.log(k / forward))) / years))
        for k in strikes
    ]


@pytest.fixture(scope="module")
def truth() -> dict[int, Smile]:
    return {
        MONTH_S: Smile.of_raw(0.01, 0.06, -0.3, 0.02, 0.1),
        QUARTER_S: Smile.of_raw(0.03, 0.11, -0.25, 0.03, 0.15),
    }


@pytest.fixture(scope="module")
def fitted(truth: dict[int, Smile]) -> Surface:
    strikes = np.linspace(1500, 2600, 12)
    return surface.fit([q for e, smile in truth.items() for q in _quotes(smile, e, strikes)], AT_S)


# --- without arbitrage -----------------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "decay"), [(0.0, 0.0), (0.02, 0.0), (0.15, 0.0), (0.03, 0.8)])
def test_no_surface_of_random_quotes_has_an_arbitrage(noise: float, decay: float) -> None:
    dice = random.Random(f"{noise} {decay}")
    for _ in range(3):
        quotes = quotes_of(dice, noise=noise, expiries=dice.randint(2, 4), decay=decay)
        found = surface.fit(quotes, AT_S)
        assert sum(expiry.quality.quotes for expiry in found.expiries) == len(quotes)
        for expiry in found.expiries:
            assert has_no_butterfly(expiry.smile)
            assert spreads(expiry.smile).min() > -ROUNDING
        for earlier, later in pairwise(found.expiries):
            assert has_no_calendar(earlier.smile, later.smile)
            k = np.concatenate((wide_grid(earlier.smile), wide_grid(later.smile)))
            low, high = earlier.smile.variance(k), later.smile.variance(k)
            assert np.all(high >= low * (1 - 1e-11))
            _hold_between(earlier.smile, later.smile)


def _hold_between(earlier: Smile, later: Smile) -> None:
    """Curves between the two have a density that is not negative, at more points than the fit looked at."""
    k = np.unique(np.concatenate((wide_grid(earlier)[::5], wide_grid(later)[::5])))
    one, other = earlier.slopes(k), later.slopes(k)
    for share in (*BETWEEN, 0.03, 0.3, 0.97):
        mixed = (a + share * (b - a) for a, b in zip(one, other, strict=True))
        assert butterfly(k, *mixed).min() > -1e-6


def test_a_falling_total_variance_is_repaired_and_said_so() -> None:
    strikes = np.linspace(1600, 2400, 9)
    early, late = Smile.of_raw(0.02, 0.06, -0.3, 0.0, 0.1), Smile.of_raw(0.015, 0.05, -0.3, 0.0, 0.1)
    found = surface.fit(_quotes(early, MONTH_S, strikes) + _quotes(late, QUARTER_S, strikes), AT_S)
    assert [expiry.quality.is_repaired for expiry in found.expiries].count(True) == 1
    assert has_no_calendar(found.expiries[0].smile, found.expiries[1].smile)
    assert max(expiry.quality.max_error_points for expiry in found.expiries) > 1


# --- what comes back -------------------------------------------------------------------------------


def test_exact_quotes_come_back_at_every_strike_between_them(
    fitted: Surface, truth: dict[int, Smile]
) -> None:
    strikes = np.linspace(1500, 2600, 400)
    for expiry_s, smile in truth.items():
        years = (expiry_s - AT_S) / YEAR_S
        expected = np.sqrt(smile.variance(np.log(strikes / FORWARD)) / years)
        answer = fitted.vol(strikes, expiry_s)
        assert np.max(np.abs(answer.iv - expected)) < 1e-6
        assert not np.any(answer.is_extrapolated)


def test_quality_is_reported_in_vol_points(fitted: Surface) -> None:
    for expiry in fitted.expiries:
        quality = expiry.quality
        assert (quality.kind, quality.quotes, quality.is_repaired) == (Kind.SVI, 12, False)
        assert quality.rmse_points <= quality.max_error_points < 1e-4
        assert (quality.k_low, quality.k_high) == pytest.approx((math.log(0.75), math.log(1.3)))
    assert fitted.time_range_s == (MONTH_S, QUARTER_S)
    noisy = [
        replace(q, iv=q.iv + 0.02) for q in _quotes(fitted.expiries[0].smile, MONTH_S, np.array([2000.0]))
    ]
    others = _quotes(fitted.expiries[0].smile, MONTH_S, np.linspace(1500, 2600, 30))
    quality = surface.fit(others + noisy, AT_S).expiries[0].quality
    assert 1.0 < quality.max_error_points < 2.1
    assert 0.2 < quality.rmse_points < 1.0


def test_total_variance_is_linear_in_time_between_expiries(fitted: Surface) -> None:
    first, last = fitted.expiries
    for share in (0.25, 0.5, 0.9):
        expiry_s = round(MONTH_S + share * (QUARTER_S - MONTH_S))
        answer = fitted.vol([1800.0, 2000.0, 2300.0], expiry_s)
        k = np.log(np.array([1800.0, 2000.0, 2300.0]) / FORWARD)
        expected = (1 - share) * first.smile.variance(k) + share * last.smile.variance(k)
        assert answer.total_variance == pytest.approx(expected, rel=1e-12)
        assert answer.iv**2 * (expiry_s - AT_S) / YEAR_S == pytest.approx(answer.total_variance)


def test_the_forward_between_expiries_grows_at_one_rate(truth: dict[int, Smile]) -> None:
    strikes, late = np.linspace(1600, 2400, 9), FORWARD * 1.01
    quotes = _quotes(truth[MONTH_S], MONTH_S, strikes) + _quotes(truth[QUARTER_S], QUARTER_S, strikes, late)
    found = surface.fit(quotes, AT_S)
    assert found.forward((MONTH_S + QUARTER_S) // 2) == pytest.approx(math.sqrt(FORWARD * late))
    assert found.forward(MONTH_S - 1) == pytest.approx(FORWARD)


@pytest.mark.parametrize(("count", "kind"), [(1, Kind.FLAT), (2, Kind.SSVI), (4, Kind.SSVI), (5, Kind.SVI)])
def test_fewer_than_five_quotes_are_an_ssvi_slice_and_one_is_flat(
    truth: dict[int, Smile], count: int, kind: Kind
) -> None:
    strikes = np.linspace(1700, 2300, count) if count > 1 else np.array([2000.0])
    found = surface.fit(_quotes(truth[MONTH_S], MONTH_S, strikes), AT_S)
    quality = found.expiries[0].quality
    assert (quality.kind, quality.quotes, quality.is_repaired) == (kind, count, False)
    assert quality.max_error_points < 0.5
    assert has_no_butterfly(found.expiries[0].smile)


def test_a_thin_expiry_takes_its_shape_from_a_full_one(truth: dict[int, Smile]) -> None:
    thin = _quotes(truth[MONTH_S], MONTH_S, np.array([1950.0, 2050.0]))
    alone = surface.fit(thin, AT_S).expiries[0]
    full = _quotes(truth[QUARTER_S], QUARTER_S, np.linspace(1500, 2600, 12))
    beside = surface.fit(thin + full, AT_S).expiries[0]
    k = np.array([-0.25, 0.2])
    expected = truth[MONTH_S].variance(k)
    errors = [float(np.max(np.abs(e.smile.variance(k) / expected - 1))) for e in (alone, beside)]
    assert errors[1] < errors[0] / 2


def test_weights_draw_the_curve_to_the_heavier_quote() -> None:
    flat = [VolQuote(MONTH_S, strike, FORWARD, 0.8) for strike in np.linspace(1600, 2400, 9).tolist()]
    odd = VolQuote(MONTH_S, 2001.0, FORWARD, 0.9)
    misses = [
        0.9 - float(surface.fit([*flat, replace(odd, weight=weight)], AT_S).vol(2001.0, MONTH_S).iv)
        for weight in (0.1, 1.0, 100.0)
    ]
    assert misses[0] > misses[1] > misses[2] >= 0


def test_equal_quotes_count_together(truth: dict[int, Smile]) -> None:
    quotes = _quotes(truth[MONTH_S], MONTH_S, np.linspace(1600, 2400, 9))
    assert surface.fit(quotes + quotes, AT_S).expiries == surface.fit(quotes, AT_S).expiries


# --- what is refused -------------------------------------------------------------------------------


def test_a_strike_or_time_that_nobody_quotes_is_refused_with_what_is(fitted: Surface) -> None:
    with pytest.raises(VolOutOfRange, match=r"1000\.0.*strikes are quoted from 1\d{3}.* to 2\d{3}"):
        fitted.vol([2000.0, 1000.0], MONTH_S)
    for expiry_s in (MONTH_S - 1, QUARTER_S + 1):
        with pytest.raises(VolOutOfRange, match=f"quoted from {MONTH_S} to {QUARTER_S}"):
            fitted.vol(2000.0, expiry_s)


def test_the_margin_beyond_the_last_strike_is_as_stated(fitted: Surface) -> None:
    first = fitted.expiries[0]
    more = surface.MARGIN * math.sqrt(float(first.smile.variance(0.0)))
    edge = FORWARD * math.exp(first.quality.k_high + more)
    assert not fitted.vol(edge * (1 - 1e-9), MONTH_S).is_extrapolated
    with pytest.raises(VolOutOfRange):
        fitted.vol(edge * (1 + 1e-9), MONTH_S)


def test_between_expiries_no_curve_is_read_outside_its_own_quotes(truth: dict[int, Smile]) -> None:
    narrow = _quotes(truth[MONTH_S], MONTH_S, np.linspace(1950, 2050, 7))
    wide = _quotes(truth[QUARTER_S], QUARTER_S, np.linspace(1200, 3000, 12))
    found = surface.fit(narrow + wide, AT_S)
    assert not found.vol(2800.0, QUARTER_S).is_extrapolated
    with pytest.raises(VolOutOfRange):
        found.vol(2800.0, QUARTER_S - 1)


def test_extrapolation_that_is_asked_for_is_flagged(fitted: Surface) -> None:
    answer = fitted.vol([1000.0, 2000.0, 5000.0], MONTH_S, Extrapolation.FLAGGED)
    assert answer.is_extrapolated.tolist() == [True, False, True]
    for expiry_s, nearest_s in ((AT_S + DAY_S, MONTH_S), (QUARTER_S + 90 * DAY_S, QUARTER_S)):
        answer = fitted.vol(2000.0, expiry_s, Extrapolation.FLAGGED)
        assert bool(answer.is_extrapolated)
        assert float(answer.iv) == pytest.approx(float(fitted.vol(2000.0, nearest_s).iv))


@pytest.mark.parametrize("extrapolation", list(Extrapolation))
def test_what_has_no_answer_is_refused_however_it_is_asked(
    fitted: Surface, extrapolation: Extrapolation
) -> None:
    for strike, expiry_s in ((2000.0, AT_S), (0.0, MONTH_S), (-1.0, MONTH_S), (math.nan, MONTH_S)):
        with pytest.raises(VolOutOfRange):
            fitted.vol(strike, expiry_s, extrapolation)


GOOD = VolQuote(MONTH_S, 2000.0, FORWARD, 0.8, 1.0, "ETH")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (replace(GOOD, iv=math.nan), "iv must be a positive number"),
        (replace(GOOD, iv=-0.5), "iv must be a positive number"),
        (replace(GOOD, iv=1e-5), "iv must be from"),
        (replace(GOOD, iv=1e3), "iv must be from"),
        (replace(GOOD, strike=0.0), "strike must be a positive number"),
        (replace(GOOD, strike=math.inf), "strike must be a positive number"),
        (replace(GOOD, strike=1e-9), "ln"),
        (replace(GOOD, forward=-1.0), "forward must be a positive number"),
        (replace(GOOD, weight=0.0), "weight must be a positive number"),
        (replace(GOOD, expiry_s=AT_S), "it expires at or before"),
        (replace(GOOD, iv=0.81), "the same strike is also quoted at 0.8"),
        (replace(GOOD, strike=2100.0, forward=2001.0), "has the forward 2000.0"),
        (replace(GOOD, strike=2100.0, asset="BTC"), "of another asset"),
    ],
)
def test_a_quote_that_cannot_be_is_refused_by_name(bad: VolQuote, reason: str) -> None:
    with pytest.raises(VolQuoteInvalid, match=reason) as refusal:
        surface.fit([GOOD, bad], AT_S)
    assert refusal.value.fields["quote"] == bad


def test_no_quotes_are_no_surface() -> None:
    with pytest.raises(VolQuoteInvalid, match="empty"):
        surface.fit([], AT_S)
