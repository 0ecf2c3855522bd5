"""The house's nouns as plain JSON: what programs are shown and what the record keeps."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime

from agent.market.instrument import LiquidityRange, Option, Perpetual
from agent.market.intent import Step, Trade
from agent.market.position import Greeks, Position
from agent.market.request import Request, open_requests
from agent.market.snapshot import Snapshot
from agent.market.standing import Standing
from agent.planning.pending import Exposure
from agent.planning.plan import Plan
from agent.risk.assessment import AccountRisk, Assessment
from agent.risk.explanation import Case, Explanation
from agent.risk.liquidation import Flip
from agent.values.fixed import decimal

Json = dict[str, object]


def plain(raw_wad: int) -> str:
    """A wad as an exact decimal string: JSON numbers would lose digits."""
    return format(decimal(raw_wad).normalize(), "f")


def snapshot_json(snapshot: Snapshot) -> Json:
    """Block, wallet, quotes, positions and what keepers are asked for."""
    return {
        "chain_id": snapshot.chain_id,
        "account": snapshot.account,
        "block": {
            "number": snapshot.block.number,
            "hash": snapshot.block.hash,
            "timestamp_s": snapshot.block.timestamp_s,
        },
        "wallet": {
            "native_wei": snapshot.wallet.native_wei,
            "tokens": {a.token.symbol: str(a.decimal) for a in snapshot.wallet.balances},
        },
        "quotes": [
            {
                "venue": q.venue,
                "market": q.market,
                "asset": q.asset,
                "index": plain(q.index_wad),
                "mark": plain(q.mark_wad),
                "funding_per_day": plain(q.funding_per_day_wad),
            }
            for state in snapshot.venues
            for q in state.quotes
        ],
        "positions": [position_json(p) for p in snapshot.positions],
        "requests": [request_json(request) for request in open_requests(snapshot)],
        "venues": [standing_json(one) for one in snapshot.standings],
    }


def standing_json(standing: Standing) -> Json:
    """How one venue stands."""
    return {
        "venue": standing.venue,
        "access": standing.access.value,
        "stage": standing.stage,
        "drifts": list(standing.drifts),
        "reasons": list(standing.reasons),
        "ends_in_s": standing.ends_in_s,
    }


def position_json(position: Position) -> Json:
    """One holding with its Greeks."""
    return {
        "venue": position.venue,
        "key": position.key,
        "instrument": instrument_text(position),
        "size": plain(position.size_wad),
        "value": plain(position.value_wad),
        "mark": plain(position.mark_wad),
        "iv": position.iv,
        "greeks": greeks_json(position.greeks),
    }


def greeks_json(greeks: Greeks) -> Json:
    """Units as in ``Greeks``."""
    return {field.name: getattr(greeks, field.name) for field in fields(greeks)}


def instrument_text(position: Position) -> str:
    """\"ETH 01JUL25 1900 put\" and the like."""
    thing = position.instrument
    if isinstance(thing, Option):
        day = datetime.fromtimestamp(thing.expiry_s, UTC).strftime("%d%b%y").upper()
        return f"{thing.asset} {day} {plain(thing.strike_wad)} {thing.kind.value}"
    if isinstance(thing, LiquidityRange):
        low, high = decimal(thing.lower_price_wad), decimal(thing.upper_price_wad)
        return f"{thing.asset} LP {low:.2f}-{high:.2f}"
    if isinstance(thing, Perpetual):
        return f"{thing.asset} perpetual"
    return f"{thing.asset} spot"


def flip_json(flip: Flip | None) -> Json | None:
    """The price at which the contract's own predicate flips."""
    if flip is None:
        return None
    return {
        "direction": flip.direction,
        "price": plain(flip.price_wad),
        "distance": flip.distance,
        "binding": flip.binding,
        "tolerance": plain(flip.tolerance_wad),
    }


def account_json(risk: AccountRisk) -> Json:
    """One margin account."""
    return {
        "key": risk.key,
        "venue": risk.venue,
        "equity": plain(risk.equity_wad),
        "requirement": plain(risk.requirement_wad),
        "health": finite(risk.health),
        "distance": finite(risk.distance),
        "down": flip_json(risk.down),
        "up": flip_json(risk.up),
        "hours_to_liquidation": finite(risk.hours_to_liquidation),
        "binding": risk.binding,
    }


def explanation_json(told: Explanation) -> Json:
    """What moves the book, what would liquidate it, what would help. Money in quote."""
    return {
        "target_distance": told.target,
        "drivers": [
            {
                "key": driver.key,
                "asset": driver.asset,
                "price_up_1_percent": driver.up,
                "price_down_1_percent": driver.down,
                "vol_up_1_point": driver.vol_point,
                "decay_per_day": driver.decay,
                "funding_per_day": driver.funding,
            }
            for driver in told.drivers
        ],
        "accounts": [_case_json(case) for case in told.cases],
    }


