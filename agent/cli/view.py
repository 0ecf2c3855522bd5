"""What people are shown: the house's nouns as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.market.intent import Action, AddCollateral, RemoveCollateral, Trade
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan
from agent.risk.assessment import Assessment
from agent.runtime.summary import finite, instrument_text
from agent.values.fixed import to_float


def positions_table(snapshot: Snapshot) -> Table:
    """Every holding, one a row."""
    table = _table("key", "instrument", "size", "mark", "value", "delta", "gamma", "vega", "theta")
    for p in snapshot.positions:
        table.add_row(
            p.key,
            instrument_text(p),
            _number(to_float(p.size_wad)),
            _number(to_float(p.mark_wad)),
            _number(to_float(p.value_wad)),
            _number(p.greeks.delta, 4),
            _number(p.greeks.gamma, 6),
            _number(p.greeks.vega),
            _number(p.greeks.theta),
        )
    return table


def assessment_table(assessment: Assessment) -> Group:
    """Accounts, then the book's Greeks, then the limits."""
    accounts = _table(
        "account", "equity", "requirement", "health", "flips at", "distance", "hours", "because"
    )
    for risk in assessment.accounts:
        flips = " / ".join(_number(to_float(f.price_wad)) for f in (risk.down, risk.up) if f is not None)
        accounts.add_row(
            risk.key,
            _number(to_float(risk.equity_wad)),
            _number(to_float(risk.requirement_wad)),
            _number(risk.health),
            flips or "never",
            _percent(risk.distance),
            "-" if finite(risk.hours_to_liquidation) is None else _number(risk.hours_to_liquidation or 0, 1),
            risk.binding,
        )
    book = _table("asset", "net delta", "gamma", "vega", "theta")
    for asset, greeks in assessment.by_asset.items():
        book.add_row(
            asset,
            _number(greeks.delta, 4),
            _number(greeks.gamma, 6),
            _number(greeks.vega),
            _number(greeks.theta),
        )
    limits = _table("limit", "value", "bound", "")
    for limit in assessment.limits:
        state = Text("BREACHED", style="bold red") if limit.breached else Text("ok", style="green")
        limits.add_row(limit.name, _number(limit.value, 4), _number(limit.bound, 4), state)
    return Group(accounts, book, limits)


def plan_table(plans: Sequence[Plan]) -> RenderableType:
    """The plan that would be sent first, and why."""
    if not plans:
        return Text("Nothing to do: every limit holds.", style="green")
    plan = plans[0]
    table = _table("leg", "venue", "what", "bound")
    for number, action in enumerate(plan.actions, 1):
        table.add_row(str(number), action.venue, *_action_text(action))
    lines = [f"because {reason}" for reason in plan.reasons] + [f"cannot restore: {u}" for u in plan.unmet]
    lines.append(f"intent {plan.intent_id}")
    lines.append(f"checks before: {', '.join(c.name for c in plan.pre) or 'none'}")
    lines.append(f"checks after: {', '.join(c.name for c in plan.post) or 'none'}")
    after = ", ".join(f"{asset} {_number(to_float(wad), 4)}" for asset, wad in plan.delta_after_wad.items())
    lines.append(f"net delta after: {after}; expected cost {_number(to_float(plan.cost_wad))}")
    return Group(table, Text("\n".join(lines)))


def pairs_table(pairs: Iterable[tuple[str, object]]) -> Table:
    """Two columns."""
    table = _table("", "")
    for name, value in pairs:
        table.add_row(name, str(value))
    return table


def rows_table(rows: Sequence[Mapping[str, object]]) -> Table:
    """Any rows of the same keys."""
    names = list(rows[0]) if rows else ["nothing"]
    table = _table(*names)
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in names))
    return table


def _action_text(action: Action) -> tuple[str, str]:
    if isinstance(action, Trade):
        verb = "buy" if action.size_wad > 0 else "sell"
        return (
            f"{verb} {_number(abs(to_float(action.size_wad)), 4)} on {action.market}",
            f"at {_number(to_float(action.limit_price_wad))} or better",
        )
    if isinstance(action, AddCollateral):
        return f"pay {_number(to_float(action.amount_wad))} into {action.key}", ""
    if isinstance(action, RemoveCollateral):
        return f"take {_number(to_float(action.amount_wad))} out of {action.key}", ""
    return (
        f"close {_number(to_float(action.size_wad), 4)} of {action.key}",
        f"for {_number(to_float(action.max_cost_wad))} at most",
    )


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(names):
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _number(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else "inf"


def _percent(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2%}"
