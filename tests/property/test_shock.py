"""The fast models against the exact ones: the same side of the flip, the same worth, for any account."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agent.market.margin import MarginAccount
from agent.market.scenario import States, StressedAccount
from agent.pricing import black
from agent.pricing.tick import MAX_SQRT_X96, MIN_SQRT_X96, sqrt_price_x96
from agent.risk.liquidation import DIRECTIONS, Direction, shocked, solve_joint
from agent.risk.pointwise import PointwiseAccount
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, Q96, WAD, to_float
from agent.venues.curie.margin import CurieMargin
from agent.venues.curie.shock import ShockedAccount
from agent.venues.lyra.margin import OptionType, ShortOption
from agent.venues.lyra.shock import Premium, ShockedShort
from agent.venues.uniswap.margin import Range
from agent.venues.uniswap.offer import Terms
from agent.venues.uniswap.shock import ShockedRange
from tests.property import test_curie_margin, test_lyra_margin
from tests.property.test_lyra_margin import CALL_BASE, CALL_QUOTE, NOW_S, PUT, TERMS

QUOTE = Token(Address("0x" + "22" * 20), "USDC", 6)
BASE = Token(Address("0x" + "33" * 20), "WETH", 18)
NEAR = 1e-9
RATIOS = st.integers(0, 4 * WAD)
SECONDS = st.integers(0, 100 * DAY_S)


def one(ratio_wad: int, seconds: int = 0, **more: np.ndarray) -> States:
    """One state in which everything has moved by one ratio."""
    return States(hours=np.array([[seconds / 3600]]), other=np.array([[ratio_wad / WAD]]), **more)  # type: ignore[arg-type]


def short_of(margin: ShortOption, vol_wad: int = WAD) -> ShockedShort:
    premium = Premium(
        asset=margin.asset,
        kind=margin.option_type.kind,
        strike_wad=margin.strike_wad,
        expires_in_s=margin.expiry_s - margin.at_s,
        spot_wad=margin.prices[margin.market],
        vol_wad=vol_wad,
        rate_wad=margin.terms.rate_wad,
    )
    return ShockedShort(margin, premium, QUOTE.address)


def headroom(account: StressedAccount, ratio_wad: int, seconds: int = 0) -> float:
    return float(account.stand(one(ratio_wad, seconds)).headroom[0, 0])


def require_same_flip(exact: MarginAccount, fast: StressedAccount, direction: Direction) -> None:
    """On the near side of the exact flip it stands, a billionth beyond it it does not."""
    flip = solve_joint(exact, direction)
    assume(flip is not None and flip.ratio_wad > WAD // 1000 and flip.distance > 1e-6)
    assert flip is not None
    step = -1 if direction == "down" else 1
    before, beyond = (Fraction(flip.ratio_wad) * (1 + side * step * Fraction(NEAR)) for side in (-1, 1))
    # the solver's own step, and what the contract cuts off of its token's last digit, in ratios
    wide = Fraction(2 * flip.tolerance_wad, min(exact.prices.values()))
    further = flip.ratio_wad * 1001 // 1000
    slope = abs(headroom(fast, further) - headroom(fast, flip.ratio_wad)) / (further - flip.ratio_wad) * WAD
    assume(slope > 0)
    wide += Fraction(2 * 10.0**-exact.collateral_token.decimals / slope)
    assert headroom(fast, round(before - step * wide * WAD)) >= 0
    assert headroom(fast, round(beyond + step * wide * WAD)) < 0


# --- Curie -----------------------------------------------------------------------------------------


def terms_of(account: CurieMargin, ratio_wad: int, seconds: int) -> float:
    """The size of what is added up, which is what a float's last digit is of."""
    prices = shocked(account.prices, ratio_wad)
    legs = sum(
        abs(leg.value_wad(prices[leg.market])) + abs(leg.open_notional_wad) + abs(leg.funding_at(seconds))
        for leg in account.legs
    )
    return to_float(abs(account.balance_wad) + abs(account.owed_wad) + legs)


