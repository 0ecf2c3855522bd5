"""What people are shown: the house's nouns as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Group
from rich.text import Text

from agent.cli.figure import number, percent
from agent.cli.grid import Grid
from agent.market.instrument import LiquidityRange
from agent.market.intent import AddCollateral, RemoveCollateral, Step, TakeBack, Trade
from agent.market.position import Position
from agent.market.request import Request
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan
from agent.risk.assessment import Assessment
from agent.runtime.summary import finite, instrument_text, settlement_text
from agent.values.fixed import to_float


def positions_table(snapshot: Snapshot) -> Grid:
    """Every holding, one a row."""
    names = ("key", "instrument", "size", "mark", "value", "delta", "gamma", "vega", "theta")
    grid = Grid(*names, expendable=("gamma", "theta", "vega", "mark", "value", "instrument"))
    for p in snapshot.positions:
        grid.add(
            p.key,
            _instrument_text(p),
            number(to_float(p.size_wad)),
            number(to_float(p.mark_wad)),
            number(to_float(p.value_wad)),
            number(p.greeks.delta, 4),
            number(p.greeks.gamma, 6),
            number(p.greeks.vega),
            number(p.greeks.theta),
        )
    return grid


def assessment_table(assessment: Assessment) -> Group:
    """Accounts, then the book's Greeks, then the limits."""
    names = ("account", "equity", "required", "health", "flips at", "distance", "hours", "because")
    accounts = Grid(*names, expendable=("hours", "required", "equity", "because", "flips at"))
    for risk in assessment.accounts:
        flips = " / ".join(number(to_float(f.price_wad)) for f in (risk.down, risk.up) if f is not None)
        accounts.add(
            risk.key,
            number(to_float(risk.equity_wad)),
            number(to_float(risk.requirement_wad)),
            number(risk.health),
            flips or "never",
            percent(risk.distance),
            "-" if finite(risk.hours_to_liquidation) is None else number(risk.hours_to_liquidation or 0, 1),
            risk.binding,
        )
    book = Grid("asset", "net delta", "gamma", "vega", "theta", expendable=("gamma", "theta", "vega"))
    for asset, greeks in assessment.by_asset.items():
        book.add(
            asset,
            number(greeks.delta, 4),
            number(greeks.gamma, 6),
            number(greeks.vega),
            number(greeks.theta),
        )
    limits = Grid("limit", "value", "bound", "")
    for limit in assessment.limits:
        state = Text("BREACHED", style="bold red") if limit.breached else Text("ok", style="green")
        limits.add(limit.name, number(limit.value, 4), number(limit.bound, 4), state)
    return Group(accounts, book, limits)


def no_plan_text(assessment: Assessment) -> Text:
    """Why there is no plan: nothing is due, or nothing that is worth it or can be done."""
    beyond = [limit.name for limit in assessment.limits if limit.breached]
    if not beyond:
        return Text("Nothing to do: every limit holds.", style="green")
    return Text(f"No plan, although beyond its limit: {', '.join(beyond)}.", style="yellow")


def plan_table(plan: Plan) -> Group:
    """One plan, and why."""
    is_late = bool(plan.naked)
    grid = Grid("leg", "venue", "what", "bound", *(("settled",) if is_late else ()))
    for leg, action in enumerate(plan.actions, 1):
        settled = (settlement_text(plan, action),) if is_late else ()
        grid.add(str(leg), action.venue, *_action_text(action), *settled)
    lines = [f"because {reason}" for reason in plan.reasons] + [f"cannot restore: {u}" for u in plan.unmet]
    lines.append(f"intent {plan.intent_id}")
    lines.append(f"checks before: {', '.join(c.name for c in plan.pre) or 'none'}")
    lines.append(f"checks after: {', '.join(c.name for c in plan.post) or 'none'}")
    after = ", ".join(f"{asset} {number(to_float(wad), 4)}" for asset, wad in plan.delta_after_wad.items())
    lines.append(f"net delta after: {after}; expected cost {number(to_float(plan.cost_wad))}")
    lines += naked_lines(plan)
    return Group(grid, Text("\n".join(lines)))


def naked_lines(plan: Plan) -> list[str]:
    """What stays unhedged while keepers are waited for, and at most how much of it there may be."""
    if not plan.naked:
        return []
    lines = [
        f"waits for a keeper: {number(to_float(one.size_wad), 4)} {one.asset} on {one.market}"
        f"{f' (request {one.key})' if one.key else ''}, at most {one.seconds} s"
        for one in plan.naked
    ]
    until = ", ".join(f"{asset} {number(to_float(wad), 4)}" for asset, wad in plan.delta_until_wad.items())
    lines.append(f"net delta until filled: {until}")
    worst, most = plan.naked_usd_s, plan.naked_limit_usd_s
    lines.append(f"worst-case naked exposure: {worst:,} USD x s, limit {most:,} USD x s")
    return lines


def requests_table(requests: Sequence[Request]) -> Grid:
    """What keepers are asked for, one a row."""
    grid = Grid(
        "request", "market", "size", "filled", "phase", "may be taken back at", expendable=("request",)
    )
    for one in requests:
        at = datetime.fromtimestamp(one.cancel_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
        sizes = (number(to_float(one.size_wad), 4), number(to_float(one.filled_wad), 4))
        grid.add(one.key, one.market, *sizes, one.phase.value, at)
    return grid


def pairs_table(pairs: Iterable[tuple[str, object]]) -> Grid:
    """Two columns, the second as long as it is."""
    grid = Grid("key", "value", prose="value")
    for name, value in pairs:
        grid.add(name, Text(str(value)))
    return grid


def rows_table(rows: Sequence[Mapping[str, object]], *, prose: str, expendable: Sequence[str]) -> Grid:
    """Any rows of the same keys."""
    grid = Grid(*(rows[0] if rows else ("nothing",)), prose=prose, expendable=expendable)
    for row in rows:
        grid.add(*(str(value) for value in row.values()))
    return grid


def _action_text(action: Step) -> tuple[str, str]:
    if isinstance(action, Trade):
        verb = "buy" if action.size_wad > 0 else "sell"
        return (
            f"{verb} {number(abs(to_float(action.size_wad)), 4)} on {action.market}",
            f"at {number(to_float(action.limit_price_wad))} or better",
        )
    if isinstance(action, AddCollateral):
        return f"pay {number(to_float(action.amount_wad))} into {action.key}", ""
    if isinstance(action, RemoveCollateral):
        return f"take {number(to_float(action.amount_wad))} out of {action.key}", ""
    if isinstance(action, TakeBack):
        return f"take back request {action.key}", ""
    return (
        f"close {number(to_float(action.size_wad), 4)} of {action.key}",
        f"for {number(to_float(action.max_cost_wad))} at most",
    )


def _instrument_text(position: Position) -> str:
    """A range's prices as short as they say something."""
    thing = position.instrument
    if isinstance(thing, LiquidityRange):
        low, high = to_float(thing.lower_price_wad), to_float(thing.upper_price_wad)
        return f"{thing.asset} LP {_brief(low)}-{_brief(high)}"
    return instrument_text(position)


def _brief(price: float) -> str:
    return f"{price:.0f}" if price >= 1000 else f"{price:.4g}"
