"""What a range of liquidity holds, earns and loses. Pure.

Nothing on Uniswap can be liquidated, so the venue has no margin accounts; what stands in their place is the
worth of a range as a function of the price. Formulas: Uniswap v3 whitepaper, sections 6.2 to 6.4; rounding
as the core contracts (UniswapV3Pool._modifyPosition, Tick.getFeeGrowthInside, Position.update): down.

With S the price of the asset in quote, a and b the range's prices and L its liquidity, in range:
value = L (2 sqrt(S) - S / sqrt(b) - sqrt(a)), delta = L (1 / sqrt(S) - 1 / sqrt(b)), which is the amount of
the asset, and gamma = -L / (2 S^1.5). Outside the range gamma is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.pricing.pool import amount0, amount1
from agent.pricing.tick import sqrt_price_x96

Q128 = 2**128
WORD = 2**256  # fee growth wraps around, and only differences of it mean anything


@dataclass(frozen=True, slots=True)
class Range:
    """Liquidity from ``lower_tick`` up to, but not at, ``upper_tick``."""

    lower_tick: int
    upper_tick: int
    liquidity: int

    def is_active(self, tick: int) -> bool:
        """Whether it trades, and so has gamma and earns fees, while the pool stands at ``tick``."""
        return self.lower_tick <= tick < self.upper_tick

    def amounts(self, sqrt_x96: int) -> tuple[int, int]:
        """Raw token0 and token1 that taking all of it out gives at this price."""
        lower, upper = sqrt_price_x96(self.lower_tick), sqrt_price_x96(self.upper_tick)
        price = min(max(sqrt_x96, lower), upper)
        return (
            amount0(price, upper, self.liquidity, up=False),
            amount1(lower, price, self.liquidity, up=False),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What had been booked for some liquidity when it was last touched: the fee growth inside its range
    then (Q128 per unit of liquidity), and raw tokens owed. One token's side of it.
    """

    liquidity: int
    growth_x128: int
    owed: int

    def now(self, growth_x128: int) -> int:
        """Raw tokens owed once the fees up to ``growth_x128`` are booked; no fees without liquidity."""
        grown = (growth_x128 - self.growth_x128) % WORD
        return (self.owed + grown * self.liquidity // Q128) % Q128


def growth_inside_x128(
    held: Range, tick: int, total_x128: int, at_lower_x128: int, at_upper_x128: int
) -> int:
    """Fee growth inside a range from the pool's total and what the two ticks say is outside of them."""
    below = at_lower_x128 if tick >= held.lower_tick else total_x128 - at_lower_x128
    above = at_upper_x128 if tick < held.upper_tick else total_x128 - at_upper_x128
    return (total_x128 - below - above) % WORD


def gamma(liquidity: float, price: float) -> float:
    """Change of delta per 1 of price, in range, for the holder (< 0): asset units per quote.

    ``liquidity`` in whole tokens (the square root of asset times quote), ``price`` in quote per asset.
    """
    return float(-liquidity / (2 * price**1.5))
