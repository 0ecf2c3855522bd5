"""What a venue says of the volatility of one strike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class VolQuote:
    """One strike's implied volatility. Whoever fits it checks it; nothing is checked here.

    strike, forward: quote currency per unit of the asset, > 0. iv: per year, 1.00 is 100 %. weight: what a
    squared error of its volatility counts for beside others, > 0; vega over the bid-ask spread is a good one.
    """

    expiry_s: int
    strike: float
    forward: float
    iv: float
    weight: float = 1.0
    asset: str = ""


@runtime_checkable
class VolSource(Protocol):
    """A venue's state that quotes volatilities."""

    @property
    def vol_quotes(self) -> Sequence[VolQuote]:
        """Every strike that can be traded now, expired and frozen ones left out."""
        ...
