"""Panoptic's numbers against what its contracts answered (``tests/recorded/panoptic.json``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from eth_abi import abi as codec

from agent.chain.history import Record, unpack
from agent.errors import ContractMismatch, HistoryIncomplete, PlanInfeasible, VenueUnknown
from agent.market.intent import AddCollateral, Reduce, RemoveCollateral, Trade
from agent.market.margin import AccruingAccount, FundableAccount, ShapedAccount, TradableAccount
from agent.risk.liquidation import solve_joint, solve_lapse
from agent.values.address import Address, BlockHash
from agent.values.block import Block
from agent.values.call import Answer, Call, Past, Reading
from agent.values.fixed import WAD
from agent.venues.deployments import PanopticDeployment
from agent.venues.panoptic import Panoptic, oracle, pair
from agent.venues.panoptic.ledger import (
    CHUNK_BLOCKS,
    FINAL_BLOCKS,
    PANOPTIC,
    Memory,
    held,
    questions,
    replay,
)
from agent.venues.panoptic.requirement import demands
from agent.venues.panoptic.state import PanopticState
from agent.venues.panoptic.token_id import TokenIdInvalid, check, count_legs, decode, positions_hash
from agent.venues.panoptic.tracker import Curve

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "recorded" / "panoptic.json").read_text(encoding="utf-8")
)
ACCOUNT: dict[str, Any] = RECORDED["account"]
ME = Address(ACCOUNT["account"])
NUMBER, HASH, TIME_S = ACCOUNT["block"]
BLOCK = Block(NUMBER, BlockHash(HASH), BlockHash("0x" + "00" * 32), TIME_S, 0, 30_000_000)
DEPLOYMENT = PanopticDeployment.model_validate(ACCOUNT["deployment"])
POOL = DEPLOYMENT.pools[0]
IDS = tuple(int(text, 16) for text in ACCOUNT["ids"])
LATER_S = TIME_S + 600


def replayed(reading: Reading[Any], change: Callable[[Call, Answer], Answer] | None = None) -> Any:
    """What the reading returns when it hears the recorded answers."""
    answers: dict[str, str] = ACCOUNT["answers"]

    def answer(call: Call) -> Answer:
        text = answers[f"{call.target} {call.data.hex()}"]
        found = Answer(not text.startswith("!"), bytes.fromhex(text.removeprefix("!")))
        return found if change is None else change(call, found)

    asked = next(reading)
    while True:
        try:
            asked = reading.send(tuple(answer(call) for call in asked))
        except StopIteration as done:
            return done.value


@pytest.fixture(scope="module")
def state() -> PanopticState:
    found: PanopticState = replayed(Panoptic(DEPLOYMENT).read(ME, BLOCK))
    return found


def test_every_demand_and_credit_is_the_engines_to_the_unit() -> None:
    for number, size, tick, lent0, lent1, *expected in RECORDED["demands"]:
        required, credits = demands(decode(int(number, 16)), int(size), tick, (lent0, lent1))
        assert [*required, *credits] == [int(text) for text in expected], (number, size, tick)


def test_a_poke_of_the_oracle_is_the_engines_bit_by_bit() -> None:
    for word, tick, at_s, after, twap, mode, ticks in RECORDED["oracle"]:
        read = oracle.decode(int(word, 16))
        assert oracle.encode(read) == int(word, 16)
        poked = read.poked(tick, at_s)
        assert (0 if poked is read else oracle.encode(poked)) == int(after, 16)
        assert (read.twap, read.safe_mode(tick)) == (twap, mode)
        assert list(read.solvency_ticks(tick)) == ticks


def test_an_oracle_moved_by_some_ticks_is_poked_the_same_way() -> None:
    for word, tick, at_s, *_ in RECORDED["oracle"]:
        read = oracle.decode(int(word, 16))
        assert read.shifted(1_234).poked(tick + 1_234, at_s) == read.poked(tick, at_s).shifted(1_234)


def test_a_borrowers_rate_is_the_engines() -> None:
    for lent, target, elapsed_s, rate in RECORDED["rates"]:
        assert Curve().rate(int(lent), int(target), elapsed_s) == int(rate)


def test_an_id_is_refused_for_the_reason_the_contract_gives() -> None:
    refused = 0
    for text, parameter in RECORDED["ids"]:
        number = int(text, 16)
        if parameter == 0:
            check(number)
            assert decode(number).number == number
            continue
        with pytest.raises(TokenIdInvalid) as caught:
            decode(number)
        assert caught.value.parameter == parameter
        refused += 1
    assert refused > 10


def events() -> tuple[Record, ...]:
    return unpack(bytes.fromhex(ACCOUNT["answers"][f"{POOL.address} "]), POOL.address)


def test_the_list_of_positions_is_rebuilt_from_the_events() -> None:
    told = events()
    assert len(told) == len(IDS) + 2  # one of them was minted and burnt again
    assert replay((), told) == IDS
    assert replay(replay((), told[:3]), told[3:]) == IDS


def test_events_that_are_long_past_are_asked_for_once() -> None:
    later = replace(BLOCK, number=BLOCK.number + 25_000)
    memory, told = Memory(), events()
    asked = questions(POOL, ME, later, memory)
    bounds = [(call.first, call.last) for call in asked]
    assert bounds[0][0] == POOL.first_block
    assert all(first == last + 1 for (_, last), (first, _) in pairwise(bounds) if last is not None)
    assert bounds[-1] == (later.number - FINAL_BLOCKS, None)
    assert all(last - first < CHUNK_BLOCKS for first, last in bounds if last is not None)
    assert held(POOL, ME, later, memory, [told, *((),) * (len(asked) - 1)]) == IDS
    (again,) = questions(POOL, ME, later, memory)
    assert (again.first, again.last) == (later.number - FINAL_BLOCKS, None)
    assert held(POOL, ME, later, memory, [()]) == IDS
    assert questions(POOL, ME, BLOCK, memory) == questions(POOL, ME, BLOCK, Memory())  # a block of before


def test_the_reading_is_the_engines_own_margin_and_solvency(state: PanopticState) -> None:
    account = state.pools[0].account
    assert tuple(held.number for held in account.held) == IDS
    for tick, first, second in ACCOUNT["margins"]:
        found = account.standing(tick, TIME_S)
        (balance0, required0), (balance1, required1) = (pair.unsigned(int(word)) for word in (first, second))
        assert (found.balances, found.required) == ((balance0, balance1), (required0, required1))
    assert any(account.long_premia) and any(account.short_premia)
    verdicts = dict(ACCOUNT["solvent"])
    assert {tick: account.is_solvent(tick, TIME_S) for tick in verdicts} == verdicts
    assert set(verdicts.values()) == {True, False}


@pytest.mark.parametrize("gone", [1, 2, 3, -1], ids=["second", "third", "fourth", "last"])
def test_a_list_that_the_stored_hash_does_not_prove_is_refused(gone: int) -> None:
    """A node that has lost one event; it is asked for all of them again."""

    def lossy(call: Call, answer: Answer) -> Answer:
        if not isinstance(call, Past):
            return answer
        kept = [record for index, record in enumerate(events()) if index != gone % len(events())]
        return Answer(True, bytes(codec.encode(["(bytes32[],bytes)[]"], [kept])))

    venue = Panoptic(DEPLOYMENT)
    with pytest.raises(HistoryIncomplete, match="is not what its events add up to"):
        replayed(venue.read(ME, BLOCK), lossy)
    assert venue.memory == Memory()
    assert replayed(venue.read(ME, BLOCK)).pools[0].account.held


def test_an_account_without_positions_needs_no_events(state: PanopticState) -> None:
    assert positions_hash(()) == 0

    def nothing(call: Call, answer: Answer) -> Answer:
        return Answer(True, bytes(32)) if call.label == "panoptic.positionsHash" else answer

    found = replayed(Panoptic(DEPLOYMENT).read(ME, BLOCK), nothing)
    margin = found.pools[0].margin
    assert found.pools[0].account.held == () != state.pools[0].account.held
    assert not margin.is_liquidatable(margin.prices, margin.at_s)
    assert 0 <= margin.collateral_wad - margin.removable_wad < WAD // 1_000  # the next epoch's interest


def test_contracts_that_name_each_other_are_believed() -> None:
    tokens = replayed(Panoptic(DEPLOYMENT).identify())
    assert [token.symbol for token in tokens] == ["USDC", "WETH"]


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("panoptic.collateralToken0", "collateralToken0"),
        ("panoptic.riskEngine", "riskEngine"),
        ("panoptic.SFPM", "position manager"),
        ("panoptic.panopticPool", "a vault of"),
        ("panoptic.underlyingToken", "the vault of"),
        ("panoptic.poolManager", "Uniswap v4"),
        ("panoptic.getUniswapV3PoolFromId", "the position manager names"),
    ],
)
def test_a_contract_that_names_another_is_refused(label: str, word: str) -> None:
    def another(call: Call, answer: Answer) -> Answer:
        return Answer(True, bytes(12) + b"\x11" * 20) if call.label == label else answer

    with pytest.raises(ContractMismatch, match=word):
        replayed(Panoptic(DEPLOYMENT).identify(), another)


def test_an_engine_that_does_not_answer_like_one_is_refused() -> None:
    def silent(call: Call, answer: Answer) -> Answer:
        return Answer(True, b"") if call.label == "panoptic.SELLER_COLLATERAL_RATIO" else answer

    with pytest.raises(ContractMismatch, match="risk engine"):
        replayed(Panoptic(DEPLOYMENT).identify(), silent)


def test_the_account_counts_every_delta_once(state: PanopticState) -> None:
    """Against the worth of everything, a raw unit of price up and down."""
    pool = state.pools[0]
    terms, sqrt_x96 = pool.view.denomination, pool.view.pool.sqrt_x96

    def worth(root: int) -> float:
        from agent.venues.panoptic.greek import worth as of

        asset = quote = 0
        for held in pool.account.held:
            both = of(held, root)
            asset, quote = asset + both[0], quote + both[1]
        for kind, stake in enumerate(pool.account.stakes):
            amount = stake.assets - stake.interest(TIME_S)
            amount += pool.account.short_premia[kind] - pool.account.long_premia[kind]
            asset, quote = (asset + amount, quote) if kind == 0 else (asset, quote + amount)
        return asset / 1e18 * terms.price_wad(root) / WAD + quote / 1e6

    up, down = (sqrt_x96 * factor // 10**6 for factor in (1_000_050, 999_950))
    prices = [terms.price_wad(root) / WAD for root in (up, down)]
    delta = sum(position.greeks.delta for position in state.positions)
    assert (worth(up) - worth(down)) / (prices[0] - prices[1]) == pytest.approx(delta, rel=2e-4)
    held = sum(position.value_wad for position in state.positions) / WAD + pool.margin.collateral_wad / WAD
    assert held == pytest.approx(worth(sqrt_x96), rel=1e-9)


def test_the_account_is_a_margin_account_and_flips_where_the_engine_says(state: PanopticState) -> None:
    margin = state.margins[0]
    assert isinstance(margin, ShapedAccount) and isinstance(margin, FundableAccount)
    assert isinstance(margin, AccruingAccount) and isinstance(margin, TradableAccount)
    market = state.pools[0].view.denomination.market
    flip = solve_joint(margin, "up") or solve_joint(margin, "down")
    assert flip is not None
    assert margin.is_liquidatable({market: flip.price_wad}, TIME_S)
    sign = -1 if flip.direction == "up" else 1
    assert not margin.is_liquidatable({market: flip.price_wad + sign * flip.tolerance_wad}, TIME_S)
    lapse = solve_lapse(margin)
    assert lapse is None or lapse.seconds > 0


def test_the_stressed_account_is_the_margin_account(state: PanopticState) -> None:
    from agent.market.scenario import NOW

    margin, (shocked,) = state.pools[0].margin, state.stressed.accounts
    footing = shocked.stand(NOW)
    headroom = margin.headroom_wad(margin.tick, TIME_S, 10_000_000) / WAD
    worth = sum(p.value_wad for p in state.positions) / WAD + margin.collateral_wad / WAD
    assert float(footing.headroom[0, 0]) == pytest.approx(headroom)
    assert float(footing.worth[0, 0]) == pytest.approx(worth, rel=1e-6)


def test_a_trade_mints_a_loan_that_is_swapped(state: PanopticState) -> None:
    pool = state.pools[0]
    offer, venue = pool.offer, Panoptic(DEPLOYMENT)
    assert offer.max_buy_wad > WAD // 100 and offer.max_sell_wad > WAD // 100
    for size, limit in ((-WAD // 100, 1), (WAD // 100, 10**6 * WAD)):
        order = venue.write(state, Trade("panoptic", offer.market, size, limit), ME, LATER_S)
        (call,) = order.calls
        ids, final, sizes, limits, premia, _ = _arguments(call)
        assert premia is True and len(ids) == len(sizes) == len(limits)
        assert list(final) == [*IDS, *ids]
        low, high, _ = limits[-1]
        assert low > high  # falling limits: swapped
        assert positions_hash(final) >> 248 == order.post[0].lower == order.post[0].upper
        (leg,) = decode(ids[-1]).legs
        assert leg.is_loan and leg.token_type == (1 if size > 0 else 0)
        assert offer.cost_wad(size) > 0 and offer.margin_need_wad(size) > 0


def test_a_reduction_burns_all_and_mints_what_stays(state: PanopticState) -> None:
    venue, key = Panoptic(DEPLOYMENT), state.positions[0].key
    size = state.positions[0].size_wad
    half = venue.write(state, Reduce("panoptic", key, size // 4, 10**6 * WAD), ME, LATER_S)
    ids, final, sizes, limits, *_ = _arguments(half.calls[0])
    assert (ids, sizes) == ((IDS[0], IDS[0]), (0, size - size // 4))
    assert sorted(final) == sorted(IDS) and all(low < high for low, high, _ in limits)
    whole = venue.write(state, Reduce("panoptic", key, size, 0), ME, LATER_S)
    assert _arguments(whole.calls[0])[:3] == ((IDS[0],), IDS[1:], (0,))
    assert whole.post[0].lower == sum(count_legs(number) for number in IDS[1:])
    with pytest.raises(PlanInfeasible, match="above the limit"):
        venue.write(state, Reduce("panoptic", key, size // 4, 0), ME, LATER_S)


def test_collateral_goes_in_and_out_of_the_vault_of_its_token(state: PanopticState) -> None:
    venue, key = Panoptic(DEPLOYMENT), state.margins[0].key
    paid = venue.write(state, AddCollateral("panoptic", key, 5 * WAD), ME, LATER_S)
    assert [call.label for call in paid.calls] == ["erc20.approve", "panoptic.deposit"]
    assert {call.target for call in paid.calls} == {POOL.quote_token, POOL.collateral1}
    asset = venue.write(state, AddCollateral("panoptic", f"{key}:asset", 5 * WAD), ME, LATER_S)
    assert {call.target for call in asset.calls} == {POOL.asset_token, POOL.collateral0}
    free = state.margins[0].removable_wad
    assert 0 < free < state.margins[0].collateral_wad
    assert venue.write(state, RemoveCollateral("panoptic", key, free), ME, LATER_S).calls
    with pytest.raises(PlanInfeasible, match="are free"):
        venue.write(state, RemoveCollateral("panoptic", key, free + WAD), ME, LATER_S)


def test_what_the_venue_does_not_have_is_said(state: PanopticState) -> None:
    venue = Panoptic(DEPLOYMENT)
    for action in (
        Trade("panoptic", state.pools[0].view.denomination.market[:-1], WAD, WAD),  # type: ignore[arg-type]
        Reduce("panoptic", "panoptic:none", 1, 1),
        AddCollateral("panoptic", "panoptic:none", WAD),
    ):
        with pytest.raises(VenueUnknown):
            venue.write(state, action, ME, LATER_S)


def _arguments(call: Call) -> tuple[Any, ...]:
    from eth_abi import abi as codec

    found: tuple[Any, ...] = tuple(codec.decode(PANOPTIC["dispatch"].inputs, call.data[4:]))
    return found
