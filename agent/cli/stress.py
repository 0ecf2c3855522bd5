"""``evenkeel stress``: the book under named days, events, drawn shocks and a grid of spot by volatility."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from agent import assembly
from agent.cli.command import show
from agent.cli.grid import Grid as Table
from agent.cli.heat import legend, rows, sheets
from agent.config import Config
from agent.dashboard.stress import Row, StressReport, letters, sheet, stress_html
from agent.errors import ConfigInvalid, ScenarioUnknown
from agent.market.snapshot import Snapshot
from agent.risk.covariance import draw
from agent.risk.history import DAYS, Day
from agent.risk.scenario import Grid, Scenario, closed, depegged, jump
from agent.risk.stress import Book, Outcome, VenueRisk, account_at_risk, book_of, run, venue_risks
from agent.runtime import telemetry
from agent.runtime.supervisor import require_positions

DEPEG = 0.8
EVENT_MOVES = (-0.2, 0.2)
OUTAGE_H = 30.0  # past the worst hour of the day it is tried on
OUTAGE_DAY = "march-2020"
QUANTILE = 0.99
DRAW_STEPS = 8
TAIL = 4.0  # degrees of freedom of the drawn moves
FALLBACK_VOL = 0.8
CORRELATION = 0.8
EVENTS = (
    ("adl-VENUE", "the venue's positions are closed at the present price, then prices -20% or +20%"),
    ("liquidated-VENUE", "the same, and the venue takes its penalty"),
    ("depeg-TOKEN", f"the token is worth {DEPEG:g} of its face, prices stay"),
    ("rescued", f"{OUTAGE_DAY} while the wallet's cash tops up every account that would be liquidated"),
    ("outage-VENUE", f"the same, but the venue cannot be reached for the first {OUTAGE_H:g} hours"),
)


@dataclass(frozen=True)
class Wish:
    """What the command was asked for. Moves are relative, volatilities per year."""

    spot_moves: tuple[float, ...]
    vol_moves: tuple[float, ...]
    hours: tuple[float, ...]
    scenarios: tuple[str, ...]
    vol_per_fall: float
    draws: int
    horizon_h: float
    seed: int
    html: Path | None


@dataclass(frozen=True)
class Drawn:
    """What the drawn moves say. ``accounts``: margin at risk per account; losses positive, quote currency."""

    vols: Mapping[str, float]
    venues: tuple[VenueRisk, ...]
    accounts: Mapping[str, float]
    loss_at_risk: float


def listed(*, as_json: bool) -> None:
    """The named days with their sources, and the events; asks nothing of a chain."""
    days = [
        {
            "name": day.name,
            "title": day.title,
            "from_utc": day.began,
            "hours": day.hours,
            "source": day.source,
        }
        | {"lowest": {asset: float(path.min()) for asset, path in day.ratios.items()}}
        for day in DAYS
    ]

    def table() -> Group:
        grid = Table("name", "hours", "ETH low", "BTC low", "source", prose="source")
        for day in DAYS:
            lows = [f"{path.min() - 1:.1%}" for path in day.ratios.values()]
            grid.add(day.name, str(day.hours), *lows, day.source)
        events = Table("event", "what happens", prose="what happens")
        for name, words in EVENTS:
            events.add(name, words)
        return Group(grid, events)

    show(as_json, lambda: {"days": days, "events": dict(EVENTS)}, table)


def stress(config: Config, wish: Wish, *, as_json: bool) -> None:
    """The book of the newest block under every scenario asked for. Raises ScenarioUnknown."""
    telemetry.configure("error" if as_json else config.run.log_level, as_json=as_json)
    desk, block = assembly.dry_desk(config)
    snapshot = desk.eye.see(desk.account, block)
    require_positions(desk, snapshot)
    book = book_of(snapshot)
    known = {scenario.name: scenario for scenario in (*_days(wish), *_events(snapshot, book, wish))}
    unknown = [name for name in wish.scenarios if name not in known]
    if unknown:
        raise ScenarioUnknown(name=unknown[0], known=", ".join(known))
    chosen = [known[name] for name in wish.scenarios] if wish.scenarios else list(known.values())
    tried = [_row(book, run(book, scenario)) for scenario in chosen]
    grids = [Grid(wish.spot_moves, wish.vol_moves, hours) for hours in wish.hours]
    cells = [run(book, grid.scenario) for grid in grids] if not wish.scenarios else []
    drawn = _drawn(snapshot, book, wish) if wish.draws and not wish.scenarios else None
    report = StressReport(
        block=block.number,
        account=str(snapshot.account),
        worth=book.worth,
        letters=letters(account.key for account in book.accounts),
        rows=tuple(tried),
        grids=tuple(zip(grids, cells, strict=False)) if cells else (),
        approximate=book.approximate,
    )
    if wish.html is not None:
        _write(wish.html, stress_html(report))
    show(as_json, lambda: report_json(report, drawn, wish), lambda: _tables(report, drawn, wish))


def _write(path: Path, html: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid(key="--html", value=str(path), reason=f"it cannot be written: {error}") from error


def numbers(text: str, option: str, least: float, *, scale: float = 0.01) -> tuple[float, ...]:
    """A comma-separated list as numbers, rising, each once. Raises ConfigInvalid."""
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise ConfigInvalid(key=option, value=text, reason="give numbers separated by commas") from error
    if not all(math.isfinite(one) and one >= least for one in found) or len(found) > 25:
        raise ConfigInvalid(key=option, value=text, reason=f"at most 25 finite numbers, none below {least:g}")
    return tuple(one * scale for one in found)


def _days(wish: Wish) -> list[Scenario]:
    return [_of_day(day, wish) for day in DAYS]


def _of_day(day: Day, wish: Wish) -> Scenario:
    return Scenario(day.name, day.title, day.states(wish.vol_per_fall), day.source)


def _events(snapshot: Snapshot, book: Book, wish: Wish) -> list[Scenario]:
    found = [closed(venue, EVENT_MOVES, penalised=hit) for hit in (False, True) for venue in book.venues]
    tokens = {account.collateral_token.address: account.collateral_token for account in book.accounts}
    tokens |= {a.token.address: a.token for a in snapshot.wallet.balances if a.token.address in book.cash}
    for token in tokens.values():
        states = depegged(jump([1.0]), token.address, DEPEG)
        found.append(Scenario(f"depeg-{token.symbol}", f"{token.symbol} at {DEPEG:g} of its face", states))
    (day,) = [day for day in DAYS if day.name == OUTAGE_DAY]
    path = _of_day(day, wish)
    found.append(Scenario("rescued", f"{day.title}, the wallet pays", path.states, day.source, outages={}))
    for venue in book.venues:
        title = f"{day.title}, the wallet pays, {venue} out of reach for {OUTAGE_H:g} h"
        found.append(Scenario(f"outage-{venue}", title, path.states, day.source, outages={venue: OUTAGE_H}))
    return found


def _row(book: Book, outcome: Outcome) -> Row:
    """The scenario with its worst case, where it holds several."""
    number = int(outcome.end.argmin())
    liquidated = outcome.liquidated(number)
    return Row(
        name=outcome.scenario.name,
        title=outcome.scenario.title,
        source=outcome.scenario.source,
        pnl=float(outcome.end[number]),
        lowest=float(outcome.worst[number]),
        room={key: float(outcome.room[i, number]) for i, key in enumerate(outcome.keys)},
        liquidated=liquidated,
        hours={key: outcome.hours_to(key, number) or 0.0 for key in liquidated},
        penalty=float(outcome.penalty[:, number].sum()),
        topped=float(outcome.topped[:, number].sum()),
        path=tuple(outcome.pnl[number].tolist()),
        path_hours=tuple(outcome.scenario.states.hours[number].tolist()),
    )


def _drawn(snapshot: Snapshot, book: Book, wish: Wish) -> Drawn:
    """Correlated, fat-tailed moves of all assets at the volatilities the book's options are marked at."""
    vols = _vols(snapshot)
    assets = tuple(vols)
    pairs = {(a, b): CORRELATION for i, a in enumerate(assets) for b in assets[i + 1 :]}
    states = draw(
        vols, pairs, hours=wish.horizon_h, steps=DRAW_STEPS, count=wish.draws, seed=wish.seed, tail=TAIL
    )
    outcome = run(book, Scenario("drawn", "drawn moves", states))
    return Drawn(
        vols,
        venue_risks(outcome, QUANTILE),
        account_at_risk(outcome, QUANTILE),
        float(-np.quantile(outcome.end, 1.0 - QUANTILE)),
    )


