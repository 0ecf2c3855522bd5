"""``evenkeel stress`` on the seeded book: what it draws is what the exact models say."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent import assembly
from agent.cli.local import write_files
from agent.config import load
from agent.dashboard.stress import brief
from agent.market.scenario import StressedVenue
from agent.market.snapshot import Snapshot
from agent.risk.assessment import equity_usd
from agent.risk.liquidation import shocked, solve_joint
from agent.risk.scenario import Grid, Scenario, jump
from agent.risk.stress import NEVER, book_of, run
from agent.sim.localnet import Localnet
from agent.values.fixed import WAD
from tests.told import Ask, asker, nothing_sent

ACCOUNTS = ["curie:margin", "lyra:9", "lyra:10", "lyra:11"]
LETTERS = dict(zip("ABCD", ACCOUNTS, strict=True))
BY_KEY = {key: letter for letter, key in LETTERS.items()}
QUICK = ("--draws", "500")


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


@pytest.fixture
def config(localnet: Localnet, tmp_path: Path) -> Path:
    return write_files(localnet, tmp_path / "net")


@pytest.fixture
def snapshot(config: Path) -> Snapshot:
    desk, block = assembly.dry_desk(load(config))
    return desk.eye.see(desk.account, block)


def test_every_venue_can_be_stressed_and_the_book_is_worth_what_it_is(snapshot: Snapshot) -> None:
    assert all(isinstance(state, StressedVenue) for state in snapshot.venues)
    book = book_of(snapshot)
    assert [account.key for account in book.accounts] == ACCOUNTS
    assert book.worth == pytest.approx(equity_usd(snapshot), rel=1e-4)  # Curie's fees and funding are in it
    assert not book.approximate


def test_the_stressed_book_is_liquidated_where_the_contracts_predicate_says(snapshot: Snapshot) -> None:
    ratios = [step * WAD // 40 for step in range(10, 81)]
    outcome = run(book_of(snapshot), Scenario("all", "", jump(np.array(ratios) / WAD)))
    for number, ratio in enumerate(ratios):
        exact = {m.key for m in snapshot.margins if m.is_liquidatable(shocked(m.prices, ratio), m.at_s)}
        assert set(outcome.liquidated(number)) == exact
    assert 0 < (outcome.at != NEVER).sum() < outcome.at.size


def test_each_account_of_the_book_flips_at_its_own_flip(snapshot: Snapshot) -> None:
    for direction in ("down", "up"):
        for margin in snapshot.margins:
            flip = solve_joint(margin, direction)
            if flip is None:
                continue
            ratio = flip.ratio_wad / WAD
            around = jump([ratio * (1 - 1e-9), ratio * (1 + 1e-9)])
            outcome = run(book_of(snapshot), Scenario("flip", "", around))
            hit = [margin.key in outcome.liquidated(number) for number in (0, 1)]
            assert hit == ([True, False] if direction == "down" else [False, True])


def test_a_small_move_costs_what_the_greeks_say(snapshot: Snapshot) -> None:
    spot = next(q for q in snapshot.venues[0].quotes).index_wad / WAD
    delta = sum(p.greeks.delta for p in snapshot.positions)
    gamma = sum(p.greeks.gamma for p in snapshot.positions)
    vega = sum(p.greeks.vega for p in snapshot.positions)
    theta = sum(p.greeks.theta for p in snapshot.positions)
    ivs = [p.iv for p in snapshot.positions if p.iv is not None]
    book = book_of(snapshot)
    for move in (-0.005, 0.005):
        outcome = run(book, Scenario("small", "", jump([1 + move])))
        step = spot * move
        assert outcome.end[0] == pytest.approx(delta * step + gamma * step * step / 2, abs=0.5)
    up = run(book, Scenario("vol", "", jump([1.0], 0.0, [1.001])))
    assert up.end[0] == pytest.approx(vega * np.mean(ivs) * 0.001, rel=0.05)
    hour = run(book, Scenario("hour", "", jump([1.0], 1.0)))
    assert hour.end[0] == pytest.approx(theta / 24, abs=0.5)  # and the funding of an hour


def test_it_draws_the_grid_and_the_scenarios_and_sends_nothing(
    ask: Ask, localnet: Localnet, config: Path
) -> None:
    with nothing_sent(localnet):
        told, shown = ask("stress", "-c", config, "--json", *QUICK), ask("stress", "-c", config, *QUICK)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    data: Any = told.json
    sheet = data["grids"][0]
    lines = shown.out.splitlines()
    for move, hit in zip(sheet["spot_moves"], sheet["liquidated"], strict=True):
        line = next(line for line in lines if line.startswith(f"{100 * move:+.0f}%" if move else "0% "))
        drawn = [re.sub("[^ABCD]", "", word) for word in line.split() if re.fullmatch("[ABCD]+", word)]
        assert [[LETTERS[letter] for letter in word] for word in drawn] == [keys for keys in hit if keys]
    assert sheet["liquidated"][0] == [["lyra:9"]] * 4  # a fall of 40 %
    assert sheet["liquidated"][4] == [[]] * 4
    assert sheet["pnl"][4][1] == pytest.approx(0.0, abs=1e-6)
    assert {row["name"]: [hit["key"] for hit in row["liquidated"]] for row in data["scenarios"]} == {
        "march-2020": ["lyra:9"],
        "may-2021": ["lyra:9"],
        "august-2024": ["lyra:9"],
        "october-2025": ["lyra:9"],
        "adl-curie": ["lyra:9"],
        "adl-lyra": [],
        "liquidated-curie": ["curie:margin", "lyra:9"],
        "liquidated-lyra": ["lyra:9", "lyra:10", "lyra:11"],
        "depeg-sUSD": [],
        "depeg-sETH": [],
        "rescued": [],
        "outage-curie": [],
        "outage-lyra": ["lyra:9"],
    }
    for row in data["scenarios"]:
        assert any(line.startswith(row["name"] + " ") for line in lines)
        assert (min(row["headroom"].values()) < 0) == bool(
            [hit for hit in row["liquidated"] if not row["name"].startswith("liquidated-")]
        ) or row["name"].startswith("liquidated-")
    venues = data["drawn"]["venues"]
    assert set(venues) == {"curie", "lyra"}
    assert venues["lyra"]["margin_at_risk"] > 0
    assert all(len(line) <= 80 for line in lines)


def test_one_named_scenario_is_told_alone(ask: Ask, config: Path) -> None:
    told = ask("stress", "-c", config, "--scenario", "august-2024", "--scenario", "depeg-sUSD", "--json")
    assert [row["name"] for row in told.json["scenarios"]] == ["august-2024", "depeg-sUSD"]  # type: ignore[index, attr-defined]
    assert (told.json["grids"], told.json["drawn"]) == ([], None)


def test_what_is_not_known_or_no_number_is_refused_with_what_is(ask: Ask, config: Path) -> None:
    wrong = ask("stress", "-c", config, "--scenario", "march-2021", "--json")
    assert (wrong.code, wrong.out, wrong.error["error"]) == (2, "", "ScenarioUnknown")
    assert "march-2020, may-2021" in str(wrong.error["message"])
    for option, text in (("--spot", "-101,0"), ("--spot", "ten"), ("--vol", "nan"), ("--hours", "-1")):
        said = ask("stress", "-c", config, option, text, "--json")
        assert (said.code, said.error["error"]) == (2, "ConfigInvalid"), text
        assert option in str(said.error["message"])


def test_prices_of_zero_and_a_page_that_cannot_be_written(ask: Ask, config: Path, tmp_path: Path) -> None:
    told = ask("stress", "-c", config, "--spot", "-100,900", "--vol", "-100,0", "--hours", "0,9000", "--json")
    assert (told.code, told.err) == (0, "")
    assert "NaN" not in told.out
    assert "Infinity" not in told.out
    (tmp_path / "file").write_text("")
    said = ask("stress", "-c", config, "--html", tmp_path / "file" / "page.html", *QUICK, "--json")
    assert (said.code, said.error["error"]) == (2, "ConfigInvalid")


def test_the_list_needs_no_chain(ask: Ask) -> None:
    told, shown = ask("stress", "--list", "--json"), ask("stress", "--list")
    days: Any = told.json["days"]
    assert [day["name"] for day in days] == ["march-2020", "may-2021", "august-2024", "october-2025"]
    assert all("Binance" in day["source"] for day in days)
    assert days[0]["lowest"]["ETH"] == 0.44
    for word in ("march-2020", "-56.0%", "depeg-TOKEN", "outage-VENUE"):
        assert word in shown.out


def test_the_page_has_the_numbers(ask: Ask, config: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "stress.html"
    told = ask("stress", "-c", config, "--html", page, "--hours", "0,6", "--json", *QUICK)
    assert told.code == 0
    html = page.read_text()
    data: Any = told.json
    for row in data["scenarios"]:
        line = re.search(rf'<tr data-name="{row["name"]}">(.*?)</tr>', html)
        assert line is not None
        assert f'<td data-key="pnl">{row["pnl"]:,.0f}</td>' in line[1]
        assert f'<td data-key="room lyra:9">{row["headroom"]["lyra:9"]:,.0f}</td>' in line[1]
        hit = ", ".join(f"{BY_KEY[one['key']]} {one['hours']:.1f} h" for one in row["liquidated"])
        assert f'<td data-key="liquidated">{hit or "-"}</td>' in line[1]
    for sheet in data["grids"]:
        for row, hits in zip(sheet["pnl"], sheet["liquidated"], strict=True):
            for pnl, hit in zip(row, hits, strict=True):
                letters = "".join(BY_KEY[key] for key in hit)
                cell = f"\\u003cb\\u003e{letters}\\u003c\\u002fb\\u003e {brief(pnl)}" if hit else brief(pnl)
                assert f'"{cell}"' in html
    own = re.sub(r"<script[^>]*>.*?</script>", "", html, flags=re.S)
    assert re.search(r'(src|href)="(https?:)?//', own) is None
    assert "12 March 2020: ETH/USDT and BTC/USDT on Binance" in unescape(own)
    assert json.dumps(data)  # nothing in it is infinite or undefined
    assert "NaN" not in json.dumps(data)


def test_a_grid_of_one_cell_is_a_grid(snapshot: Snapshot) -> None:
    outcome = run(book_of(snapshot), Grid((-0.5,), (0.0,), 0.0).scenario)
    assert outcome.liquidated(0) == ("lyra:9",)
