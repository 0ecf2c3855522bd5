"""The Uniswap venue against Uniswap's own contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import (
    ContractMismatch,
    PlanInfeasible,
    ReadReverted,
    TransactionReverted,
    VenueUnknown,
)
from agent.market.instrument import LiquidityRange
from agent.market.intent import Action, AddCollateral, Order, Reduce, Trade
from agent.runtime.prove import prove
from agent.sim.abi import Abi
from agent.sim.artifact import own_artifact
from agent.sim.contract import Contract
from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.fixed import WAD, rescale_down, rescale_up
from agent.venues.deployments import UniswapDeployment, UniswapPool
from agent.venues.uniswap import Uniswap
from agent.venues.uniswap.offer import UniswapOffer
from agent.venues.uniswap.state import Holding, PoolView, UniswapState

MOST = 2**128 - 1
NEVER_S = 2**63
SPOT = 2_000
USDC_FEE, USDC_SPACING = 500, 10
# Ticks around the price: everywhere, near it, and on either side of it. The first two are twins.
RANGES = ((-6_960, 6_960), (-6_960, 6_960), (-180, 240), (300, 1_800), (-1_800, -300), (90, 420))
ON_CHAIN = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True, repr=False)
class World:
    """One pool, said in one of its two orders. ``trader`` holds the liquidity of ``ids`` and can pay."""

    net: Localnet
    venue: Uniswap
    asset: Contract
    quote: Contract
    pool: Contract
    trader: Address
    ids: tuple[int, ...]

    def __repr__(self) -> str:
        return "a pool on the local chain"  # Hypothesis prints arguments, and a chain is long to print

    @property
    def manager(self) -> Contract:
        return self.net.uniswap.position_manager

    @property
    def router(self) -> Contract:
        return self.net.uniswap.swap_router

    def read(self, account: str | None = None) -> UniswapState:
        rpc = Rpc(self.net.url)
        block = rpc.block("latest")
        state = read_one(rpc, block, self.venue.read(Address(account or self.trader), block))
        rpc.close()
        return state

    @property
    def view(self) -> PoolView:
        (view,) = self.read().pools
        return view

    @property
    def offer(self) -> UniswapOffer:
        (offer,) = self.read().offers
        return offer

    def in_order(self, pair: list[object]) -> tuple[int, int]:
        """Token0 and token1 as asset and quote."""
        first, second = cast(list[int], pair)
        is_asset_first = int(self.asset.address, 16) < int(self.quote.address, 16)
        return (first, second) if is_asset_first else (second, first)

    def balances(self, account: str | None = None) -> tuple[int, int]:
        return (
            self.asset.integer("balanceOf", account or self.trader),
            self.quote.integer("balanceOf", account or self.trader),
        )

    def swap_tuple(self, size: int, owner: str | None = None, bound: int | None = None) -> tuple[object, ...]:
        """The router's argument for exactly ``size`` of the asset: > 0 buys it."""
        pair = (self.quote, self.asset) if size > 0 else (self.asset, self.quote)
        bound = (2**200 if size > 0 else 0) if bound is None else bound
        fee = self.pool.integer("fee")
        return (pair[0].address, pair[1].address, fee, owner or self.trader, NEVER_S, abs(size), bound, 0)

    def simulated(self, size: int) -> int:
        """Raw quote that the router itself takes (> 0) or gives (< 0) for raw ``size`` of the asset."""
        name = "exactOutputSingle" if size > 0 else "exactInputSingle"
        found = self.router.integer(name, self.swap_tuple(size), sender=self.trader)
        return found if size > 0 else -found

    def swap(self, size: int) -> None:
        name = "exactOutputSingle" if size > 0 else "exactInputSingle"
        self.router.send(self.trader, name, self.swap_tuple(size))

    def push(self, ticks: int) -> None:
        """Move the pool's price by that many ticks (> 0: token0 grows dearer)."""
        price = int(cast(int, self.pool.call("slot0")[0]) * 1.0001 ** (ticks / 2))
        is_asset_first = int(self.asset.address, 16) < int(self.quote.address, 16)
        first, second = (self.asset, self.quote) if is_asset_first else (self.quote, self.asset)
        pair = (second, first) if ticks > 0 else (first, second)
        fee = self.pool.integer("fee")
        order = (pair[0].address, pair[1].address, fee, self.trader, NEVER_S, 10**30, 0, price)
        self.router.send(self.trader, "exactInputSingle", order)

    def collectable(self, holding: Holding, account: str | None = None) -> tuple[int, int]:
        """Asset and quote that ``collect`` says it would pay now."""
        owner = account or self.trader
        return self.in_order(
            self.manager.call("collect", (holding.token_id, owner, MOST, MOST), sender=owner)
        )

    def paid_out(self, holding: Holding, account: str | None = None) -> tuple[int, int]:
        """Asset and quote that ``collect`` pays right after everything was taken out, as one static call."""
        owner, manager = account or self.trader, self.manager
        calls = [
            manager.encode("decreaseLiquidity", (holding.token_id, holding.range.liquidity, 0, 0, NEVER_S)),
            manager.encode("collect", (holding.token_id, owner, MOST, MOST)),
        ]
        answers = cast(list[bytes], manager.call("multicall", calls, sender=owner)[0])
        return self.in_order([int.from_bytes(answers[1][:32]), int.from_bytes(answers[1][32:])])

    def do(self, action: Action, account: str | None = None, state: UniswapState | None = None) -> Order:
        """Write the action, send its calls as the account would, and prove what the order says of it."""
        owner = Address(account or self.trader)
        order = self.venue.write(state or self.read(owner), action, owner, NEVER_S)
        for call in order.calls:
            self.net.chain.send(owner, call.target, call.data, call.label)
        rpc = Rpc(self.net.url)
        block = rpc.block("latest")
        assert [p.name for p in read_one(rpc, block, prove(order.post, block, 0)) if not p.kept] == []
        return order

    def units(self, asset: float) -> int:
        """Raw units of the asset."""
        return int(asset * 10 ** self.asset.integer("decimals"))