@given(test_curie_margin.accounts(), RATIOS, SECONDS)
def test_a_curie_account_has_the_contracts_headroom(
    account: CurieMargin, ratio_wad: int, seconds: int
) -> None:
    prices, at_s = shocked(account.prices, ratio_wad), account.at_s + seconds
    exact = to_float(account.equity_wad(prices, at_s) - account.requirement_wad(prices, at_s))
    unit = 10.0**-account.collateral_token.decimals
    sizes = sum(abs(to_float(leg.size_wad)) for leg in account.legs)
    rounding = 1e-12 * terms_of(account, ratio_wad, seconds) + 4 * unit + 1e-17 * sizes
    fast = headroom(ShockedAccount(account), ratio_wad, seconds)
    assert abs(fast - exact) <= rounding
    if abs(exact) > rounding:
        assert (fast < 0) == account.is_liquidatable(prices, at_s)


@given(test_curie_margin.accounts(), st.sampled_from(DIRECTIONS), st.integers(105, 600))
def test_a_curie_account_flips_where_the_contract_does(
    account: CurieMargin, direction: Direction, health: int
) -> None:
    legs = tuple(
        replace(leg, size_wad=size, open_notional_wad=-leg.value_wad(account.marks[leg.market]))
        for leg in account.legs
        for size in [leg.size_wad + (WAD if leg.size_wad >= 0 else -WAD)]
    )
    account = replace(account, legs=legs)
    need_wad = account.requirement_wad(account.prices, account.at_s)
    lacks_wad = need_wad * health // 100 - account.equity_wad(account.prices, account.at_s)
    account = replace(account, balance_wad=account.balance_wad + lacks_wad)
    require_same_flip(account, ShockedAccount(account), direction)


