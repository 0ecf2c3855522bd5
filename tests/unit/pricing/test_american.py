"""American options against QuantLib, against themselves with far more points, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import QuantLib as ql

from agent.market.instrument import OptionKind
from agent.pricing import american, black
from agent.values.fixed import DAY_S, YEAR_S

CALL, PUT = OptionKind.CALL, OptionKind.PUT
GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
STRIKE = 100.0
TERMS = [
    # kind, spot, days, vol, rate, dividend
    (PUT, 90.0, 30, 0.3, 0.05, 0.0),
    (PUT, 100.0, 365, 0.8, 0.05, 0.02),
    (PUT, 130.0, 365, 0.5, 0.03, 0.08),
    (PUT, 100.0, 7, 1.5, 0.1, -0.01),
    (PUT, 98.0, 1095, 0.2, 0.1, 0.1),
    (CALL, 110.0, 180, 0.5, 0.05, 0.03),
    (CALL, 150.0, 1095, 0.8, 0.01, 0.1),
    (CALL, 80.0, 365, 0.25, 0.0, 0.05),
]


class Quant:
    """QuantLib's own high-precision engine, which has prices only; Greeks are its prices' differences."""

    def __init__(self, kind: OptionKind, days: int) -> None:
        today = ql.Date(1, 1, 2025)
        ql.Settings.instance().evaluationDate = today
        count = ql.Actual365Fixed()
        self._quotes = [ql.SimpleQuote(x) for x in (1.0, 0.1, 0.0, 0.0)]
        spot, vol, rate, dividend = (ql.QuoteHandle(quote) for quote in self._quotes)
        process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(today, dividend, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(today, rate, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), vol, count)),
        )
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if kind is CALL else ql.Option.Put, STRIKE)
        self._option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + days))
        self._option.setPricingEngine(
            ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())
        )

    def price(self, spot: float, vol: float, rate: float, dividend: float) -> float:
        for quote, number in zip(self._quotes, (spot, vol, rate, dividend), strict=True):
            quote.setValue(number)
        return float(self._option.NPV())


@pytest.mark.parametrize(("kind", "spot", "days", "vol", "rate", "dividend"), TERMS)
def test_quantlib_says_the_same(
    kind: OptionKind, spot: float, days: int, vol: float, rate: float, dividend: float
) -> None:
    """The price to 2e-7 of the strike; first derivatives to what differences of its prices are worth."""
    quant = Quant(kind, days)
    got = american.value(kind, spot, STRIKE, days * DAY_S, vol, rate, dividend)
    terms = (spot, vol, rate, dividend)
    assert float(got.price) == pytest.approx(quant.price(*terms), abs=2e-7 * STRIKE)

    def moved(place: int, step: float) -> list[float]:
        return [
            quant.price(*(x + sign * step * (i == place) for i, x in enumerate(terms))) for sign in (-1, 0, 1)
        ]

    down, here, up = moved(0, spot * 5e-3)
    assert float(got.delta) == pytest.approx((up - down) / (spot * 1e-2), abs=3e-4)
    assert float(got.gamma) * spot == pytest.approx(
        (up - 2 * here + down) / (spot * 2.5e-5), rel=0.02, abs=1e-3
    )
    down, _, up = moved(1, vol * 0.01)
    assert float(got.vega) == pytest.approx((up - down) / (vol * 0.02), rel=1e-3, abs=1e-3)
    if rate > 0:
        down, _, up = moved(2, 1e-3)
        assert float(got.rho) == pytest.approx((up - down) / 2e-3, rel=1e-3, abs=3e-3 * STRIKE)


def test_greeks_are_the_slopes_of_the_price() -> None:
    """By differences of our own prices, which are smooth: to six digits of each one's natural scale."""
    for kind, spot, days, vol, rate, dividend in TERMS[1:6:4]:
        terms = {"spot": spot, "time_s": days * float(DAY_S), "vol": vol, "rate": rate, "dividend": dividend}

        def at(
            name: str = "spot", step: float = 0.0, terms: dict[str, float] = terms, kind: OptionKind = kind
        ) -> black.Valuation:
            moved = terms | {name: terms[name] + step}
            return american.value(kind, strike=STRIKE, **moved)

        def slope(name: str, step: float, of: str = "price") -> float:
            near, far = (
                float(getattr(at(name, n * step), of) - getattr(at(name, -n * step), of)) for n in (1, 2)
            )
            return (8 * near - far) / (12 * step)

        here, root = at(), math.sqrt(days / 365)
        assert float(here.delta) == pytest.approx(slope("spot", spot * vol * root / 50), abs=2e-6)
        unit = 1 / (spot * vol * root)
        assert float(here.gamma) == pytest.approx(
            slope("spot", spot * vol * root / 50, "delta"), abs=2e-5 * unit
        )
        assert float(here.vega) == pytest.approx(slope("vol", vol / 50), abs=2e-6 * spot * root)
        assert float(here.vanna) == pytest.approx(slope("vol", vol / 50, "delta"), abs=2e-5 / vol)
        assert float(here.volga) == pytest.approx(
            slope("vol", vol / 50, "vega"), abs=2e-5 * spot * root / vol
        )
        day = days * DAY_S / 200
        assert float(here.theta) == pytest.approx(
            -slope("time_s", day) * DAY_S, abs=1e-5 * spot * vol * root / days
        )
        if rate > 0.01:
            assert float(here.rho) == pytest.approx(slope("rate", 2e-3), abs=1e-5 * STRIKE * days / 365)