def _vols(snapshot: Snapshot) -> dict[str, float]:
    """Per asset the mean volatility that its options are marked at; FALLBACK_VOL for an asset without."""
    seen: dict[str, list[float]] = {}
    for position in snapshot.positions:
        ivs = seen.setdefault(position.instrument.asset, [])
        ivs += [position.iv] if position.iv is not None else []
    return {asset: sum(ivs) / len(ivs) if ivs else FALLBACK_VOL for asset, ivs in seen.items()}


def report_json(report: StressReport, drawn: Drawn | None, wish: Wish) -> dict[str, object]:
    """Everything for programs; money as numbers, since all of it is floats from the start."""
    return {
        "block": report.block,
        "account": report.account,
        "worth": report.worth,
        "approximate": list(report.approximate),
        "scenarios": [
            {
                "name": row.name,
                "title": row.title,
                "pnl": row.pnl,
                "lowest_pnl": row.lowest,
                "headroom": dict(row.room),
                "liquidated": [{"key": key, "hours": row.hours[key]} for key in row.liquidated],
                "penalty": row.penalty,
                "topped_up": row.topped,
                "source": row.source,
            }
            for row in report.rows
        ],
        "grids": [
            {
                "hours": grid.hours,
                "spot_moves": list(grid.spot_moves),
                "vol_moves": list(grid.vol_moves),
                "pnl": [[cell.pnl for cell in row] for row in sheet(grid, outcome)],
                "liquidated": [[list(cell.liquidated) for cell in row] for row in sheet(grid, outcome)],
            }
            for grid, outcome in report.grids
        ],
        "drawn": None if drawn is None else _drawn_json(drawn, wish),
    }


