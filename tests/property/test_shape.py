"""What the venues say of the shape of their headroom is so, and what is solved with it is the first flip."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.market.margin import ShapedAccount
from agent.risk.liquidation import DIRECTIONS, TOP, Direction, moved, shocked, solve_joint, solve_lapse
from agent.risk.remedy import collateral, collateral_to, is_safe_within, size, size_to
from agent.values.address import ZERO, MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, Q96, WAD
from agent.venues.curie.margin import FUNDING, CurieMargin, Leg
from agent.venues.lyra.margin import CollateralTerms, OptionType, Penalty, ShortOption
from tests.property.test_curie_margin import accounts as curie_accounts
from tests.property.test_liquidation import is_clearly_liquidatable
from tests.property.test_lyra_margin import shorts as lyra_shorts

ANY = settings(deadline=None)
BETAS = st.integers(-3 * WAD, 3 * WAD)
LOOKS = 60
NOW_S = 1_750_000_000
MARKET = MarketId("made:a")


def _headroom(account: ShapedAccount, ratio: int, betas: dict[MarketId, int]) -> int:
    prices = moved(account.prices, ratio, betas)
    return account.equity_wad(prices, account.at_s) - account.requirement_wad(prices, account.at_s)


@ANY
@given(
    account=st.one_of(curie_accounts(), lyra_shorts()),
    data=st.data(),
    ends=st.tuples(st.integers(0, 3 * WAD), st.integers(0, 3 * WAD)),
    share=st.integers(0, 1000),
)
def test_between_bends_headroom_has_its_least_value_at_an_end(
    account: CurieMargin | ShortOption, data: st.DataObject, ends: tuple[int, int], share: int
) -> None:
    betas = {market: data.draw(BETAS) for market in account.prices}
    vanishing = [WAD - WAD * WAD // beta for beta in betas.values() if beta > WAD or beta < 0]
    low, high = sorted(ends)
    assume(not any(low < corner < high for corner in [*account.bends(betas), *vanishing]))
    middle = low + (high - low) * share // 1000
    noise = 10**12 * 4 + sum(
        abs(price) * max(abs(account.size_wad(market)), WAD) // WAD // 10**8 + 10**6
        for market, price in account.prices.items()
    )
    least = min(_headroom(account, low, betas), _headroom(account, high, betas))
    assert _headroom(account, middle, betas) >= least - noise


@ANY
@given(account=curie_accounts(), data=st.data(), direction=st.sampled_from(DIRECTIONS))
def test_a_joint_move_with_betas_is_solved_to_its_first_flip(
    account: CurieMargin, data: st.DataObject, direction: Direction
) -> None:
    assume(account.prices)
    betas = {market: data.draw(BETAS) for market in account.prices}
    flip = solve_joint(account, direction, betas=betas)
    towards = 1 if direction == "down" else -1
    end = (0 if direction == "down" else TOP) if flip is None else flip.ratio_wad

    def bad(ratio: int) -> bool:
        return account.is_liquidatable(moved(account.prices, ratio, betas), account.at_s)

    if flip is not None and flip.ratio_wad != WAD:
        assert bad(end)
        assert not bad(end + towards)
        end += towards
    elif flip is not None:
        assert bad(WAD)
        return
    for step in range(LOOKS + 1):
        ratio = WAD + (end - WAD) * step // LOOKS
        assert not is_clearly_liquidatable(account, moved(account.prices, ratio, betas))


def test_a_market_without_a_beta_stands_still() -> None:
    prices = {MarketId("made:a"): 2000 * WAD, MarketId("made:b"): 30_000 * WAD}
    there = moved(prices, WAD * 8 // 10, {MarketId("made:a"): WAD * 3 // 2})
    assert there == {MarketId("made:a"): 1400 * WAD, MarketId("made:b"): 30_000 * WAD}
    assert moved(prices, 0, {MarketId("made:a"): 2 * WAD})[MarketId("made:a")] == 0
    assert moved(prices, WAD // 2, dict.fromkeys(prices, WAD)) == shocked(prices, WAD // 2)


# --- time --------------------------------------------------------------------------------------------


@ANY
@given(short=lyra_shorts(), days=st.integers(1, 120), slack=st.integers(0, 3000), looks=st.integers(20, 60))
def test_no_second_before_the_lapse_is_liquidatable(
    short: ShortOption, days: int, slack: int, looks: int
) -> None:
    """Collateral close above the minimum, so that a rise of the shock volatility can use it up."""
    short = replace(short, expiry_s=short.at_s + days * DAY_S)
    need = short.requirement_wad(short.prices, short.at_s)
    short = replace(short, collateral_wad=need + need * slack // 1_000_000 + 10)
    lapse = solve_lapse(short)
    end = short.expiry_s - short.at_s if lapse is None else lapse.seconds
    for step in range(looks):
        assert not short.is_liquidatable(short.prices, short.at_s + end * step // looks)
    if lapse is None:
        return
    assert short.is_liquidatable(short.prices, short.at_s + lapse.seconds)
    assert lapse.seconds == 0 or not short.is_liquidatable(short.prices, short.at_s + lapse.seconds - 1)


def test_a_rise_of_the_shock_volatility_alone_liquidates_a_put_and_is_found() -> None:
    """Between 56 and 54.7 days before expiry the shocked deviation grows although time runs out."""
    short = _put(days=56)
    need = short.requirement_wad(short.prices, short.at_s)
    later = max(short.requirement_wad(short.prices, short.at_s + hour * 3600) for hour in range(1, 48))
    assert later > need
    short = replace(short, collateral_wad=(need + later) // 2)
    lapse = solve_lapse(short)
    assert lapse is not None
    assert 0 < lapse.seconds < 2 * DAY_S
    assert lapse.binding == "shocked option price"
    at = short.at_s + lapse.seconds
    assert short.is_liquidatable(short.prices, at)
    assert not short.is_liquidatable(short.prices, at - 1)


def _put(days: int) -> ShortOption:
    """Ten puts at the money; 2.5 of shock volatility up to 14 days before expiry, 1.8 from 56 days on."""
    terms = CollateralTerms(
        floor_quote_wad=0,
        floor_base_wad=0,
        shock_vol_a_wad=25 * WAD // 10,
        shock_point_a_s=14 * DAY_S,
        shock_vol_b_wad=18 * WAD // 10,
        shock_point_b_s=56 * DAY_S,
        call_shock_wad=12 * WAD // 10,
        put_shock_wad=8 * WAD // 10,
        rate_wad=WAD // 20,
        settlement_fee_wad=0,
    )
    return ShortOption(
        position_id=1,
        market=MARKET,
        asset="ETH",
        option_type=OptionType.SHORT_PUT_QUOTE,
        strike_wad=2000 * WAD,
        expiry_s=NOW_S + days * DAY_S,
        amount_wad=10 * WAD,
        collateral_wad=0,
        collateral_token=Token(ZERO, "USD", 18),
        terms=terms,
        penalty=Penalty(0, 0),
        mark_wad=0,
        at_s=NOW_S,
        prices={MARKET: 2000 * WAD},
    )


def _long(spare_wad: int, premium: int, owed_wad: int, decimals: int = 18) -> CurieMargin:
    """Ten long at 2,000 with ``spare_wad`` above its requirement; a unit pays ``premium`` a day."""
    leg = Leg(MARKET, "ETH", 10 * WAD, -20_000 * WAD, owed_wad, premium * Q96)
    return CurieMargin(
        collateral_token=Token(ZERO, "USD", decimals),
        balance_wad=1_250 * WAD + spare_wad + owed_wad,
        owed_wad=0,
        pending_fee_wad=0,
        free_wad=0,
        legs=(leg,),
        maintenance_ppm=62_500,
        initial_ppm=100_000,
        penalty_ppm=25_000,
        at_s=NOW_S,
        marks={MARKET: 2_000 * WAD},
    )


@ANY
@given(
    spare=st.integers(1, 500 * WAD),
    premium=st.integers(1, 100),
    owed=st.integers(-100 * WAD, 100 * WAD),
    decimals=st.sampled_from([6, 18]),
)
def test_funding_that_uses_up_the_headroom_is_named_to_the_second(
    spare: int, premium: int, owed: int, decimals: int
) -> None:
    account = _long(spare, premium, owed, decimals)
    lapse = solve_lapse(account)
    a_day = 10 * premium * WAD
    if spare > a_day * 366:
        assert lapse is None
        return
    assert lapse is not None
    assume(lapse.seconds > 0)
    at = account.at_s + lapse.seconds
    assert account.is_liquidatable(account.prices, at)
    assert not account.is_liquidatable(account.prices, at - 1)
    assert lapse.binding == FUNDING
    assert lapse.seconds == pytest.approx(spare * DAY_S / a_day, rel=1e-9, abs=2)


# --- size --------------------------------------------------------------------------------------------


@ANY
@given(short=lyra_shorts(), distance=st.sampled_from([0.05, 0.1, 0.2, 0.3]), percent=st.integers(20, 130))
def test_the_size_to_cut_is_enough_and_a_step_less_is_not(
    short: ShortOption, distance: float, percent: int
) -> None:
    need = short.requirement_wad(short.prices, short.at_s)
    short = replace(short, collateral_wad=need * percent // 100)
    size = size_to(short, short.market, distance)
    assert 0 <= size <= short.amount_wad
    if size == 0:
        assert is_safe_within(short, distance)
        return
    if size < short.amount_wad:
        assert is_safe_within(short.cut(short.market, size), distance)
    step = WAD // 10**6
    before = (size - 1) // step * step
    assert not is_safe_within(short.cut(short.market, before), distance)


def test_cutting_a_perpetual_brings_it_to_the_distance() -> None:
    curie = _long(1_750 * WAD, 0, 0)
    (market,) = curie.prices
    assert not is_safe_within(curie, 0.2)
    size = size_to(curie, market, 0.2)
    assert 0 < size < 10 * WAD
    smaller = curie.cut(market, size)
    assert smaller.size_wad(market) == 10 * WAD - size
    assert is_safe_within(smaller, 0.2)
    flip = solve_joint(smaller, "down")
    assert flip is not None
    assert flip.distance == pytest.approx(0.2, abs=1e-5)


@ANY
@given(short=lyra_shorts(), distance=st.sampled_from([0.05, 0.1, 0.2, 0.3]), percent=st.integers(20, 130))
def test_a_remedy_says_where_it_is_tightest_and_which_term_rules_there(
    short: ShortOption, distance: float, percent: int
) -> None:
    need = short.requirement_wad(short.prices, short.at_s)
    short = replace(short, collateral_wad=need * percent // 100)
    added, cut = collateral(short, distance), size(short, short.market, distance)
    assert added.amount_wad == collateral_to(short, distance)
    worst = shocked(short.prices, added.ratio_wad)
    assert added.binding == short.binding(worst, short.at_s)
    lacking = short.requirement_wad(worst, short.at_s) - short.equity_wad(worst, short.at_s)
    assert added.amount_wad == lacking + added.tolerance_wad
    assert abs(added.ratio_wad - WAD) <= int(distance * WAD) + 1_000
    assert cut is None or (cut.amount_wad, cut.binding) == (
        size_to(short, short.market, distance),
        added.binding,
    )
    assert (cut is None) == (not is_safe_within(short.cut(short.market, short.amount_wad), distance))


def test_an_account_that_no_cut_saves_has_no_remedy_of_size() -> None:
    owing = replace(_long(0, 0, 0), balance_wad=-10_000 * WAD)
    assert size(owing, MARKET, 0.2) is None
    assert collateral(owing, 0.2).amount_wad > 10_000 * WAD
