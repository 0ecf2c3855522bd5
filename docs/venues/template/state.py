"""What the venue says of one account at one block, in the house's nouns."""

from __future__ import annotations

from dataclasses import dataclass

from agent.venues.example.margin import ExampleMargin
from agent.venues.example.offer import ExampleOffer

from agent.market.instrument import Perpetual
from agent.market.position import Greeks, Position
from agent.market.snapshot import Quote
from agent.values.fixed import DAY_S, WAD, mul_div_trunc, to_float
from agent.venues.manifest import Stage


@dataclass(frozen=True, slots=True)
class ExampleState:
    """One account. ``max_wad``: the largest trade; ``allowance_raw``: what the contract may take."""

    margin: ExampleMargin
    max_wad: int
    allowance_raw: int
    is_closing: bool

    @property
    def venue(self) -> str:
        return "example"

    @property
    def stage(self) -> Stage:
        """The contract tells when it closes."""
        return Stage.CLOSE_ONLY if self.is_closing else Stage.OPEN

    @property
    def quotes(self) -> tuple[Quote, ...]:
        one = self.margin
        per_day_wad = one.terms.funding * DAY_S
        return (Quote("example", one.market, one.asset, one.price_wad, one.price_wad, per_day_wad),)

    @property
    def positions(self) -> tuple[Position, ...]:
        one = self.margin
        if one.size == 0:
            return ()
        owed = one.accrued_wad(one.at_s)["funding"]
        value_wad = one.quote_wad + mul_div_trunc(one.size, one.price_wad, WAD) - owed
        return (
            Position(
                venue="example",
                key=one.market,
                instrument=Perpetual(one.market, one.asset),
                size_wad=one.size,
                value_wad=value_wad,
                greeks=Greeks(delta=to_float(one.size)),
                mark_wad=one.price_wad,
            ),
        )

    @property
    def margins(self) -> tuple[ExampleMargin, ...]:
        return (self.margin,) if self.margin.collateral_wad or self.margin.size else ()

    @property
    def offers(self) -> tuple[ExampleOffer, ...]:
        one = self.margin
        return (
            ExampleOffer(
                one.market, one.asset, one.price_wad, self.max_wad, one.size, self.is_closing, one.terms
            ),
        )