def _drawn_json(drawn: Drawn, wish: Wish) -> dict[str, object]:
    return {
        "count": wish.draws,
        "hours": wish.horizon_h,
        "seed": wish.seed,
        "tail": TAIL,
        "quantile": QUANTILE,
        "vols": dict(drawn.vols),
        "correlation": CORRELATION,
        "loss_at_risk": drawn.loss_at_risk,
        "margin_at_risk": dict(drawn.accounts),
        "venues": {
            one.venue: {
                "margin_at_risk": one.margin_at_risk,
                "expected_liquidation_loss": one.expected_loss,
                "probability": one.probability,
            }
            for one in drawn.venues
        },
    }


def _tables(report: StressReport, drawn: Drawn | None, wish: Wish) -> Group:
    title = f"block {report.block}  {report.account}  worth {report.worth:,.2f}"
    parts: list[RenderableType] = [Text(title, style="bold"), legend(report.letters), Text("")]
    parts += sheets(report)
    parts.append(rows(report))
    if drawn is not None:
        vols = ", ".join(f"{asset} {vol:.0%}" for asset, vol in drawn.vols.items())
        words = (
            f"{wish.draws:,} drawn moves over {wish.horizon_h:g} h (seed {wish.seed}, Student's t of "
            f"{TAIL:g}, {vols}): {QUANTILE:.0%} of them lose less than {drawn.loss_at_risk:,.2f}"
        )
        grid = Table("venue", "margin at risk", "expected loss", "liquidated in")
        for one in drawn.venues:
            grid.add(
                one.venue, f"{one.margin_at_risk:,.2f}", f"{one.expected_loss:,.2f}", f"{one.probability:.2%}"
            )
        parts += [Text(words), grid]
    if report.approximate:
        parts.append(Text(f"known only by their Greeks: {', '.join(report.approximate)}", style="yellow"))
    return Group(*parts)