def test_it_is_never_worth_less_than_the_european_or_its_payoff_nor_more_than_its_bound() -> None:
    spots = STRIKE * np.exp(np.linspace(-3, 3, 21))
    for kind in (CALL, PUT):
        sign, bound = (1, spots) if kind is CALL else (-1, np.full(21, STRIKE))
        for time_s in (1, DAY_S, YEAR_S):
            for vol in (1e-4, 0.1, 2.0):
                got = american.value(kind, spots, STRIKE, time_s, vol, 0.05, 0.03)
                european = black.price(kind, spots, STRIKE, time_s, vol, 0.05, 0.03)
                payoff = np.maximum(sign * (spots - STRIKE), 0)
                assert np.all(got.price >= european - 1e-12 * STRIKE)
                assert np.all(got.price >= payoff)
                assert np.all(got.price <= bound * (1 + 1e-12))
                assert np.all((sign * got.delta >= 0) & (sign * got.delta <= 1))
                assert np.all(got.gamma >= 0)
                assert all(np.all(np.isfinite(getattr(got, name))) for name in GREEKS)
                assert np.all(np.diff(sign * got.price) >= -2e-8 * STRIKE)


def test_what_is_exercised_now_is_its_payoff_and_nothing_moves_it() -> None:
    price, greeks = american.greeks(PUT, 40.0, STRIKE, 30 * DAY_S, 0.4, 0.05)
    assert (price, greeks.delta) == (60.0, -1.0)
    assert [getattr(greeks, name) for name in GREEKS[1:]] == [0.0] * 6


def test_where_nothing_pays_for_exercising_it_is_the_european_option() -> None:
    for kind, rate, dividend in ((CALL, 0.05, 0.0), (CALL, 0.05, -0.01), (PUT, 0.0, 0.0), (PUT, -0.02, 0.03)):
        got = american.value(kind, [80.0, 120.0], STRIKE, YEAR_S, 0.6, rate, dividend)
        european = black.value(kind, [80.0, 120.0], STRIKE, YEAR_S, 0.6, rate, dividend)
        for name in ("price", *GREEKS):
            assert np.array_equal(getattr(got, name), getattr(european, name))


def test_a_perpetual_put_is_the_limit_of_long_ones() -> None:
    """Merton (1973): K / (1 + g) at the boundary and falling as S^-g from there, g = 2 r / v^2."""
    rate, vol = 0.08, 0.4
    power = 2 * rate / vol**2
    boundary = STRIKE * power / (1 + power)
    expected = (STRIKE - boundary) * (100 / boundary) ** -power
    got = american.value(PUT, 100.0, STRIKE, 150 * YEAR_S, vol, rate)
    assert float(got.price) == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(
    ("kind", "rate", "dividend"), [(PUT, -0.01, -0.02), (PUT, 0.0, -0.02), (CALL, -0.02, -0.01)]
)
def test_two_boundaries_are_refused(kind: OptionKind, rate: float, dividend: float) -> None:
    with pytest.raises(ValueError, match="no single exercise boundary"):
        american.value(kind, 100.0, STRIKE, YEAR_S, 0.4, rate, dividend)


def test_a_spot_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="spot above zero"):
        american.value(PUT, 0.0, STRIKE, YEAR_S, 0.4, 0.05)
