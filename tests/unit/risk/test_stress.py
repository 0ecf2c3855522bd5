"""Stress by hand: small books whose every number can be reckoned on paper."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from agent.errors import CorrelationInvalid
from agent.market.instrument import Perpetual
from agent.market.position import Greeks, Position
from agent.market.scenario import Floats, States
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.risk import covariance
from agent.risk.history import DAYS
from agent.risk.scenario import Closure, Grid, Scenario, closed, depegged, jump
from agent.risk.stress import (
    NEVER,
    Book,
    CashClaim,
    SpotClaim,
    account_at_risk,
    book_of,
    run,
    venue_risks,
)
from agent.values.address import Address, BlockHash, ChainId, MarketId
from agent.values.amount import Amount, Token
from agent.values.block import Block
from agent.values.fixed import DAY_S, Q96, WAD
from agent.venues.curie.margin import CurieMargin, Leg, frozen
from agent.venues.curie.shock import ShockedAccount
from tests.property.test_lyra_margin import CALL_QUOTE, PUT, _short
from tests.property.test_shock import short_of

USD = Token(Address("0x" + "44" * 20), "USD", 18)
ETH = Address("0x" + "55" * 20)
MARKET = MarketId("curie:eth")


def perp(size: int, money: int, *, premium_per_day: int = 0, asset: str = "ETH") -> ShockedAccount:
    """``size`` ETH bought (> 0) or sold at 2000, with ``money``; maintenance 6.25 %, penalty 2.5 %."""
    leg = Leg(MARKET, asset, size * WAD, -size * 2000 * WAD, 0, premium_per_day * Q96)
    return ShockedAccount(
        CurieMargin(
            collateral_token=USD,
            balance_wad=money * WAD,
            owed_wad=0,
            pending_fee_wad=0,
            free_wad=0,
            legs=(leg,),
            maintenance_ppm=62_500,
            initial_ppm=100_000,
            penalty_ppm=25_000,
            at_s=1_750_000_000,
            marks=frozen({MARKET: 2000 * WAD}),
        )
    )


def book(*accounts: ShockedAccount, ether: int = 0, cash: int = 0) -> Book:
    claims = (
        SpotClaim("wallet:eth", "ETH", ether * 2000 * WAD, ETH),
        CashClaim("wallet:usd", cash * WAD, USD.address),
    )
    return Book(accounts, claims, {USD.address: float(cash)})


def path(*ratios: float, hours: float = 1.0) -> States:
    return States(hours=np.arange(len(ratios))[np.newaxis, :] * hours, other=np.array([ratios]))


def test_a_hedged_book_neither_wins_nor_loses_while_it_stands() -> None:
    outcome = run(book(perp(-3, 2000), ether=3), Scenario("move", "", jump([0.5, 0.9, 1.0, 1.1, 1.2])))
    assert outcome.end == pytest.approx(np.zeros(5), abs=1e-9)
    assert np.all(outcome.at == NEVER)


def test_a_liquidated_hedge_leaves_the_book_naked_from_there_on() -> None:
    """Short 3 at 2000 with 2000: at 1.4 equity is -400, so it is gone, and then the ether falls back."""
    outcome = run(book(perp(-3, 2000), ether=3), Scenario("up and back", "", path(1.0, 1.4, 1.0)))
    # worth 6000 + 2000; the account is lost to the last cent (bad debt is the protocol's), the ether stays
    assert outcome.pnl[0].tolist() == pytest.approx([0.0, 2400.0 - 2000.0, -2000.0])
    assert outcome.at[0].tolist() == [1]
    assert outcome.hours_to("curie:margin", 0) == 1.0
    assert outcome.liquidated(0) == ("curie:margin",)
    assert outcome.room[0, 0] == pytest.approx(-400 - 0.0625 * 8400)
    assert outcome.penalty[0, 0] == 0.0  # nothing was left to take


def test_what_a_liquidation_takes_and_leaves() -> None:
    """Long 1 at 2000 with 500: at 0.8 equity is 100, requirement 100: not yet. At 0.79: 80 against 98.75."""
    at = run(book(perp(1, 500)), Scenario("at the flip", "", jump([0.8, 0.79])))
    assert at.at[0].tolist() == [NEVER, 0]
    assert at.room[0].tolist() == pytest.approx([0.0, 80 - 98.75])
    assert at.penalty[0].tolist() == pytest.approx([0.0, 0.025 * 1580])
    assert at.end.tolist() == pytest.approx([-400.0, -420.0 - 39.5])


def test_what_happens_after_a_liquidation_does_not_touch_the_account() -> None:
    fell = run(book(perp(1, 500)), Scenario("fall", "", path(1.0, 0.79)))
    rose = run(book(perp(1, 500)), Scenario("fall and rise", "", path(1.0, 0.79, 3.0, 0.1)))
    assert rose.pnl[0, 1:].tolist() == pytest.approx([float(fell.end[0])] * 3)
    assert rose.room == pytest.approx(fell.room)


def test_funding_is_paid_by_the_hour() -> None:
    """48 per day per unit long: after a day 3 units have paid 144."""
    outcome = run(book(perp(3, 5000, premium_per_day=48)), Scenario("a day", "", jump([1.0], 24.0)))
    assert outcome.end[0] == pytest.approx(-144.0)
    assert outcome.pnl[0].tolist() == pytest.approx([0.0, -36.0, -72.0, -108.0, -144.0])


def test_funding_alone_liquidates_in_time() -> None:
    outcome = run(book(perp(1, 200, premium_per_day=48)), Scenario("days", "", jump([1.0], 48.0)))
    assert outcome.hours_to("curie:margin", 0) == 48.0  # 75 of headroom: 72 are gone by 36 hours
    assert outcome.room[0, 0] == pytest.approx(-21.0)


def test_a_venue_that_is_deleveraged_keeps_its_gain_and_its_collateral_and_no_position() -> None:
    gone = run(book(perp(-3, 2000), ether=3), closed("curie", (-0.2, 0.2), penalised=False))
    assert gone.end.tolist() == pytest.approx([-1200.0, 1200.0])  # the ether alone
    assert np.all(gone.at == NEVER)
    assert np.all(gone.penalty == 0.0)
    hit = run(book(perp(-3, 2000), ether=3), closed("curie", (-0.2, 0.2), penalised=True))
    assert hit.end.tolist() == pytest.approx([-1200.0 - 150.0, 1200.0 - 150.0])
    assert hit.at[0].tolist() == [0, 0]


def test_a_leg_that_goes_later_goes_at_that_price() -> None:
    scenario = Scenario("later", "", path(1.0, 0.9, 0.8, 1.1), closures={"curie": Closure(2.0)})
    outcome = run(book(perp(-3, 2000), ether=3), scenario)
    # the short has won 1200 when it goes; the ether then stands 600 above its start
    assert outcome.pnl[0].tolist() == pytest.approx([0.0, 0.0, 0.0, 1200.0 + 600.0])


def test_a_token_that_loses_its_peg_costs_what_is_held_in_it() -> None:
    held = book(perp(-3, 2000), ether=3, cash=700)
    lost = run(held, Scenario("depeg", "", depegged(jump([1.0]), USD.address, 0.8)))
    assert lost.end[0] == pytest.approx(-0.2 * 2700)
    assert np.all(lost.at == NEVER)  # the contract counts the token for its face
    base = run(held, Scenario("depeg", "", depegged(jump([1.0]), ETH, 0.9)))
    assert base.end[0] == pytest.approx(-600.0)


def test_the_wallet_saves_what_it_can_pay_for_and_a_broken_venue_cannot_be_saved() -> None:
    dip = path(1.0, 0.79, 0.7, 1.0)
    alone = run(book(perp(1, 500), cash=200), Scenario("alone", "", dip))
    saved = run(book(perp(1, 500), cash=200), Scenario("saved", "", dip, outages={}))
    poor = run(book(perp(1, 500), cash=180), Scenario("poor", "", dip, outages={}))
    cut_off = run(book(perp(1, 500), cash=200), Scenario("out", "", dip, outages={"curie": 1.5}))
    back = run(book(perp(1, 500), cash=200), Scenario("back", "", dip, outages={"curie": 1.0}))
    assert [int(o.at[0, 0]) for o in (alone, saved, poor, cut_off, back)] == [1, NEVER, 2, 1, NEVER]
    assert saved.topped[0, 0] == pytest.approx(100 + 87.5)  # equity -100, requirement 87.5 at the bottom
    assert saved.end[0] == pytest.approx(0.0)
    assert cut_off.end[0] == pytest.approx(alone.end[0])
    assert poor.topped[0, 0] == pytest.approx(18.75)
    # it had paid 18.75 to get to 98.75 at 1580, and at 1400 all of it is gone
    assert poor.end[0] == pytest.approx(-518.75)


def test_cash_is_spent_once() -> None:
    twin = replace(perp(1, 500), margin=replace(perp(1, 500).margin, at_s=1))
    outcome = run(book(perp(1, 500), twin, cash=30), Scenario("two", "", path(1.0, 0.79), outages={}))
    assert outcome.at[:, 0].tolist() == [NEVER, 1]  # 18.75 each


@dataclass(frozen=True)
class Plain:
    """A venue that knows nothing of many states: one perpetual account."""

    margin: CurieMargin
    venue: str = "curie"
    offers: tuple[()] = ()

    @property
    def margins(self) -> tuple[CurieMargin, ...]:
        return (self.margin,)

    @property
    def quotes(self) -> tuple[Quote, ...]:
        return (Quote("curie", MARKET, "ETH", 2000 * WAD, 2000 * WAD),)

    @property
    def positions(self) -> tuple[Position, ...]:
        size = self.margin.legs[0].size_wad
        greeks = Greeks(delta=size / WAD)
        return (Position("curie", MARKET, Perpetual(MARKET, "ETH"), size, 0, greeks, 2000 * WAD),)


@pytest.mark.parametrize("size", [3, -3, 1])
def test_a_venue_without_formulas_is_seen_by_its_integer_model(size: int) -> None:
    fast = perp(size, 1500)
    empty = BlockHash("0x" + "0" * 64)
    block = Block(7, empty, empty, 1_750_000_000, 0, 30_000_000)
    wallet = Wallet(0, (Amount(USD, 100 * WAD),))
    snapshot = Snapshot(ChainId(1), Address("0x" + "66" * 20), block, wallet, (Plain(fast.margin),))
    slow = book_of(snapshot)
    assert slow.approximate == (MARKET,)
    known = Book((fast,), (CashClaim("wallet:usd", 100 * WAD, USD.address),), {USD.address: 100.0})
    assert slow.worth == pytest.approx(known.worth) == 1600.0
    for states in (jump(np.linspace(0.4, 1.7, 27)), path(1.0, 0.75, 1.4, 0.6)):
        for outages in (None, {}):
            scenario = Scenario("both", "", states, outages=outages)
            exact, seen = run(known, scenario), run(slow, scenario)
            assert np.array_equal(exact.at, seen.at)
            assert seen.topped == pytest.approx(exact.topped)
            alive = exact.at[0] == NEVER  # of a liquidated one the penalty is today's
            assert seen.pnl[alive] == pytest.approx(exact.pnl[alive])


def test_a_book_without_accounts_has_scenarios_too() -> None:
    outcome = run(book(ether=2, cash=5), Grid((-0.5, 0.0), (0.0, 1.0), 3.0).scenario)
    assert outcome.end.tolist() == pytest.approx([-2000.0, -2000.0, 0.0, 0.0])
    assert (outcome.liquidated(0), venue_risks(outcome, 0.99), account_at_risk(outcome, 0.9)) == ((), (), {})
    assert run(book(cash=5), Scenario("none", "", jump([0.5]), outages={})).end[0] == 0.0


def test_margin_at_risk_is_the_quantile_of_what_the_headroom_loses() -> None:
    moves = np.linspace(0.0, -0.4, 101)
    outcome = run(book(perp(1, 500)), Scenario("falls", "", jump(1.0 + moves)))
    slope = 2000 - 125  # equity falls by 2000 per whole, the requirement by 125
    assert account_at_risk(outcome, 0.9)["curie:margin"] == pytest.approx(0.36 * slope)
    (risk,) = venue_risks(outcome, 0.9)
    hit = moves < -0.2 - 1e-12
    left = 500 + 2000 * moves[hit]
    taken = np.minimum(0.025 * 2000 * (1 + moves[hit]), np.maximum(left, 0.0))
    assert risk.venue == "curie"
    assert risk.probability == pytest.approx(hit.mean())
    assert risk.expected_loss == pytest.approx(taken.sum() / 101)
    assert risk.margin_at_risk == pytest.approx(0.36 * slope)


def test_a_grid_names_its_cells_row_by_row() -> None:
    grid = Grid((-0.5, 0.0, 0.25), (-0.2, 1.0), 6.0)
    states = grid.scenario.states
    assert states.shape == (6, 5)
    assert states.other[:, 0].tolist() == [0.5, 0.5, 1.0, 1.0, 1.25, 1.25]
    assert states.vol_factor[:, 0].tolist() == [0.8, 2.0] * 3
    assert states.hours[0].tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]


def test_more_volatility_never_helps_a_short_option() -> None:
    short = short_of(_short(PUT, collateral_wad=50_000 * WAD), 8 * WAD // 10)
    outcome = run(Book((short,), (), {}), Grid((0.0, -0.1), (-0.5, 0.0, 0.5, 1.0), 0.0).scenario)
    for row in (outcome.end[:4], outcome.end[4:]):
        assert np.all(np.diff(row) < 0)
    assert outcome.end[1] == pytest.approx(0.0)


def test_states_that_cannot_be_are_refused() -> None:
    for states in (
        {"hours": np.array([[np.nan]])},
        {"hours": np.array([[-1.0]])},
        {"hours": np.zeros((2, 1)), "other": np.ones((3, 1))},
        {"hours": np.zeros((1, 1)), "ratios": {"ETH": np.array([[-0.1]])}},
        {"hours": np.zeros((1, 1)), "ratios": {"ETH": np.array([[np.inf]])}},
        {"hours": np.zeros((1, 1)), "worth": {ETH: np.array([[-1.0]])}},
    ):
        with pytest.raises(ValueError, match=r"finite|negative|shape"):
            States(**states)  # type: ignore[arg-type]


# --- drawn moves -----------------------------------------------------------------------------------

PAIRS = {("ETH", "BTC"): 0.8, ("BTC", "SOL"): 0.5}


def test_the_factor_is_a_root_of_the_matrix() -> None:
    matrix = covariance.correlation(("ETH", "BTC", "SOL"), PAIRS)
    root = covariance.factor(matrix)
    assert root @ root.T == pytest.approx(matrix)
    assert np.all(np.triu(root, 1) == 0.0)


def test_assets_that_move_as_one_have_a_factor_too() -> None:
    matrix = covariance.correlation(("ETH", "WETH"), {("ETH", "WETH"): 1.0})
    root = covariance.factor(matrix)
    assert root @ root.T == pytest.approx(matrix)
    states = covariance.draw(
        {"ETH": 0.8, "WETH": 0.8}, {("WETH", "ETH"): 1.0}, hours=24, steps=1, count=50, seed=3
    )
    assert states.ratios["ETH"] == pytest.approx(states.ratios["WETH"])


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ({("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): -0.9}, "eigenvalue"),
        ({("a", "b"): 1.2}, "between -1 and 1"),
        ({("a", "b"): float("nan")}, "between -1 and 1"),
        ({("a", "d"): 0.5}, "not two of the assets"),
        ({("a", "a"): 0.5}, "not two of the assets"),
        ({("a", "b"): 0.5, ("b", "a"): 0.4}, "both"),
    ],
)
def test_correlations_that_no_assets_can_have_are_refused(
    pairs: dict[tuple[str, str], float], reason: str
) -> None:
    with pytest.raises(CorrelationInvalid, match=reason):
        covariance.factor(covariance.correlation(("a", "b", "c"), pairs))


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.array([[1.0, 0.2], [0.3, 1.0]]), np.eye(2) * 0.5])
def test_what_is_no_correlation_matrix_is_refused(matrix: Floats) -> None:
    with pytest.raises(CorrelationInvalid):
        covariance.factor(matrix)


@pytest.mark.parametrize("tail", [None, 5.0])
def test_drawn_moves_have_the_volatility_and_the_correlation_asked_for(tail: float | None) -> None:
    vols = {"ETH": 0.9, "BTC": 0.6, "SOL": 1.2}
    states = covariance.draw(vols, PAIRS, hours=48, steps=4, count=60_000, seed=11, tail=tail)
    logs = np.log(np.stack([states.ratios[asset][:, -1] for asset in vols]))
    spread = logs.std(axis=1) / np.sqrt(48 / 8760)
    assert spread == pytest.approx(list(vols.values()), rel=0.03)
    assert np.corrcoef(logs) == pytest.approx(covariance.correlation(tuple(vols), PAIRS), abs=0.03)
    assert np.all(states.ratios["ETH"][:, 0] == 1.0)
    assert states.ratios["BTC"][:, -1].mean() == pytest.approx(1.0, abs=0.005)


def test_one_seed_is_one_set_of_moves() -> None:
    drawn = [
        covariance.draw({"ETH": 0.8}, {}, hours=24, steps=3, count=5, seed=seed, tail=4).ratios["ETH"]
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


# --- named days ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hours", "eth", "btc"),
    [
        ("march-2020", 36, 86.00 / 194.61, 3782.13 / 7934.52),
        ("may-2021", 24, 1888.0 / 3375.08, 30000.0 / 42849.78),
        ("august-2024", 36, 2111.0 / 2914.22, 49000.0 / 60896.0),
        ("october-2025", 24, 3435.0 / 4368.09, 102000.0 / 121662.41),
    ],
)
def test_a_named_day_goes_as_low_as_its_prices_did(name: str, hours: int, eth: float, btc: float) -> None:
    (day,) = [day for day in DAYS if day.name == name]
    states = day.states()
    assert day.hours == hours
    assert states.shape == (1, 3 * hours + 1)
    assert states.hours[0, -1] == pytest.approx(hours)
    for asset, low in (("ETH", eth), ("BTC", btc)):
        series = states.ratio(asset)[0]
        assert series[0] == 1.0
        assert low - 0.011 <= series.min() <= low
    assert states.ratio("SOL") is states.ratio("ETH")
    assert states.vol_factor[0].max() == pytest.approx(1 + 2 * (1 - states.ratio("ETH").min()))
    assert np.all(day.states(0.0).vol_factor == 1.0)


def test_the_waypoints_of_a_day_are_in_order_and_all_on_its_path() -> None:
    for day in DAYS:
        for asset, text in day.waypoints:
            at, percent = zip(*((float(x) for x in turn.split(":")) for turn in text.split()), strict=True)
            assert (at[0], percent[0], at[-1]) == (0.0, 100.0, float(day.hours))
            assert list(at) == sorted(set(at))
            for hour, price in zip(at, percent, strict=True):
                assert day.ratios[asset][round(3 * hour)] == pytest.approx(price / 100)


# --- size ------------------------------------------------------------------------------------------


def test_ten_thousand_scenarios_of_a_hundred_accounts_take_less_than_a_few_seconds() -> None:
    """Well under one on an idle machine (the report has the figure); the bound only sees a lost vector."""
    types = (PUT, CALL_QUOTE)
    shorts = tuple(
        short_of(
            _short(
                types[n % 2],
                strike_wad=(1500 + 10 * n) * WAD,
                time_s=(7 + n % 30) * DAY_S,
                collateral_wad=9000 * WAD,
            ),
            WAD,
        )
        for n in range(90)
    )
    perps = tuple(perp(n - 5, 3000) for n in range(10))
    states = covariance.draw({"ETH": 0.9}, {}, hours=24, steps=1, count=10_000, seed=5, tail=4)
    began = time.process_time()
    outcome = run(Book((*shorts, *perps), (), {}), Scenario("large", "", states))
    assert outcome.at.shape == (100, 10_000)
    assert 0 < (outcome.at != NEVER).mean() < 1
    assert time.process_time() - began < 6.0
