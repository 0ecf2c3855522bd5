"""What holds for every short option's margin account, without a chain."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from agent.market.margin import CollateralKind, MarginAccount
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, mul_down
from agent.venues.lyra.margin import (
    NOTIONAL_CAP,
    SETTLEMENT,
    SHOCKED_PRICE,
    STATIC_FLOOR,
    CollateralTerms,
    OptionType,
    Penalty,
    ShortOption,
)

MARKET = MarketId("lyra:market")
TOKEN = Token(Address("0x" + "11" * 20), "sUSD", 18)
NOW_S = 1_750_000_000
TERMS = CollateralTerms(
    floor_quote_wad=200 * WAD,
    floor_base_wad=WAD // 5,
    shock_vol_a_wad=25 * WAD // 10,
    shock_point_a_s=14 * DAY_S,
    shock_vol_b_wad=18 * WAD // 10,
    shock_point_b_s=56 * DAY_S,
    call_shock_wad=12 * WAD // 10,
    put_shock_wad=8 * WAD // 10,
    rate_wad=WAD // 20,
    settlement_fee_wad=75 * WAD // 10_000,
)
PENALTY = Penalty(ratio_wad=WAD // 5, min_fee_wad=10 * WAD)
CALL_BASE, CALL_QUOTE, PUT = (
    OptionType.SHORT_CALL_BASE,
    OptionType.SHORT_CALL_QUOTE,
    OptionType.SHORT_PUT_QUOTE,
)

TYPES = st.sampled_from([CALL_BASE, CALL_QUOTE, PUT])
SPOTS = st.integers(WAD, 20_000 * WAD)


def _short(
    option_type: OptionType,
    strike_wad: int = 2000 * WAD,
    amount_wad: int = 10 * WAD,
    time_s: int = 14 * DAY_S,
    spot_wad: int = 2000 * WAD,
    collateral_wad: int = 0,
    mark_wad: int = 0,
) -> ShortOption:
    return ShortOption(
        position_id=7,
        market=MARKET,
        asset="ETH",
        option_type=option_type,
        strike_wad=strike_wad,
        expiry_s=NOW_S + time_s,
        amount_wad=amount_wad,
        collateral_wad=collateral_wad,
        collateral_token=TOKEN,
        terms=TERMS,
        penalty=PENALTY,
        mark_wad=mark_wad,
        at_s=NOW_S,
        prices={MARKET: spot_wad},
    )


@st.composite
def shorts(draw: st.DrawFn) -> ShortOption:
    return _short(
        draw(TYPES),
        strike_wad=draw(st.integers(WAD, 20_000 * WAD)),
        amount_wad=draw(st.integers(1, 10_000 * WAD)),
        time_s=draw(st.integers(1, 90 * DAY_S)),
        spot_wad=draw(SPOTS),
        collateral_wad=draw(st.integers(0, 10**7 * WAD)),
    )


def test_it_is_a_margin_account_of_the_house() -> None:
    account: MarginAccount = _short(CALL_BASE)
    assert (account.key, account.venue) == ("lyra:7", "lyra")
    assert account.collateral_kind is CollateralKind.BASE
    assert _short(PUT).collateral_kind is _short(CALL_QUOTE).collateral_kind is CollateralKind.QUOTE


@given(shorts())
def test_the_flip_lies_exactly_at_the_requirement(short: ShortOption) -> None:
    need_wad = short.requirement_wad(short.prices, NOW_S)
    assert not replace(short, collateral_wad=need_wad).is_liquidatable(short.prices, NOW_S)
    assert replace(short, collateral_wad=need_wad - 1).is_liquidatable(short.prices, NOW_S)


@given(shorts())
def test_what_is_removable_can_be_removed_and_not_a_wei_more(short: ShortOption) -> None:
    assume(not short.is_liquidatable(short.prices, NOW_S))
    left_wad = short.collateral_wad - short.removable_wad
    assert not replace(short, collateral_wad=left_wad).is_liquidatable(short.prices, NOW_S)
    assert replace(short, collateral_wad=left_wad - 1).is_liquidatable(short.prices, NOW_S)


@given(shorts())
def test_nothing_is_removable_while_halted_or_once_liquidatable_or_expired(short: ShortOption) -> None:
    assert replace(short, is_halted=True).removable_wad == 0
    assert replace(short, collateral_wad=0).removable_wad == 0
    assert replace(short, at_s=short.expiry_s).removable_wad == 0


@given(shorts())
def test_the_requirement_lies_between_its_floor_and_its_cap(short: ShortOption) -> None:
    need_wad = short.requirement_wad(short.prices, NOW_S)
    cap_wad = {
        CALL_BASE: short.amount_wad,
        CALL_QUOTE: 2**256 - 1,
        PUT: mul_down(short.amount_wad, short.strike_wad),
    }[short.option_type]
    floor_wad = TERMS.floor_base_wad if short.option_type is CALL_BASE else TERMS.floor_quote_wad
    assert min(floor_wad, cap_wad) <= need_wad <= cap_wad
    bound = {NOTIONAL_CAP: cap_wad, STATIC_FLOOR: floor_wad}
    assert need_wad == bound.get(short.binding(short.prices, NOW_S), need_wad)


@given(shorts(), SPOTS)
def test_a_worse_price_never_needs_less(short: ShortOption, other_wad: int) -> None:
    """Up to the contract's own rounding: its formula is smooth to about a part in 1e15."""
    worse_is_higher = short.option_type is not PUT
    low, high = sorted((short.prices[MARKET], other_wad))
    better, worse = (low, high) if worse_is_higher else (high, low)
    need_better = short.requirement_wad({MARKET: better}, NOW_S)
    need_worse = short.requirement_wad({MARKET: worse}, NOW_S)
    scale_wad = short.amount_wad * (short.strike_wad + high) // WAD // 10**12
    if short.option_type is CALL_BASE:
        scale_wad = short.amount_wad // 10**9
    assert need_worse >= need_better - scale_wad


