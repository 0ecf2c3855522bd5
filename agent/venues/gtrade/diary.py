"""What events tell of an account's trades: how large each was when an order was left for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from agent.values.address import Address
from agent.venues.gtrade import event
from agent.venues.gtrade.event import Told
from agent.venues.gtrade.fragment import UPDATE_LEVERAGE
from agent.venues.gtrade.order import Placed, Shape, decode_trade


@dataclass(slots=True)
class Diary:
    """By trade, (place among the events, the trade from there on)."""

    pages: dict[int, list[tuple[int, Shape]]] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Address, told: Sequence[Told]) -> Diary:
        """From the account's events, in the chain's order."""
        diary = cls()
        for place, one in enumerate(told):
            diary._read(account, place, one)
        return diary

    def at(self, place: int, placed: Placed) -> Shape | None:
        """The order's trade as it was there: by the last event before, or else by the first after it, which
        is of the order's own fill and good enough for all but the leverage.
        """
        pages = self.pages.get(placed.trade, [])
        before = [shape for when, shape in pages if when <= place]
        if before:
            return before[-1]
        if placed.kind == UPDATE_LEVERAGE or not pages:
            return None
        return pages[0][1]

    def _read(self, account: Address, place: int, one: Told) -> None:
        if one.name == event.OPENED and one.address("user") == account:
            info = cast(tuple[int, ...], one.words("tradeInfo"))
            self._write(place, decode_trade(one.words("trade"), slippage=info[3]))
        elif one.name in (event.EXECUTED, event.TRIGGERED) and one.address("user") == account:
            self._write(place, decode_trade(one.words("t")))
        elif one.name in (event.INCREASED, event.DECREASED) and one.address("trader") == account:
            self._resized(place, one)
        elif one.name == event.RESIZED and one.address("user") == account:
            pages = self.pages.get(one.integer("index"))
            if pages:
                after = replace(
                    pages[-1][1],
                    collateral=one.integer("collateralAmount"),
                    leverage=one.integer("leverage"),
                    open_price=one.integer("openPrice"),
                )
                self._write(place, after)

    def _resized(self, place: int, one: Told) -> None:
        """Of a trade that nothing was known of: its side and pair, and its size where the event has it."""
        index = one.integer("index")
        if index in self.pages or one.name == event.DECREASED:
            return
        values = cast(tuple[int, ...], one.words("values"))
        self._write(
            place,
            Shape(
                index,
                one.integer("pairIndex"),
                one.integer("collateralIndex"),
                bool(one.integer("long")),
                values[3],
                values[4],
                values[8],
            ),
        )

    def _write(self, place: int, shape: Shape) -> None:
        pages = self.pages.setdefault(shape.index, [])
        slippage = shape.slippage or (pages[-1][1].slippage if pages else 0)
        pages.append((place, replace(shape, slippage=slippage)))
