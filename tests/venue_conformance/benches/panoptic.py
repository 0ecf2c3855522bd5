"""Panoptic's own contracts on a chain of their own: a short put, both collaterals and a loan of the asset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.node import Node
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from tests.real.panoptic_crowd import deployment
from tests.real.panoptic_world import World, missing, world
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import send_all

NEEDS = missing()
DEPTH, UNIT = 10**25, 10_000_000
HALF = 2**128


@dataclass(frozen=True)
class PanopticBench:
    """The asset is token0 and quote has 18 decimals."""

    world: World
    account: Address
    loan: int
    name: str = "panoptic"

    @property
    def node(self) -> Node:
        return self.world.node

    @property
    def deployment(self) -> Deployment:
        return Deployment(chain_id=self.node.chain_id(), panoptic=deployment(self.world))

    def price_of(self, quote: Quote) -> int:
        root = cast(int, self.world.amm.call("slot0")[0])
        return root * root * WAD // 2**192

    def size_of(self, position: Position) -> int:
        if position.key.endswith(":collateral"):
            assets, interest = self._vault(0)
            short, long, *_ = self._data()
            return assets - interest + short % HALF - long % HALF
        number = int(position.key.rpartition(":")[2], 16)
        size = self._data()[2][self._ids().index(number)] % HALF
        return -size if number == self.loan else size

    def collateral_of(self, margin: MarginAccount) -> int:
        assets, interest = self._vault(1)
        return assets - interest

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        """The engine compares in token1 wherever a token0 is worth more than one, as here. At the tick of the
        four where the account stands best.
        """
        return max(self._left(tick) for tick in self._ticks()), 0

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        now, current = self.price_of(cast(Quote, None)), self.world.tick()
        found = []
        for one in prices:
            price = one[MarketId(f"panoptic:{self.world.pool.address}")]
            away = 0 if price == now else _tick(price) - current
            found.append(all(not self._is_solvent(tick + away) for tick in self._ticks()))
        return found

    def move(self, market: MarketId, ratio_wad: int) -> None:
        root = cast(int, self.world.amm.call("slot0")[0])
        self.world.swap_to(math.isqrt(root * root * ratio_wad // WAD))
        self.world.poke(40)

    def wait(self, seconds: int) -> None:
        self.node.warp(max(0, seconds - 80 * 70))
        self.world.poke(80)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        offer = self.offers(state)[0]
        margin = state.margins[0]
        held = state.positions[0]
        return (
            Trade(self.name, offer.market, 2 * WAD, mul_up(offer.price_wad, WAD * 21 // 20)),
            Trade(self.name, offer.market, -3 * WAD // 2, mul_down(offer.price_wad, WAD * 19 // 20)),
            AddCollateral(self.name, margin.key, 55 * WAD + 1),
            RemoveCollateral(self.name, margin.key, 20 * WAD + 1),
            Reduce(self.name, held.key, WAD, 100 * WAD),
        )

    def carry_out(self, order: Order) -> Done:
        return Done(send_all(self.world.chain, self.account, order))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        """What the swap moved of quote, and the vaults' fees at the price that the trade began with."""
        (swap,) = self.world.amm.events(done.logs, "Swap")
        paid = cast(int, swap["amount1"])
        fees = [
            sum(
                cast(int, event["commissionPaidProtocol"])
                for event in tracker.events(done.logs, "CommissionPaid")
            )
            for tracker in self.world.trackers
        ]
        before = trade.limit_price_wad * 20 // (21 if trade.size_wad > 0 else 19)
        return paid + fees[1] + mul_up(fees[0], before)

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        """A purchase borrows whole units of quote, so what comes is the size only nearly."""
        both = abs(trade.size_wad) // 10**6
        return both, both

    def foretold_slack_wad(self, trade: Trade) -> tuple[int, int]:
        """The fee of 0.01 % is kept in what is borrowed, and money is judged at a tick: 0.01 % too."""
        worth = mul_up(abs(trade.size_wad), trade.limit_price_wad)
        return abs(trade.size_wad) // 5_000, worth // 1_000

    def impostors(self) -> Sequence[Impostor]:
        plain = self.deployment
        assert plain.panoptic is not None
        (pool,) = plain.panoptic.pools
        found = []
        for what, change, word in (
            ("another engine", {"risk_engine": pool.collateral0}, "riskEngine"),
            ("the other vault", {"collateral0": pool.collateral1}, "collateralToken0"),
            ("another Uniswap pool", {"uniswap_pool": pool.asset_token}, "Uniswap pool of"),
        ):
            record = plain.panoptic.model_copy(update={"pools": (pool.model_copy(update=change),)})
            found.append(Impostor(what, plain.model_copy(update={"panoptic": record}), word))
        return found

    def _vault(self, kind: int) -> list[int]:
        return cast(list[int], self.world.trackers[kind].call("assetsAndInterest", self.account))

    def _ids(self) -> list[int]:
        """By the pool's own events."""
        logs = cast(
            list[dict[str, object]],
            self.node.request("eth_getLogs", {"address": self.world.pool.address, "fromBlock": "0x0"}),
        )
        held: dict[int, None] = {}
        for log in logs:
            for name in ("OptionMinted", "OptionBurnt"):
                for event in self.world.pool.events([log], name):
                    if str(event["recipient"]).lower() != self.account.lower():
                        continue
                    number = cast(int, event["tokenId"])
                    held.pop(number, None)
                    if name == "OptionMinted":
                        held[number] = None
        return list(held)

    def _data(self) -> tuple[int, int, list[int]]:
        words = self.world.pool.call("getFullPositionsData", self.account, False, self._ids())
        return cast(tuple[int, int, list[int]], tuple(words[:3]))

    def _ticks(self) -> tuple[int, ...]:
        current, spot, _, latest, _ = cast(list[int], self.world.pool.call("getOracleTicks"))
        return spot, self.world.pool.integer("getTWAP"), latest, current

    def _is_solvent(self, tick: int) -> bool:
        short, long, balances = self._data()
        trackers = tuple(tracker.address for tracker in self.world.trackers)
        arguments = (balances, self._ids(), tick, self.account, short, long, *trackers, UNIT)
        return self.world.engine.truth("isAccountSolvent", *arguments)

    def _left(self, tick: int) -> int:
        short, long, balances = self._data()
        trackers = tuple(tracker.address for tracker in self.world.trackers)
        arguments = (balances, tick, self.account, self._ids(), short, long, *trackers)
        words = cast(list[int], self.world.engine.call("getMargin", *arguments))
        (bal0, req0), (bal1, req1) = ((word % HALF, word // HALF) for word in words[:2])
        price = _root(tick) ** 2
        down, up = (lambda x: x * price >> 192), (lambda x: -(-x * price >> 192))
        spare0, spare1 = max(0, bal0 - req0), max(0, bal1 - req1)
        return min(down(bal0) + spare1 - up(req0), bal1 + down(spare0) - req1)


def _root(tick: int) -> int:
    from agent.pricing.tick import sqrt_price_x96

    return sqrt_price_x96(tick)


def _tick(price_wad: int) -> int:
    """The tick that holds a price of token1 per token0."""
    root = math.isqrt((price_wad << 192) // WAD)
    low, high = -887_272, 887_271
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _root(middle) <= root else (low, middle - 1)
    return low


@contextmanager
def bench(street: Street) -> Iterator[PanopticBench]:
    with world(street.toolchain, decimals=(18, 18), depth=DEPTH) as one:
        me, lender = one.crowd.people("bench", 2)
        one.fund(lender, (3_000 * WAD, 6_000_000 * WAD))
        one.fund(me, (WAD // 2, 4_000 * WAD))
        for token in (one.asset, one.quote):
            token.send(one.owner, "mint", me, 10_000 * WAD)
        strike = one.tick() // 60 * 60 - 600

        def leg(asset: int, kind: int, tick: int, width: int) -> int:
            packed = asset | 1 << 1 | kind << 9 | tick % 2**24 << 12 | width << 36
            return one.pool_id | packed << 64

        put, loan = leg(0, 1, strike, 24), leg(0, 0, strike, 0)
        one.dispatch(me, [put], [put], [5 * WAD])
        one.dispatch(me, [loan], [put, loan], [WAD], swap=True)
        one.swap_to(_root(one.tick() - 100) + 12345678901)
        one.poke(80)
        yield PanopticBench(one, me, loan)
