"""The port: what every venue says, in the same words.

A venue is one folder with three files and an entry in ``deployments``:

- ``reader``: which calls to make, and how their answers become the venue's frozen state (pure);
- ``margin``: equity and requirement of one account as pure functions of prices and time;
- ``writer``: an action as the venue's calls, with its slippage bounds and the checks that prove it.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol, TypeVar, runtime_checkable

from agent.market.intent import Action, Order
from agent.market.snapshot import VenueState
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.ability import Ability
from agent.venues.manifest import Stage, strictest

__all__ = ["AbleVenue", "Settlement", "Stage", "StagedState", "Venue", "told_stage"]

S = TypeVar("S", bound=VenueState)


class Settlement(Enum):
    """When an order is done."""

    SAME_TX = "same transaction"
    KEEPER = "filled later by a keeper"
    OFFCHAIN = "signed order to a matching engine"


class Venue(Protocol[S]):
    """One protocol deployment on one chain."""

    @property
    def name(self) -> str: ...

    @property
    def settlement(self) -> Settlement: ...

    @property
    def stage(self) -> Stage: ...

    def identify(self) -> Reading[tuple[Token, ...]]:
        """Prove that the contracts are the protocol's (they name each other as configured).

        Returns the tokens the wallet needs to be read for (quote, base). Raises ContractMismatch.
        """
        ...

    def read(self, account: Address, block: Block) -> Reading[S]:
        """The account's state. Raises DecodeMismatch or ReadReverted."""
        ...

    def write(self, state: S, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks. Pure. Raises VenueUnknown on an action it cannot do."""
        ...


@runtime_checkable
class AbleVenue(Protocol):
    """A venue that declares what we can do there. Every one of ours does; a test holds it to that."""

    @property
    def ability(self) -> Ability: ...


@runtime_checkable
class StagedState(Protocol):
    """A venue's state that knows from the contracts where the venue stands."""

    @property
    def stage(self) -> Stage: ...


def told_stage(venue: Venue[S], state: VenueState) -> Stage:
    """By the venue itself, and by its contracts where they tell."""
    # as isinstance says, which is slow for a protocol and asked in every block
    told: Stage | None = getattr(state, "stage", None)
    if told is not None:
        return venue.stage if told is venue.stage else strictest(venue.stage, told)
    return venue.stage
