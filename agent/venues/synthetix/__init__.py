"""Synthetix V3's perps market: perpetuals against a pool, at an oracle's price, filled by keepers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.market.intent import Action, Order
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.ability import Ability
from agent.venues.deployments import SynthetixDeployment
from agent.venues.synthetix import identity, reader, writer
from agent.venues.synthetix.state import SynthetixState
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Synthetix:
    """One deployment, as a venue."""

    deployment: SynthetixDeployment

    ability: ClassVar[Ability] = Ability(
        reads="perpetuals, synths as collateral, debt",
        margin="cross-market, with funding, interest and rewards",
        flip_exact=True,
        writes=("orders", "collateral", "closes"),
        bytecode="compiled: @synthetixio/perps-market 3.13.0",
    )

    @property
    def name(self) -> str:
        return "synthetix"

    @property
    def settlement(self) -> Settlement:
        return Settlement.KEEPER

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The dollar token, when the contracts name each other as configured. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[SynthetixState]:
        """The address's accounts in three rounds. Raises ReadReverted, DecodeMismatch or ContractMismatch."""
        return reader.read(self.deployment, account, block)

    def write(self, state: SynthetixState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks; an order's own deadline is the market's settlement window.

        Raises VenueUnknown or PlanInfeasible.
        """
        del account, deadline_s
        return writer.write(self.deployment, state, action)
