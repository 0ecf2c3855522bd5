"""The items as choices of the optimiser: what each costs and what it changes, along its size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.market.margin import MarginAccount
from agent.market.offer import LottedOffer
from agent.planning.curve import Curves
from agent.planning.item import Close, Deal, Pay, Take, close_bill_wad, is_reducible, is_tradable, touches
from agent.planning.pending import is_keeper, leg_exposure
from agent.planning.policy import Policy
from agent.planning.problem import Choice
from agent.planning.safety import slack_wad
from agent.values.fixed import BPS, from_float, mul_up, to_float

NAKED = "naked exposure"  # the measure of what requests leave open, quote x seconds
MOVE_PRICE = 1e-7  # of what is moved: breaks ties, so that no more is moved than is of use


@dataclass(frozen=True, slots=True)
class Point:
    """A row's measure of one account: its slack at ``ratio_wad`` of the prices; ``start_wad`` it is now."""

    measure: str
    account: MarginAccount
    ratio_wad: int
    start_wad: int


def held(asset: str) -> str:
    """The measure of an asset's delta as long as nothing that is on its way is filled."""
    return f"delta {asset} unfilled"


def deal_choice(
    deal: Deal, curves: Curves, points: Sequence[Point], gas: float, need: str, cash: str, base: str
) -> Choice:
    """A trade. One that is filled later changes the delta that there is when everything is filled, not the
    one that is held. ``need``, ``cash`` and ``base`` are the measures of initial margin, of the quote it is
    paid in and of the token a sale takes; empty where they do not matter.
    """
    offer, sign, policy = deal.offer, deal.sign, curves.policy
    capacity = f"capacity {deal.name}"
    minimum_wad = policy.min_trade_wad
    if isinstance(offer, LottedOffer):
        minimum_wad = max(minimum_wad, offer.min_size_wad)
    if deal.cap_wad < max(minimum_wad, deal.lot_wad, 1):
        # nothing to be had: the name stands in a conflict, the curve is not known
        reach = to_float(max(deal.reach_wad, 1))
        return Choice(
            deal.name,
            (0.0, reach * 1e-6),
            (0.0, 0.0),
            minimum=reach * 1e-3,
            effects={f"delta {offer.asset}": (0.0, sign * reach * 1e-6)},
            capacity=capacity,
            reach=reach,
        )
    sizes = [0, *curves.points(deal)]
    carry = curves.carry(offer, sign)
    floats = tuple(to_float(size) for size in sizes)
    costs = [0.0]
    costs += [to_float(curves.cost_wad(offer, sign * size)) + carry * to_float(size) for size in sizes[1:]]
    effects: dict[str, tuple[float, ...]] = {f"delta {offer.asset}": tuple(sign * size for size in floats)}
    if is_keeper(offer):
        naked = leg_exposure(offer, sizes[-1], policy).usd_s
        effects[NAKED] = tuple(naked * size / floats[-1] for size in floats)
    else:
        effects[held(offer.asset)] = effects[f"delta {offer.asset}"]
    for point in points:
        account = point.account
        if is_tradable(account) and touches(account, offer):
            column = [0.0]
            column += [
                to_float(curves.traded_slack_wad(account, deal, size, point.ratio_wad) - point.start_wad)
                for size in sizes[1:]
            ]
            effects[point.measure] = tuple(column)
    if need:
        taken = [0.0, *(to_float(curves.need_wad(offer, sign * size)) for size in sizes[1:])]
        effects[need] = tuple(-value for value in taken)
    if cash and (sign > 0 or is_keeper(offer)):
        paid = [0.0]
        for size in sizes[1:]:
            paid.append(to_float(_paid_wad(deal, curves, size)))
        effects[cash] = tuple(-value for value in paid)
    if base and sign < 0:
        effects[base] = tuple(-size for size in floats)
    is_limit = deal.cap_wad < deal.reach_wad or deal.is_reducing
    return Choice(
        deal.name,
        floats,
        tuple(costs),
        fixed_cost=gas + to_float(curves.fixed_wad(offer)),
        lot=to_float(deal.lot_wad),
        minimum=to_float(minimum_wad),
        effects=effects,
        capacity=capacity if is_limit else "",
        lot_limit=f"lot {deal.name}" if deal.lot_wad else "",
        minimum_limit=f"smallest trade {deal.name}",
        reach=to_float(deal.reach_wad),
    )


