"""Lyra v1 (Avalon): options against a pool, each short with its own collateral."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from agent.chain.shelf import Shelf
from agent.market.intent import Action, Order
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.ability import Ability
from agent.venues.deployments import LyraDeployment
from agent.venues.lyra import identity, reader, writer
from agent.venues.lyra.state import LyraState
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Lyra:
    """One option market, as a venue."""

    deployment: LyraDeployment
    shelf: Shelf = field(default_factory=Shelf, compare=False, repr=False)

    ability: ClassVar[Ability] = Ability(
        reads="options, long and short",
        margin="per short, in quote or the asset",
        flip_exact=True,
        writes=("closes", "collateral"),
        bytecode="npm: @lyrafinance/protocol 0.1.3-alpha",
    )

    @property
    def name(self) -> str:
        return "lyra"

    @property
    def settlement(self) -> Settlement:
        return Settlement.SAME_TX

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The quote and base token, when Lyra's viewer names the contracts as configured.

        Raises ContractMismatch.
        """
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[LyraState]:
        """The account's options in two rounds. Raises ReadReverted, DecodeMismatch or ContractMismatch."""
        return reader.read(self.deployment, account, block, self.shelf)

    def write(self, state: LyraState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks; Lyra knows no deadline, the batch carries it.

        Raises VenueUnknown or PlanInfeasible.
        """
        del account, deadline_s  # the position names its owner
        return writer.write(self.deployment, state, action)
