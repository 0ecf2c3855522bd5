"""A pool said in asset and quote: prices in wads and the ticks they stand for. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from agent.pricing.tick import MAX_SQRT_X96, MAX_TICK, MIN_SQRT_X96, MIN_TICK, sqrt_price_x96, tick_at
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, div_up
from agent.venues.panoptic.chunk import to_first, to_second
from agent.venues.panoptic.pair import Pair

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Denomination:
    """``is_asset_first``: the asset is the pool's token0. A price is quote per asset, in wad."""

    market: MarketId
    asset: str
    asset_token: Token
    quote_token: Token
    is_asset_first: bool

    @property
    def asset_kind(self) -> int:
        """Which of the pool's tokens the asset is."""
        return 0 if self.is_asset_first else 1

    @property
    def quote_kind(self) -> int:
        return 1 - self.asset_kind

    @property
    def tokens(self) -> tuple[Token, Token]:
        """Token0 and token1."""
        return self.in_order(self.asset_token, self.quote_token)

    def in_order(self, first: T, second: T) -> tuple[T, T]:
        """Two things said of asset and quote, as of token0 and token1; and the other way round."""
        return (first, second) if self.is_asset_first else (second, first)

    def price_wad(self, sqrt_x96: int) -> int:
        """Rounded away from a tick's lower end, so that the tick of the price is that of the root."""
        square = sqrt_x96 * sqrt_x96
        asset_unit, quote_unit = (int(10**t.decimals) for t in (self.asset_token, self.quote_token))
        if self.is_asset_first:
            return div_up(square * WAD * asset_unit, quote_unit << 192)
        return (WAD * asset_unit << 192) // (square * quote_unit)

    def tick_of(self, price_wad: int) -> int:
        """The tick whose prices contain this one; the last one for prices beyond all ticks."""
        return _tick(
            price_wad,
            self.asset_token.decimals,
            self.quote_token.decimals,
            is_asset_first=self.is_asset_first,
        )

    def price_at(self, tick: int) -> int:
        """The price at the lower end of a tick (of its square roots)."""
        return self.price_wad(sqrt_price_x96(tick))

    def to_quote(self, amounts: Pair, sqrt_x96: int) -> int:
        """Both amounts as raw quote, rounded down."""
        asset, quote = self.in_order(*amounts)
        if self.is_asset_first:
            return to_second(asset, sqrt_x96) + quote
        return to_first(asset, sqrt_x96) + quote


@lru_cache(maxsize=65_536)
def _tick(price_wad: int, asset_decimals: int, quote_decimals: int, *, is_asset_first: bool) -> int:
    numerator, denominator = price_wad * 10**quote_decimals, WAD * 10**asset_decimals
    if not is_asset_first:
        numerator, denominator = denominator, numerator
    if denominator == 0:
        return MAX_TICK
    sqrt_x96 = math.isqrt((numerator << 192) // denominator)
    if sqrt_x96 < MIN_SQRT_X96:
        return MIN_TICK
    return MAX_TICK if sqrt_x96 >= MAX_SQRT_X96 else tick_at(sqrt_x96)