def _paid_wad(deal: Deal, curves: Curves, size_wad: int) -> int:
    """Quote out of the wallet at most: the price, or the margin that travels with a request."""
    if is_keeper(deal.offer):
        return max(0, deal.offer.cash_need_wad(deal.sign * size_wad))
    return mul_up(size_wad, curves.deal_limit_wad(deal, size_wad))


def pay_choice(
    pay: Pay, points: Sequence[Point], gas: float, wallet: Sequence[str], need: str, minimum_wad: int
) -> Choice:
    """Collateral paid in: every unit of it is a unit of slack everywhere."""
    most = to_float(pay.most_wad)
    effects = {point.measure: (0.0, most) for point in points if point.account.key == pay.account.key}
    effects |= dict.fromkeys(wallet, (0.0, -most))
    if need:
        effects[need] = (0.0, most)
    minimum = min(to_float(minimum_wad), most)
    return Choice(
        pay.name,
        (0.0, most),
        (0.0, most * MOVE_PRICE),
        fixed_cost=gas,
        minimum=minimum,
        effects=effects,
        minimum_limit=f"smallest top-up {pay.account.key}",
    )


def take_choice(
    take: Take, points: Sequence[Point], gas: float, wallet: Sequence[str], need: str, minimum_wad: int
) -> Choice:
    """Collateral taken out."""
    most = to_float(take.cap_wad)
    effects = {point.measure: (0.0, -most) for point in points if point.account.key == take.account.key}
    effects |= dict.fromkeys(wallet, (0.0, most))
    if need:
        effects[need] = (0.0, -most)
    return Choice(
        take.name,
        (0.0, most),
        (0.0, most * MOVE_PRICE),
        fixed_cost=gas,
        minimum=to_float(minimum_wad),
        effects=effects,
        capacity=f"idle collateral {take.account.key}",
        minimum_limit=f"smallest move {take.account.key}",
        reach=most * 100,
    )


def close_choice(
    close: Close,
    points: Sequence[Point],
    policy: Policy,
    gas: float,
    wallet: Callable[[MarginAccount | None], Sequence[str]],
) -> Choice:
    """An option closed. It is reckoned to cost the premium the policy allows, and the whole bill is cash.

    All of it gives the collateral back and leaves nothing that could be liquidated; a part keeps the
    collateral. ``wallet`` names the measures of a token's wallet: the quote's for None.
    """
    position = close.position
    size_wad = abs(position.size_wad)
    whole = to_float(size_wad)
    quarters = (4,) if close.is_whole else (1, 2, 3)
    sizes = (0.0, *(whole * part / 4 for part in quarters))
    bill = to_float(close_bill_wad(position, size_wad, policy))
    premium = to_float(mul_up(size_wad, position.mark_wad)) * policy.close_premium_bps / BPS
    greeks = position.greeks
    asset = position.instrument.asset
    changes = {
        f"delta {asset}": -greeks.delta,
        held(asset): -greeks.delta,
        f"gamma {asset}": -greeks.gamma,
        f"vega {asset}": -greeks.vega,
    }
    if position.size_wad < 0:
        for measure in wallet(None):
            changes[measure] = -bill
    effects = {measure: tuple(total * size / whole for size in sizes) for measure, total in changes.items()}
    once: dict[str, float] = {}
    account = close.account
    if account is not None:
        if close.is_whole:
            for measure in wallet(account):
                once[measure] = to_float(account.collateral_wad)
        for point in points:
            if point.account.key != account.key:
                continue
            if close.is_whole:
                once[point.measure] = max(0.0, -to_float(point.start_wad) * 1.01)
            elif is_reducible(account):
                after = (account.cut(position.instrument.market, from_float(size)) for size in sizes[1:])
                effects[point.measure] = (
                    0.0,
                    *(to_float(slack_wad(one, point.ratio_wad) - point.start_wad) for one in after),
                )
    return Choice(
        close.name,
        sizes,
        tuple(premium * size / whole for size in sizes),
        fixed_cost=gas,
        lot=whole if close.is_whole else 0.0,
        minimum=whole if close.is_whole else min(to_float(policy.min_trade_wad), whole),
        effects=effects,
        once=once,
    )
