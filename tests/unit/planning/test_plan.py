"""The planner keeps delta inside its band and margin accounts above their floor, or says what conflicts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import PlanInfeasible
from agent.market.intent import AddCollateral, Order, Reduce, RemoveCollateral, Trade, Urgency
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan, plan
from agent.planning.policy import Policy
from agent.risk.liquidation import shocked, solve_joint
from agent.risk.remedy import collateral_to
from agent.values.address import IntentId
from agent.values.amount import Amount, Token
from agent.values.fixed import WAD
from tests.unit.planning.book import BLOCK, ME, QUOTE, WRITERS, Perp, Short, judged, option, snapshot, spot

POLICY = Policy()
INTENT = IntentId("0x" + "ab" * 32)
SAFE = 12_000 * WAD  # a Short of ten needs 7,000 at a quarter's fall


def planned(seen: Snapshot, policy: Policy = POLICY) -> tuple[Plan, ...]:
    return plan(seen, judged(seen), policy, WRITERS, INTENT)


def test_a_book_inside_every_limit_needs_no_plan() -> None:
    assert planned(snapshot(1000, (Short(1, SAFE),), (spot(0.29),), Perp())) == ()


@pytest.mark.parametrize(
    ("delta", "urgency"),
    [(0.5, Urgency.NORMAL), (-0.5, Urgency.NORMAL), (3.0, Urgency.RESCUE), (-3.0, Urgency.RESCUE)],
)
def test_delta_outside_its_trigger_is_traded_back_to_zero(delta: float, urgency: Urgency) -> None:
    (only,) = planned(snapshot(1000, (Short(1, SAFE),), (spot(delta),), Perp()))
    (trade,) = only.actions
    assert isinstance(trade, Trade)
    assert trade.size_wad == -int(delta * WAD)
    assert only.delta_after_wad == {"ETH": 0}
    assert only.urgency is urgency
    assert only.deadline_s == BLOCK.timestamp_s + POLICY.deadline_s


def test_the_limit_price_is_worse_than_the_quote_on_the_right_side() -> None:
    sell = planned(snapshot(1000, (), (spot(3.0),), Perp()))[0].actions[0]
    buy = planned(snapshot(1000, (), (spot(-3.0),), Perp()))[0].actions[0]
    assert isinstance(sell, Trade)
    assert isinstance(buy, Trade)
    assert sell.limit_price_wad < Perp().price_wad < buy.limit_price_wad


def test_beyond_the_band_more_slippage_is_allowed_than_inside_it() -> None:
    inside, outside = (
        planned(snapshot(1000, (), (spot(delta),), Perp()))[0].actions[0] for delta in (0.5, 3.0)
    )
    assert isinstance(inside, Trade)
    assert isinstance(outside, Trade)
    assert outside.limit_price_wad < inside.limit_price_wad < Perp().price_wad


def test_an_account_below_its_floor_is_brought_to_its_target() -> None:
    short = Short(1, 2200 * WAD)
    (only,) = planned(snapshot(50_000, (short,), ()))
    (action,) = only.actions
    assert isinstance(action, AddCollateral)
    assert only.urgency is Urgency.RESCUE
    after = Short(1, short.collateral_wad + action.amount_wad)
    flip = solve_joint(after, "down")
    assert flip is not None
    assert flip.distance >= float(POLICY.target_distance)
    assert flip.distance < float(POLICY.target_distance) + 0.001


def test_hedge_and_rescue_go_in_one_plan_and_each_alone_is_the_fallback() -> None:
    plans = planned(snapshot(50_000, (Short(1, 2200 * WAD),), (spot(3.0),), Perp()))
    kinds = [{type(action) for action in p.actions} for p in plans]
    assert kinds == [{Trade, AddCollateral}, {AddCollateral}, {Trade}]
    assert len({p.intent_id for p in plans}) == 1


def test_a_small_delta_rides_along_with_a_rescue_but_is_not_worth_a_block_of_its_own() -> None:
    with_rescue = planned(snapshot(50_000, (Short(1, 2200 * WAD),), (spot(0.2),), Perp()))[0]
    assert {type(action) for action in with_rescue.actions} == {Trade, AddCollateral}
    assert planned(snapshot(50_000, (Short(1, SAFE),), (spot(0.2),), Perp())) == ()


def test_idle_collateral_of_one_account_rescues_another() -> None:
    rich = Short(2, 40_000 * WAD, removable_wad=30_000 * WAD)
    (only,) = planned(snapshot(0, (Short(1, 2200 * WAD), rich), ()))
    assert [type(action) for action in only.actions] == [RemoveCollateral, AddCollateral]
    taken, paid = only.actions
    assert isinstance(taken, RemoveCollateral)
    assert isinstance(paid, AddCollateral)
    assert paid.amount_wad <= taken.amount_wad
    left = Short(2, rich.collateral_wad - taken.amount_wad)
    assert collateral_to(left, float(POLICY.floor_distance)) < 0


def test_without_cash_the_nearest_position_is_closed() -> None:
    short = Short(1, 3000 * WAD)
    seen = snapshot(0, (short,), (option(1, short.size_wad, 50 * WAD, 0.2),))
    first = planned(seen)[0]
    (action,) = first.actions
    assert isinstance(action, Reduce)
    assert action.size_wad == short.size_wad
    assert action.max_cost_wad >= 500 * WAD
    assert first.delta_after_wad["ETH"] == pytest.approx(0, abs=1)


def test_an_impossible_rescue_names_the_account_and_what_is_missing() -> None:
    with pytest.raises(PlanInfeasible, match=r"options:1.*wallet") as caught:
        planned(snapshot(0, (Short(1, 2200 * WAD),), ()))
    assert caught.value.exit_code == 4


def test_scarce_cash_is_still_paid_in_and_the_shortfall_is_named() -> None:
    (only,) = planned(snapshot(100, (Short(1, 2200 * WAD),), ()))
    (action,) = only.actions
    assert isinstance(action, AddCollateral)
    assert action.amount_wad == 100 * WAD
    assert only.unmet


def test_spend_is_bounded_by_a_check_on_the_wallet() -> None:
    (only,) = planned(snapshot(50_000, (Short(1, 2200 * WAD),), ()))
    (action,) = only.actions
    (check,) = only.post
    assert isinstance(action, AddCollateral)
    assert check.lower == 50_000 * WAD - action.amount_wad - 1


def test_what_a_spot_trade_costs_and_brings_is_checked_on_the_wallet() -> None:
    perp = Perp(cash_token=QUOTE)
    (buys,) = planned(snapshot(10_000, (), (spot(-0.5),), perp))
    (trade,) = buys.actions
    assert isinstance(trade, Trade)
    assert buys.post[0].lower == 10_000 * WAD - trade.size_wad * trade.limit_price_wad // WAD - 1

    held = replace(spot(0.5), key="wallet:" + ME)
    seen = snapshot(10_000, (), (), perp)
    balances = (*seen.wallet.balances, Amount(Token(ME, "ETH", 18), WAD // 2))
    seen = replace(seen, wallet=replace(seen.wallet, balances=balances), wallet_positions=(held,))
    (sells,) = planned(seen)
    (trade,) = sells.actions
    assert isinstance(trade, Trade)
    assert trade.size_wad == -WAD // 2
    proceeds = -trade.size_wad * trade.limit_price_wad // WAD
    assert sells.post[0].lower == 10_000 * WAD + proceeds - 1


def test_a_leg_its_venue_cannot_write_does_not_lose_the_rescue() -> None:
    def closed(_action: object) -> Order:
        raise PlanInfeasible(conflicts="perp:0 is closed")

    seen = snapshot(50_000, (Short(1, 2200 * WAD),), (spot(3.0),), Perp())
    plans = plan(seen, judged(seen), POLICY, {**WRITERS, "perp": closed}, INTENT)
    assert [{type(action) for action in p.actions} for p in plans] == [{AddCollateral}]
    only_hedge = snapshot(50_000, (Short(1, SAFE),), (spot(3.0),), Perp())
    with pytest.raises(PlanInfeasible, match="closed"):
        plan(only_hedge, judged(only_hedge), POLICY, {**WRITERS, "perp": closed}, INTENT)


def test_the_reserve_is_not_spent() -> None:
    policy = Policy(cash_reserve=Decimal(49_900))
    (only,) = planned(snapshot(50_000, (Short(1, 2200 * WAD),), ()), policy)
    (action,) = only.actions
    assert isinstance(action, AddCollateral)
    assert action.amount_wad <= 100 * WAD


def test_a_policy_whose_floor_is_above_its_target_is_refused() -> None:
    with pytest.raises(ValueError, match="floor_distance"):
        Policy(floor_distance=Decimal("0.3"), target_distance=Decimal("0.2"))


@settings(deadline=None)  # time has a test of its own
@given(
    collaterals=st.lists(st.integers(2_100, 30_000), min_size=1, max_size=4),
    cash=st.integers(0, 60_000),
)
def test_a_plan_never_spends_more_than_there_is_and_never_worsens_an_account(
    collaterals: list[int], cash: int
) -> None:
    shorts = tuple(Short(n, c * WAD) for n, c in enumerate(collaterals))
    try:
        plans = planned(snapshot(cash, shorts, ()))
    except PlanInfeasible:
        return
    for candidate in plans:
        paid = sum(a.amount_wad for a in candidate.actions if isinstance(a, AddCollateral))
        assert 0 < paid <= cash * WAD
        if not candidate.unmet:
            for short in shorts:
                added = sum(
                    a.amount_wad
                    for a in candidate.actions
                    if isinstance(a, AddCollateral) and a.key == short.key
                )
                after = Short(short.number, short.collateral_wad + added)
                low = shocked(after.prices, WAD - int(float(POLICY.floor_distance) * WAD))
                assert not after.is_liquidatable(low, after.at_s)
