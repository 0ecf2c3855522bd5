"""The stressed book as one self-contained page: a table of scenarios, grids of spot by volatility, paths."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from agent.dashboard.style import HEAD
from agent.risk.scenario import Grid
from agent.risk.stress import Outcome

INK = "#7a8595"  # legible on white and on near-black
LINES = "rgba(128, 128, 128, 0.22)"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SHEET_PX = 340
PATHS_PX = 340
SCALE = (
    (0.0, "#b2182b"),
    (0.17, "#d6604d"),
    (0.33, "#f4a582"),
    (0.5, "#f7f7f7"),
    (0.67, "#92c5de"),
    (0.83, "#4393c3"),
    (1.0, "#2166ac"),
)

BODY = """<h1>Stress</h1>
<p class="subtitle">{subtitle}</p>
<p class="verdict">{verdict}</p>
<section class="card" aria-label="Named days and events">
<table id="scenarios">
<caption class="unseen">Named days and events</caption>
<thead><tr><th scope="col" style="text-align: left">Scenario</th><th scope="col">P&amp;L</th>
<th scope="col">Liquidated</th><th scope="col">Lowest</th>{names}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</section>
{charts}
<footer>
<p>{legend}</p>
<p>P&amp;L is in quote currency, against the worth of the book at this block; nobody acts unless the scenario
says so. Room is the lowest headroom of an account on the way, below zero where its venue liquidates it. A
grid's cell jumps to its price and volatility at once and stays there. Worth is reckoned in floats from the
venues' own formulas; which account is liquidated follows each contract's own predicate.</p>
{sources}
</footer>
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Row:
    """One scenario, its worst case if it has several. ``room``: lowest headroom per account; ``hours``: when
    the liquidated ones are; money in quote currency.
    """

    name: str
    title: str
    source: str
    pnl: float
    lowest: float
    room: Mapping[str, float]
    liquidated: tuple[str, ...]
    hours: Mapping[str, float]
    penalty: float
    topped: float
    path: tuple[float, ...]
    path_hours: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """One cell of a grid: the P&L at the end of its time and the accounts it liquidates."""

    pnl: float
    liquidated: tuple[str, ...]


@dataclass(frozen=True)
class StressReport:
    """All that is shown. ``letters`` stands for the accounts, by key."""

    block: int
    account: str
    worth: float
    letters: Mapping[str, str]
    rows: tuple[Row, ...]
    grids: tuple[tuple[Grid, Outcome], ...]
    approximate: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """The greatest profit or loss of all cells: where the colours end."""
        return max((float(abs(outcome.end).max()) for _, outcome in self.grids), default=0.0) or 1.0


def letters(keys: Iterable[str]) -> dict[str, str]:
    """A short name for each: A to Z, then A1 to Z1 and so on."""
    alphabet = string.ascii_uppercase
    found = {}
    for number, key in enumerate(keys):
        lap, place = divmod(number, len(alphabet))
        found[key] = alphabet[place] + (str(lap) if lap else "")
    return found


def percent(move: float) -> str:
    """A relative move with its sign."""
    return f"{100 * move:+.4g}%" if move else "0%"