def _mint(
    net: Localnet, trader: str, pool: Contract, lower: int, upper: int, amounts: tuple[int, int]
) -> int:
    tokens = (pool.at("token0"), pool.at("token1"))
    order = (*tokens, pool.integer("fee"), lower, upper, *amounts, 0, 0, trader, NEVER_S)
    receipt = net.uniswap.position_manager.send(trader, "mint", order)
    events = net.uniswap.position_manager.events(receipt.logs, "IncreaseLiquidity")
    return cast(int, events[0]["tokenId"])


def _provide(net: Localnet, trader: str, pool: Contract, amounts: tuple[int, int]) -> tuple[int, ...]:
    """Liquidity in every one of `RANGES`, no two of the same size."""
    tick, spacing = cast(int, pool.call("slot0")[1]), pool.integer("tickSpacing")
    return tuple(
        _mint(
            net,
            trader,
            pool,
            (tick + below) // spacing * spacing,
            (tick + above) // spacing * spacing,
            (amounts[0] * step + step, amounts[1] * step + step),
        )
        for step, (below, above) in enumerate(RANGES, start=1)
    )


def _usdc_pool(net: Localnet, trader: str) -> tuple[Contract, Contract]:
    """A token of six decimals, and its pool with the asset as token1."""
    owner, base, uniswap = net.roles["owner"], net.lyra.base, net.uniswap
    artifact = own_artifact("MintableToken")
    usdc = net.chain.deploy(owner, artifact, "USD Coin", "USDC", 6)
    while int(usdc.address, 16) > int(base.address, 16):
        usdc = net.chain.deploy(owner, artifact, "USD Coin", "USDC", 6)
    usdc.send(owner, "mint", trader, 10**9 * 10**6)
    for spender in (uniswap.swap_router, uniswap.position_manager):
        usdc.send(trader, "approve", spender.address, 2**256 - 1)
    uniswap.factory.send(owner, "createPool", usdc.address, base.address, USDC_FEE)
    pool = net.chain.at(
        "UniswapV3Pool", uniswap.factory.at("getPool", usdc.address, base.address, USDC_FEE), uniswap.pool.abi
    )
    pool.send(owner, "initialize", int((10**12 / SPOT) ** 0.5 * 2**96))
    return usdc, pool


