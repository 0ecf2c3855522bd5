"""Which items there are in one ask: what could close, trade and move."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from agent.market.offer import Offer
from agent.market.position import Position
from agent.planning.ask import Ask
from agent.planning.item import (
    Close,
    Deal,
    Pay,
    Take,
    closable,
    is_quote,
    is_reducible,
    is_tradable,
    touches,
)
from agent.planning.pending import is_keeper, late_venues
from agent.values.fixed import from_float


class Stage(IntEnum):
    """How far the search goes. ``WIDE``: perpetuals of a needy account may shrink and be replaced elsewhere;
    ``ELASTIC``: what cannot be kept is kept as far as it can be.
    """

    USUAL = 0
    WIDE = 1
    ELASTIC = 2


@dataclass(slots=True)
class Listing:
    """All items of one ask. ``shaped``: accounts whose requirement the items can change."""

    ask: Ask
    stage: Stage
    closes: list[Close] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    pays: list[Pay] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    shaped: set[str] = field(default_factory=set)


def listing(ask: Ask, stage: Stage) -> Listing:
    """Everything that may be done about ``ask`` in this stage of the search."""
    found = Listing(ask, stage)
    _list_closes(found)
    _list_deals(found)
    _list_moves(found)
    return found


def _list_closes(listing: Listing) -> None:
    """Options of needy accounts, and all of an asset whose gamma or vega is out of its band."""
    ask = listing.ask
    accounts = ask.accounts
    names = [state.venue for state in ask.snapshot.venues if state.venue not in ask.snapshot.shut]
    wanted_assets = {asset for _, asset in ask.greeks}
    seen: set[str] = set()
    late = late_venues(ask.snapshot)
    for position in (*closable(ask.snapshot.positions, names), *_standing(ask)):
        account = accounts.get(position.key)
        is_needed = ask.with_margin and position.key in ask.needy
        if (
            position.key in seen
            or position.venue in late
            or not (is_needed or position.instrument.asset in wanted_assets)
        ):
            continue
        seen.add(position.key)
        listing.closes.append(Close(position, account, is_whole=True))
        if account is None or is_reducible(account):
            listing.closes.append(Close(position, account, is_whole=False))
            if account is not None:
                listing.shaped.add(account.key)


def _standing(ask: Ask) -> list[Position]:
    """The positions that an account of their own stands for."""
    return [p for p in ask.snapshot.positions if p.key in ask.accounts and p.size_wad]


def _list_deals(listing: Listing) -> None:
    ask = listing.ask
    if not ask.with_hedge:
        return
    offers = ask.offers
    loose: dict[str, int] = {}  # asset -> delta that closes may set free
    for close in listing.closes:
        if close.is_whole:
            asset = close.position.instrument.asset
            loose[asset] = loose.get(asset, 0) + abs(from_float(close.position.greeks.delta))
    backs: dict[str, list[Deal]] = {}
    for offer in offers:
        back = _back(listing, offer)
        if back is not None:
            backs.setdefault(offer.asset, []).append(back)
    for offer in offers:
        asset = offer.asset
        delta_wad = ask.deltas_wad.get(asset, 0)
        reach_wad = loose.get(asset, 0) + sum(b.cap_wad for b in backs.get(asset, ()) if b.offer != offer)
        signs: list[int] = []
        if asset in ask.due:
            open_wad = ask.open_wad.get(asset, 0)
            reach_wad += max(abs(delta_wad), abs(open_wad))
            sides = [delta_wad, open_wad if abs(open_wad) > ask.policy.band_wad(asset) else 0]
            signs = list(dict.fromkeys(-1 if side > 0 else 1 for side in sides if side))
        if loose.get(asset, 0) > 0 or (asset in backs and asset not in ask.due):
            signs = [1, -1]
        for sign in signs if reach_wad > 0 else ():
            most_wad = ask.room_wad(offer, sign)
            if offer.cash_token is not None:
                most_wad = min(most_wad, ask.treasury.spot_capacity_wad(asset, sign, offer.price_wad))
            cap_wad = max(0, min(most_wad, reach_wad))
            listing.deals.append(Deal(offer, sign, cap_wad, reach_wad, ask.due.get(asset, True)))
        listing.deals += [back for back in backs.get(asset, ()) if back.offer is offer]
    for deal in listing.deals:
        listing.shaped |= {a.key for a in ask.snapshot.margins if touches(a, deal.offer)}


def _back(listing: Listing, offer: Offer) -> Deal | None:
    """Reducing what is held on ``offer``: to save its account, or because holding it has become dear."""
    ask = listing.ask
    if offer.cash_token is not None:
        return None
    held = next((p for p in ask.snapshot.positions if p.instrument.market == offer.market), None)
    if held is None or held.size_wad == 0:
        return None
    sign = -1 if held.size_wad > 0 else 1
    # what somebody else does some time saves an account only where nothing else does
    saves = listing.stage > (Stage.WIDE if is_keeper(offer) else Stage.USUAL) and any(
        a.key in ask.needy and touches(a, offer) for a in ask.snapshot.margins
    )
    relieves = offer.asset in ask.due and ask.curves.carry(offer, sign) < 0
    if not (saves or relieves):
        return None
    cap_wad = min(ask.room_wad(offer, sign), abs(held.size_wad))
    if cap_wad <= 0:
        return None
    urgent = ask.due.get(offer.asset, True)
    return Deal(offer, sign, cap_wad, abs(held.size_wad), urgent, is_reducing=True)


def _list_moves(listing: Listing) -> None:
    ask = listing.ask
    if not ask.with_margin:
        return
    policy, short_wad = ask.policy, ask.curves.ledger.short_wad
    target, release = float(policy.target_distance), float(policy.release_distance)
    receivers = [a for a in ask.snapshot.margins if a.key in ask.needy or a.key in listing.shaped]
    tokens = {a.collateral_token.address for a in receivers}
    late = late_venues(ask.snapshot)
    for account in ask.snapshot.margins:
        token = account.collateral_token.address
        if account.key in ask.needy or token not in tokens or account.venue in late:
            continue
        if receivers == [account]:
            continue
        least_wad = policy.min_top_up_wad if is_quote(account) else 0
        cap_wad = min(account.removable_wad, -short_wad(account, release))
        if cap_wad > max(least_wad, 0):
            listing.takes.append(Take(account, cap_wad))
    for account in receivers:
        most_wad = max(short_wad(account, target), 0)
        least_wad = policy.min_top_up_wad if is_quote(account) else 0
        for deal in listing.deals:
            if touches(account, deal.offer) and is_tradable(account) and deal.cap_wad > 0:
                price = ask.curves.deal_limit_wad(deal, deal.cap_wad)
                after = account.traded(deal.offer.market, deal.sign * deal.cap_wad, price)
                lost_wad = short_wad(after, target)
                most_wad += max(0, lost_wad - max(0, short_wad(account, target)))
        if most_wad > 0:
            listing.pays.append(Pay(account, max(most_wad, least_wad)))
