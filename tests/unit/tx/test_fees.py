"""What is bid, on chains from dear to nearly free; all of it arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import FeeCapExceeded
from agent.market.intent import Urgency
from agent.tx.fees import PERCENTILES, FeePolicy, History, bid, bump, market, patience, raised
from agent.tx.transaction import Fee

GWEI = 10**9
GAS = 600_000
LADDER = (1, 2, 4, 8, 16, 32)  # tips at PERCENTILES, gwei
RICH = FeePolicy(max_cost_wei=10**21, min_tip_wei=0)


def history(base_fee_wei: int, tips_wei: tuple[int, ...]) -> History:
    return History(base_fee_wei, (tips_wei,) * 3)


DEAR = history(20 * GWEI, tuple(tip * GWEI for tip in LADDER))

# base fees as they are: mainnet, Arbitrum (0.01 gwei), OP mainnet and Base (0.001 gwei), an idle OP chain
# (250 wei), and the smallest base fee there can be (7 wei: an eighth of less is no change)
CHAINS = (20 * GWEI, GWEI // 100, GWEI // 1000, 250, 7)


@pytest.mark.parametrize("base_fee_wei", CHAINS)
@pytest.mark.parametrize("urgency", list(Urgency))
def test_no_bid_has_a_floor_where_nobody_tips(base_fee_wei: int, urgency: Urgency) -> None:
    quiet = history(base_fee_wei, (0,) * len(PERCENTILES))
    fee = bid(quiet, urgency, RICH, GAS)
    assert fee.tip_wei == 0
    assert base_fee_wei < fee.max_fee_wei <= 3 * base_fee_wei


@pytest.mark.parametrize("base_fee_wei", CHAINS)
def test_a_replacement_is_a_tenth_more_and_never_the_same_even_at_zero_tips(base_fee_wei: int) -> None:
    quiet = history(base_fee_wei, (0,) * len(PERCENTILES))
    last = bid(quiet, Urgency.RESCUE, RICH, GAS)
    for _ in range(20):
        fee = bump(last, quiet, Urgency.RESCUE, RICH, GAS)
        assert fee.max_fee_wei * 10 >= last.max_fee_wei * 11
        assert fee.tip_wei * 10 >= last.tip_wei * 11
        assert fee.tip_wei > last.tip_wei
        assert fee.max_fee_wei > last.max_fee_wei
        last = fee


def test_pressure_takes_a_rescue_from_the_ninetieth_percentile_to_the_top() -> None:
    tips = [market(DEAR, Urgency.RESCUE, RICH, bps).tip_wei for bps in (0, 5_000, 10_000)]
    assert tips[0] == 16 * GWEI
    assert tips[2] == 32 * GWEI
    assert tips[0] < tips[1] < tips[2]
    room = [market(DEAR, Urgency.RESCUE, RICH, bps).max_fee_wei for bps in (0, 10_000)]
    assert room == [3 * 20 * GWEI + 16 * GWEI, 5 * 20 * GWEI + 32 * GWEI]


def test_pressure_makes_bumps_larger_and_more_frequent() -> None:
    last = Fee(1000 * GWEI, 100 * GWEI)  # above the market
    assert bump(last, DEAR, Urgency.RESCUE, RICH, GAS).tip_wei == 110 * GWEI
    assert bump(last, DEAR, Urgency.RESCUE, RICH, GAS, pressure_bps=10_000).tip_wei == 150 * GWEI
    assert [patience(6, bps) for bps in (0, 1, 5_000, 9_999, 10_000)] == [6, 5, 3, 1, 1]
    assert patience(1, 10_000) == 1


def test_the_budget_is_the_lower_of_cap_and_worth() -> None:
    policy = FeePolicy(max_cost_wei=100, max_rescue_cost_wei=1000)
    assert policy.cap_wei(Urgency.NORMAL) == 100
    assert policy.cap_wei(Urgency.RESCUE) == 1000
    assert policy.cap_wei(Urgency.RESCUE, 700) == 700
    assert policy.cap_wei(Urgency.RESCUE, 7_000) == 1000
    assert policy.cap_wei(Urgency.RESCUE, 0) == 0


def test_a_bump_that_the_budget_cuts_short_is_still_one_the_pool_takes() -> None:
    last = Fee(100 * GWEI, 10 * GWEI)
    budget_wei = 115 * GWEI * GAS
    fee = bump(last, DEAR, Urgency.RESCUE, RICH, GAS, pressure_bps=10_000, budget_wei=budget_wei)
    assert fee.max_fee_wei == 115 * GWEI
    with pytest.raises(FeeCapExceeded) as caught:
        bump(last, DEAR, Urgency.RESCUE, RICH, GAS, budget_wei=109 * GWEI * GAS)
    assert caught.value.fields == {"cost_wei": 110 * GWEI * GAS, "cap_wei": 109 * GWEI * GAS}


FEES = st.integers(0, 10**13)


@given(
    base=st.integers(1, 10**12),
    tips=st.lists(FEES, min_size=6, max_size=6).map(sorted).map(tuple),
    urgency=st.sampled_from(list(Urgency)),
    pressure=st.integers(0, 10_000),
    budget=st.none() | st.integers(0, 10**19),
    data_fee=st.integers(0, 10**17),
    gas=st.integers(21_000, 30_000_000),
    min_tip=st.integers(0, 10**9),
)
def test_nothing_ever_exceeds_cap_or_budget_and_every_bid_can_enter_the_next_block(
    base: int,
    tips: tuple[int, ...],
    urgency: Urgency,
    pressure: int,
    budget: int | None,
    data_fee: int,
    gas: int,
    min_tip: int,
) -> None:
    policy = FeePolicy(5 * 10**16, min_tip, 5 * 10**17)
    seen = history(base, tips)
    more = {"pressure_bps": pressure, "budget_wei": budget, "data_fee_wei": data_fee}
    cap_wei = policy.cap_wei(urgency, budget)
    try:
        fee = bid(seen, urgency, policy, gas, **more)
    except FeeCapExceeded:
        assert (base + min_tip) * gas + data_fee > cap_wei
        return
    for _ in range(30):
        assert fee.max_fee_wei * gas + data_fee <= cap_wei
        assert fee.max_fee_wei >= base + min_tip
        assert min_tip <= fee.tip_wei <= fee.max_fee_wei
        try:
            after = bump(fee, seen, urgency, policy, gas, **more)
        except FeeCapExceeded:
            assert raised(fee.max_fee_wei) * gas + data_fee > cap_wei
            return
        assert after.max_fee_wei >= raised(fee.max_fee_wei)
        assert after.tip_wei >= raised(fee.tip_wei)
        fee = after


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.sampled_from(list(Urgency)))
def test_more_pressure_never_bids_less(one: int, other: int, urgency: Urgency) -> None:
    low, high = sorted((one, other))
    calm, pressed = (market(DEAR, urgency, RICH, bps) for bps in (low, high))
    assert calm.tip_wei <= pressed.tip_wei
    assert calm.max_fee_wei <= pressed.max_fee_wei
    assert patience(6, low) >= patience(6, high) >= 1


def test_a_more_urgent_bid_is_never_lower_at_any_pressure() -> None:
    house, normal, rescue = (Urgency.HOUSEKEEPING, Urgency.NORMAL, Urgency.RESCUE)
    tips = [market(DEAR, u, RICH, bps).tip_wei for u in (house, normal, rescue) for bps in (0, 10_000)]
    assert tips == sorted(tips)


def test_percentiles_between_those_asked_for_lie_on_the_line() -> None:
    assert [DEAR.tip_wei(p) // GWEI for p in (10, 25, 30, 50, 75, 90, 99)] == [1, 2, 2, 4, 8, 16, 32]
    assert DEAR.tip_wei(30) == 2 * GWEI + -(-2 * GWEI * 5 // 25)
    assert DEAR.tip_wei(1) == GWEI
    assert DEAR.tip_wei(100) == 32 * GWEI
    assert History(7, ()).tip_wei(90) == 0
