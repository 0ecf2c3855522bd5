"""GMX as a venue against its own bytecode: set GMX_DEPLOYMENTS to a folder of its published records.

What the stand-in cannot prove: the protocol's own exponents, shared inventories, one-token markets,
discounts, and that orders written by us are taken, filled, refused and paid by the contracts that users have.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from agent.errors import TransactionReverted
from agent.market.intent import Action, AddCollateral, Reduce, RemoveCollateral, Trade
from agent.market.request import Phase, Request, canonical
from agent.sim.anvil import Anvil
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import load
from agent.venues.gmx import writer
from agent.venues.gmx.fragment import GMX, LIMIT_INCREASE
from agent.venues.gmx.market import Market
from agent.venues.gmx.power import apply_exponent
from agent.venues.gmx.state import GmxState
from agent.venues.gmx.writer import Revision
from tests.abi import layouts
from tests.gmx import FLOAT, GENESIS_S, World
from tests.real.flips import VARIABLE, campaign
from tests.real.gmx import options, real_world

MANIFESTS = Path(__file__).resolve().parents[2] / "agent" / "venues" / "manifests"
FOLDER = os.environ.get(VARIABLE, "")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason=f"set {VARIABLE} to a folder of GMX's published deployment records to run these"
)


@pytest.fixture(scope="module")
def built(toolchain: Toolchain) -> Iterator[World]:
    with Anvil(toolchain.anvil, options(GENESIS_S)) as node:
        world = real_world(node, Path(FOLDER))
        for token, amount in (("USDC", 500_000 * 10**6), ("WETH", 100 * WAD), ("WBTC", 5 * 10**8)):
            world.give(world.user, token, amount)
        crowd = [Address(str(a)) for a in node.request("eth_accounts")[5:11]]  # type: ignore[index]
        for index, market in enumerate(world.deployment.markets):
            stable = "USDC" if index < 2 else "WETH"
            for account, is_long, dollars in zip(
                crowd[2 * index : 2 * index + 2], (True, False), (700_000, 400_000), strict=True
            ):
                amount = 200_000 * 10**6 if stable == "USDC" else 100 * WAD
                world.open(account, Address(market.address), stable, amount, dollars * FLOAT, is_long=is_long)
        node.warp(3_600 * 5 + 3)
        yield world


@pytest.fixture
def world(built: World) -> Iterator[World]:
    """Rolled back when the test ends."""
    snapshot = built.node.snapshot()
    yield replace(built, epochs=0)
    built.node.revert(snapshot)


def name_of(world: World, index: int) -> MarketId:
    return MarketId(f"gmx:{world.deployment.markets[index].address}")


def ask(world: World, action: Action) -> tuple[bytes, ...]:
    before = world.orders(world.user)
    world.perform(world.venue.write(world.read(), action, world.user, 0))
    return tuple(key for key in world.orders(world.user) if key not in before)


def trade(state: GmxState, market: MarketId, size_wad: int, slip_wad: int = WAD // 100) -> Trade:
    price = state.view(market).middle_wad
    worst = mul_down(price, WAD + slip_wad) if size_wad > 0 else mul_up(price, WAD - slip_wad)
    return Trade("gmx", market, size_wad, worst)


def requests(world: World) -> tuple[Request, ...]:
    logs = canonical(world.logs())
    return world.venue.follow(world.venue.requests(world.user, logs, {}), logs)


def test_layouts_of_what_we_call_are_the_published_ones(world: World) -> None:
    published = {}
    for path in Path(FOLDER).glob("[!.]*.json"):
        for entry in json.loads(path.read_text()).get("abi", ()):
            if entry.get("name") in {*GMX.functions, "EventLog1", "EventLog2"}:
                published.setdefault(entry["name"], []).append(layouts([entry])[entry["name"]])
    ours = layouts(json.loads((Path(__file__).parents[2] / "abis" / "gmx.json").read_text())["fragments"])
    checked = [name for name in ours if name in published and name != "latestRoundData"]
    assert {"getAccountPositionInfoList", "getAccountOrders", "createOrder", "EventLog2"} <= set(checked)
    for name in checked:
        assert ours[name] in published[name], name


def test_the_code_that_the_manifest_expects_is_what_the_records_make(world: World) -> None:
    shipped = [load(path) for path in MANIFESTS.glob("*.json")]
    store = world.deployment.data_store
    (manifest,) = [one.manifest("gmx") for one in shipped if one.gmx and one.gmx.data_store == store]
    expected = {one.address: one.code_hash for one in manifest.contracts if one.code_hash}
    assert len(expected) == 7
    for address, code_hash in expected.items():
        code = bytes.fromhex(str(world.node.request("eth_getCode", address, "latest"))[2:])
        assert "0x" + keccak(code).hex() == code_hash, address


def test_the_deployment_is_recognised(world: World) -> None:
    tokens = world.identify()
    assert [token.symbol for token in tokens] == ["USDC", "WNT", "WBTC"]  # type: ignore[attr-defined]


def test_rates_and_impact_are_the_contracts_own(world: World) -> None:
    state = world.read()
    tag = hex(world.node.block_number())
    for view in state.markets:
        market: Market = view.market
        told = world.reader.call(
            "getMarketInfo", world.store.address, view.prices.words, market.token, block=tag
        )[0]
        rate, longs_pay = market.next_rate(view.index.price.middle, state.at_s)
        funding = told["nextFunding"]  # type: ignore[index]
        assert (funding["fundingFactorPerSecond"], funding["longsPayShorts"]) == (rate, longs_pay)
        for side, is_long in (("Longs", True), ("Shorts", False)):
            borrowed = told[f"borrowingFactorPerSecondFor{side}"]  # type: ignore[index]
            assert borrowed == market.borrowing_rate(view.prices, is_long=is_long)
            for size_usd in (5_000 * FLOAT + 7, 1_234_567 * FLOAT):
                tokens = (
                    size_usd // view.index.price.high if is_long else -(-size_usd // view.index.price.low)
                )
                usd, improves = market.price_impact(view.prices, size_usd, tokens, is_long=is_long)
                found = world.reader.record(
                    "getExecutionPrice",
                    world.store.address,
                    market.token,
                    view.prices.words,
                    0,
                    0,
                    size_usd,
                    0,
                    is_long,
                )
                capped = market.capped_impact(usd, size_usd)
                assert (found["priceImpactUsd"], found["balanceWasImproved"]) == (capped, improves)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_trade_is_filled_as_quoted_and_closed_to_the_last_token(
    world: World, index: int, sign: int
) -> None:
    market, state = name_of(world, index), world.read()
    size_wad = sign * (WAD // 5 if index == 1 else 4 * WAD)
    offer = next(offer for offer in state.offers if offer.market == market)
    cost_wad = offer.cost_wad(size_wad)
    (key,) = ask(world, trade(state, market, size_wad))
    (waiting,) = world.read().requests
    assert (waiting.size_wad, waiting.phase) == (size_wad, Phase.REQUESTED)
    world.execute(key)
    (request,) = requests(world)
    assert request.phase is Phase.EXECUTED, request.reason
    (margin,) = world.read().margins
    step = 10 ** (18 - offer.decimals)
    assert abs(margin.size_wad(market) - size_wad) <= step
    lost = mul_up(size_wad, request.fill_price_wad - offer.price_wad)
    _, improves = offer.view.price_impact(
        offer.prices, margin.held.size_usd, margin.held.size_tokens, is_long=sign > 0
    )
    fee = offer.view.fees.position.of(first=improves) * margin.held.size_usd // FLOAT // 10**12
    assert lost + fee <= cost_wad * 1_001 // 1_000
    if not improves:
        assert lost + fee >= cost_wad * 999 // 1_000
    (key,) = ask(world, trade(world.read(), market, -size_wad))
    world.execute(key)
    assert requests(world)[-1].phase is Phase.EXECUTED, requests(world)[-1].reason
    assert world.read().margins == ()


def test_a_reduction_and_a_turn_to_the_other_side(world: World) -> None:
    market = name_of(world, 0)
    world.execute(ask(world, trade(world.read(), market, 6 * WAD))[0])
    (margin,) = world.read().margins
    mark = world.read().view(market).middle_wad
    world.execute(ask(world, Reduce("gmx", margin.key, 2 * WAD, mul_up(2 * WAD, mark + mark // 50)))[0])
    (margin,) = world.read().margins
    assert abs(margin.size_wad(market) - 4 * WAD) <= 10
    keys = ask(world, trade(world.read(), market, -5 * WAD))
    assert len(keys) == 2
    for key in keys:
        world.execute(key)
    (margin,) = world.read().margins
    assert abs(margin.size_wad(market) + WAD) <= 10


def test_collateral_goes_in_and_all_that_is_free_comes_out(world: World) -> None:
    market = name_of(world, 0)
    world.execute(ask(world, trade(world.read(), market, -5 * WAD))[0])
    (margin,) = world.read().margins
    world.execute(ask(world, AddCollateral("gmx", margin.key, 700 * WAD))[0])
    (more,) = world.read().margins
    assert 699 * WAD < more.collateral_wad - margin.collateral_wad <= 700 * WAD
    free_wad = more.removable_wad * 999 // 1_000
    world.execute(ask(world, RemoveCollateral("gmx", margin.key, free_wad))[0])
    assert [request.phase for request in requests(world)] == [Phase.EXECUTED] * 3
    (after,) = world.read().margins
    assert 0 <= after.removable_wad < more.removable_wad // 100


def test_orders_are_cancelled_with_a_reason_and_taken_back_in_time(world: World) -> None:
    market = name_of(world, 0)
    before = world.tokens["USDC"].integer("balanceOf", world.user)
    (key,) = ask(world, trade(world.read(), market, 3 * WAD))
    world.set_price("ETH", 2_100 * WAD)
    world.execute(key)
    (request,) = requests(world)
    assert request.phase is Phase.CANCELLED
    assert request.reason.startswith("OrderNotFulfillableAtAcceptablePrice(")
    ask(world, trade(world.read(), market, 3 * WAD))
    (request,) = world.read().requests
    with pytest.raises(TransactionReverted):
        world.perform(world.venue.take_back(request))
    world.node.warp(301)
    world.perform(world.venue.take_back(request))
    assert requests(world)[-1].phase is Phase.CANCELLED
    assert world.tokens["USDC"].integer("balanceOf", world.user) == before


def test_an_order_that_waits_for_a_price_is_changed_in_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MARKET_INCREASE", LIMIT_INCREASE)
    ask(world, trade(world.read(), name_of(world, 0), WAD))
    (before,) = world.read().orders
    world.perform(world.venue.revise(before, Revision(before.size_usd // 2, before.acceptable - 1, 1)))
    (after,) = world.read().orders
    assert (after.size_usd, after.acceptable) == (before.size_usd // 2, before.acceptable - 1)


def test_a_fee_that_is_too_small_is_refused_by_the_protocol(world: World) -> None:
    market = name_of(world, 0)
    state = world.read()
    order = world.venue.write(state, trade(state, market, WAD), world.user, 0)
    small = replace(state.execution, gas_price_wei=1)
    cheap = world.venue.write(replace(state, execution=small), trade(state, market, WAD), world.user, 0)
    with pytest.raises(TransactionReverted, match=r"CallFailed\(1"):
        world.perform(cheap)
    world.perform(order)


def test_powers_are_the_librarys(world: World) -> None:
    assert apply_exponent(FLOAT, 2 * FLOAT) == FLOAT
    assert apply_exponent(FLOAT - 1, 2 * FLOAT) == 0
    assert apply_exponent(123_456 * FLOAT, FLOAT) == 123_456 * FLOAT


def test_forty_random_positions_flip_where_the_contract_liquidates(world: World) -> None:
    tally = campaign(world, 40, 11)
    assert tally.accounts >= 35
    assert tally.wrong_sides == []
    assert tally.wrong_numbers == []
    assert tally.numbers > tally.accounts
