"""How much is at stake: from the distance to liquidation in price and time to what may be bid for a plan.

Pressure says how near an account is, from 0 (outside every threshold) to 10,000 (as near as the policy
fears). It is the larger of two straight lines: one from ``policy.floor_distance`` to that times
``policy.critical_share``, after what the price has just moved is taken off the distance, for it may move
that far again before a transaction is mined; one from ``policy.rescue_hours`` to that times the same share,
in hours of funding and decay at standing prices. There is no memory in it: the same book and the same moves
give the same answer.

The budget is what the transaction is worth: what the protocols would keep in a liquidation, times the chance
that it comes to that without us. The chance is the pressure, and never less than
``policy.rescue_probability``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.market.intent import Urgency
from agent.market.margin import CollateralKind, MarginAccount, PenalisedAccount
from agent.market.snapshot import Snapshot
from agent.planning.policy import Policy
from agent.risk.assessment import AccountRisk, Assessment
from agent.values.fixed import BPS, WAD, from_float, mul_div_down, mul_down

Moves = Mapping[str, float]  # asset to the relative move of its price seen of late, >= 0
NO_MOVES: Moves = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stake:
    """What a plan may bid. ``pressure_bps`` 0 to 10,000 grades the bid inside the urgency.

    ``budget_wei`` is what the transaction is worth, None where nobody can say: then the cap alone counts.
    """

    urgency: Urgency
    pressure_bps: int
    budget_wei: int | None = None


def stake(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    moves: Moves = NO_MOVES,
    *,
    saves_margin: bool,
    restores_band: bool,
    about_margin: bool = True,
) -> Stake:
    """What a plan may bid.

    ``saves_margin``: it pays collateral in or closes what needs it. ``restores_band``: it brings a delta
    back that was outside its band. ``about_margin``: an account's danger makes it urgent, too; False for the
    part of a plan that leaves the accounts alone, so that the rescue itself can still overtake it.
    """
    near = {risk.key: danger_bps(risk, policy, moves) for risk in assessment.accounts}
    danger = max(near.values(), default=0) if about_margin else 0
    outside = band_bps(assessment) if restores_band else 0
    is_rescue = saves_margin or restores_band or danger > 0
    urgency = Urgency.RESCUE if is_rescue else Urgency.NORMAL
    pressure = max(danger, outside)
    if restores_band or not is_rescue:  # what an open delta costs is not a liquidation's penalty
        return Stake(urgency, pressure)
    least_bps = int(policy.rescue_probability * BPS)
    expected_wad = [
        mul_div_down(_loss_wad(account, assessment), max(near[account.key], least_bps), BPS)
        for account in snapshot.margins
        if near.get(account.key, 0) > 0
    ]
    # One account whose loss nobody can say makes the sum say nothing. Nor is a loss of nothing a reason to
    # bid nothing: an account that is already under water has no collateral left for a penalty.
    known = all(expected_wad)
    return Stake(
        urgency,
        pressure,
        worth_wei(sum(expected_wad) if known else 0, BPS, _gas_price_wad(assessment, policy)),
    )


def danger_bps(risk: AccountRisk, policy: Policy, moves: Moves = NO_MOVES) -> int:
    """How near one account is to liquidation: 0 outside the thresholds, 10,000 at or beyond the critical."""
    distance = risk.distance - moves.get(risk.asset, 0.0)
    hours = math.inf if risk.hours_to_liquidation is None else risk.hours_to_liquidation
    share = float(policy.critical_share)
    floor, soon = float(policy.floor_distance), float(policy.rescue_hours)
    return max(_line_bps(distance, floor, floor * share), _line_bps(hours, soon, soon * share))


def band_bps(assessment: Assessment) -> int:
    """How far the worst net delta is outside its band: 0 at the edge, 10,000 at twice the band."""
    over = [
        _line_bps(2.0 - abs(limit.value) / limit.bound, 1.0, 0.0) if limit.bound > 0 else BPS
        for limit in assessment.bands
        if limit.breached
    ]
    return max(over, default=0)


def worth_wei(loss_wad: int, probability_bps: int, price_wad: int | None) -> int | None:
    """An expected loss in the chain's currency, rounded down: against paying.

    ``loss_wad`` and ``price_wad`` (of one whole native coin) in the same quote currency. None if the price is
    not known or there is no loss to speak of: the cap alone counts then.
    """
    if price_wad is None or price_wad <= 0 or loss_wad <= 0:
        return None
    return loss_wad * probability_bps * WAD // (BPS * price_wad)


def budget_wei(loss_wad: int, probability_bps: int, price_wad: int | None, cap_wei: int) -> int:
    """min(cap, expected loss x probability); the cap alone where the loss or the price is not known."""
    worth = worth_wei(loss_wad, probability_bps, price_wad)
    return cap_wei if worth is None else min(cap_wei, worth)


def _line_bps(value: float, start: float, end: float) -> int:
    """0 at ``start`` and above, 10,000 at ``end`` and below, straight between; nearer counts upward."""
    if value >= start:
        return 0
    if value <= end:
        return BPS
    return min(BPS, math.ceil(BPS * (start - value) / (start - end)))


def _loss_wad(account: MarginAccount, assessment: Assessment) -> int:
    """The protocol's penalty in quote, rounded down; 0 where the venue does not say."""
    if not isinstance(account, PenalisedAccount):
        return 0
    loss_wad = account.liquidation_loss_wad
    if account.collateral_kind is CollateralKind.QUOTE:
        return loss_wad
    return mul_down(loss_wad, from_float(assessment.spot.get(account.asset, 0.0)))


def _gas_price_wad(assessment: Assessment, policy: Policy) -> int | None:
    price = assessment.spot.get(policy.native_asset)
    return None if price is None else from_float(price)
