"""The house's nouns as plain JSON: what programs are shown and what the record keeps."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime

from agent.market.instrument import LiquidityRange, Option, Perpetual
from agent.market.intent import Action
from agent.market.position import Greeks, Position
from agent.market.snapshot import Snapshot
from agent.market.standing import Standing
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
    """Block, wallet, quotes and positions."""
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


def action_json(action: Action) -> Json:
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
        "actions": [action_json(action) for action in plan.actions],
        "calls": [
            {"target": call.target, "label": call.label, "data": "0x" + call.data.hex()}
            for call in plan.calls
        ],
        "checks_before": [check.name for check in plan.pre],
        "checks_after": [check.name for check in plan.post],
        "delta_after": {asset: plain(wad) for asset, wad in plan.delta_after_wad.items()},
        "expected_cost": plain(plan.cost_wad),
    }
