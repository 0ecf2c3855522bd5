"""The figures of both runs in words: the result in one sentence and the rows of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import cast

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


def _times(count: object) -> str:
    words = {0: "never liquidated", 1: "liquidated once", 2: "liquidated twice"}
    return words.get(cast(int, count), f"liquidated {count} times")


def _figure(value: object, shape: str) -> str:
    return "never" if value is None else shape.format(value)
