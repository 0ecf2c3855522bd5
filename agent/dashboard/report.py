"""Two runs of one market as one self-contained page: the figures, then four charts over the same hours."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from agent.dashboard.series import Series
from agent.dashboard.style import FIT, PAGE
from agent.dashboard.table import rows, verdict, waited_rows

# Okabe and Ito's blue and vermilion: told apart with every kind of colour vision
COLOURS = ("#0072b2", "#d55e00")
SPOT_COLOUR = "#009e73"
BAND_FILL = "rgba(0, 158, 115, 0.14)"
GRID = "rgba(128, 128, 128, 0.22)"
INK = "#7a8595"  # legible on white and on near-black
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FAR = 0.6  # distances beyond it are drawn there: what is near has to be told apart
HEIGHTS = (0.25, 0.33, 0.2, 0.22)
TITLES = (
    "Net delta and its band (ETH)",
    "Distance to liquidation, per account",
    "Spot and the perpetual's mark (USD)",
    "Cost so far: protocol fees and gas (USD)",
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
        post_script=FIT,
        config={"responsive": True, "displayModeBar": False, "plotlyServerURL": ""},
    )
    return PAGE.format(
        title=escape(title),
        subtitle=escape(subtitle),
        head=escape(verdict(summary)),
        rows=rows(summary),
        doubled=escape(str(summary["intents_executed_more_than_once"])),
        waited=waited_rows(summary),
        chart=drawn,
        far=f"{FAR:.0%}",
    )


def chart(with_agent: Series, without_agent: Series) -> go.Figure:
    """Net delta, distances, prices and cost over the same hours, both runs in each."""
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.065,
        row_heights=HEIGHTS,
        subplot_titles=TITLES,
    )
    runs = (without_agent, with_agent)  # the agent's lines lie on top
    _band(figure, with_agent)
    _spot(figure, with_agent)
    known = {key for run in runs for sample in run.samples for key in sample.distances}
    keys = sorted(known, key=lambda key: (len(key), key))
    for run, colour in zip(runs, reversed(COLOURS), strict=True):
        _run(figure, run, colour, keys)
    for run, colour in zip(runs, reversed(COLOURS), strict=True):
        for mark in run.liquidations:  # last: a line goes only through charts that have something already
            figure.add_vline(x=mark.hours, line={"color": colour, "width": 1, "dash": "dot"})
    _style(figure)
    hours = [sample.hours for run in runs for sample in run.samples]
    if hours:  # by itself the axis leaves room for whole markers at both ends
        figure.update_xaxes(range=[min(hours), max(hours)])
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
    hours, name = [s.hours for s in run.samples], _text(run.name)

    def add(row: int, values: list[float | None], label: str, dash: str = "solid", **more: object) -> None:
        figure.add_trace(
            go.Scatter(
                x=hours,
                y=values,
                mode="lines",
                name=label,
                legendgroup=name,
                legendgrouptitle={"text": name},
                line={"color": colour, "width": 1.6, "dash": dash},
                **{"hovertemplate": "%{y}<extra>%{meta}</extra>", **more},
                meta=label,  # not in the template: a name must not be read as one
            ),
            row=row,
            col=1,
        )

    add(1, [s.net_delta for s in run.samples], "net delta")
    for number, key in enumerate(keys):
        distances = [s.distances.get(key) for s in run.samples]
        shown = [None if d is None else min(max(d, 0.0), FAR) for d in distances]
        told = "%{customdata:.1%}<extra>%{meta}</extra>"  # as it is, also where the line is capped
        dash = DASHES[number % len(DASHES)]
        add(2, shown, _text(key), dash, customdata=distances, hovertemplate=told)
    add(3, [s.mark for s in run.samples], "mark")
    add(4, [s.cash_cost_usd for s in run.samples], "cost")
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
                legendgroup=_text(run.name),
                text=[
                    _wrapped(mark.label) + f"<br>{outcome}, cost {mark.cost_usd:,.2f} USD" for mark in marks
                ],
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
            cliponaxis=False,
            name="liquidated",
            legendgroup=_text(run.name),
            text=[_text(mark.label) for mark in run.liquidations],
            hovertemplate="%{text}<extra></extra>",
        ),
        row=2,
        col=1,
    )


def _spot(figure: go.Figure, run: Series) -> None:
    figure.add_trace(
        go.Scatter(
            x=[s.hours for s in run.samples],
            y=[s.spot for s in run.samples],
            mode="lines",
            name="spot",
            legendgroup="market",
            line={"color": SPOT_COLOUR, "width": 3.2},
            hovertemplate="%{y}<extra>spot</extra>",
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
        hovermode="x unified",
        hoverlabel={"bgcolor": "#17202c", "font": {"color": "#f2f4f7"}, "namelength": -1},
        legend={
            "orientation": "h",
            "y": -0.05,
            "yanchor": "top",
            "x": 0,
            "font": {"size": 11},
            "traceorder": "grouped",
            "groupclick": "toggleitem",  # one account, not the whole run
            "itemwidth": 52,  # wide enough to tell the dashes apart
        },
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, ticksuffix=" h", showticklabels=True)
    figure.update_xaxes(hoverformat=".2f", ticklabelstandoff=5)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True, hoverformat=",.2f")
    figure.update_yaxes(tickformat=".0%", hoverformat=".1%", rangemode="tozero", row=2, col=1)
    figure.update_annotations(x=0, xanchor="left", font={"size": 14})


def _wrapped(label: str) -> str:
    """One leg a line; hover texts understand only plotly's own few tags."""
    return "<br>".join(_text(leg.strip()) for leg in label.split(";"))


def _text(words: str) -> str:
    """For plotly, which reads tags, entities and ``%{...}`` in texts but shows an escaped quote as it is."""
    return escape(words, quote=False).replace("%{", "&#37;{")
