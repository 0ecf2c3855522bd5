"""How near liquidation is decides the urgency, grades the bid, and bounds what is paid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.market.intent import AddCollateral, Urgency
from agent.market.margin import CollateralKind, PenalisedAccount
from agent.market.snapshot import Snapshot
from agent.planning.plan import plan
from agent.planning.policy import Policy
from agent.planning.stake import Stake, band_bps, budget_wei, danger_bps, stake, worth_wei
from agent.risk.assessment import AccountRisk, Assessment
from agent.risk.trail import Trail
from agent.values.address import IntentId
from agent.values.fixed import WAD
from tests.unit.planning.book import WRITERS, Perp, Short, judged, snapshot, spot

POLICY = Policy()  # floor 0.18, highest bid from 0.045; 4 hours, highest from one
INTENT = IntentId("0x" + "ab" * 32)
SAFE = 12_000 * WAD
NEAR = 5_000 * WAD  # liquidated at 1,700: 15 percent away
AT_THE_DOOR = 2_200 * WAD  # at 1,980: one percent


@dataclass(frozen=True)
class Penalised(Short):
    """A short whose protocol keeps a fixed sum of it."""

    loss_wad: int = 1_000 * WAD

    @property
    def liquidation_loss_wad(self) -> int:
        return self.loss_wad


def risk(distance: float, hours: float | None = None) -> AccountRisk:
    return AccountRisk("a:1", "a", "ETH", 0, 0, 1.0, None, None, distance, hours, "")


def at_stake(seen: Snapshot, policy: Policy = POLICY, moves: dict[str, float] | None = None) -> Stake:
    return stake(
        seen, judged(seen), policy, moves or {}, saves_margin=True, restores_band=False, about_margin=True
    )


@pytest.mark.parametrize(
    ("distance", "hours", "bps"),
    [
        (0.30, None, 0),
        (0.18, None, 0),
        (0.1799, None, 8),
        (0.1125, None, 5_000),
        (0.045, None, 10_000),
        (0.0, None, 10_000),
        (0.30, 4.0, 0),
        (0.30, 2.5, 5_000),
        (0.30, 1.0, 10_000),
        (0.30, 0.0, 10_000),
        (0.1125, 3.4, 5_000),
        (0.17, 1.75, 7_500),
        (float("inf"), None, 0),
    ],
)
def test_danger_is_the_nearer_of_price_and_time(distance: float, hours: float | None, bps: int) -> None:
    assert danger_bps(risk(distance, hours), POLICY) == bps


def test_what_the_price_has_just_moved_is_taken_off_the_distance() -> None:
    assert danger_bps(risk(0.20), POLICY) == 0
    assert danger_bps(risk(0.20), POLICY, {"ETH": 0.0875}) == 5_000
    assert danger_bps(risk(0.20), POLICY, {"BTC": 0.5}) == 0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 48), st.floats(0, 48), st.floats(0, 0.3))
def test_nearer_is_never_less_pressing(d1: float, d2: float, h1: float, h2: float, move: float) -> None:
    (near, far), (soon, late) = sorted((d1, d2)), sorted((h1, h2))
    moves = {"ETH": move}
    assert 0 <= danger_bps(risk(far, late), POLICY, moves) <= danger_bps(risk(near, soon), POLICY, moves)
    assert danger_bps(risk(far, late), POLICY) <= danger_bps(risk(far, late), POLICY, moves) <= 10_000


def test_a_rescue_presses_more_the_nearer_the_account() -> None:
    calm, near, door = (at_stake(snapshot(0, (Short(1, c),), ())) for c in (SAFE, NEAR, AT_THE_DOOR))
    assert calm.pressure_bps == 0
    assert 0 < near.pressure_bps < 5_000
    assert door.pressure_bps == 10_000
    assert {s.urgency for s in (calm, near, door)} == {Urgency.RESCUE}


def test_a_hedge_inside_its_band_is_normal_until_an_account_is_in_danger() -> None:
    seen = snapshot(0, (Short(1, SAFE),), (spot(0.5),), Perp())
    (calm,) = plan(seen, judged(seen), POLICY, WRITERS, INTENT)
    (moved,) = plan(seen, judged(seen), POLICY, WRITERS, INTENT, {"ETH": 0.40})
    assert (calm.urgency, calm.pressure_bps) == (Urgency.NORMAL, 0)
    assert moved.urgency is Urgency.RESCUE
    assert moved.pressure_bps > 0
    assert calm.actions == moved.actions


def test_the_part_of_a_plan_that_leaves_the_accounts_alone_can_be_overtaken_by_the_rescue() -> None:
    seen = snapshot(100_000, (Short(1, AT_THE_DOOR),), (spot(0.5),), Perp())
    plans = plan(seen, judged(seen), POLICY, WRITERS, INTENT)
    assert [p.urgency for p in plans] == [Urgency.RESCUE, Urgency.RESCUE, Urgency.NORMAL]
    assert not any(isinstance(action, AddCollateral) for action in plans[2].actions)


def test_delta_far_outside_its_band_presses_too_and_has_no_budget_of_its_own() -> None:
    edge, twice = (snapshot(0, (), (spot(delta),), Perp()) for delta in (1.0001, 2.5))
    assert band_bps(judged(edge)) < 10
    assert band_bps(judged(twice)) == 10_000
    (chosen,) = plan(twice, judged(twice), POLICY, WRITERS, INTENT)
    assert (chosen.urgency, chosen.pressure_bps, chosen.budget_wei) == (Urgency.RESCUE, 10_000, None)


def test_the_budget_is_the_penalty_times_the_chance_of_it() -> None:
    door = snapshot(0, (Penalised(1, AT_THE_DOOR),), ())
    assert at_stake(door).budget_wei == WAD // 2  # 1,000 of quote at 2,000 a coin, for sure
    near = snapshot(0, (Penalised(1, NEAR),), ())
    assert at_stake(near).budget_wei == WAD // 8  # less than a quarter's chance is reckoned as a quarter
    sure = POLICY.model_copy(update={"rescue_probability": Decimal(1)})
    assert at_stake(near, sure).budget_wei == WAD // 2


def test_the_plan_carries_its_stake() -> None:
    seen = snapshot(100_000, (Penalised(1, AT_THE_DOOR),), ())
    (chosen,) = plan(seen, judged(seen), POLICY, WRITERS, INTENT)
    assert (chosen.pressure_bps, chosen.budget_wei) == (10_000, WAD // 2)


def test_an_account_that_is_safe_adds_nothing_to_the_budget() -> None:
    seen = snapshot(0, (Penalised(1, AT_THE_DOOR), Penalised(2, SAFE, loss_wad=10**9 * WAD)), ())
    assert at_stake(seen).budget_wei == WAD // 2


def test_collateral_in_the_asset_is_worth_its_price() -> None:
    door = Penalised(1, AT_THE_DOOR, collateral_kind=CollateralKind.BASE, loss_wad=WAD // 10)
    assert at_stake(snapshot(0, (door,), ())).budget_wei == WAD // 10


@pytest.mark.parametrize(
    "margins",
    [
        (Short(1, AT_THE_DOOR),),  # a venue that does not say
        (Penalised(1, AT_THE_DOOR), Short(2, AT_THE_DOOR)),
        (Penalised(1, AT_THE_DOOR, loss_wad=0),),  # nothing left to take
        (Penalised(1, SAFE),),  # not in danger before the plan's own trades
    ],
)
def test_where_nobody_can_say_what_is_at_risk_the_cap_alone_counts(margins: tuple[Short, ...]) -> None:
    assert at_stake(snapshot(0, margins, ())).budget_wei is None


def test_without_the_price_of_gas_the_cap_alone_counts() -> None:
    door = snapshot(0, (Penalised(1, AT_THE_DOOR),), ())
    assert at_stake(door, POLICY.model_copy(update={"native_asset": "POL"})).budget_wei is None


@given(
    loss=st.integers(0, 10**27),
    bps=st.integers(0, 10_000),
    price=st.none() | st.integers(0, 10**24),
    cap=st.integers(0, 10**20),
)
def test_the_budget_is_rounded_down_and_never_above_the_cap(
    loss: int, bps: int, price: int | None, cap: int
) -> None:
    budget = budget_wei(loss, bps, price, cap)
    assert 0 <= budget <= cap
    if not price or not loss:
        assert budget == cap
        assert worth_wei(loss, bps, price) is None
    else:
        assert budget * price * 10_000 <= loss * bps * WAD
        assert budget == cap or (budget + 1) * price * 10_000 > loss * bps * WAD


def test_the_trail_knows_the_whole_way_of_the_last_minutes_and_forgets_reorganised_heads() -> None:
    trail = Trail(window_s=100)
    assert trail.moves() == {}
    for at_s, price in ((0, 2000.0), (50, 1900.0), (90, 1950.0)):
        trail.note(at_s, {"ETH": price})
    assert trail.moves() == {"ETH": pytest.approx(2000 / 1900 - 1)}
    trail.note(120, {"ETH": 1950.0, "BTC": 0.0})  # the first head is too old now
    assert trail.moves() == {"ETH": pytest.approx(1950 / 1900 - 1)}
    trail.note(50, {"ETH": 1950.0})  # another block of that time: what came after is gone
    assert trail.moves() == {"ETH": 0.0}


def test_the_book_double_is_what_the_port_calls_penalised() -> None:
    assert isinstance(Penalised(1, SAFE), PenalisedAccount)
    assert not isinstance(Short(1, SAFE), PenalisedAccount)
    assert isinstance(judged(snapshot(0, (Short(1, SAFE),), ())), Assessment)
