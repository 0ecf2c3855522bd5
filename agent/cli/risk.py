"""`evenkeel risk`: what moves the book, what would liquidate it, what the agent would do and at what cost."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from agent import assembly
from agent.cli.command import show
from agent.cli.figure import number, percent
from agent.cli.grid import Grid
from agent.cli.view import assessment_table, no_plan_text, plan_table
from agent.cli.volatility import Surfaces, surfaces, surfaces_grid, surfaces_json
from agent.config import Config
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan
from agent.risk.explanation import Case, Explanation, explain
from agent.risk.liquidation import Flip
from agent.runtime import telemetry
from agent.runtime.cycle import Desk, Pass, cycle
from agent.runtime.summary import assessment_json, explanation_json, instrument_text, plan_json
from agent.runtime.supervisor import require_positions
from agent.values.fixed import WAD, to_float


def risk(config: Config, *, as_json: bool) -> None:
    """One dry cycle, explained. Nothing is sent."""
    telemetry.configure("error" if as_json else config.run.log_level, as_json=as_json)
    desk, block = assembly.dry_desk(config)
    require_positions(desk, desk.eye.see(desk.account, block))
    done = cycle(desk, block)
    told = explain(done.snapshot, float(desk.policy.target_distance))
    vols = surfaces(done.snapshot)
    show(as_json, lambda: _json(desk, done, told, vols), lambda: _tables(desk, done, told, vols))


def _json(desk: Desk, done: Pass, told: Explanation, vols: Surfaces) -> dict[str, object]:
    shown = _shown(done)
    return assessment_json(done.assessment) | {
        "explanation": explanation_json(told),
        "volatility": surfaces_json(vols),
        "plan": None if shown is None else plan_json(shown),
        "plan_gas": _gas(done),
        "plan_gas_usd": _gas_usd(desk, done),
        "refused": list(done.refused),
    }


def _tables(desk: Desk, done: Pass, told: Explanation, vols: Surfaces) -> Group:
    shown, gas_usd = _shown(done), _gas_usd(desk, done)
    doing: list[RenderableType] = [
        no_plan_text(done.assessment) if shown is None else plan_table(shown),
        *(Text(f"dropped: {reason}") for reason in done.refused),
    ]
    if gas_usd is not None:
        doing.append(Text(f"simulated on the pending state: {_gas(done):,} gas, about {number(gas_usd)} USD"))
    quoted: list[RenderableType] = [_title("What volatility the venues quote"), surfaces_grid(vols)]
    if not vols:
        quoted = []
    return Group(
        assessment_table(done.assessment),
        _title("What moves the book (quote)"),
        _drivers(done.snapshot, told),
        _title(f"What would liquidate it, and what takes it {percent(told.target)} away"),
        _cases(done.snapshot, told),
        *quoted,
        _title("What the agent would do now (nothing was sent)"),
        *doing,
    )


def _title(text: str) -> Text:
    return Text(text, style="bold")


def _drivers(snapshot: Snapshot, told: Explanation) -> Grid:
    named = {position.key: instrument_text(position) for position in snapshot.positions}
    grid = Grid(
        "position",
        "instrument",
        "price +1%",
        "price -1%",
        "vol +1 point",
        "decay a day",
        "funding a day",
        expendable=("funding a day", "position", "vol +1 point"),
    )
    for driver in told.drivers:
        values = (driver.up, driver.down, driver.vol_point, driver.decay, driver.funding)
        grid.add(driver.key, named[driver.key], *(number(value) for value in values))
    return grid


def _cases(snapshot: Snapshot, told: Explanation) -> Grid:
    assets = {quote.market: quote.asset for state in snapshot.venues for quote in state.quotes}
    grid = Grid("account", "liquidated when", "because", "to be safe", prose="to be safe")
    for case in told.cases:
        remedy = _remedy(case)
        for flip in case.flips:
            together = "all of them" if len(case.flips) > 2 else case.asset
            name = together if flip.market is None else assets.get(flip.market, flip.market)
            grid.add(case.key, _when(name, flip), flip.binding, remedy)
            remedy = ""
        if case.lapse is not None:
            grid.add(case.key, f"nothing moves for {case.lapse.hours:,.1f} h", case.lapse.binding, remedy)
        elif not case.flips:
            grid.add(case.key, "never", "-", "")
    return grid


def _when(name: str, flip: Flip) -> str:
    if flip.distance == 0:
        return "now"
    verb = "falls" if flip.direction == "down" else "rises"
    return f"{name} {verb} {percent(flip.distance)} to {number(to_float(flip.price_wad))}"


def _remedy(case: Case) -> str:
    more_wad = case.collateral.amount_wad
    if more_wad <= 0:
        return f"{number(to_float(-more_wad))} {case.token} to spare"
    ways = [f"add {number(to_float(more_wad), 4)} {case.token}"]
    cuts = (cut.remedy for cut in case.cuts)
    ways += [f"close {number(to_float(cut.amount_wad), 4)}" for cut in cuts if cut is not None]
    return " or ".join(ways)


def _shown(done: Pass) -> Plan | None:
    return done.chosen or next(iter(done.plans), None)


def _gas(done: Pass) -> int | None:
    return None if done.simulated is None else done.simulated.gas_used


def _gas_usd(desk: Desk, done: Pass) -> float | None:
    """At the block's base fee; None where the gas or the native coin's price is not known."""
    price = done.assessment.spot.get(desk.policy.native_asset)
    if done.simulated is None or price is None:
        return None
    return done.simulated.gas_used * done.block.base_fee_wei / WAD * price
