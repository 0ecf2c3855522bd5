"""Curie on the seeded local chain: the book's perpetual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.curie.writer import MARGIN_KEY
from agent.venues.deployments import Deployment, Market
from tests.flips.crowd import ask_words
from tests.flips.curie import closing_of
from tests.localnet.test_curie import push_pool
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""


@dataclass(frozen=True)
class CurieBench:
    """Prices are had by closing the market in calls: what closing writes is laid over its storage."""

    net: Localnet
    name: str = "curie"

    @property
    def node(self) -> Node:
        return self.net.node

    @property
    def deployment(self) -> Deployment:
        return self.net.deployment()

    @property
    def account(self) -> Address:
        return self.net.book.account

    @property
    def market(self) -> MarketId:
        return MarketId(f"curie:{self.net.curie.base.address}")

    def price_of(self, quote: Quote) -> int:
        answer = self.net.aggregator.call("latestRoundData")[1]
        assert isinstance(answer, int)
        return answer * 10**10

    def size_of(self, position: Position) -> int:
        balance, base = self.net.curie.account_balance, self.net.curie.base
        return balance.integer("getTakerPositionSize", self.account, base.address)

    def collateral_of(self, margin: MarginAccount) -> int:
        token = self.net.lyra.quote
        raw = self.net.curie.vault.integer("getBalanceByToken", self.account, token.address)
        return raw * 10 ** (18 - token.integer("decimals"))

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        curie = self.net.curie
        return (
            curie.clearing_house.integer("getAccountValue", self.account),
            curie.account_balance.integer("getMarginRequirementForLiquidation", self.account),
        )

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        curie, calls = self.net.curie, []
        closing = closing_of(self.node, self.net.roles["owner"], {self.market: curie.base})
        for one in prices:
            for contract, function in (
                (curie.clearing_house, "getAccountValue"),
                (curie.account_balance, "getMarginRequirementForLiquidation"),
            ):
                data = "0x" + contract.encode(function, self.account).hex()
                calls.append(({"to": contract.address, "data": data}, closing.at(one)))
        words = [word - 2**256 if word >> 255 else word for word in ask_words(self.net.chain, calls)]
        return [value < need for value, need in zip(words[::2], words[1::2], strict=True)]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        self.net.set_spot(mul_down(self.net.spot_wad(), ratio_wad))
        push_pool(self.net, 1.0)
        self.wait(1_800)

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        (offer,) = state.offers
        held = state.positions[0]
        return (
            *(Trade(self.name, offer.market, size, _limit(offer, size)) for size in (2 * WAD + 7, -WAD // 3)),
            AddCollateral(self.name, MARGIN_KEY, 123 * WAD + 5),
            RemoveCollateral(self.name, MARGIN_KEY, 45 * WAD + 3),
            Reduce(self.name, held.key, WAD, mul_up(WAD, held.mark_wad * 2)),
        )

    def carry_out(self, order: Order) -> Done:
        return Done(send_all(self.net.chain, self.account, order))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        (event,) = self.net.curie.clearing_house.events(done.logs, "PositionChanged")
        notional, fee = event["exchangedPositionNotional"], event["fee"]
        assert isinstance(notional, int)
        assert isinstance(fee, int)
        return fee - notional

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        return 0, 0

    def impostors(self) -> Sequence[Impostor]:
        deployment = self.deployment
        assert deployment.curie is not None
        token = Market(address=deployment.curie.settlement_token, asset="ETH")
        found = []
        for what, change, word in (
            ("a market that is another token", {"markets": (token,)}, token.address),
            ("a vault that is another contract", {"vault": token.address}, token.address),
            ("an exchange that is the order book", {"exchange": deployment.curie.order_book}, "exchange"),
        ):
            record = deployment.curie.model_copy(update=change)
            found.append(Impostor(what, deployment.model_copy(update={"curie": record}), word))
        return found


def _limit(offer: Offer, size_wad: int) -> int:
    return (
        mul_up(offer.price_wad, WAD * 11 // 10) if size_wad > 0 else mul_down(offer.price_wad, WAD * 9 // 10)
    )


@contextmanager
def bench(street: Street) -> Iterator[CurieBench]:
    yield CurieBench(street.localnet)
