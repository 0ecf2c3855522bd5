"""A Curie account of every kind: six decimals, two markets, collateral in another token, open orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.market.intent import Action, AddCollateral, RemoveCollateral, Trade
from agent.risk.liquidation import DIRECTIONS, moved, solve_joint, solve_price
from agent.runtime.prove import prove
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.deploy import curie as curie_deploy
from agent.sim.deploy.curie import MAX_UINT
from agent.sim.node import Node
from agent.sim.tick import tick_range
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD
from agent.venues.curie import Curie
from agent.venues.curie.state import CurieState
from agent.venues.deployments import Market

SPOT_WAD = 2_000 * WAD
SMALL_WAD = 40 * WAD  # the second market's price
USDC = 10**6


@dataclass(frozen=True, repr=False)
class World:
    """Two markets settled in a token of 6 decimals; ``eth`` is a token taken as collateral at 70 %."""

    node: Node
    chain: Chain
    curie: curie_deploy.Curie
    usdc: Contract
    eth: Contract
    aggregators: tuple[Contract, Contract]
    feeds: tuple[Contract, Contract]
    second: Contract
    owner: Address
    maker: Address
    trader: Address

    @property
    def venue(self) -> Curie:
        deployment = self.curie.deployment(self.usdc.address, "ETH")
        more = (*deployment.markets, Market(address=self.second.address, asset="SOL"))
        return Curie(deployment.model_copy(update={"markets": more}))

    @property
    def markets(self) -> tuple[MarketId, MarketId]:
        return MarketId(f"curie:{self.curie.base.address}"), MarketId(f"curie:{self.second.address}")

    def read(self, account: Address) -> CurieState:
        rpc = Rpc(self.node.url)
        block = rpc.block("latest")
        return read_one(rpc, block, self.venue.read(account, block))

    def set_prices(self, eth_wad: int, sol_wad: int) -> None:
        """Move both oracles. The protocol's feed must note a change: a view of its average may underflow
        when it first hears of a fall after its interval has passed (CumulativeTwap._calculateTwap).
        """
        for aggregator, feed, price in zip(self.aggregators, self.feeds, (eth_wad, sol_wad), strict=True):
            aggregator.send(self.owner, "setAnswer", price // 10**10)
            feed.send(self.owner, "update")

    def trade(self, account: Address, base: Contract, size_wad: int) -> None:
        sale = size_wad < 0
        order = (base.address, sale, sale, abs(size_wad), 0, MAX_UINT, 0, bytes(32))
        self.curie.clearing_house.send(account, "openPosition", order)

    def do(self, action: Action) -> list[str]:
        """Carry an action out as ``trader``; the postconditions that do not hold."""
        state = self.read(self.trader)
        order = self.venue.write(state, action, self.trader, state.at_s + 600)
        for call in order.calls:
            self.chain.send(self.trader, call.target, call.data, call.label)
        rpc = Rpc(self.node.url)
        block = rpc.block("latest")
        return [p.name for p in read_one(rpc, block, prove(order.post, block, 0)) if not p.kept]

    def assert_equals_views(self, account: Address) -> CurieState:
        state = self.read(account)
        margin, at_s = state.margin, state.at_s
        equity, vault = margin.equity_wad(margin.prices, at_s), self.curie.vault
        assert equity == self.curie.clearing_house.integer("getAccountValue", account)
        assert equity == vault.integer("getAccountValue", account) * 10**12
        assert margin.requirement_wad(margin.prices, at_s) == self.curie.account_balance.integer(
            "getMarginRequirementForLiquidation", account
        )
        assert margin.removable_wad == 10**12 * vault.integer(
            "getFreeCollateralByToken", account, self.usdc.address
        )
        return state


def _provide(
    curie: curie_deploy.Curie, maker: Address, base: Address, price_wad: int, low: float, high: float
) -> None:
    lower, upper = tick_range(price_wad / WAD, low, high, 60)
    quote = 4_000_000 * WAD
    order = (base, quote * WAD // price_wad, quote, lower, upper, 0, 0, False, MAX_UINT)
    curie.clearing_house.send(maker, "addLiquidity", order)


@pytest.fixture(scope="module")
def built(toolchain: Toolchain) -> Iterator[World]:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=1_750_000_000, interval_s=12)) as node:
        chain = Chain(node)
        owner, maker, trader = (
            parse_address(text) for text in cast(list[str], node.request("eth_accounts"))[:3]
        )
        usdc = chain.deploy(owner, own_artifact("MintableToken"), "USD Coin", "USDC", 6)
        eth = chain.deploy(owner, own_artifact("MintableToken"), "Ether", "WETH", 18)
        aggregators = tuple(
            chain.deploy(owner, own_artifact("PriceAggregator"), name, 8, owner) for name in ("ETH", "SOL")
        )
        for aggregator, price in zip(aggregators, (SPOT_WAD, SMALL_WAD), strict=True):
            aggregator.send(owner, "setAnswer", price // 10**10)
        curie = curie_deploy.deploy(chain, toolchain, owner, usdc, aggregators[0], SPOT_WAD)
        market = curie_deploy.add_market(curie, chain, toolchain, owner, aggregators[1], SMALL_WAD, "vSOL")
        second, feed = market.base, market.feed
        curie.market_registry.send(owner, "setFeeRatio", second.address, 2_500)
        curie.exchange.send(owner, "setMaxTickCrossedWithinBlock", second.address, 900)
        old_feed = chain.deploy(
            owner, toolchain.artifact("perp-oracle", "ChainlinkPriceFeedV2"), aggregators[0].address, 900
        )
        config = (old_feed.address, 700_000, 100_000, 10**30)
        curie.collateral_manager.send(owner, "addCollateral", eth.address, config)
        node.warp(curie_deploy.WARM_UP_S)
        for account, amount in ((maker, 50_000_000 * USDC), (trader, 60_000 * USDC)):
            usdc.send(owner, "mint", account, amount)
            usdc.send(account, "approve", curie.vault.address, MAX_UINT)
        curie.vault.send(maker, "deposit", usdc.address, 50_000_000 * USDC)
        for base, price in ((curie.base.address, SPOT_WAD), (second.address, SMALL_WAD)):
            _provide(curie, maker, base, price, 0.5, 1.5)
        node.warp(60)
        curie.vault.send(trader, "deposit", usdc.address, 9_999 * USDC + 1)
        world = World(
            node=node,
            chain=chain,
            curie=curie,
            usdc=usdc,
            eth=eth,
            aggregators=(aggregators[0], aggregators[1]),
            feeds=(curie.feed, feed),
            second=second,
            owner=owner,
            maker=maker,
            trader=trader,
        )
        world.trade(trader, curie.base, -11 * WAD - 123_456_789)
        world.trade(trader, second, 700 * WAD + 987_654_321)
        node.warp(61)
        yield world


@pytest.fixture
def world(built: World) -> Iterator[World]:
    snapshot = built.node.snapshot()
    yield built
    built.node.revert(snapshot)


def test_an_account_in_two_markets_equals_the_views(world: World) -> None:
    state = world.assert_equals_views(world.trader)
    assert [p.instrument.asset for p in state.positions] == ["ETH", "SOL"]
    assert state.margin.asset == "SOL"
    assert set(state.margin.prices) == set(world.markets)
    assert [o.exchange_fee_ppm for o in state.offers] == [1_000, 2_500]


@given(eth=st.integers(1_300, 2_700), sol=st.integers(25, 55), seconds=st.integers(1, 50_000))
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_it_does_wherever_the_oracles_go(built: World, eth: int, sol: int, seconds: int) -> None:
    snapshot = built.node.snapshot()
    try:
        built.set_prices(eth * WAD + 7 * 10**10, sol * WAD + 3 * 10**10)
        built.node.warp(seconds)
        built.assert_equals_views(built.trader)
        built.assert_equals_views(built.maker)
    finally:
        built.node.revert(snapshot)


def test_collateral_in_another_token_counts_after_its_haircut(world: World) -> None:
    world.eth.send(world.owner, "mint", world.trader, 5 * WAD)
    world.eth.send(world.trader, "approve", world.curie.vault.address, MAX_UINT)
    before = world.read(world.trader)
    assert before.collaterals == ()
    world.curie.vault.send(world.trader, "deposit", world.eth.address, 3 * WAD + 333)
    state = world.assert_equals_views(world.trader)
    index_wad = world.curie.base.integer("getIndexPrice", 0)
    ((held, price_wad),) = state.collaterals
    assert (held.held, price_wad) == (3 * WAD + 333, index_wad)
    assert held.worth_wad(price_wad) == (3 * WAD + 333) * index_wad // WAD * 7 // 10
    assert state.margin.prices[held.market] == index_wad
    # The deployment file does not say what it is: it stands still, and is no delta of the book.
    assert state.margin.betas[held.market] == 0
    assert all(position.key != held.market for position in state.positions)


def test_collateral_that_is_an_asset_moves_with_it_and_is_delta_of_the_book(world: World) -> None:
    world.eth.send(world.owner, "mint", world.trader, 5 * WAD)
    world.eth.send(world.trader, "approve", world.curie.vault.address, MAX_UINT)
    world.curie.vault.send(world.trader, "deposit", world.eth.address, 3 * WAD)
    state = world.read(world.trader)
    (plain,) = (other for other, _ in state.collaterals)
    named = replace(
        state, collaterals=tuple((replace(other, asset="ETH"), at) for other, at in state.collaterals)
    )
    (spot,) = (position for position in named.positions if position.key == plain.market)
    assert (spot.size_wad, spot.greeks.delta) == (3 * WAD, 3.0)
    assert spot.value_wad == 3 * state.margin.prices[plain.market]
    assert named.margin.betas[plain.market] == WAD
    for way in DIRECTIONS:
        still, along = solve_joint(state.margin, way), solve_joint(named.margin, way)
        for margin, flip in ((state.margin, still), (named.margin, along)):
            if flip is not None and flip.distance > 0:
                towards = 1 if way == "down" else -1
                at = moved(margin.prices, flip.ratio_wad, margin.betas)
                nearer = moved(margin.prices, flip.ratio_wad + towards, margin.betas)
                assert margin.is_liquidatable(at, margin.at_s)
                assert not margin.is_liquidatable(nearer, margin.at_s)
    alone = solve_price(state.margin, plain.market, "down")
    assert alone == solve_price(named.margin, plain.market, "down")


def test_a_makers_orders_are_counted(world: World) -> None:
    world.trade(world.trader, world.curie.base, 5 * WAD)  # the maker now owes base that the pool gave out
    state = world.assert_equals_views(world.maker)
    assert state.funds.pending_fee_wad > 0
    assert any(p.size_wad for p in state.positions)
    assert all(market.taker_wad == 0 for market in state.markets)


def test_the_maker_may_trade_and_the_check_looks_at_the_taken_part(world: World) -> None:
    state = world.read(world.maker)
    trade = Trade("curie", world.markets[0], -2 * WAD, 1)
    order = world.venue.write(state, trade, world.maker, state.at_s + 60)
    world.chain.send(world.maker, order.calls[0].target, order.calls[0].data, "trade")
    rpc = Rpc(world.node.url)
    block = rpc.block("latest")
    assert all(p.kept for p in read_one(rpc, block, prove(order.post, block, 0)))
    assert world.read(world.maker).market(world.markets[0]).taker_wad == -2 * WAD


@pytest.mark.parametrize("amount_wad", [WAD, WAD + 1, 1_234_567_890_123_456_789, 1])
def test_a_payment_in_is_rounded_up_to_the_tokens_unit(world: World, amount_wad: int) -> None:
    before = world.read(world.trader)
    assert world.do(AddCollateral("curie", "curie:margin", amount_wad)) == []
    paid = world.assert_equals_views(world.trader).margin.collateral_wad - before.margin.collateral_wad
    assert 0 <= paid - amount_wad < 10**12


def test_an_exact_allowance_is_given_and_used_up(world: World) -> None:
    world.usdc.send(world.trader, "approve", world.curie.vault.address, 0)
    assert world.do(AddCollateral("curie", "curie:margin", 7 * WAD + 5)) == []
    assert world.usdc.integer("allowance", world.trader, world.curie.vault.address) == 0


def test_a_payment_out_is_rounded_down(world: World) -> None:
    held = world.usdc.integer("balanceOf", world.trader)
    assert world.do(RemoveCollateral("curie", "curie:margin", 1_000 * WAD + 999_999_999_999)) == []
    assert world.usdc.integer("balanceOf", world.trader) - held == 1_000 * USDC
    world.assert_equals_views(world.trader)


def test_the_check_refuses_to_take_out_what_only_the_protocol_would_allow(world: World) -> None:
    world.node.warp(2_000)  # every average is settled
    free_wad = world.read(world.trader).margin.removable_wad
    (broken,) = world.do(RemoveCollateral("curie", "curie:margin", free_wad - WAD // 10))
    assert "maintenance" in broken
    state = world.assert_equals_views(world.trader)
    assert state.margin.is_liquidatable(state.margin.prices, state.at_s)  # and yet it went through


def test_a_trade_in_each_market_is_exact(world: World) -> None:
    for index, size in ((0, 4 * WAD + 5), (1, -900 * WAD - 1)):
        before = world.read(world.trader)
        offer = before.offers[index]
        limit = offer.quote_wad(size) * WAD // size + (1 if size > 0 else -1)
        assert world.do(Trade("curie", offer.market, size, limit)) == []
        after = world.assert_equals_views(world.trader)
        assert after.markets[index].taker_wad == before.markets[index].taker_wad + size


def test_each_market_has_a_flip_of_its_own(world: World) -> None:
    state = world.read(world.trader)
    margin = state.margin
    for market, direction in zip(world.markets, ("up", "down"), strict=True):
        flip = solve_price(margin, market, "up" if direction == "up" else "down")
        assert flip is not None
        safe = flip.price_wad + (-1 if direction == "up" else 1)
        assert margin.is_liquidatable({**margin.prices, market: flip.price_wad}, state.at_s)
        assert not margin.is_liquidatable({**margin.prices, market: safe}, state.at_s)
