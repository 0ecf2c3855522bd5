"""Tables that stay readable on the terminal there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

PROSE = 28  # columns a column of sentences is given before others are dropped for it
ENDLESS = 10_000
_NUMBERS = re.compile(r"^([-+]?[\d,.]+%?( / [\d,.]+)?|-|inf|never)$")
_HEX = re.compile(r"\b0x([0-9a-fA-F]{4})[0-9a-fA-F]{32,}([0-9a-fA-F]{4})\b")


class Grid:
    """Rows on one line each. Addresses and hashes are shortened; where it is too narrow, the ``expendable``
    columns are dropped, the first named first, and named below. The column ``prose`` may take several lines.

    A cell given as `Text` is shown as it is.
    """

    def __init__(self, *names: str, expendable: Sequence[str] = (), prose: str = "") -> None:
        self._names = names
        self._expendable = expendable
        self._prose = prose
        self._rows: list[tuple[str | Text, ...]] = []

    def add(self, *cells: str | Text) -> None:
        """One row, a cell for each name."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        dots = "..." if options.ascii_only else "…"
        dropped: list[str] = []
        table = self._table(dropped, dots)
        for name in self._expendable:
            if self._least(console, options, table, dropped) <= options.max_width:
                break
            dropped.append(name)
            table = self._table(dropped, dots)
        yield table
        if dropped:
            words = f"not shown for want of room: {', '.join(n for n in self._names if n in dropped)}"
            yield Text(words, style="dim")
        yield Text("")

    def _least(self, console: Console, options: ConsoleOptions, table: Table, dropped: Sequence[str]) -> int:
        """The width at which nothing is cut off."""
        whole = console.measure(table, options=options.update(max_width=ENDLESS)).maximum
        if not self._prose or self._prose in dropped:
            return whole
        index = self._names.index(self._prose)
        longest = max((len(str(row[index])) for row in self._rows), default=0)
        return whole - max(longest - PROSE, 0)

    def _table(self, dropped: Sequence[str], dots: str) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for index, name in enumerate(self._names):
            if name in dropped:
                continue
            if name == self._prose:
                table.add_column(name, overflow="fold")
            else:
                is_right = index > 0 and self._is_numeric(index)
                justify: Literal["left", "right"] = "right" if is_right else "left"
                table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            shown = [cell for name, cell in zip(self._names, row, strict=True) if name not in dropped]
            table.add_row(*(cell if isinstance(cell, Text) else Text(short(cell, dots)) for cell in shown))
        return table

    def _is_numeric(self, index: int) -> bool:
        return all(_NUMBERS.match(str(row[index])) for row in self._rows)


def short(text: str, dots: str = "…") -> str:
    """Every address and hash in ``text`` by its ends: 0x36b5…10AB."""
    return _HEX.sub(rf"0x\1{dots}\2", text)
