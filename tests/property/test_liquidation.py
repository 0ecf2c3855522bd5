"""The solver against accounts whose flips are known, and against the venues' own margin formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.market.instrument import LiquidityRange
from agent.market.margin import CollateralKind, MarginAccount, Prices
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.pricing.pool import Pool
from agent.pricing.tick import sqrt_price_x96
from agent.risk.assessment import AccountRisk, Assessment, assess
from agent.risk.limits import Bounds
from agent.risk.liquidation import (
    DIRECTIONS,
    TOP,
    Direction,
    Flip,
    shocked,
    solve_joint,
    solve_price,
    solve_time,
)
from agent.risk.remedy import collateral_to
from agent.values.address import ZERO, ChainId, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.fixed import WAD
from agent.venues.curie.margin import CurieMargin, frozen
from agent.venues.lyra.margin import OptionType, ShortOption
from agent.venues.uniswap.margin import Range
from agent.venues.uniswap.offer import Terms
from agent.venues.uniswap.state import Holding, PoolView, UniswapState
from tests.property.test_curie_margin import accounts as curie_accounts
from tests.property.test_lyra_margin import shorts as lyra_shorts

A, B = MarketId("made:a"), MarketId("made:b")
CASH = Token(ZERO, "USD", 18)
NOW_S = 1_750_000_000
WAD_PRICES = st.integers(WAD // 1000, 10**6 * WAD)
FINE = 250
ANY = settings(deadline=None)

M = TypeVar("M", CurieMargin, ShortOption)


@dataclass(frozen=True)
class Made:
    """An account of posted money, and a requirement that is any function of prices and time."""

    needs: Callable[[Prices, int], int]
    prices: Prices
    collateral_wad: int = 0
    price_step_wad: int = 1
    at_s: int = NOW_S
    key: str = "made:1"
    venue: str = "made"
    asset: str = "ETH"
    collateral_token: Token = CASH
    collateral_kind: CollateralKind = CollateralKind.QUOTE
    removable_wad: int = 0

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        del prices, at_s
        return self.collateral_wad

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        return self.needs(prices, at_s)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        return self.collateral_wad < self.needs(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        return "needs" if self.is_liquidatable(prices, at_s) else "nothing"

    def __repr__(self) -> str:
        return f"Made({dict(self.prices)}, {self.collateral_wad})"


def threshold(edge: int, direction: Direction, now: int, step: int = 1) -> Made:
    """Liquidatable from ``edge`` on, outward, and nowhere else."""

    def needs(prices: Prices, at_s: int) -> int:
        del at_s
        return int(prices[A] <= edge if direction == "down" else prices[A] >= edge)

    return Made(needs, {A: now}, price_step_wad=step)


def assert_is_the_accounts_own(account: MarginAccount, market: MarketId, flip: Flip | None) -> None:
    """The contract liquidates at the flip, and a wei nearer it does not."""
    assert flip is not None
    now = account.prices[market]
    towards = 1 if flip.direction == "down" else -1
    at = {**account.prices, market: flip.price_wad}
    assert account.is_liquidatable(at, account.at_s)
    assert flip.binding == account.binding(at, account.at_s)
    assert flip.distance == pytest.approx(abs(now - flip.price_wad) / now, rel=1e-12)
    assert flip.ratio_wad == flip.price_wad * WAD // now
    if flip.distance == 0.0 and flip.tolerance_wad == 0:
        assert flip.price_wad == now
        return
    nearer = {**account.prices, market: flip.price_wad + towards * flip.tolerance_wad}
    assert 1 <= flip.tolerance_wad <= account.price_step_wad
    assert not account.is_liquidatable(nearer, account.at_s)


def assert_nothing_is_nearer(
    account: MarginAccount, market: MarketId, direction: Direction, flip: Flip | None
) -> None:
    """On a fine grid from the present price to the flip, or to where the search ends."""
    now = account.prices[market]
    last = 0 if direction == "down" else now * TOP // WAD
    end = last if flip is None else flip.price_wad
    for step in range(FINE + (flip is None)):
        price = now + (end - now) * step // FINE
        if flip is not None and abs(price - now) >= abs(end - now):
            break
        assert not is_clearly_liquidatable(account, {**account.prices, market: price})


def is_clearly_liquidatable(account: MarginAccount, prices: Prices) -> bool:
    """By more than a unit of its token: an account that is worth less than that flips at every rounding."""
    unit = 10 ** (18 - account.collateral_token.decimals)
    short_of = account.requirement_wad(prices, account.at_s) - account.equity_wad(prices, account.at_s)
    return account.is_liquidatable(prices, account.at_s) and (short_of > unit or unit == 1)


# --- accounts whose flips are known ------------------------------------------------------------------


@ANY
@given(now=WAD_PRICES, ratio=st.fractions(0, 16), direction=st.sampled_from(DIRECTIONS))
def test_the_one_flip_of_an_account_is_found_to_the_wei(
    now: int, ratio: Fraction, direction: Direction
) -> None:
    edge = int(now * ratio)
    is_ahead = edge < now if direction == "down" else edge > now
    account = threshold(edge, direction, now)
    flip = solve_price(account, A, direction)
    assert_is_the_accounts_own(account, A, flip)
    assert flip is not None
    assert flip.price_wad == (edge if is_ahead else now)
    assert (flip.distance == 0.0) == (not is_ahead)
    other = solve_price(account, A, "up" if direction == "down" else "down")
    if is_ahead:
        assert other is None
    else:  # liquidatable now is liquidatable whichever way one looks
        assert other is not None
        assert (other.distance, other.price_wad) == (0.0, now)


@ANY
@given(now=WAD_PRICES, step=st.integers(1, 10**12), percent=st.integers(1, 99))
def test_a_coarse_oracle_is_not_searched_more_finely_than_it_moves(now: int, step: int, percent: int) -> None:
    edge = now * percent // 100
    account = threshold(edge, "down", now, step)
    flip = solve_price(account, A, "down")
    assert_is_the_accounts_own(account, A, flip)
    assert flip is not None
    assert 0 <= edge - flip.price_wad < step


@ANY
@given(now=WAD_PRICES, direction=st.sampled_from(DIRECTIONS), beyond=st.integers(1, 10**30))
def test_an_account_that_nothing_liquidates_has_no_flip(now: int, direction: Direction, beyond: int) -> None:
    never = Made(lambda prices, at_s: 0, {A: now})
    assert solve_price(never, A, direction) is None
    assert solve_joint(never, direction) is None
    assert solve_time(never) is None
    far = threshold(now * TOP // WAD + beyond, "up", now)
    assert solve_price(far, A, direction) is None  # beyond sixteen times


@ANY
@given(now=WAD_PRICES, direction=st.sampled_from(DIRECTIONS), markets=st.integers(1, 3))
def test_an_account_that_can_be_liquidated_now_is_at_distance_nothing(
    now: int, direction: Direction, markets: int
) -> None:
    prices = {MarketId(f"made:{index}"): now + index for index in range(markets)}
    lost = Made(lambda prices, at_s: 1, prices)
    for flip in (solve_joint(lost, direction), solve_price(lost, MarketId("made:0"), direction)):
        assert flip is not None
        assert (flip.distance, flip.price_wad, flip.ratio_wad, flip.tolerance_wad) == (0.0, now, WAD, 0)
        assert flip.binding == "needs"
    assert solve_time(lost) == 0.0


# Ratios of the search's own grid, as its comment says it: two percent apart, wider above twice the price.
GRID_DOWN = [Fraction(50 - step, 50) for step in range(50)]
GRID_UP = [Fraction(50 + step, 50) for step in range(51)] + [Fraction(20 + step, 10) for step in range(1, 21)]


@ANY
@given(
    now=WAD_PRICES,
    direction=st.sampled_from(DIRECTIONS),
    cells=st.lists(st.integers(0, 48), min_size=1, max_size=6, unique=True),
    parts=st.lists(st.fractions(0, Fraction(99, 100)), min_size=6, max_size=6),  # inside their own step
)
def test_of_many_flips_the_nearest_is_found(
    now: int, direction: Direction, cells: list[int], parts: list[Fraction]
) -> None:
    """The account goes in and out of danger, at most once between two steps of the search."""
    grid = GRID_DOWN if direction == "down" else GRID_UP
    edges = [
        int(now * (grid[cell] + (grid[cell + 1] - grid[cell]) * part))
        for cell, part in zip(sorted(cells), parts, strict=False)
    ]
    sign = -1 if direction == "down" else 1

    def needs(prices: Prices, at_s: int) -> int:
        del at_s
        return sum((prices[A] - edge) * sign > 0 for edge in edges) % 2

    account = Made(needs, {A: now})
    flip = solve_price(account, A, direction)
    assert_is_the_accounts_own(account, A, flip)
    assert_nothing_is_nearer(account, A, direction, flip)
    assert flip is not None
    assert flip.price_wad == edges[0] + sign
    away = solve_price(account, A, "up" if direction == "down" else "down")
    assert away is None


@ANY
@given(
    first=WAD_PRICES,
    second=WAD_PRICES,
    ratio=st.fractions(Fraction(1, 100), 15),
    direction=st.sampled_from(DIRECTIONS),
)
def test_a_joint_move_moves_every_market_by_the_same_ratio(
    first: int, second: int, ratio: Fraction, direction: Direction
) -> None:
    edge = int((first + second) * ratio)
    assume(edge < first + second if direction == "down" else edge > first + second)

    def needs(prices: Prices, at_s: int) -> int:
        del at_s
        total = prices[A] + prices[B]
        return int(total <= edge if direction == "down" else total >= edge)

    account = Made(needs, {A: first, B: second})
    flip = solve_joint(account, direction)
    assert flip is not None
    towards = 1 if direction == "down" else -1
    assert account.is_liquidatable(shocked(account.prices, flip.ratio_wad), NOW_S)
    assert not account.is_liquidatable(shocked(account.prices, flip.ratio_wad + towards), NOW_S)
    assert flip.market is None
    assert flip.price_wad == first * flip.ratio_wad // WAD
    assert flip.distance == pytest.approx(abs(1 - float(ratio)), abs=1e-12)
    assert flip.tolerance_wad * WAD >= first
    assert solve_joint(account, "up" if direction == "down" else "down") is None


@ANY
@given(now=WAD_PRICES, other=WAD_PRICES, percent=st.integers(2, 99))
def test_one_market_is_moved_while_the_others_are_held(now: int, other: int, percent: int) -> None:
    edge = now * percent // 100
    account = Made(lambda prices, at_s: int(prices[A] <= edge and prices[B] == other), {A: now, B: other})
    flip = solve_price(account, A, "down")
    assert_is_the_accounts_own(account, A, flip)
    assert flip is not None
    assert (flip.market, flip.price_wad) == (A, edge)
    assert solve_price(account, B, "down") is None


@ANY
@given(
    after=st.integers(1, 400 * 86_400), span=st.integers(6 * 86_400, 400 * 86_400), when=st.integers(0, 10**6)
)
def test_time_is_solved_to_the_second(after: int, span: int, when: int) -> None:
    def needs(prices: Prices, at_s: int) -> int:
        del prices
        return int(after <= at_s - when <= after + span)

    hours = solve_time(Made(needs, {A: WAD}, at_s=when))
    assert hours == (None if after > 365 * 86_400 else after / 3600)


@ANY
@given(now=WAD_PRICES, late=st.integers(1, 10**6))
def test_a_flip_can_be_asked_for_at_another_time(now: int, late: int) -> None:
    account = Made(lambda prices, at_s: int(prices[A] * 2 <= now and at_s >= NOW_S + late), {A: now})
    assert solve_price(account, A, "down") is None
    assert solve_joint(account, "down", NOW_S + late - 1) is None
    flip = solve_price(account, A, "down", NOW_S + late)
    assert flip is not None
    assert flip.price_wad == now // 2
    assert solve_joint(account, "down", NOW_S + late) == flip


# --- the venues' accounts ----------------------------------------------------------------------------


@ANY
@given(account=curie_accounts(), direction=st.sampled_from(DIRECTIONS))
def test_a_perpetual_accounts_flip_is_its_own(account: CurieMargin, direction: Direction) -> None:
    for leg in account.legs:
        flip = solve_price(account, leg.market, direction)
        if flip is not None:
            assert_is_the_accounts_own(account, leg.market, flip)
        assert_nothing_is_nearer(account, leg.market, direction, flip)


@ANY
@given(account=curie_accounts(), direction=st.sampled_from(DIRECTIONS))
def test_a_perpetual_accounts_joint_flip_is_its_own(account: CurieMargin, direction: Direction) -> None:
    flip = solve_joint(account, direction)
    end = (0 if direction == "down" else TOP) if flip is None else flip.ratio_wad
    for step in range(1, FINE):
        ratio = WAD + (end - WAD) * step // FINE
        if flip is None or abs(ratio - WAD) < abs(end - WAD):
            assert not is_clearly_liquidatable(account, shocked(account.prices, ratio))
    if flip is not None:
        at = shocked(account.prices, flip.ratio_wad)
        at = at if flip.market is None else {flip.market: flip.price_wad}
        assert account.is_liquidatable(at, account.at_s)


@ANY
@given(short=lyra_shorts(), slack=st.integers(20 * WAD // 10**9, 100 * WAD))
def test_a_shorts_flip_is_its_own(short: ShortOption, slack: int) -> None:
    """With at least a billionth to spare: in the last wei the contract's own formula goes to and fro."""
    need = short.requirement_wad(short.prices, NOW_S)
    short = replace(short, collateral_wad=need + need * slack // (20 * WAD))
    for direction in DIRECTIONS:
        flip = solve_price(short, short.market, direction)
        if flip is not None:
            assert_is_the_accounts_own(short, short.market, flip)
        if direction == ("down" if short.option_type is OptionType.SHORT_PUT_QUOTE else "up"):
            assert_nothing_is_nearer(short, short.market, direction, flip)


# --- collateral to a distance ------------------------------------------------------------------------


def _with(account: M, more_wad: int) -> M:
    """With collateral in whole units of the token, rounded up."""
    unit = 10 ** (18 - account.collateral_token.decimals)
    paid = -(-more_wad // unit) * unit
    if isinstance(account, CurieMargin):
        return replace(account, balance_wad=account.balance_wad + paid)
    return replace(account, collateral_wad=account.collateral_wad + paid)


def _bad_within(account: MarginAccount, distance: float) -> list[Fraction]:
    """The ratios within the distance, its ends among them, at which the account is liquidatable."""
    exact = Fraction(distance)
    ratios = [1 + exact * step / 50 for step in range(-50, 51)]
    return [
        ratio
        for ratio in ratios
        if account.is_liquidatable(
            {market: int(price * max(Fraction(0), ratio)) for market, price in account.prices.items()},
            account.at_s,
        )
    ]


DISTANCES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.22, 0.25, 1 / 3, 1.0]), st.floats(1, 3))


