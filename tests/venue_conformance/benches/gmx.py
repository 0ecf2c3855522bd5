"""GMX's stand-in on a chain of its own: a long backed by dollars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from agent.errors import ReadReverted
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.abi import decode
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.node import Node
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from agent.venues.gmx.margin import GmxMargin
from tests.gmx import FLOAT, GENESIS_S, World, stand_in_world
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""


@dataclass(frozen=True)
class GmxBench:
    """The keeper fills as soon as it is asked; prices of a judgement travel with the keeper's call."""

    world: World
    name: str = "gmx"

    @property
    def account(self) -> Address:
        return self.world.user

    @property
    def node(self) -> Node:
        return self.world.node

    @property
    def deployment(self) -> Deployment:
        return Deployment(chain_id=self.node.chain_id(), gmx=self.world.deployment)

    def price_of(self, quote: Quote) -> int:
        return self.world.feeds["ETH"].integer("latestAnswer") * 10**10

    def _stored(self, key: str) -> dict[str, object]:
        raw = bytes.fromhex(key.rpartition("0x")[2])
        return self.world.reader.record("getPosition", self.world.store.address, raw)

    def _numbers(self, key: str) -> dict[str, int]:
        return cast(dict[str, int], self._stored(key)["numbers"])

    def size_of(self, position: Position) -> int:
        flags = cast(dict[str, bool], self._stored(position.key)["flags"])
        tokens = self._numbers(position.key)["sizeInTokens"]
        return tokens if flags["isLong"] else -tokens

    def collateral_of(self, margin: MarginAccount) -> int:
        return self._numbers(margin.key)["collateralAmount"] * 10 ** (18 - margin.collateral_token.decimals)

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        """Dollars above what liquidates, as the refusal to liquidate names them, in the collateral."""
        stored = self._stored(margin.key)
        at = cast(dict[str, str], stored["addresses"])
        is_long = cast(dict[str, bool], stored["flags"])["isLong"]
        whose = (at["account"], at["market"], at["collateralToken"], is_long)
        try:
            self.world.liquidator.call(
                "executeLiquidation",
                *whose,
                self.world.parameters(),
                sender=self.world.keeper,
                block=hex(self.node.block_number()),
            )
        except ReadReverted as error:
            told = re.search(r"(-?\d+), (-?\d+), (-?\d+)\)", str(error))
            assert told is not None
            remaining, least, leverage = (int(word) for word in told.groups())
            low = cast(int, self.world.provider.call("price", at["collateralToken"])[0])
            unit = 10 ** (18 - margin.collateral_token.decimals)
            return (remaining - max(least, leverage)) * unit // low, 0
        return None

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        assert isinstance(margin, GmxMargin)
        tag = hex(self.node.block_number())
        return [self.world.liquidates(self.account, margin, {**margin.prices, **one}, tag) for one in prices]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        answer = self.world.feeds["ETH"].integer("latestAnswer")
        self.world.set_price("ETH", mul_down(answer * 10**10, ratio_wad))

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        offer, held = state.offers[0], state.positions[0]
        price = offer.price_wad
        return (
            Trade(self.name, offer.market, 2 * WAD + 3, mul_up(price, WAD * 21 // 20)),
            Trade(self.name, offer.market, -3 * WAD // 2, mul_down(price, WAD * 19 // 20)),
            AddCollateral(self.name, held.key, 55 * WAD),
            RemoveCollateral(self.name, held.key, 20 * WAD),
            Reduce(self.name, held.key, WAD, mul_up(WAD, held.mark_wad * 21 // 20)),
        )

    def carry_out(self, order: Order) -> Done:
        before = set(self.world.orders(self.account))
        logs = send_all(self.world.chain, self.account, order)
        for key in self.world.orders(self.account):
            if key not in before:
                logs += tuple(self.world.execute(key).logs)
        return Done(logs)

    def paid_wad(self, trade: Trade, done: Done) -> int:
        """At the execution price, with the fee of the tier that the events do not tell: the dearer."""
        paid = 0
        event = self.world.emitter.abi.events["EventLog1"]
        plain = [part for part in event.inputs if part.get("indexed") is not True]
        for log in done.logs:
            if cast(list[str], log["topics"])[0] != event.topic:
                continue
            body = decode(plain, bytes.fromhex(str(log["data"])[2:]), "", "EventLog1")[2]
            data = cast(dict[str, dict[str, list[dict[str, object]]]], body)
            items = {str(item["key"]): cast(int, item["value"]) for item in data["uintItems"]["items"]}
            tokens, price = items["sizeDeltaInTokens"], items["executionPrice"]
            fee = items["sizeDeltaUsd"] * 6 // 10_000
            sign = 1 if trade.size_wad > 0 else -1
            paid += (sign * tokens * price + fee) // (FLOAT // WAD)
        return paid

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """The tier that an improvement earns, and the reward that is quoted as none; and that an impact is
        paid in tokens at a price with the impact in it. `paid_wad` knows the dearer tier only.
        """
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return worth // 1_000, worth * 2 // 10_000 + worth // 10**6

    def foretold_slack_wad(self, trade: Trade) -> tuple[int, int]:
        """What opens brings its own collateral, a quarter of its size, which the account does not foresee."""
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return 10, worth * 26 // 100

    def impostors(self) -> Sequence[Impostor]:
        record = self.world.deployment
        found = []
        for what, field in (("another store", "data_store"), ("another vault", "order_vault")):
            changed = record.model_copy(update={field: record.router})
            found.append(Impostor(what, Deployment(chain_id=self.node.chain_id(), gmx=changed), "GMX"))
        return found


@contextmanager
def bench(street: Street) -> Iterator[GmxBench]:
    with Anvil(street.toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as node:
        world = stand_in_world(node)
        world.give(world.user, "USDC", 200_000 * 10**6)
        market = Address(world.deployment.markets[0].address)
        world.open(world.user, market, "USDC", 12_000 * 10**6, 40_000 * FLOAT, is_long=True)
        node.warp(3_600 * 7 + 11)
        yield GmxBench(world)
