"""Uniswap on the seeded local chain: the book's range, and spot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt

from agent.market.intent import Action, Order, Reduce, Trade
from agent.market.margin import MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Position
from agent.market.snapshot import Quote, VenueState
from agent.sim.deploy.uniswap import is_base_first
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment
from tests.venue_conformance.bench import Done, Impostor, Street
from tests.venue_conformance.sender import paid_raw, send_all

NEEDS = ""
LIQUIDITY = "liquidity"
EVERYTHING = 10**30


@dataclass(frozen=True)
class UniswapBench:
    """There is nothing to liquidate; the pool's price is moved by trading."""

    net: Localnet
    name: str = "uniswap"

    @property
    def node(self) -> Node:
        return self.net.node

    @property
    def deployment(self) -> Deployment:
        return self.net.deployment()

    @property
    def account(self) -> Address:
        return self.net.book.account

    def price_of(self, quote: Quote) -> int:
        root = self._root_x96()
        if self._is_base_first:
            return root * root * WAD >> 192
        return (WAD << 192) // (root * root)

    def size_of(self, position: Position) -> int:
        manager = self.net.uniswap.position_manager
        held = manager.record("positions", int(position.key.rpartition(":")[2]))[LIQUIDITY]
        assert isinstance(held, int)
        return held

    def collateral_of(self, margin: MarginAccount) -> int:
        raise AssertionError("Uniswap has no margin")

    def standing_of(self, margin: MarginAccount) -> tuple[int, int] | None:
        raise AssertionError("Uniswap has no margin")

    def judge(self, margin: MarginAccount, prices: Sequence[Prices]) -> list[bool]:
        raise AssertionError("Uniswap has no margin")

    def move(self, market: MarketId, ratio_wad: int) -> None:
        root, net = self._root_x96(), self.net
        is_up = (ratio_wad > WAD) == self._is_base_first
        share = isqrt(ratio_wad * WAD) if self._is_base_first else isqrt(WAD**3 // ratio_wad)
        tokens = sorted((net.lyra.base.address, net.lyra.quote.address), key=lambda one: int(one, 16))
        pair = tokens[::-1] if is_up else tokens
        whale = net.roles["arbitrageur"]
        fee = net.uniswap.pool.integer("fee")
        order = (*pair, fee, whale, 2**40, EVERYTHING, 0, root * share // WAD)
        for token in (net.lyra.base, net.lyra.quote):
            token.send(net.roles["owner"], "mint", whale, EVERYTHING)
        net.uniswap.swap_router.send(whale, "exactInputSingle", order)

    def wait(self, seconds: int) -> None:
        self.node.warp(seconds)

    def offers(self, state: VenueState) -> Sequence[Offer]:
        return state.offers

    def actions(self, state: VenueState) -> Sequence[Action]:
        (offer,) = state.offers
        held = next(p for p in state.positions if p.size_wad)
        price = offer.price_wad
        return (
            Trade(self.name, offer.market, WAD + 11, mul_up(price, WAD * 11 // 10)),
            Trade(self.name, offer.market, -WAD // 2, mul_down(price, WAD * 9 // 10)),
            Reduce(self.name, held.key, held.size_wad // 3, held.value_wad),
        )

    def carry_out(self, order: Order) -> Done:
        return Done(send_all(self.net.chain, self.account, order))

    def paid_wad(self, trade: Trade, done: Done) -> int:
        return paid_raw(done.logs, self.net.lyra.quote.address, self.account)

    def slack_wad(self, trade: Trade) -> tuple[int, int]:
        return 0, 0

    def impostors(self) -> Sequence[Impostor]:
        deployment = self.deployment
        record = deployment.uniswap
        assert record is not None
        (pool,) = record.pools
        other = pool.model_copy(update={"address": record.factory})
        swapped = pool.model_copy(update={"asset_token": pool.quote_token})
        found = []
        for what, change, word in (
            ("a pool that is another contract", {"pools": (other,)}, record.factory),
            ("a pool of another asset", {"pools": (swapped,)}, pool.address),
            ("a router that is the manager", {"swap_router": record.position_manager}, "router"),
        ):
            changed = record.model_copy(update=change)
            found.append(Impostor(what, deployment.model_copy(update={"uniswap": changed}), word))
        return found

    @property
    def _is_base_first(self) -> bool:
        return is_base_first(self.net.lyra.base, self.net.lyra.quote)

    def _root_x96(self) -> int:
        root = self.net.uniswap.pool.call("slot0")[0]
        assert isinstance(root, int)
        return root


@contextmanager
def bench(street: Street) -> Iterator[UniswapBench]:
    yield UniswapBench(street.localnet)
