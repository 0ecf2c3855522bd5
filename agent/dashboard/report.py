"""Two runs of one market as one self-contained page: the figures, then four charts over the same hours."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import cast

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from agent.dashboard.series import Series
from agent.dashboard.style import PAGE

# Okabe and Ito's blue and vermilion: told apart with every kind of colour vision
COLOURS = ("#0072b2", "#d55e00")
MARK_COLOUR = "#7f7f7f"
BAND_FILL = "rgba(0, 158, 115, 0.14)"
GRID = "rgba(128, 128, 128, 0.22)"
INK = "#7a8595"  # legible on white and on near-black
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FAR = 1.0  # distances beyond a hundred percent are drawn there
HEIGHTS = (0.27, 0.27, 0.23, 0.23)
TITLES = (
    "Net delta and its band (ETH)",
    "Distance to liquidation, per account",
    "Spot and the perpetual's mark (USD)",
    "Cost so far: protocol fees and gas (USD)",
)
ROWS = (
    ("liquidations", "Liquidations of the book", "{:,.0f}"),
    ("share_of_blocks_in_band", "Blocks inside the delta band", "{:.2%}"),
    ("max_abs_delta_usd", "Largest net delta", "{:,.0f} USD"),
    ("min_distance_to_liquidation", "Nearest to liquidation", "{:.2%}"),
    ("hedges", "Hedges", "{:,.0f}"),
    ("reverted", "Reverted transactions", "{:,.0f}"),
    ("pnl_usd", "Profit and loss", "{:+,.2f} USD"),
    ("gas_usd", "Gas", "{:,.2f} USD"),
)


def report_html(
    title: str, subtitle: str, with_agent: Series, without_agent: Series, summary: Mapping[str, object]
) -> str:
    """The page. It asks nothing of the network; every text in it is escaped."""
    figure = chart(with_agent, without_agent)
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id="runs",
        config={"responsive": True, "displayModeBar": False},
    )
    return PAGE.format(
        title=escape(title),
        subtitle=escape(subtitle),
        head=escape(_verdict(summary)),
        rows=_rows(summary),
        doubled=escape(str(summary["intents_executed_more_than_once"])),
        chart=drawn,
    )


def chart(with_agent: Series, without_agent: Series) -> go.Figure:
    """Net delta, distances, prices and cost over the same hours, both runs in each."""
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.055,
        row_heights=HEIGHTS,
        subplot_titles=TITLES,
    )
    runs = (without_agent, with_agent)  # the agent's lines lie on top
    _band(figure, with_agent)
    _prices(figure, with_agent)
    known = {key for run in runs for sample in run.samples for key in sample.distances}
    keys = sorted(known, key=lambda key: (len(key), key))
    for run, colour in zip(runs, reversed(COLOURS), strict=True):
        _run(figure, run, colour, keys)
    for run, colour in zip(runs, reversed(COLOURS), strict=True):
        for mark in run.liquidations:  # last: a line goes only through charts that have something already
            figure.add_vline(x=mark.hours, line={"color": colour, "width": 1, "dash": "dot"})
    _style(figure)
    return figure


def _band(figure: go.Figure, run: Series) -> None:
    hours = [s.hours for s in run.samples]
    for sign, fill in ((1, None), (-1, "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=hours,
                y=[sign * s.band for s in run.samples],
                mode="lines",
                line={"width": 0},
                fill=fill,
                fillcolor=BAND_FILL,
                name="band",
                legendgroup="market",
                legendgrouptitle={"text": "limits and market"},
                showlegend=sign < 0,
                hoverinfo="skip",
            ),
            row=1,
            col=1,
        )


def _run(figure: go.Figure, run: Series, colour: str, keys: list[str]) -> None:
    hours, name = [s.hours for s in run.samples], escape(run.name)

    def add(row: int, values: list[float | None], label: str, dash: str, **more: object) -> None:
        figure.add_trace(
            go.Scatter(
                x=hours,
                y=values,
                mode="lines",
                name=label,
                legendgroup=name,
                legendgrouptitle={"text": name},
                line={"color": colour, "width": 1.6, "dash": dash},
                **more,
            ),
            row=row,
            col=1,
        )

    add(1, [s.net_delta for s in run.samples], "net delta and cost", "solid")
    for number, key in enumerate(keys):
        distances = [s.distances.get(key) for s in run.samples]
        shown = [None if d is None else min(d, FAR) for d in distances]
        add(2, shown, escape(key), DASHES[number % len(DASHES)])
    add(4, [s.cash_cost_usd for s in run.samples], "cost", "solid", showlegend=False)
    _hedges(figure, run, colour)
    _liquidations(figure, run, colour)


def _hedges(figure: go.Figure, run: Series, colour: str) -> None:
    cost_at = {s.block: s.cash_cost_usd for s in run.samples}
    for outcome, symbol in (("landed", "circle"), ("reverted", "x")):
        marks = [mark for mark in run.hedges if mark.outcome == outcome]
        if not marks:
            continue
        figure.add_trace(
            go.Scatter(
                x=[mark.hours for mark in marks],
                y=[cost_at.get(mark.block) for mark in marks],
                mode="markers",
                marker={"color": colour, "size": 6, "symbol": symbol},
                name=f"hedge {outcome}",
                legendgroup=escape(run.name),
                text=[_wrapped(mark.label) + f"<br>cost {mark.cost_usd:,.2f}" for mark in marks],
                hovertemplate="%{text}<extra></extra>",
            ),
            row=4,
            col=1,
        )


def _liquidations(figure: go.Figure, run: Series, colour: str) -> None:
    if not run.liquidations:
        return
    figure.add_trace(
        go.Scatter(
            x=[mark.hours for mark in run.liquidations],
            y=[0.0 for _ in run.liquidations],
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": "x"},
            name="liquidated",
            legendgroup=escape(run.name),
            text=[escape(mark.label) for mark in run.liquidations],
            hovertemplate="%{text}<extra></extra>",
        ),
        row=2,
        col=1,
    )


def _prices(figure: go.Figure, run: Series) -> None:
    hours = [s.hours for s in run.samples]
    prices = (
        ("mark", MARK_COLOUR, [s.mark for s in run.samples]),
        ("spot", "#009e73", [s.spot for s in run.samples]),
    )
    for name, colour, values in prices:
        figure.add_trace(
            go.Scatter(
                x=hours,
                y=values,
                mode="lines",
                name=name,
                legendgroup="market",
                line={"color": colour, "width": 1.5},
            ),
            row=3,
            col=1,
        )


def _style(figure: go.Figure) -> None:
    figure.update_layout(
        template="none",
        height=1080,
        margin={"l": 56, "r": 12, "t": 34, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "ui-sans-serif, system-ui, -apple-system, Segoe UI, sans-serif", "color": INK},
        hovermode="x",
        legend={
            "orientation": "h",
            "y": -0.05,
            "yanchor": "top",
            "x": 0,
            "font": {"size": 11},
            "traceorder": "grouped",
        },
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, ticksuffix=" h", showticklabels=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", row=2, col=1)
    figure.update_annotations(x=0, xanchor="left", font={"size": 14})


def _verdict(summary: Mapping[str, object]) -> str:
    """The result in one sentence."""
    sides = {side: cast(Mapping[str, object], summary[side]) for side in ("with_agent", "without_agent")}
    share = cast(float, sides["with_agent"]["share_of_blocks_in_band"])
    left, kept = (_times(sides[side]["liquidations"]) for side in ("without_agent", "with_agent"))
    return (
        f"Left alone, the book is liquidated {left}. With the agent it is liquidated {kept}, "
        f"and its net delta is inside the band in {share:.2%} of the blocks."
    )


def _times(count: object) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(cast(int, count), f"{count} times")


def _rows(summary: Mapping[str, object]) -> str:
    sides = [cast(Mapping[str, object], summary[side]) for side in ("with_agent", "without_agent")]
    rows = []
    for key, words, shape in ROWS:
        cells = "".join(f'<td data-key="{key}">{escape(_figure(side[key], shape))}</td>' for side in sides)
        rows.append(f'<tr><th scope="row">{words}</th>{cells}</tr>')
    return "\n".join(rows)


def _figure(value: object, shape: str) -> str:
    return "never" if value is None else shape.format(value)


def _wrapped(label: str) -> str:
    """One leg a line; hover texts understand only plotly's own few tags."""
    return "<br>".join(escape(leg.strip()) for leg in label.split(";"))
