"""Uniswap v3: ranges of liquidity, and trading the asset itself."""

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
from agent.venues.deployments import UniswapDeployment
from agent.venues.uniswap import identity, reader, writer
from agent.venues.uniswap.state import UniswapState
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Uniswap:
    """One deployment with its configured pools, as a venue."""

    deployment: UniswapDeployment
    shelf: Shelf = field(default_factory=Shelf, compare=False, repr=False)

    ability: ClassVar[Ability] = Ability(
        reads="liquidity ranges with fees",
        margin="",
        flip_exact=False,
        writes=("spot trades", "liquidity out"),
        bytecode="npm: @uniswap/v3-core 1.0.1, v3-periphery 1.4.4",
    )

    @property
    def name(self) -> str:
        return "uniswap"

    @property
    def settlement(self) -> Settlement:
        return Settlement.SAME_TX

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """Quote and asset tokens, when the contracts name each other. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[UniswapState]:
        """The account in four rounds. Raises ReadReverted, DecodeMismatch or ContractMismatch."""
        return reader.read(self.deployment, account, block, self.shelf)

    def write(self, state: UniswapState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks. Raises VenueUnknown or PlanInfeasible."""
        return writer.write(self.deployment, state, action, account, deadline_s)
