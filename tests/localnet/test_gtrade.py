"""gTrade as a venue, against the stand-in of it: what is read, judged, asked for, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import cast

import pytest

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
from agent.market.request import KeeperOffer, KeeperVenue, Phase, Request, RequestingState, canonical
from agent.risk.liquidation import DIRECTIONS, solve_price
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.contract import Chain
from agent.sim.deploy.gtrade import P_10, PAIR, Gtrade, PairTerms, deploy
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD, mul_down, mul_up
from agent.values.log import Log
from agent.venues.deployments import GtradePair
from agent.venues.gtrade import Gtrade as Venue
from agent.venues.gtrade.price import Told
from agent.venues.gtrade.state import GtradeState
from agent.venues.manifest import Stage
from agent.venues.venue import Settlement
from tests.venue_conformance.benches.gtrade import GENESIS_S
from tests.venue_conformance.sender import send_all

NAME = MarketId(f"gtrade:{PAIR}")
USDC = 10**6


@dataclass(frozen=True)
class Teller:
    """A price service that says what it is told to say."""

    told: dict[int, Told]

    def fetch(self) -> dict[int, Told]:
        return self.told


@dataclass(frozen=True)
class World:
    node: Node
    chain: Chain
    system: Gtrade
    user: Address
    other: Address
    rpc: Rpc

    @property
    def venue(self) -> Venue:
        return Venue.of(self.system.deployment())

    def read(self, venue: Venue | None = None, account: Address | None = None) -> GtradeState:
        block = self.rpc.block("latest")
        return read_one(self.rpc, block, (venue or self.venue).read(account or self.user, block))

    def ask(self, action: Action) -> tuple[int, ...]:
        """The orders that the action left, by number."""
        before = self.system.orders(self.user)
        self.perform(self.venue.write(self.read(), action, self.user, 0))
        return tuple(index for index in self.system.orders(self.user) if index not in before)

    def perform(self, order: Order) -> None:
        send_all(self.chain, self.user, order)

    def logs(self) -> tuple[Log, ...]:
        return canonical(self.rpc.logs(self.venue.events(self.user), 0, self.node.block_number()))

    def pass_blocks(self, count: int) -> None:
        """Each a second long."""
        self.node.request("anvil_mine", hex(count), hex(1))

    def told(self) -> dict[str, Request]:
        """Every request of the user, and what became of it, from the events alone."""
        logs = self.logs()
        times = {log.block_number: self.rpc.block(log.block_hash).timestamp_s for log in logs}
        born = self.venue.requests(self.user, logs, times)
        return {request.key: request for request in self.venue.follow(born, logs)}

    def request(self, index: int) -> Request:
        return self.told()[f"{self.user}:{index}"]


@pytest.fixture(scope="module")
def built(toolchain: Toolchain) -> Iterator[World]:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as node:
        chain = Chain(node)
        owner, keeper, user, other = (
            parse_address(a) for a in cast(list[str], node.request("eth_accounts"))[:4]
        )
        system = deploy(chain, owner, keeper)
        system.open(other, 150_000 * USDC, 5_000, is_long=True)
        system.open(other, 110_000 * USDC, 5_000, is_long=False)
        system.token.send(owner, "mint", user, 1_000_000 * USDC)
        node.warp(3_600)
        rpc = Rpc(node.url, 30.0)
        yield World(node, chain, system, user, other, rpc)
        rpc.close()


@pytest.fixture
def world(built: World) -> Iterator[World]:
    """Rolled back when the test ends."""
    snapshot = built.node.snapshot()
    yield built
    built.node.revert(snapshot)


def trade(state: GtradeState, size_wad: int, slip_wad: int = WAD // 100) -> Trade:
    price = state.offer(NAME).price_wad
    worst = mul_down(price, WAD + slip_wad) if size_wad > 0 else mul_up(price, WAD - slip_wad)
    return Trade("gtrade", NAME, size_wad, worst)


def held(world: World) -> int:
    return sum(position.size_wad for position in world.read().positions)


# --- where trades end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_contract_liquidates_where_the_model_says_and_no_step_nearer(world: World, seed: int) -> None:
    """Both sides, 2 to 120 fold, weeks old, with funding that has turned and borrowing of both kinds."""
    dice, system, flips = Random(seed), world.system, 0
    terms = PairTerms(
        spread=dice.choice((0, 4, 30)) * P_10 // 100,
        old_fee_per_block=dice.choice((0, 150)),
        counter_multiplier=dice.choice((1_000, 500)),
        liquidation=dice.choice((PairTerms().liquidation, (0, 0, 0, 0, 0))),
        funding=(15 * 10**22, 16_000_000, 31_700, 10_000, True, seed != 2),
        borrowing=dice.randrange(0, 30_000),
    )
    system = system.set_terms(terms)
    for _ in range(8):
        leverage = dice.choice((2_000, 4_567, 18_333, 25_000, 60_001, 120_000))
        system.open(world.user, dice.randrange(200, 9_000) * USDC + 7, leverage, is_long=dice.random() < 0.5)
        system.set_price(system.price * dice.randrange(9_970, 10_030) // 10_000)
        world.node.warp(dice.randrange(60, 20_000))
    world.node.mine()
    state, block = world.read(), hex(world.node.block_number())
    assert len(state.margins) == 8
    for margin in state.margins:
        for way in DIRECTIONS:
            flip = solve_price(margin, NAME, way)
            if flip is None:
                continue
            flips += 1
            step = flip.tolerance_wad if way == "down" else -flip.tolerance_wad
            for price, expected in ((flip.price_wad, True), (flip.price_wad + step, False)):
                found = system.diamond.call(
                    "wouldLiquidate", world.user, margin.held.index, price // 10**8, block=block
                )
                assert found == [expected], (margin.key, way)
                assert margin.is_liquidatable({NAME: price}, margin.at_s) is expected
                short = margin.equity_wad({NAME: price}, margin.at_s) < margin.requirement_wad(
                    {}, margin.at_s
                )
                assert short is expected
    assert flips >= 8


def test_what_is_owed_later_is_what_the_contract_says_later(world: World) -> None:
    """The very units of the collateral, a day on, with funding whose sign turns in between."""
    system = world.system
    system.open(world.user, 30_000 * USDC, 10_000, is_long=False)
    world.node.warp(40_000)
    system.open(world.other, 300_000 * USDC, 5_000, is_long=True)
    (first,) = world.read().margins
    world.node.warp(86_400)
    world.node.mine()
    (last,) = world.read().margins
    later = first.holding(first.price, last.at_s)
    assert later == last.holding(last.price, last.at_s)
    assert later.funding != 0 != later.borrowing


def test_an_account_that_the_model_does_not_understand_is_not_read(world: World) -> None:
    """The protocol's own word for where a trade ends is compared with ours at every look."""
    world.system.open(world.user, 10_000 * USDC, 5_000, is_long=True)
    diamond = world.system.diamond
    code = str(world.node.request("eth_getCode", diamond.address, "latest"))
    legacy, other = (
        f"{90 * P_10:x}",
        f"{89 * P_10:x}",
    )  # another threshold where the trade has none of its own
    world.system.set_terms(PairTerms(liquidation=(0, 0, 0, 0, 0)))
    world.system.open(world.user, 10_000 * USDC, 5_000, is_long=True)
    assert legacy in code
    world.node.request("anvil_setCode", diamond.address, code.replace(legacy, other))
    with pytest.raises(DecodeMismatch, match="liquidation price of gtrade:trade:1"):
        world.read()


