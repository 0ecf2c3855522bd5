"""What can be held: a perpetual, an option, a range of liquidity, or the asset itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.values.address import MarketId


class OptionKind(Enum):
    """Call or put."""

    CALL = "call"
    PUT = "put"


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A perpetual future on ``asset``, quoted in the venue's settlement token."""

    market: MarketId
    asset: str


@dataclass(frozen=True, slots=True)
class Option:
    """A European option on one unit of ``asset``."""

    market: MarketId
    asset: str
    kind: OptionKind
    strike_wad: int
    expiry_s: int


@dataclass(frozen=True, slots=True)
class LiquidityRange:
    """Liquidity between two PRICES of ``asset`` in quote, wad, whatever the order of the pool's tokens."""

    market: MarketId
    asset: str
    lower_price_wad: int
    upper_price_wad: int


@dataclass(frozen=True, slots=True)
class Spot:
    """The asset itself."""

    market: MarketId
    asset: str


Instrument = Perpetual | Option | LiquidityRange | Spot
