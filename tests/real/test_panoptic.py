"""Panoptic's venue on the real contracts: needs ``PANOPTIC_ARTIFACTS``, a directory of compiled artifacts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import cast

import pytest
from eth_utils.crypto import keccak

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ContractMismatch, HistoryIncomplete, TransactionReverted
from agent.market.instrument import Spot
from agent.market.intent import AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.snapshot import VenueState
from agent.runtime.prove import prove
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.fixed import WAD, mul_down
from agent.venues.panoptic import Panoptic
from agent.venues.panoptic.hedge import after
from agent.venues.panoptic.reader import HASH_SLOT
from agent.venues.panoptic.state import PanopticState
from agent.venues.panoptic.token_id import Leg, TokenId, pool_of, positions_hash
from tests.real.panoptic import WORLDS, judged
from tests.real.panoptic_crowd import Crowd, deployment
from tests.real.panoptic_jury import Tally, by_transaction, by_view, prepared
from tests.real.panoptic_world import World, missing, world

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"real Panoptic: {missing()}")

WITHDRAW = "withdraw(uint256,address,address,uint256[],bool)"


@dataclass(frozen=True, repr=False)
class Desk:
    """One account with a short put and quote as its collateral, seen by the venue."""

    world: World
    me: Address
    rpc: Rpc
    venue: Panoptic

    def __repr__(self) -> str:
        return "an account on Panoptic's own contracts"

    def read(self) -> PanopticState:
        block = self.rpc.block("latest")
        return read_one(self.rpc, block, self.venue.read(self.me, block))

    def carry_out(self, order: Order) -> None:
        """Its calls one by one, and its checks afterwards."""
        for call in order.calls:
            self.world.chain.send(self.me, call.target, call.data, call.label)
        block = self.rpc.block("latest")
        proofs = read_one(self.rpc, block, prove(order.post, block, 0))
        assert [proof for proof in proofs if not proof.kept] == []

    def assets(self) -> tuple[int, int]:
        """Raw token0 and token1 in the vaults, by their own word."""
        first, second = (tracker.integer("assetsOf", self.me) for tracker in self.world.trackers)
        return first, second


@pytest.fixture(scope="module", params=[(True, 6), (False, 18)], ids=["asset first", "quote first"])
def built(request: pytest.FixtureRequest, toolchain: Toolchain) -> Iterator[Desk]:
    is_first, decimals = request.param
    depth = 10**22 if decimals == 6 else 10**25
    with world(toolchain, is_asset_first=is_first, decimals=(18, decimals), depth=depth) as one:
        asset, quote = 10**18, 2_000 * 10**decimals
        me, lender = one.crowd.people("me and the lender", 2)
        one.fund(lender, _ordered(is_first, 3_000 * asset, 3_000 * quote))
        one.fund(me, _ordered(is_first, asset // 10, 20 * quote))
        one.quote.send(one.owner, "mint", me, 10 * quote)
        strike = one.tick() // 60 * 60 + (-600 if is_first else 600)
        put = Leg(0 if is_first else 1, 1, False, 1 if is_first else 0, 0, strike, 20)
        number = TokenId(pool_of(one.pool_id), (put,)).validate().number
        one.dispatch(me, [number], [number], [5 * asset])
        rpc = Rpc(one.node.url, 60.0)
        yield Desk(one, me, rpc, Panoptic(deployment(one)))
        rpc.close()


@pytest.fixture
def desk(built: Desk) -> Iterator[Desk]:
    snapshot = built.world.node.snapshot()
    yield Desk(built.world, built.me, built.rpc, Panoptic(built.venue.deployment))
    built.world.node.revert(snapshot)


def _ordered(is_first: bool, asset: int, quote: int) -> tuple[int, int]:
    return (asset, quote) if is_first else (quote, asset)


@pytest.mark.parametrize("number", range(len(WORLDS)), ids=[f"world {n}" for n in range(len(WORLDS))])
def test_random_accounts_flip_where_the_contracts_say(toolchain: Toolchain, number: int) -> None:
    """A sample of ``python -m tests.real.panoptic``: margin to the unit, flips by view and by liquidation."""
    tally = judged(toolchain, 3, 4, 1, only=number)
    assert tally.troubles == []
    assert (tally.wrong_side, tally.error_ticks, tally.error_units) == (0, 0, 0)
    assert tally.accounts == 4


def test_units_and_signs_are_the_houses(desk: Desk) -> None:
    state, one = desk.read(), desk.world
    root = cast(int, one.amm.call("slot0")[0])
    asset, quote = 10 ** one.asset.integer("decimals"), 10 ** one.quote.integer("decimals")
    raw = (root / 2**96) ** 2
    price = raw * asset / quote if one.is_asset_first else asset / raw / quote
    assert state.quotes[0].index_wad / WAD == pytest.approx(price, rel=1e-12)
    margin = state.margins[0]
    kind = 1 if one.is_asset_first else 0
    assert margin.collateral_wad == desk.assets()[kind] * WAD // quote
    (put,) = (p for p in state.positions if not p.key.endswith("collateral"))
    assert put.size_wad == 5 * asset
    low = one.tick() + (-700 if one.is_asset_first else 700)
    one.swap_to(_root(low))
    moved = {p.key: p for p in desk.read().positions}
    assert moved[put.key].value_wad < put.value_wad
    assert moved[put.key].greeks.delta > 0 > moved[put.key].greeks.gamma


def test_delta_and_gamma_are_slopes_of_the_worth(desk: Desk) -> None:
    one = desk.world
    one.swap_to(_root(one.tick() + (-600 if one.is_asset_first else 600)))
    tick, worths, prices, deltas = one.tick(), [], [], []
    for away in (-20, 0, 20):
        one.swap_to(_root(tick + away))
        state = desk.read()
        worths.append(sum(p.value_wad for p in state.positions) / WAD)
        prices.append(state.quotes[0].index_wad / WAD)
        deltas.append(sum(p.greeks.delta for p in state.positions))
        if away == 0:
            gamma = sum(p.greeks.gamma for p in state.positions)
    assert (worths[2] - worths[0]) / (prices[2] - prices[0]) == pytest.approx(deltas[1], rel=2e-3)
    assert (deltas[2] - deltas[0]) / (prices[2] - prices[0]) == pytest.approx(gamma, rel=2e-2)


def test_a_reading_is_of_its_block(desk: Desk) -> None:
    block = desk.rpc.block("latest")
    first = read_one(desk.rpc, block, desk.venue.read(desk.me, block))
    desk.world.swap_to(_root(desk.world.tick() + 500))
    desk.world.poke(3)
    assert read_one(desk.rpc, block, desk.venue.read(desk.me, block)) == first
    assert desk.read() != first


def test_the_stored_hash_is_the_one_of_the_list(desk: Desk) -> None:
    key = bytes(12) + bytes.fromhex(desk.me[2:]) + HASH_SLOT.to_bytes(32, "big")
    stored = desk.world.node.request(
        "eth_getStorageAt", desk.world.pool.address, "0x" + keccak(key).hex(), "latest"
    )
    ids = [held.number for held in desk.read().pools[0].account.held]
    assert int(str(stored), 16) == positions_hash(ids)
    assert desk.world.pool.integer("numberOfLegs", desk.me) == positions_hash(ids) >> 248


def test_a_hash_that_the_events_do_not_explain_is_refused(desk: Desk) -> None:
    key = bytes(12) + bytes.fromhex(desk.me[2:]) + HASH_SLOT.to_bytes(32, "big")
    slot = "0x" + keccak(key).hex()
    desk.world.node.request("anvil_setStorageAt", desk.world.pool.address, slot, "0x" + "01".zfill(64))
    with pytest.raises(HistoryIncomplete):
        desk.read()


def test_a_trade_is_executed_as_it_was_quoted(desk: Desk) -> None:
    one = desk.world
    for size in (-3 * WAD // 2, 2 * WAD, -WAD // 3, WAD // 7):
        state = desk.read()
        pool, before = state.pools[0], desk.assets()
        offer, terms = pool.offer, pool.view.denomination
        done, need = offer.hedge(size), offer.margin_need_wad(size)
        foretold = after(pool.view, pool.account, done, pool.at_s)
        free = _free(state)
        limit = offer.price_wad * (103 if size > 0 else 97) // 100
        desk.carry_out(_write(desk, state, Trade("panoptic", offer.market, size, limit)))
        later = desk.read()
        now = later.pools[0]
        assert now.view.pool.sqrt_x96 == done.sqrt_x96
        asset, quote = terms.in_order(*(b - a for a, b in zip(before, desk.assets(), strict=True)))
        got, gain = (asset, done.asset) if size > 0 else (quote, done.quote)
        assert abs(got - gain) <= gain // 10**6  # a block's interest on what was borrowed before
        assert abs(done.asset - size * 10**terms.asset_token.decimals // WAD) <= 10**12
        assert [h.utilisations for h in now.account.held] == [h.utilisations for h in foretold.held]
        assert abs((free - _free(later)) - need) <= need // 10**6 + WAD // 10**4
        delta = _lent(later) - _lent(state)
        assert delta == pytest.approx(size / WAD, rel=2e-3, abs=1e-3)
    assert one.pool.integer("numberOfLegs", desk.me) <= 26


def test_a_trade_beyond_its_limit_fails_by_its_check(desk: Desk) -> None:
    state = desk.read()
    offer = state.pools[0].offer
    order = _write(desk, state, Trade("panoptic", offer.market, -WAD, offer.price_wad))
    with pytest.raises((AssertionError, TransactionReverted)):
        desk.carry_out(order)


def test_the_most_that_can_be_traded_goes_and_twice_of_it_does_not(desk: Desk) -> None:
    for sign in (1, -1):
        snapshot = desk.world.node.snapshot()
        state = desk.read()
        offer = state.pools[0].offer
        most = offer.max_buy_wad if sign > 0 else offer.max_sell_wad
        assert most > WAD
        limit = offer.price_wad * (2 if sign > 0 else 0) + 1
        desk.carry_out(_write(desk, state, Trade("panoptic", offer.market, sign * most, limit)))
        desk.world.node.revert(snapshot)


def test_what_is_free_can_be_taken_out_and_a_cent_more_cannot(desk: Desk) -> None:
    state = desk.read()
    key, free = state.margins[0].key, state.margins[0].removable_wad
    terms = state.pools[0].view.denomination
    unit = 10**terms.quote_token.decimals
    ids = [held.number for held in state.pools[0].account.held]
    tracker = desk.world.trackers[terms.quote_kind]
    more = free * unit // WAD + unit // 100
    with pytest.raises(TransactionReverted, match="AccountInsolvent"):
        tracker.send(desk.me, WITHDRAW, more, desk.me, desk.me, ids, True)
    before = state.margins[0].collateral_wad
    desk.carry_out(_write(desk, state, RemoveCollateral("panoptic", key, free)))
    gone = before - desk.read().margins[0].collateral_wad
    assert abs(gone - free) <= 2 * WAD // unit + free // 10**9


@pytest.mark.parametrize("suffix", ["", ":asset"])
def test_collateral_paid_in_is_collateral_read(desk: Desk, suffix: str) -> None:
    one, state = desk.world, desk.read()
    token = one.asset if suffix else one.quote
    unit = 10 ** token.integer("decimals")
    token.send(one.owner, "mint", desk.me, 7 * unit)
    kind = (
        state.pools[0].view.denomination.asset_kind if suffix else state.pools[0].view.denomination.quote_kind
    )
    before = desk.assets()[kind]
    desk.carry_out(_write(desk, state, AddCollateral("panoptic", state.margins[0].key + suffix, 7 * WAD)))
    assert abs(desk.assets()[kind] - before - 7 * unit) <= 7 * unit // 10**6  # interest of the block
    after_it = desk.read().pools[0].account.stakes[kind].assets
    assert after_it == desk.assets()[kind]


def test_a_reduction_leaves_the_rest_and_then_nothing(desk: Desk) -> None:
    state = desk.read()
    (put,) = (p for p in state.positions if not p.key.endswith("collateral"))
    desk.carry_out(_write(desk, state, Reduce("panoptic", put.key, put.size_wad // 5, 10**6 * WAD)))
    state = desk.read()
    assert [p.size_wad for p in state.positions if p.key == put.key] == [put.size_wad - put.size_wad // 5]
    desk.carry_out(_write(desk, state, Reduce("panoptic", put.key, put.size_wad, 10**6 * WAD)))
    assert desk.read().pools[0].account.held == ()


def test_an_account_in_a_pool_that_moved_is_judged_at_the_oracles_ticks(desk: Desk) -> None:
    """Right after a jump the oracle lags, and nobody can be liquidated by the new price alone."""
    one = desk.world
    one.swap_to(_root(one.tick() + (-2_000 if one.is_asset_first else 2_000)))
    state = desk.read()
    margin = state.pools[0].margin
    ticks = margin.ticks(margin.prices, margin.at_s)
    current, spot, _, latest, _ = cast(list[int], one.pool.call("getOracleTicks"))
    assert ticks == (spot, one.pool.integer("getTWAP"), latest, current)
    assert state.pools[0].view.safe_mode == one.pool.integer("isSafeMode") > 0
    for seconds in (70, 700, 7_000):
        foretold = margin.ticks(margin.prices, margin.at_s + seconds)
        snapshot = one.node.snapshot()
        for epoch in range(margin.at_s // 64 + 1, (margin.at_s + seconds) // 64 + 1):
            one.node.set_next_timestamp(epoch * 64)
            one.pool.send(one.provider, "pokeOracle")
        current, spot, _, latest, _ = cast(list[int], one.pool.call("getOracleTicks"))
        assert foretold == (spot, one.pool.integer("getTWAP"), latest, current)
        one.node.revert(snapshot)


def test_interest_is_foretold_to_the_unit(desk: Desk) -> None:
    state = desk.read()
    offer = state.pools[0].offer
    limit = mul_down(offer.price_wad, WAD * 9 // 10)
    desk.carry_out(_write(desk, state, Trade("panoptic", offer.market, -3 * WAD, limit)))
    pool = desk.read().pools[0]
    for seconds in (4, 3_600, 86_400, 30 * 86_400):
        snapshot = desk.world.node.snapshot()
        desk.world.node.warp(seconds)
        at_s = desk.world.node.now_s()
        for stake, tracker in zip(pool.account.stakes, desk.world.trackers, strict=True):
            assert [stake.assets, stake.interest(at_s)] == tracker.call("assetsAndInterest", desk.me)
        desk.world.node.revert(snapshot)


def test_contracts_of_another_pool_are_refused(desk: Desk) -> None:
    (record,) = desk.venue.deployment.pools
    block = desk.rpc.block("latest")
    read_one(desk.rpc, block, desk.venue.identify())
    swapped = {"collateral0": record.collateral1, "collateral1": record.collateral0}
    for change in (
        swapped,
        {"risk_engine": record.collateral0},
        {"uniswap_pool": record.address},
        {"asset_token": record.collateral0},
        {"address": record.collateral0},
    ):
        wrong = desk.venue.deployment.model_copy(update={"pools": (record.model_copy(update=change),)})
        with pytest.raises(ContractMismatch):
            read_one(desk.rpc, block, Panoptic(wrong).identify())
    other = desk.venue.deployment.model_copy(update={"position_manager": record.address})
    with pytest.raises(ContractMismatch, match="position manager"):
        read_one(desk.rpc, block, Panoptic(other).identify())


def test_forced_exercise_and_liquidation_end_positions_in_the_events(toolchain: Toolchain) -> None:
    """Both are others' doing; the list that is rebuilt knows."""
    with world(toolchain, decimals=(18, 6), depth=10**21) as one:
        unit = (10**18, 2_000 * 10**6)
        buyer, seller, other = one.crowd.people("three", 3)
        for account, wealth in ((buyer, 2), (seller, 50), (other, 500)):
            one.fund(account, (unit[0] * wealth, unit[1] * wealth))
        strike = one.tick() // 60 * 60 + 600
        short = TokenId(pool_of(one.pool_id), (Leg(0, 1, False, 0, 0, strike, 10),)).number
        long = TokenId(pool_of(one.pool_id), (Leg(0, 1, True, 0, 0, strike, 10),)).number
        near = TokenId(pool_of(one.pool_id), (Leg(0, 1, False, 1, 0, strike - 1_200, 10),)).number
        one.dispatch(seller, [short], [short], [3 * unit[0]])
        one.dispatch(buyer, [near], [near], [unit[0]])
        one.dispatch(buyer, [long], [near, long], [unit[0]])
        rpc = Rpc(one.node.url, 60.0)
        venue = Panoptic(deployment(one))

        def ids() -> list[int]:
            block = rpc.block("latest")
            state = read_one(rpc, block, venue.read(buyer, block))
            return [held.number for held in state.pools[0].account.held]

        assert ids() == [near, long]
        one.pool.send(other, "dispatchFrom", [], buyer, [near, long], [near], 0)
        assert ids() == [near]
        rpc.close()


