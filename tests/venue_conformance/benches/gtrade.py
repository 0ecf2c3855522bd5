"""gTrade's stand-in on a chain of its own: a long of somebody, against shorts that weigh less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import cast

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.contract import Chain
from agent.sim.deploy.gtrade import COLLATERAL, P_10, PAIR, Gtrade, deploy
from agent.sim.node import Node
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""
GENESIS_S = 1_750_000_000
UNIT = 10**12  # wads in the token's smallest unit
NAME = MarketId(f"gtrade:{PAIR}")


@dataclass(frozen=True)
class GtradeBench:
    """What the contract says is asked of its own views at the newest block; arithmetic is the bench's."""

    node: Node
    chain: Chain
    system: Gtrade
    account: Address
    name: str = "gtrade"

    @property
    def deployment(self) -> Deployment:
        return Deployment(chain_id=self.node.chain_id(), gtrade=self.system.deployment())

    def price_of(self, quote: Quote) -> int:
        return self.system.price * 10**8

    def size_of(self, position: Position) -> int:
        trade = self._trade(position.key)
        size = cast(int, trade["collateralAmount"]) * cast(int, trade["leverage"]) * UNIT * P_10
        size = size // 1_000 // cast(int, trade["openPrice"])
        return size if trade["long"] else -size

    def collateral_of(self, margin: MarginAccount) -> int:
        return cast(int, self._trade(margin.key)["collateralAmount"]) * UNIT

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        """What may still be lost: by the contract's own word for what is owed and booked."""
        system, trade = self.system, self._trade(margin.key)
        index, price = cast(int, trade["index"]), system.price
        block = hex(self.node.block_number())  # of the newest block's second, not of the next one's
        view = system.diamond
        owed = cast(
            dict[str, int],
            view.call("getTradePendingHoldingFeesCollateral", self.account, index, price, block=block)[0],
        )["totalFeeCollateral"]
        data = cast(dict[str, int], view.call("getTradeFeesData", self.account, index)[0])
        owed -= data["realizedPnlCollateral"] - data["realizedTradingFeesCollateral"]
        posted, leverage, opened = (
            cast(int, trade[name]) for name in ("collateralAmount", "leverage", "openPrice")
        )
        position = posted * leverage // 1_000
        terms = system.terms
        least = terms.min_size_usd // UNIT
        fee = max(position, least) * terms.fee // (100 * P_10)
        spread = min(terms.spread // 2, terms.liquidation[0])
        sign = 1 if trade["long"] else -1
        moved = Fraction(sign * (price - opened), opened) - Fraction(spread, 100 * P_10)
        notional = Fraction(posted * leverage * UNIT, 1_000)
        bearable = posted * UNIT * 90 // 100  # below a leverage of 20
        return bearable - (fee + owed) * UNIT + floor(notional * moved), 0

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        index, block = cast(int, self._trade(margin.key)["index"]), hex(self.node.block_number())
        return [
            bool(
                self.system.diamond.call(
                    "wouldLiquidate", self.account, index, one[NAME] // 10**8, block=block
                )[0]
            )
            for one in prices
        ]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        self.system.set_price(mul_down(self.system.price, ratio_wad))

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        offer, margin = state.offers[0], state.margins[0]
        price = offer.price_wad
        return (
            Trade(self.name, offer.market, 5 * WAD + 7, mul_up(price, WAD * 102 // 100)),
            Trade(self.name, offer.market, -4 * WAD // 3, mul_down(price, WAD * 98 // 100)),
            # what an update of leverage can do exactly: to 3.2 and to 5
            AddCollateral(self.name, margin.key, margin.collateral_wad // 4),
            RemoveCollateral(self.name, margin.key, margin.collateral_wad // 5),
            Reduce(self.name, margin.key, self._eighth(state), mul_up(100 * WAD, price)),
        )

    def carry_out(self, order: Order) -> Done:
        logs = list(send_all(self.chain, self.account, order))
        for index in self.system.orders(self.account):
            logs += self.system.fulfill(self.account, index).logs
        return Done(tuple(logs))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        diamond = self.system.diamond
        for event in diamond.events(done.logs, "PositionSizeIncreaseExecuted"):
            values = cast(dict[str, object], event["values"])
            size = cast(int, values["positionSizeCollateralDelta"]) + cast(
                int, values["openingFeesCollateral"]
            )
            return size * UNIT
        (event,) = diamond.events(done.logs, "PositionSizeDecreaseExecuted")
        values = cast(dict[str, object], event["values"])
        assert event["cancelReason"] == 0
        impact = cast(dict[str, int], values["priceImpact"])
        sold = mul_down(-trade.size_wad, impact["priceAfterImpact"] * 10**8)
        return cast(int, values["closingFeeCollateral"]) * UNIT - sold

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """Impact that rewards is left out of the offer, and is at most a fifth of a percent here; the curve
        is the contract's to a ten-thousandth of a percent.
        """
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return worth // 500, worth // 1_000_000

    def foretold_slack_wad(self, trade: Trade) -> tuple[int, int]:
        """Orders are in money, filled at a price that impact makes better or worse than foretold."""
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return abs(trade.size_wad) // 500, worth // 500

    def impostors(self) -> Sequence[Impostor]:
        plain, record = self.deployment, self.system.deployment()
        (pair,) = record.pairs
        found = []
        for what, change, word in (
            ("a diamond that is the token", {"diamond": self.system.token.address}, "gTrade"),
            ("another collateral", {"collateral_token": self.system.dollar.address}, "collateral"),
            ("another collateral's number", {"collateral_index": COLLATERAL + 1}, "collateral"),
            ("another pair", {"pairs": (pair.model_copy(update={"index": PAIR + 1}),)}, "pair"),
            ("another asset", {"pairs": (pair.model_copy(update={"asset": "BTC"}),)}, "BTC"),
        ):
            changed = plain.model_copy(update={"gtrade": record.model_copy(update=change)})
            found.append(Impostor(what, changed, word))
        return found

    def _eighth(self, state: VenueState) -> int:
        """A size that whole units of collateral make up, as the contract takes it."""
        trade = self._trade(state.positions[0].key)
        posted, leverage, opened = (
            cast(int, trade[name]) for name in ("collateralAmount", "leverage", "openPrice")
        )
        whole, left = (
            amount * leverage * UNIT * P_10 // 1_000 // opened for amount in (posted, posted - posted // 8)
        )
        return whole - left

    def _trade(self, key: str) -> dict[str, object]:
        index = int(key.rpartition(":")[2])
        (found,) = (
            trade
            for trade in cast(list[dict[str, object]], self.system.diamond.call("getTrades", self.account)[0])
            if trade["index"] == index
        )
        return found


@contextmanager
def bench(street: Street) -> Iterator[GtradeBench]:
    with Anvil(street.toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as node:
        chain = Chain(node)
        owner, keeper, account, other = (
            parse_address(a) for a in cast(list[str], node.request("eth_accounts"))[:4]
        )
        system = deploy(chain, owner, keeper)
        system.open(other, 200_000 * 10**6, 5_000, is_long=True)
        system.open(other, 120_000 * 10**6, 5_000, is_long=False)
        node.warp(3_600)
        system.open(account, 25_000 * 10**6, 4_000, is_long=True)
        system.token.send(owner, "mint", account, 500_000 * 10**6)
        node.warp(3_600)
        yield GtradeBench(node, chain, system, account)
