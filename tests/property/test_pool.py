"""Ticks and swaps: the core's own constants, and what must hold for any pool."""

from __future__ import annotations

from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pricing.pool import PPM, Pool, Swap, swap, ticks_in, words_between
from agent.pricing.tick import (
    MAX_SQRT_X96,
    MAX_TICK,
    MIN_SQRT_X96,
    MIN_TICK,
    price_wad,
    sqrt_of_price_x96,
    sqrt_price_x96,
    tick_at,
)
from agent.values.fixed import Q96, WAD

TICKS = st.integers(MIN_TICK, MAX_TICK - 1)


def test_the_ends_of_the_range_are_the_cores_constants() -> None:
    # TickMath.MIN_SQRT_RATIO and MAX_SQRT_RATIO of @uniswap/v3-core 1.0.1
    assert MIN_SQRT_X96 == 4295128739
    assert MAX_SQRT_X96 == 1461446703485210103287273052203988822378723970342
    assert sqrt_price_x96(0) == Q96


@given(TICKS)
def test_a_tick_comes_back_from_its_price(tick: int) -> None:
    root = sqrt_price_x96(tick)
    assert tick_at(root) == tick
    assert tick_at(sqrt_price_x96(tick + 1) - 1) == tick


@given(TICKS)
def test_a_ticks_price_is_a_power_of_1_0001(tick: int) -> None:
    getcontext().prec = 60
    exact = Decimal("1.0001") ** (Decimal(tick) / 2) * Q96
    assert abs(Decimal(sqrt_price_x96(tick)) / exact - 1) < Decimal("1e-9")


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_there_are_no_ticks_beyond_the_ends(tick: int) -> None:
    with pytest.raises(ValueError, match="no such tick"):
        sqrt_price_x96(tick)


@pytest.mark.parametrize("root", [0, MIN_SQRT_X96 - 1, MAX_SQRT_X96])
def test_there_are_no_prices_beyond_the_ends(root: int) -> None:
    with pytest.raises(ValueError, match="no such price"):
        tick_at(root)


@given(st.integers(10**9, 10**30))
def test_a_price_comes_back_from_its_root(price: int) -> None:
    again = price_wad(sqrt_of_price_x96(price))
    assert again <= price
    assert price - again <= 1 + price // 10**15


@given(st.sets(st.integers(-3000, 3000), max_size=30), st.sampled_from([1, 10, 60]))
def test_ticks_are_found_again_in_the_words_that_hold_them(compressed: set[int], spacing: int) -> None:
    bits = dict.fromkeys(words_between(-3000 * spacing, 3000 * spacing, spacing), 0)
    for tick in compressed:
        bits[tick // 256] |= 1 << tick % 256
    found = [tick for word, mask in bits.items() for tick in ticks_in(word, mask, spacing)]
    assert found == sorted(tick * spacing for tick in compressed)


# --- swaps -------------------------------------------------------------------------------------------


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """A price within ranges of liquidity that overlap it."""
    spacing = draw(st.sampled_from([1, 10, 60, 200]))
    tick = draw(st.integers(-100_000, 100_000))
    nets: dict[int, int] = {}
    here = 0
    for _ in range(draw(st.integers(1, 4))):
        lower = (tick - draw(st.integers(0, 3000))) // spacing * spacing
        upper = (tick + draw(st.integers(1, 3000))) // spacing * spacing + spacing
        liquidity = draw(st.integers(10**15, 10**26))
        nets[lower] = nets.get(lower, 0) + liquidity
        nets[upper] = nets.get(upper, 0) - liquidity
        here += liquidity
    ticks = tuple(sorted(nets))
    root = draw(st.integers(sqrt_price_x96(tick), sqrt_price_x96(tick + 1) - 1))
    return Pool(root, tick, here, spacing, ticks, tuple(nets[t] for t in ticks))


FEES = st.sampled_from([0, 100, 1_000, 3_000, 10_000])
AMOUNTS = st.integers(1, 10**24)


def run(pool: Pool, amount: int, down: bool, fee: int) -> Swap:
    limit = MIN_SQRT_X96 + 1 if down else MAX_SQRT_X96 - 1
    return swap(pool, amount, zero_for_one=down, fee_ppm=fee, limit_x96=limit)


@given(pools(), AMOUNTS, st.booleans(), FEES)
def test_an_exact_input_is_spent_to_the_unit_or_what_is_left_is_said(
    pool: Pool, amount: int, down: bool, fee: int
) -> None:
    done = run(pool, amount, down, fee)
    assert done.paid + done.unfilled == amount
    assert (done.sqrt_x96 <= pool.sqrt_x96) if down else (done.sqrt_x96 >= pool.sqrt_x96)


@given(pools(), AMOUNTS, st.booleans(), FEES)
def test_an_exact_output_is_received_to_the_unit_or_what_is_missing_is_said(
    pool: Pool, amount: int, down: bool, fee: int
) -> None:
    done = run(pool, -amount, down, fee)
    assert done.received + done.unfilled == amount


@given(pools(), AMOUNTS, st.booleans(), FEES)
def test_the_pool_never_loses_by_a_round_trip(pool: Pool, amount: int, down: bool, fee: int) -> None:
    there = run(pool, amount, down, fee)
    between = Pool(
        there.sqrt_x96,
        tick_at(there.sqrt_x96),
        sum(net for tick, net in zip(pool.ticks, pool.nets, strict=True) if tick <= tick_at(there.sqrt_x96)),
        pool.spacing,
        pool.ticks,
        pool.nets,
    )
    if there.unfilled or there.received == 0:
        return
    back = run(between, there.received, not down, fee)
    assert back.received <= there.paid


@given(pools(), AMOUNTS, st.booleans(), FEES)
def test_asking_for_what_was_received_costs_what_was_paid(
    pool: Pool, amount: int, down: bool, fee: int
) -> None:
    forward = run(pool, amount, down, fee)
    if forward.received == 0 or forward.unfilled:
        return
    asked = run(pool, -forward.received, down, fee)
    assert asked.unfilled == 0
    assert asked.paid <= forward.paid


@given(pools(), AMOUNTS, st.integers(1, 2_000), st.booleans())
def test_a_price_limit_is_never_passed(pool: Pool, amount: int, ticks: int, down: bool) -> None:
    limit = sqrt_price_x96(pool.tick - ticks if down else pool.tick + 1 + ticks)
    done = swap(pool, amount, zero_for_one=down, fee_ppm=3_000, limit_x96=limit)
    assert (done.sqrt_x96 >= limit) if down else (done.sqrt_x96 <= limit)
    assert done.unfilled == 0 or done.sqrt_x96 == limit


def test_a_limit_behind_the_price_is_refused() -> None:
    pool = Pool(Q96, 0, WAD, 60, (), ())
    for down in (True, False):
        with pytest.raises(ValueError, match="behind"):
            swap(pool, 1, zero_for_one=down, fee_ppm=0, limit_x96=Q96 + (1 if down else -1))


def test_a_small_swap_pays_the_price_and_the_fee() -> None:
    pool = Pool(Q96, 0, 10**30, 60, (), ())
    done = run(pool, WAD, True, 3_000)
    assert done.received == pytest.approx(WAD * (PPM - 3_000) // PPM, rel=1e-9)
