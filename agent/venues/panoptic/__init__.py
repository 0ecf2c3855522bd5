"""Panoptic v2: perpetual options, loans and credits over a Uniswap v3 pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from agent.market.intent import Action, Order
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.ability import Ability
from agent.venues.deployments import PanopticDeployment
from agent.venues.panoptic import identity, reader, writer
from agent.venues.panoptic.ledger import Memory
from agent.venues.panoptic.state import PanopticState
from agent.venues.venue import Settlement, Stage


@dataclass(frozen=True, slots=True)
class Panoptic:
    """One deployment with its configured pools. ``memory`` saves asking for old events twice."""

    deployment: PanopticDeployment
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    ability: ClassVar[Ability] = Ability(
        reads="options, loans, credits, both collaterals with interest, premia",
        margin="both tokens at the oracle's four ticks, with premia, interest and utilisation",
        flip_exact=True,
        writes=("trades", "collateral", "closes"),
        bytecode="compiled: panoptic-labs/panoptic-v2-core, out of tree",
    )

    @property
    def name(self) -> str:
        return "panoptic"

    @property
    def settlement(self) -> Settlement:
        return Settlement.SAME_TX

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """Quote and asset tokens, when the contracts name each other. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[PanopticState]:
        """The account in four rounds. Raises ReadReverted, DecodeMismatch, ContractMismatch or
        HistoryIncomplete.
        """
        return reader.read(self.deployment, self.memory, account, block)

    def write(self, state: PanopticState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as calls and checks. Raises VenueUnknown or PlanInfeasible."""
        return writer.write(self.deployment, state, action, account, deadline_s)
