"""GMX's pieces that need no chain: powers, prices and their service, margins, requests, the stand-in."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import DecodeMismatch, RpcUnavailable
from agent.market.margin import CollateralKind
from agent.market.request import Phase
from agent.risk.liquidation import solve_price
from agent.sim.artifact import own_artifact
from agent.values.address import ZERO, Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD
from agent.venues.deployments import GmxDeployment, GmxMarket, GmxToken, load
from agent.venues.gmx.fragment import MARKET_DECREASE, MARKET_INCREASE
from agent.venues.gmx.margin import GmxMargin, Held, Priced
from agent.venues.gmx.market import Fees, Funding, Impact, Market, Pair, Side
from agent.venues.gmx.offer import acceptable, usd_for
from agent.venues.gmx.order import MAX_UINT, Placed, request_of, words_of
from agent.venues.gmx.power import FLOAT, apply_exponent, exp2_wad, log2_wad
from agent.venues.gmx.price import Price, unit_of_wad, wad_of_unit
from agent.venues.gmx.ticker import Tickers
from tests.abi import layouts

ROOT = Path(__file__).resolve().parents[3]
WETH, USDC, POOL = (Address("0x" + digit * 40) for digit in "123")
SIDE = Side(
    usd=Pair(0, 1_000_000 * FLOAT),
    tokens=Pair(0, 500 * WAD),
    funding_per_size=Pair(0, 0),
    claim_per_size=Pair(0, 0),
    borrowing=0,
    borrowed_at_s=0,
    optimal_usage=0,
    base_rate=0,
    above_rate=0,
    plain_rate=0,
    plain_exponent=FLOAT,
    reserve=FLOAT,
    interest_reserve=FLOAT,
    max_usd=10**38,
    max_profit=FLOAT,
    min_collateral_multiplier=0,
)
MARKET = Market(
    token=POOL,
    index_token=WETH,
    long_token=WETH,
    short_token=USDC,
    longs=SIDE,
    shorts=SIDE,
    funding=Funding(0, 0, 0, 0, 0, 0, 0, 0, 0, FLOAT),
    impact=Impact(Pair(0, 0), Pair(FLOAT, FLOAT), Pair(0, 0), 0),
    fees=Fees(Pair(0, 0), 0, FLOAT // 100, FLOAT // 100, FLOAT, FLOAT),
    pool=Pair(10_000 * WAD, 10**13),
    impact_pool=0,
    lent_impact=0,
    max_lendable=0,
    max_lendable_usd=0,
    counts_tokens=False,
    spares_smaller=True,
)


def margin_of(market: Market, held: Held, *, in_weth: bool, spread: int = 0) -> GmxMargin:
    price = Price(2_000 * 10**12 - spread, 2_000 * 10**12 + spread)
    index = Priced(MarketId("gmx:0x3"), 18, "ETH", price)
    dollar = Priced(MarketId("gmx:token:0x2"), 6, "", Price(10**24, 10**24))
    token = Token(WETH, "WETH", 18) if in_weth else Token(USDC, "USDC", 6)
    return GmxMargin(b"\1" * 32, market, held, (index, index, dollar), token, 1_000)


def held_of(*, is_long: bool, in_weth: bool, dollars: int = 20_000, **changes: object) -> Held:
    collateral = 2 * WAD if in_weth else 4_000 * 10**6
    plain = Held(dollars * FLOAT, dollars * WAD // 2_000, collateral, 0, 0, 0, is_long)
    return replace(plain, **changes)  # type: ignore[arg-type]


# --- powers -------------------------------------------------------------------------------------------


@given(st.integers(min_value=WAD, max_value=10**12 * WAD))
@settings(max_examples=40)
def test_logarithms_and_powers_are_near_the_truth_and_never_above_a_power_of_two(value_wad: int) -> None:
    exponent = log2_wad(value_wad)
    back = exp2_wad(exponent)
    assert back <= value_wad * (1 + Fraction(1, 10**15)) + 2
    assert back >= value_wad * (1 - Fraction(1, 10**14)) - 2


def test_a_square_is_as_inexact_as_the_librarys_own() -> None:
    assert exp2_wad(0) == WAD
    assert exp2_wad(10 * WAD) == 1_024 * WAD
    assert log2_wad(1_024 * WAD) == 10 * WAD
    square = apply_exponent(1_234 * FLOAT, 2 * FLOAT)
    assert square != 1_234**2 * FLOAT
    assert abs(square - 1_234**2 * FLOAT) < FLOAT // 10**9


# --- prices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_a_price_goes_into_the_protocols_unit_and_back(decimals: int) -> None:
    price_wad = 60_123 * WAD + 123_456_000_000
    back = wad_of_unit(unit_of_wad(price_wad, decimals), decimals)
    assert 0 <= price_wad - back < max(1, 10 ** (decimals - 12))


@given(st.integers(1, 10**18), st.integers(0, 10**6), st.integers(1, 10**19))
def test_a_spread_moves_with_its_middle_and_stays_in_order(middle: int, half: int, other: int) -> None:
    price = Price(middle, middle + 2 * half)
    moved = price.at(other)
    assert 1 <= moved.low <= moved.high or other < middle
    assert price.at(price.middle) == price


def test_an_acceptable_price_leaves_room_for_the_fee() -> None:
    fee = FLOAT // 1_000
    buys, sells = (acceptable(2_000 * WAD, fee, 18, buys=side) for side in (True, False))
    assert buys * (FLOAT + fee) <= 2_000 * 10**12 * FLOAT < (buys + 1) * (FLOAT + fee)
    assert sells * (FLOAT - fee) >= 2_000 * 10**12 * FLOAT > (sells - 2) * (FLOAT - fee)


@given(st.integers(1, 10**21), st.integers(1, 10**21), st.integers(10**30, 10**38), st.booleans())
def test_the_dollars_of_some_tokens_take_out_just_those(
    part: int, rest: int, usd: int, is_long: bool
) -> None:
    whole = part + rest
    size = usd_for(part, usd, whole, is_long=is_long)
    assert 0 <= size <= usd


# --- the margin ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_long", "in_weth", "flip"),
    [(True, False, 1_620), (True, True, 1_683 + Fraction(1, 3)), (False, False, 2_380), (False, True, 2_475)],
)
def test_flips_are_where_the_closed_forms_are(is_long: bool, in_weth: bool, flip: Fraction) -> None:
    """long/USDC (S + R - C u) / T, long/WETH (S + R) / (T + C), and the two of shorts; R is one percent."""
    margin = margin_of(MARKET, held_of(is_long=is_long, in_weth=in_weth), in_weth=in_weth)
    found = solve_price(margin, margin.tokens[0].market, "down" if is_long else "up")
    assert found is not None
    assert abs(found.price_wad - flip * WAD) <= 2 * margin.price_step_wad  # there it is still enough
    assert found.tolerance_wad <= margin.price_step_wad
    assert margin.collateral_kind is (CollateralKind.BASE if in_weth else CollateralKind.QUOTE)


@given(st.integers(200, 8_000), st.booleans(), st.booleans(), st.integers(0, 10**12))
def test_headroom_is_below_nothing_just_when_it_is_liquidatable(
    dollars: int, is_long: bool, in_weth: bool, spread: int
) -> None:
    held = held_of(is_long=is_long, in_weth=in_weth)
    margin = margin_of(MARKET, held, in_weth=in_weth, spread=spread)
    prices = {**margin.prices, margin.tokens[0].market: dollars * WAD}
    gap = margin.equity_wad(prices, 0) - margin.requirement_wad(prices, 0)
    assert (gap < 0) is margin.is_liquidatable(prices, 0)


@given(st.integers(1, 10**9), st.booleans())
@settings(max_examples=40)
def test_paying_in_raises_equity_by_exactly_as_much(units: int, in_weth: bool) -> None:
    margin = margin_of(MARKET, held_of(is_long=True, in_weth=in_weth), in_weth=in_weth)
    more = replace(margin, held=replace(margin.held, collateral=margin.held.collateral + units))
    gained = more.equity_wad(margin.prices, 0) - margin.equity_wad(margin.prices, 0)
    assert gained == units * 10 ** (18 - margin.token.decimals)


def test_the_smaller_side_pays_no_borrowing_and_the_kink_is_steeper() -> None:
    side = replace(SIDE, optimal_usage=FLOAT // 5, base_rate=10**20, above_rate=10**22)
    less = replace(side, usd=Pair(0, 900_000 * FLOAT))
    market = replace(MARKET, longs=side, shorts=less)
    margin = margin_of(market, held_of(is_long=True, in_weth=False), in_weth=False)
    prices = margin.market_prices(margin.prices)
    assert market.borrowing_rate(prices, is_long=False) == 0
    low = market.borrowing_rate(prices, is_long=True)
    full = replace(market, pool=Pair(2_000 * WAD, 10**13))
    high = full.borrowing_rate(prices, is_long=True)
    assert low == 500 * FLOAT // 10_000 * 10**20 // FLOAT
    assert high > 5 * low


def test_funding_grows_while_the_skew_stays_and_is_bounded() -> None:
    funding = replace(MARKET.funding, updated_at_s=1_000, increase=10**16, most=10**21)
    longs = replace(SIDE, usd=Pair(0, 3_000_000 * FLOAT))
    market = replace(MARKET, longs=longs, funding=funding)
    rates = [market.next_rate(2_000 * 10**12, 1_000 + seconds) for seconds in (0, 100, 1_000, 10**6)]
    assert [pays for _, pays in rates] == [False, True, True, True]
    assert rates[1][0] < rates[2][0] < rates[3][0] == 10**21


def test_what_a_referral_gives_back_counts_and_the_larger_only() -> None:
    fees = replace(MARKET.fees, position=Pair(FLOAT // 1_000, FLOAT // 1_000))
    market = replace(MARKET, fees=fees)
    plain = held_of(is_long=True, in_weth=False)
    left = [
        margin_of(market, replace(plain, discounts=shares), in_weth=False)
        .standing(margin_of(market, plain, in_weth=False).prices, 0)
        .remaining_usd
        for shares in ((0, 0), (FLOAT // 10, 0), (FLOAT // 10, FLOAT // 5))
    ]
    assert left[1] - left[0] == 2 * FLOAT and left[2] - left[0] == 4 * FLOAT


# --- orders as requests -------------------------------------------------------------------------------


def deployment() -> GmxDeployment:
    return GmxDeployment(
        data_store=ZERO,
        reader=ZERO,
        exchange_router=ZERO,
        router=ZERO,
        order_vault=ZERO,
        event_emitter=ZERO,
        order_handler=ZERO,
        referral_storage=ZERO,
        native_token=WETH,
        tokens=(GmxToken(address=WETH, decimals=18, asset="ETH"), GmxToken(address=USDC, decimals=6)),
        markets=(GmxMarket(address=POOL, index_token=WETH, long_token=WETH, short_token=USDC, asset="ETH"),),
    )


PLACED = Placed(
    key=b"\7" * 32,
    account=ZERO,
    market=POOL,
    token=USDC,
    kind=MARKET_INCREASE,
    size_usd=20_000 * FLOAT,
    amount=5_000 * 10**6,
    acceptable=2_000 * 10**12,
    execution_fee_wei=1,
    updated_at_s=500,
    is_long=False,
    is_frozen=False,
    words=(),
)


def test_others_orders_are_sized_at_the_price_they_accept() -> None:
    request = request_of(deployment(), PLACED, 300)
    assert request is not None
    assert (request.size_wad, request.price_wad) == (-10 * WAD, 2_000 * WAD)
    assert (request.collateral_wad, request.cancel_at_s) == (5_000 * WAD, 800)
    closing = request_of(deployment(), replace(PLACED, kind=MARKET_DECREASE, is_frozen=True), 300)
    assert closing is not None
    assert (closing.size_wad, closing.collateral_wad, closing.phase) == (10 * WAD, -5_000 * WAD, Phase.FROZEN)


def test_an_order_at_any_price_has_no_size_and_one_elsewhere_is_none_of_ours() -> None:
    at_any = request_of(deployment(), replace(PLACED, acceptable=0), 300)
    assert at_any is not None and at_any.size_wad == 0
    highest = request_of(deployment(), replace(PLACED, acceptable=MAX_UINT, is_long=True), 300)
    assert highest is not None and highest.size_wad == 0
    assert request_of(deployment(), replace(PLACED, market=USDC), 300) is None


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30))
def test_our_words_say_what_we_meant(size_wad: int, price_wad: int) -> None:
    request = request_of(deployment(), replace(PLACED, words=words_of(size_wad, price_wad)), 300)
    assert request is not None
    assert (request.size_wad, request.price_wad) == (size_wad, price_wad)


# --- the price service --------------------------------------------------------------------------------


@contextmanager
def service(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/prices/tickers"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


TICKER = {
    "tokenAddress": "0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
    "tokenSymbol": "ETH",
    "minPrice": "1999000000000000",
    "maxPrice": "2001000000000000",
    "updatedAt": 1_708_956_120_123,
}


def test_tickers_are_fetched_and_dated_in_seconds() -> None:
    with service(json.dumps([TICKER, {**TICKER, "updatedAt": 1_708_956_120}]).encode()) as url:
        told = Tickers.at(url).fetch()
    (one,) = told.values()
    assert (one.price, one.at_s) == (Price(1999 * 10**12, 2001 * 10**12), 1_708_956_120)
    assert one.source.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[1]",
        b"[{}]",
        json.dumps([{**TICKER, "minPrice": "much"}]).encode(),
        json.dumps([{**TICKER, "tokenAddress": "0x12"}]).encode(),
        b"no json",
    ],
)
def test_what_is_no_ticker_is_refused(body: bytes) -> None:
    with service(body) as url, pytest.raises(DecodeMismatch):
        Tickers.at(url).fetch()


def test_a_service_that_fails_is_unavailable() -> None:
    with service(b"gone", status=503) as url, pytest.raises(RpcUnavailable):
        Tickers.at(url).fetch()


# --- the stand-in -------------------------------------------------------------------------------------


def test_the_stand_in_has_the_shape_of_all_that_is_called() -> None:
    """Types of everything, names of the members of structs: `tests/real` holds the same of GMX itself."""
    fragments = json.loads((ROOT / "abis" / "gmx.json").read_text())["fragments"]
    wanted = {name: shape for name, shape in layouts(fragments).items() if name != "latestRoundData"}
    artifacts = ("GmxReader", "GmxStore", "GmxExchange", "GmxHandler", "GmxEvents")
    ours: dict[str, list[object]] = {}
    for artifact in artifacts:
        for name, shape in layouts(own_artifact(artifact).abi).items():
            ours.setdefault(name, []).append(_inner(shape))
    errors = {entry["name"] for entry in fragments if entry["type"] == "error"}
    for name, shape in wanted.items():
        if name in errors:
            continue
        assert _inner(shape) in ours[name], name


def _inner(shape: object) -> object:
    """The layout without the names of parameters themselves, which no caller sees."""
    inputs, outputs = cast(tuple[tuple[tuple[object, ...], ...], ...], shape)
    return tuple(
        tuple((kind, indexed, members) for kind, _, indexed, members in side) for side in (inputs, outputs)
    )


@pytest.mark.parametrize("chain_id", [42161, 43114])
def test_shipped_deployments_describe_every_token_they_name(chain_id: int) -> None:
    gmx = load(ROOT / "agent" / "venues" / "manifests" / f"{chain_id}.json").gmx
    assert gmx is not None
    known = {token.address for token in gmx.tokens}
    for market in gmx.markets:
        assert {market.index_token, market.long_token, market.short_token} <= known
    assert gmx.native_token in known and gmx.prices_url.startswith("https://")
    assert all(token.feed is not None for token in gmx.tokens)
