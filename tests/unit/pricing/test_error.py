"""The error table: how far price and every Greek are from four hundred digits, over the whole grid."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import QuantLib as ql

from agent.market.instrument import OptionKind
from agent.pricing import black
from agent.pricing.term import BLOCK
from agent.pricing.wing import wing
from agent.values.fixed import DAY_S, YEAR_S
from tests.unit.pricing.reference import NAMES, Case, cases, exact

CALL, PUT = OptionKind.CALL, OptionKind.PUT
FLOAT_ENDS = 1e-290  # below, numbers lose digits on their way to the smallest float
# The table of docs/risk.md: the most each may be off, relative to itself (theta: to its terms; vanna and
# volga: to d2 = 1, d1 d2 = 1 where those are smaller). Market: within 8 deviations, volatility from 5 %.
WIDE, MARKET = 5e-11, 1e-13


def _value(case: Case) -> black.Valuation:
    if case.on_forward:
        return black.value_on_forward(case.kind, case.spot, case.strike, case.time_s, case.vol, case.rate)
    return black.value(case.kind, case.spot, case.strike, case.time_s, case.vol, case.rate, case.dividend)


def test_no_greek_is_further_off_than_the_table_says() -> None:
    wide, market = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0.0)
    for case in cases(1500, seed=4):
        says, got = exact(case), _value(case)
        is_market = case.vol >= 0.05 and abs(says.distance) <= 8
        for name in NAMES:
            number = float(getattr(got, name))
            assert math.isfinite(number), (case, name)
            if says.scales[name] < FLOAT_ENDS:
                assert abs(number) < 1e-280, (case, name)
                continue
            error = says.error(name, number)
            wide[name] = max(wide[name], error)
            market[name] = max(market[name], error if is_market else 0.0)
    print({name: f"wide {wide[name]:.1e}, market {market[name]:.1e}" for name in NAMES})
    assert {name: error for name, error in wide.items() if error > WIDE} == {}
    assert {name: error for name, error in market.items() if error > MARKET} == {}


@pytest.mark.parametrize("deviation", [1e-8, 1e-4, 0.059, 0.061, 0.5, 3.0, 20.0])
@pytest.mark.parametrize("deviations_out", [0.0, 0.3, 1.0, 6.0, 20.0, 30.0, 37.0])
def test_the_wing_keeps_its_digits_however_far_out(deviation: float, deviations_out: float) -> None:
    x = deviation * deviations_out
    with mp.workdps(400):
        h, t = mp.mpf(x) / mp.mpf(deviation), mp.mpf(deviation) / 2
        expected = mp.ncdf(t - h) - mp.exp(mp.mpf(x)) * mp.ncdf(-h - t)
    got = float(wing(np.array([x]), np.array([deviation])).value[0])
    assert got == pytest.approx(float(expected), rel=3e-15 * (1 + deviations_out**2) + 2e-14)


@pytest.mark.parametrize("kind", [CALL, PUT])
def test_quantlib_says_the_same(kind: OptionKind) -> None:
    """QuantLib's analytic engine over a grid; its own errors in the wings set the tolerance."""
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    spot, vol, rate, dividend = (ql.SimpleQuote(x) for x in (1.0, 0.1, 0.0, 0.0))
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(dividend), count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(rate), count)),
        ql.BlackVolTermStructureHandle(
            ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(vol), count)
        ),
    )
    engine = ql.AnalyticEuropeanEngine(process)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if kind is CALL else ql.Option.Put, 2000.0)
    for days in (1, 7, 30, 365, 1095):
        option = ql.VanillaOption(payoff, ql.EuropeanExercise(today + days))
        option.setPricingEngine(engine)
        for s in (200.0, 1500.0, 1950.0, 2000.0, 2300.0, 9000.0):
            for v in (0.05, 0.6, 3.0):
                for r, q in ((0.05, 0.0), (-0.01, 0.03), (0.0, 0.0)):
                    for quote, number in ((spot, s), (vol, v), (rate, r), (dividend, q)):
                        quote.setValue(number)
                    got = black.value(kind, s, 2000.0, days * DAY_S, v, r, q)
                    root = math.sqrt(days / 365)
                    for name, theirs, unit in (
                        ("price", option.NPV(), s),
                        ("delta", option.delta(), 1.0),
                        ("gamma", option.gamma(), 1 / s),
                        ("vega", option.vega(), s * root),
                        ("theta", option.theta() / 365, s * (v / root + 1) / 365),
                        ("rho", option.rho(), (s + 2000) * days / 365),
                    ):
                        assert float(getattr(got, name)) == pytest.approx(theirs, rel=1e-12, abs=1e-12 * unit)


def test_vanna_and_volga_are_quantlibs_slopes_of_delta_and_vega() -> None:
    """By its Black calculator, whose Greeks are differenced with steps that leave eight digits."""
    forward, strike, years, vol, discount = 2100.0, 2000.0, 0.25, 0.8, 0.98

    def at(vol: float) -> ql.BlackCalculator:
        return ql.BlackCalculator(
            ql.PlainVanillaPayoff(ql.Option.Call, strike), forward, vol * years**0.5, discount
        )

    got = black.value_on_forward(CALL, forward, strike, years * YEAR_S, vol, -math.log(discount) / years)
    step = 1e-4
    assert float(got.price) == pytest.approx(at(vol).value(), rel=1e-13)
    vanna = (at(vol + step).deltaForward() - at(vol - step).deltaForward()) / (2 * step)
    volga = (at(vol + step).vega(years) - at(vol - step).vega(years)) / (2 * step)
    assert float(got.vanna) == pytest.approx(vanna, rel=1e-6)
    assert float(got.volga) == pytest.approx(volga, rel=1e-6)


def test_blocks_and_broadcasting_change_nothing() -> None:
    """More than one block, a shape with holes in memory, and single options: bit for bit the same."""
    spots = np.geomspace(500, 8000, 3 * BLOCK + 17)[::2]
    vols = np.array([[0.2], [1.1]])
    grid = black.value(CALL, spots, 2000, 30 * DAY_S, vols, 0.05, 0.01)
    assert grid.price.shape == (2, spots.size)
    for row, column in ((0, 0), (1, BLOCK), (0, spots.size - 1), (1, spots.size // 2)):
        one = black.value(CALL, spots[column], 2000, 30 * DAY_S, vols[row, 0], 0.05, 0.01)
        for name in NAMES:
            assert float(getattr(one, name)) == getattr(grid, name)[row, column]


def test_nothing_to_value_is_no_error() -> None:
    assert black.value(CALL, np.array([]), 2000, DAY_S, 0.5, 0.05).price.shape == (0,)


def test_extreme_terms_give_finite_answers() -> None:
    prices = np.array([1e-100, 1e-12, 1.0, 1e12, 1e100])
    spot, strike, time_s, vol = np.meshgrid(
        np.append(prices, 0.0), prices, [-5.0, 0, 1, YEAR_S, 100 * YEAR_S], [0, 1e-4, 1, 1e3, 1e6]
    )
    for kind in (CALL, PUT):
        for rate, dividend in ((0.05, 0.0), (-0.9, 0.9), (0.9, -0.9)):
            answers = black.value(kind, spot, strike, time_s, vol, rate, dividend)
            assert all(np.all(np.isfinite(getattr(answers, name))) for name in NAMES)
            assert np.all(answers.price >= 0)


def test_growth_beyond_reason_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="dividend over 200 years is growth beyond"):
        black.value(CALL, 1.0, 1.0, 200 * YEAR_S, 0.5, 0.0, 0.6)
