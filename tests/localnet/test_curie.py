"""The Curie venue against Perpetual Protocol's own contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ContractMismatch, PlanInfeasible, ReadReverted, TransactionReverted, VenueUnknown
from agent.market.instrument import Perpetual
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.risk.liquidation import solve_price
from agent.runtime.prove import prove
from agent.sim.depth import open_perpetual
from agent.sim.localnet import Localnet
from agent.values.address import Address
from agent.values.check import Check
from agent.values.fixed import WAD, decimal
from agent.venues.curie import Curie
from agent.venues.curie.offer import CurieOffer
from agent.venues.curie.state import CurieState
from agent.venues.venue import Venue

ON_CHAIN = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRADERS = [f"curie_trader_{n}" for n in range(1, 7)]
ORACLE_STEP_WAD = 10**10  # the feed's 8 decimals


def venue_of(net: Localnet) -> Curie:
    deployment = net.deployment().curie
    assert deployment is not None
    return Curie(deployment)


def read(net: Localnet, account: str) -> CurieState:
    rpc = Rpc(net.url)
    block = rpc.block("latest")
    return read_one(rpc, block, venue_of(net).read(Address(account), block))


def offer_of(net: Localnet, account: str) -> CurieOffer:
    (offer,) = read(net, account).offers
    return offer


def order_tuple(net: Localnet, size_wad: int, bound_wad: int = 0) -> tuple[object, ...]:
    is_sale = size_wad < 0
    return (net.curie.base.address, is_sale, is_sale, abs(size_wad), bound_wad, 2**64, 0, bytes(32))


def do(net: Localnet, account: str, action: Action) -> Order:
    """Write the action and send its calls as the account would."""
    state = read(net, account)
    order = venue_of(net).write(state, action, Address(account), state.at_s + 600)
    for call in order.calls:
        net.chain.send(account, call.target, call.data, call.label)
    return order


def broken(net: Localnet, checks: Sequence[Check]) -> list[str]:
    rpc = Rpc(net.url)
    block = rpc.block("latest")
    proofs = read_one(rpc, block, prove(checks, block, 0))
    return [f"{p.name}: {p.value} not in [{p.lower}, {p.upper}]" for p in proofs if not p.kept]


def liquidation_refused(net: Localnet, account: str) -> str:
    """Why the liquidator cannot liquidate now; "" if it can."""
    try:
        net.curie.clearing_house.call(
            "liquidate", account, net.curie.base.address, 0, sender=net.roles["liquidator"]
        )
    except ReadReverted as error:
        return str(error.fields["reason"])
    return ""


def assert_equals_views(net: Localnet, account: str) -> CurieState:
    """Equity, requirement and free collateral as the contracts state them, at one block."""
    state, curie = read(net, account), net.curie
    margin, prices = state.margin, state.margin.prices
    assert margin.equity_wad(prices, state.at_s) == curie.clearing_house.integer("getAccountValue", account)
    requirement = curie.account_balance.integer("getMarginRequirementForLiquidation", account)
    assert margin.requirement_wad(prices, state.at_s) == requirement
    assert margin.removable_wad == curie.vault.integer(
        "getFreeCollateralByToken", account, state.settlement_token.address
    )
    return state


# --- reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*TRADERS, "curie_maker", "book", "liquidator"])
def test_equity_and_requirement_equal_the_views_to_the_unit(localnet: Localnet, role: str) -> None:
    assert_equals_views(localnet, localnet.roles[role])


def test_they_still_do_after_the_market_has_moved_and_time_has_passed(chain: Localnet) -> None:
    trader = chain.roles["curie_trader_2"]
    chain.set_spot(1_871 * WAD + 123_456_780_000_000_000)
    open_perpetual(chain.curie, chain.roles["curie_maker"], -333 * WAD - 7)
    for seconds in (1, 14, 900, 40_000):
        chain.node.warp(seconds)
        state = assert_equals_views(chain, trader)
        assert state.margin.legs[0].funding_wad != 0
    open_perpetual(chain.curie, trader, -3 * WAD - 1)
    state = assert_equals_views(chain, trader)
    assert state.funds.owed_wad != 0


def test_positions_and_quotes_say_what_the_contracts_say(chain: Localnet) -> None:
    account = chain.roles["curie_trader_4"]
    state, curie = read(chain, account), chain.curie
    (position,), (quote,) = state.positions, state.quotes
    assert position.instrument == Perpetual(quote.market, "ETH")
    assert position.size_wad == -10 * WAD
    assert position.greeks.delta == -10.0
    _, pnl, _ = curie.account_balance.call("getPnlAndPendingFee", account)
    assert position.value_wad == pnl
    assert quote.market == position.key == f"curie:{curie.base.address}"
    assert quote.mark_wad == curie.account_balance.integer("getMarkPrice", curie.base.address)
    assert quote.index_wad == curie.base.integer("getIndexPrice", 0)


def test_an_account_that_never_was_there_reads_as_empty(localnet: Localnet) -> None:
    state = read(localnet, "0x00000000000000000000000000000000000000Aa")
    assert state.positions == ()
    assert (state.margin.collateral_wad, state.margin.removable_wad) == (0, 0)
    assert not state.margin.is_liquidatable(state.margin.prices, state.at_s)


def test_funding_is_projected_as_it_accrues(chain: Localnet) -> None:
    open_perpetual(chain.curie, chain.roles["curie_maker"], 250 * WAD)  # a premium over the index
    chain.node.warp(2_000)  # both averages have settled
    for role in ("curie_trader_2", "curie_trader_5"):
        before = read(chain, chain.roles[role])
        (leg,) = before.margin.legs
        snapshot = chain.node.snapshot()
        chain.node.warp(3_600)
        after = assert_equals_views(chain, chain.roles[role])
        grown = after.margin.legs[0].funding_wad - leg.funding_wad
        assert (grown > 0) == (leg.size_wad > 0)  # the market stands above the index: longs pay
        assert 0 <= leg.funding_at(3_600) - after.margin.legs[0].funding_wad <= 2
        projected = before.margin.equity_wad(after.margin.prices, after.at_s)
        assert 0 <= after.margin.equity_wad(after.margin.prices, after.at_s) - projected <= 2
        quote = before.quotes[0]
        per_day = decimal(quote.funding_per_day_wad) * decimal(quote.mark_wad)
        assert float(decimal(grown) * 24) == pytest.approx(float(per_day * decimal(leg.size_wad)), rel=1e-9)
        assert before.offers[0].carry_per_day == pytest.approx(float(per_day), rel=1e-9)
        chain.node.revert(snapshot)


def test_funding_is_clamped_as_the_contract_clamps_it(chain: Localnet) -> None:
    curie, owner, base = chain.curie, chain.roles["owner"], chain.curie.base.address
    curie.config.send(owner, "setMaxFundingRate", 1_000)  # 0.1 %
    open_perpetual(curie, chain.roles["curie_maker"], 250 * WAD)
    chain.node.warp(2_000)
    before = read(chain, chain.roles["curie_trader_2"])
    assert before.quotes[0].funding_per_day_wad == pytest.approx(WAD // 1000, rel=0.05)
    chain.node.warp(3_600)
    pending = curie.exchange.integer("getPendingFundingPayment", chain.roles["curie_trader_2"], base)
    assert 0 <= before.margin.legs[0].funding_at(3_600) - pending <= 2


# --- liquidation -------------------------------------------------------------------------------------


def push_pool(net: Localnet, target: float) -> None:
    """Move the pool's price to ``target`` times the index, in the steps the exchange allows."""
    curie, owner, maker = net.curie, net.roles["owner"], net.roles["curie_maker"]
    curie.market_registry.send(owner, "setMarketMaxPriceSpreadRatio", curie.base.address, 900_000)
    for _ in range(40):
        offer = offer_of(net, maker)
        ratio = offer.price_wad / offer.index_wad
        if abs(ratio / target - 1) < 0.005:
            return
        size = offer.max_buy_wad if ratio < target else -offer.max_sell_wad
        share = min(1.0, abs(target / ratio - 1) / 0.08)
        open_perpetual(curie, maker, int(size * share))
        net.node.warp(20)
    raise AssertionError("the pool does not move")


