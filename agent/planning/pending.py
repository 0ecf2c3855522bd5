"""What is waited for: delta that is on its way, and what it is to be without it meanwhile.

Naked exposure is quote currency times seconds: what stays open times its price times the longest wait, which
is until it can be taken back and then until that is mined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

from agent.market.intent import Order
from agent.market.offer import Offer
from agent.market.request import KeeperOffer, Phase, Request, is_requesting
from agent.market.snapshot import Snapshot, VenueState
from agent.planning.policy import Policy
from agent.values.address import MarketId
from agent.values.fixed import WAD


@dataclass(frozen=True, slots=True)
class Exposure:
    """One delta that somebody else is to fill. ``key``: of the request; empty for a leg of a plan."""

    venue: str
    market: MarketId
    asset: str
    key: str
    size_wad: int
    price_wad: int
    seconds: int

    @property
    def usd_s(self) -> int:
        """|size| x price x seconds in whole units of quote, rounded up."""
        return -(-abs(self.size_wad) * self.price_wad * self.seconds // WAD**2)


@dataclass(frozen=True, slots=True)
class Pending:
    """``requests`` are left to their keepers and count as if they were filled. ``taken``: those that nobody
    filled in time, with the calls that take them back; they count as if they were gone. ``resting``: the
    markets that are asked for nothing now.
    """

    requests: tuple[Request, ...] = ()
    taken: tuple[tuple[Request, Order], ...] = ()
    resting: frozenset[MarketId] = frozenset()

    def coming_wad(self, asset: str) -> int:
        """The delta of ``asset`` that is on its way."""
        return sum(request.pending_wad for request in self.requests if request.asset == asset)

    def collateral_wad(self, key: str) -> int:
        """The collateral that is on its way into a margin account."""
        return sum(max(0, r.collateral_wad) for r in self.requests if r.margin_key == key)

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(request.asset for request in self.requests))


NOTHING = Pending()
UNTIL_FILLED = "until filled"  # in the name of a band that is broken as long as keepers have not acted


def is_keeper(offer: Offer) -> TypeGuard[KeeperOffer]:
    """As isinstance says, which is slow for a protocol and asked thousands of times."""
    return hasattr(type(offer), "request_cost_wad")


def late_venues(snapshot: Snapshot) -> frozenset[str]:
    """The venues that do nothing in the transaction that asks for it: what is taken out there comes later."""
    return frozenset(cast(VenueState, state).venue for state in snapshot.venues if is_requesting(state))


def is_due_back(request: Request, now_s: int) -> bool:
    """Whether it is to be taken back: nobody acted in time, or the venue has set it aside for as long."""
    return request.phase is Phase.EXPIRED or (request.phase is Phase.FROZEN and now_s >= request.cancel_at_s)


def is_overdue(request: Request, now_s: int, policy: Policy) -> bool:
    """Whether it waits for longer than the worst case that was planned with: taking it back fails."""
    return is_due_back(request, now_s) and now_s > request.cancel_at_s + policy.deadline_s


def exposures(requests: Sequence[Request], snapshot: Snapshot, policy: Policy) -> tuple[Exposure, ...]:
    """What open requests still leave naked at most, at the present prices."""
    prices = _prices(snapshot)
    return tuple(
        Exposure(
            request.venue,
            request.market,
            request.asset,
            request.key,
            request.pending_wad,
            prices.get(request.market, prices.get(MarketId(request.asset), request.price_wad)),
            request.exposure_s(snapshot.block.timestamp_s, policy.deadline_s),
        )
        for request in requests
        if request.pending_wad
    )


def leg_exposure(offer: KeeperOffer, size_wad: int, policy: Policy) -> Exposure:
    """What a leg of a plan leaves naked at most."""
    seconds = offer.wait_s + policy.deadline_s
    return Exposure(offer.venue, offer.market, offer.asset, "", size_wad, offer.price_wad, seconds)


def naked_usd_s(found: Sequence[Exposure]) -> int:
    """Of all of them together."""
    return sum(exposure.usd_s for exposure in found)


def room_wad(offer: Offer, sign: int, pending: Pending, naked: int, policy: Policy) -> int:
    """The most that may be traded there in one plan: the offer's own bound, and for one that is filled later
    what the limit of naked exposure leaves beside ``naked`` (quote x seconds). None while its market rests,
    or while a request for the other side of the asset is open: the two could be filled in any order.
    """
    most_wad = offer.max_buy_wad if sign > 0 else offer.max_sell_wad
    if not is_keeper(offer):
        return most_wad
    crossing = any(r.asset == offer.asset and r.pending_wad * sign < 0 for r in pending.requests)
    left = policy.naked_limit_usd_s - naked
    if crossing or left <= 0 or offer.market in pending.resting or offer.price_wad <= 0:
        return 0
    return min(most_wad, left * WAD**2 // (offer.price_wad * (offer.wait_s + policy.deadline_s)))


def _prices(snapshot: Snapshot) -> Mapping[MarketId, int]:
    """By market, and by asset (its name as a market's) where the market has no quote of its own."""
    found: dict[MarketId, int] = {}
    for state in snapshot.venues:
        for quote in state.quotes:
            found[quote.market] = quote.mark_wad
            found.setdefault(MarketId(quote.asset), quote.index_wad)
    return found