@given(test_curie_margin.accounts())
def test_curies_markets_move_each_by_its_own_asset(account: CurieMargin) -> None:
    assume(len(account.legs) == 2)
    names = ("ETH", "BTC")
    account = replace(
        account, legs=tuple(replace(leg, asset=n) for leg, n in zip(account.legs, names, strict=True))
    )
    states = States(hours=np.zeros((1, 1)), ratios={"ETH": np.array([[0.5]]), "BTC": np.array([[2.0]])})
    fast = float(ShockedAccount(account).stand(states).headroom[0, 0])
    first, second = (leg.market for leg in account.legs)
    prices = {first: account.marks[first] // 2, second: account.marks[second] * 2}
    exact = to_float(account.equity_wad(prices, account.at_s) - account.requirement_wad(prices, account.at_s))
    assert fast == pytest.approx(exact, rel=1e-9, abs=1e-12 * terms_of(account, 2 * WAD, 0) + 1e-5)


# --- Lyra ------------------------------------------------------------------------------------------


@given(test_lyra_margin.shorts(), RATIOS, st.integers(0, 120 * DAY_S))
@example(test_lyra_margin._short(PUT, collateral_wad=3000 * WAD), 0, 0)
@example(test_lyra_margin._short(CALL_BASE, collateral_wad=3 * WAD), 0, 0)
@example(test_lyra_margin._short(CALL_QUOTE, collateral_wad=3000 * WAD), WAD, 14 * DAY_S - 1)
@example(test_lyra_margin._short(CALL_QUOTE, collateral_wad=0), 2 * WAD, 14 * DAY_S)
def test_a_lyra_short_has_the_contracts_requirement_and_verdict(
    short: ShortOption, ratio_wad: int, seconds: int
) -> None:
    prices, at_s = shocked(short.prices, ratio_wad), short.at_s + seconds
    fast = headroom(short_of(short), ratio_wad, seconds)
    if at_s >= short.expiry_s:
        assert fast >= 0
        assert not short.is_liquidatable(prices, at_s)
        return
    need, posted = to_float(short.requirement_wad(prices, at_s)), to_float(short.collateral_wad)
    # what the contract's logarithm and normal distribution lose on one unit, and the floats on the sum
    size = to_float(short.amount_wad) * (
        1.0 if short.option_type is CALL_BASE else to_float(short.strike_wad + prices[short.market])
    )
    rounding = NEAR * max(need, posted) + 1e-11 * size + 1e-15
    assert abs((posted - fast) - need) <= rounding
    if abs(posted - need) > rounding:
        assert (fast < 0) == short.is_liquidatable(prices, at_s)


@given(
    test_lyra_margin.TYPES,
    st.integers(500, 2000),
    st.integers(1, 1000 * WAD),
    st.integers(1, 90 * DAY_S),
    st.integers(102, 400),
)
def test_a_lyra_short_flips_where_the_contract_does(
    option_type: OptionType, moneyness: int, amount_wad: int, time_s: int, health: int
) -> None:
    """Below its cap: where the cap binds no price liquidates what has as much collateral."""
    spot_wad = 2000 * WAD
    short = test_lyra_margin._short(
        option_type, spot_wad * moneyness // 1000, WAD + amount_wad, time_s, spot_wad
    )
    need_wad = short.requirement_wad(short.prices, short.at_s) * health // 100
    most_wad = short.amount_wad * (9 if option_type is CALL_BASE else 18 * moneyness // 10) // 10
    short = replace(short, collateral_wad=min(need_wad, most_wad))
    require_same_flip(short, short_of(short), "down" if option_type is PUT else "up")


@given(test_lyra_margin.shorts(), RATIOS, st.floats(0.01, 5.0), st.integers(0, 80 * DAY_S))
def test_a_lyra_shorts_worth_is_its_collateral_less_the_premium(
    short: ShortOption, ratio_wad: int, vol: float, seconds: int
) -> None:
    left_s = short.expiry_s - short.at_s - seconds
    assume(left_s > 0)
    states = one(ratio_wad, seconds, vol_shift=np.array([[vol]]))
    worth = float(short_of(short, 0).stand(states).worth[0, 0])
    spot = to_float(short.prices[short.market]) * ratio_wad / WAD
    owed = black.price(
        short.option_type.kind, spot, to_float(short.strike_wad), left_s, vol, to_float(TERMS.rate_wad)
    )
    unit = spot if short.option_type is CALL_BASE else 1.0
    collateral = to_float(short.collateral_wad) * unit
    assert worth == pytest.approx(collateral - to_float(short.amount_wad) * float(owed), rel=1e-9, abs=1e-9)


@given(test_lyra_margin.shorts())
def test_the_penalty_of_a_lyra_short_is_the_models(short: ShortOption) -> None:
    fast = short_of(short)
    mark_wad = round(float(fast.premium.value(one(WAD))[0, 0]) * WAD)
    exact = to_float(replace(short, mark_wad=mark_wad).liquidation_loss_wad)
    unit = to_float(short.prices[short.market]) if short.option_type is CALL_BASE else 1.0
    assert float(fast.stand(one(WAD)).penalty[0, 0]) == pytest.approx(exact * unit, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("option_type", [PUT, CALL_QUOTE, CALL_BASE])
def test_what_is_worse_for_a_short_never_gives_it_room(option_type: OptionType) -> None:
    short = short_of(test_lyra_margin._short(option_type, collateral_wad=20 * WAD))
    ratios = np.linspace(0.2, 3.0, 400)[:, np.newaxis]
    room = short.stand(States(hours=np.zeros_like(ratios), other=ratios)).headroom[:, 0]
    steps = np.diff(room) if option_type is PUT else -np.diff(room)
    assert np.all(steps >= -1e-9)


# --- Uniswap ---------------------------------------------------------------------------------------


@st.composite
def ranges(draw: st.DrawFn) -> ShockedRange:
    first = draw(st.booleans())
    middle = draw(st.integers(-60_000, 60_000))
    lower = middle - draw(st.integers(-3_000, 20_000))
    return ShockedRange(
        key="uniswap:1",
        terms=Terms(MarketId("uniswap:p"), "ETH", BASE, QUOTE, first, 500),
        ticks=(lower, lower + draw(st.integers(1, 30_000))),
        sqrt_x96=sqrt_price_x96(middle) + draw(st.integers(0, 10**6)),
        liquidity=draw(st.integers(10**14, 10**24)),
        fees=(0.0, 0.0),
    )


@given(ranges(), st.integers(WAD // 100, 20 * WAD))
def test_liquidity_is_worth_what_the_pool_would_pay_out(held: ShockedRange, ratio_wad: int) -> None:
    square = held.sqrt_x96**2 * (ratio_wad if held.terms.is_asset_first else WAD * WAD // ratio_wad) // WAD
    sqrt_x96 = isqrt(square)
    assume(MIN_SQRT_X96 < sqrt_x96 < MAX_SQRT_X96)
    raw = Range(*held.ticks, held.liquidity).amounts(sqrt_x96)
    assets, quotes = held.terms.in_order(*raw)
    price = Fraction(sqrt_x96, Q96) ** 2
    price = price if held.terms.is_asset_first else 1 / price
    exact = (assets * price + quotes) / Fraction(10**QUOTE.decimals)
    lost = float((price + 1) / 10**QUOTE.decimals)  # a raw unit of each, rounded down
    assert float(held.value(one(ratio_wad))[0, 0]) == pytest.approx(float(exact), rel=NEAR, abs=2 * lost)


@given(ranges())
def test_liquidity_never_gains_from_a_move_against_holding(held: ShockedRange) -> None:
    """Concave in the price: the chord between any two prices lies below it."""
    ratios = np.linspace(0.3, 3.0, 200)[:, np.newaxis]
    worth = held.value(States(hours=np.zeros_like(ratios), other=ratios))[:, 0]
    assert np.all(np.diff(worth, 2) <= 1e-9 * worth.max())
    assert np.all(np.diff(worth) >= -1e-9 * worth.max())


def test_a_quote_token_that_lost_its_peg_leaves_the_asset_in_the_range_worth_what_it_was() -> None:
    low = sqrt_price_x96(-600)
    terms = Terms(MarketId("uniswap:p"), "ETH", BASE, replace(QUOTE, decimals=18), True, 500)
    held = ShockedRange("uniswap:1", terms, (-300, 300), low, 10**21, (2.0, 5.0))
    now = float(held.value(one(WAD))[0, 0])
    price = (low / Q96) ** 2
    # in the pool it is cheaper than the asset then, still below the range: all of it is the asset
    slightly = States(hours=np.zeros((1, 1)), worth={QUOTE.address: np.array([[0.98]])})
    assert float(held.value(slightly)[0, 0]) == pytest.approx(now - 0.02 * 5.0, rel=1e-12)
    far = States(hours=np.zeros((1, 1)), worth={QUOTE.address: np.array([[0.5]])})
    root_low, root_high = sqrt_price_x96(-300) / Q96, sqrt_price_x96(300) / Q96
    quote_only = 1000 * (root_high - root_low) + 5.0
    assert float(held.value(far)[0, 0]) == pytest.approx(0.5 * quote_only + 2.0 * price, rel=1e-9)


# --- one state at a time ---------------------------------------------------------------------------


@given(test_curie_margin.accounts(), RATIOS, st.integers(0, 30 * DAY_S))
def test_the_slow_way_is_the_integer_models_own_verdict(
    account: CurieMargin, ratio_wad: int, seconds: int
) -> None:
    assets = {leg.market: leg.asset for leg in account.legs}
    states = one(ratio_wad, seconds)
    stand = PointwiseAccount(account, assets, {"ETH": 2000.0}).stand(states)
    seen_wad = round(float(states.other[0, 0]) * WAD)
    prices = shocked(account.prices, seen_wad)
    assert (stand.headroom[0, 0] < 0) == account.is_liquidatable(prices, account.at_s + seconds)


def test_after_expiry_a_short_keeps_what_settling_leaves() -> None:
    short = short_of(test_lyra_margin._short(PUT, collateral_wad=5000 * WAD, time_s=DAY_S))
    states = States(hours=np.array([[0.0, 23.9, 24.0, 48.0]]), other=np.full((1, 4), 0.7))
    stand = short.stand(states)
    assert short.margin.expiry_s == NOW_S + DAY_S
    assert (stand.headroom[0] < 0).tolist() == [True, True, False, False]
    assert stand.worth[0, 2:].tolist() == [0.0, 0.0]  # owes 10 * 600, has 5000
    assert stand.penalty[0, 2:].tolist() == [0.0, 0.0]
