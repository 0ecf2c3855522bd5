"""Trading the asset itself in a Uniswap v3 pool now: what it costs, to the last unit of the pool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.pricing.pool import PPM, Pool, Swap, swap
from agent.pricing.tick import MAX_SQRT_X96, MIN_SQRT_X96
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_down, mul_up, rescale_down, rescale_up

WHOLE = 2**127  # more than any pool holds: trade up to the price limit
IMPACT_PPM = 20_000  # the most we let one trade move the price
REACH_TICKS = 400  # around the price whose liquidity is read: twice that move, as others may trade before us
COST_SQRT_PPM = 100_000  # costs are followed this far in the square root; no sensible trade goes further


@dataclass(frozen=True, slots=True)
class Terms:
    """One pool, said in asset and quote. ``is_asset_first``: the asset is the pool's token0."""

    market: MarketId
    asset: str
    asset_token: Token
    quote_token: Token
    is_asset_first: bool
    fee_ppm: int

    def price_wad(self, sqrt_x96: int) -> int:
        """Quote per asset in whole tokens, rounded down."""
        square = sqrt_x96 * sqrt_x96
        asset_unit, quote_unit = (int(10**t.decimals) for t in (self.asset_token, self.quote_token))
        if self.is_asset_first:
            return square * WAD * asset_unit // (quote_unit << 192)
        return (WAD * asset_unit << 192) // (square * quote_unit)

    def in_order(self, first: int, second: int) -> tuple[int, int]:
        """Two things said of token0 and token1, as of asset and quote; and the other way round."""
        return (first, second) if self.is_asset_first else (second, first)


@dataclass(frozen=True)
class UniswapOffer:
    """A spot trade through the router: paid from the wallet, received in the wallet, no carry."""

    terms: Terms
    pool: Pool

    @property
    def venue(self) -> str:
        return "uniswap"

    @property
    def market(self) -> MarketId:
        return self.terms.market

    @property
    def asset(self) -> str:
        return self.terms.asset

    @property
    def carry_per_day(self) -> float:
        return 0.0

    @property
    def cash_token(self) -> Token | None:
        return self.terms.quote_token

    @cached_property
    def price_wad(self) -> int:
        return self.terms.price_wad(self.pool.sqrt_x96)

    @cached_property
    def max_buy_wad(self) -> int:
        return self._asset_wad(self._swap(-WHOLE, IMPACT_PPM // 2).received)

    @cached_property
    def max_sell_wad(self) -> int:
        return self._asset_wad(self._swap(WHOLE, IMPACT_PPM // 2).paid)

    def raw_size(self, size_wad: int) -> int:
        """|size| in the asset token's smallest unit; never more than was asked."""
        return rescale_down(abs(size_wad), 18, self.terms.asset_token.decimals)

    def quote_raw(self, size_wad: int) -> int:
        """Quote paid for exactly that much of the asset (> 0), or received for it (< 0: a sale), in the
        token's smallest unit. What the pool cannot fill within reach costs its whole worth once more.
        """
        raw = self.raw_size(size_wad)
        if raw == 0:
            return 0
        trade = self._swap(-raw if size_wad > 0 else raw, COST_SQRT_PPM)
        if size_wad < 0:
            return -trade.received
        missing_wad = mul_up(self._asset_wad(trade.unfilled), self.price_wad)
        return trade.paid + 2 * rescale_up(missing_wad, 18, self.terms.quote_token.decimals)

    @property
    def is_convex(self) -> bool:
        """The price moves away from a trade along the pool's curve, through whatever liquidity there is."""
        return True

    def cost_wad(self, size_wad: int) -> int:
        if size_wad == 0:
            return 0
        if size_wad not in self._costs:
            self._costs[size_wad] = self._cost_wad(size_wad)
        return self._costs[size_wad]

    @cached_property
    def _costs(self) -> dict[int, int]:
        return {}

    def _cost_wad(self, size_wad: int) -> int:
        return max(0, self.cash_need_wad(size_wad) - mul_down(size_wad, self.price_wad))

    def cash_need_wad(self, size_wad: int) -> int:
        """Quote the wallet pays (> 0, rounded up) or gets (< 0). A sale also takes the asset from it."""
        return rescale_up(self.quote_raw(size_wad), self.terms.quote_token.decimals, 18)

    def margin_need_wad(self, size_wad: int) -> int:
        """Nothing: what is traded is paid for."""
        del size_wad
        return 0

    def _asset_wad(self, raw: int) -> int:
        return rescale_down(raw, self.terms.asset_token.decimals, 18)

    def _swap(self, amount: int, reach_ppm: int) -> Swap:
        """``amount`` > 0 sells exactly that much of the asset, < 0 buys it; as far as ``reach_ppm`` of the
        square root of the price.
        """
        down = self.terms.is_asset_first == (amount > 0)
        limit = self.pool.sqrt_x96 * (PPM - reach_ppm if down else PPM + reach_ppm) // PPM
        limit = min(max(limit, MIN_SQRT_X96 + 1), MAX_SQRT_X96 - 1)
        return swap(self.pool, amount, zero_for_one=down, fee_ppm=self.terms.fee_ppm, limit_x96=limit)
