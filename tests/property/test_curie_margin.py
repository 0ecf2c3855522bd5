"""What holds for any Curie account; the contract itself is the judge in the tests on the local chain."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.market.margin import MarginAccount, TradableAccount
from agent.risk.liquidation import solve_price
from agent.risk.remedy import collateral_to
from agent.values.address import ZERO, MarketId
from agent.values.amount import Token
from agent.values.fixed import Q96, WAD, mul_div_down
from agent.venues.curie.margin import CurieMargin, Leg, frozen

MARKETS = (MarketId("curie:a"), MarketId("curie:b"))
SIZES = st.integers(-10_000 * WAD, 10_000 * WAD)
PRICES = st.integers(WAD, 100_000 * WAD)
MONEY = st.integers(-(10**7) * WAD, 10**7 * WAD)


@st.composite
def accounts(draw: st.DrawFn) -> CurieMargin:
    legs = tuple(
        Leg(
            market=market,
            asset="ETH",
            size_wad=draw(SIZES),
            open_notional_wad=draw(MONEY),
            funding_wad=draw(st.integers(-(10**5) * WAD, 10**5 * WAD)),
            premium_x96=draw(st.integers(-200 * Q96, 200 * Q96)),
        )
        for market in MARKETS[: draw(st.integers(1, 2))]
    )
    return CurieMargin(
        collateral_token=Token(ZERO, "USDC", draw(st.sampled_from([6, 18]))),
        balance_wad=draw(st.integers(0, 10**7)) * WAD,
        owed_wad=draw(MONEY),
        pending_fee_wad=draw(st.integers(0, WAD)),
        free_wad=draw(st.integers(0, 10**6 * WAD)),
        legs=legs,
        maintenance_ppm=62_500,
        initial_ppm=100_000,
        penalty_ppm=25_000,
        at_s=1_750_000_000,
        marks=frozen({leg.market: draw(PRICES) for leg in legs}),
    )


@given(accounts())
def test_it_is_a_tradable_margin_account(account: CurieMargin) -> None:
    plain: MarginAccount = account
    assert isinstance(plain, TradableAccount)


@given(accounts(), st.integers(1, 10**6), st.integers(0, 10**6))
def test_collateral_raises_equity_by_exactly_itself_everywhere(
    account: CurieMargin, units: int, seconds: int
) -> None:
    added = units * 10 ** (18 - account.collateral_token.decimals)
    richer = replace(account, balance_wad=account.balance_wad + added)
    at_s = account.at_s + seconds
    gained = richer.equity_wad(account.prices, at_s) - account.equity_wad(account.prices, at_s)
    assert gained == added
    assert richer.requirement_wad(account.prices, at_s) == account.requirement_wad(account.prices, at_s)


@given(accounts())
def test_equity_is_whole_in_the_tokens_units_and_never_rounded_up(account: CurieMargin) -> None:
    equity = account.equity_wad(account.prices, account.at_s)
    step = 10 ** (18 - account.collateral_token.decimals)
    assert equity % step == 0
    fine = replace(account, collateral_token=Token(ZERO, "fine", 18))
    assert 0 <= fine.equity_wad(account.prices, account.at_s) - equity < step


@given(accounts(), st.integers(0, 10**7), st.integers(0, 10**7))
def test_funding_grows_with_time_at_a_steady_rate(account: CurieMargin, first: int, second: int) -> None:
    for leg in account.legs:
        together = leg.funding_at(first + second) - leg.funding_wad
        apart = leg.funding_at(first) + leg.funding_at(second) - 2 * leg.funding_wad
        assert 0 <= apart - together <= 1  # rounded against us once or twice


@given(accounts(), SIZES, PRICES)
def test_a_trade_at_the_mark_leaves_equity_as_it_was(account: CurieMargin, size: int, price: int) -> None:
    market = account.legs[0].market
    prices = {**account.prices, market: price}
    after = account.traded(market, size, price)
    step = 10 ** (18 - account.collateral_token.decimals)
    change = after.equity_wad(prices, account.at_s) - account.equity_wad(prices, account.at_s)
    assert -step - 2 <= change <= step
    assert after.legs[0].size_wad == account.legs[0].size_wad + size
    assert after.removable_wad <= account.removable_wad


@given(accounts(), st.integers(1, 100 * WAD), PRICES, st.booleans())
def test_a_worse_price_is_never_better_for_the_account(
    account: CurieMargin, size: int, price: int, is_buy: bool
) -> None:
    market = account.legs[0].market
    signed = size if is_buy else -size
    worse = price + WAD if is_buy else price - WAD
    good, bad = account.traded(market, signed, price), account.traded(market, signed, worse)
    assert bad.equity_wad(account.prices, account.at_s) <= good.equity_wad(account.prices, account.at_s)


@given(accounts())
def test_a_flip_has_the_closed_form(account: CurieMargin) -> None:
    account = replace(
        account,
        legs=account.legs[:1],
        collateral_token=Token(ZERO, "fine", 18),
        marks=frozen({account.legs[0].market: account.marks[account.legs[0].market]}),
    )
    (leg,) = account.legs
    now = account.prices[leg.market]
    if abs(leg.size_wad) < WAD or account.is_liquidatable(account.prices, account.at_s):
        return
    flip = solve_price(account, leg.market, "down" if leg.size_wad > 0 else "up")
    money = account.balance_wad + account.owed_wad + account.pending_fee_wad
    money += leg.open_notional_wad - leg.funding_wad
    maintenance = account.maintenance_ppm if leg.size_wad > 0 else -account.maintenance_ppm
    exact = -money * WAD * 10**6 // (leg.size_wad * (10**6 - maintenance) // 1)
    if exact <= 0 or exact > 16 * now:
        assert flip is None or flip.price_wad <= 10**6
        return
    assert flip is not None
    assert abs(flip.price_wad - exact) <= 10 + exact // 10**15


@given(accounts(), st.sampled_from([0.1, 0.25]))
def test_risk_finds_the_collateral_that_makes_it_safe(account: CurieMargin, distance: float) -> None:
    missing = collateral_to(account, distance)
    safe = replace(account, balance_wad=account.balance_wad + missing)
    assert collateral_to(safe, distance) <= 10 ** (18 - account.collateral_token.decimals)


def test_the_requirement_is_the_sum_over_markets_and_rounds_down() -> None:
    legs = tuple(
        Leg(market, "ETH", size, 0, 0, 0) for market, size in zip(MARKETS, (3 * WAD + 1, -WAD), strict=True)
    )
    account = CurieMargin(
        Token(ZERO, "USDC", 6),
        0,
        0,
        0,
        0,
        legs,
        62_500,
        100_000,
        25_000,
        0,
        frozen(dict.fromkeys(MARKETS, 7 * WAD + 3)),
    )
    first = mul_div_down(3 * WAD + 1, 7 * WAD + 3, WAD)
    assert account.requirement_wad(account.prices, 0) == (first + 7 * WAD + 3) * 62_500 // 10**6
    assert account.asset == "ETH"