def _case_json(case: Case) -> Json:
    return {
        "key": case.key,
        "flips": [{"market": flip.market, **(flip_json(flip) or {})} for flip in case.flips],
        "seconds_to_liquidation": None if case.lapse is None else case.lapse.seconds,
        "lapse_binding": None if case.lapse is None else case.lapse.binding,
        "lapse_tolerance_s": None if case.lapse is None else case.lapse.tolerance_s,
        "collateral_to_target": plain(case.collateral.amount_wad),
        "collateral_binding": case.collateral.binding,
        "collateral_tolerance": plain(case.collateral.tolerance_wad),
        "collateral_token": case.token,
        "cuts": [
            {
                "market": cut.market,
                "size": None if cut.remedy is None else plain(cut.remedy.amount_wad),
                "binding": None if cut.remedy is None else cut.remedy.binding,
                "tolerance": None if cut.remedy is None else plain(cut.remedy.tolerance_wad),
            }
            for cut in case.cuts
        ],
    }


def finite(value: float | None) -> float | None:
    """JSON has no infinity: an account that cannot be liquidated has none."""
    return value if value is not None and math.isfinite(value) else None


def assessment_json(assessment: Assessment) -> Json:
    """What the judge says."""
    return {
        "block": assessment.block.number,
        "equity_usd": assessment.equity_usd,
        "greeks": {asset: greeks_json(greeks) for asset, greeks in assessment.by_asset.items()},
        "accounts": [account_json(risk) for risk in assessment.accounts],
        "limits": [
            {
                "name": limit.name,
                "value": finite(limit.value),
                "bound": limit.bound,
                "breached": limit.breached,
            }
            for limit in assessment.limits
        ],
    }


def action_json(action: Step) -> Json:
    """One action of a plan."""
    fields = {name: getattr(action, name) for name in action.__dataclass_fields__}
    return {"action": type(action).__name__} | {
        name.removesuffix("_wad"): plain(value) if name.endswith("_wad") else value
        for name, value in fields.items()
    }


def plan_json(plan: Plan) -> Json:
    """A plan with its legs, checks and why."""
    return {
        "intent_id": plan.intent_id,
        "deadline_s": plan.deadline_s,
        "urgency": plan.urgency.value,
        "pressure_bps": plan.pressure_bps,
        "budget_wei": plan.budget_wei,
        "reasons": list(plan.reasons),
        "unmet": list(plan.unmet),
        "actions": [
            action_json(action) | {"settlement": settlement_text(plan, action)} for action in plan.actions
        ],
        "calls": [
            {"target": call.target, "label": call.label, "data": "0x" + call.data.hex()}
            for call in plan.calls
        ],
        "checks_before": [check.name for check in plan.pre],
        "checks_after": [check.name for check in plan.post],
        "delta_after": {asset: plain(wad) for asset, wad in plan.delta_after_wad.items()},
        "expected_cost": plain(plan.cost_wad),
        "delta_until_filled": {asset: plain(wad) for asset, wad in plan.delta_until_wad.items()},
        "naked_usd_s": plan.naked_usd_s,
        "naked_limit_usd_s": plan.naked_limit_usd_s,
        "naked": [exposure_json(exposure) for exposure in plan.naked],
    }


def settlement_text(plan: Plan, action: Step) -> str:
    """When a leg is done."""
    asked = {exposure.market for exposure in plan.naked if not exposure.key}
    is_late = isinstance(action, Trade) and action.market in asked
    return "by a keeper" if is_late else "same transaction"


def exposure_json(exposure: Exposure) -> Json:
    """What waits for a keeper; ``request`` is empty for a leg of the plan itself."""
    return {
        "venue": exposure.venue,
        "market": exposure.market,
        "request": exposure.key,
        "size": plain(exposure.size_wad),
        "price": plain(exposure.price_wad),
        "seconds": exposure.seconds,
        "usd_s": exposure.usd_s,
    }


def request_json(request: Request) -> Json:
    """What was asked of a keeper, and what has come of it."""
    return {
        "venue": request.venue,
        "key": request.key,
        "market": request.market,
        "asset": request.asset,
        "size": plain(request.size_wad),
        "price": plain(request.price_wad),
        "collateral": plain(request.collateral_wad),
        "margin_key": request.margin_key,
        "requested_at_s": request.requested_at_s,
        "cancel_at_s": request.cancel_at_s,
        "phase": request.phase.value,
        "filled": plain(request.filled_wad),
        "fill_price": plain(request.fill_price_wad),
        "reason": request.reason,
        "block": request.block_number,
        "tx_hash": request.tx_hash,
    }
