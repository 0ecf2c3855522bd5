"""The example venue of docs/venues/writing-one.md: one perpetual, one price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.venues.example import identity, reader, writer
from agent.venues.example.deployment import ExampleDeployment
from agent.venues.example.fragment import NAME
from agent.venues.example.state import ExampleState

from agent.market.intent import Action, Order
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.ability import Ability
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Example:
    """One market, as a venue."""

    deployment: ExampleDeployment

    ability: ClassVar[Ability] = Ability(
        reads="one perpetual",
        margin="one market, with funding",
        flip_exact=True,
        writes=("trades", "collateral", "closes"),
        bytecode="our own: contracts/sim/ExamplePerps.sol",
    )

    @property
    def name(self) -> str:
        return NAME

    @property
    def settlement(self) -> Settlement:
        return Settlement.SAME_TX

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The margin token, when the contract names it. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[ExampleState]:
        """The account in one round. Raises ReadReverted or DecodeMismatch."""
        return reader.read(self.deployment, account, block)

    def write(self, state: ExampleState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks; the batch carries the deadline.

        Raises VenueUnknown or PlanInfeasible.
        """
        del deadline_s
        return writer.write(self.deployment, state, action, account)
