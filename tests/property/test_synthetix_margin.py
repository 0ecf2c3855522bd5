"""What holds for any account of Synthetix' perps market; the contract is the judge on the local chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.market.scenario import States
from agent.planning.safety import Ledger
from agent.risk.liquidation import TOP, moved, solve_joint, solve_lapse
from agent.risk.remedy import collateral_to, is_safe_within
from agent.values.address import ZERO, MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD
from agent.venues.synthetix.fragment import market_name, synth_name
from agent.venues.synthetix.margin import FUNDING, MAINTENANCE, SynthetixMargin, charged, frozen
from agent.venues.synthetix.market import Fees, Funding, Leg, MarginTerms, fill_price, order_fee
from agent.venues.synthetix.shock import ShockedAccount
from agent.venues.synthetix.terms import Collateral, Interest, Keeper

NOW_S = 1_750_000_000
RATIOS = st.integers(0, WAD)
SIZES = st.one_of(st.integers(-(10**5) * WAD, 10**5 * WAD), st.integers(-WAD, WAD))
PRICES = st.integers(WAD, 100_000 * WAD)


@st.composite
def legs(draw: st.DrawFn, market: MarketId) -> Leg:
    return Leg(
        market=market,
        asset="ETH",
        size_wad=draw(SIZES),
        entry_wad=draw(PRICES),
        entry_funding=draw(st.integers(-100 * WAD, 100 * WAD)),
        entry_interest=draw(st.integers(0, WAD // 10)),
        funding=Funding(
            rate=draw(st.integers(-WAD // 10, WAD // 10)),
            value=draw(st.integers(-100 * WAD, 100 * WAD)),
            time_s=NOW_S - draw(st.integers(0, 10**6)),
            skew_wad=draw(st.integers(-(10**6) * WAD, 10**6 * WAD)),
            skew_scale=draw(st.sampled_from([0, 10**5 * WAD, 10**6 * WAD])),
            max_velocity=draw(st.integers(0, 9 * WAD)),
        ),
        margin=MarginTerms(
            initial_ratio=draw(st.integers(0, 3 * WAD)),
            minimum_initial_ratio=draw(st.integers(WAD // 100, WAD // 10)),
            maintenance_scalar=draw(RATIOS),
            flag_ratio=draw(st.integers(0, WAD // 100)),
            minimum_margin=draw(st.integers(0, 100 * WAD)),
            locked_oi_ratio=draw(RATIOS),
            limit_multiplier=WAD,
            limit_window_s=draw(st.integers(0, 60)),
        ),
        fees=Fees(draw(st.integers(0, WAD // 100)), draw(st.integers(0, WAD // 100))),
    )


@st.composite
def accounts(draw: st.DrawFn) -> SynthetixMargin:
    held = tuple(draw(legs(market_name(100 * (n + 1)))) for n in range(draw(st.integers(1, 2))))
    collaterals = tuple(
        Collateral(
            market=synth_name(number),
            asset="ETH",
            amount_wad=draw(st.integers(1, 10**4 * WAD)),
            skew_scale=draw(st.sampled_from([0, 10**5 * WAD])),
            upper_discount=draw(st.integers(WAD // 10, WAD // 2)),
            lower_discount=draw(st.integers(0, WAD // 10)),
            discount_scalar=draw(st.integers(0, 5 * WAD)),
        )
        for number in range(2, 2 + draw(st.integers(0, 2)))
    )
    usd = draw(st.one_of(st.just(0), st.integers(1, 10**8 * WAD)))
    return SynthetixMargin(
        collateral_token=Token(ZERO, "snxUSD", 18),
        account_id=7,
        usd_wad=usd,
        debt_wad=draw(st.integers(0, 1000 * WAD)) if usd == 0 else 0,
        collaterals=collaterals,
        legs=held,
        interest=Interest(WAD // 10, draw(st.integers(0, WAD)), NOW_S - draw(st.integers(0, 10**6))),
        keeper=Keeper(
            liquidation_cost=draw(st.integers(0, 10 * WAD)),
            flag_costs=tuple(n * WAD for n in range(5)),
            minimum_reward=draw(st.integers(0, 100 * WAD)),
            minimum_profit_ratio=draw(RATIOS),
            maximum_reward=draw(st.integers(0, 10**4 * WAD)),
            maximum_ratio=draw(RATIOS),
            collateral_ratio=draw(st.integers(0, WAD // 10)),
        ),
        is_flagged=False,
        is_pending=False,
        at_s=NOW_S,
        marks=frozen({item.market: draw(PRICES) for item in (*held, *collaterals)}),
    )


def headroom(account: SynthetixMargin, prices: dict[MarketId, int], at_s: int) -> int:
    return account.equity_wad(prices, at_s) - account.requirement_wad(prices, at_s)


def slack(account: SynthetixMargin) -> int:
    """What a price cut by one unit and every other cut can come to."""
    stakes = [abs(leg.size_wad) for leg in account.legs] + [item.amount_wad for item in account.collaterals]
    return 10 * sum(stakes) // WAD + 1_000


@given(accounts(), st.integers(1, 10**6 * WAD), st.integers(0, 10**6))
def test_dollars_raise_equity_by_exactly_themselves(
    account: SynthetixMargin, added: int, seconds: int
) -> None:
    at_s = account.at_s + seconds
    richer = account.funded(added)
    assert richer.equity_wad(account.prices, at_s) - account.equity_wad(account.prices, at_s) == added


@given(accounts(), st.data())
def test_between_its_bends_headroom_is_least_at_an_end(account: SynthetixMargin, data: st.DataObject) -> None:
    betas = {market: data.draw(st.integers(-2 * WAD, 2 * WAD)) for market in account.prices}
    vanishing = {WAD - WAD * WAD // beta for beta in betas.values() if beta}
    points = {0, TOP, *(ratio + n for ratio in vanishing for n in (0, 1, 2)), *account.bends(betas)}
    corners = sorted(point for point in points if 0 <= point <= TOP)
    place = data.draw(st.integers(0, len(corners) - 2))
    low, high = corners[place], corners[place + 1]
    ratio = data.draw(st.integers(low, high))

    def at(point: int) -> int:
        return headroom(account, dict(moved(account.prices, point, betas)), account.at_s)

    assert at(ratio) >= min(at(low), at(high)) - 3 * slack(account)


@given(accounts(), st.floats(0, 1))
def test_within_its_foresight_what_was_bad_stays_bad(account: SynthetixMargin, share: float) -> None:
    assume(not account.is_liquidatable(account.prices, account.at_s))
    ahead = min(account.foresight_s(account.prices, account.at_s), 10**8)
    prices = dict(account.prices)
    between = account.at_s + int(share * ahead)
    ends = (headroom(account, prices, account.at_s), headroom(account, prices, account.at_s + ahead))
    # a second's funding is what a lowest point between two whole seconds can hide
    second = abs(headroom(account, prices, between) - headroom(account, prices, between + 1))
    assert headroom(account, prices, between) >= min(ends) - slack(account) - second


@given(accounts(), st.integers(-(10**4) * WAD, 10**4 * WAD))
def test_a_trade_at_the_mark_leaves_the_equity_as_it_was(account: SynthetixMargin, size_wad: int) -> None:
    market = account.legs[0].market
    after = account.traded(market, size_wad, account.marks[market])
    lost = account.equity_wad(account.prices, account.at_s) - after.equity_wad(account.prices, account.at_s)
    assert 0 <= lost <= 1
    assert after.size_wad(market) == account.size_wad(market) + size_wad
    closed = account.cut(market, abs(account.size_wad(market)))
    assert closed.size_wad(market) == 0


@given(accounts(), st.integers(-(10**4) * WAD, 10**4 * WAD), st.integers(1, 100 * WAD))
def test_a_worse_price_costs_its_size_and_is_rounded_against_us(
    account: SynthetixMargin, size_wad: int, worse_wad: int
) -> None:
    leg = account.legs[0]
    price = account.marks[leg.market] + (worse_wad if size_wad > 0 else -worse_wad)
    after = account.traded(leg.market, size_wad, price)
    lost = account.equity_wad(account.prices, account.at_s) - after.equity_wad(account.prices, account.at_s)
    assert abs(size_wad) * worse_wad / WAD <= lost + 1
    assert lost <= abs(size_wad) * worse_wad // WAD + 2


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(-(10**10), 10**10))
def test_what_is_booked_changes_dollars_less_debt_by_itself(usd: int, debt: int, amount: int) -> None:
    after = charged(usd, debt, amount)
    assert after[0] - after[1] == usd - debt + amount
    assert min(after) >= 0


@given(accounts())
def test_the_requirement_is_the_sum_of_its_parts_and_the_largest_binds(account: SynthetixMargin) -> None:
    parts = account.parts(account.prices)
    assert account.requirement_wad(account.prices, account.at_s) == sum(parts.values())
    assert parts[account.binding(account.prices, account.at_s)] == max(parts.values())
    if account.open_legs and account.legs[0].margin.maintenance_scalar <= WAD:
        assert account.initial_wad(account.prices) >= sum(parts.values())
        assert MAINTENANCE in parts


@given(st.integers(-(10**6), 10**6), st.integers(-(10**5), 10**5), PRICES)
def test_a_fill_is_between_the_premiums_before_and_after(skew: int, size: int, price_wad: int) -> None:
    scale = 10**7 * WAD
    funding = Funding(0, 0, 0, skew * WAD, scale, WAD)
    ends = [price_wad * (scale + at * WAD) // scale for at in (skew, skew + size)]
    assert min(ends) - 2 <= fill_price(funding, size * WAD, price_wad) <= max(ends) + 2
    fees = Fees(WAD // 5_000, WAD // 1_000)
    worth = abs(size) * price_wad
    assert (
        worth * fees.maker // WAD - 3
        <= order_fee(skew * WAD, size * WAD, price_wad, fees)
        <= (worth * fees.taker // WAD + 3)
    )


@given(accounts())
def test_an_account_in_debt_without_positions_owes_the_keeper_alone(account: SynthetixMargin) -> None:
    empty = tuple(replace(leg, size_wad=0) for leg in account.legs)
    idle = replace(account, legs=empty)
    keeper = idle.keeper
    cost = keeper.flag_costs[len(idle.collaterals)] + keeper.liquidation_cost
    worth = idle.usd_wad + sum(item.value(idle.marks[item.market]) for item in idle.collaterals)
    earned = max(
        cost + keeper.minimum_reward,
        cost * (WAD + keeper.minimum_profit_ratio) // WAD,
        cost + worth * keeper.collateral_ratio // WAD,
    )
    cap = min(keeper.maximum_reward, worth * keeper.maximum_ratio // WAD if worth else keeper.maximum_reward)
    required = idle.requirement_wad(idle.prices, idle.at_s)
    assert required == (min(earned, cap) if idle.debt_wad else 0)


def quiet(size_wad: int, funding: Funding, flag_ratio: int) -> Leg:
    """A position that needs no maintenance, so that one term is seen alone."""
    terms = MarginTerms(0, 0, 0, flag_ratio, 0, 0, WAD, 0)
    return Leg(market_name(100), "ETH", size_wad, 2_000 * WAD, 0, 0, funding, terms, Fees(0, 0))


def alone(leg: Leg, usd_wad: int, synth_wad: int, maximum_reward: int) -> SynthetixMargin:
    synth = Collateral(synth_name(2), "ETH", synth_wad, 0, 0, 0, 0)
    return SynthetixMargin(
        collateral_token=Token(ZERO, "snxUSD", 18),
        account_id=7,
        usd_wad=usd_wad,
        debt_wad=0,
        collaterals=(synth,) if synth_wad else (),
        legs=(leg,),
        interest=Interest(0, 0, NOW_S),
        keeper=Keeper(0, (0,) * 4, 0, 0, maximum_reward, WAD, 0),
        is_flagged=False,
        is_pending=False,
        at_s=NOW_S,
        marks=frozen({leg.market: 2_000 * WAD, synth.market: 2_000 * WAD}),
    )


@given(st.integers(1, 10**6))
def test_a_window_of_danger_where_the_keepers_cap_sets_in_is_found(width_wad: int) -> None:
    # a short that the collateral hedges but for a hundredth: above its present price the keeper's reward
    # grows faster than the equity, until it is capped at 2.37 times the price
    still = Funding(0, 0, NOW_S, 0, 10**6 * WAD, 0)
    leg = quiet(-100 * WAD, still, WAD // 50)
    account = alone(leg, 0, 101 * WAD, 9_480 * WAD)
    # equity there is 202,000 x 2.37 - 200,000 x 1.37; debt brings it to just below the requirement
    account = replace(account, debt_wad=204_740 * WAD - 9_480 * WAD + width_wad + 1)
    flip = solve_joint(account, "up")
    assert flip is not None
    assert abs(flip.ratio_wad - 237 * WAD // 100) <= width_wad * WAD
    far = moved(account.prices, 4 * WAD, dict.fromkeys(account.prices, WAD))
    assert not account.is_liquidatable(far, NOW_S)


@given(st.integers(20, 100), st.integers(1, 10**6))
def test_a_window_of_danger_in_time_is_found(days: int, width_wad: int) -> None:
    # a long that pays funding at a rate which falls to nothing after ``days`` and pays it from then on
    rate, scale = WAD // 100, 10**6 * WAD
    funding = Funding(rate, 0, NOW_S, -scale * rate // (days * 9 * WAD), scale, 9 * WAD)
    leg = quiet(10 * WAD, funding, 0)
    lowest = alone(leg, 0, 0, WAD).equity_wad({leg.market: 2_000 * WAD}, NOW_S + days * DAY_S)
    account = alone(leg, -lowest - width_wad, 0, 0)
    lapse = solve_lapse(account)
    assert lapse is not None
    assert abs(lapse.seconds - days * DAY_S) < DAY_S // 10
    assert lapse.binding == FUNDING
    assert not account.is_liquidatable(account.prices, NOW_S + 2 * lapse.seconds)


@given(accounts(), st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4), st.floats(0, 2_000)), min_size=1))
def test_many_states_at_once_are_the_same_account(
    account: SynthetixMargin, moves: list[tuple[float, float, float]]
) -> None:
    first = replace(account.legs[0], asset="ETH")
    others = tuple(replace(leg, asset="BTC") for leg in account.legs[1:])
    account = replace(account, legs=(first, *others))
    hours = np.array([[hour for _, _, hour in moves]])
    ratios = {
        "ETH": np.array([[one for one, _, _ in moves]]),
        "BTC": np.array([[two for _, two, _ in moves]]),
    }
    footing = ShockedAccount(account).stand(States(hours=hours, ratios=ratios))
    for place, (one, two, hour) in enumerate(moves):
        ratio = {"ETH": one, "BTC": two}
        kinds = {item.market: item.asset for item in (*account.legs, *account.collaterals)}
        prices = {name: round(price * ratio[kinds[name]]) for name, price in account.prices.items()}
        at_s = account.at_s + int(np.rint(hour * 3600))
        posted = [synth.value(prices[synth.market]) for synth in account.collaterals]
        if any(
            synth.amount_wad > 0 and worth < 1_000
            for synth, worth in zip(account.collaterals, posted, strict=True)
        ):
            continue  # whether a few units are some or none decides about the reward's cap
        equity = account.equity_wad(prices, at_s)
        scale = sum(
            abs(leg.size_wad)
            * (abs(leg.entry_funding) + leg.entry_wad + 20 * account.marks[leg.market])
            // WAD
            for leg in account.legs
        )
        exact = (equity - account.requirement_wad(prices, at_s)) / WAD
        allowed = 1e-9 * (scale / WAD + account.usd_wad / WAD + 10**9)
        assert abs(footing.headroom[0, place] - exact) <= allowed
        assert footing.penalty[0, place] == max(0.0, footing.worth[0, place])


@given(accounts(), st.floats(0, 0.9))
def test_what_is_to_be_posted_for_a_distance_is_enough(account: SynthetixMargin, distance: float) -> None:
    # what is posted may raise the keeper's reward, by less than itself
    keeper = replace(account.keeper, maximum_ratio=account.keeper.maximum_ratio // 2)
    account = replace(account, keeper=keeper)
    added = collateral_to(account, distance)
    assume(added > 0)
    assert is_safe_within(account.funded(added), distance)


@given(accounts(), st.floats(0, 0.9))
def test_the_planner_pays_what_the_reward_takes_too(account: SynthetixMargin, distance: float) -> None:
    keeper = replace(account.keeper, maximum_ratio=account.keeper.maximum_ratio // 2)
    account = replace(account, keeper=keeper)
    ledger = Ledger()
    added = ledger.short_wad(account, distance)
    assume(added > 0)
    assert ledger.danger(account, distance, added) is None
    assert is_safe_within(account.funded(added), distance)