def at_oracle(net: Localnet, price_wad: int, account: str) -> tuple[CurieState, str]:
    """The account, and what ``liquidate`` answers, at a block 16 s on with that oracle; then rolled back."""
    snapshot = net.node.snapshot()
    now_s = net.node.now_s()
    net.node.set_next_timestamp(now_s + 15)
    net.aggregator.send(net.roles["owner"], "setAnswer", price_wad // ORACLE_STEP_WAD)
    net.node.set_next_timestamp(now_s + 16)
    net.node.mine()
    seen = assert_equals_views(net, account), liquidation_refused(net, account)
    net.node.revert(snapshot)
    return seen


@pytest.mark.parametrize(
    ("role", "push", "direction"), [("curie_trader_1", 0.80, "down"), ("curie_trader_4", 1.20, "up")]
)
def test_the_flip_is_where_the_contract_liquidates(
    chain: Localnet, role: str, push: float, direction: str
) -> None:
    account = chain.roles[role]
    spot = chain.spot_wad()
    push_pool(chain, push)  # now index plus premium is the median, so the mark follows the oracle
    if direction == "down":
        healthy, liquidatable = spot * 115 // 100, spot * 90 // 100
    else:
        healthy, liquidatable = spot * 85 // 100, spot * 110 // 100
    for price, wanted in ((healthy, "CH_EAV"), (liquidatable, "")):
        assert at_oracle(chain, price, account)[1] == wanted
    while abs(healthy - liquidatable) > ORACLE_STEP_WAD:
        middle = (healthy + liquidatable) // 2 // ORACLE_STEP_WAD * ORACLE_STEP_WAD
        if middle in (healthy, liquidatable):
            break
        state, refused = at_oracle(chain, middle, account)
        assert state.margin.is_liquidatable(state.margin.prices, state.at_s) == (refused == "")
        if refused == "":
            liquidatable = middle
        else:
            assert refused == "CH_EAV"
            healthy = middle
    safe, _ = at_oracle(chain, healthy, account)
    doomed, _ = at_oracle(chain, liquidatable, account)
    flip = solve_price(safe.margin, safe.quotes[0].market, "down" if direction == "down" else "up")
    assert flip is not None
    marks = sorted((safe.quotes[0].mark_wad, doomed.quotes[0].mark_wad))
    assert marks[1] - marks[0] == ORACLE_STEP_WAD  # the oracle's smallest step, one to one
    assert marks[0] <= flip.price_wad <= marks[1]
    assert flip.tolerance_wad == 1


def test_the_flip_has_its_closed_form(localnet: Localnet) -> None:
    for role in TRADERS:
        margin = read(localnet, localnet.roles[role]).margin
        (leg,) = margin.legs
        cash = margin.balance_wad + margin.owed_wad - leg.funding_wad + leg.open_notional_wad
        sign = 1 if leg.size_wad > 0 else -1
        closed = -cash / (leg.size_wad / WAD * (1 - sign * 0.0625)) / WAD
        flip = solve_price(margin, leg.market, "down" if sign > 0 else "up")
        if closed <= 0:
            assert flip is None
            continue
        assert flip is not None
        assert flip.price_wad / WAD == pytest.approx(closed, rel=1e-12)


# --- trading -----------------------------------------------------------------------------------------


def simulated(net: Localnet, account: str, size_wad: int) -> int:
    """Quote that the exchange itself would take or give for the size."""
    _, quote = net.curie.clearing_house.call("openPosition", order_tuple(net, size_wad), sender=account)
    return cast(int, quote) if size_wad > 0 else -cast(int, quote)


@given(size=st.integers(10**6, 240 * WAD), is_sale=st.booleans())
@ON_CHAIN
def test_a_quote_is_what_the_exchange_takes(localnet: Localnet, size: int, is_sale: bool) -> None:
    maker = localnet.roles["curie_maker"]
    signed = -size if is_sale else size
    assert offer_of(localnet, maker).quote_wad(signed) == simulated(localnet, maker, signed)


def test_a_quote_crosses_ticks_as_the_pool_does(chain: Localnet) -> None:
    curie, maker = chain.curie, chain.roles["curie_maker"]
    price = offer_of(chain, maker).pool.tick
    for step, (below, above) in enumerate(((60, 120), (180, 300), (-240, -120), (-60, 0)), start=1):
        centre = price // 60 * 60
        curie.clearing_house.send(
            maker,
            "addLiquidity",
            (
                curie.base.address,
                step * 500 * WAD,
                step * 10**6 * WAD,
                centre + below,
                centre + above,
                0,
                0,
                False,
                2**64,
            ),
        )
    offer = offer_of(chain, maker)
    assert len(offer.pool.ticks) >= 8
    for size in (1, 50, 400, 1_000, 2_000):
        for signed in (size * WAD + 13, -size * WAD - 13):
            if -offer.max_sell_wad <= signed <= offer.max_buy_wad:
                assert offer.quote_wad(signed) == simulated(chain, maker, signed)
    assert offer.max_buy_wad > 1_000 * WAD


def test_cost_is_never_negative_and_grows_with_size(localnet: Localnet) -> None:
    offer = offer_of(localnet, localnet.roles["curie_maker"])
    for sign in (1, -1):
        costs = [offer.cost_wad(sign * size) for size in (0, 1, 10**9, WAD, 2 * WAD, 50 * WAD, 10**6 * WAD)]
        assert costs[0] == 0
        assert costs == sorted(costs)
        units = [
            cost / size
            for cost, size in zip(costs[2:], (10**9, WAD, 2 * WAD, 50 * WAD, 10**6 * WAD), strict=True)
        ]
        assert units == sorted(units)  # convex: what allocation relies on
        assert costs[3] * 1000 >= offer.price_wad * 999 // 1000  # the market's fee of 0.1 %


def test_the_largest_sizes_go_through_and_much_larger_ones_do_not(chain: Localnet) -> None:
    maker = chain.roles["curie_maker"]
    offer = offer_of(chain, maker)
    for size in (offer.max_buy_wad, -offer.max_sell_wad):
        assert abs(size) > 100 * WAD
        assert simulated(chain, maker, size) == offer.quote_wad(size)
        with pytest.raises(ReadReverted, match="EX_OP"):
            simulated(chain, maker, size * 3 // 2)


def test_the_band_stops_a_trade_where_the_pool_has_left_the_index(chain: Localnet) -> None:
    maker = chain.roles["curie_maker"]
    open_perpetual(chain.curie, maker, offer_of(chain, maker).max_buy_wad)
    chain.node.warp(30)
    offer = offer_of(chain, maker)
    assert offer.max_buy_wad < WAD  # already three quarters of the band above
    assert simulated(chain, maker, -offer.max_sell_wad) == offer.quote_wad(-offer.max_sell_wad)
    chain.set_spot(chain.spot_wad() * 90 // 100)
    assert offer_of(chain, maker).max_buy_wad == 0


def test_a_paused_market_has_no_offer(chain: Localnet) -> None:
    curie, owner = chain.curie, chain.roles["owner"]
    curie.exchange.send(owner, "setMaxTickCrossedWithinBlock", curie.base.address, 0)
    state = read(chain, chain.roles["curie_trader_1"])
    assert state.offers == ()
    trade = Trade("curie", state.quotes[0].market, WAD, 10**22)
    with pytest.raises(PlanInfeasible):
        venue_of(chain).write(state, trade, Address(chain.roles["curie_trader_1"]), state.at_s + 60)


def test_a_market_that_is_not_open_is_judged_at_its_last_index(chain: Localnet) -> None:
    curie, trader = chain.curie, chain.roles["curie_trader_2"]
    curie.base.send(chain.roles["owner"], "pause")
    state = assert_equals_views(chain, trader)
    assert state.offers == ()
    assert state.quotes[0].mark_wad == curie.base.integer("getPausedIndexPrice")
    chain.node.warp(86_400)
    again = assert_equals_views(chain, trader)
    assert again.margin.equity_wad(again.margin.prices, again.at_s) == state.margin.equity_wad(
        state.margin.prices, again.at_s
    )
    curie.base.send(chain.roles["owner"], "close", 1_990 * WAD)
    assert assert_equals_views(chain, trader).quotes[0].mark_wad == 1_990 * WAD


# --- writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_wad", [2 * WAD + 1, -3 * WAD - 7, -25 * WAD, 20 * WAD], ids=decimal)
def test_a_trade_is_exact_and_the_margin_after_is_foretold(chain: Localnet, size_wad: int) -> None:
    account = chain.roles["curie_trader_3"]
    chain.node.warp(2_000)  # every average is settled, so that nothing but the trade changes
    before = read(chain, account)
    offer, market = before.offers[0], before.quotes[0].market
    limit = (offer.quote_wad(size_wad) * WAD) // size_wad + (1 if size_wad > 0 else -1)
    order = do(chain, account, Trade("curie", market, size_wad, limit))
    after = assert_equals_views(chain, account)
    assert broken(chain, order.post) == []
    assert sum(p.size_wad for p in after.positions) == before.positions[0].size_wad + size_wad
    foretold = before.margin.traded(market, size_wad, limit)
    now = after.margin
    (leg,) = before.margin.legs
    accrued = leg.funding_at(after.at_s - before.at_s) - leg.funding_wad  # on the old size, until it landed
    expected = foretold.equity_wad(now.prices, before.at_s) - accrued
    assert 0 <= now.equity_wad(now.prices, after.at_s) - expected <= 2 * abs(size_wad) // WAD + 10
    assert now.requirement_wad(now.prices, 0) == foretold.requirement_wad(now.prices, 0)
    assert foretold.removable_wad <= now.removable_wad


@pytest.mark.parametrize("size_wad", [2 * WAD, -2 * WAD], ids=decimal)
def test_the_limit_price_holds_to_the_unit(chain: Localnet, size_wad: int) -> None:
    account = chain.roles["curie_trader_3"]
    state = read(chain, account)
    quote = state.offers[0].quote_wad(size_wad)
    worst = -(-quote * WAD // size_wad) if size_wad > 0 else quote * WAD // size_wad
    for limit, refusal in ((worst, None), (worst - 1 if size_wad > 0 else worst + 1, r"CH_T(MRL|LRS)")):
        snapshot = chain.node.snapshot()
        trade = Trade("curie", state.quotes[0].market, size_wad, limit)
        if refusal is None:
            do(chain, account, trade)
        else:
            with pytest.raises(TransactionReverted, match=refusal):
                do(chain, account, trade)
        chain.node.revert(snapshot)


def test_a_limit_of_nothing_is_a_bound_and_not_none(chain: Localnet) -> None:
    account = chain.roles["curie_trader_3"]
    market = read(chain, account).quotes[0].market
    with pytest.raises(TransactionReverted, match="CH_TMRL"):
        do(chain, account, Trade("curie", market, WAD, 0))


def test_a_trade_is_refused_after_its_deadline(chain: Localnet) -> None:
    account = chain.roles["curie_trader_3"]
    state = read(chain, account)
    trade = Trade("curie", state.quotes[0].market, WAD, 10**22)
    order = venue_of(chain).write(state, trade, Address(account), state.at_s + 5)
    chain.node.warp(6)
    with pytest.raises(TransactionReverted, match="CH_TE"):
        chain.chain.send(account, order.calls[0].target, order.calls[0].data, "late")


@pytest.mark.parametrize("role", ["curie_trader_3", "curie_trader_6"])
@pytest.mark.parametrize("part", [0.25, 1.0, 5.0])
def test_a_position_is_reduced_and_never_turned(chain: Localnet, role: str, part: float) -> None:
    account = chain.roles[role]
    (position,) = read(chain, account).positions
    size = int(abs(position.size_wad) * part)
    most = size * position.mark_wad // WAD * 102 // 100
    order = do(chain, account, Reduce("curie", position.key, size, most))
    assert broken(chain, order.post) == []
    left = sum(p.size_wad for p in assert_equals_views(chain, account).positions)
    assert left == (position.size_wad * 3 // 4 if part < 1 else 0)
    if part >= 1:
        with pytest.raises(PlanInfeasible):
            do(chain, account, Reduce("curie", position.key, WAD, 10**22))


def test_a_reduction_that_costs_too_much_is_refused(chain: Localnet) -> None:
    for role, refusal in (("curie_trader_6", "CH_TMRL"), ("curie_trader_3", "CH_TLRS")):
        (position,) = read(chain, chain.roles[role]).positions
        worth = WAD * position.mark_wad // WAD
        with pytest.raises(TransactionReverted, match=refusal):
            do(chain, chain.roles[role], Reduce("curie", position.key, WAD, worth * 1000 // 1001))


def test_collateral_goes_in_and_comes_out(chain: Localnet) -> None:
    account = chain.book.account
    chain.node.warp(2_000)  # every average is settled, so that nothing but the payment changes
    before = read(chain, account)
    order = do(chain, account, AddCollateral("curie", "curie:margin", 1_234 * WAD + 5))
    middle = assert_equals_views(chain, account)
    assert broken(chain, order.post) == []
    assert middle.margin.collateral_wad - before.margin.collateral_wad == 1_234 * WAD + 5
    prices, at_s = middle.margin.prices, middle.at_s
    assert prices == before.margin.prices
    gained = middle.margin.equity_wad(prices, at_s) - before.margin.equity_wad(prices, at_s)
    assert gained == pytest.approx(1_234 * WAD + 5, abs=2)
    order = do(chain, account, RemoveCollateral("curie", "curie:margin", 1_000 * WAD))
    assert_equals_views(chain, account)
    assert broken(chain, order.post) == []


def test_all_that_is_removable_can_be_removed_and_not_more(chain: Localnet) -> None:
    account = chain.roles["curie_trader_6"]
    chain.node.warp(2_000)  # every average is settled
    state = read(chain, account)
    with pytest.raises(PlanInfeasible, match="are free"):
        do(chain, account, RemoveCollateral("curie", "curie:margin", state.margin.removable_wad + 1))
    slack = WAD // 100  # funding and averages move until it lands
    order = do(chain, account, RemoveCollateral("curie", "curie:margin", state.margin.removable_wad - slack))
    assert broken(chain, order.post) == []
    assert read(chain, account).margin.removable_wad <= 2 * slack


def test_the_postconditions_notice_what_went_wrong(chain: Localnet) -> None:
    account = chain.roles["curie_trader_3"]
    state = read(chain, account)
    market = state.quotes[0].market
    trade = venue_of(chain).write(state, Trade("curie", market, WAD, 10**22), Address(account), 2**63)
    pay_in = venue_of(chain).write(
        state, AddCollateral("curie", "curie:margin", WAD), Address(account), 2**63
    )
    (size,), (balance,) = broken(chain, trade.post), broken(chain, pay_in.post)
    assert " size: " in size
    assert " balance: " in balance


def test_what_curie_does_not_have_is_refused(localnet: Localnet) -> None:
    account = Address(localnet.book.account)
    state, venue = read(localnet, account), venue_of(localnet)
    for action in (
        Trade("curie", state.quotes[0].market.__class__("curie:0x00"), WAD, WAD),
        Reduce("curie", "curie:0x00", WAD, WAD),
        AddCollateral("curie", "lyra:1", WAD),
        RemoveCollateral("curie", "lyra:1", WAD),
    ):
        with pytest.raises(VenueUnknown):
            venue.write(state, action, account, 0)


# --- identity ----------------------------------------------------------------------------------------


def identify(net: Localnet, venue: Curie) -> object:
    rpc = Rpc(net.url)
    return read_one(rpc, rpc.block("latest"), venue.identify())


def test_the_deployment_is_recognised(localnet: Localnet) -> None:
    venue: Venue[CurieState] = venue_of(localnet)
    (token,) = cast(tuple[object, ...], identify(localnet, venue_of(localnet)))
    assert token == read(localnet, localnet.book.account).settlement_token
    assert venue.name == "curie"


FIELDS = (
    "clearing_house", "account_balance", "vault", "exchange", "config", "market_registry", "order_book",
    "settlement_token", "markets",
)  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", ["nobody", "a token", "another of its contracts"])
def test_a_contract_that_is_not_the_protocols_is_refused(localnet: Localnet, field: str, kind: str) -> None:
    deployment = venue_of(localnet).deployment
    wrong = {
        "nobody": "0x00000000000000000000000000000000000000AA",
        "a token": localnet.lyra.base.address,
        "another of its contracts": localnet.curie.quote.address
        if field in {"settlement_token", "markets"}
        else localnet.curie.insurance_fund.address,
    }[kind]
    value: object = (
        (deployment.markets[0].model_copy(update={"address": wrong}),) if field == "markets" else wrong
    )
    with pytest.raises(ContractMismatch):
        identify(localnet, Curie(deployment.model_copy(update={field: value})))


def test_a_position_in_an_unknown_market_stops_everything(localnet: Localnet) -> None:
    deployment = venue_of(localnet).deployment.model_copy(update={"markets": ()})
    rpc = Rpc(localnet.url)
    block = rpc.block("latest")
    account = Address(localnet.roles["curie_trader_1"])
    with pytest.raises(ContractMismatch, match="the account trades in it"):
        read_one(rpc, block, Curie(deployment).read(account, block))
