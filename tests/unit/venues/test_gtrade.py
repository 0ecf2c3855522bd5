"""gTrade's pieces that need no chain: fees, curves, prices and their service, orders, the stand-in."""

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

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import DecodeMismatch, RpcUnavailable
from agent.market.scenario import States
from agent.sim.artifact import own_artifact
from agent.sim.deploy.gtrade import FACETS
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.fixed import WAD
from agent.venues.deployments import load
from agent.venues.gtrade.charts import Charts
from agent.venues.gtrade.curve import Curve
from agent.venues.gtrade.fragment import P_10, V10, order_name, order_of, unit_of, wad_of
from agent.venues.gtrade.held import Held
from agent.venues.gtrade.holding import (
    BorrowingTerms,
    FundingTerms,
    OpenInterest,
    funding,
    multipliers,
    rates,
)
from agent.venues.gtrade.margin import GtradeMargin
from agent.venues.gtrade.order import expected_price
from agent.venues.gtrade.pair import LiquidationTerms, Money, Pair
from agent.venues.gtrade.shock import ShockedAccount
from tests.abi import layouts

ROOT = Path(__file__).resolve().parents[3]
USDC = Token(Address("0x" + 40 * "2"), "USDC", 6)
TERMS = LiquidationTerms(5 * P_10 // 100, 90 * P_10, 75 * P_10, 20_000, 100_000)
FUNDING = FundingTerms(15 * 10**22, 16_000_000, 31_700, 10_000, True, True, 0, 0, 0, 0)
FREE = Curve(((1_000, 0), (1_000_000, 0)))
PAIR = Pair(
    index=1,
    money=Money(3, 10**12, 10**8),
    spread=4 * P_10 // 100,
    fee=6 * P_10 // 100,
    min_size_usd=1_500 * WAD,
    min_fee_usd=9 * WAD // 10,
    min_leverage=1_100,
    max_leverage=150_000,
    counter_multiplier=500,
    gov_fee=20_000,
    liquidation=TERMS,
    funding=FUNDING,
    borrowing=BorrowingTerms(3_170, 0, 0),
    interest=OpenInterest(500 * WAD, 300 * WAD),
    buying=FREE,
    selling=FREE,
    room_long=10**13,
    room_short=10**13,
)


def margin_of(*, is_long: bool, leverage: int = 10_000, at_s: int = 86_400) -> GtradeMargin:
    held = Held(0, is_long, 10_000 * 10**6, leverage, 2_000 * P_10, False, V10, 0, TERMS, -60 * 10**6, 0, 0)
    return GtradeMargin(held, PAIR, "ETH", USDC, 2_000 * P_10, at_s)


# --- where a trade ends --------------------------------------------------------------------------------


def test_the_threshold_falls_in_a_straight_line_between_the_leverages() -> None:
    found = [TERMS.threshold(leverage) for leverage in (1_000, 20_000, 60_000, 100_000, 150_000)]
    assert found == [90 * P_10, 90 * P_10, 825 * P_10 // 10, 75 * P_10, 75 * P_10]
    assert replace(TERMS, max_spread=0).threshold(100_000) == 90 * P_10


@pytest.mark.parametrize("is_long", [True, False])
def test_a_liquidation_price_by_hand(is_long: bool) -> None:
    """10,000 at ten times: 9,000 may go, less 60 booked, 60 to close, and 0.02 % of the price for spread."""
    margin = margin_of(is_long=is_long, at_s=0)
    distance = Fraction(2_000) * (9_000 - 60 - 60) / 100_000 - Fraction(2_000 * 2, 10_000)
    expected = 2_000 - distance if is_long else 2_000 + distance
    assert abs(Fraction(margin.liquidation_price(margin.price, 0), P_10) - expected) <= Fraction(2, P_10)


def test_a_counter_trade_closes_for_less_but_never_for_less_than_the_smallest() -> None:
    assert PAIR.trading_fee(100_000 * 10**6, is_counter=False) == 60 * 10**6
    assert PAIR.trading_fee(100_000 * 10**6, is_counter=True) == 30 * 10**6
    assert PAIR.trading_fee(1, is_counter=True) == 9 * 10**5
    assert PAIR.update_fee == 9 * 10**4


@given(st.integers(100, 4_000), st.booleans(), st.integers(1_100, 150_000), st.integers(0, 10**7))
@settings(max_examples=60)
def test_money_and_the_price_agree_on_who_is_liquidated(
    dollars: int, is_long: bool, leverage: int, later_s: int
) -> None:
    margin = margin_of(is_long=is_long, leverage=leverage)
    prices, at_s = {margin.market: dollars * WAD}, margin.at_s + later_s
    spare = margin.equity_wad(prices, at_s) - margin.requirement_wad(prices, at_s)
    assert (spare < 0) is margin.is_liquidatable(prices, at_s)


@pytest.mark.parametrize("is_long", [True, False])
def test_floats_are_the_integers_without_their_cuts(is_long: bool) -> None:
    margin = margin_of(is_long=is_long)
    ratios = np.array([0.9, 1.0, 1.07])
    states = States(hours=np.ones(3), ratios={"ETH": ratios})
    found = ShockedAccount(margin).stand(states)
    for ratio, headroom in zip(ratios, found.headroom, strict=True):
        prices = {margin.market: wad_of(round(margin.price * float(ratio)))}
        at_s = margin.at_s + 3_600
        exact = margin.equity_wad(prices, at_s) - margin.requirement_wad(prices, at_s)
        if not margin.is_liquidatable(prices, at_s):
            assert abs(headroom - exact / WAD) < 0.5


# --- funding -------------------------------------------------------------------------------------------


def test_a_rate_reaches_its_cap_and_stays() -> None:
    terms = replace(FUNDING, rate_cap=100)
    average, now = rates(terms, 10**9, 10**7)
    assert now == 100 * 10**8
    assert 0 < average < now
    assert rates(replace(terms, rate=now), 10**9, 10) == (now, now)
    assert rates(replace(terms, rate_cap=0), 10**9, 10) == (0, 0)
    assert rates(replace(terms, rate=7), 0, 10) == (7, 7)


def test_the_smaller_side_earns_more_and_an_empty_one_nothing() -> None:
    interest = OpenInterest(400, 100)
    assert multipliers(5, interest, multiplied=True) == (10**20, 4 * 10**20)
    assert multipliers(-5, interest, multiplied=True) == (10**20 // 4, 10**20)
    assert multipliers(5, interest, multiplied=False) == (10**20, 10**20)
    assert multipliers(5, OpenInterest(400, 0), multiplied=True) == (10**20, 0)
    assert multipliers(5, OpenInterest(10**6, 1), multiplied=True) == (10**20, 100 * 10**20)


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**7), st.integers(0, 2_000), st.integers(0, 2_000))
@settings(max_examples=60)
def test_what_longs_pay_shorts_are_paid_up_to_a_unit_of_each(
    rate: int, seconds: int, long: int, short: int
) -> None:
    terms = replace(FUNDING, rate=rate)
    interest = OpenInterest(long * WAD + 1, short * WAD + 1)
    paid_long, paid_short, _ = funding(terms, interest, 2_000 * P_10, 10**8, seconds)
    capped = max(interest.long, interest.short) > 100 * min(interest.long, interest.short)
    total = paid_long * interest.long + paid_short * interest.short
    if not capped:
        assert abs(total) <= 4 * (interest.long + interest.short) * max(1, abs(paid_long) // 10**12 + 1)
    assert (paid_long > 0) <= (paid_short <= 0)


def test_pairs_without_funding_owe_none() -> None:
    off = replace(FUNDING, is_enabled=False, acc_long=5, acc_short=-7, rate=3)
    assert funding(off, PAIR.interest, 1, 1, 10**9) == (5, -7, 3)


# --- curves and prices ---------------------------------------------------------------------------------


def test_a_curve_is_straight_between_its_points_flat_beyond_and_rounded_up() -> None:
    curve = Curve(((1_000, 10), (2_000, 21), (4_000, 21)))
    found = [curve.at(usd * WAD) for usd in (0, 500, 1_000, 1_500, 1_501, 2_000, 3_000, 9_000)]
    assert found == [-1, 5, 10, 16, 16, 21, 21, 21]


@given(st.integers(1, 10**6), st.booleans(), st.sampled_from([0, 500, 1_000, 3_000]))
def test_an_expected_price_ends_at_the_limit_and_not_beyond(dollars: int, buys: bool, slippage: int) -> None:
    limit_wad = dollars * WAD + 123_456_789
    price = expected_price(limit_wad, slippage, buys=buys)
    most = price * (slippage or 1_000) // 100_000
    worst = wad_of(price + most if buys else price - most)
    assert worst <= limit_wad if buys else worst >= limit_wad - wad_of(1)
    assert abs(worst - limit_wad) <= 3 * wad_of(1)


@given(st.integers(1, 2**63))
def test_prices_and_keys_go_there_and_back(number: int) -> None:
    assert unit_of(wad_of(number)) == number
    assert order_of(order_name(USDC.address, number)) == (USDC.address, number)


# --- the price service ---------------------------------------------------------------------------------


@contextmanager
def service(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            del args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/charts"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("unit", [1, 1_000])
def test_closes_are_prices_by_pair_to_the_last_decimal_that_was_written(unit: int) -> None:
    body = json.dumps({"time": 1_750_000_000 * unit, "closes": [60_123.45, None, 0.1, 7]}).encode()
    with service(body) as url:
        told = Charts.at(url).fetch()
    assert {index: one.price for index, one in told.items()} == {
        0: 601_234_500_000_000,
        2: 10**9,
        3: 7 * P_10,
    }
    assert {one.at_s for one in told.values()} == {1_750_000_000}


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"time": 1, "closes": ["x"]}', b'{"time": null, "closes": []}']
)
def test_another_answer_is_no_price(body: bytes) -> None:
    with service(body) as url, pytest.raises(DecodeMismatch, match=r"gtrade\.charts"):
        Charts.at(url).fetch()


def test_a_service_that_is_down_is_no_price() -> None:
    with service(b"", 503) as url, pytest.raises(RpcUnavailable):
        Charts.at(url).fetch()


# --- shapes --------------------------------------------------------------------------------------------


def test_the_stand_in_has_the_shape_of_all_that_is_called_and_told() -> None:
    """Types of everything and the names of all members: what the published interface has."""
    fragments = json.loads((ROOT / "abis" / "gtrade.json").read_text())["fragments"]
    ours: dict[str, object] = {}
    for artifact in ("GtradeDiamond", *FACETS):
        ours |= layouts(own_artifact(artifact).abi)
    for name, shape in layouts(fragments).items():
        if name != "latestRoundData":
            assert _inner(shape) == _inner(ours[name]), name


def _inner(shape: object) -> object:
    """The layout without the names of parameters themselves, which no caller sees."""
    inputs, outputs = cast(tuple[tuple[tuple[object, ...], ...], ...], shape)
    return tuple(
        tuple((kind, indexed, members) for kind, _, indexed, members in side) for side in (inputs, outputs)
    )


def test_the_shipped_deployment_names_pairs_that_are_looked_at() -> None:
    deployment = load(ROOT / "agent" / "venues" / "manifests" / "42161.json").gtrade
    assert deployment is not None
    assert {pair.asset: pair.index for pair in deployment.pairs} == {"BTC": 0, "ETH": 1}
    assert all(pair.feed for pair in deployment.pairs)
