"""From a book to the cheapest safe plan: as cheap as trying everything, steady, never without an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise, product

import pytest

from agent.errors import PlanInfeasible
from agent.market.intent import Action, AddCollateral, Order, Reduce, Trade
from agent.market.snapshot import Snapshot
from agent.planning import allocator
from agent.planning.allocator import Found, Watch, explain, find
from agent.planning.ask import Ask, ask, curves_of, needy_accounts
from agent.planning.blueprint import TARGET_PRICE, blueprint
from agent.planning.carry import CarryTrail, Expected, carry_per_unit
from agent.planning.listing import Stage
from agent.planning.menu import MOVE_PRICE
from agent.planning.optimum import Optimum, Trouble, solve
from agent.planning.plan import Plan, plan
from agent.planning.policy import Policy
from agent.planning.problem import chord_errors
from agent.planning.safety import edges
from agent.planning.split import split
from agent.risk.assessment import assess
from agent.risk.limits import Bounds
from agent.risk.liquidation import shocked
from agent.risk.remedy import collateral_to
from agent.values.address import IntentId
from agent.values.call import Call
from agent.values.fixed import WAD, to_float
from tests.unit.planning import world
from tests.unit.planning.book import ME, Short, option, snapshot
from tests.unit.planning.market import Cross, Lots, State, held, market, whole

INTENT = IntentId("0x" + "ab" * 32)
POLICY = Policy(switch_margin=Decimal("0.5"), carry_deadband_bps=Decimal(5))
TOLERANCE = 1e-6  # relative to the cost, and a millionth of a cent


def asked(seen: Snapshot, policy: Policy = POLICY, expected: Expected | None = None) -> Ask:
    judged = assess(seen, Bounds({"ETH": 1.0}, float(policy.floor_distance)))
    curves = curves_of(policy, expected)
    needy = needy_accounts(seen, policy, curves)
    return ask(seen, judged, policy, curves, needy, with_hedge=True, with_margin=True)


def planned(seen: Snapshot, policy: Policy = POLICY, carry: Expected | None = None) -> tuple[Plan, ...]:
    def write(action: Action) -> Order:
        return Order((Call(ME, b"", label=type(action).__name__),))

    writers = {state.venue: write for state in seen.venues}
    judged = assess(seen, Bounds({"ETH": 1.0}, float(policy.floor_distance)))
    return plan(seen, judged, policy, writers, INTENT, carry=carry)


def exhaustive(seen: Snapshot, policy: Policy = POLICY) -> float | None:
    """The least cost over every number of lots on every venue, by the exact curves and margin models; None
    if none of them is allowed. Written without any of the optimiser's parts.
    """
    traders = [(state.offers[0], state.margins[0]) for state in seen.venues if state.offers]
    delta = sum(p.greeks.delta for p in seen.positions)
    sign = -1 if delta > 0 else 1
    gas = seen.block.base_fee_wei / 1e18 * 2000
    cash = to_float(seen.wallet.balances[0].wad)
    best: float | None = None
    for lots in product(*(range(offer.max_buy_wad // WAD + 1) for offer, _ in traders)):
        left = delta + sign * sum(lots)
        if abs(left) > 1.0 + 1e-9:
            continue
        cost = 0.05 * 2000 * abs(left)
        floors, targets, wishes = 0.0, 0.0, []
        for (offer, account), n in zip(traders, lots, strict=True):
            if n == 0:
                continue
            size_wad = sign * n * WAD
            if n * WAD < getattr(offer, "min_size_wad", 0):
                break
            cost += to_float(offer.cost_wad(size_wad)) + carry_per_unit(offer, sign, policy, None) * n
            cost += gas * policy.trade_gas
            average = offer.price_wad + -(-offer.cost_wad(size_wad) // n) * sign
            is_urgent = abs(delta) > 1
            after = account.traded(
                offer.market, size_wad, policy.worse_price_wad(average, size_wad, is_urgent=is_urgent)
            )
            floor_wad = collateral_to(after, policy.guard_distance)
            if floor_wad > 0:
                floors += max(to_float(floor_wad), float(policy.min_top_up))
                wishes.append(after)
                cost += gas * policy.transfer_gas
        else:
            if floors > cash:
                continue
            # what cash is left goes towards the targets, wherever: the price is the same
            spare = cash - floors
            paid = floors
            for after in wishes:
                floor = max(to_float(collateral_to(after, policy.guard_distance)), float(policy.min_top_up))
                more = []
                for ratio in edges(float(policy.target_distance)):
                    prices = shocked(after.prices, ratio)
                    gap = after.requirement_wad(prices, 0) - after.equity_wad(prices, 0) + 1
                    more.append(max(0.0, to_float(gap) - floor))
                extra = min(spare, max(more))
                spare -= extra
                paid += extra
                targets += sum(max(0.0, gap - extra) for gap in more)
            cost += TARGET_PRICE * targets + MOVE_PRICE * paid
            best = cost if best is None else min(best, cost)
    return best


def test_on_two_hundred_small_books_the_plan_costs_what_the_best_of_all_plans_costs() -> None:
    kinds = {"traded": 0, "impossible": 0}
    worst = 0.0
    for seed in range(200):
        seen = market(seed)
        best = exhaustive(seen)
        found = find(asked(seen), Watch(5.0, time.monotonic))
        assert isinstance(found, Found)
        if best is None:
            assert found.stage is Stage.ELASTIC, seed
            assert explain(found, Watch(5.0, time.monotonic)), seed
            kinds["impossible"] += 1
            continue
        assert found.stage is Stage.USUAL, seed
        assert not found.decision.unmet
        kinds["traded"] += 1
        worst = max(worst, abs(found.cost - best) / max(1.0, abs(best)))
        assert found.bound <= best + TOLERANCE * max(1.0, abs(best))
    assert worst <= TOLERANCE
    assert min(kinds.values()) >= 30


def test_a_continuous_split_is_as_cheap_as_the_finest_grid_to_within_the_stated_error() -> None:
    for seed in range(12):
        fees, impacts = (seed % 5 + 1, 8), (1.0 + seed / 3, 4.0)
        states = tuple(
            State(f"v{k}", offers=(Lots(f"v{k}", fee, impact, 9, lot_wad=0),), quotes=())
            for k, (fee, impact) in enumerate(zip(fees, impacts, strict=True))
        )
        seen = whole(states, 6.0, 0)
        found = find(asked(seen), Watch(5.0, time.monotonic))
        assert isinstance(found, Found)
        offers = [state.offers[0] for state in states]
        gas = 1e-9 * 2000 * POLICY.trade_gas
        grid = min(
            sum(to_float(o.cost_wad(-part)) + gas for o, part in zip(offers, parts, strict=True) if part)
            for k in range(2001)
            for parts in [(6 * WAD * k // 2000, 6 * WAD - 6 * WAD * k // 2000)]
        )
        assert sum(t.size_wad for t in found.decision.trades) == -6 * WAD
        real = to_float(found.decision.cost_wad) + gas * len(found.decision.trades)
        assert real <= grid + max(allocator.CENT, allocator.COST_TOLERANCE * grid)
        assert real <= found.cost + 1e-6  # the straight lines never promise less than it costs
        assert grid >= found.bound - found.error  # what is stated about the lines is true


def test_the_straight_lines_are_above_a_convex_curve_by_no_more_than_stated() -> None:
    sizes = (0.0, 0.5, 1.0, 2.5, 4.0)
    for power in (1.0, 1.5, 2.0, 3.0):
        costs = tuple(2 * x + x**power for x in sizes)
        gaps = []
        for low, high in pairwise(sizes):
            for k in range(101):
                x = low + (high - low) * k / 100
                chord = (2 * low + low**power) * (1 - k / 100) + (2 * high + high**power) * k / 100
                gaps.append(chord - 2 * x - x**power)
        assert max(gaps) <= max(chord_errors(sizes, costs)) + 1e-9


def test_the_closed_form_and_the_solver_agree() -> None:
    agreed = 0
    for seed in range(60):
        question = asked(world.world(seed), Policy(band={"ETH": Decimal(1), "BTC": Decimal("0.5")}))
        if question.is_idle or question.needy:
            continue
        drawn = blueprint(question, Stage.USUAL, {})
        closed = split(drawn.problem, [f"delta {asset}" for asset in question.due])
        solved = solve(drawn.problem, 5.0)
        if closed is not None:
            assert isinstance(solved, Optimum)
            assert closed.cost == pytest.approx(solved.cost, rel=1e-6, abs=1e-6), seed
            agreed += 1
    assert agreed >= 10


# --- steady ----------------------------------------------------------------------------------------------


def hours(rates: Iterator[float], count: int, *, remembers: bool) -> tuple[int, int, int]:
    """Play ``count`` hours of a drifting book on two venues whose ``a`` charges ``rates`` a day.

    Each hour the delta drifts by 0.4 down and up in turn. Returns what was traded, what had to be (wad), and
    how many plans traded on both venues at once, which is what a switch is.
    """
    trail = CarryTrail()
    sizes = {"a": 5 * WAD, "b": 0}
    drift, traded, needed, switches = -5.0, 0, 0, 0
    for hour in range(count):
        drift += 0.4 if hour % 2 == 0 else -0.4
        rate = next(rates)
        offers = {"a": Lots("a", 5, 0.2, 20, 0, 0, rate), "b": Lots("b", 5, 0.2, 20, 0)}
        states = tuple(State(n, held(n, sizes[n]), (), (offers[n],), ()) for n in ("a", "b"))
        seen = whole(states, drift, 0)
        seen = replace(seen, block=replace(seen.block, timestamp_s=1_000_000 + 3600 * hour))
        for minute in range(0, 60, 10):
            trail.note(seen.block.timestamp_s + 60 * minute, tuple(offers.values()))
        carry = trail.expected(86_400) if remembers else None
        plans = planned(seen, carry=carry)
        needed += 4 * WAD // 10
        for action in plans[0].actions if plans else ():
            assert isinstance(action, Trade)
            sizes[action.venue] += action.size_wad
            traded += abs(action.size_wad)
        switches += bool(plans) and len(plans[0].actions) > 1
    return traded, needed, switches


def alternating(rate: float) -> Iterator[float]:
    while True:
        yield rate
        yield -rate


def steady(rate: float) -> Iterator[float]:
    while True:
        yield rate


@pytest.mark.parametrize("rate", [1.0, 5.0, 40.0, 100.0])  # quote a day on 2,000: 5 bps to 5 %
def test_funding_that_changes_its_sign_every_hour_moves_no_hedge(rate: float) -> None:
    traded, needed, switches = hours(alternating(rate), 48, remembers=True)
    assert switches == 0
    assert traded <= needed + WAD // 1000


def test_without_memory_the_deadband_still_holds_small_funding_off() -> None:
    _, _, switches = hours(alternating(1.0), 24, remembers=False)  # 5 bps a day: the deadband
    assert switches == 0


def test_funding_that_stays_moves_the_hedge_once_it_has_paid_for_the_move() -> None:
    traded, needed, switches = hours(steady(40.0), 48, remembers=True)  # 2 % a day for a day and more
    assert 1 <= switches <= 3
    assert traded > needed + 5 * WAD


def test_a_gain_counts_less_than_a_loss_and_small_rates_not_at_all() -> None:
    offer = Lots("a", carry_per_day=11.0)  # 55 bps a day, 5 of them dead
    assert carry_per_unit(offer, 1, POLICY, None) == pytest.approx(10.0)
    assert carry_per_unit(offer, -1, POLICY, None) == pytest.approx(-10.0 / 1.5)
    assert carry_per_unit(Lots("a", carry_per_day=0.9), 1, POLICY, None) == 0.0
    assert carry_per_unit(offer, 1, POLICY, {offer.market: 0.0}) == 0.0


def test_the_trail_counts_what_it_has_not_seen_as_nothing() -> None:
    trail = CarryTrail()
    assert trail.expected(86_400) == {}
    offer = Lots("a", carry_per_day=24.0)
    for minute in range(0, 61, 5):
        trail.note(1_000_000 + 60 * minute, (offer,))
    assert trail.expected(86_400)[offer.market] == pytest.approx(1.0)  # one hour of a day
    assert trail.expected(3_600)[offer.market] == pytest.approx(24.0)
    trail.note(1_000_000 + 10 * 3_600, (offer,))  # nine hours nobody looked: a quarter of one counts
    assert trail.expected(86_400)[offer.market] == pytest.approx(1.25)


# --- conflicts, Greeks, sizes, no answer -----------------------------------------------------------------


def test_a_band_that_capacity_forbids_is_named_with_it() -> None:
    seen = whole((State("v0", offers=(Lots("v0", most=2),), quotes=()),), 8.0, 0)
    (only,) = planned(seen)
    assert [a.size_wad for a in only.actions if isinstance(a, Trade)] == [-2 * WAD]  # as far as it goes
    assert only.unmet == ("delta band ETH cannot be kept with capacity v0:0 sell",)


def test_a_hedge_that_margin_forbids_is_cut_to_what_is_safe_and_the_wallet_is_named() -> None:
    state = State("v0", margins=(Cross("v0", 900 * WAD),), offers=(Lots("v0", most=9, lot_wad=0),), quotes=())
    (only,) = planned(whole((state,), 4.0, 0))
    (trade,) = only.actions
    assert isinstance(trade, Trade)
    assert -4 * WAD < trade.size_wad < -WAD
    after = state.margins[0].traded(trade.market, trade.size_wad, trade.limit_price_wad)
    assert collateral_to(after, POLICY.guard_distance) <= 0
    assert (
        only.unmet == ("delta band ETH cannot be kept with margin floor v0:margin and wallet USD",)
        or "wallet" in only.unmet[0]
    )


def test_gamma_out_of_its_band_is_brought_back_by_closing_the_cheapest_options() -> None:
    gamma, vega = -0.02, -30.0
    positions = tuple(
        replace(
            option(n, WAD, (20 + 40 * n) * WAD, 0.0),
            greeks=replace(option(n, WAD, WAD, 0.0).greeks, gamma=gamma, vega=vega),
        )
        for n in (1, 2, 3)
    )
    shorts = tuple(Short(n, 12_000 * WAD) for n in (1, 2, 3))
    seen = snapshot(50_000, shorts, positions)
    policy = Policy(gamma_band={"ETH": Decimal("0.05")}, greek_target_share=Decimal(1))
    assert planned(seen) == ()  # no band, no matter
    (only,) = planned(seen, policy)
    assert [a.key for a in only.actions if isinstance(a, Reduce)] == ["options:1"]
    assert any("gamma" in reason for reason in only.reasons)
    (only,) = planned(seen, Policy(vega_band={"ETH": Decimal(40)}, greek_target_share=Decimal(1)))
    assert [a.key for a in only.actions if isinstance(a, Reduce)] == ["options:1", "options:2"]


@pytest.mark.parametrize("size", [1e-4, 1e-2, 1e3])
def test_tiny_and_huge_books_are_hedged_to_the_last_wei(size: float) -> None:
    whole_hedges = 0
    policy = Policy(
        band={"ETH": Decimal(str(size)), "BTC": Decimal(str(size / 2))},
        min_trade=Decimal(str(size / 100)),
        min_top_up=Decimal(str(10 * size)),
        trade_gas=0,
        transfer_gas=0,
        close_gas=0,
    )
    for seed in range(12):
        question = asked(world.world(seed, size=size), policy)
        found = find(question, Watch(5.0, time.monotonic))
        if isinstance(found, Trouble) or found.stage is Stage.ELASTIC:
            continue
        whole_hedges += all(found.decision.deltas_wad[asset] == 0 for asset in question.due)
    assert whole_hedges >= 4


def test_without_time_the_simple_way_still_rescues_and_hedges() -> None:
    state = State("v0", offers=(Lots("v0", lot_wad=0),), quotes=())
    seen = snapshot(50_000, (Short(1, 2200 * WAD),), ())
    seen = replace(seen, venues=(*seen.venues, state), wallet_positions=whole((), 3.0, 0).wallet_positions)
    policy = Policy(solver_ms=0)
    assert isinstance(find(asked(seen, policy), Watch(0.0, time.monotonic)), Trouble)
    first, *parts = planned(seen, policy)
    assert {type(action) for action in first.actions} == {Trade, AddCollateral}
    assert [{type(action) for action in p.actions} for p in parts] == [{AddCollateral}, {Trade}]


def test_the_search_ends_when_its_time_is_over() -> None:
    clock = iter(range(1000))
    found = find(asked(world.world(3)), Watch(2.0, lambda: float(next(clock))))
    assert isinstance(found, Trouble)
    began = time.monotonic()
    find(asked(world.world(3)), Watch(0.05, time.monotonic))
    assert time.monotonic() - began < 2.0  # a busy machine, and a solver that looks at its clock now and then


@pytest.mark.parametrize("rate", [math.nan, math.inf])
@pytest.mark.parametrize("solver_ms", [0, 120])
def test_funding_that_is_no_number_counts_as_none(rate: float, solver_ms: int) -> None:
    state = State("v0", offers=(Lots("v0", lot_wad=0, carry_per_day=rate),), quotes=())
    (only,) = planned(whole((state,), 3.0, 0), Policy(solver_ms=solver_ms))
    assert only.delta_after_wad == {"ETH": 0}


def test_a_cost_that_is_no_number_is_trouble_and_not_a_plan() -> None:
    drawn = blueprint(asked(market(5)), Stage.USUAL, {}).problem
    sick = replace(drawn.choices[0], fixed_cost=math.nan)
    assert isinstance(solve(replace(drawn, choices=(sick, *drawn.choices[1:])), 5.0), Trouble)


def test_an_impossible_book_says_so_in_names() -> None:
    with pytest.raises(PlanInfeasible, match=r"margin floor options:1 .*wallet USD"):
        planned(snapshot(0, (Short(1, 2200 * WAD),), ()))


@pytest.mark.parametrize("window_s", [0, 1, 299])
def test_funding_over_a_window_shorter_than_is_remembered_is_still_a_rate(window_s: int) -> None:
    offers = (Lots("a", 5, 0.2, 20, 0, 0, 0.02), Lots("b", 5, 0.2, 20, 0))
    trail = CarryTrail()
    trail.note(1_000, offers)
    trail.note(1_300, offers)
    expected = trail.expected(window_s)
    assert set(expected) == {offer.market for offer in offers}
    for offer in offers:
        assert expected[offer.market] == pytest.approx(offer.carry_per_day)
