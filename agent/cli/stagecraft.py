"""What the demonstration shows while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.dashboard.series import Sample
from agent.dashboard.table import naked_text, requests_text

BAR_HALF = 16  # characters on each side of zero
TREND = 48  # blocks of spot in the sparkline
SPARKS = "▁▂▃▄▅▆▇█"
ROWS = (
    ("liquidations", "liquidations of the book", "{:,.0f}"),
    ("share_of_blocks_in_band", "blocks inside the delta band", "{:.2%}"),
    ("max_abs_delta_usd", "largest net delta, USD", "{:,.0f}"),
    ("min_distance_to_liquidation", "nearest to liquidation", "{:.2%}"),
    ("hedges", "hedges", "{:,.0f}"),
    ("reverted", "reverted transactions", "{:,.0f}"),
    ("pnl_usd", "profit and loss, USD", "{:+,.2f}"),
    ("gas_usd", "gas, USD", "{:,.2f}"),
)


@dataclass
class Facts:
    """What the chain's logs say so far."""

    hedges: int = 0
    liquidations: list[str] = field(default_factory=list)


def demo_table(name: str, blocks: int, samples: Sequence[Sample], facts: Facts) -> RenderableType:
    """The live view of one run."""
    now = samples[-1]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False, min_width=72)
    table.add_column(width=18, style="dim")
    table.add_column()
    inside = abs(now.net_delta) <= now.band
    table.add_row("time", f"{now.hours:.2f} h   block {len(samples)} of {blocks}")
    table.add_row("spot", f"{now.spot:,.2f}   mark {now.mark:,.2f}   {_sparkline(samples)}")
    delta = Text(f"{now.net_delta:+.3f} ETH ", style="green" if inside else "bold red")
    table.add_row("net delta", delta.append(_bar(now.net_delta, now.band), style="dim"))
    for key, distance in now.distances.items():
        table.add_row(key, _distance(distance))
    table.add_row("equity", f"{now.equity_usd:,.2f}")
    table.add_row("hedges", str(facts.hedges))
    lost = ", ".join(facts.liquidations) or "none"
    table.add_row("liquidated", Text(lost, style="bold red" if facts.liquidations else "green"))
    return Group(Text(name, style="bold"), table)


def demo_line(name: str, blocks: int, samples: Sequence[Sample], facts: Facts) -> str:
    """The same in one line, for logs."""
    now = samples[-1]
    nearest = min((d for d in now.distances.values() if d is not None), default=None)
    return (
        f"{name}: block {len(samples)}/{blocks} spot {now.spot:,.2f} delta {now.net_delta:+.3f} "
        f"nearest {'never' if nearest is None else f'{nearest:.1%}'} hedges {facts.hedges} "
        f"liquidated {', '.join(facts.liquidations) or 'none'}"
    )


def comparison_table(figures: Mapping[str, object]) -> Table:
    """Both runs side by side."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"seed {figures['seed']}, {figures['blocks']} blocks"
    )
    table.add_column("")
    table.add_column("with agent", justify="right", style="bold")
    table.add_column("without agent", justify="right")
    sides = [cast(Mapping[str, object], figures[side]) for side in ("with_agent", "without_agent")]
    for key, words, shape in ROWS:
        table.add_row(words, *(_figure(side[key], shape) for side in sides))
    table.add_row("intents executed twice", str(figures["intents_executed_more_than_once"]), "")
    waited = cast(Mapping[str, object], figures["requests"])
    table.add_row("requests to keepers", requests_text(waited), "")
    table.add_row("worst naked exposure, USD x s", naked_text(waited), "")
    return table


def action_words(action: Mapping[str, object]) -> str:
    """One action of a recorded plan, in a few words."""
    kind, venue = action["action"], action["venue"]
    if kind == "Trade":
        size = float(str(action["size"]))
        return f"{'buy' if size > 0 else 'sell'} {abs(size):.3f} ETH on {venue}"
    if kind == "AddCollateral":
        return f"pay {float(str(action['amount'])):,.2f} into {action['key']}"
    if kind == "RemoveCollateral":
        return f"take {float(str(action['amount'])):,.2f} out of {action['key']}"
    if kind == "TakeBack":
        return f"take back a request on {venue}"
    return f"close {float(str(action['size'])):.3f} of {action['key']}"


def _figure(value: object, shape: str) -> str:
    return "never" if value is None else shape.format(value)


def _distance(distance: float | None) -> Text:
    if distance is None:
        return Text("cannot be liquidated", style="green")
    style = "green" if distance > 0.15 else "yellow" if distance > 0.05 else "bold red"
    return Text(f"{distance:.1%} from liquidation", style=style)


def _bar(delta: float, band: float) -> str:
    """Where the delta stands in its band: ``[       |   o   ]``."""
    place = round(max(-1.0, min(1.0, delta / band if band else 0.0)) * BAR_HALF)
    cells = [" "] * (2 * BAR_HALF + 1)
    cells[BAR_HALF] = "|"
    cells[BAR_HALF + place] = "●"
    return "[" + "".join(cells) + "]"


def _sparkline(samples: Sequence[Sample]) -> str:
    step = max(1, len(samples) // TREND)
    prices = [sample.spot for sample in samples[::step]]
    low, high = min(prices), max(prices)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((price - low) / span * (len(SPARKS) - 1))] for price in prices)
