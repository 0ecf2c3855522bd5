"""GMX as a venue, against the stand-in of it: what is read, judged, asked for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from agent.assembly import eye_of
from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import (
    ContractMismatch,
    DecodeMismatch,
    PlanInfeasible,
    PriceImplausible,
    PriceStale,
    TransactionReverted,
    VenueUnknown,
)
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import (
    AccruingAccount,
    CollateralKind,
    CuttableAccount,
    FundableAccount,
    PenalisedAccount,
    TradableAccount,
    WeightedAccount,
)
from agent.market.request import KeeperOffer, KeeperVenue, Phase, Request, RequestingState, canonical
from agent.planning.exit import exit_of
from agent.planning.policy import Policy
from agent.risk.liquidation import betas_of, moved, solve_joint
from agent.runtime.alarm import is_exposed
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD, mul_down, mul_up
from agent.venues.deployments import Deployment, GmxToken
from agent.venues.gmx import Gmx, writer
from agent.venues.gmx.fragment import LIMIT_INCREASE
from agent.venues.gmx.order import words_of
from agent.venues.gmx.price import Price
from agent.venues.gmx.sheet import Told
from agent.venues.gmx.writer import Revision
from agent.venues.venue import Settlement
from tests.gmx import FLOAT, World, reworded, stand_in_world

SLIP = WAD // 100


@dataclass(frozen=True)
class Teller:
    """A price service that says what it is told to say."""

    told: dict[Address, Told]

    def fetch(self) -> dict[Address, Told]:
        return self.told


@pytest.fixture(scope="module")
def built(toolchain: Toolchain) -> Iterator[World]:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=1_750_000_000)) as node:
        world = stand_in_world(node)
        world.give(world.user, "USDC", 200_000 * 10**6)
        world.give(world.user, "WETH", 50 * WAD)
        node.warp(3_600 * 9 + 11)
        yield world


@pytest.fixture
def world(built: World) -> Iterator[World]:
    """Rolled back when the test ends."""
    snapshot = built.node.snapshot()
    yield replace(built, epochs=0)
    built.node.revert(snapshot)


def market_of(world: World) -> MarketId:
    return MarketId(f"gmx:{world.deployment.markets[0].address}")


def limit(world: World, size_wad: int) -> int:
    price = world.read().quotes[0].mark_wad
    return mul_down(price, WAD + SLIP) if size_wad > 0 else mul_up(price, WAD - SLIP)


def ask(world: World, action: Action) -> tuple[bytes, ...]:
    """The orders it left, in their order."""
    before = world.orders(world.user)
    world.perform(world.venue.write(world.read(), action, world.user, 0))
    return tuple(key for key in world.orders(world.user) if key not in before)


def trade(world: World, size_wad: int) -> Trade:
    return Trade("gmx", market_of(world), size_wad, limit(world, size_wad))


def requests(world: World, from_block: int = 0) -> tuple[Request, ...]:
    """Born and followed, from the events alone."""
    logs = canonical(world.logs(from_block))
    born = world.venue.requests(world.user, logs, {})
    return world.venue.follow(born, logs)


# --- what it is ---------------------------------------------------------------------------------------


def test_the_deployment_is_recognised_and_its_tokens_are_stable_first(world: World) -> None:
    usdc, weth = world.identify()  # type: ignore[misc]
    assert (usdc.symbol, usdc.decimals, weth.symbol) == ("USDC", 6, "WETH")
    assert world.venue.settlement is Settlement.KEEPER
    assert isinstance(world.venue, KeeperVenue)


@pytest.mark.parametrize(
    "field",
    [
        "data_store",
        "reader",
        "exchange_router",
        "router",
        "order_vault",
        "event_emitter",
        "order_handler",
        "referral_storage",
    ],
)
def test_a_contract_that_is_another_is_refused(world: World, field: str) -> None:
    other = world.deployment.router if field != "router" else world.deployment.order_vault
    with pytest.raises(ContractMismatch):
        world.identify(reworded(world, **{field: other}))


@pytest.mark.parametrize("field", ["index_token", "long_token", "short_token", "address"])
def test_a_market_of_other_tokens_is_refused(world: World, field: str) -> None:
    (market,) = world.deployment.markets
    other = market.short_token if field != "short_token" else market.long_token
    changed = market.model_copy(update={field: other})
    with pytest.raises(ContractMismatch):
        world.identify(reworded(world, markets=(changed,)))
    with pytest.raises((ContractMismatch, DecodeMismatch)):
        world.read(venue=reworded(world, markets=(changed,)))


def test_a_token_of_other_decimals_is_refused(world: World) -> None:
    asset, quote = world.deployment.tokens
    wrong = (asset, quote.model_copy(update={"decimals": 18}))
    with pytest.raises(ContractMismatch, match="18 decimals"):
        world.identify(reworded(world, tokens=wrong))


def test_a_position_in_a_market_that_is_not_configured_stops_everything(world: World) -> None:
    trader = parse_address(str(world.node.request("eth_accounts")[3]))  # type: ignore[index]
    with pytest.raises(ContractMismatch, match="market"):
        world.read(trader, reworded(world, markets=()))


def test_a_store_that_binds_orders_for_longer_is_refused(world: World) -> None:
    with pytest.raises(ContractMismatch, match="REQUEST_EXPIRATION_TIME is 300"):
        world.read(venue=reworded(world, expiry_s=120))


# --- prices -------------------------------------------------------------------------------------------


def told_by(world: World, low: int, high: int, at_s: int) -> dict[Address, Told]:
    asset, quote = world.deployment.tokens
    unit = 10 ** (30 - asset.decimals)
    dollar = 10 ** (30 - quote.decimals)
    return {
        Address(asset.address): Told(Price(low * unit, high * unit), at_s, "a service"),
        Address(quote.address): Told(Price(dollar, dollar), at_s, "a service"),
    }


def served(world: World, told: dict[Address, Told], **changes: object) -> Gmx:
    return replace(reworded(world, prices_url="http://127.0.0.1:1/", **changes), source=Teller(told))


def test_prices_of_a_service_are_used_as_it_says_them(world: World) -> None:
    now_s = world.node.now_s()
    venue = served(world, told_by(world, 1_990, 2_004, now_s - 3))
    state = world.read(venue=venue)
    assert state.markets[0].index.price == Price(1_990 * 10**12, 2_004 * 10**12)
    assert state.quotes[0].mark_wad == 1_997 * WAD


def test_a_stale_price_is_refused_with_its_age_and_the_limit(world: World) -> None:
    venue = served(world, told_by(world, 2_000, 2_000, world.node.now_s() - 61))
    with pytest.raises(PriceStale, match=r"61 s old, 60 s are allowed"):
        world.read(venue=venue)
    with pytest.raises(PriceStale):  # a price of the future is of a wrong clock
        world.read(venue=served(world, told_by(world, 2_000, 2_000, world.node.now_s() + 90)))


def test_a_price_that_is_upside_down_or_far_from_the_feed_is_not_believed(world: World) -> None:
    now_s = world.node.now_s()
    with pytest.raises(PriceImplausible, match="lowest price"):
        world.read(venue=served(world, told_by(world, 2_001, 1_999, now_s)))
    with pytest.raises(PriceImplausible, match=r"2\.00% apart"):
        world.read(venue=served(world, told_by(world, 2_000, 2_041, now_s)))
    with pytest.raises(PriceImplausible, match="names no price"):
        world.read(venue=served(world, {}))


def test_a_stale_feed_is_refused(world: World) -> None:
    with pytest.raises(PriceStale, match="feed"):
        world.read(venue=reworded(world, max_feed_age_s=3_600))


# --- what it reads ------------------------------------------------------------------------------------


def held(world: World, *, is_long: bool, token: str = "USDC", dollars: int = 40_000) -> None:
    amount = 12_000 * 10**6 if token == "USDC" else 6 * WAD
    market = Address(world.deployment.markets[0].address)
    world.open(world.user, market, token, amount, dollars * FLOAT, is_long=is_long)


@pytest.mark.parametrize(
    ("is_long", "token"), [(True, "USDC"), (True, "WETH"), (False, "USDC"), (False, "WETH")]
)
def test_the_margin_is_the_contracts_and_flips_where_it_liquidates(
    world: World, is_long: bool, token: str
) -> None:
    held(world, is_long=is_long, token=token)
    world.node.warp(86_400 * 5)
    state = world.read()
    (margin,) = state.margins
    assert margin.collateral_kind is (CollateralKind.BASE if token == "WETH" else CollateralKind.QUOTE)
    tag = hex(world.node.block_number())
    direction = "down" if is_long else "up"
    flip = solve_joint(margin, direction)
    assert flip is not None
    back = 1 if is_long else -1
    for ratio, verdict in ((flip.ratio_wad, True), (flip.ratio_wad + back * 10**9, False)):
        prices = moved(margin.prices, ratio, betas_of(margin))
        assert margin.is_liquidatable(prices, margin.at_s) is verdict
        assert world.liquidates(world.user, margin, dict(prices), tag) is verdict


def test_next_funding_and_borrowing_are_the_contracts_own(world: World) -> None:
    held(world, is_long=True)
    world.node.warp(86_400 * 3 + 17)
    state = world.read()
    (view,) = state.markets
    tag = hex(world.node.block_number())
    told = world.reader.call(
        "getMarketInfo", world.store.address, view.prices.words, view.market.token, block=tag
    )[0]
    rate, longs_pay = view.market.next_rate(view.index.price.middle, state.at_s)
    assert (told["nextFunding"]["fundingFactorPerSecond"], told["nextFunding"]["longsPayShorts"]) == (
        rate,
        longs_pay,
    )
    sides = (("longs", True), ("shorts", False))
    for name, is_long in sides:
        told_rate = told[f"borrowingFactorPerSecondFor{name.capitalize()}"]
        assert view.market.borrowing_rate(view.prices, is_long=is_long) == told_rate
    (margin,) = state.margins
    assert margin.accrued_wad(state.at_s)["funding"] > 0
    assert margin.accrued_wad(state.at_s)["borrowing"] > 0
    assert state.claimables[0].key == margin.key


def test_a_protocol_that_reckons_otherwise_is_not_read(world: World) -> None:
    held(world, is_long=True)
    world.node.warp(86_400)
    state = world.read()
    rpc = Rpc(world.node.url)
    block = rpc.block("latest")
    late = replace(block, timestamp_s=block.timestamp_s + 600)  # as if its clock were another
    with pytest.raises(DecodeMismatch, match="does not reckon as it did"):
        read_one(rpc, block, world.venue.read(world.user, late))
    rpc.close()
    assert state.margins


def test_an_account_knows_what_may_be_asked_of_it(world: World) -> None:
    held(world, is_long=True)
    (margin,) = world.read().margins
    for kind in (AccruingAccount, CuttableAccount, FundableAccount, PenalisedAccount, TradableAccount):
        assert isinstance(margin, kind)
    assert isinstance(margin, WeightedAccount)
    index, dollar = margin.prices
    assert margin.betas == {index: WAD, dollar: 0}
    more = margin.funded(1_000 * WAD)
    gained = more.equity_wad(margin.prices, margin.at_s) - margin.equity_wad(margin.prices, margin.at_s)
    assert abs(gained - 1_000 * WAD) <= 2 * 10**12
    half = margin.cut(market_of(world), margin.size_wad(market_of(world)) // 2)
    assert half.requirement_wad(half.prices, half.at_s) < margin.requirement_wad(margin.prices, margin.at_s)
    assert 0 < margin.liquidation_loss_wad < margin.collateral_wad


def test_two_sides_and_two_collaterals_are_four_accounts(world: World) -> None:
    for is_long in (True, False):
        for token in ("USDC", "WETH"):
            held(world, is_long=is_long, token=token, dollars=10_000)
    state = world.read()
    assert len({margin.key for margin in state.margins}) == len(state.positions) == 4
    assert [margin.key for margin in state.margins] == [position.key for position in state.positions]


# --- what it asks for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trade_is_filled_as_quoted_and_closed_to_the_last_token(world: World, sign: int) -> None:
    size_wad = sign * 5 * WAD
    (offer,) = world.read().offers
    assert isinstance(offer, KeeperOffer) and offer.wait_s == 300 and offer.cash_token is None
    cost_wad = offer.cost_wad(size_wad)
    (key,) = ask(world, trade(world, size_wad))
    waiting = world.read()
    assert isinstance(waiting, RequestingState)
    (request,) = waiting.requests
    assert (request.key, request.size_wad, request.phase) == ("0x" + key.hex(), size_wad, Phase.REQUESTED)
    assert request.cancel_at_s == request.requested_at_s + 300
    before = world.tokens["USDC"].integer("balanceOf", world.user)
    world.execute(key)
    state = world.read()
    (margin,) = state.margins
    assert margin.size_wad(market_of(world)) == size_wad
    assert state.requests == ()
    price_wad, middle = requests(world)[0].fill_price_wad, state.quotes[0].mark_wad
    lost = mul_up(size_wad, price_wad - middle)
    fee = offer.view.fees.position.of(first=sign < 0) * margin.held.size_usd // FLOAT // 10**12
    reward = abs(size_wad) * 2_000 // 10_000 if sign < 0 else 0  # of the impact, which a quote leaves out
    assert abs(lost + fee + reward - cost_wad) <= cost_wad // 1_000
    (key,) = ask(world, trade(world, -size_wad))
    world.execute(key)
    assert world.read().margins == ()
    assert world.tokens["USDC"].integer("balanceOf", world.user) > before


def test_a_trade_against_a_position_closes_it_and_opens_the_other_side(world: World) -> None:
    world.execute(ask(world, trade(world, 2 * WAD))[0])
    keys = ask(world, trade(world, -5 * WAD))
    assert len(keys) == 2
    assert sum(request.size_wad for request in world.read().requests) == -5 * WAD
    for key in keys:
        world.execute(key)
    (margin,) = world.read().margins
    assert margin.size_wad(market_of(world)) == -3 * WAD


def test_a_reduction_closes_part_of_the_one_position(world: World) -> None:
    world.execute(ask(world, trade(world, 6 * WAD))[0])
    (margin,) = world.read().margins
    mark = world.read().quotes[0].mark_wad
    (key,) = ask(world, Reduce("gmx", margin.key, 2 * WAD, mul_up(2 * WAD, mark + mark // 50)))
    world.execute(key)
    (after,) = world.read().margins
    assert 4 * WAD - 10 <= after.size_wad(market_of(world)) <= 4 * WAD


def test_collateral_goes_in_and_comes_out(world: World) -> None:
    world.execute(ask(world, trade(world, 5 * WAD))[0])
    (margin,) = world.read().margins
    (key,) = ask(world, AddCollateral("gmx", margin.key, 700 * WAD))
    (request,) = world.read().requests
    assert (request.size_wad, request.collateral_wad, request.margin_key) == (0, 700 * WAD, margin.key)
    world.execute(key)
    (more,) = world.read().margins
    assert 699 * WAD < more.collateral_wad - margin.collateral_wad <= 700 * WAD
    before = world.tokens["USDC"].integer("balanceOf", world.user)
    (key,) = ask(world, RemoveCollateral("gmx", margin.key, 500 * WAD))
    world.execute(key)
    assert world.tokens["USDC"].integer("balanceOf", world.user) - before == 500 * 10**6


def test_all_that_is_free_can_be_taken_and_a_little_more_cannot(world: World) -> None:
    world.execute(ask(world, trade(world, 5 * WAD))[0])
    (margin,) = world.read().margins
    with pytest.raises(PlanInfeasible, match="are free"):
        world.venue.write(
            world.read(), RemoveCollateral("gmx", margin.key, margin.removable_wad + 10**12), world.user, 0
        )
    free_wad = margin.removable_wad * 999 // 1_000  # borrowing goes on until the keeper acts
    (key,) = ask(world, RemoveCollateral("gmx", margin.key, free_wad))
    world.execute(key)
    (after,) = world.read().margins
    assert after.collateral_wad < margin.collateral_wad - free_wad * 99 // 100
    assert requests(world)[-1].phase is Phase.EXECUTED


def test_what_is_nothing_or_nowhere_is_refused(world: World) -> None:
    state = world.read()
    for action in (
        trade(world, 0),
        RemoveCollateral("gmx", "gmx:position:0x00", WAD),
        AddCollateral("gmx", "gmx:position:0x00", WAD),
        Reduce("gmx", "gmx:position:0x00", WAD, WAD),
        Trade("gmx", MarketId("gmx:0x00"), WAD, WAD),
    ):
        with pytest.raises((PlanInfeasible, VenueUnknown)):
            world.venue.write(state, action, world.user, 0)


def test_the_check_fails_where_the_order_was_not_taken(world: World) -> None:
    order = world.venue.write(world.read(), trade(world, WAD), world.user, 0)
    with pytest.raises(TransactionReverted):
        world.perform(replace(order, calls=order.calls[:-1]))


def test_two_requests_of_one_plan_and_a_fill_in_between_are_no_contradiction(world: World) -> None:
    world.execute(ask(world, trade(world, 5 * WAD))[0])
    (waiting,) = ask(world, trade(world, WAD))
    state = world.read()
    (margin,) = state.margins
    actions = (trade(world, 2 * WAD), AddCollateral("gmx", margin.key, 700 * WAD))
    orders = [world.venue.write(state, action, world.user, 0) for action in actions]
    world.execute(waiting)  # before what was planned with it open is mined
    world.perform(
        Order(
            calls=tuple(call for order in orders for call in order.calls),
            post=tuple(check for order in orders for check in order.post),
        )
    )
    assert len(world.read().requests) == 2


def test_the_fee_is_what_the_protocol_asks_and_most_of_it_comes_back(world: World) -> None:
    state = world.read()
    (call,) = (
        call for call in world.venue.write(state, trade(world, WAD), world.user, 0).calls if call.value_wei
    )
    assert call.value_wei == state.execution.fee_wei(is_increase=True)
    tight = reworded(world, execution_tip_wei=0)
    order = tight.write(world.read(venue=tight), trade(world, WAD), world.user, 0)
    short = tuple(replace(c, value_wei=c.value_wei // 4) for c in order.calls)
    with pytest.raises(TransactionReverted):
        world.perform(replace(order, calls=short))


# --- what becomes of orders ---------------------------------------------------------------------------


def test_an_order_that_nobody_fills_is_taken_back_and_its_collateral_with_it(world: World) -> None:
    before = world.tokens["USDC"].integer("balanceOf", world.user)
    ask(world, trade(world, 3 * WAD))
    (request,) = world.read().requests
    with pytest.raises(TransactionReverted):  # not before its time
        world.perform(world.venue.take_back(request))
    world.node.warp(301)
    assert request.at(world.node.now_s()).phase is Phase.EXPIRED
    world.perform(world.venue.take_back(request))
    assert world.tokens["USDC"].integer("balanceOf", world.user) == before
    assert requests(world)[0].phase is Phase.CANCELLED
    rpc = Rpc(world.node.url)
    assert read_one(rpc, rpc.block("latest"), world.venue.inspect((request,), rpc.block("latest"))) == (
        False,
    )
    rpc.close()


def test_a_price_beyond_the_limit_cancels_and_says_why(world: World) -> None:
    (key,) = ask(world, trade(world, 3 * WAD))
    world.set_price("ETH", 2_100 * WAD)
    world.execute(key)
    (request,) = requests(world)
    assert request.phase is Phase.CANCELLED
    assert request.reason.startswith("OrderNotFulfillableAtAcceptablePrice(")


def test_a_part_is_told_from_the_whole_and_a_bad_price_is_seen(world: World) -> None:
    first, second = ask(world, trade(world, 4 * WAD))[0], ask(world, trade(world, WAD))[0]
    world.order_handler.send(world.keeper, "executePartly", first, world.parameters(), FLOAT // 4)
    world.set_price("ETH", 2_200 * WAD)
    world.order_handler.send(world.keeper, "executeAtAnyPrice", second, world.parameters())
    part, bad = requests(world)
    assert (part.phase, bad.phase) == (Phase.PARTLY, Phase.EXECUTED)
    assert part.filled_wad == WAD
    assert bad.fill_price_wad > 2_200 * WAD > bad.price_wad
    assert 0 < bad.filled_wad < WAD  # dollars were asked for, and buy less


def test_a_frozen_order_waits_and_can_be_taken_back(world: World) -> None:
    (key,) = ask(world, trade(world, WAD))
    world.order_handler.send(world.keeper, "freezeWith", key, b"")
    (request,) = requests(world)
    (stored,) = world.read().requests
    assert request.phase is stored.phase is Phase.FROZEN
    assert request.is_open
    world.node.warp(301)
    world.perform(world.venue.take_back(request))
    assert requests(world)[0].phase is Phase.CANCELLED


def test_an_order_that_waits_for_a_price_is_changed_in_place_and_thawed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MARKET_INCREASE", LIMIT_INCREASE)
    (key,) = ask(world, trade(world, WAD))
    world.order_handler.send(world.keeper, "freezeWith", key, b"")
    (before,) = world.read().orders
    assert before.is_frozen
    revision = Revision(before.size_usd // 2, before.acceptable - 1, before.acceptable - 2, fee_wei=10**12)
    world.perform(world.venue.revise(before, revision))
    (after,) = world.read().orders
    assert (after.size_usd, after.acceptable, after.is_frozen) == (
        before.size_usd // 2,
        before.acceptable - 1,
        False,
    )
    assert after.execution_fee_wei == before.execution_fee_wei + 10**12
    (request,) = requests(world)
    assert request.is_open


def test_a_market_order_is_not_changed(world: World) -> None:
    ask(world, trade(world, WAD))
    (placed,) = world.read().orders
    with pytest.raises(PlanInfeasible, match="market order"):
        world.venue.revise(placed, Revision(placed.size_usd, placed.acceptable, 0))


def test_what_events_tell_is_what_the_store_holds(world: World) -> None:
    ask(world, trade(world, 2 * WAD))
    world.execute(ask(world, trade(world, -WAD))[0])
    ask(world, trade(world, -2 * WAD))
    stored = {request.key: request for request in world.read().requests}
    told = {request.key: request for request in requests(world) if request.is_open}
    assert stored.keys() == told.keys()
    for key, request in stored.items():
        assert replace(told[key], block_number=0, tx_hash=None) == request


def test_others_orders_are_not_ours(world: World) -> None:
    held(world, is_long=True)
    logs = canonical(world.logs())
    assert len(world.venue.requests(world.user, logs, {})) == 1  # of the four traders' none
    assert world.venue.requests(world.keeper, logs, {}) == ()


def test_words_travel_with_an_order_and_come_back() -> None:
    mark, size, price = words_of(-5 * WAD, 3)
    assert int.from_bytes(size, signed=True) == -5 * WAD and int.from_bytes(price) == 3
    assert len(mark) == 32


def test_a_token_that_no_feed_or_service_prices_is_refused(world: World) -> None:
    asset, quote = world.deployment.tokens
    silent = GmxToken(address=quote.address, decimals=6)
    with pytest.raises(PriceImplausible, match="names no price"):
        world.read(venue=reworded(world, tokens=(asset, silent)))


def test_an_order_that_waits_is_part_of_the_way_out(world: World) -> None:
    (key,) = ask(world, trade(world, 2 * WAD))
    rpc = Rpc(world.node.url)
    deployment = Deployment(chain_id=world.node.chain_id(), gmx=world.deployment)
    block = rpc.block("latest")
    snapshot = eye_of(rpc, deployment, block).see(world.user, block)
    rpc.close()
    found = exit_of(snapshot, "gmx", Policy(), lambda action: Order())
    assert found.steps == ()
    (left,) = found.left
    assert f"0x{key.hex()} of 2.000000000000000000 ETH waits" in left
    assert is_exposed(snapshot, "gmx")
