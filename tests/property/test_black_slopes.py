"""What holds for every option, whatever its terms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.market.instrument import OptionKind
from agent.pricing import black, implied
from agent.pricing.implied import Verdict
from agent.values.fixed import DAY_S, WAD, YEAR_S, from_float
from agent.venues.lyra.premium import call_delta, curve, premiums, vega

CALL, PUT = OptionKind.CALL, OptionKind.PUT

STRIKES = st.floats(0.01, 1e5)
MONEYNESS = st.floats(-1.5, 1.5).map(math.exp)
SECONDS = st.integers(1, 2 * YEAR_S)
VOLS = st.floats(0.05, 4)
RATES = st.floats(-0.1, 0.3)
WIDE_VOLS = st.floats(-4, 1).map(lambda power: 10.0**power)
ULPS = 1e-14  # a few roundings, relative


@given(STRIKES, MONEYNESS, SECONDS, VOLS, RATES)
def test_call_less_put_is_the_forward(
    strike: float, moneyness: float, time_s: int, vol: float, rate: float
) -> None:
    spot = strike * moneyness
    call = black.value(CALL, spot, strike, time_s, vol, rate)
    put = black.value(PUT, spot, strike, time_s, vol, rate)
    forward = spot - strike * math.exp(-rate * time_s / YEAR_S)
    assert float(call.price - put.price) == pytest.approx(forward, abs=1e-11 * (spot + strike))
    assert float(call.delta - put.delta) == pytest.approx(1, abs=1e-12)
    assert float(call.gamma) == float(put.gamma)
    assert float(call.vega) == float(put.vega)


@given(st.sampled_from([CALL, PUT]), STRIKES, MONEYNESS, SECONDS, VOLS, RATES)
def test_a_price_lies_between_its_bounds(
    kind: OptionKind, strike: float, moneyness: float, time_s: int, vol: float, rate: float
) -> None:
    spot = strike * moneyness
    owed = strike * math.exp(-rate * time_s / YEAR_S)
    price, greeks = black.greeks(kind, spot, strike, time_s, vol, rate)
    slack = 1e-11 * (spot + strike)
    sign, most = (1, spot) if kind is CALL else (-1, owed)
    assert max(sign * (spot - owed), 0) - slack <= price <= most + slack
    assert 0 <= sign * greeks.delta <= 1
    assert greeks.gamma >= 0
    assert greeks.vega >= 0


@given(
    st.sampled_from([CALL, PUT]),
    STRIKES,
    st.floats(-0.5, 0.5).map(math.exp),
    st.integers(DAY_S, YEAR_S),
    st.floats(0.3, 2),
    RATES,
)
def test_greeks_are_the_slopes_of_the_price(
    kind: OptionKind, strike: float, moneyness: float, time_s: int, vol: float, rate: float
) -> None:
    spot = strike * moneyness

    def price(spot: float = spot, time_s: float = time_s, vol: float = vol) -> float:
        return float(black.price(kind, spot, strike, time_s, vol, rate))

    _, greeks = black.greeks(kind, spot, strike, time_s, vol, rate)
    step, vol_step, second = spot * 2e-4, 1e-4, 300.0
    assert greeks.delta == pytest.approx((price(spot + step) - price(spot - step)) / (2 * step), abs=2e-5)
    curvature = (price(spot + step) - 2 * price() + price(spot - step)) / step**2
    assert greeks.gamma * spot == pytest.approx(curvature * spot, rel=1e-3, abs=1e-3)
    slope = (price(vol=vol + vol_step) - price(vol=vol - vol_step)) / (2 * vol_step)
    assert greeks.vega == pytest.approx(slope, rel=1e-4, abs=1e-6 * strike)
    passing = (price(time_s=time_s - second) - price(time_s=time_s + second)) / (2 * second) * DAY_S
    assert greeks.theta == pytest.approx(passing, rel=1e-3, abs=1e-6 * strike)


@given(st.floats(1, 1e5), MONEYNESS, st.integers(0, 2 * YEAR_S), VOLS, RATES)
def test_lyras_own_arithmetic_is_the_same_model(
    strike: float, moneyness: float, time_s: int, vol: float, rate: float
) -> None:
    """The ints of the contract and our floats: two writings of one formula. The contract's floor of one
    second is not in its discount factor, and its tail beyond 7 deviations is an approximation.
    """
    strike_wad, spot_wad = from_float(strike), from_float(strike * moneyness)
    vol_wad, rate_wad = from_float(vol), from_float(rate)
    option = curve(strike_wad, time_s, vol_wad, rate_wad)
    call_wad, put_wad = premiums(option, spot_wad)
    terms = (spot_wad / WAD, strike_wad / WAD, time_s, vol_wad / WAD, rate_wad / WAD)
    (call, call_greeks), (put, _) = black.greeks(CALL, *terms), black.greeks(PUT, *terms)
    slack = 1e-8 * (strike + spot_wad / WAD)
    assert call_wad / WAD == pytest.approx(call, abs=slack)
    assert put_wad / WAD == pytest.approx(put, abs=slack)
    assert call_delta(option, spot_wad) / WAD == pytest.approx(call_greeks.delta, abs=1e-7)
    if time_s > 0:
        vega_wad = vega(option, spot_wad, time_s)
        assert vega_wad / WAD == pytest.approx(call_greeks.vega, abs=slack)


@given(
    st.sampled_from([CALL, PUT]), STRIKES, MONEYNESS, SECONDS, WIDE_VOLS, RATES, RATES, st.floats(1e-9, 0.5)
)
def test_more_of_what_it_lives_on_makes_it_dearer(
    kind: OptionKind,
    strike: float,
    moneyness: float,
    time_s: int,
    vol: float,
    rate: float,
    dividend: float,
    more: float,
) -> None:
    """Volatility for both; spot for a call and strike for a put; to a few roundings of the two prices."""
    spot = strike * moneyness
    here = float(black.price(kind, spot, strike, time_s, vol, rate, dividend))
    dearer = float(black.price(kind, spot, strike, time_s, vol * (1 + more), rate, dividend))
    sign = 1 if kind is CALL else -1
    moved = float(black.price(kind, spot * (1 + more) ** sign, strike, time_s, vol, rate, dividend))
    noise = 1e-11 * here + 1e-15 * (spot if here > abs(spot - strike) / 2 else 0.0)
    assert dearer >= here - noise
    assert moved >= here - noise


@given(STRIKES, MONEYNESS, SECONDS, WIDE_VOLS, RATES, RATES)
def test_parity_and_bounds_hold_with_a_dividend_at_any_volatility(
    strike: float, moneyness: float, time_s: int, vol: float, rate: float, dividend: float
) -> None:
    spot, years = strike * moneyness, time_s / YEAR_S
    owned, owed = spot * math.exp(-dividend * years), strike * math.exp(-rate * years)
    call, put = (black.value(kind, spot, strike, time_s, vol, rate, dividend) for kind in (CALL, PUT))
    assert float(call.price - put.price) == pytest.approx(owned - owed, abs=ULPS * (owned + owed))
    assert max(owned - owed, 0) - ULPS * (owned + owed) <= float(call.price) <= owned * (1 + ULPS)
    assert max(owed - owned, 0) - ULPS * (owned + owed) <= float(put.price) <= owed * (1 + ULPS)
    for name in ("gamma", "vega", "vanna", "volga"):
        assert float(getattr(call, name)) == float(getattr(put, name))
    rho = float(call.rho - put.rho)
    assert rho == pytest.approx(owed * years, rel=ULPS * 10, abs=ULPS * owed * years)


@given(st.sampled_from([CALL, PUT]), STRIKES, MONEYNESS, SECONDS, WIDE_VOLS, RATES, RATES)
def test_an_option_on_the_forward_is_the_option_on_spot(
    kind: OptionKind,
    strike: float,
    moneyness: float,
    time_s: int,
    vol: float,
    rate: float,
    dividend: float,
) -> None:
    """Black-76 at the forward: the same price and vega, delta by the forward instead of by the spot."""
    spot, growth = strike * moneyness, math.exp((rate - dividend) * time_s / YEAR_S)
    on_spot = black.value(kind, spot, strike, time_s, vol, rate, dividend)
    on_forward = black.value_on_forward(kind, spot * growth, strike, time_s, vol, rate)
    # a rounding of the forward is worth delta times that
    slack = 1e-14 * spot * (abs(float(on_spot.delta)) + 1e-16)
    assert float(on_forward.price) == pytest.approx(float(on_spot.price), rel=1e-10, abs=slack)
    slack = 1e-14 * (abs(float(on_spot.gamma)) * spot + 1)
    assert float(on_forward.delta) * growth == pytest.approx(float(on_spot.delta), abs=slack)
    rho = -time_s / YEAR_S * float(on_forward.price)
    assert float(on_forward.rho) == pytest.approx(rho, rel=ULPS)


@given(st.sampled_from([CALL, PUT]), STRIKES, MONEYNESS, SECONDS, WIDE_VOLS, RATES, RATES)
def test_every_price_gives_its_volatility_back_or_says_why_not(
    kind: OptionKind,
    strike: float,
    moneyness: float,
    time_s: int,
    vol: float,
    rate: float,
    dividend: float,
) -> None:
    terms = (strike * moneyness, strike, time_s)
    price = black.price(kind, *terms, vol, rate, dividend)
    back = implied.volatility(kind, price, *terms, rate, dividend)
    verdict = Verdict(int(back.verdict))
    assert verdict in (Verdict.FOUND, Verdict.NO_TIME_VALUE, Verdict.TOO_DEAR)
    if verdict is Verdict.FOUND and float(back.tolerance) < 0.01 * vol:
        assert abs(float(back.vol) - vol) <= float(back.tolerance)


@given(
    st.sampled_from([CALL, PUT]),
    STRIKES,
    st.floats(-0.5, 0.5).map(math.exp),
    st.integers(DAY_S, YEAR_S),
    st.floats(0.3, 2),
    RATES,
    RATES,
)
def test_rho_vanna_and_volga_are_slopes_too(
    kind: OptionKind,
    strike: float,
    moneyness: float,
    time_s: int,
    vol: float,
    rate: float,
    dividend: float,
) -> None:
    spot, step = strike * moneyness, 1e-4

    def at(vol: float = vol, rate: float = rate) -> black.Valuation:
        return black.value(kind, spot, strike, time_s, vol, rate, dividend)

    here, root = at(), math.sqrt(time_s / YEAR_S)
    rho = float(at(rate=rate + step).price - at(rate=rate - step).price) / (2 * step)
    assert float(here.rho) == pytest.approx(rho, rel=1e-5, abs=1e-6 * strike)
    up, down = at(vol=vol + step), at(vol=vol - step)
    assert float(here.vanna) == pytest.approx(float(up.delta - down.delta) / (2 * step), rel=1e-4, abs=1e-5)
    assert float(here.volga) == pytest.approx(
        float(up.vega - down.vega) / (2 * step), rel=1e-4, abs=1e-5 * strike * root
    )
