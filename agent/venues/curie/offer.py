"""Trading a Curie market now: what it costs to the last unit, and how much it takes in one transaction.

A taker trades in the market's Uniswap v3 pool. The pool's own fee is taken out again and the protocol's is
put on instead, always in quote (``Exchange._swap``, ``OrderBook.replaySwap`` of curie-contract 2.8.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.pricing.pool import PPM, Pool, Swap, swap
from agent.pricing.tick import (
    MAX_SQRT_X96,
    MAX_TICK,
    MIN_SQRT_X96,
    MIN_TICK,
    price_wad,
    sqrt_of_price_x96,
    sqrt_price_x96,
    tick_at,
)
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import mul_div_down, mul_div_up, mul_down, mul_up

WHOLE = 2**127  # more than any pool holds: trade up to the price limit
BAND_SHARE = (3, 4)  # of the price band we use: the oracle may move before we land
TICK_SHARE = (9, 10)  # of the ticks a block may cross we use: others may trade before us


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the exchange allows a trade to do to the pool's price.

    ``max_ticks`` from where the price was when it last looked (``recent_x96``: the 15 s average stands for
    that); ``spread_ppm``: how far from the index the price may end, in millionths of it.
    """

    max_ticks: int
    recent_x96: int
    spread_ppm: int


@dataclass(frozen=True)
class CurieOffer:
    """One market. ``exchange_fee_ppm`` is this account's, after its discount."""

    market: MarketId
    asset: str
    pool: Pool
    pool_fee_ppm: int
    exchange_fee_ppm: int
    index_wad: int
    mark_wad: int
    bounds: Bounds
    size_wad: int
    initial_ppm: int
    carry_per_day: float

    @property
    def venue(self) -> str:
        return "curie"

    @property
    def cash_token(self) -> Token | None:
        return None

    @cached_property
    def price_wad(self) -> int:
        return price_wad(self.pool.sqrt_x96)

    @cached_property
    def max_buy_wad(self) -> int:
        limit = self._limits[1]
        if limit <= self.pool.sqrt_x96:
            return 0
        return self._swap(-WHOLE, limit).received

    @cached_property
    def max_sell_wad(self) -> int:
        limit = self._limits[0]
        if limit >= self.pool.sqrt_x96:
            return 0
        paid = self._swap(WHOLE, limit).paid
        return mul_div_down(paid, PPM - self.pool_fee_ppm, PPM)

    def quote_wad(self, size_wad: int) -> int:
        """Quote paid (buying, > 0) or received (selling, < 0) with all fees, as the exchange counts it.

        What the pool cannot fill at any price counts as costing its whole worth.
        """
        if size_wad > 0:
            return self._paid_wad(size_wad)
        return -self._received_wad(-size_wad)

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
        price = self.price_wad
        if size_wad > 0:
            return max(0, self.quote_wad(size_wad) - mul_down(size_wad, price))
        return max(0, mul_up(-size_wad, price) + self.quote_wad(size_wad))

    def cash_need_wad(self, size_wad: int) -> int:
        """Nothing: the trade is margined."""
        del size_wad
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        """Initial margin of what the trade adds to the position, and its cost. Never 0 for a trade."""
        if size_wad == 0:
            return 0
        added = max(0, abs(self.size_wad + size_wad) - abs(self.size_wad))
        worth = mul_up(added, max(self.price_wad, self.mark_wad))
        return mul_div_up(worth, self.initial_ppm, PPM) + max(1, self.cost_wad(size_wad))

    def _paid_wad(self, size_wad: int) -> int:
        trade = self._swap(-size_wad, MAX_SQRT_X96 - 1)
        # The pool's fee is taken off what was paid, then the exchange's is put on, stretch by stretch: the
        # same ones, since of an exact output no fee moves the price.
        notional = mul_div_down(trade.paid, PPM - self.pool_fee_ppm, PPM)
        ppm = self.exchange_fee_ppm
        fee = sum(mul_div_up(step.paid, ppm, PPM - ppm) for step in trade.steps)
        return notional + fee + 2 * mul_up(trade.unfilled, self.price_wad)

    def _received_wad(self, size_wad: int) -> int:
        trade = self._swap(mul_div_up(size_wad, PPM, PPM - self.pool_fee_ppm), MIN_SQRT_X96 + 1)
        fee = sum(mul_div_up(step.received, self.exchange_fee_ppm, PPM) for step in trade.steps)
        return trade.received - fee

    def _swap(self, amount: int, limit_x96: int) -> Swap:
        """``amount`` > 0 sells exactly that much base (the pool's fee on top), < 0 buys exactly that much."""
        return swap(
            self.pool,
            amount,
            zero_for_one=amount > 0,
            fee_ppm=self.pool_fee_ppm,
            limit_x96=limit_x96,
        )

    @cached_property
    def _limits(self) -> tuple[int, int]:
        """The lowest and highest square-root price a trade may leave the pool at, within our shares."""
        share, whole = TICK_SHARE
        reach = self.bounds.max_ticks * share // whole
        recent = tick_at(self.bounds.recent_x96)
        low_tick = max(self.pool.tick, recent) - reach
        high_tick = min(self.pool.tick, recent) + reach
        share, whole = BAND_SHARE
        spread = self.bounds.spread_ppm * share // whole
        low_price = mul_div_up(self.index_wad, max(0, PPM - spread), PPM)
        high_price = mul_div_down(self.index_wad, PPM + spread, PPM)
        low = max(sqrt_price_x96(max(low_tick, MIN_TICK)), sqrt_of_price_x96(low_price), MIN_SQRT_X96 + 1)
        high = min(sqrt_price_x96(min(high_tick, MAX_TICK)), sqrt_of_price_x96(high_price), MAX_SQRT_X96 - 1)
        return low, high
