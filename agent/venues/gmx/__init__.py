"""GMX v2: perpetuals against pools at an oracle's price, filled by keepers; each position is an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from agent.chain.question import Question, ask
from agent.market.intent import Action, Order
from agent.market.request import Request
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.values.log import Filter, Log
from agent.venues.ability import Ability
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx import event, identity, reader, request, writer
from agent.venues.gmx.fragment import GMX
from agent.venues.gmx.key import key_of
from agent.venues.gmx.order import Placed
from agent.venues.gmx.sheet import PriceSource
from agent.venues.gmx.state import GmxState
from agent.venues.gmx.ticker import Tickers
from agent.venues.gmx.writer import Revision
from agent.venues.venue import Settlement, Stage


def _source(gmx: GmxDeployment) -> PriceSource | None:
    return Tickers.at(gmx.prices_url) if gmx.prices_url else None


@dataclass(frozen=True, slots=True)
class Gmx:
    """One deployment, as a venue. ``source``: prices that are not on the chain; None: the feeds' are used."""

    ability: ClassVar[Ability] = Ability(
        reads="positions, orders, funding, borrowing, impact, caps, claimables",
        margin="each position by itself, with the next accumulators",
        flip_exact=True,
        writes=("orders", "collateral", "closes"),
        bytecode="published records of Arbitrum and Avalanche, out of tree",
    )

    deployment: GmxDeployment
    source: PriceSource | None = field(default=None, compare=False)

    @classmethod
    def of(cls, deployment: GmxDeployment) -> Gmx:
        """With the price service that the deployment names. Raises ConfigInvalid if it is no address."""
        return cls(deployment, _source(deployment))

    @property
    def name(self) -> str:
        return "gmx"

    @property
    def settlement(self) -> Settlement:
        return Settlement.KEEPER

    @property
    def stage(self) -> Stage:
        return Stage.OPEN

    def identify(self) -> Reading[tuple[Token, ...]]:
        """The tokens that back positions, when the contracts name each other as configured. Raises
        ContractMismatch.
        """
        return identity.identify(self.deployment)

    def read(self, account: Address, block: Block) -> Reading[GmxState]:
        """The account in two rounds. Raises ReadReverted, DecodeMismatch, ContractMismatch, PriceStale or
        PriceImplausible, and what the price service raises.
        """
        return reader.read(self.deployment, self.source, account, block)

    def write(self, state: GmxState, action: Action, account: Address, deadline_s: int) -> Order:
        """The action as orders left with the router; how long they bind is the protocol's.

        Raises VenueUnknown or PlanInfeasible.
        """
        del deadline_s
        return writer.write(self.deployment, state, action, account)

    # --- orders as requests ----------------------------------------------------------------------------

    def events(self, account: Address) -> Filter:
        """The events of orders and positions; others' are among what it finds."""
        del account
        return event.filter_of(self.deployment)

    def requests(
        self, account: Address, logs: Sequence[Log], timestamps_s: Mapping[int, int]
    ) -> tuple[Request, ...]:
        """The account's requests that were born in ``logs``, as they were at birth: an order says itself
        when. Raises DecodeMismatch.
        """
        del timestamps_s
        return request.born(self.deployment, account, logs, self.deployment.expiry_s)

    def follow(self, born: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
        """What has become of each. Raises RequestContradicted or DecodeMismatch."""
        return request.follow(self.deployment, born, logs)

    def inspect(self, requests: Sequence[Request], block: Block) -> Reading[tuple[bool, ...]]:
        """Of each, whether the store still lists it."""
        del block
        store, orders = Address(self.deployment.data_store), key_of("ORDER_LIST")
        contains = GMX["containsBytes32"]
        replies = yield from ask(
            {one.key: Question(store, contains, (orders, bytes.fromhex(one.key[2:]))) for one in requests}
        )
        return tuple(bool(replies[one.key].integer) for one in requests)

    def take_back(self, request: Request) -> Order:
        """The call that cancels it; the fee that is left and the collateral come back."""
        return writer.take_back(self.deployment, bytes.fromhex(request.key[2:]))

    def revise(self, placed: Placed, revision: Revision) -> Order:
        """The call that changes an order that waits for its price. Raises PlanInfeasible for others."""
        return writer.revise(self.deployment, placed, revision)
