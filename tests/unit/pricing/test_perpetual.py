"""Options made of liquidity, against the pool's own arithmetic and their own definition."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from agent.market.instrument import OptionKind
from agent.pricing import perpetual
from agent.pricing.perpetual import Leg
from agent.pricing.tick import sqrt_price_x96
from agent.values.fixed import Q96, YEAR_S
from agent.venues.uniswap.margin import Range

CALL, PUT = OptionKind.CALL, OptionKind.PUT
RANGES = [(1900.0, 2100.0), (1999.9, 2000.1), (500.0, 8000.0), (1e-9, 3e-9)]


@pytest.mark.parametrize("ticks", [(75_000, 77_000), (76_000, 76_060), (-200, 100), (60_000, 90_000)])
@pytest.mark.parametrize("at", [-500, 0, 13, 700, 1990, 5000, 40_000])
def test_a_short_leg_is_the_liquidity_less_what_was_borrowed(ticks: tuple[int, int], at: int) -> None:
    """The pool's integers say what the range holds; the leg's worth plus the debt is the same, and so is
    its delta the asset held, less the asset borrowed.
    """
    with mp.workdps(60):
        lower, upper = (float(mp.mpf("1.0001") ** tick) for tick in ticks)
    root_x96 = sqrt_price_x96(ticks[0] + at)
    spot = (root_x96 / Q96) ** 2
    held = Range(ticks[0], ticks[1], 10**30)
    asset, quote = (amount / 1e18 for amount in held.amounts(root_x96))
    size = 1e12 * (1 / math.sqrt(lower) - 1 / math.sqrt(upper))
    for kind in (CALL, PUT):
        leg = Leg(kind, lower, upper, -size)
        debt_asset, debt_quote = (size, 0.0) if kind is CALL else (0.0, size * leg.strike)
        worth = perpetual.value([leg], spot)
        slack = 1e-11 * size
        assert leg.liquidity == pytest.approx(1e12, rel=1e-10)
        expected = asset * spot + quote - debt_asset * spot - debt_quote
        assert float(worth.value) == pytest.approx(expected, rel=1e-9, abs=slack * spot)
        assert float(worth.delta) == pytest.approx(asset - debt_asset, rel=1e-9, abs=slack)


@pytest.mark.parametrize("kind", [CALL, PUT])
@pytest.mark.parametrize(("lower", "upper"), RANGES)
@pytest.mark.parametrize("place", [-0.5, 1e-9, 0.3, 0.5, 0.999, 1.5])
def test_delta_and_gamma_are_the_derivatives_of_the_worth(
    kind: OptionKind, lower: float, upper: float, place: float
) -> None:
    """By fifty-digit differences of the definition."""
    spot = lower * (upper / lower) ** place
    with mp.workdps(60):
        a, b, k = mp.mpf(lower), mp.mpf(upper), mp.sqrt(mp.mpf(lower) * mp.mpf(upper))
        liquidity = 1 / (1 / mp.sqrt(a) - 1 / mp.sqrt(b))

        def worth(s: mp.mpf) -> mp.mpf:
            p = min(max(s, a), b)
            pool = liquidity * (s * (1 / mp.sqrt(p) - 1 / mp.sqrt(b)) + mp.sqrt(p) - mp.sqrt(a))
            return (s if kind is CALL else k) - pool

        expected = [
            float(mp.diff(worth, mp.mpf(spot), n)) if n else float(worth(mp.mpf(spot))) for n in range(3)
        ]
    got = perpetual.value([Leg(kind, lower, upper, 1.0)], spot)
    width = (upper - lower) / lower
    assert float(got.value) == pytest.approx(expected[0], rel=1e-12, abs=1e-15 * spot)
    assert float(got.delta) == pytest.approx(expected[1], rel=1e-12, abs=1e-15 / width)
    assert float(got.gamma) == pytest.approx(expected[2], rel=1e-12)


def test_a_call_less_a_put_is_the_asset_less_the_strike() -> None:
    spots = np.geomspace(100, 40_000, 301)
    call, put = (perpetual.value([Leg(kind, 1500.0, 2600.0, 3.0)], spots) for kind in (CALL, PUT))
    assert call.value - put.value == pytest.approx(3 * (spots - math.sqrt(1500 * 2600)), abs=1e-8)
    assert call.delta - put.delta == pytest.approx(np.full(301, 3.0), abs=1e-12)
    assert np.array_equal(call.gamma, put.gamma)


def test_legs_add_up_with_what_has_streamed() -> None:
    legs = [Leg(PUT, 1500.0, 1800.0, -2.0, 0.01, 5.0), Leg(CALL, 2200.0, 2600.0, 1.0, 0.0, -3.0)]
    together = perpetual.value(legs, 1700.0, 0.8)
    apart = [perpetual.value([leg], 1700.0, 0.8) for leg in legs]
    for name in ("value", "delta", "gamma", "theta"):
        assert float(getattr(together, name)) == pytest.approx(
            sum(float(getattr(one, name)) for one in apart)
        )
    bare = perpetual.value([Leg(PUT, 1500.0, 1800.0, -2.0)], 1700.0)
    assert float(apart[0].value - bare.value) == pytest.approx(0.01 * 1700 + 5)
    assert together.greeks.delta == float(together.delta)


def test_the_fair_fee_is_what_the_range_loses_to_arbitrage() -> None:
    """Milionis et al.: liquidity L loses L variance sqrt(S) / 4 a year, in range; nothing outside it."""
    leg = Leg(PUT, 1500.0, 2600.0, -1.0)
    inside = perpetual.value([leg], 2000.0, 0.8).greeks
    assert inside.theta * 365 == pytest.approx(leg.liquidity * 0.64 * math.sqrt(2000) / 4)
    assert perpetual.value([leg], 3000.0, 0.8).greeks.theta == 0
    assert YEAR_S == 365 * 86_400


@pytest.mark.parametrize(
    "terms", [(2.0, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, 2.0, math.nan), (1.0, math.inf, 1.0)]
)
def test_what_is_no_range_is_refused(terms: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="no range of liquidity"):
        Leg(PUT, *terms)


@pytest.mark.parametrize(("price", "vol"), [(0.0, 0.5), (-1.0, 0.5), (math.nan, 0.5), (1.0, -0.1)])
def test_a_price_that_is_none_is_refused(price: float, vol: float) -> None:
    with pytest.raises(ValueError, match="a price must be above zero"):
        perpetual.value([], price, vol)
