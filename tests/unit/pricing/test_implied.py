"""Implied volatility: there and back, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import QuantLib as ql

from agent.market.instrument import OptionKind
from agent.pricing import black, implied
from agent.pricing.implied import Verdict
from agent.values.fixed import DAY_S, YEAR_S
from tests.unit.pricing.reference import cases

CALL, PUT = OptionKind.CALL, OptionKind.PUT
EPSILON = 2.2e-16


def test_the_round_trip_is_exact_wherever_vega_allows() -> None:
    """Vega allows where 16 roundings of the price, and of the intrinsic value in it, move the volatility by
    less than 1e-10: price-to-vega times that many machine units. The code says it itself, as ``tolerance``.
    """
    allowed = 0
    for case in cases(1500, seed=11):
        terms = (case.spot, case.strike, case.time_s)
        price = black.price(case.kind, *terms, case.vol, case.rate, case.dividend)
        back = implied.volatility(case.kind, price, *terms, case.rate, case.dividend)
        if back.verdict != Verdict.FOUND:
            vega = float(black.value(case.kind, *terms, case.vol, case.rate, case.dividend).vega)
            assert vega * case.vol <= 1e3 * EPSILON * (case.spot + case.strike), case
            assert math.isnan(float(back.vol))
            continue
        off, tolerance = abs(float(back.vol) - max(case.vol, 1e-4)), float(back.tolerance)
        if tolerance <= 0.01 * case.vol:  # it is of first order
            assert off <= tolerance, case
        if tolerance <= 1e-10:
            assert off <= 1e-10
            allowed += 1
    assert allowed > 700


def test_out_of_the_money_prices_down_to_the_smallest_float_have_their_volatility() -> None:
    strikes = np.array([1.0])
    for deviations in (1, 5, 10, 20, 30, 36):
        for vol in (1e-4, 0.01, 0.5, 3.0):
            spot = math.exp(-deviations * vol * (7 / 365) ** 0.5)
            price = black.value_on_forward(CALL, spot, strikes, 7 * DAY_S, vol, 0.0).price
            assert 0 < price[0] < 1
            back = implied.volatility_on_forward(CALL, price, spot, strikes, 7 * DAY_S, 0.0)
            assert back.vol[0] == pytest.approx(vol, rel=1e-11)


def test_volatilities_in_the_thousands_of_percent_come_back() -> None:
    """There the price is at its bound but for a rounding or more, and the tolerance says so."""
    for vol in (5.0, 10.0, 15.0):
        for spot in (0.1, 1.0, 10.0):
            price = black.price(CALL, spot, 1.0, YEAR_S, vol, 0.0)
            back = implied.volatility(CALL, price, spot, 1.0, YEAR_S, 0.0)
            assert abs(float(back.vol) - vol) <= float(back.tolerance)
    assert implied.volatility_of(
        CALL, float(black.price(CALL, 1.0, 1.0, YEAR_S, 9.0, 0.0)), 1.0, 1.0, YEAR_S, 0.0
    ) == (pytest.approx(9.0, rel=1e-9))


@pytest.mark.parametrize(
    ("kind", "price", "verdict"),
    [
        (CALL, 99.0, Verdict.BELOW_INTRINSIC),
        (CALL, 100.0, Verdict.NO_TIME_VALUE),
        (CALL, 2100.0, Verdict.TOO_DEAR),
        (CALL, 1e9, Verdict.TOO_DEAR),
        (PUT, -0.01, Verdict.BELOW_INTRINSIC),
        (PUT, 0.0, Verdict.NO_TIME_VALUE),
        (PUT, 2000.0, Verdict.TOO_DEAR),
        (CALL, math.nan, Verdict.NOT_A_NUMBER),
        (PUT, math.inf, Verdict.NOT_A_NUMBER),
    ],
)
def test_a_price_outside_its_bounds_is_refused_with_the_reason(
    kind: OptionKind, price: float, verdict: Verdict
) -> None:
    among = np.array([110.0, price, 10.0 if kind is PUT else 120.0])
    back = implied.volatility(kind, among, 2100.0, 2000.0, 30 * DAY_S, 0.0)
    assert back.verdict.tolist() == [Verdict.FOUND, verdict, Verdict.FOUND]
    assert np.isnan(back.vol).tolist() == np.isnan(back.tolerance).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=verdict.name.lower().replace("_", " ")):
        implied.volatility_of(kind, price, 2100.0, 2000.0, 30 * DAY_S, 0.0)


def test_a_spot_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="spot of zero"):
        implied.volatility(CALL, 0.0, 0.0, 2000.0, DAY_S, 0.0)


def test_every_solution_is_inside_the_bracket_after_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most rounds that any of many thousand needs; halving alone would need some sixty."""
    rounds, step = [], implied._step

    def counted(x, s, *rest):  # type: ignore[no-untyped-def]
        rounds.append(x.size)
        return step(x, s, *rest)

    monkeypatch.setattr(implied, "_step", counted)
    dice = np.random.default_rng(3)
    vol, out = 10 ** dice.uniform(-4, 1, 8000), dice.uniform(-8, 8, 8000)
    spot = np.exp(out * vol * 0.2)
    kind = CALL
    price = black.value_on_forward(kind, spot, 1.0, 0.04 * YEAR_S, vol, 0.0).price
    back = implied.volatility_on_forward(kind, price, spot, 1.0, 0.04 * YEAR_S, 0.0)
    found = back.verdict == Verdict.FOUND
    assert np.all(np.abs(back.vol - vol)[found] <= back.tolerance[found])
    assert sum(rounds) < 4 * vol.size
    assert len(rounds) < 40


def test_quantlib_finds_the_same() -> None:
    for vol in (0.3, 0.6, 2.0):
        for kind, side, strike in (
            (PUT, ql.Option.Put, 1700.0),
            (CALL, ql.Option.Call, 2000.0),
            (CALL, ql.Option.Call, 2600.0),
        ):
            price = float(black.value_on_forward(kind, 2000.0, strike, YEAR_S / 4, vol, 0.05).price)
            deviation = ql.blackFormulaImpliedStdDevLiRS(
                side, strike, 2000.0, price, math.exp(-0.05 / 4), 0.0, vol / 2, 1.0, 1e-13, 1000
            )
            back = implied.volatility_on_forward(kind, price, 2000.0, strike, YEAR_S / 4, 0.05)
            assert float(back.vol) == pytest.approx(2 * deviation, rel=1e-8)
            assert float(back.vol) == pytest.approx(vol, rel=1e-12)
