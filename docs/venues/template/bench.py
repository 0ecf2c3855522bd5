"""The example on a chain of its own: a long of somebody, in a token of six decimals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from agent.venues.example.deployment import ExampleDeployment
from agent.venues.example.fragment import market_of

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.node import Node
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from tests.flips.crowd import ask_words
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""
PRICE_SLOT = f"0x{0:064x}"
UNIT = 10**12  # wads in the token's smallest unit


@dataclass(frozen=True)
class ExampleBench:
    """Prices are laid over the contract's storage in calls."""

    node: Node
    chain: Chain
    perps: Contract
    token: Contract
    owner: Address
    account: Address
    name: str = "example"

    @property
    def deployment(self) -> Deployment:
        record = ExampleDeployment(perps=self.perps.address, token=self.token.address, asset="ETH")
        return Deployment(chain_id=self.node.chain_id(), example=record)

    def price_of(self, quote: Quote) -> int:
        return self.perps.integer("price")

    def size_of(self, position: Position) -> int:
        return cast(int, self.perps.call("accounts", self.account)[1])

    def collateral_of(self, margin: MarginAccount) -> int:
        return cast(int, self.perps.call("accounts", self.account)[0])

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        block = hex(self.node.block_number())  # of the newest block's second, not of the next one's
        equity = self.perps.call("equityOf", self.account, block=block)[0]
        return cast(int, equity), self.perps.integer("requirementOf", self.account)

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        call = {
            "to": self.perps.address,
            "data": "0x" + self.perps.encode("isLiquidatable", self.account).hex(),
        }
        calls: list[tuple[dict[str, object], object]] = []
        for one in prices:
            word = f"0x{one[market_of(self.perps.address)]:064x}"
            calls.append((dict(call), {self.perps.address: {"stateDiff": {PRICE_SLOT: word}}}))
        return [word == 1 for word in ask_words(self.chain, calls)]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        self.perps.send(self.owner, "setPrice", mul_down(self.perps.integer("price"), ratio_wad))

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        market, price = state.offers[0].market, state.offers[0].price_wad
        return (
            Trade(self.name, market, 2 * WAD + 7, mul_up(price, WAD * 102 // 100)),
            Trade(self.name, market, -WAD // 3, mul_down(price, WAD * 98 // 100)),
            AddCollateral(self.name, market, 123 * WAD + 5),
            RemoveCollateral(self.name, market, 45 * WAD),
            Reduce(self.name, market, WAD + 3, mul_up(2 * WAD, price)),
        )

    def carry_out(self, order: Order) -> Done:
        return Done(send_all(self.chain, self.account, order))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        (event,) = self.perps.events(done.logs, "Traded")
        return cast(int, event["paid"]) + cast(int, event["fee"])

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        return 0, 0

    def impostors(self) -> Sequence[Impostor]:
        deployment = self.deployment
        perps, token = self.perps.address, self.token.address
        found = []
        for what, record, word in (
            ("a market that is the token", ExampleDeployment(perps=token, token=token, asset="ETH"), token),
            ("another token", ExampleDeployment(perps=perps, token=perps, asset="ETH"), perps),
        ):
            found.append(Impostor(what, deployment.model_copy(update={"example": record}), word))
        return found


@contextmanager
def bench(street: Street) -> Iterator[ExampleBench]:
    with Anvil(street.toolchain.anvil, AnvilOptions(genesis_s=1_750_000_000)) as node:
        chain = Chain(node)
        owner, account = (parse_address(a) for a in cast(list[str], node.request("eth_accounts"))[:2])
        token = chain.deploy(owner, own_artifact("MintableToken"), "USD", "USDX", 6)
        perps = chain.deploy(owner, own_artifact("ExamplePerps"), token.address, 2_000 * WAD)
        for holder in (account, perps.address):
            token.send(owner, "mint", holder, 10**15)
        token.send(account, "approve", perps.address, 10**15)
        perps.send(account, "deposit", 9_000 * WAD // UNIT)
        perps.send(account, "trade", 21 * WAD + 1, 2_100 * WAD)
        node.warp(3_600)
        yield ExampleBench(node, chain, perps, token, owner, account)
