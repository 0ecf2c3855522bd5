"""The figures of both runs in words: the result in one sentence and the rows of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import cast

ENDS = ("executed", "partly", "cancelled")  # of a request
SIDES = ("with_agent", "without_agent")
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


def verdict(summary: Mapping[str, object]) -> str:
    """The result in one sentence. Raises KeyError when the summary lacks a side or a figure."""
    kept, left = (cast(Mapping[str, object], summary[side]) for side in SIDES)
    share = cast(float, kept["share_of_blocks_in_band"])
    return (
        f"Left alone, the book is {_times(left['liquidations'])}. "
        f"With the agent it is {_times(kept['liquidations'])}, "
        f"and its net delta is inside the band in {share:.2%} of the blocks."
    )


def rows(summary: Mapping[str, object]) -> str:
    """One row of HTML for each figure, with the agent's first; a distance of None is "never"."""
    sides = [cast(Mapping[str, object], summary[side]) for side in SIDES]
    lines = []
    for key, words, shape in ROWS:
        cells = "".join(f'<td data-key="{key}">{escape(_figure(side[key], shape))}</td>' for side in sides)
        lines.append(f'<tr><th scope="row">{words}</th>{cells}</tr>')
    return "\n".join(lines)


def requests_text(waited: Mapping[str, object]) -> str:
    """What became of the requests to keepers, in a line."""
    ended = ", ".join(f"{waited[end]} {end}" for end in (*ENDS, "open") if waited[end])
    on_way = (("were_expired", "expired"), ("were_frozen", "frozen"))
    passed = ", ".join(f"{waited[key]} {word}" for key, word in on_way if waited[key])
    return f"{waited['asked']}{f': {ended}' if ended else ''}{f' ({passed} on the way)' if passed else ''}"


def naked_text(waited: Mapping[str, object]) -> str:
    """The most that a plan left unhedged while keepers were waited for, and what it may be."""
    return f"{waited['worst_naked_usd_s']:,} of {waited['naked_limit_usd_s']:,}"


def waited_rows(summary: Mapping[str, object]) -> str:
    """The rows about keepers; none where the summary tells nothing of them."""
    waited = cast(Mapping[str, object] | None, summary.get("requests"))
    if waited is None:
        return ""
    lines = (
        ("requests", "Requests to keepers", requests_text(waited)),
        ("naked", "Worst naked exposure, USD x seconds", naked_text(waited)),
    )
    return "\n".join(
        f'<tr><th scope="row">{words}</th><td colspan="2" id="{key}">{escape(text)}</td></tr>'
        for key, words, text in lines
    )


def _times(count: object) -> str:
    words = {0: "never liquidated", 1: "liquidated once", 2: "liquidated twice"}
    return words.get(cast(int, count), f"liquidated {count} times")


def _figure(value: object, shape: str) -> str:
    return "never" if value is None else shape.format(value)
