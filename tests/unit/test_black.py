"""Black-Scholes against published and high-precision values."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest

from agent.market.instrument import OptionKind
from agent.pricing import black
from agent.values.fixed import DAY_S, YEAR_S

CALL, PUT = OptionKind.CALL, OptionKind.PUT
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def _phi(x: Decimal) -> Decimal:
    """The normal distribution function to 40 digits, by its series around zero."""
    term, total, n = x, x, 1
    while abs(term) > Decimal("1e-55"):
        term *= x * x / (2 * n + 1)
        total += term
        n += 1
    return Decimal("0.5") + total * (-x * x / 2).exp() / (2 * PI).sqrt()


def _exact(kind: OptionKind, spot: str, strike: str, days: str, vol: str, rate: str) -> tuple[float, float]:
    """Price and delta in 60-digit arithmetic."""
    getcontext().prec = 60
    s, k, t, v, r = Decimal(spot), Decimal(strike), Decimal(days) / 365, Decimal(vol), Decimal(rate)
    d1 = ((s / k).ln() + (r + v * v / 2) * t) / (v * t.sqrt())
    d2 = d1 - v * t.sqrt()
    call = s * _phi(d1) - k * (-r * t).exp() * _phi(d2)
    if kind is CALL:
        return float(call), float(_phi(d1))
    return float(call - s + k * (-r * t).exp()), float(_phi(d1) - 1)


def test_hulls_example_comes_out() -> None:
    # Hull, Options, Futures and Other Derivatives, example 15.6: 4.76 and 0.81 (more digits by hand)
    call, _ = black.greeks(CALL, 42, 40, YEAR_S / 2, 0.2, 0.1)
    put, _ = black.greeks(PUT, 42, 40, YEAR_S / 2, 0.2, 0.1)
    assert call == pytest.approx(4.759422392871532, rel=1e-13)
    assert put == pytest.approx(0.8085993729000922, rel=1e-12)


@pytest.mark.parametrize("kind", [CALL, PUT])
@pytest.mark.parametrize(
    ("spot", "strike", "days", "vol", "rate"),
    [
        ("2000", "1900", "14", "0.85", "0.05"),
        ("1500", "1900", "3", "1.3", "0.05"),
        ("2500", "1900", "90", "0.55", "0"),
        ("1850", "1900", "0.25", "2.5", "-0.02"),
        ("0.031", "0.030", "28", "0.9", "0.05"),
    ],
)
def test_price_and_delta_agree_with_sixty_digit_arithmetic(
    kind: OptionKind, spot: str, strike: str, days: str, vol: str, rate: str
) -> None:
    price, delta = _exact(kind, spot, strike, days, vol, rate)
    got, greeks = black.greeks(kind, float(spot), float(strike), float(days) * DAY_S, float(vol), float(rate))
    assert got == pytest.approx(price, rel=1e-10, abs=1e-13 * float(strike))
    assert greeks.delta == pytest.approx(delta, rel=1e-11, abs=1e-15)


def test_arrays_broadcast_and_agree_with_scalars() -> None:
    spots = np.linspace(500, 4000, 8)
    strikes = np.array([[1800.0], [2200.0]])
    grid = black.value(PUT, spots, strikes, 7 * DAY_S, 0.9, 0.05)
    assert grid.price.shape == grid.theta.shape == (2, 8)
    price, greeks = black.greeks(PUT, float(spots[3]), 2200.0, 7 * DAY_S, 0.9, 0.05)
    assert float(grid.price[1, 3]) == price
    cells = [float(array[1, 3]) for array in (grid.delta, grid.gamma, grid.vega, grid.theta)]
    assert cells == [greeks.delta, greeks.gamma, greeks.vega, greeks.theta]


def test_an_expired_option_is_worth_what_it_pays() -> None:
    for time_s in (0, -DAY_S):
        assert black.greeks(CALL, 2100, 2000, time_s, 0.8, 0.05)[0] == pytest.approx(100, abs=1e-3)
        assert black.greeks(PUT, 2100, 2000, time_s, 0.8, 0.05)[0] == 0
        assert black.greeks(PUT, 1900, 2000, time_s, 0.8, 0.05)[1].delta == -1


def test_an_asset_that_is_worth_nothing_has_finite_greeks() -> None:
    price, greeks = black.greeks(PUT, 0, 2000, YEAR_S, 0.8, 0.05)
    assert price == pytest.approx(2000 * np.exp(-0.05))
    assert (greeks.delta, greeks.gamma, greeks.vega) == (-1, 0, 0)
    assert greeks.theta > 0  # the strike comes nearer


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(place: int, bad: float) -> None:
    arguments = [2000.0, 2000.0, 14.0 * DAY_S, 0.8, 0.05]
    arguments[place] = bad
    with pytest.raises(ValueError, match="not finite"):
        black.value(CALL, *arguments)


def test_a_negative_price_or_no_strike_is_refused() -> None:
    for spot, strike in ((-1, 2000), (2000, 0)):
        with pytest.raises(ValueError, match="spot must not be negative"):
            black.value(CALL, spot, strike, DAY_S, 0.8, 0.05)