@contextmanager
def rolled_back(net: Localnet) -> Iterator[None]:
    """Undone at the end, once the node has cleared its pool of what it has mined: it does that a little after
    it answers, by sender and nonce, and would clear away the next transaction of a chain that was rolled back
    meanwhile.
    """
    snapshot = net.node.snapshot()
    try:
        yield
    finally:
        for _ in range(10_000):
            if net.node.request("txpool_status") == {"pending": "0x0", "queued": "0x0"}:
                break
        else:
            raise AssertionError("the node's pool does not empty")
        net.node.revert(snapshot)


@pytest.fixture(scope="module")
def seeded(localnet: Localnet) -> Iterator[dict[str, World]]:
    """Both pools in both orders, on a chain that is rolled back when the module ends."""
    with rolled_back(localnet):
        yield _seed(localnet)


def _seed(localnet: Localnet) -> dict[str, World]:
    net, trader = localnet, localnet.roles["arbitrageur"]
    base, quote = net.lyra.base, net.lyra.quote
    for token in (base, quote):
        token.send(trader, "approve", net.uniswap.position_manager.address, 2**256 - 1)
    usdc, small = _usdc_pool(net, trader)
    big_ids = _provide(net, trader, net.uniswap.pool, (50 * WAD, 50 * SPOT * WAD))
    small_ids = _provide(net, trader, small, (50 * SPOT * 10**6, 50 * WAD))

    def world(asset: Contract, cash: Contract, pool: Contract, ids: tuple[int, ...]) -> World:
        uniswap = net.uniswap
        deployment = UniswapDeployment(
            factory=uniswap.factory.address,
            position_manager=uniswap.position_manager.address,
            swap_router=uniswap.swap_router.address,
            pools=(
                UniswapPool(
                    address=pool.address, asset="X", asset_token=asset.address, quote_token=cash.address
                ),
            ),
        )
        return World(net, Uniswap(deployment), asset, cash, pool, trader, ids)

    return {
        "asset first": world(base, quote, net.uniswap.pool, big_ids),
        "asset second": world(quote, base, net.uniswap.pool, big_ids),
        "quote of six decimals": world(base, usdc, small, small_ids),
        "asset of six decimals": world(usdc, base, small, small_ids),
    }