@given(shorts(), SPOTS, st.integers(0, 200 * DAY_S))
def test_an_expired_short_is_settled_and_not_liquidated(
    short: ShortOption, spot_wad: int, late_s: int
) -> None:
    prices, at_s = {MARKET: spot_wad}, short.expiry_s + late_s
    assert not short.is_liquidatable(prices, at_s)
    assert short.binding(prices, at_s) == SETTLEMENT
    owed_wad = short.requirement_wad(prices, at_s)
    payoff_wad = max(0, (spot_wad - short.strike_wad) * (-1 if short.option_type is PUT else 1))
    if short.option_type is CALL_BASE:
        assert owed_wad <= short.amount_wad
        assert (owed_wad == 0) or payoff_wad > 0
    else:
        assert owed_wad == mul_down(payoff_wad, short.amount_wad)


def test_every_term_binds_somewhere_and_says_so() -> None:
    cases = {
        (PUT, 2000, 10): SHOCKED_PRICE,
        (PUT, 9000, 10): STATIC_FLOOR,
        (PUT, 2000, 1): SHOCKED_PRICE,
        (CALL_QUOTE, 2000, 10): SHOCKED_PRICE,
        (CALL_QUOTE, 500, 1): STATIC_FLOOR,
        (CALL_BASE, 2000, 10): SHOCKED_PRICE,
        (CALL_BASE, 500, 10): STATIC_FLOOR,
    }
    for (option_type, spot, amount), name in cases.items():
        short = _short(option_type, amount_wad=amount * WAD, spot_wad=spot * WAD)
        assert short.binding(short.prices, NOW_S) == name
    small = _short(PUT, amount_wad=WAD // 100)  # its notional is less than the floor
    assert small.binding(small.prices, NOW_S) == NOTIONAL_CAP
    assert small.requirement_wad(small.prices, NOW_S) == 20 * WAD


def test_a_price_of_zero_has_an_answer() -> None:
    """The contract cannot take the logarithm of zero; a solver may ask all the same."""
    assert _short(CALL_BASE).requirement_wad({MARKET: 0}, NOW_S) == TERMS.floor_base_wad
    assert _short(CALL_QUOTE).requirement_wad({MARKET: 0}, NOW_S) == TERMS.floor_quote_wad
    put_wad = _short(PUT).requirement_wad({MARKET: 0}, NOW_S)
    assert 19_900 * WAD < put_wad <= 20_000 * WAD


def test_the_shock_volatility_falls_between_its_two_points() -> None:
    days = {0: 2500, 14: 2500, 35: 2150, 56: 1800, 365: 1800}
    assert {day: TERMS.shock_vol_wad(day * DAY_S) * 1000 // WAD for day in days} == days
