"""Uniswap v3 price arithmetic, as far as a script that places liquidity needs it."""

from __future__ import annotations

import math

from agent.values.fixed import WAD


def sqrt_price_x96(price_wad: int) -> int:
    """sqrt(token1 per token0) as Q64.96, rounded down; both tokens have 18 decimals."""
    return math.isqrt((price_wad << 192) // WAD)


def price_wad(sqrt_x96: int) -> int:
    """token1 per token0, rounded down."""
    return (sqrt_x96 * sqrt_x96 * WAD) >> 192


def tick_at(price: float, spacing: int) -> int:
    """The usable tick next to a price (token1 per token0), rounded down to the spacing."""
    return math.floor(math.log(price) / math.log(1.0001) / spacing) * spacing


def tick_range(price: float, low: float, high: float, spacing: int) -> tuple[int, int]:
    """Ticks around ``price`` from ``price * low`` to ``price * high``."""
    return tick_at(price * low, spacing), tick_at(price * high, spacing) + spacing
