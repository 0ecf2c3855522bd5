"""What Uniswap holds for one account at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.errors import VenueUnknown
from agent.market.instrument import LiquidityRange
from agent.market.margin import MarginAccount
from agent.market.position import Greeks, Position
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.pricing.pool import Pool
from agent.pricing.tick import sqrt_price_x96
from agent.values.fixed import mul_down, rescale_down, to_float
from agent.venues.uniswap.margin import Range, gamma
from agent.venues.uniswap.offer import Terms, UniswapOffer
from agent.venues.uniswap.shock import ShockedRange


@dataclass(frozen=True)
class PoolView:
    """One pool, with what the router may take of the account's tokens."""

    terms: Terms
    pool: Pool
    asset_allowance_raw: int
    quote_allowance_raw: int

    @cached_property
    def price_wad(self) -> int:
        """Quote per asset."""
        return self.terms.price_wad(self.pool.sqrt_x96)

    @cached_property
    def offer(self) -> UniswapOffer:
        """Trading here now."""
        return UniswapOffer(self.terms, self.pool)


@dataclass(frozen=True, slots=True)
class Holding:
    """One liquidity token. ``owed`` are raw token0 and token1 to collect: fees, and what was taken out."""

    token_id: int
    view: PoolView
    range: Range
    owed: tuple[int, int]

    @property
    def key(self) -> str:
        return f"uniswap:{self.token_id}"

    @property
    def amounts(self) -> tuple[int, int]:
        """Raw asset and quote in the range, without what is owed."""
        return self.view.terms.in_order(*self.range.amounts(self.view.pool.sqrt_x96))

    @property
    def fees(self) -> tuple[int, int]:
        """Raw asset and quote to collect."""
        return self.view.terms.in_order(*self.owed)

    @property
    def position(self) -> Position:
        """Valued at the pool's own price. Fees count in value and delta."""
        terms, price_wad = self.view.terms, self.view.price_wad
        asset_wad, quote_wad = (
            rescale_down(held + owed, token.decimals, 18)
            for held, owed, token in zip(
                self.amounts, self.fees, (terms.asset_token, terms.quote_token), strict=True
            )
        )
        bounds = sorted(
            terms.price_wad(sqrt_price_x96(tick)) for tick in (self.range.lower_tick, self.range.upper_tick)
        )
        return Position(
            venue="uniswap",
            key=self.key,
            instrument=LiquidityRange(terms.market, terms.asset, bounds[0], bounds[1]),
            size_wad=self.range.liquidity,
            value_wad=mul_down(asset_wad, price_wad) + quote_wad,
            greeks=Greeks(delta=to_float(asset_wad), gamma=self._gamma),
            mark_wad=price_wad,
        )

    @property
    def shocked(self) -> ShockedRange:
        """The same as a function of many states."""
        terms = self.view.terms
        asset, quote = (
            to_float(raw, token.decimals)
            for raw, token in zip(self.fees, (terms.asset_token, terms.quote_token), strict=True)
        )
        ticks = (self.range.lower_tick, self.range.upper_tick)
        return ShockedRange(
            self.key, terms, ticks, self.view.pool.sqrt_x96, self.range.liquidity, (asset, quote)
        )

    @property
    def _gamma(self) -> float:
        if not self.range.is_active(self.view.pool.tick):
            return 0.0
        terms = self.view.terms
        unit = (terms.asset_token.decimals + terms.quote_token.decimals) / 2
        return gamma(self.range.liquidity / 10**unit, to_float(self.view.price_wad))


@dataclass(frozen=True)
class UniswapState:
    """The configured pools and the account's liquidity in them."""

    pools: tuple[PoolView, ...]
    holdings: tuple[Holding, ...]

    @property
    def venue(self) -> str:
        return "uniswap"

    @cached_property
    def quotes(self) -> tuple[Quote, ...]:
        """Uniswap asks no oracle: the pool's own price stands for both."""
        return tuple(
            Quote("uniswap", view.terms.market, view.terms.asset, view.price_wad, view.price_wad)
            for view in self.pools
        )

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        return tuple(holding.position for holding in self.holdings)

    @property
    def margins(self) -> tuple[MarginAccount, ...]:
        """None: liquidity cannot be liquidated."""
        return ()

    @property
    def stressed(self) -> Stressed:
        """The liquidity as a function of many states."""
        return Stressed((), tuple(holding.shocked for holding in self.holdings))

    @cached_property
    def offers(self) -> tuple[UniswapOffer, ...]:
        return tuple(view.offer for view in self.pools)

    def pool(self, market: str) -> PoolView:
        """The pool of that market. Raises VenueUnknown."""
        for view in self.pools:
            if view.terms.market == market:
                return view
        raise VenueUnknown(name=market, known=", ".join(view.terms.market for view in self.pools))

    def holding(self, key: str) -> Holding:
        """The liquidity of that position. Raises VenueUnknown."""
        for holding in self.holdings:
            if holding.key == key:
                return holding
        raise VenueUnknown(name=key, known=", ".join(holding.key for holding in self.holdings) or "none")
