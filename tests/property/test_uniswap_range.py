"""What must hold for any range of liquidity, any fees and any pool, without a chain."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.market.instrument import LiquidityRange
from agent.market.intent import Reduce, Trade
from agent.market.offer import Offer
from agent.pricing.pool import Pool
from agent.pricing.tick import sqrt_price_x96, tick_at
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_down, mul_up, rescale_down, rescale_up
from agent.venues.deployments import UniswapDeployment
from agent.venues.uniswap.margin import Q128, WORD, Claim, Range, growth_inside_x128
from agent.venues.uniswap.offer import Terms, UniswapOffer
from agent.venues.uniswap.reader import UNISWAP
from agent.venues.uniswap.state import Holding, PoolView, UniswapState
from agent.venues.uniswap.writer import write

MARKET = MarketId("uniswap:pool")
ASSET, QUOTE, ROUTER, MANAGER, ACCOUNT = (Address("0x" + f"{n}{n}" * 20) for n in range(1, 6))
DEPLOYMENT = UniswapDeployment(factory=ROUTER, position_manager=MANAGER, swap_router=ROUTER, pools=())
SPACING = 60
TICKS = st.integers(-2_000, 2_000)  # times the spacing: prices from 1e-5 to 1e5 in raw units
LIQUIDITY = st.integers(1, 10**30)
GROWTH = st.integers(0, WORD - 1)


def terms(is_asset_first: bool = True, asset_decimals: int = 18, quote_decimals: int = 18) -> Terms:
    return Terms(
        MARKET,
        "ETH",
        Token(ASSET, "ETH", asset_decimals),
        Token(QUOTE, "USD", quote_decimals),
        is_asset_first,
        3_000,
    )


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    lower, upper = sorted(draw(st.tuples(TICKS, TICKS).filter(lambda pair: pair[0] != pair[1])))
    return Range(lower * SPACING, upper * SPACING, draw(LIQUIDITY))


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """A price and the liquidity there, with some that begins and ends around it."""
    tick = draw(st.integers(-100_000, 100_000))
    low, high = sqrt_price_x96(tick), sqrt_price_x96(tick + 1) - 1
    base = draw(st.integers(10**20, 10**26))
    around = draw(st.lists(st.integers(-30, 30), max_size=6, unique=True))
    ticks = tuple(sorted((tick // SPACING + offset) * SPACING for offset in around))
    nets = tuple(draw(st.integers(-base // 10, base // 10)) for _ in ticks)
    return Pool(draw(st.integers(low, high)), tick, base, SPACING, ticks, nets)


# --- ranges ------------------------------------------------------------------------------------------


@given(ranges(), TICKS)
def test_a_range_is_one_token_outside_and_both_inside(held: Range, at: int) -> None:
    tick = at * SPACING
    first, second = held.amounts(sqrt_price_x96(tick))
    if tick <= held.lower_tick:
        assert second == 0
    if tick >= held.upper_tick:
        assert first == 0
    assert held.is_active(tick) == (held.lower_tick <= tick < held.upper_tick)
    outside = held.amounts(sqrt_price_x96(held.lower_tick)), held.amounts(sqrt_price_x96(held.upper_tick))
    assert 0 <= first <= outside[0][0]
    assert 0 <= second <= outside[1][1]


@given(ranges(), st.integers(1, 100))
def test_parts_of_a_range_never_hold_more_than_the_whole(held: Range, percent: int) -> None:
    part = held.liquidity * percent // 100
    middle = sqrt_price_x96((held.lower_tick + held.upper_tick) // 2)
    whole = held.amounts(middle)
    pieces = [replace(held, liquidity=size).amounts(middle) for size in (part, held.liquidity - part)]
    for side in (0, 1):
        assert 0 <= whole[side] - sum(piece[side] for piece in pieces) <= 2


@given(
    held=ranges(),
    at=st.floats(-0.3, 1.3),
    is_asset_first=st.booleans(),
    asset_decimals=st.sampled_from([6, 18]),
    quote_decimals=st.sampled_from([6, 18]),
)
def test_delta_and_gamma_are_the_slopes_of_the_value(
    held: Range, at: float, is_asset_first: bool, asset_decimals: int, quote_decimals: int
) -> None:
    said = terms(is_asset_first, asset_decimals, quote_decimals)
    width = held.upper_tick - held.lower_tick
    tick = held.lower_tick + round(at * width)
    step = 10
    assume(min(abs(tick - held.lower_tick), abs(tick - held.upper_tick)) > 2 * step)
    held = replace(held, liquidity=10**32)  # enough that units are small
    positions = []
    for where in (tick - step, tick, tick + step):
        view = PoolView(said, Pool(sqrt_price_x96(where), where, 10**32, SPACING, (), ()), 0, 0)
        holding = Holding(7, view, held, (0, 0))
        unit = 10.0 ** (quote_decimals - asset_decimals)
        root = (sqrt_price_x96(where) / 2**96) ** 2
        price = (root if is_asset_first else 1 / root) / unit
        asset, quote = holding.amounts
        delta = asset / 10**asset_decimals
        positions.append((price, delta, delta * price + quote / 10**quote_decimals, holding.position))
    (p0, d0, v0, _), (price, _, value, position), (p2, d2, v2, _) = positions
    assume(position.mark_wad > 10**9)  # else the price itself is coarse
    slope, bend = (v2 - v0) / (p2 - p0), (d2 - d0) / (p2 - p0)
    assert slope == pytest.approx(position.greeks.delta, rel=5e-3, abs=1e-6 * value / price)
    assert bend == pytest.approx(position.greeks.gamma, rel=1e-4, abs=1e-7 * value / price**2)
    assert position.greeks.gamma <= 0 <= position.greeks.delta
    instrument = position.instrument
    assert isinstance(instrument, LiquidityRange)
    assert instrument.lower_price_wad <= instrument.upper_price_wad


# --- fees --------------------------------------------------------------------------------------------


@given(ranges(), TICKS, GROWTH, GROWTH, GROWTH, st.integers(0, 2**100))
def test_growth_is_inside_while_the_range_is_active_and_nowhere_else(
    held: Range, at: int, total: int, lower: int, upper: int, more: int
) -> None:
    """Whatever the three counters say, for they wrap around: only the change counts."""
    tick = at * SPACING
    inside = partial(growth_inside_x128, held, tick, at_lower_x128=lower, at_upper_x128=upper)
    grown = (inside(total_x128=(total + more) % WORD) - inside(total_x128=total)) % WORD
    assert grown == (more if held.is_active(tick) else 0)


@given(ranges(), GROWTH, GROWTH, GROWTH)
def test_crossing_a_tick_changes_nothing_inside(held: Range, total: int, lower: int, upper: int) -> None:
    """The pool turns a tick's counter into the total less it when the price crosses it (Tick.cross)."""
    before = growth_inside_x128(held, held.lower_tick - 1, total, lower, upper)
    after = growth_inside_x128(held, held.lower_tick, total, (total - lower) % WORD, upper)
    assert before == after
    before = growth_inside_x128(held, held.upper_tick - 1, total, lower, upper)
    after = growth_inside_x128(held, held.upper_tick, total, lower, (total - upper) % WORD)
    assert before == after


