"""GMX's stand-in on a chain of its own: a long backed by dollars. The bench is the real contracts' too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from agent.sim.deploy.gmx import key_of
from agent.sim.node import Node, quantity
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment, GmxMarket
from tests.gmx import FLOAT, GENESIS_S, NOT_LIQUIDATABLE, World, stand_in_world
from tests.venue_conformance.bench import Done, Impostor, Log, Street
from tests.venue_conformance.sender import paid_raw, send_all

NEEDS = ""
FILLS = {"PositionIncrease", "PositionDecrease"}
REFUSAL = re.compile(r"(-?\d+), (-?\d+), (-?\d+)\)")  # remaining, least and leverage, in dollars


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
        return self.world.feeds[quote.asset].integer("latestAnswer") * 10**10

    def size_of(self, position: Position) -> int:
        stored = self._stored(position.key)
        market = self._market(str(stored["market"]))
        tokens = cast(int, stored["sizeInTokens"]) * 10 ** (18 - self._decimals(market.index_token))
        return tokens if stored["isLong"] else -tokens

    def collateral_of(self, margin: MarginAccount) -> int:
        unit = 10 ** (18 - margin.collateral_token.decimals)
        return cast(int, self._stored(margin.key)["collateralAmount"]) * unit

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        """What stands above the requirement, as the refusal to liquidate names it in dollars."""
        refusal = self._refusal(margin, None)
        told = None if refusal is None else REFUSAL.search(refusal)
        if told is None:
            return None
        remaining, least, leverage = (int(word) for word in told.groups())
        low = self._price(margin.collateral_token.address)[0]
        unit = 10 ** (18 - margin.collateral_token.decimals)
        return (remaining - max(least, leverage, 1)) * unit // low, 0

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        return [self._refusal(margin, one) is None for one in prices]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        asset = self._market(market.rpartition(":")[2]).asset
        price = self.world.feeds[asset].integer("latestAnswer") * 10**10
        self.world.set_price(asset, mul_down(price, ratio_wad))

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
        return Done(logs, by_keeper=True)

    def paid_wad(self, trade: Trade, done: Done) -> int:
        """At the execution price, with the fee of the tier that the open interest before it gives."""
        paid = 0
        for log, items in self._fills(done):
            market = trade.market.rpartition(":")[2]
            tokens, usd = items["sizeDeltaInTokens"], items["sizeDeltaUsd"]
            block = hex(quantity(log["blockNumber"]) - 1)
            skew = self._open_usd(market, block, is_long=True) - self._open_usd(market, block, is_long=False)
            grown = skew + (usd if trade.size_wad > 0 else -usd)
            tier = key_of("POSITION_FEE_FACTOR", market, abs(grown) < abs(skew))
            fee = usd * self.world.store.integer("getUint", tier) // FLOAT
            sign = 1 if trade.size_wad > 0 else -1
            paid += (sign * tokens * items["executionPrice"] + fee) // (FLOAT // WAD)
        return paid

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """The reward that is quoted as none; and that an impact is paid in tokens at a price with the impact
        in it.
        """
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return worth // 1_000, worth // 10**6

    def brought_wad(self, done: Done) -> int:
        """Dollars that went from the account with the order, less what the fill paid out to it."""
        total = 0
        for token in self.world.tokens.values():
            total += paid_raw(done.logs, token.address, self.account) * self._price(token.address)[0]
        return total // (FLOAT // WAD)

    def foretold_slack_wad(self, trade: Trade) -> tuple[int, int]:
        """Impact is kept pending and does not count in the check; spreads are counted at the middle."""
        return 10, mul_up(abs(trade.size_wad), trade.limit_price_wad) // 1_000

    def impostors(self) -> Sequence[Impostor]:
        record = self.world.deployment
        market = record.markets[0]
        other = market.model_copy(update={"index_token": market.short_token})
        found = []
        for what, change, word in (
            ("another store", {"data_store": record.router}, "GMX"),
            ("another vault", {"order_vault": record.router}, "GMX"),
            ("a market of another token", {"markets": (other, *record.markets[1:])}, "market of ETH"),
        ):
            changed = record.model_copy(update=change)
            found.append(Impostor(what, Deployment(chain_id=self.node.chain_id(), gmx=changed), word))
        return found

    # --- the contracts' word ---------------------------------------------------------------------------

    def _stored(self, key: str) -> dict[str, object]:
        """The position's fields, all of them by name."""
        raw = bytes.fromhex(key.rpartition("0x")[2])
        stored = self.world.reader.record("getPosition", self.world.store.address, raw)
        parts = (cast(dict[str, object], stored[name]) for name in ("addresses", "numbers", "flags"))
        return {name: value for part in parts for name, value in part.items()}

    def _refusal(self, margin: MarginAccount, prices: Prices | None) -> str | None:
        """What ``executeLiquidation`` says; None if it goes through."""
        stored = self._stored(margin.key)
        words = None if prices is None else self._words(str(stored["market"]), prices)
        try:
            self.world.liquidator.call(
                "executeLiquidation",
                *(stored[name] for name in ("account", "market", "collateralToken", "isLong")),
                self.world.parameters(words),
                sender=self.world.keeper,
                block=hex(self.node.block_number()),
            )
        except ReadReverted as error:
            if NOT_LIQUIDATABLE not in str(error):
                raise
            return str(error)
        return None

    def _words(self, market: str, prices: Prices) -> Mapping[Address, tuple[int, int]]:
        """Of every token the lowest and highest price: as they are, stretched to the middle that is meant."""
        index = self._market(market).index_token
        found = {}
        for token in self.world.deployment.tokens:
            low, high = self._price(token.address)
            name = MarketId(f"gmx:{market}" if token.address == index else f"gmx:token:{token.address}")
            unit, middle = 10 ** (30 - token.decimals), (low + high) // 2
            meant = prices.get(name, middle * WAD // unit) * unit // WAD
            if meant != middle * WAD // unit * unit // WAD:
                low, high = (max(1, word * max(1, meant) // middle) for word in (low, high))
            found[Address(token.address)] = (low, high)
        return found

    def _price(self, token: str) -> tuple[int, int]:
        low, high = cast(list[int], self.world.provider.call("price", token))
        return low, high

    def _market(self, address: str) -> GmxMarket:
        return next(one for one in self.world.deployment.markets if one.address == address)

    def _decimals(self, token: str) -> int:
        return next(one.decimals for one in self.world.deployment.tokens if one.address == token)

    def _open_usd(self, market: str, block: str, *, is_long: bool) -> int:
        tokens = dict.fromkeys((self._market(market).long_token, self._market(market).short_token))
        keys = (key_of("OPEN_INTEREST", market, token, is_long) for token in tokens)
        return sum(cast(int, self.world.store.call("getUint", key, block=block)[0]) for key in keys)

    def _fills(self, done: Done) -> Iterator[tuple[Log, Mapping[str, int]]]:
        """Increases and decreases, with the numbers in their events."""
        event = self.world.emitter.abi.events["EventLog1"]
        plain = [part for part in event.inputs if part.get("indexed") is not True]
        for log in done.logs:
            if cast(list[str], log["topics"])[0] != event.topic:
                continue
            body = decode(plain, bytes.fromhex(str(log["data"])[2:]), "", "EventLog1")
            if body[1] not in FILLS:
                continue
            data = cast(dict[str, dict[str, list[dict[str, object]]]], body[2])
            uints = data["uintItems"]["items"]
            yield log, {str(item["key"]): cast(int, item["value"]) for item in uints}


@contextmanager
def bench(street: Street) -> Iterator[GmxBench]:
    with Anvil(street.toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as node:
        world = stand_in_world(node)
        world.give(world.user, "USDC", 200_000 * 10**6)
        market = Address(world.deployment.markets[0].address)
        world.open(world.user, market, "USDC", 12_000 * 10**6, 40_000 * FLOAT, is_long=True)
        node.warp(3_600 * 7 + 11)
        yield GmxBench(world)