@ANY
@given(account=curie_accounts(), distance=DISTANCES)
def test_a_perpetual_account_is_brought_to_the_distance_and_no_further(
    account: CurieMargin, distance: float
) -> None:
    missing = collateral_to(account, distance)
    assert _bad_within(_with(account, missing), distance) == []
    # Units of the token, and a wei of price and of ratio, are all that it may be too much.
    unit = 10 ** (18 - account.collateral_token.decimals)
    worth = sum(abs(leg.size_wad) * (WAD + account.prices[leg.market]) // WAD + 1 for leg in account.legs)
    assert _bad_within(_with(account, missing - 3 * unit - 2 * worth // WAD - 2), distance) != []


@ANY
@given(short=lyra_shorts(), distance=DISTANCES)
def test_a_short_is_brought_to_the_distance_and_no_further(short: ShortOption, distance: float) -> None:
    missing = collateral_to(short, distance)
    safe = _with(short, missing)
    noise = short.amount_wad * (short.strike_wad + 4 * short.prices[short.market]) // WAD // 10**12 + 2
    if short.option_type is OptionType.SHORT_CALL_BASE:
        noise = short.amount_wad // 10**9 + 2
    assert _bad_within(_with(safe, noise), distance) == []  # the contract's formula has this much noise
    assume(safe.collateral_wad > 2 * noise)
    assert _bad_within(_with(safe, -2 * noise), distance) != []
    is_put = short.option_type is OptionType.SHORT_PUT_QUOTE
    ratio = max(Fraction(0), 1 - Fraction(distance)) if is_put else 1 + Fraction(distance)
    price = int(short.prices[short.market] * ratio)
    assert not _with(safe, noise).is_liquidatable({short.market: price}, NOW_S)


@ANY
@given(now=WAD_PRICES, posted=st.integers(0, 10**24), distance=st.floats(0.0, 4.0), is_call=st.booleans())
def test_the_answer_is_exact_for_a_requirement_that_is_the_price(
    now: int, posted: int, distance: float, is_call: bool
) -> None:
    """And the flip that is found then is beyond the distance, by next to nothing."""

    def needs(prices: Prices, at_s: int) -> int:
        del at_s
        return prices[A] if is_call else max(0, 10 * now - prices[A])

    account = Made(needs, {A: now}, posted)
    missing = collateral_to(account, distance)
    safe = replace(account, collateral_wad=posted + missing)
    assert _bad_within(safe, distance) == []
    flip = solve_price(safe, A, "up" if is_call else "down")
    if is_call or distance < 1:
        assert flip is not None
        assert distance <= flip.distance <= distance + 5 / now + 1e-15
    else:
        assert flip is None


@ANY
@given(now=WAD_PRICES, posted=st.integers(0, 10**24))
def test_what_could_be_taken_out_is_said_as_less_than_nothing(now: int, posted: int) -> None:
    account = Made(lambda prices, at_s: 5, {A: now}, posted)
    assert posted + collateral_to(account, 0.3) == 6


# --- the assessment ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MadeState:
    """A venue with these accounts."""

    margins: tuple[MarginAccount, ...]
    venue: str = "made"
    quotes: tuple[Quote, ...] = ()
    positions: tuple[Position, ...] = ()
    offers: tuple[Offer, ...] = field(default=())


def _pool_state(liquidity: int = 10**22) -> UniswapState:
    terms = Terms(MarketId("uniswap:1"), "ETH", Token(ZERO, "ETH", 18), Token(ZERO, "USD", 18), True, 3_000)
    view = PoolView(terms, Pool(sqrt_price_x96(76_000), 76_000, 10**24, 60, (), ()), 0, 0)
    return UniswapState((view,), (Holding(7, view, Range(75_000, 77_040, liquidity), (10**15, 10**18)),))


def _assess(*states: MadeState | UniswapState, floor: float = 0.0, band: float = 0.0) -> Assessment:
    block = Block(1, "0x" + "11" * 32, "0x" + "00" * 32, NOW_S, 0, 30_000_000)  # type: ignore[arg-type]
    snapshot = Snapshot(ChainId(1), ZERO, block, Wallet(0, ()), states)
    return assess(snapshot, Bounds({"ETH": band}, floor))


@ANY
@given(
    account=st.one_of(curie_accounts(), lyra_shorts()),
    floor=st.floats(0, 2),
)
def test_the_judges_account_is_the_nearer_of_both_directions(account: MarginAccount, floor: float) -> None:
    assessment = _assess(MadeState((account,)), floor=floor)
    (risk,) = assessment.accounts
    down, up = solve_joint(account, "down"), solve_joint(account, "up")
    assert (risk.down, risk.up) == (down, up)
    distances = [flip.distance for flip in (down, up) if flip is not None]
    assert risk.distance == assessment.distance == min(distances, default=math.inf)
    assert (risk.distance == 0.0) == account.is_liquidatable(account.prices, account.at_s)
    need = account.requirement_wad(account.prices, account.at_s)
    assert risk.equity_wad == account.equity_wad(account.prices, account.at_s)
    assert (risk.health < 1) == (risk.equity_wad < need) or need == 0
    assert (risk.health == math.inf) == (need <= 0)
    assert risk.binding == account.binding(account.prices, account.at_s)
    broken = [limit.name for limit in assessment.breached]
    assert (f"distance {account.key}" in broken) == (risk.distance < floor)
    if risk.distance == 0.0:
        assert risk.hours_to_liquidation == 0.0


@ANY
@given(st.lists(st.integers(2, 99), min_size=1, max_size=5))
def test_the_books_distance_is_its_nearest_accounts(percents: list[int]) -> None:
    made = [replace(threshold(WAD * p // 100, "down", WAD), key=f"made:{p}") for p in percents]
    assessment = _assess(MadeState(tuple(made)))
    risks: tuple[AccountRisk, ...] = assessment.accounts
    assert [risk.key for risk in risks] == [account.key for account in made]
    assert assessment.distance == pytest.approx(1 - max(percents) / 100, abs=1e-12)


def test_liquidity_cannot_be_liquidated_and_counts_all_the_same() -> None:
    state = _pool_state()
    (position,) = state.positions
    assert isinstance(position.instrument, LiquidityRange)
    assessment = _assess(state, floor=0.5, band=abs(position.greeks.delta) / 2)
    assert (assessment.accounts, assessment.distance) == ((), math.inf)
    assert assessment.by_asset == {"ETH": position.greeks}
    assert assessment.equity_usd == pytest.approx(position.value_wad / WAD)
    assert [limit.name for limit in assessment.breached] == ["net delta ETH"]
    assert assessment.delta_usd == pytest.approx(position.greeks.delta * position.mark_wad / WAD)
    assert _assess(_pool_state(0), floor=0.5).by_asset["ETH"] == Greeks(delta=0.001)


def test_gamma_and_vega_are_limited_only_where_a_band_says_so() -> None:
    block = Block(1, "0x" + "11" * 32, "0x" + "00" * 32, NOW_S, 0, 30_000_000)  # type: ignore[arg-type]
    snapshot = Snapshot(ChainId(1), ZERO, block, Wallet(0, ()), (_pool_state(),))
    (net,) = assess(snapshot, Bounds()).by_asset.values()
    assert net.gamma < 0
    for share, is_broken in ((0.9, True), (1.1, False)):
        bounds = Bounds({"ETH": 1e9}, gamma={"ETH": -net.gamma * share, "BTC": 0.0}, vega={"ETH": 1.0})
        judged = assess(snapshot, bounds)
        assert [limit.name for limit in judged.limits] == ["net delta ETH", "net gamma ETH", "net vega ETH"]
        assert [limit.name for limit in judged.breached] == ["net gamma ETH"] * is_broken


def test_an_account_without_markets_has_an_answer() -> None:
    empty = CurieMargin(CASH, WAD, 0, 0, 0, (), 62_500, 100_000, 25_000, NOW_S, frozen({}))
    assert (solve_joint(empty, "down"), solve_joint(empty, "up")) == (None, None)
    assert collateral_to(empty, 0.2) == -WAD + 1
    broke = replace(empty, balance_wad=0, owed_wad=-1)
    for flip in (solve_joint(broke, "down"), solve_joint(broke, "up")):
        assert flip is not None
        assert flip.distance == 0.0
