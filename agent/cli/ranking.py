"""The accounts of a venue as a ranking: for people a table, for programs objects, for spreadsheets rows."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.text import Text

from agent.cli.figure import number, percent
from agent.cli.grid import Grid
from agent.runtime.scan import Sighting
from agent.values.fixed import decimal
from agent.venues.crowd import CrowdVenue

ALARM = 0.05  # from there on a distance is red


@dataclass(frozen=True, slots=True)
class Row:
    """One account. ``distance`` of the joint move, null if no price liquidates it; ``liquidation_price`` is
    the leading market's, the others held. ``since``: how the distance changed since the block before.
    ``equity`` and ``requirement`` are exact where ``is_exact``.
    """

    rank: int
    account: str
    equity: str
    requirement: str
    distance: float | None
    side: str | None
    binding: str
    market: str | None
    asset: str | None
    size: float
    price: float | None
    liquidation_price: float | None
    deltas: dict[str, float]
    is_liquidatable: bool
    is_exact: bool
    since: float | None


@dataclass
class Ranking:
    """Rows of one venue's sightings; remembers the last one to tell what changed."""

    venue: CrowdVenue[object]
    limit: int
    below: float | None
    _before: dict[int, float] = field(default_factory=dict)

    def remember(self, seen: Sighting) -> None:
        """For ``since`` of the next."""
        self._before = dict(zip(seen.subjects, seen.distance.tolist(), strict=True))

    def rows(self, seen: Sighting, order: Iterable[int]) -> list[Row]:
        """Those rows of a sighting."""
        return [self._row(seen, rank, int(row)) for rank, row in enumerate(order, 1)]

    def shown(self, seen: Sighting) -> list[Row]:
        """The nearest ones, as many as asked for and not farther."""
        order = seen.order[: self.limit]
        if self.below is not None:
            order = order[seen.distance[order] < self.below]
        return self.rows(seen, order)

    def told(self, seen: Sighting, rows: list[Row]) -> dict[str, object]:
        """One object for programs."""
        block = {"number": seen.block.number, "hash": seen.block.hash, "timestamp_s": seen.block.timestamp_s}
        times = {name.removesuffix("_s"): round(value * 1e3, 2) for name, value in asdict(seen.times).items()}
        return {
            "block": block,
            "venue": self.venue.name,
            "unit": self.venue.unit,
            "accounts": len(seen.subjects),
            "at_stake": len(seen.order),
            "liquidatable": len(seen.due),
            "bad_debt": len(seen.liquidatable) - len(seen.due),
            "below": None if self.below is None else seen.below(self.below),
            "unreadable": [self.venue.account(seen.subjects[row]) for row in seen.unreadable],
            "changed": seen.changed,
            "missed": seen.missed,
            "ms": times,
            "ranking": [asdict(row) for row in rows],
        }

    def table(self, seen: Sighting, rows: list[Row]) -> Group:
        """For people."""
        names = ("#", "account", "equity", "required", "distance", "since", "side", "flips at", "market")
        grid = Grid(*names, "size", expendable=("side", "since", "size", "required", "market", "equity"))
        for row in rows:
            grid.add(
                str(row.rank),
                row.account,
                number(float(row.equity)),
                number(float(row.requirement)),
                _distance(row),
                "" if row.since is None else f"{row.since:+.2%}",
                row.side or "-",
                "never" if row.liquidation_price is None else number(row.liquidation_price),
                row.asset or "-",
                number(row.size, 4),
            )
        words = f"block {seen.block.number}  {self.venue.name}  {len(seen.subjects)} accounts, "
        words += f"{len(seen.order)} at stake, {len(seen.due)} liquidatable"
        if self.below is not None:
            words += f", {seen.below(self.below)} nearer than {self.below:.0%}"
        if len(seen.unreadable):
            words += f", {len(seen.unreadable)} that their contract does not answer for"
        words += f"  ({seen.times.total_s * 1e3:,.0f} ms, {seen.changed} read)"
        return Group(Text(words, style="bold"), grid)

    def _row(self, seen: Sighting, rank: int, row: int) -> Row:
        crowd, verdict = seen.crowd, seen.verdicts.get(row)
        distance, before = float(seen.distance[row]), self._before.get(seen.subjects[row], math.nan)
        leading, ratio = int(crowd.leading[row]), float(seen.leading.nearer[row])
        nearer = float(seen.joint.nearer[row])
        price = float(crowd.prices[row])
        deltas = zip(crowd.assets, crowd.deltas[row].tolist(), strict=True)
        return Row(
            rank=rank,
            account=self.venue.account(seen.subjects[row]),
            equity=repr(float(seen.equity[row])) if verdict is None else str(decimal(verdict.equity_wad)),
            requirement=(
                repr(float(seen.requirement[row]))
                if verdict is None
                else str(decimal(verdict.requirement_wad))
            ),
            distance=distance if math.isfinite(distance) else None,
            side=None if not math.isfinite(distance) else "now" if nearer == 1.0 else _side(nearer),
            binding=crowd.binding(row, nearer if math.isfinite(nearer) else 1.0),
            market=None if leading < 0 else crowd.markets[leading],
            asset=None if leading < 0 else crowd.market_assets[leading],
            size=float(crowd.sizes[row]),
            price=price if math.isfinite(price) else None,
            liquidation_price=price * ratio if math.isfinite(price * ratio) else None,
            deltas={asset: delta for asset, delta in deltas if delta},
            is_liquidatable=distance == 0.0,
            is_exact=verdict is not None,
            since=distance - before if math.isfinite(distance - before) else None,
        )


def write_csv(path: Path, ranking: Ranking, seen: Sighting) -> None:
    """Everybody with something at stake, nearest first; whole or not at all. Raises OSError."""
    rows = [asdict(row) for row in ranking.rows(seen, np.asarray(seen.order).tolist())]
    names = [name for name in Row.__dataclass_fields__ if name != "deltas"]
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, newline="") as partial:
        writer = csv.DictWriter(partial, [*names, *(f"delta {asset}" for asset in seen.crowd.assets)])
        writer.writeheader()
        for row in rows:
            deltas = row.pop("deltas")
            writer.writerow(row | {f"delta {asset}": deltas.get(asset, 0.0) for asset in seen.crowd.assets})
    Path(partial.name).replace(path)


def _side(ratio: float) -> str:
    return "down" if ratio < 1.0 else "up"


def _distance(row: Row) -> Text:
    if row.is_liquidatable:
        return Text("LIQUIDATABLE", style="bold red")
    style = "red" if row.distance is not None and row.distance < ALARM else ""
    return Text(percent(row.distance), style=style)
