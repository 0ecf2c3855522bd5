"""The usual case without the optimiser: nothing is due, or one delta that one venue brings back best.

The decision here is the one that the whole search would come to, and a certificate says so; where it does not
hold nothing is decided, and the search begins. It rests on three things:

- every account is certainly calm, so that nobody is needy and nothing but a delta is due;
- of the offers that could trade it, all convex, one does the whole of it for less than any other set of them
  could at best: as many fixed costs as it has members, and its least first slope for all of the size. That is
  the optimum of the relaxation that `split` solves, found without looking at curves whose best is too dear;
- it keeps every row of the whole problem, by more than what rows are shown less of: then it is the optimum of
  the whole problem, and the exact models have no objection to it.

What the search would reckon further (where else the optimum might be) does not change what is done.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.market.intent import Trade
from agent.market.offer import Offer
from agent.market.snapshot import Snapshot
from agent.planning.curve import SHARES, Curves
from agent.planning.decision import Decision
from agent.planning.item import Deal, is_tradable, touches
from agent.planning.pending import NOTHING, Pending, is_keeper, room_wad
from agent.planning.policy import Policy
from agent.planning.safety import prices_at, unit_wad
from agent.planning.split import MOST_CHOICES
from agent.planning.stake import Moves
from agent.planning.treasury import Treasury
from agent.risk.assessment import Assessment
from agent.risk.remedy import ratios_within
from agent.values.address import Address
from agent.values.fixed import from_float, mul_up, to_float

CLEARLY = 1e-9  # relative: what a cost has to be below another so that no rounding could say otherwise
SPARE = 10**4  # one part in so many is left in every row, far more than the solver's view of it leaves out


@dataclass(frozen=True, slots=True)
class _Due:
    """The one delta to bring back to zero. ``open_price``: what a unit left open counts, in quote."""

    asset: str
    delta_wad: int
    is_urgent: bool
    spot: float
    open_price: float
    gas: float


def swift(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    curves: Curves,
    moves: Moves,
    pending: Pending = NOTHING,
) -> Decision | None:
    """What the search would decide; None where that takes the search, as it does while keepers are asked.

    Without trades: nothing is due.
    """
    if pending.requests or pending.taken:
        return None
    deltas = {asset: from_float(delta) for asset, delta in assessment.deltas.items()}
    due = {
        asset: abs(delta_wad) > policy.band_wad(asset)
        for asset, delta_wad in deltas.items()
        if abs(delta_wad) > max(policy.trigger_wad(asset), policy.min_trade_wad)
    }
    if len(due) > 1 or _has_broken_greeks(assessment, policy) or not _is_calm(assessment, policy, moves):
        return None
    if not due:
        return Decision(deltas_wad=deltas)
    ((asset, is_urgent),) = due.items()
    return _trade(snapshot, assessment, policy, curves, deltas, asset, pending, is_urgent=is_urgent)


def _has_broken_greeks(assessment: Assessment, policy: Policy) -> bool:
    bands = ((policy.gamma_band, "gammas"), (policy.vega_band, "vegas"))
    return any(
        abs(value) > float(widths[asset])
        for widths, name in bands
        if widths
        for asset, value in getattr(assessment, name).items()
        if asset in widths
    )


def _is_calm(assessment: Assessment, policy: Policy, moves: Moves) -> bool:
    """Nobody is needy, and nobody so near to liquidation that it would change what is bid."""
    near = float(policy.floor_distance) + max(moves.values(), default=0.0)
    distance = max(policy.guard_distance, near) * (1 + CLEARLY) + CLEARLY
    return assessment.is_calm(distance, float(policy.rescue_hours) * 3600 + 1)


def _trade(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    curves: Curves,
    deltas: Mapping[str, int],
    asset: str,
    pending: Pending,
    *,
    is_urgent: bool,
) -> Decision | None:
    sign = -1 if deltas[asset] > 0 else 1
    offers = [offer for state in snapshot.venues for offer in state.offers if offer.asset == asset]
    # who fills later is never the swift choice, and as a rival looks cheaper here than it is: no fee, no wait
    offers = [one for one in offers if not is_keeper(one) or room_wad(one, sign, pending, 0, policy) > 0]
    if not 0 < len(offers) <= MOST_CHOICES or not all(_is_simple(offer) for offer in offers):
        return None
    spot = assessment.spot.get(asset, to_float(offers[0].price_wad))
    gas_price = assessment.spot.get(policy.native_asset, 0.0)
    gas = policy.trade_gas * snapshot.block.base_fee_wei / 1e18 * gas_price
    due = _Due(asset, deltas[asset], is_urgent, spot, policy.open_delta_bps / 1e4 * spot, gas)
    treasury = Treasury.of(snapshot, policy)
    backs = [back for offer in offers if (back := _back(snapshot, offer, curves)) is not None]
    deals = [_deal(offer, due, treasury, backs) for offer in offers]
    deals = [deal for deal in deals if deal.cap_wad >= policy.min_trade_wad]
    best, size_wad = _cheapest(deals, backs, due, curves), -due.delta_wad
    if (
        best is None
        or is_keeper(best.offer)
        or not _keeps_rows(best, size_wad, snapshot, policy, curves, treasury)
    ):
        return None
    limit_wad = curves.deal_limit_wad(best, abs(size_wad))
    carry = curves.carry(best.offer, best.sign) * to_float(abs(size_wad))
    return Decision(
        trades=(Trade(best.offer.venue, best.offer.market, size_wad, limit_wad),),
        reasons=(f"net delta {asset} {to_float(due.delta_wad):.4f} beyond its trigger",),
        deltas_wad={**deltas, asset: 0},
        cost_wad=curves.cost_wad(best.offer, size_wad) + from_float(carry),
        is_urgent=is_urgent,
    )


def _is_simple(offer: Offer) -> bool:
    """Convex, and of any size."""
    return not hasattr(type(offer), "lot_wad") and bool(getattr(offer, "is_convex", False))


def _deal(offer: Offer, due: _Due, treasury: Treasury, backs: Sequence[Deal]) -> Deal:
    """As `listing` would list it."""
    sign = -1 if due.delta_wad > 0 else 1
    most_wad = offer.max_buy_wad if sign > 0 else offer.max_sell_wad
    if offer.cash_token is not None:
        most_wad = min(most_wad, treasury.spot_capacity_wad(due.asset, sign, offer.price_wad))
    reach_wad = abs(due.delta_wad) + sum(back.cap_wad for back in backs if back.offer is not offer)
    return Deal(offer, sign, max(0, min(most_wad, reach_wad)), reach_wad, due.is_urgent)


def _back(snapshot: Snapshot, offer: Offer, curves: Curves) -> Deal | None:
    """As `listing` would list it: reducing what is held here because holding it has become dear."""
    if offer.cash_token is not None:
        return None
    positions = snapshot.venue(offer.venue).positions
    held = next((p for p in positions if p.instrument.market == offer.market), None)
    if held is None or held.size_wad == 0:
        return None
    sign = -1 if held.size_wad > 0 else 1
    cap_wad = min(offer.max_buy_wad if sign > 0 else offer.max_sell_wad, abs(held.size_wad))
    if cap_wad <= 0 or curves.carry(offer, sign) >= 0:
        return None
    return Deal(offer, sign, cap_wad, abs(held.size_wad), is_urgent=True, is_reducing=True)


def _cheapest(deals: list[Deal], backs: list[Deal], due: _Due, curves: Curves) -> Deal | None:
    """The deal that does all of it for certainly less than anything else could; None if there is none.

    A back, which moves the delta one way or the other, takes another deal to make up for it or leaves more
    open: where its first unit costs more than that brings, it is one more fixed cost and no gain.
    """
    size_wad = abs(due.delta_wad)
    size = to_float(size_wad)
    slopes = [(_slope(deal, 0, deal.cap_wad * SHARES[0] // 64, curves), deal) for deal in deals]
    slopes.sort(key=lambda pair: pair[0])
    if not slopes or slopes[0][1].cap_wad < size_wad or slopes[0][0] <= -due.open_price:
        return None
    (least, best), others = slopes[0], slopes[1:]
    last = own = 0.0
    if best.cap_wad == size_wad:
        # the last of a convex curve's stretches is no steeper than if all before had the first one's slope
        own, share = _cost(best, size_wad, curves), SHARES[-2] / 64
        last = (own - least * size * share) / (size * (1 - share))
    if best.cap_wad > size_wad or last > min((due.open_price, *(slope for slope, _ in others))):
        points = [0, *(best.cap_wad * share // 64 for share in SHARES)]
        after = bisect_left(points, size_wad)
        last = _slope(best, points[after - 1], points[after], curves)
        own = _cost(best, points[after], curves) - last * to_float(points[after] - size_wad)
    cost = due.gas + own
    rivals = [due.gas + slope * size for slope, _ in others]  # one of the others alone
    # several together: where its last unit is no dearer than their first, none is better off elsewhere
    together = own if all(last <= slope for slope, _ in others) else least * size
    if not all(_is_idle(back, least, curves) for back in backs):
        return None
    if others or backs:
        rivals.append(2 * due.gas + together)
    rivals.append(due.open_price * size)  # nothing at all
    clear = cost + CLEARLY * (abs(cost) + due.gas)
    is_least = all(clear < rival for rival in rivals) and last < due.open_price * (1 - CLEARLY)
    return best if is_least else None


def _is_idle(back: Deal, least: float, curves: Curves) -> bool:
    """Whether its first unit takes more than it brings and what making up for it costs at least."""
    if curves.carry(back.offer, back.sign) + least >= 0:
        return True
    return _slope(back, 0, back.cap_wad * SHARES[0] // 64, curves) + least >= 0


def _cost(deal: Deal, size_wad: int, curves: Curves) -> float:
    return to_float(curves.cost_wad(deal.offer, deal.sign * size_wad)) + curves.carry(
        deal.offer, deal.sign
    ) * to_float(size_wad)


def _slope(deal: Deal, low_wad: int, high_wad: int, curves: Curves) -> float:
    low = _cost(deal, low_wad, curves) if low_wad else 0.0
    return (_cost(deal, high_wad, curves) - low) / to_float(high_wad - low_wad)


def _keeps_rows(
    best: Deal, size_wad: int, snapshot: Snapshot, policy: Policy, curves: Curves, treasury: Treasury
) -> bool:
    """Whether the accounts, free collateral and the wallet stand the trade with room to spare."""
    offer = best.offer
    limit_wad = curves.deal_limit_wad(best, abs(size_wad))
    state = snapshot.venue(offer.venue)
    if offer.cash_token is None:
        free_wad = sum(max(0, account.removable_wad) for account in state.margins)
        if not _leaves(free_wad, curves.need_wad(offer, size_wad)):
            return False
    else:
        token: Address | None = offer.cash_token.address
        paid_wad = mul_up(size_wad, limit_wad)
        if size_wad < 0:
            token, paid_wad = treasury.asset_tokens.get(best.offer.asset), -size_wad
        if token is None or not _leaves(treasury.by_token.get(token, 0), paid_wad):
            return False
        if size_wad > 0 and token != treasury.quote:
            return False
    for account in state.margins:
        if not (is_tradable(account) and touches(account, offer)):
            continue
        after = account.traded(offer.market, size_wad, limit_wad)
        # what is calm knows its shape: between these its headroom is least at one of them
        for ratio_wad in ratios_within(after, policy.guard_distance):
            prices = prices_at(after, ratio_wad)
            equity_wad = after.equity_wad(prices, after.at_s)
            left_wad = equity_wad - after.requirement_wad(prices, after.at_s) - unit_wad(after)
            spare_wad = (abs(equity_wad) + abs(after.collateral_wad)) // SPARE
            if left_wad <= spare_wad or after.is_liquidatable(prices, after.at_s):
                return False
    return True


def _leaves(held_wad: int, taken_wad: int) -> bool:
    """Whether it is there, and one part in `SPARE` beside it."""
    return taken_wad + held_wad // SPARE < held_wad
