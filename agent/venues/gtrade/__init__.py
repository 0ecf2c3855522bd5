"""gTrade (Gains): perpetuals against a vault at an oracle's price, filled by its answers; each trade is an
account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

from agent.chain.question import Question, ask
from agent.market.intent import Action, Order
from agent.market.request import Request
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.log import Filter, Log
from agent.venues.ability import Ability
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade import event, identity, reader, request, writer
from agent.venues.gtrade.charts import Charts
from agent.venues.gtrade.fragment import GTRADE, order_of
from agent.venues.gtrade.price import PriceSource
from agent.venues.gtrade.state import GtradeState
from agent.venues.venue import Settlement, Stage


def _source(gtrade: GtradeDeployment) -> PriceSource | None:
    return Charts.at(gtrade.prices_url) if gtrade.prices_url else None


@dataclass(frozen=True, slots=True)
class Gtrade:
    """One deployment, as a venue. ``source``: prices that are not on the chain; None: the feeds' are used."""

    deployment: GtradeDeployment
    source: PriceSource | None = field(default=None, compare=False)

    ability: ClassVar[Ability] = Ability(
        reads="trades in one collateral, pending orders",
        margin="one account per trade, with funding, borrowing and booked fees",
        flip_exact=False,
        writes=("trades", "collateral", "closes"),
        bytecode="",
    )

    @classmethod
    def of(cls, deployment: GtradeDeployment) -> Gtrade:
        """With the price service that the deployment names. Raises ConfigInvalid if it is no address."""
        return cls(deployment, _source(deployment))

    @property
    def name(self) -> str:
        return "gtrade"

    @property
    def settlement(self) -> Settlement:
        return Settlement.KEEPER

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The collateral, when the diamond is gTrade's with the configured pairs. Raises ContractMismatch."""
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[GtradeState]:
        """The account in two rounds. Raises ReadReverted, DecodeMismatch, ContractMismatch, PriceStale or
        PriceImplausible, and what the price service raises.
        """
        return reader.read(self.deployment, self.source, account, block)

    def write(self, state: GtradeState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as orders left with the diamond; how long they bind is the protocol's.

        Raises VenueUnknown or PlanInfeasible.
        """
        del deadline_s
        return writer.write(self.deployment, state, action, account)

    # --- orders as requests ----------------------------------------------------------------------------

    def events(self, account: Address) -> Filter:
        """The events of orders and trades; others' are among what it finds."""
        del account
        return event.filter_of(self.deployment)

    def requests(
        self, account: Address, logs: Sequence[Log], timestamps_s: Mapping[int, int]
    ) -> tuple[Request, ...]:
        """The account's requests that were born in ``logs``, as they were at birth. Raises DecodeMismatch."""
        return request.born(self.deployment, account, logs, timestamps_s)

    def follow(self, born: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
        """What has become of each. Raises RequestContradicted or DecodeMismatch."""
        return request.follow(self.deployment, born, logs)

    def inspect(self, requests: Sequence[Request], block: Block) -> Reading[tuple[bool, ...]]:
        """Of each, whether the diamond still has it open."""
        del block
        diamond, pending = Address(self.deployment.diamond), GTRADE["getPendingOrder"]
        replies = yield from ask(
            {one.key: Question(diamond, pending, (order_of(one.key),)) for one in requests}
        )
        # of the order: its trade, whose it is, its number, and whether it is open
        return tuple(bool(cast(tuple[object, ...], replies[one.key].outputs[0])[3]) for one in requests)

    def take_back(self, request: Request) -> Order:
        """The call that cancels it after its time; collateral that travels with it comes back."""
        return writer.take_back(self.deployment, request.key)