@given(LIQUIDITY, GROWTH, st.integers(0, Q128), st.integers(0, 2**90), st.integers(0, 2**90))
def test_fees_booked_twice_are_never_more_than_booked_once(
    liquidity: int, growth: int, owed: int, first: int, second: int
) -> None:
    once = Claim(liquidity, growth, owed)
    middle = (growth + first) % WORD
    booked = Claim(liquidity, middle, once.now(middle))
    end = (middle + second) % WORD
    assert 0 <= (once.now(end) - booked.now(end)) % Q128 <= 1
    assert once.now(growth) == owed % Q128
    assert Claim(0, growth, owed).now(end) == owed % Q128


# --- trading -----------------------------------------------------------------------------------------


@given(
    pool=pools(),
    is_asset_first=st.booleans(),
    asset_decimals=st.sampled_from([6, 8, 18]),
    share=st.floats(1e-9, 1),
    is_sale=st.booleans(),
)
def test_an_offer_never_gives_and_what_it_says_agrees_with_itself(
    pool: Pool, is_asset_first: bool, asset_decimals: int, share: float, is_sale: bool
) -> None:
    offer = UniswapOffer(terms(is_asset_first, asset_decimals), pool)
    plain: Offer = offer
    most = plain.max_sell_wad if is_sale else plain.max_buy_wad
    size = int(most * share) * (-1 if is_sale else 1)
    assert plain.cost_wad(size) >= 0
    assert plain.cash_need_wad(size) == rescale_up(offer.quote_raw(size), 18, 18)
    if offer.raw_size(size):
        assert (offer.quote_raw(size) >= 0) != is_sale or offer.quote_raw(size) == 0
        assert rescale_down(offer.raw_size(size), asset_decimals, 18) <= abs(size)
    assert (plain.cost_wad(0), plain.cash_need_wad(0), plain.margin_need_wad(size)) == (0, 0, 0)
    back = offer.quote_raw(abs(size)) + offer.quote_raw(-abs(size))
    assert back >= 0  # what is bought and sold again is paid for