@pytest.fixture(
    params=["asset first", "asset second", "quote of six decimals", "asset of six decimals"], scope="module"
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def unchanged(seeded: dict[str, World], kind: str) -> World:
    """For tests that roll back what they do."""
    return seeded[kind]


@pytest.fixture
def world(unchanged: World) -> Iterator[World]:
    with rolled_back(unchanged.net):
        yield unchanged


def _worth(world: World, amounts: tuple[int, int], price_wad: int) -> float:
    asset, quote = (
        rescale_down(raw, token.integer("decimals"), 18) / WAD
        for raw, token in zip(amounts, (world.asset, world.quote), strict=True)
    )
    return asset * price_wad / WAD + quote


def _assert_pays_what_it_says(world: World) -> UniswapState:
    state = world.read()
    for holding in state.holdings:
        assert world.collectable(holding) == holding.fees if any(holding.fees) else True
        assert world.paid_out(holding) == tuple(
            held + fee for held, fee in zip(holding.amounts, holding.fees, strict=True)
        )
    return state


# --- liquidity ---------------------------------------------------------------------------------------


def test_what_is_read_is_what_taking_it_all_out_pays_to_the_unit(world: World) -> None:
    state = _assert_pays_what_it_says(world)
    assert [holding.token_id for holding in state.holdings] == list(world.ids)
    assert [any(holding.fees) for holding in state.holdings] == [False] * len(RANGES)
    sides = [tuple(amount > 0 for amount in holding.amounts) for holding in state.holdings]
    assert sides[:3] == [(True, True)] * 3
    assert {(True, False), (False, True)} == set(sides[3:])  # on one side of the price, and on the other


@pytest.mark.parametrize("ticks", [-2_500, -900, -250, 150, 330, 2_500])
def test_it_is_wherever_the_price_goes_fees_and_all(world: World, ticks: int) -> None:
    world.push(ticks)
    state = _assert_pays_what_it_says(world)
    assert all(any(holding.fees) for holding in state.holdings[:3])
    is_out = [not holding.range.is_active(holding.view.pool.tick) for holding in state.holdings]
    assert is_out[0] == is_out[1] is False
    if abs(ticks) == 2_500:  # all but the widest are out of range, on one side
        assert is_out[2:] == [True] * 4
        assert all(position.greeks.gamma == 0 for position in state.positions[2:])
        assert all(min(holding.amounts) == 0 < max(holding.amounts) for holding in state.holdings[2:])
        assert len({holding.amounts[0] > 0 for holding in state.holdings[2:]}) == 1


@given(moves=st.lists(st.integers(-600, 600).filter(bool), min_size=1, max_size=5))
@ON_CHAIN
def test_fees_after_any_swaps_are_what_collect_answers(unchanged: World, moves: list[int]) -> None:
    with rolled_back(unchanged.net):
        for move in moves:
            unchanged.push(move)
        state = unchanged.read()
        assert any(holding.fees[0] or holding.fees[1] for holding in state.holdings)
        for holding in state.holdings:
            if any(holding.fees):
                assert unchanged.collectable(holding) == holding.fees


def test_fees_stay_exact_when_some_of_them_were_booked_or_collected_before(world: World) -> None:
    """The manager and the pool book each on their own, and round each on its own."""
    first, twin, near = world.ids[:3]
    for step, (token_id, move) in enumerate(((first, 777), (near, -1_003), (twin, 431), (first, -97))):
        world.push(move)
        world.push(-move + step)
        world.manager.send(world.trader, "decreaseLiquidity", (token_id, 12_345 + step, 0, 0, NEVER_S))
        _assert_pays_what_it_says(world)
        if step % 2:
            world.manager.send(world.trader, "collect", (token_id, world.trader, 10_001, MOST))
            _assert_pays_what_it_says(world)


def test_fees_are_no_more_than_the_pool_has_booked_for_the_manager(world: World) -> None:
    """The pool rounds down whenever anybody in the range is paid, the manager when this token is: what is
    left for the last can be less than the manager promised.
    """
    first, twin = world.ids[:2]
    for step in range(16):
        world.push(7 + step if step % 2 else -7 - step)
        world.manager.send(world.trader, "decreaseLiquidity", (first, 1, 0, 0, NEVER_S))
        world.manager.send(world.trader, "collect", (first, world.trader, MOST, MOST))
        holding = world.read().holding(f"uniswap:{twin}")
        assert world.collectable(holding) == holding.fees


def test_liquidity_of_nothing_holds_what_it_is_owed_and_then_is_gone(world: World) -> None:
    world.push(500)
    before = world.read().holding(f"uniswap:{world.ids[2]}")
    world.manager.send(
        world.trader, "decreaseLiquidity", (before.token_id, before.range.liquidity, 0, 0, NEVER_S)
    )
    world.push(-500)  # earns nothing more
    emptied = world.read().holding(before.key)
    assert (emptied.range.liquidity, emptied.amounts) == (0, (0, 0))
    assert emptied.fees == tuple(sum(pair) for pair in zip(before.amounts, before.fees, strict=True))
    assert world.collectable(emptied) == emptied.fees
    assert (emptied.position.size_wad, emptied.position.greeks.gamma) == (0, 0.0)
    with pytest.raises(PlanInfeasible, match="nothing to reduce"):
        world.do(Reduce("uniswap", emptied.key, WAD, 10**30))
    world.manager.send(world.trader, "collect", (emptied.token_id, world.trader, MOST, MOST))
    state = world.read()
    assert before.key not in [holding.key for holding in state.holdings]
    assert len(state.positions) == len(RANGES) - 1
    with pytest.raises(VenueUnknown, match=before.key):
        state.holding(before.key)


def test_an_account_without_liquidity_has_the_pools_and_nothing_else(world: World) -> None:
    state = world.read("0x00000000000000000000000000000000000000Aa")
    assert (state.positions, state.holdings, state.margins) == ((), (), ())
    (quote,), (offer,) = state.quotes, state.offers
    assert quote.mark_wad == quote.index_wad == offer.price_wad == world.view.price_wad
    assert (state.pools[0].asset_allowance_raw, state.pools[0].quote_allowance_raw) == (0, 0)


def test_liquidity_in_a_pool_that_is_not_configured_is_not_the_books(
    world: World, seeded: dict[str, World]
) -> None:
    ids = {token_id for other in seeded.values() for token_id in other.ids}
    assert world.manager.integer("balanceOf", world.trader) == len(ids) > len(world.ids)
    assert {holding.token_id for holding in world.read().holdings} == set(world.ids)


def test_the_books_own_range_is_read_and_paid(chain: Localnet) -> None:
    deployment = chain.deployment().uniswap
    assert deployment is not None
    book = World(
        chain,
        Uniswap(deployment),
        chain.lyra.base,
        chain.lyra.quote,
        chain.uniswap.pool,
        chain.book.account,
        (chain.book.liquidity_id,),
    )
    (holding,) = book.read().holdings
    assert holding.token_id == chain.book.liquidity_id
    assert book.paid_out(holding) == tuple(
        held + fee for held, fee in zip(holding.amounts, holding.fees, strict=True)
    )
    (position,) = book.read().positions
    assert position.greeks.delta == pytest.approx(holding.amounts[0] / WAD, rel=1e-12)
    assert position.value_wad == pytest.approx(20_000 * WAD, rel=0.1)


# --- value and its slopes ----------------------------------------------------------------------------


def test_bounds_and_price_are_said_in_quote_per_asset(world: World) -> None:
    state = world.read()
    mark = state.quotes[0].mark_wad
    assert mark / WAD == pytest.approx(SPOT if world.asset is world.net.lyra.base else 1 / SPOT, rel=1e-3)
    for position in state.positions:
        instrument = position.instrument
        assert isinstance(instrument, LiquidityRange)
        assert instrument.lower_price_wad < instrument.upper_price_wad
        amounts = state.holding(position.key).amounts
        # below its range a position is all asset, above it all quote
        assert (instrument.lower_price_wad < mark) == (amounts[1] > 0)
        assert (instrument.upper_price_wad > mark) == (amounts[0] > 0)
        assert position.value_wad / WAD == pytest.approx(_worth(world, amounts, mark), rel=1e-9)


@pytest.mark.parametrize("centre", [0, -1_000, 1_000])
def test_delta_and_gamma_are_the_slopes_of_what_the_contracts_pay(world: World, centre: int) -> None:
    """Fees apart: what they add is not the range's."""
    if centre:
        world.push(centre)
    middle = world.read()
    worths, marks, deltas = [], [], []
    for step in (-8, 16):
        world.push(step)
        state = world.read()
        marks.append(state.quotes[0].mark_wad)
        held = [
            tuple(
                paid - fee
                for paid, fee in zip(world.paid_out(holding), world.collectable(holding), strict=True)
            )
            if any(holding.fees)
            else world.paid_out(holding)
            for holding in state.holdings
        ]
        worths.append([_worth(world, (asset, quote), marks[-1]) for asset, quote in held])
        unit = 10 ** world.asset.integer("decimals")
        deltas.append([asset / unit for asset, _ in held])
    move = (marks[1] - marks[0]) / WAD
    for index, position in enumerate(middle.positions):
        holding = middle.holdings[index]
        fee_delta = holding.fees[0] / 10 ** world.asset.integer("decimals")
        delta = position.greeks.delta - fee_delta
        slope = (worths[1][index] - worths[0][index]) / move
        scale = position.value_wad / position.mark_wad  # all of it in the asset
        assert slope == pytest.approx(delta, abs=2e-5 * scale + 1e-3 * abs(delta))
        bend = (deltas[1][index] - deltas[0][index]) / move
        per_percent = 100 * scale / (position.mark_wad / WAD)
        assert bend == pytest.approx(position.greeks.gamma, rel=2e-3, abs=1e-6 * per_percent)


# --- trading -----------------------------------------------------------------------------------------


@given(share=st.floats(1e-12, 1), is_sale=st.booleans())
@ON_CHAIN
def test_a_quote_is_what_the_router_takes_or_gives(unchanged: World, share: float, is_sale: bool) -> None:
    offer = unchanged.offer
    most_wad = offer.max_sell_wad if is_sale else offer.max_buy_wad
    size_wad = int(most_wad * share) * (-1 if is_sale else 1)
    raw = offer.raw_size(size_wad)
    if raw == 0:
        assert offer.quote_raw(size_wad) == 0
        return
    assert offer.quote_raw(size_wad) == unchanged.simulated(raw if size_wad > 0 else -raw)


@pytest.mark.parametrize("part", [1e-9, 0.5, 1.0, 2.5])
def test_a_quote_crosses_ticks_as_the_pool_does(world: World, part: float) -> None:
    """And beyond what one trade may move."""
    offer = world.offer
    for size_wad in (int(offer.max_buy_wad * part), -int(offer.max_sell_wad * part)):
        raw = offer.raw_size(size_wad)
        assert raw > 0
        assert offer.quote_raw(size_wad) == world.simulated(raw if size_wad > 0 else -raw)
        if part == 2.5:
            with rolled_back(world.net):
                world.swap(raw if size_wad > 0 else -raw)
                view = world.view
                crossed = sorted((view.pool.tick, offer.pool.tick))
                assert sum(crossed[0] < tick <= crossed[1] for tick in offer.pool.ticks) >= 2


def test_the_most_moves_the_price_by_about_two_percent(world: World) -> None:
    offer = world.offer
    for size_wad in (offer.max_buy_wad, -offer.max_sell_wad):
        with rolled_back(world.net):
            raw = offer.raw_size(size_wad)
            world.swap(raw if size_wad > 0 else -raw)
            moved = world.view.price_wad / offer.price_wad - 1
            assert (moved > 0) == (size_wad > 0)
            assert 0.0196 < abs(moved) < 0.0204


def test_cost_is_the_quote_less_the_worth_at_the_price_and_need_is_the_quote(world: World) -> None:
    offer = world.offer
    decimals = offer.terms.quote_token.decimals
    for size_wad in (offer.max_buy_wad // 7, -offer.max_sell_wad // 7):
        need_wad = rescale_up(offer.quote_raw(size_wad), decimals, 18)
        assert offer.cash_need_wad(size_wad) == need_wad
        cost = need_wad - size_wad * offer.price_wad // WAD
        assert offer.cost_wad(size_wad) == cost > 0
        fee = abs(size_wad) * offer.price_wad // WAD * offer.terms.fee_ppm // 10**6
        assert cost > fee * 999 // 1000
        assert offer.margin_need_wad(size_wad) == 0
    costs = [offer.cost_wad(offer.max_buy_wad * n // 10) / n for n in range(1, 11)]
    assert costs == sorted(costs)  # convex: what allocation relies on


def _limit(quote_raw: int, size_wad: int, decimals: int) -> int:
    """The limit price that just lets the quote pass."""
    wad = abs(rescale_down(quote_raw, decimals, 18)) * WAD
    return -(-wad // size_wad) if size_wad > 0 else wad // -size_wad


@pytest.mark.parametrize("size", [2.5, 0.000321, -2.5, -0.000321])
def test_a_trade_moves_the_wallet_by_what_was_offered_and_its_limit_holds_to_the_unit(
    world: World, size: float
) -> None:
    offer = world.offer
    worth = 1.0 if world.asset is world.net.lyra.base else SPOT
    size_wad = rescale_down(world.units(size * worth), world.asset.integer("decimals"), 18)
    quote = offer.quote_raw(size_wad)
    limit = _limit(quote, size_wad, offer.terms.quote_token.decimals)
    tighter = limit - 1 if size_wad > 0 else limit + 1
    with pytest.raises(TransactionReverted, match=r"Too (much requested|little received)"):
        world.do(Trade("uniswap", offer.market, size_wad, tighter))
    before = world.balances()
    order = world.do(Trade("uniswap", offer.market, size_wad, limit))
    after = world.balances()
    assert len(order.calls) == 1  # the trader allows the router everything
    assert after[0] - before[0] == rescale_down(size_wad, 18, world.asset.integer("decimals"))
    assert before[1] - after[1] == quote


@pytest.mark.parametrize("left_over", [0, 17])
@pytest.mark.parametrize("is_sale", [False, True])
def test_a_trade_allows_the_router_what_it_needs_and_leaves_it_nothing(
    world: World, is_sale: bool, left_over: int
) -> None:
    account = world.net.roles["keeper"]
    for token in (world.asset, world.quote):
        whole = 10 ** token.integer("decimals")
        token.send(world.trader, "transfer", account, 5_000 * whole)
        token.send(account, "approve", world.router.address, left_over)
    offer = world.offer
    size_wad = -offer.max_sell_wad // 9_000 if is_sale else offer.max_buy_wad // 9_000
    raw, quote = offer.raw_size(size_wad), offer.quote_raw(size_wad)
    limit = offer.price_wad * (98 if is_sale else 102) // 100
    before = world.balances(account)
    world.do(Trade("uniswap", offer.market, size_wad, limit), account)
    after = world.balances(account)
    assert after[0] - before[0] == (-raw if is_sale else raw) != 0
    assert before[1] - after[1] == quote
    for token in (world.asset, world.quote):
        left = token.integer("allowance", account, world.router.address)
        paid = token is (world.asset if is_sale else world.quote)
        assert left == (0 if paid else left_over)


def test_a_trade_is_refused_after_its_deadline_and_below_a_unit(world: World) -> None:
    offer, state = world.offer, world.read()
    sale = Trade("uniswap", offer.market, -offer.max_sell_wad // 100, 1)
    order = world.venue.write(state, sale, world.trader, world.net.node.now_s() + 1)
    world.net.node.warp(2)
    with pytest.raises(TransactionReverted, match="Transaction too old"):
        world.net.chain.send(world.trader, order.calls[0].target, order.calls[0].data, "late")
    with pytest.raises(PlanInfeasible, match="cannot trade"):
        world.do(Trade("uniswap", offer.market, 0, 1))
    if offer.terms.asset_token.decimals == 6:
        with pytest.raises(PlanInfeasible, match="cannot trade"):
            world.do(Trade("uniswap", offer.market, 10**12 - 1, 10**30))


# --- reducing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [2, 3, 4])
@pytest.mark.parametrize("percent", [30, 400])
def test_a_reduction_pays_its_share_and_every_fee(world: World, index: int, percent: int) -> None:
    world.push(130)
    world.push(-190)
    holding = world.read().holding(f"uniswap:{world.ids[index]}")
    size = holding.range.liquidity * percent // 100
    before = world.balances()
    world.do(Reduce("uniswap", holding.key, size, 0))  # may cost nothing, and at this price it does not
    gained = [after - held for after, held in zip(world.balances(), before, strict=True)]
    assert any(gained)
    for amount, fee, got in zip(holding.amounts, holding.fees, gained, strict=True):
        assert abs(got - fee - amount * min(100, percent) // 100) <= 2 + amount // size
    left = [h.range.liquidity for h in world.read().holdings if h.key == holding.key]
    assert left == ([holding.range.liquidity - size] if percent < 100 else [])


def test_a_reduction_is_refused_when_more_than_its_cost_would_be_missing(world: World) -> None:
    state = world.read()
    near = state.holding(f"uniswap:{world.ids[2]}")
    all_out = near.range.liquidity
    world.push(30)
    asset, quote = near.amounts
    now = world.read().holding(near.key).amounts
    price_wad = near.view.price_wad
    missing_asset = _worth(world, (max(0, asset - now[0]), 0), price_wad)
    missing = max(missing_asset, _worth(world, (0, max(0, quote - now[1])), price_wad))
    with pytest.raises(TransactionReverted, match="Price slippage check"):
        world.do(Reduce("uniswap", near.key, all_out, int(missing * WAD) * 999 // 1000), state=state)
    world.do(Reduce("uniswap", near.key, all_out, int(missing * WAD) * 1001 // 1000), state=state)


def test_what_uniswap_does_not_have_is_refused(world: World) -> None:
    state = world.read()
    other = state.quotes[0].market.__class__("uniswap:0x00")
    for action in (
        Trade("uniswap", other, WAD, WAD),
        Reduce("uniswap", "uniswap:123456", WAD, WAD),
        AddCollateral("uniswap", "uniswap:1", WAD),
    ):
        with pytest.raises(VenueUnknown):
            world.venue.write(state, action, world.trader, NEVER_S)


# --- identity ----------------------------------------------------------------------------------------


def _identify(world: World, deployment: UniswapDeployment) -> tuple[str, ...]:
    rpc = Rpc(world.net.url)
    try:
        tokens = read_one(rpc, rpc.block("latest"), Uniswap(deployment).identify())
    finally:
        rpc.close()
    return tuple(token.address for token in tokens)


def test_the_deployment_is_recognised_and_its_tokens_named(world: World) -> None:
    assert set(_identify(world, world.venue.deployment)) == {world.asset.address, world.quote.address}


@pytest.mark.parametrize("field", ["factory", "position_manager", "swap_router"])
def test_another_contract_in_any_place_is_refused_by_its_address(world: World, field: str) -> None:
    right = world.venue.deployment
    others = {"factory", "position_manager", "swap_router"} - {field}
    strangers = [
        world.quote.address,
        world.net.roles["keeper"],
        world.pool.address,
        *(str(getattr(right, other)) for other in sorted(others)),
    ]
    for stranger in strangers:
        with pytest.raises(ContractMismatch) as caught:
            _identify(world, right.model_copy(update={field: stranger}))
        assert caught.value.fields["target"] == stranger


def test_another_protocols_factory_is_refused(world: World) -> None:
    """Curie has a Uniswap factory of its own, whose pools are not of this deployment."""
    stranger = world.net.curie.factory.address
    with pytest.raises(ContractMismatch) as caught:
        _identify(world, world.venue.deployment.model_copy(update={"factory": stranger}))
    assert caught.value.fields["target"] == stranger


@pytest.mark.parametrize("field", ["address", "asset_token", "quote_token"])
def test_another_pool_or_token_is_refused(world: World, field: str, seeded: dict[str, World]) -> None:
    right = world.venue.deployment
    (pool,) = right.pools
    strangers = [world.net.roles["keeper"], world.manager.address, world.net.curie.pool.address]
    if field != "address":
        strangers.append(world.net.curie.quote.address)
    for stranger in strangers:
        wrong = right.model_copy(update={"pools": (pool.model_copy(update={field: stranger}),)})
        with pytest.raises(ContractMismatch):
            _identify(world, wrong)


def test_a_pool_that_the_factory_does_not_know_is_refused(world: World, toolchain: Toolchain) -> None:
    """The same tokens and fee, made by another factory."""
    owner, protocol = world.net.roles["owner"], ("uniswap-core", "UniswapV3Factory")
    factory = world.net.chain.deploy(owner, toolchain.artifact(*protocol))
    pair = (world.asset.address, world.quote.address, world.pool.integer("fee"))
    factory.send(owner, "createPool", *pair)
    twin = factory.at("getPool", *pair)
    right = world.venue.deployment
    wrong = right.model_copy(update={"pools": (right.pools[0].model_copy(update={"address": twin}),)})
    with pytest.raises(ContractMismatch, match="never initialised"):
        _identify(world, wrong)
    with pytest.raises(ContractMismatch, match="never initialised"):
        _read_with(world, wrong)
    price = cast(int, world.pool.call("slot0")[0])
    world.net.chain.at("twin", twin, Abi(toolchain.artifact("uniswap-core", "UniswapV3Pool").abi)).send(
        owner, "initialize", price
    )
    with pytest.raises(ContractMismatch, match="a pool of Uniswap's factory"):
        _identify(world, wrong)


def _read_with(world: World, deployment: UniswapDeployment) -> UniswapState:
    rpc = Rpc(world.net.url)
    block = rpc.block("latest")
    return read_one(rpc, block, Uniswap(deployment).read(world.trader, block))


def test_a_reading_of_a_contract_that_is_none_is_an_error_that_names_it(world: World) -> None:
    wrong = world.venue.deployment.model_copy(update={"position_manager": world.router.address})
    with pytest.raises(ReadReverted) as caught:
        _read_with(world, wrong)
    assert caught.value.fields["target"] == world.router.address
