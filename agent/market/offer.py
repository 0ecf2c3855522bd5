"""A way to change delta, with what it costs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from agent.values.address import MarketId
from agent.values.amount import Token


class Offer(Protocol):
    """A market that trades delta of ``asset`` now. Sizes are signed wads of the asset: > 0 buys."""

    @property
    def venue(self) -> str: ...

    @property
    def market(self) -> MarketId: ...

    @property
    def asset(self) -> str: ...

    @property
    def price_wad(self) -> int:
        """The venue's marginal price before fees."""
        ...

    @property
    def max_buy_wad(self) -> int:
        """The most that can be bought in one transaction within the venue's own bounds (>= 0)."""
        ...

    @property
    def max_sell_wad(self) -> int:
        """The most that can be sold in one transaction within the venue's own bounds (>= 0)."""
        ...

    @property
    def carry_per_day(self) -> float:
        """Quote paid per day by one unit LONG, at the present funding (negative: the long is paid)."""
        ...

    @property
    def cash_token(self) -> Token | None:
        """What a purchase is paid in and a sale brings in the wallet; None for a margined venue."""
        ...

    def cost_wad(self, size_wad: int) -> int:
        """Quote lost to fee and price impact against ``price_wad`` by trading ``size_wad`` now, >= 0."""
        ...

    def cash_need_wad(self, size_wad: int) -> int:
        """Wallet quote needed to do the trade (negative: it brings quote in). 0 for a margined venue."""
        ...

    def margin_need_wad(self, size_wad: int) -> int:
        """Free collateral of the venue's margin account that the trade takes up (0 for spot)."""
        ...


@runtime_checkable
class ConvexOffer(Offer, Protocol):
    """An offer whose every unit more costs at least as much as the one before: with that alone a few looks
    at its cost say where the cheapest trade is.
    """

    @property
    def is_convex(self) -> bool:
        """Whether that holds now, on both sides, up to the last units of rounding."""
        ...


@runtime_checkable
class LottedOffer(Offer, Protocol):
    """An offer that trades whole lots only, or nothing below a size."""

    @property
    def lot_wad(self) -> int:
        """Sizes are multiples of it; 0: any size."""
        ...

    @property
    def min_size_wad(self) -> int:
        """The smallest |size|; 0: any."""
        ...
