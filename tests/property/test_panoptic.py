"""What holds for every Panoptic position and account, without a chain."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96
from agent.risk.liquidation import solve_joint
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD
from agent.venues.panoptic import oracle, pair
from agent.venues.panoptic.account import Account, Held
from agent.venues.panoptic.chunk import moved, to_first, to_second
from agent.venues.panoptic.denomination import Denomination
from agent.venues.panoptic.margin import PanopticMargin
from agent.venues.panoptic.oracle import Oracle, Tuning
from agent.venues.panoptic.requirement import DEPLOYED, UNIT, demands
from agent.venues.panoptic.token_id import (
    LEGS_MOST,
    Leg,
    PoolId,
    TokenId,
    TokenIdInvalid,
    check,
    count_legs,
    decode,
    leg_of,
    pool_of,
    positions_hash,
)
from agent.venues.panoptic.tracker import Stake, Tracker

POOL = PoolId(0x0DAC8FCA35, 8, 60)
ETH, USDC = Token(Address("0x" + "11" * 20), "WETH", 18), Token(Address("0x" + "22" * 20), "USDC", 6)
NOW_S = 1_750_000_000
TICK = -200_312  # 2000 USDC for one ETH as token0

STRIKES = st.integers(-300_000, 300_000)
WORDS = st.integers(0, 2**256 - 1)
SIDES = st.booleans()


@st.composite
def legs(draw: st.DrawFn, partner: int = 0, near: int | None = None) -> Leg:
    strike = draw(STRIKES if near is None else st.integers(near - 3_000, near + 3_000))
    return Leg(
        draw(st.integers(0, 1)),
        draw(st.integers(1, 127)),
        draw(SIDES),
        draw(st.integers(0, 1)),
        partner,
        strike,
        draw(st.sampled_from([0, 1, 2, 7, 20, 300, 4_095 if near is None else 50])),
    )


@st.composite
def token_ids(draw: st.DrawFn, near: int | None = None) -> TokenId:
    """Every position that the contract takes: mutual partners, no chunk twice."""
    count = draw(st.integers(1, LEGS_MOST))
    partners = list(range(count))
    if count > 1 and draw(SIDES):
        partners[0], partners[1] = 1, 0
    if count == LEGS_MOST and draw(SIDES):
        partners[2], partners[3] = 3, 2
    found = tuple(draw(legs(partner, near)) for partner in partners)
    ratio = found[0].ratio
    if near is not None:
        found = tuple(replace(leg, ratio=1, asset=found[0].asset) for leg in found)
    token_id = TokenId(POOL, found)
    assume(ratio > 0)
    try:
        return token_id.validate()
    except TokenIdInvalid:
        assume(False)
        raise


@given(token_ids())
def test_a_position_is_its_number_and_back(token_id: TokenId) -> None:
    number = token_id.number
    assert decode(number) == token_id
    assert 0 <= number < 2**256
    assert count_legs(number) == len(token_id.legs)
    assert pool_of(number) == POOL
    for index, leg in enumerate(token_id.legs):
        bits = number >> 64 + 48 * index & 2**48 - 1
        assert (leg_of(bits), leg.bits) == (leg, bits)


@given(WORDS)
def test_any_number_is_refused_or_means_one_position(number: int) -> None:
    try:
        check(number)
    except TokenIdInvalid as error:
        assert error.parameter in (1, 3, 4, 6)
        return
    assert decode(number).number == number


@given(token_ids(), st.integers(0, 255))
def test_no_other_number_means_the_same_position(token_id: TokenId, bit: int) -> None:
    other = token_id.number ^ 1 << bit
    with suppress(TokenIdInvalid):
        assert decode(other) != token_id


def test_a_leg_has_no_bits_for_what_does_not_fit() -> None:
    leg = Leg(0, 1, False, 0, 0, 0, 1)
    for change in ({"ratio": 128}, {"width": 4_096}, {"strike": 2**23}, {"asset": 2}, {"partner": 4}):
        with pytest.raises(ValueError, match="no such leg"):
            replace(leg, **change)  # type: ignore[arg-type]


@given(st.lists(token_ids(), max_size=4, unique_by=lambda t: t.number), st.randoms())
def test_the_hash_of_positions_knows_no_order_and_counts_legs(held: list[TokenId], random: object) -> None:
    numbers = [token_id.number for token_id in held]
    shuffled = sorted(numbers, key=lambda number: hash((number, id(random))))
    assert positions_hash(numbers) == positions_hash(shuffled)
    assert positions_hash(numbers) >> 248 == sum(len(token_id.legs) for token_id in held)
    for gone in range(len(numbers)):
        assert positions_hash(numbers[:gone] + numbers[gone + 1 :]) != positions_hash(numbers)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_two_amounts_share_a_word(first: int, second: int) -> None:
    assert pair.unsigned(pair.pack((first, second))) == (first, second)
    assert pair.pack((first, second)) == first | second << 128


@given(st.integers(-(2**127), 2**127 - 1), st.integers(-(2**127), 2**127 - 1))
def test_two_signed_amounts_share_a_word(first: int, second: int) -> None:
    word = pair.pack_signed((first, second))
    assert -(2**255) <= word < 2**255
    assert pair.signed(word) == pair.signed(word % 2**256) == (first, second)


@pytest.mark.parametrize("both", [(2**128, 0), (0, -1)])
def test_what_has_no_room_in_a_word_is_refused(both: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no room"):
        pair.pack(both)


@given(WORDS)
def test_an_oracles_word_is_read_and_written(word: int) -> None:
    order = sum(slot << 3 * rank for rank, slot in enumerate((3, 1, 0, 2, 7, 5, 6, 4)))
    word = word & ~(0xFFFFFF << oracle.ORDER_SHIFT) | order << oracle.ORDER_SHIFT
    assert oracle.encode(oracle.decode(word)) == word


@settings(max_examples=30)
@given(st.lists(st.integers(-400, 400), min_size=1, max_size=30), st.integers(0, 5_000))
def test_an_oracle_that_is_poked_catches_up_and_then_stands_still(moves: list[int], jump: int) -> None:
    now, at_s, tick = _oracle(TICK), NOW_S, TICK
    for move in moves:
        tick, at_s = tick + move, at_s + 64
        now = now.poked(tick, at_s)
        assert sorted(now.order) == list(range(8))
        ranked = [now.residuals[slot] for slot in now.order]
        assert ranked == sorted(ranked, reverse=True)
    tick += jump
    for _ in range(200):
        at_s += 64
        now = now.poked(tick, at_s)
    assert now.latest == tick
    assert all(abs(average - tick) < 16 for average in now.averages)
    assert now.solvency_ticks(tick, Tuning()) == (now.spot,)


@given(st.integers(1, 10**12).map(lambda n: n * WAD // 10**6), st.booleans())
def test_a_price_lies_in_its_tick(price_wad: int, is_asset_first: bool) -> None:
    terms = _terms(is_asset_first)
    tick = terms.tick_of(price_wad)
    assert MIN_TICK <= tick <= MAX_TICK
    ends = sorted((terms.price_at(tick), terms.price_at(tick + 1)))
    assert ends[0] - 1 <= price_wad <= ends[1] + 1
    assert terms.tick_of(terms.price_wad(sqrt_price_x96(tick) + 1)) in (
        tick,
        tick + (0 if is_asset_first else -1),
    )


@given(st.integers(0, 2**100), st.integers(-500_000, 500_000))
def test_converting_there_and_back_never_gains(amount: int, tick: int) -> None:
    root = sqrt_price_x96(tick)
    assert (
        to_first(to_second(amount, root), root)
        <= amount
        <= to_first(to_second(amount, root, up=True), root, up=True)
    )
    assert to_second(amount, root, up=True) - to_second(amount, root) in (0, 1)


@given(token_ids(near=TICK), st.integers(1, 10**21), st.integers(TICK - 5_000, TICK + 5_000))
def test_a_fuller_vault_never_demands_less(token_id: TokenId, size: int, tick: int) -> None:
    before = (0, 0)
    for lent in (0, 6_667, 8_000, 9_000, 10_000):
        required, credits = demands(token_id, size, tick, (lent, lent))
        assert all(now >= then for now, then in zip(required, before, strict=True))
        assert credits == demands(token_id, size, tick, (0, 0))[1]
        before = required


@given(legs(near=TICK), st.integers(10**9, 10**21), st.integers(TICK - 20_000, TICK + 20_000))
def test_a_leg_alone_demands_within_its_bounds(leg: Leg, size: int, tick: int) -> None:
    alone = TokenId(POOL, (replace(leg, ratio=1),))
    required, _ = demands(alone, size, tick, (0, 0))
    amount = moved(alone.legs[0], POOL.spacing, size)
    demanded = required[leg.token_type]
    assert required[1 - leg.token_type] == 0
    if leg.is_credit:
        assert demanded == 0
    elif leg.is_loan:
        assert 11 * amount <= 10 * demanded <= 11 * amount + 10
    elif leg.is_long:
        assert demanded <= amount // 10 + 2
    else:
        assert amount // 10 <= demanded <= amount + amount // 5 + 3


@given(st.integers(0, 10_000))
def test_the_cross_buffer_falls_from_all_to_nothing(lent: int) -> None:
    found = DEPLOYED.cross(lent, UNIT)
    assert found == (UNIT if lent <= 9_000 else 0 if lent >= 9_500 else found)
    assert DEPLOYED.cross(min(lent + 1, 10_000), UNIT) <= found


@st.composite
def margins(draw: st.DrawFn) -> PanopticMargin:
    """Accounts with both collaterals, debts, premia, and an oracle that lags a little or not at all."""
    is_first = draw(SIDES)
    tick = TICK if is_first else -TICK
    terms, pool = _terms(is_first), POOL
    held = tuple(
        Held(
            one,
            draw(st.integers(10**15, 10**19))
            if one.legs[0].asset == terms.asset_kind
            else draw(st.integers(10**6, 10**11)),
            (draw(st.integers(0, 10_000)), draw(st.integers(0, 10_000))),
        )
        for one in draw(st.lists(token_ids(near=tick), min_size=1, max_size=2, unique_by=lambda t: t.number))
    )
    units = terms.in_order(10**18, 2_000 * 10**6)
    stakes = []
    for unit in units:
        tracker = Tracker(
            1_000 * unit, draw(st.integers(0, 900)) * unit, 0, 10**6 * 1_900 * unit, WAD, NOW_S // 4, 0, 10**9
        )
        shares = draw(st.integers(0, 20 * unit)) * 10**6
        stakes.append(Stake(tracker, shares, draw(st.integers(-unit, 5 * unit)), WAD))
    premia = tuple((draw(st.integers(0, units[0])), draw(st.integers(0, units[1]))) for _ in range(2))
    account = Account(
        held, (stakes[0], stakes[1]), premia[0], premia[1], (draw(st.sampled_from([UNIT, 8_000_000])),) * 2
    )
    now = _oracle(tick)
    if draw(SIDES):
        now = now.poked(tick + draw(st.integers(-300, 300)), NOW_S - 64)
    return PanopticMargin(
        terms, account, now, Tuning(), tick, sqrt_price_x96(tick) + 10**6, 10_666_667, NOW_S, pool
    )


@given(margins(), st.integers(WAD // 3, 3 * WAD), st.integers(0, 10**6))
def test_equity_is_below_the_requirement_exactly_where_it_is_liquidated(
    margin: PanopticMargin, ratio: int, later_s: int
) -> None:
    prices = {margin.denomination.market: margin.price_wad * ratio // WAD}
    at_s = NOW_S + later_s
    short = margin.equity_wad(prices, at_s) < margin.requirement_wad(prices, at_s)
    assert margin.is_liquidatable(prices, at_s) == short
    ticks = margin.ticks(prices, at_s)
    assert short == (not any(margin.account.is_solvent(tick, at_s) for tick in ticks))
    assert margin.binding(prices, at_s)


@settings(max_examples=50)
@given(margins(), st.integers(0, 10**11))
def test_what_is_paid_in_raises_equity_and_never_hurts(margin: PanopticMargin, raw: int) -> None:
    richer = margin.funded(raw * 10**12)
    now, at_s = margin.prices, margin.at_s
    before, after = margin.equity_wad(now, at_s), richer.equity_wad(now, at_s)
    assert abs(after - before - raw * 10**12) <= 2 * 10**12
    assert richer.equity_wad(now, at_s) - richer.requirement_wad(now, at_s) >= (
        before - margin.requirement_wad(now, at_s) - 4 * 10**12
    )


@settings(max_examples=40)
@given(margins(), st.integers(0, 10**8))
def test_time_alone_only_takes_once_the_oracle_has_caught_up(margin: PanopticMargin, seconds: int) -> None:
    settled = replace(margin, oracle=_oracle(margin.tick))
    left = [
        settled.equity_wad(settled.prices, at) - settled.requirement_wad(settled.prices, at)
        for at in (NOW_S, NOW_S + seconds)
    ]
    assert left[1] <= left[0]
    assert settled.foresight_s(settled.prices, NOW_S) > 10**9
    assert settled.accrued_wad(NOW_S + seconds)["interest"] >= settled.accrued_wad(NOW_S)["interest"]


@settings(max_examples=25)
@given(margins())
def test_the_first_flip_is_the_first_by_looking_at_every_tick(margin: PanopticMargin) -> None:
    for direction, step in (("down", -1), ("up", 1)):
        flip = solve_joint(margin, direction)  # type: ignore[arg-type]
        way = step if margin.denomination.is_asset_first else -step
        reach = 600
        if flip is not None:
            found = margin.ticks({margin.denomination.market: flip.price_wad}, NOW_S)[3]
            reach = min(reach, abs(found - margin.tick))
        for away in range(reach):
            now = [tick + way * away for tick in margin.ticks(margin.prices, NOW_S)]
            assert any(margin.account.is_solvent(tick, NOW_S) for tick in now), (direction, away)


@settings(max_examples=30)
@given(margins())
def test_what_is_free_leaves_it_solvent_with_the_buffer(margin: PanopticMargin) -> None:
    free = margin.removable_wad
    assert 0 <= free <= margin.collateral_wad
    poorer = margin.funded(-free).account
    ticks = margin.oracle.solvency_ticks(margin.tick)
    if free:
        assert poorer.may_leave(ticks, NOW_S, 10_666_667, is_safe_mode=margin.safe_mode > 0)


def _terms(is_asset_first: bool) -> Denomination:
    return Denomination(MarketId("panoptic:pool"), "ETH", ETH, USDC, is_asset_first)


def _oracle(tick: int) -> Oracle:
    return Oracle(NOW_S // 64 - 2 & 0xFFFFFF, (0, 1, 2, 3, 4, 5, 6, 7), (tick,) * 4, 0, tick, (0,) * 8)
