"""What one leg moves: its liquidity and its amounts, rounded as the contract rounds. Pure.

Panoptic v2: ``PanopticMath.getLiquidityChunk``, ``getAmountsMoved``; ``Math.getLiquidityForAmount0/1`` and
``getAmount0/1ForLiquidity(Up)``. Amounts are raw units; a price is token1 per token0 as a square root (Q96).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from agent.pricing.pool import amount0, amount1
from agent.pricing.tick import sqrt_price_x96
from agent.values.fixed import Q96, div_up
from agent.venues.panoptic.pair import HALF, Pair
from agent.venues.panoptic.token_id import Leg

LENDING_WIDTH = 2  # a loan or credit is counted as if its liquidity were so wide
MOST = HALF - 1


@lru_cache(maxsize=4_096)
def liquidity(leg: Leg, spacing: int, size: int) -> int:
    """Of ``size`` contracts of the leg. Raises ValueError where the contract reverts."""
    low, high = (sqrt_price_x96(tick) for tick in leg.ticks(spacing))
    amount = size * leg.ratio
    if low == high:
        raise ValueError("a leg without a width has no liquidity")
    found = amount * (high * low // Q96 if leg.asset == 0 else Q96) // (high - low)
    if found > MOST:
        raise ValueError(f"{size} contracts are too much liquidity")
    return found


@lru_cache(maxsize=4_096)
def amounts_moved(leg: Leg, spacing: int, size: int, *, is_opening: bool) -> Pair:
    """Token0 and token1 of the whole leg, each as if all of it were in that token."""
    has_width = leg.width != 0
    wide = leg if has_width else replace(leg, width=LENDING_WIDTH)
    low, high = (sqrt_price_x96(tick) for tick in wide.ticks(spacing))
    held = liquidity(wide, spacing, size)
    up = not has_width or leg.is_long != is_opening
    first = amount0(low, high, held, up=up)
    second = amount1(low, high, held, up=up)
    return first % HALF, second % HALF


@lru_cache(maxsize=4_096)
def moved(leg: Leg, spacing: int, size: int, *, is_opening: bool = False) -> int:
    """The amount of the token that the leg moves; on closing unless said otherwise."""
    return amounts_moved(leg, spacing, size, is_opening=is_opening)[leg.token_type]


def amounts_at(leg: Leg, spacing: int, size: int, sqrt_x96: int) -> Pair:
    """Token0 and token1 that the leg's liquidity holds at a price, rounded down."""
    low, high = (sqrt_price_x96(tick) for tick in leg.ticks(spacing))
    held, price = liquidity(leg, spacing, size), min(max(sqrt_x96, low), high)
    return amount0(price, high, held, up=False), amount1(low, price, held, up=False)


def to_first(amount: int, sqrt_x96: int, *, up: bool = False) -> int:
    """Token1 in token0: ``PanopticMath.convert1to0`` (``RoundingUp``)."""
    if sqrt_x96 < MOST:
        numerator, denominator = amount << 192, sqrt_x96 * sqrt_x96
    else:
        numerator, denominator = amount << 128, sqrt_x96 * sqrt_x96 >> 64
    return div_up(numerator, denominator) if up else numerator // denominator


def to_second(amount: int, sqrt_x96: int, *, up: bool = False) -> int:
    """Token0 in token1: ``PanopticMath.convert0to1`` (``RoundingUp``)."""
    if sqrt_x96 < MOST:
        numerator, shift = amount * sqrt_x96 * sqrt_x96, 192
    else:
        numerator, shift = amount * (sqrt_x96 * sqrt_x96 >> 64), 128
    return -(-numerator >> shift) if up else numerator >> shift
