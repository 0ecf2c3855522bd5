"""What Panoptic holds for one account at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import VenueUnknown
from agent.market.instrument import Instrument, LiquidityRange, Spot
from agent.market.margin import MarginAccount
from agent.market.position import Greeks, Position
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.pricing.tick import MAX_TICK, MIN_TICK
from agent.values.address import MarketId
from agent.values.fixed import mul_div_down, mul_down, rescale_down, to_float
from agent.venues.panoptic.account import Account, Held
from agent.venues.panoptic.greek import greeks, worth
from agent.venues.panoptic.margin import PanopticMargin
from agent.venues.panoptic.offer import PanopticOffer
from agent.venues.panoptic.pair import Pair
from agent.venues.panoptic.shock import ShockedAccount
from agent.venues.panoptic.token_id import pool_of
from agent.venues.panoptic.view import View


@dataclass(frozen=True, slots=True)
class PoolState:
    """The account in one pool. ``allowances``: what the vaults may take of its tokens."""

    view: View
    account: Account
    at_s: int
    allowances: tuple[int, int]

    @property
    def key(self) -> str:
        """The margin account's, and the market's."""
        return self.view.denomination.market

    @property
    def is_used(self) -> bool:
        """Whether the account has anything here."""
        return bool(self.account.held) or any(stake.shares for stake in self.account.stakes)

    @property
    def margin(self) -> PanopticMargin:
        """All of it, as the account that is liquidated as a whole."""
        view = self.view
        return PanopticMargin(
            denomination=view.denomination,
            account=self.account,
            oracle=view.oracle,
            tuning=view.rules.tuning,
            tick=view.pool.tick,
            sqrt_x96=view.pool.sqrt_x96,
            leave_buffer=view.rules.leave_buffer,
            at_s=self.at_s,
            pool=pool_of(view.number),
        )

    @property
    def offer(self) -> PanopticOffer:
        """Trading delta here now."""
        return PanopticOffer(self.view, self.margin)

    @property
    def positions(self) -> tuple[Position, ...]:
        """Each position, and the asset that is collateral. Premia count with the collateral of their token:
        the pool tells their sum.
        """
        return (*(self._position(held) for held in self.account.held), *self._collateral())

    def held(self, key: str) -> Held | None:
        """The position of that key, None if it is not of this pool."""
        return next((held for held in self.account.held if self.position_key(held) == key), None)

    def contracts(self, held: Held, size_wad: int) -> int:
        """How many contracts of a position are ``size_wad`` of its `Position`, rounded up, at most all."""
        if not self._is_lent_asset(held):
            return min(size_wad, held.size)
        whole = abs(self._position(held).size_wad)
        return held.size if size_wad >= whole else -(-held.size * size_wad // whole)

    def position_key(self, held: Held) -> str:
        """Unique in the book."""
        return f"{self.key}:{held.number:#066x}"

    def _position(self, held: Held) -> Position:
        view, terms = self.view, self.view.denomination
        both = worth(held, view.pool.sqrt_x96)
        quote = _quote(both, view)
        asset_wad = rescale_down(both[terms.asset_kind], terms.asset_token.decimals, 18)
        return Position(
            venue="panoptic",
            key=self.position_key(held),
            instrument=self._instrument(held),
            size_wad=asset_wad if self._is_lent_asset(held) else held.size,
            value_wad=rescale_down(quote, terms.quote_token.decimals, 18),
            greeks=greeks(held, (0, 0), terms, view.pool.tick, view.pool.sqrt_x96),
            mark_wad=view.price_wad,
        )

    def _is_lent_asset(self, held: Held) -> bool:
        """Whether it is nothing but the asset itself, owed or lent: what the offer trades."""
        kind = self.view.denomination.asset_kind
        return all(leg.width == 0 and leg.token_type == kind for leg in held.token_id.legs)

    def _instrument(self, held: Held) -> Instrument:
        """The whole range of its option legs. Loans and credits alone are tokens; those of the asset are of
        the market that the offer trades in.
        """
        terms, spacing = self.view.denomination, held.token_id.pool.spacing
        market = terms.market if self._is_lent_asset(held) else MarketId(self.position_key(held))
        ticks = [tick for leg in held.token_id.legs if leg.width for tick in leg.ticks(spacing)]
        if not ticks:
            return Spot(market, terms.asset)
        bounds = sorted(
            terms.price_at(min(max(tick, MIN_TICK), MAX_TICK)) for tick in (min(ticks), max(ticks))
        )
        return LiquidityRange(market, terms.asset, bounds[0], bounds[1])

    def _collateral(self) -> tuple[Position, ...]:
        """The asset's vault and all premia but the quote's own deposit, which the margin account holds."""
        terms, account, price_wad = self.view.denomination, self.account, self.view.price_wad
        owed = [stake.interest(self.at_s) for stake in account.stakes]
        premia = [account.short_premia[i] - account.long_premia[i] for i in (0, 1)]
        asset_raw = (
            account.stakes[terms.asset_kind].assets - owed[terms.asset_kind] + premia[terms.asset_kind]
        )
        quote_raw = premia[terms.quote_kind] + min(
            0, account.stakes[terms.quote_kind].assets - owed[terms.quote_kind]
        )
        if asset_raw == 0 and quote_raw == 0:
            return ()
        asset_wad = rescale_down(asset_raw, terms.asset_token.decimals, 18)
        quote_wad = rescale_down(quote_raw, terms.quote_token.decimals, 18)
        return (
            Position(
                venue="panoptic",
                key=f"{self.key}:collateral",
                instrument=Spot(terms.market, terms.asset),
                size_wad=asset_wad,
                value_wad=mul_down(asset_wad, price_wad) + quote_wad,
                greeks=Greeks(delta=to_float(asset_wad)),
                mark_wad=price_wad,
            ),
        )


@dataclass(frozen=True, slots=True)
class PanopticState:
    """The configured pools and the account in them."""

    at_s: int
    pools: tuple[PoolState, ...]

    @property
    def venue(self) -> str:
        return "panoptic"

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """Panoptic asks no oracle but the pool's own prices: the pool's stands for both."""
        return tuple(
            Quote(
                "panoptic",
                pool.view.denomination.market,
                pool.view.denomination.asset,
                pool.view.price_wad,
                pool.view.price_wad,
            )
            for pool in self.pools
        )

    @property
    def positions(self) -> tuple[Position, ...]:
        return tuple(position for pool in self.pools for position in pool.positions)

    @property
    def margins(self) -> tuple[MarginAccount, ...]:
        return tuple(pool.margin for pool in self.pools if pool.is_used)

    @property
    def offers(self) -> tuple[PanopticOffer, ...]:
        return tuple(pool.offer for pool in self.pools if pool.is_used)

    @property
    def stressed(self) -> Stressed:
        """Every account as a function of many states."""
        return Stressed(tuple(ShockedAccount(pool.margin) for pool in self.pools if pool.is_used), ())

    def pool(self, key: str) -> PoolState:
        """The pool of that market or account. Raises VenueUnknown."""
        for pool in self.pools:
            if pool.key == key:
                return pool
        raise VenueUnknown(name=key, known=", ".join(pool.key for pool in self.pools))

    def holding(self, key: str) -> tuple[PoolState, Held]:
        """The position of that key and its pool. Raises VenueUnknown."""
        for pool in self.pools:
            held = pool.held(key)
            if held is not None:
                return pool, held
        known = ", ".join(pool.position_key(held) for pool in self.pools for held in pool.account.held)
        raise VenueUnknown(name=key, known=known or "none")


def _quote(both: Pair, view: View) -> int:
    """Raw quote, rounded down, of amounts that may be below zero."""
    terms = view.denomination
    asset, quote = terms.in_order(*both)
    square = view.pool.sqrt_x96 * view.pool.sqrt_x96
    if terms.is_asset_first:
        return mul_div_down(asset, square, 1 << 192) + quote
    return mul_div_down(asset, 1 << 192, square) + quote
