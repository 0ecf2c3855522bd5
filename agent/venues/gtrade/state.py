"""What gTrade says of one account at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import VenueUnknown
from agent.market.instrument import Perpetual
from agent.market.position import Greeks, Position
from agent.market.request import Request
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.values.amount import Token
from agent.values.fixed import DAY_S, mul_down, to_float
from agent.venues.gtrade.fragment import ACTIVATED, CLOSE_ONLY, market_name, wad_of
from agent.venues.gtrade.holding import funding
from agent.venues.gtrade.margin import GtradeMargin
from agent.venues.gtrade.offer import GtradeOffer
from agent.venues.gtrade.order import Placed
from agent.venues.gtrade.pair import Pair
from agent.venues.gtrade.shock import ShockedAccount
from agent.venues.manifest import Stage


@dataclass(frozen=True, slots=True)
class View:
    """One pair with its believed price, 10 decimals."""

    pair: Pair
    asset: str
    price: int


@dataclass(frozen=True, slots=True)
class GtradeState:
    """One account on gTrade. ``next_order``: the number its next order will have. ``activated``: what the
    contract says of trading as a whole.
    """

    at_s: int
    views: tuple[View, ...]
    margins: tuple[GtradeMargin, ...]
    orders: tuple[Placed, ...]
    asked: tuple[Request, ...]
    token: Token
    balance: int
    allowance: int
    next_order: int
    activated: int
    collateral_bps: int
    wait_s: int

    @property
    def venue(self) -> str:
        return "gtrade"

    @property
    def stage(self) -> Stage:
        """Paused is close-only, too: nothing can be done then, and it may be over at the next block."""
        return Stage.OPEN if self.activated == ACTIVATED else Stage.CLOSE_ONLY

    @property
    def is_paused(self) -> bool:
        return self.activated not in (ACTIVATED, CLOSE_ONLY)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every market order of the account in a configured pair that waits."""
        return self.asked

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """The oracle's price; funding is what a long pays, without borrowing."""
        found = []
        for view in self.views:
            pair = view.pair
            *_, rate = funding(pair.funding, pair.interest, view.price, pair.money.usd, self.at_s)
            found.append(
                Quote(
                    venue="gtrade",
                    market=market_name(pair.index),
                    asset=view.asset,
                    index_wad=wad_of(view.price),
                    mark_wad=wad_of(view.price),
                    funding_per_day_wad=rate * DAY_S // 100 if pair.funding.is_enabled else 0,
                )
            )
        return tuple(found)

    @property
    def positions(self) -> tuple[Position, ...]:
        return tuple(_perpetual(margin) for margin in self.margins)

    @property
    def offers(self) -> tuple[GtradeOffer, ...]:
        return () if self.is_paused else tuple(self._offer(view) for view in self.views)

    def _offer(self, view: View) -> GtradeOffer:
        wanted = 10_000 * 1_000 // self.collateral_bps
        return GtradeOffer(
            pair=view.pair,
            asset=view.asset,
            price=view.price,
            held=tuple(one for one in self.margins if one.pair.index == view.pair.index),
            carry_long=view.pair.carry_per_second(view.price, self.at_s, is_long=True),
            carry_short=view.pair.carry_per_second(view.price, self.at_s, is_long=False),
            leverage=min(max(wanted, view.pair.min_leverage), view.pair.max_leverage),
            wait_s=self.wait_s,
        )

    @property
    def stressed(self) -> Stressed:
        return Stressed(tuple(ShockedAccount(margin) for margin in self.margins), ())

    def margin(self, key: str) -> GtradeMargin:
        """The trade of that key. Raises VenueUnknown."""
        for margin in self.margins:
            if margin.key == key:
                return margin
        raise VenueUnknown(name=key, known=", ".join(margin.key for margin in self.margins) or "none")

    def offer(self, market: str) -> GtradeOffer:
        """Raises VenueUnknown."""
        for offer in self.offers:
            if offer.market == market:
                return offer
        raise VenueUnknown(name=market, known=", ".join(offer.market for offer in self.offers) or "none")


def _perpetual(margin: GtradeMargin) -> Position:
    """Profit, with what was booked of it already; collateral is the account's."""
    held, delta = margin.held, margin.pair.money.delta
    size_wad = margin.size_wad(margin.market)
    owed = margin.holding(margin.price, margin.at_s).total - held.realized
    moved = wad_of(margin.price) - wad_of(held.open_price)
    return Position(
        venue="gtrade",
        key=margin.key,
        instrument=Perpetual(margin.market, margin.asset),
        size_wad=size_wad,
        value_wad=mul_down(size_wad, moved) - owed * delta,
        greeks=Greeks(delta=to_float(size_wad)),
        mark_wad=wad_of(margin.price),
    )
