"""Ticks and square-root prices of Uniswap v3, to the last bit.

A price is token1 per token0 in raw units; tick t stands for 1.0001^t; square roots are Q64.96 (``_x96``).
The whitepaper (Adams et al., 2021, section 6.1) defines them; the rounding is the core contracts' TickMath.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache

from agent.values.fixed import Q96, WAD

MIN_TICK, MAX_TICK = -887_272, 887_272


def _factors() -> tuple[int, ...]:
    """1.0001^(-2^(i-1)) as Q128, to the nearest: what each bit of |tick| multiplies by."""
    with localcontext() as context:
        context.prec = 120
        base = Decimal("1.0001")
        return tuple(int(Decimal(2**128) / (base ** (2**i)).sqrt() + Decimal("0.5")) for i in range(20))


_FACTORS = _factors()


@lru_cache(maxsize=65_536)
def sqrt_price_x96(tick: int) -> int:
    """The square root of a tick's price, rounded up from Q128. Raises ValueError outside the range."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise ValueError(f"no such tick: {tick}")
    ratio = 1 << 128
    for bit, factor in enumerate(_FACTORS):
        if abs(tick) >> bit & 1:
            ratio = ratio * factor >> 128
    if tick > 0:
        ratio = (2**256 - 1) // ratio
    return -(-ratio >> 32)


MIN_SQRT_X96, MAX_SQRT_X96 = sqrt_price_x96(MIN_TICK), sqrt_price_x96(MAX_TICK)


def tick_at(sqrt_x96: int) -> int:
    """The greatest tick whose square root is at most this. Raises ValueError outside the range."""
    if not MIN_SQRT_X96 <= sqrt_x96 < MAX_SQRT_X96:
        raise ValueError(f"no such price: {sqrt_x96}")
    tick = math.floor(2 * math.log(sqrt_x96 / Q96) / math.log(1.0001))  # off by one at most
    tick = min(max(tick, MIN_TICK), MAX_TICK)
    while tick > MIN_TICK and sqrt_price_x96(tick) > sqrt_x96:
        tick -= 1
    while tick < MAX_TICK and sqrt_price_x96(tick + 1) <= sqrt_x96:
        tick += 1
    return tick


def price_wad(sqrt_x96: int) -> int:
    """Token1 per token0 in raw units, as a wad, rounded down."""
    return sqrt_x96 * sqrt_x96 * WAD >> 192


def sqrt_of_price_x96(price: int) -> int:
    """The square root of a price in wad, rounded down."""
    return math.isqrt((price << 192) // WAD)
