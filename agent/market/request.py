"""What was asked of a venue that fills later, by somebody else's hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from agent.market.intent import Order
from agent.values.address import MarketId
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.log import Filter, Log


class Phase(Enum):
    """Where a request stands. All but the first and the last two are for good."""

    EXECUTED = "executed"
    PARTLY = "partly"  # some of it was filled, and the rest never will be
    CANCELLED = "cancelled"  # by the venue or by us: nothing was filled
    EXPIRED = "expired"  # nobody acted in time and it can be taken back, or has ended by itself
    REQUESTED = "requested"  # waiting for a keeper
    FROZEN = "frozen"  # the venue has set it aside; it may still be filled, or be taken back


@dataclass(frozen=True, slots=True)
class Request:
    """One order at a venue that settles by a KEEPER. Sizes are signed wads of the asset, > 0 buys.

    ``key`` is the venue's own name of the order. ``price_wad``: the worst average price it may fill at.
    ``filled_wad`` and ``fill_price_wad``: what happened of it so far. ``cancel_at_s``: from when on we may
    take it back. ``collateral_wad``: the margin that travels with it.
    """

    venue: str
    key: str
    market: MarketId
    asset: str
    size_wad: int
    price_wad: int
    collateral_wad: int
    requested_at_s: int
    cancel_at_s: int
    phase: Phase = Phase.REQUESTED
    filled_wad: int = 0
    fill_price_wad: int = 0
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may still change what we hold."""
        return self.phase in {Phase.REQUESTED, Phase.FROZEN}

    @property
    def pending_wad(self) -> int:
        """What may still be filled."""
        return self.size_wad - self.filled_wad if self.is_open else 0


@runtime_checkable
class KeeperVenue(Protocol):
    """A venue whose orders are requests (beside what every `Venue` says)."""

    def events(self) -> Filter:
        """The events in which its requests are born, filled, cancelled and frozen."""
        ...

    def requests(self, logs: Sequence[Log], timestamps_s: Mapping[int, int]) -> tuple[Request, ...]:
        """The requests that these events created. ``timestamps_s``: of each block, by number. Pure."""
        ...

    def follow(self, open_requests: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
        """The same requests after these events, in order. Pure."""
        ...

    def inspect(self, open_requests: Sequence[Request], block: Block) -> Reading[tuple[bool, ...]]:
        """Of each, whether the venue still stores it: the judge of what events tell."""
        ...

    def take_back(self, request: Request) -> Order:
        """The call that cancels it. Pure."""
        ...
