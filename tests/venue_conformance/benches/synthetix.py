"""Synthetix V3's perps market on a chain of its own: a long and a short, in dollars and a synth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.contract import Chain
from agent.sim.deploy.synthetix import SETTLE_AFTER_S, deploy
from agent.sim.node import Node
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment, SynthetixCollateral, SynthetixMarket
from agent.venues.synthetix.state import SynthetixState
from tests.flips.crowd import Crowd
from tests.flips.synthetix_world import GENESIS_S, World
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = ""
ID, ETH, BTC, SYNTH = 7_001, 100, 200, 2
SPEED = 10**15  # of a day's funding velocity: what a second or two may change


@dataclass(frozen=True)
class SynthetixBench:
    """Prices are laid over the feeds in calls; the keeper settles as soon as it may."""

    world: World
    account: Address
    name: str = "synthetix"

    @property
    def node(self) -> Node:
        return self.world.node

    @property
    def deployment(self) -> Deployment:
        return Deployment(chain_id=self.node.chain_id(), synthetix=self.world.synthetix.deployment())

    def price_of(self, quote: Quote) -> int:
        return self.world.synthetix.perps.integer("indexPrice", _number(quote.market))

    def size_of(self, position: Position) -> int:
        perps, number = self.world.synthetix.perps, _number(position.instrument.market)
        if ":market:" in position.instrument.market:
            size = perps.call("getOpenPosition", ID, number)[2]
            assert isinstance(size, int)
            return size
        return perps.integer("getCollateralAmount", ID, number)

    def collateral_of(self, margin: MarginAccount) -> int:
        return self.world.synthetix.perps.integer("getCollateralAmount", ID, 0)

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        perps = self.world.synthetix.perps
        block = hex(self.node.block_number())
        available = perps.call("getAvailableMargin", ID, block=block)[0]
        required = perps.call("getRequiredMargins", ID, block=block)[1]
        return cast(int, available), cast(int, required)

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        now_s = self.node.now_s()
        asked = [("canLiquidate", ID, self.world.overrides(one), now_s) for one in prices]
        return [words[0] == 1 for words in self.world.words(asked)]

    def move(self, market: MarketId, ratio_wad: int) -> None:
        feed = self.world.feed(market)
        price = cast(int, feed.call("latestRoundData")[1])
        self.world.set_price({market: mul_down(price, ratio_wad)})

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        assert isinstance(state, SynthetixState)
        return state.offers or state.commitments

    def actions(self, state: VenueState) -> Sequence[Action]:
        offer = self.offers(state)[0]
        key = state.margins[0].key
        held = next(p for p in state.positions if ":market:" in p.instrument.market)
        price = offer.price_wad
        return (
            Trade(self.name, offer.market, 2 * WAD + 3, mul_up(price, WAD * 21 // 20)),
            Trade(self.name, offer.market, -3 * WAD // 2, mul_down(price, WAD * 19 // 20)),
            AddCollateral(self.name, key, 55 * WAD + 1),
            RemoveCollateral(self.name, key, 20 * WAD + 1),
            Reduce(self.name, held.key, WAD, mul_up(WAD, held.mark_wad * 21 // 20)),
        )

    def carry_out(self, order: Order) -> Done:
        logs = send_all(self.world.chain, self.account, order)
        is_order = any(call.label.endswith("commitOrder") for call in order.calls)
        if is_order:
            self.node.warp(SETTLE_AFTER_S)
            logs += tuple(self.world.synthetix.perps.send(self.world.keeper, "settleOrder", ID).logs)
        return Done(logs, by_keeper=is_order)

    def paid_wad(self, trade: Trade, done: Done) -> int:
        (event,) = self.world.synthetix.perps.events(done.logs, "OrderSettled")
        fill, size, fees = (cast(int, event[name]) for name in ("fillPrice", "sizeDelta", "totalFees"))
        reward = cast(int, event["settlementReward"])
        del reward  # is in the fees
        return mul_down(size, fill) + fees

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """A discount for bringing the market into balance is quoted as none; here it is less than this."""
        return mul_up(abs(trade.size_wad), trade.limit_price_wad) // 1_000, 1

    def impostors(self) -> Sequence[Impostor]:
        deployment = self.deployment
        record = deployment.synthetix
        assert record is not None
        found = []
        for what, change, word in (
            ("a market that is not there", {"markets": (SynthetixMarket(id=300, asset="ETH"),)}, "300"),
            ("a synth that is not there", {"collaterals": (SynthetixCollateral(id=9, asset="ETH"),)}, "9"),
            ("another core", {"core": record.usd_token}, "core"),
        ):
            changed = record.model_copy(update=change)
            found.append(Impostor(what, deployment.model_copy(update={"synthetix": changed}), word))
        return found


def _number(market: MarketId) -> int:
    return int(market.rpartition(":")[2])


@contextmanager
def bench(street: Street) -> Iterator[SynthetixBench]:
    with Anvil(street.toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as node:
        chain = Chain(node)
        owner, user, keeper = (parse_address(a) for a in cast(list[str], node.request("eth_accounts"))[:3])
        synthetix = deploy(chain, street.toolchain, owner)
        synthetix.create_account(user, ID)
        synthetix.deposit(user, ID, 9_000 * WAD)
        synthetix.deposit(user, ID, 3 * WAD + 7, SYNTH)
        synthetix.trade(user, ID, ETH, 21 * WAD + 1)
        synthetix.trade(user, ID, BTC, -WAD // 3)
        synthetix.core.send(owner, "mintUsd", user, 50_000 * WAD)
        synthetix.perps.send(owner, "updateInterestRate")
        node.warp(3_600 * 7 + 11)
        yield SynthetixBench(World(node, chain, synthetix, Crowd(chain), (user,), keeper), user)
