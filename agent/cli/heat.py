"""The stressed book on a terminal: a grid coloured by profit and loss, and one row per scenario."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli.grid import Grid
from agent.dashboard.stress import Cell, StressReport, brief, percent, sheet

# from a loss of the scale's whole width to a profit of it; told apart without red and green, too
SHADES = ("#b2182b", "#d6604d", "#f4a582", "#f7f7f7", "#92c5de", "#4393c3", "#2166ac")
INKS = ("white", "white", "black", "black", "black", "white", "white")


def legend(letters: Mapping[str, str]) -> Text:
    """Which letter is which account."""
    named = "  ".join(f"{letter} {key}" for key, letter in letters.items())
    return Text(f"a letter in a cell: liquidated there.  {named}" if letters else "no margin accounts")


def sheets(report: StressReport) -> list[RenderableType]:
    """One grid for each time: a row for each move of the price, a column for each of the volatility."""
    found: list[RenderableType] = []
    scale = report.scale
    for grid, outcome in report.grids:
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left"
        )
        table.title = Text(f"P&L, prices jump and stay for {grid.hours:g} h", style="bold")
        table.add_column("spot \\ vol", no_wrap=True)
        for move in grid.vol_moves:
            table.add_column(percent(move), justify="right", no_wrap=True)
        for move, cells in zip(grid.spot_moves, sheet(grid, outcome), strict=True):
            table.add_row(percent(move), *(_cell(cell, report.letters, scale) for cell in cells))
        found += [table, Text("")]
    return found


def rows(report: StressReport) -> Grid:
    """Named days and events: what they cost, whom they liquidate and when, the headroom that is left."""
    names = [f"room {letter}" for letter in report.letters.values()]
    grid = Grid("scenario", "P&L", "lowest", "liquidated", *names, expendable=("lowest", *reversed(names)))
    for row in report.rows:
        hit = " ".join(f"{report.letters[key]}@{row.hours[key]:.0f}h" for key in row.liquidated)
        rooms = [brief(row.room[key]) for key in report.letters]
        style = "bold red" if hit else "green"
        grid.add(row.name, brief(row.pnl), brief(row.lowest), Text(hit or "-", style=style), *rooms)
    return grid


def _cell(cell: Cell, letters: Mapping[str, str], scale: float) -> Text:
    middle = len(SHADES) // 2
    shade = middle + round(max(-1.0, min(1.0, cell.pnl / scale)) * middle)
    hit = "".join(letters[key] for key in cell.liquidated)
    words = f"{hit} {brief(cell.pnl)}" if hit else brief(cell.pnl)
    return Text(words, style=f"{INKS[shade]} on {SHADES[shade]}")