def test_premium_that_was_collected_counts_and_other_does_not(toolchain: Toolchain) -> None:
    with world(toolchain, decimals=(18, 18), depth=10**22) as one:
        tally = Tally()
        crowd = Crowd(one, Random("premium"), tally.kinds)
        people = prepared(one, crowd, 5)
        crowd.touch(40)
        states = by_view(one, crowd, people, tally)
        by_transaction(one, people, states, 0, tally)
        assert tally.troubles == []
        assert tally.with_premia > 0


def _lent(state: PanopticState) -> float:
    """The delta of collateral, loans and credits: the option's own moves with the price."""
    return sum(p.greeks.delta for p in state.positions if isinstance(p.instrument, Spot))


def _free(state: PanopticState) -> int:
    """What the account has above its demands with the buffer, by the margin account's own word."""
    pool = state.pools[0]
    ticks = pool.view.oracle.solvency_ticks(pool.view.pool.tick, pool.view.rules.tuning)
    return min(pool.margin.headroom_wad(tick, pool.at_s, pool.view.rules.leave_buffer) for tick in ticks)


def _write(desk: Desk, state: VenueState, action: object) -> Order:
    assert isinstance(state, PanopticState)
    return desk.venue.write(state, action, desk.me, state.at_s + 600)  # type: ignore[arg-type]


def _root(tick: int) -> int:
    """Somewhere in the middle of a tick."""
    return int(math.exp((tick + 0.5) / 2 * math.log(1.0001)) * 2**96)