def brief(money: float) -> str:
    """Money in few characters: 12.3k, -4.56k, 789."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(money) >= 0.9995 * size:
            return (
                f"{money / size:.3g}{letter}" if abs(money) < 999.5 * size else f"{money / size:.0f}{letter}"
            )
    return f"{money:.0f}" if abs(money) >= 0.5 else "0"


def sheet(grid: Grid, outcome: Outcome) -> list[list[Cell]]:
    """A row of cells for each move of the price, a cell for each of the volatility."""
    width = len(grid.vol_moves)
    return [
        [
            Cell(float(outcome.end[number]), outcome.liquidated(number))
            for number in range(first, first + width)
        ]
        for first in range(0, len(grid.spot_moves) * width, width)
    ]


def stress_html(report: StressReport) -> str:
    """The page. It asks nothing of the network; every text in it is escaped."""
    parts = [
        ("grids", "Grids of spot by volatility", _grids(report) if report.grids else None),
        ("paths", "P&L along each day", _paths(report)),
    ]
    drawn, script = [], True
    for name, label, figure in parts:
        if figure is None:
            continue
        html = figure.to_html(
            full_html=False,
            include_plotlyjs=script,
            div_id=name,
            config={"responsive": True, "displayModeBar": False, "plotlyServerURL": ""},
        )
        script = False  # once is enough
        drawn.append(f'<section class="card" role="img" aria-label="{escape(label)}">\n{html}\n</section>')
    sources = dict.fromkeys(f"{row.title}: {row.source}" for row in report.rows if row.source and row.path)
    return HEAD.format(title="stress") + BODY.format(
        subtitle=escape(
            f"Block {report.block}, {report.account[:6]}…{report.account[-4:]}, worth {report.worth:,.2f}"
        ),
        verdict=escape(_verdict(report)),
        names="".join(f'<th scope="col">Room {escape(letter)}</th>' for letter in report.letters.values()),
        rows="\n".join(_row(row, report.letters) for row in report.rows),
        charts="\n".join(drawn),
        legend=escape(", ".join(f"{letter}: {key}" for key, letter in report.letters.items())),
        sources="\n".join(f"<p>{escape(words)}</p>" for words in sources),
    )


def _verdict(report: StressReport) -> str:
    hit = [row for row in report.rows if row.liquidated]
    worst = min(report.rows, key=lambda row: row.pnl, default=None)
    if worst is None:
        return "No scenario was asked for."
    words = (
        f"{len(hit)} of {len(report.rows)} scenarios liquidate an account" if hit else "Nothing is liquidated"
    )
    return f"{words}; the worst costs {-worst.pnl:,.0f} ({worst.name})."


def _row(row: Row, names: Mapping[str, str]) -> str:
    hit = ", ".join(f"{names[key]} {row.hours[key]:.1f} h" for key in row.liquidated) or "-"
    rooms = "".join(f'<td data-key="room {escape(key)}">{row.room[key]:,.0f}</td>' for key in names)
    return (
        f'<tr data-name="{escape(row.name)}"><th scope="row">{escape(row.title)}</th>'
        f'<td data-key="pnl">{row.pnl:,.0f}</td><td data-key="liquidated">{escape(hit)}</td>'
        f'<td data-key="lowest">{row.lowest:,.0f}</td>{rooms}</tr>'
    )


def _grids(report: StressReport) -> go.Figure:
    count = len(report.grids)
    figure = make_subplots(
        rows=count,
        cols=1,
        vertical_spacing=min(0.3, 70 / (SHEET_PX * count)),
        subplot_titles=[f"P&L, spot by vol, held for {grid.hours:g} h" for grid, _ in report.grids],
    )
    for index, (grid, outcome) in enumerate(report.grids, 1):
        cells = sheet(grid, outcome)
        figure.add_trace(
            go.Heatmap(
                x=[percent(move) for move in grid.vol_moves],
                y=[percent(move) for move in grid.spot_moves],
                z=[[cell.pnl for cell in row] for row in cells],
                text=[[_told(cell, report.letters) for cell in row] for row in cells],
                customdata=[[", ".join(cell.liquidated) or "none" for cell in row] for row in cells],
                texttemplate="%{text}",
                textfont={"size": 12},
                hovertemplate="spot %{y}, vol %{x}<br>P&L %{z:,.2f}<br>gone: %{customdata}<extra></extra>",
                zmin=-report.scale,
                zmax=report.scale,
                colorscale=SCALE,
                showscale=False,
                xgap=1,
                ygap=1,
            ),
            row=index,
            col=1,
        )
    _style(figure, SHEET_PX * count)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    return figure


def _told(cell: Cell, names: Mapping[str, str]) -> str:
    hit = "".join(names[key] for key in cell.liquidated)
    return f"<b>{hit}</b> {brief(cell.pnl)}" if hit else brief(cell.pnl)


def _paths(report: StressReport) -> go.Figure | None:
    """P&L along every scenario that takes time; None if none does."""
    lasting = [row for row in report.rows if row.path_hours and row.path_hours[-1] > 0]
    if not lasting:
        return None
    figure = go.Figure()
    for number, row in enumerate(lasting):
        figure.add_trace(
            go.Scatter(
                x=row.path_hours,
                y=row.path,
                mode="lines",
                name=escape(row.name, quote=False),
                line={"color": COLOURS[number % len(COLOURS)], "width": 1.6},
                hovertemplate="%{y:,.0f}<extra>%{fullData.name}</extra>",
            )
        )
    _style(figure, PATHS_PX + 22 * len(lasting))
    figure.update_layout(title={"text": "P&L along the days, in hours", "font": {"size": 14}, "x": 0})
    figure.update_xaxes(ticksuffix=" h")
    return figure


def _style(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 48, "r": 8, "t": 34, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "ui-sans-serif, system-ui, -apple-system, Segoe UI, sans-serif", "color": INK},
        hoverlabel={"bgcolor": "#17202c", "font": {"color": "#f2f4f7"}, "namelength": -1},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0, "font": {"size": 11}},
    )
    figure.update_xaxes(gridcolor=LINES, zeroline=False)
    figure.update_yaxes(gridcolor=LINES, zerolinecolor=LINES, automargin=True)
    figure.update_annotations(x=0, xanchor="left", font={"size": 14})