# --- prices --------------------------------------------------------------------------------------------


def test_prices_are_dated_compared_and_refused(world: World) -> None:
    now_s, price = world.node.now_s(), world.system.price
    record = world.system.deployment().model_copy(update={"prices_url": "https://prices.example"})

    def told(told_price: int, age_s: int = 0) -> Venue:
        return Venue(record, Teller({PAIR: Told(told_price, now_s - age_s, "a teller")}))

    near = price * 1_001 // 1_000
    assert world.read(told(near)).views[0].price == near
    with pytest.raises(PriceStale, match="a teller"):
        world.read(told(price, age_s=record.max_age_s + 30))
    with pytest.raises(PriceStale):
        world.read(told(price, age_s=-10_000))
    with pytest.raises(PriceImplausible, match=r"2\.00%"):
        world.read(told(price * 103 // 100))
    with pytest.raises(PriceImplausible, match="it says 0"):
        world.read(told(0))
    with pytest.raises(PriceImplausible, match="names no price"):
        world.read(Venue(record, Teller({})))
    old = world.system.deployment().model_copy(update={"max_feed_age_s": 60})
    world.node.warp(120)
    with pytest.raises(PriceStale, match="feed"):
        world.read(Venue.of(old))


def test_trades_that_nobody_would_look_at_are_refused(world: World) -> None:
    world.system.open(world.user, 10_000 * USDC, 5_000, is_long=True)
    other = world.system.deployment().model_copy(update={"pairs": (GtradePair(index=7, asset="BTC"),)})
    teller = Teller({7: Told(60_000 * P_10, world.node.now_s(), "a teller")})
    with pytest.raises(ContractMismatch, match="pair 1"):
        world.read(Venue(other, teller))


# --- orders --------------------------------------------------------------------------------------------


def test_it_is_a_venue_of_keepers(world: World) -> None:
    state = world.read()
    assert isinstance(world.venue, KeeperVenue)
    assert isinstance(state, RequestingState)
    assert isinstance(state.offers[0], KeeperOffer)
    assert world.venue.settlement is Settlement.KEEPER
    assert state.offers[0].wait_s == 200


@pytest.mark.parametrize("size_wad", [12 * WAD, -9 * WAD])
def test_a_first_trade_is_opened_near_what_was_asked_and_no_worse(world: World, size_wad: int) -> None:
    state = world.read()
    action = trade(state, size_wad)
    (index,) = world.ask(action)
    (waiting,) = world.read().requests
    born = world.request(index)
    assert (waiting.key, waiting.size_wad, waiting.price_wad) == (born.key, born.size_wad, born.price_wad)
    assert abs(waiting.size_wad - size_wad) < abs(size_wad) // 10**6
    world.system.fulfill(world.user, index)
    done, sign = world.request(index), 1 if size_wad > 0 else -1
    assert done.phase is Phase.EXECUTED
    assert sign * done.fill_price_wad <= sign * done.price_wad <= sign * action.limit_price_wad
    assert held(world) == done.filled_wad
    assert abs(done.filled_wad - size_wad) < abs(size_wad) // 500
    (margin,) = world.read().margins
    assert margin.held.leverage == 4_000
    assert margin.held.realized < 0


def test_a_trade_that_turns_closes_all_and_opens_the_rest(world: World) -> None:
    world.system.open(world.user, 5_000 * USDC, 4_000, is_long=True)
    before = held(world)
    close, opening = world.ask(trade(world.read(), -before - 4 * WAD))
    assert world.read().requests[0].size_wad == -before
    for index in (close, opening):
        world.system.fulfill(world.user, index)
    (done, other) = (world.request(index) for index in (close, opening))
    assert (done.phase, done.filled_wad) == (Phase.EXECUTED, -before)
    assert other.phase is Phase.EXECUTED
    assert held(world) == other.filled_wad < 0


def test_a_change_of_price_beyond_the_limit_is_refused_by_the_protocol(world: World) -> None:
    (index,) = world.ask(trade(world.read(), 5 * WAD, WAD // 200))
    world.system.fulfill(world.user, index, world.system.price * 1_006 // 1_000)
    refused = world.request(index)
    assert (refused.phase, refused.reason, refused.filled_wad) == (Phase.CANCELLED, "slippage", 0)
    world.system.open(world.user, 10_000 * USDC, 4_000, is_long=True)
    before = held(world)
    for size_wad in (-3 * WAD, -before, 2 * WAD):
        (index,) = world.ask(trade(world.read(), size_wad, WAD // 200))
        worse = 1_007 if size_wad > 0 else 993
        world.system.fulfill(world.user, index, world.system.price * worse // 1_000)
        assert world.request(index).reason == "slippage", size_wad
        assert held(world) == before


def test_a_late_fill_at_a_bad_price_within_the_limit_is_a_fill(world: World) -> None:
    (index,) = world.ask(trade(world.read(), 5 * WAD, WAD // 50))
    world.pass_blocks(150)
    world.system.fulfill(world.user, index, world.system.price * 1_015 // 1_000)
    done = world.request(index)
    assert done.phase is Phase.EXECUTED
    assert done.fill_price_wad > mul_down(world.system.price * 10**8, WAD * 1_014 // 1_000)


def test_a_part_of_what_opens_is_told_as_a_part(world: World) -> None:
    (index,) = world.ask(trade(world.read(), 10 * WAD))
    (order,) = world.read().orders
    system = world.system
    system.diamond.send(
        system.keeper, "fulfillPart", world.user, index, system.price, order.collateral * 3 // 10
    )
    done = world.request(index)
    assert done.phase is Phase.PARTLY
    assert done.filled_wad == held(world)
    assert 29 * WAD // 10 < done.filled_wad < 31 * WAD // 10


def test_nobody_acts_and_it_is_taken_back_with_its_collateral(world: World) -> None:
    balance = world.read().balance
    (index,) = world.ask(trade(world.read(), 10 * WAD))
    (waiting,) = world.read().requests
    assert world.read().balance < balance
    with pytest.raises(TransactionReverted, match="WaitTimeout"):
        world.perform(world.venue.take_back(waiting))
    world.pass_blocks(200)
    state = world.read()
    (expired,) = (one.at(state.at_s) for one in state.requests)
    assert expired.phase is Phase.EXPIRED
    world.perform(world.venue.take_back(expired))
    assert world.read().balance == balance
    assert world.request(index).phase is Phase.CANCELLED
    block = world.rpc.block("latest")
    assert read_one(world.rpc, block, world.venue.inspect((expired,), block)) == (False,)
    with pytest.raises(TransactionReverted, match="NoOrder"):
        world.perform(world.venue.take_back(expired))


@pytest.mark.parametrize("part", [4, -5])
def test_collateral_goes_in_and_out_by_whole_steps_of_leverage(world: World, part: int) -> None:
    world.system.open(world.user, 20_000 * USDC, 4_000, is_long=True)
    state = world.read()
    (margin,) = state.margins
    amount_wad = margin.collateral_wad // abs(part) + 3 * WAD
    kind = AddCollateral if part > 0 else RemoveCollateral
    (index,) = world.ask(kind("gtrade", margin.key, amount_wad))
    (waiting,) = world.read().requests
    assert (waiting.size_wad, waiting.collateral_wad > 0) == (0, part > 0)
    world.system.fulfill(world.user, index)
    assert world.request(index).phase is Phase.EXECUTED
    after = world.read()
    (last,) = after.margins
    moved = last.collateral_wad - margin.collateral_wad
    assert moved == waiting.collateral_wad
    step = margin.collateral_wad // 2_000
    wanted = amount_wad if part > 0 else -amount_wad
    assert 0 <= moved - wanted <= step  # a little more stays than was meant, never less
    assert after.balance - state.balance == -moved // 10**12
    foretold = margin.funded(moved)
    assert foretold.held.leverage == last.held.leverage
    equity, actual = (one.equity_wad(last.prices, last.at_s) for one in (foretold, last))
    assert abs(equity - actual) <= 5 * 10**12


def test_all_that_is_free_can_be_taken_and_no_more(world: World) -> None:
    world.system.open(world.user, 20_000 * USDC, 4_000, is_long=True)
    (margin,) = world.read().margins
    free_wad = margin.removable_wad
    assert margin.collateral_wad // 2 < free_wad < margin.collateral_wad
    with pytest.raises(PlanInfeasible, match="are free"):
        world.ask(RemoveCollateral("gtrade", margin.key, free_wad + 10**12))
    (index,) = world.ask(RemoveCollateral("gtrade", margin.key, free_wad))
    world.system.fulfill(world.user, index)
    assert world.request(index).phase is Phase.EXECUTED


def test_a_reduction_pays_out_its_share_and_leaves_the_rest_as_it_was(world: World) -> None:
    world.system.open(world.user, 20_000 * USDC, 4_000, is_long=False)
    state = world.read()
    (margin,) = state.margins
    size_wad = abs(margin.size_wad(NAME)) // 3
    cost_wad = mul_up(size_wad, state.offer(NAME).price_wad * 102 // 100)
    (index,) = world.ask(Reduce("gtrade", margin.key, size_wad, cost_wad))
    world.system.fulfill(world.user, index)
    done, after = world.request(index), world.read()
    (last,) = after.margins
    assert done.phase is Phase.EXECUTED
    assert abs(last.size_wad(NAME) - margin.size_wad(NAME) - size_wad) < WAD // 10**6
    assert abs(done.filled_wad - size_wad) < WAD // 10**6
    assert last.held.leverage == margin.held.leverage
    assert after.balance > state.balance
    foretold = margin.cut(NAME, size_wad)
    assert (
        abs(foretold.equity_wad(last.prices, last.at_s) - last.equity_wad(last.prices, last.at_s))
        < WAD // 10**3
    )


def test_one_order_at_a_time_waits_for_a_trade(world: World) -> None:
    world.system.open(world.user, 20_000 * USDC, 4_000, is_long=True)
    world.ask(trade(world.read(), WAD))
    with pytest.raises(PlanInfeasible, match="one at a time"):
        world.ask(trade(world.read(), -WAD))


def test_an_order_for_a_trade_that_was_liquidated_meanwhile_comes_to_nothing(world: World) -> None:
    system = world.system
    system.open(world.user, 5_000 * USDC, 50_000, is_long=True)
    (index,) = world.ask(trade(world.read(), -held(world)))
    (margin,) = world.read().margins
    end = margin.liquidation_price(margin.price, margin.at_s)
    with pytest.raises(TransactionReverted, match="NoTrade"):
        system.diamond.send(system.keeper, "liquidate", world.user, margin.held.index, end + P_10)
    system.diamond.send(system.keeper, "liquidate", world.user, margin.held.index, end - P_10)
    assert world.read().margins == ()
    system.fulfill(world.user, index)
    assert (world.request(index).phase, world.request(index).reason) == (Phase.CANCELLED, "no trade")


def test_a_reorganisation_tells_the_same_story_again(world: World) -> None:
    """Requests are functions of canonical events: without the fill's block the order is open again."""
    (index,) = world.ask(trade(world.read(), 5 * WAD))
    snapshot = world.node.snapshot()
    world.system.fulfill(world.user, index)
    filled = world.request(index)
    world.node.revert(snapshot)
    assert world.request(index).phase is Phase.REQUESTED
    assert replace(filled, phase=Phase.REQUESTED, filled_wad=0, fill_price_wad=0) == world.request(index)


# --- what cannot be asked for ----------------------------------------------------------------------------


def test_what_cannot_be_is_refused_before_it_is_sent(world: World) -> None:
    state, price = world.read(), world.read().offer(NAME).price_wad
    for action, kind, words in (
        (Trade("gtrade", NAME, 0, price), PlanInfeasible, "nothing"),
        (Trade("gtrade", NAME, WAD, price), PlanInfeasible, "a fill is expected at"),
        (Trade("gtrade", NAME, WAD // 150, 2 * price), PlanInfeasible, "opens nothing with less"),
        (Trade("gtrade", NAME, 5_000 * WAD, 2 * price), PlanInfeasible, "more than there is"),
        (Trade("gtrade", MarketId("gtrade:9"), WAD, price), VenueUnknown, "gtrade:9"),
        (Reduce("gtrade", "gtrade:trade:9", WAD, price), VenueUnknown, "gtrade:trade:9"),
    ):
        with pytest.raises(kind, match=words):
            world.venue.write(state, action, world.user, 0)


def test_a_venue_that_is_closing_or_paused_says_so(world: World) -> None:
    system = world.system
    for activated, stage, offers in ((0, Stage.OPEN, 1), (1, Stage.CLOSE_ONLY, 1), (2, Stage.CLOSE_ONLY, 0)):
        system.diamond.send(system.owner, "setActivated", activated)
        state = world.read()
        assert (state.stage, len(state.offers)) == (stage, offers)
    with pytest.raises(PlanInfeasible, match="paused"):
        world.venue.write(state, Trade("gtrade", NAME, WAD, 1), world.user, 0)
