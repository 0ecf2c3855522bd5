"""What is to be done: actions on venues, in the same words for every venue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.values.address import MarketId
from agent.values.call import Call
from agent.values.check import Check


class Urgency(Enum):
    """How much it matters to be in the next block; decides what is bid for it."""

    HOUSEKEEPING = "housekeeping"
    NORMAL = "normal"
    RESCUE = "rescue"


@dataclass(frozen=True, slots=True)
class Trade:
    """Buy (> 0) or sell ``size_wad`` of the asset at an average price, fees in, no worse than the limit."""

    venue: str
    market: MarketId
    size_wad: int
    limit_price_wad: int


@dataclass(frozen=True, slots=True)
class AddCollateral:
    """Pay ``amount_wad`` (18 decimals) of the account's collateral token from the wallet."""

    venue: str
    key: str  # MarginAccount.key
    amount_wad: int


@dataclass(frozen=True, slots=True)
class RemoveCollateral:
    """Take ``amount_wad`` (18 decimals) of the account's collateral token into the wallet."""

    venue: str
    key: str
    amount_wad: int


@dataclass(frozen=True, slots=True)
class Reduce:
    """Close ``size_wad`` (> 0) of a short or long position, paying at most ``max_cost_wad`` of quote."""

    venue: str
    key: str  # Position.key
    size_wad: int
    max_cost_wad: int


Action = Trade | AddCollateral | RemoveCollateral | Reduce


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Cancel a request that no keeper has filled (`agent.market.request`)."""

    venue: str
    key: str  # Request.key


Step = Action | TakeBack


@dataclass(frozen=True, slots=True)
class Order:
    """An action in the venue's own calls, with the checks that prove it happened as meant.

    ``pre`` hold before the batch's first call (the world is as the plan saw it), ``post`` after its last.
    """

    calls: tuple[Call, ...]
    pre: tuple[Check, ...] = ()
    post: tuple[Check, ...] = ()
