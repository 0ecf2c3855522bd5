"""What may be done at a venue now: everything, only less of what is held, or nothing but look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from agent.errors import PlanInfeasible
from agent.market.intent import Action, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount
from agent.market.offer import LottedOffer, Offer
from agent.market.position import Position
from agent.market.request import KeeperOffer, Request, RequestingState
from agent.market.snapshot import Quote, Snapshot, VenueState
from agent.market.standing import Access, Standing
from agent.values.address import MarketId
from agent.values.amount import Token


def require_allowed(action: Action, state: VenueState, standing: Standing) -> None:
    """The last door before a venue writes. Raises PlanInfeasible with the reason why it may not."""
    if standing.access is Access.FULL:
        return
    is_reducing = isinstance(action, Reduce) or (isinstance(action, Trade) and _reduces(action, state))
    if standing.access is Access.REDUCE and (is_reducing or not isinstance(action, Trade)):
        return
    if standing.access is Access.LEAVE and (is_reducing or isinstance(action, RemoveCollateral)):
        return
    what = type(action).__name__
    raise PlanInfeasible(
        conflicts=f"{what} on {action.venue}, which is {standing.access.value}: {standing.why}"
    )


def permitted(snapshot: Snapshot) -> Snapshot:
    """The snapshot as the planner is to see it: positions and their deltas whole, of each venue only the
    offers and accounts that it may do something with.
    """
    if all(standing.access is Access.FULL for standing in snapshot.standings):
        return snapshot
    access = {standing.venue: standing.access for standing in snapshot.standings}
    states = tuple(
        _restricted(state, found)
        if (found := access.get(state.venue, Access.FULL)) is not Access.FULL
        else state
        for state in snapshot.venues
    )
    return replace(snapshot, venues=states)


def _restricted(state: VenueState, access: Access) -> VenueState:
    kind = PermittedRequesting if isinstance(state, RequestingState) else Permitted
    return kind(state, access)


@dataclass(frozen=True)
class Permitted:
    """A venue's state without what may not be done there."""

    state: VenueState
    access: Access

    @property
    def venue(self) -> str:
        return self.state.venue

    @property
    def quotes(self) -> Sequence[Quote]:
        return self.state.quotes

    @property
    def positions(self) -> Sequence[Position]:
        return self.state.positions

    @property
    def margins(self) -> Sequence[MarginAccount]:
        """None where no collateral may be paid in: what cannot be helped is not planned for."""
        return self.state.margins if self.access is Access.REDUCE else ()

    @cached_property
    def offers(self) -> Sequence[Offer]:
        if self.access is not Access.REDUCE:
            return ()
        held: dict[MarketId, int] = {}
        for position in self.state.positions:
            market = position.instrument.market
            held[market] = held.get(market, 0) + position.size_wad
        return tuple(_way_out(offer, self._left_wad(offer.market, held)) for offer in self.state.offers)

    def _left_wad(self, market: MarketId, held: Mapping[MarketId, int]) -> int:
        """What is held there that nothing closes yet."""
        return held.get(market, 0)


@dataclass(frozen=True)
class PermittedRequesting(Permitted):
    """The same of a venue that is asked and fills later. Its requests stay: what is open is open."""

    @property
    def requests(self) -> Sequence[Request]:
        return self.state.requests if isinstance(self.state, RequestingState) else ()

    def _left_wad(self, market: MarketId, held: Mapping[MarketId, int]) -> int:
        held_wad = held.get(market, 0)
        pending = (request.pending_wad for request in self.requests if request.market == market)
        coming_wad = sum(size_wad for size_wad in pending if size_wad * held_wad < 0)
        left_wad = held_wad + coming_wad
        return left_wad if left_wad * held_wad > 0 else 0


def _way_out(offer: Offer, held_wad: int) -> Offer:
    """By its kind: what an offer is besides, it stays."""
    if isinstance(offer, KeeperOffer):
        return KeeperWayOut(offer, held_wad)
    if isinstance(offer, LottedOffer):
        return LottedWayOut(offer, held_wad)
    return WayOut(offer, held_wad)


@dataclass(frozen=True)
class WayOut:
    """An offer that only makes smaller what is held (``held_wad``, signed): spot is only sold."""

    offer: Offer
    held_wad: int

    @property
    def venue(self) -> str:
        return self.offer.venue

    @property
    def market(self) -> MarketId:
        return self.offer.market

    @property
    def asset(self) -> str:
        return self.offer.asset

    @property
    def price_wad(self) -> int:
        return self.offer.price_wad

    @property
    def max_buy_wad(self) -> int:
        if self.cash_token is not None:
            return 0
        return min(self.offer.max_buy_wad, max(0, -self.held_wad))

    @property
    def max_sell_wad(self) -> int:
        if self.cash_token is not None:
            return self.offer.max_sell_wad
        return min(self.offer.max_sell_wad, max(0, self.held_wad))

    @property
    def carry_per_day(self) -> float:
        return self.offer.carry_per_day

    @property
    def cash_token(self) -> Token | None:
        return self.offer.cash_token

    def cost_wad(self, size_wad: int) -> int:
        """As the offer says."""
        return self.offer.cost_wad(size_wad)

    def cash_need_wad(self, size_wad: int) -> int:
        """As the offer says."""
        return self.offer.cash_need_wad(size_wad)

    def margin_need_wad(self, size_wad: int) -> int:
        """As the offer says."""
        return self.offer.margin_need_wad(size_wad)


@dataclass(frozen=True)
class LottedWayOut(WayOut):
    """The same of an offer in lots."""

    offer: LottedOffer

    @property
    def lot_wad(self) -> int:
        return self.offer.lot_wad

    @property
    def min_size_wad(self) -> int:
        return self.offer.min_size_wad


@dataclass(frozen=True)
class KeeperWayOut(WayOut):
    """The same of an offer that a keeper fills."""

    offer: KeeperOffer

    @property
    def wait_s(self) -> int:
        return self.offer.wait_s

    @property
    def request_cost_wad(self) -> int:
        return self.offer.request_cost_wad


def _reduces(trade: Trade, state: VenueState) -> bool:
    """Whether it makes what is held there smaller and not more than nothing; a sale of spot does."""
    offer = next((offer for offer in state.offers if offer.market == trade.market), None)
    if offer is not None and offer.cash_token is not None:
        return trade.size_wad < 0
    held_wad = sum(p.size_wad for p in state.positions if p.instrument.market == trade.market)
    return held_wad * trade.size_wad < 0 and abs(trade.size_wad) <= abs(held_wad)
