"""Perpetual Protocol v2 (Curie): perpetuals against Uniswap v3 pools, one margin account over all markets."""

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
from agent.venues.curie import identity, reader, writer
from agent.venues.curie.state import CurieState
from agent.venues.deployments import CurieDeployment
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Curie:
    """One deployment, as a venue."""

    deployment: CurieDeployment
    shelf: Shelf = field(default_factory=Shelf, compare=False, repr=False)

    ability: ClassVar[Ability] = Ability(
        reads="perpetuals, collaterals, open orders",
        margin="multi-collateral, cross-market, with funding",
        flip_exact=True,
        writes=("trades", "collateral", "closes"),
        bytecode="npm: @perp/curie-contract 2.8.4",
    )

    @property
    def name(self) -> str:
        return "curie"

    @property
    def settlement(self) -> Settlement:
        return Settlement.SAME_TX

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The settlement token, when the contracts name each other as configured. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[CurieState]:
        """The account in four rounds. Raises ReadReverted, DecodeMismatch or ContractMismatch."""
        return reader.read(self.deployment, account, block, self.shelf)

    def write(self, state: CurieState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks. Raises VenueUnknown or PlanInfeasible."""
        return writer.write(self.deployment, state, action, account, deadline_s)