@given(pool=pools(), is_asset_first=st.booleans(), times=st.integers(2, 1_000))
def test_what_the_pool_cannot_fill_costs_more_than_its_worth(
    pool: Pool, is_asset_first: bool, times: int
) -> None:
    offer = UniswapOffer(terms(is_asset_first), pool)
    for size in (offer.max_buy_wad * times, -offer.max_sell_wad * times):
        assert offer.cash_need_wad(size) >= mul_down(size, offer.price_wad)


def _state(pool: Pool, said: Terms, held: Range | None = None, allowance: int = 2**256 - 1) -> UniswapState:
    view = PoolView(said, pool, allowance, allowance)
    return UniswapState((view,), () if held is None else (Holding(7, view, held, (0, 0)),))


@given(
    size=st.integers(10**12, 10**24).flatmap(lambda n: st.sampled_from([n, -n])),
    limit=st.integers(1, 10**24),
    asset_decimals=st.sampled_from([6, 8, 18]),
    quote_decimals=st.sampled_from([6, 8, 18]),
    is_asset_first=st.booleans(),
)
def test_a_trades_bound_is_never_looser_than_its_limit_price(
    size: int, limit: int, asset_decimals: int, quote_decimals: int, is_asset_first: bool
) -> None:
    said = terms(is_asset_first, asset_decimals, quote_decimals)
    state = _state(Pool(2**96, 0, 10**24, SPACING, (), ()), said)
    (call,) = write(DEPLOYMENT, state, Trade("uniswap", MARKET, size, limit), ACCOUNT, 99).calls
    name = "exactOutputSingle" if size > 0 else "exactInputSingle"
    traded = rescale_down(abs(size), 18, asset_decimals)
    exact_wad = rescale_down(traded, asset_decimals, 18)
    if size > 0:
        bound = rescale_down(mul_down(exact_wad, limit), 18, quote_decimals)
        assert rescale_down(bound, quote_decimals, 18) * WAD <= exact_wad * limit
        pair = (QUOTE, ASSET)
    else:
        bound = rescale_up(mul_up(exact_wad, limit), 18, quote_decimals)
        assert rescale_down(bound, quote_decimals, 18) * WAD >= exact_wad * limit
        pair = (ASSET, QUOTE)
    assert call.data == UNISWAP[name].encode((*pair, 3_000, ACCOUNT, 99, traded, bound, 0))
    assert call.target == ROUTER


@given(pools(), st.integers(1, 10**30), st.integers(1, 120), st.integers(0, 10**22), st.booleans())
def test_a_reduction_never_takes_more_than_there_is_nor_accepts_more_loss_than_allowed(
    pool: Pool, liquidity: int, percent: int, max_cost: int, is_asset_first: bool
) -> None:
    lower = (pool.tick // SPACING - 3) * SPACING
    held = Range(lower, lower + 7 * SPACING, liquidity)
    assume(tick_at(pool.sqrt_x96) == pool.tick)
    size = max(1, liquidity * percent // 100)
    state = _state(pool, terms(is_asset_first), held)
    order = write(DEPLOYMENT, state, Reduce("uniswap", "uniswap:7", size, max_cost), ACCOUNT, 99)
    taken = min(size, liquidity)
    asset, quote = terms(is_asset_first).in_order(*replace(held, liquidity=taken).amounts(pool.sqrt_x96))
    price = state.pools[0].price_wad
    slack_asset = -(-max_cost * WAD // max(1, price))
    least = terms(is_asset_first).in_order(max(0, asset - slack_asset), max(0, quote - max_cost))
    decrease, collect = order.calls
    assert decrease.data == UNISWAP["decreaseLiquidity"].encode((7, taken, *least, 99))
    assert collect.data == UNISWAP["collect"].encode((7, ACCOUNT, 2**128 - 1, 2**128 - 1))
    assert (order.post[0].lower, order.post[0].upper) == (liquidity - taken, liquidity - taken)
    assert (order.post[1].lower, order.post[1].upper) == (0, 0)
