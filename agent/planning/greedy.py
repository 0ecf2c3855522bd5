"""The simple way to decide, for when the optimiser gives no answer: hedge slice by slice, then pay in order.

It knows no gas and no alternatives, but it is quick and always answers. What an exact margin model would
liquidate within the stress is not traded.
"""

from __future__ import annotations

from dataclasses import replace

from agent.market.intent import AddCollateral, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount
from agent.market.offer import LottedOffer, Offer
from agent.planning.allocation import Fill, allocate
from agent.planning.ask import Ask
from agent.planning.decision import Decision
from agent.planning.item import is_tradable, touches
from agent.planning.pending import is_keeper
from agent.planning.treasury import Funding, Treasury, fund
from agent.values.fixed import WAD, decimal, to_float


def decide(ask: Ask) -> Decision:
    """Trades that bring every due delta to zero as far as they go, then collateral where it is missing."""
    barred: frozenset[str] = frozenset()
    while True:
        made, unsafe = _attempt(ask, barred)
        if not unsafe:
            return made
        barred |= unsafe


def _attempt(ask: Ask, barred: frozenset[str]) -> tuple[Decision, frozenset[str]]:
    """A decision without the ``barred`` markets, and the markets whose trades an exact model refuses."""
    policy, treasury = ask.policy, ask.treasury
    deltas, held = dict(ask.deltas_wad), dict(ask.open_wad)
    accounts = ask.accounts
    trades: list[Trade] = []
    reasons: list[str] = []
    unmet: list[str] = []
    cost_wad = 0
    for asset, is_outside in ask.due.items():
        delta_wad = deltas[asset]
        fills, unfilled_wad = _hedge(ask, treasury, asset, -delta_wad, barred)
        for fill in fills:
            limit_wad = ask.curves.limit_price_wad(fill.offer, fill.size_wad, is_urgent=is_outside)
            trades.append(Trade(fill.offer.venue, fill.offer.market, fill.size_wad, limit_wad))
            cost_wad += fill.cost_wad
            deltas[asset] += fill.size_wad
            held[asset] += 0 if is_keeper(fill.offer) else fill.size_wad
            for key, account in accounts.items():
                if touches(account, fill.offer) and is_tradable(account):
                    accounts[key] = account.traded(fill.offer.market, fill.size_wad, limit_wad)
            treasury = treasury.traded(asset, fill.size_wad, fill.offer.cash_need_wad(fill.size_wad))
        if fills:
            reasons.append(f"net delta {asset} {decimal(delta_wad):.4f} beyond its trigger")
        if abs(unfilled_wad) > policy.band_wad(asset):
            unmet.append(f"delta band {asset}: no venue can trade {decimal(unfilled_wad):.4f} now")
    funding = (
        fund(accounts, ask.snapshot, policy, treasury, ask.pending)
        if ask.with_margin
        else Funding((), (), ())
    )
    for asset, change_wad in funding.delta_change_wad.items():
        deltas[asset] = deltas.get(asset, 0) + change_wad
        held[asset] = held.get(asset, 0) + change_wad
    made = Decision(
        tuple(trades),
        tuple(a for a in funding.actions if isinstance(a, Reduce)),
        tuple(a for a in funding.actions if isinstance(a, RemoveCollateral)),
        tuple(a for a in funding.actions if isinstance(a, AddCollateral)),
        (*reasons, *funding.reasons),
        (*unmet, *funding.unmet),
        deltas,
        held,
        cost_wad,
        any(ask.due.values()) and bool(trades),
    )
    return made, _unsafe(ask, made, accounts)


def _unsafe(ask: Ask, made: Decision, after: dict[str, MarginAccount]) -> frozenset[str]:
    """The markets traded on accounts that the stress would liquidate afterwards."""
    found: set[str] = set()
    for key, account in after.items():
        markets = {
            str(t.market) for t in made.trades if t.venue == account.venue and t.market in account.prices
        }
        moved = sum(pay.amount_wad for pay in made.pays if pay.key == key)
        moved -= sum(take.amount_wad for take in made.takes if take.key == key)
        if markets and ask.curves.ledger.danger(account, ask.policy.guard_distance, moved) is not None:
            found |= markets
    return frozenset(found)


def _hedge(
    ask: Ask, treasury: Treasury, asset: str, size_wad: int, barred: frozenset[str]
) -> tuple[tuple[Fill, ...], int]:
    policy, snapshot = ask.policy, ask.snapshot
    offers = [o for o in ask.offers if o.asset == asset and str(o.market) not in barred]

    def capacity(offer: Offer, sign: int) -> int:
        return min(ask.room_wad(offer, sign), affordable(offer, sign))

    def affordable(offer: Offer, sign: int) -> int:
        if offer.cash_token is not None:
            return treasury.spot_capacity_wad(asset, sign, offer.price_wad)
        free = sum(max(0, a.removable_wad) for a in snapshot.margins if a.venue == offer.venue)
        return _margined(offer, sign, abs(size_wad), free + treasury.cash_wad)

    firm = [offer for offer in offers if not is_keeper(offer)]
    done = allocate(size_wad, firm, float(policy.holding_hours), capacity)
    fills = tuple(_whole(ask, fill) for fill in done.fills)
    late = [offer for offer in offers if is_keeper(offer)]
    if done.unfilled_wad and late and not ask.pending.requests:  # one at a time: their limit is one for all
        late = [max(late, key=lambda offer: capacity(offer, 1 if size_wad > 0 else -1))]
        rest = allocate(done.unfilled_wad, late, float(policy.holding_hours), capacity)
        fills = (*fills, *(_whole(ask, fill) for fill in rest.fills))
    fills = tuple(f for f in fills if abs(f.size_wad) >= _least_wad(ask, f.offer))
    return fills, size_wad - sum(f.size_wad for f in fills)


def _whole(ask: Ask, fill: Fill) -> Fill:
    """In whole lots, rounded towards nothing, at the cost the policy reckons with."""
    offer, size_wad = fill.offer, fill.size_wad
    sign = 1 if size_wad > 0 else -1
    if isinstance(offer, LottedOffer) and offer.lot_wad:
        size_wad = sign * (abs(size_wad) // offer.lot_wad * offer.lot_wad)
    if size_wad == 0:
        return replace(fill, size_wad=0, cost_wad=0)
    carry_wad = round(ask.curves.carry(offer, sign) * to_float(abs(size_wad)) * 1e18)
    return replace(fill, size_wad=size_wad, cost_wad=ask.curves.cost_wad(offer, size_wad) + carry_wad)


def _least_wad(ask: Ask, offer: Offer) -> int:
    least_wad = max(1, ask.policy.min_trade_wad)
    return max(least_wad, offer.min_size_wad) if isinstance(offer, LottedOffer) else least_wad


def _margined(offer: Offer, sign: int, wanted_wad: int, free_wad: int) -> int:
    """The largest size up to ``wanted_wad`` whose margin ``free_wad`` covers.

    A trade that reduces needs next to none and one that turns the position over needs some again, so the
    need is asked for at the real size. It grows with the size from where it starts to grow.
    """
    if offer.margin_need_wad(sign * wanted_wad) <= free_wad:
        return wanted_wad
    low, high = 0, wanted_wad
    while high - low > WAD // 10**6:
        middle = (low + high) // 2
        if offer.margin_need_wad(sign * middle) <= free_wad:
            low = middle
        else:
            high = middle
    return low
