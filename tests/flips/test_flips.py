"""A sample of `make flips`, and proof that it notices a model that is a little off, and a reader that is."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest

from agent.market.margin import Prices
from agent.sim.toolchain import Toolchain
from agent.venues.curie.margin import CurieMargin
from agent.venues.lyra.margin import ShortOption
from agent.venues.uniswap.margin import Range
from tests.flips.__main__ import main
from tests.flips.jury import MARGINED, summary
from tests.flips.tally import Tally
from tests.flips.uniswap import worth

ACCOUNTS, TRANSACTIONS, FEW = 25, 3, 8
SEEDS = {"curie": 1001, "lyra": 1002, "synthetix": 1006}
Flips = Callable[[Toolchain, int, int, int, Callable[[int], None]], Tally]


def _silent(done: int) -> None:
    assert done >= 0


def _flips(venue: str) -> Flips:
    return cast(Flips, import_module(f"tests.flips.{venue}").flips)


@pytest.mark.parametrize("venue", MARGINED)
def test_contracts_flip_where_it_is_solved_and_not_a_step_before(toolchain: Toolchain, venue: str) -> None:
    seed = SEEDS[venue]
    tally = _flips(venue)(toolchain, seed, ACCOUNTS, TRANSACTIONS, _silent)
    assert tally.is_clean, tally
    assert (tally.accounts, tally.by_transaction) == (ACCOUNTS, TRANSACTIONS)
    assert tally.max_relative_error <= 1e-9
    assert summary(seed, {venue: tally}, ACCOUNTS, TRANSACTIONS)["passed"] is True
    assert summary(seed, {venue: tally}, ACCOUNTS + 1, TRANSACTIONS)["passed"] is False


def test_the_pool_pays_what_a_range_is_said_to_be_worth(toolchain: Toolchain) -> None:
    tally = worth(toolchain, 1003, ACCOUNTS, TRANSACTIONS, _silent)
    assert tally.is_clean, tally
    assert tally.accounts >= ACCOUNTS
    assert tally.by_transaction >= TRANSACTIONS
    assert tally.max_relative_error <= 1e-9
    assert tally.judged["delta"] > ACCOUNTS


@pytest.mark.parametrize(("venue", "model"), [("curie", CurieMargin), ("lyra", ShortOption)])
@pytest.mark.parametrize("factor", [10**8 + 1, 10**8 - 1])
def test_a_requirement_off_by_one_part_in_a_hundred_million_is_noticed(
    toolchain: Toolchain,
    monkeypatch: pytest.MonkeyPatch,
    venue: str,
    model: type[CurieMargin | ShortOption],
    factor: int,
) -> None:
    honest = model.requirement_wad

    def off(self: CurieMargin | ShortOption, prices: Prices, at_s: int) -> int:
        return honest(self, prices, at_s) * factor // 10**8  # type: ignore[arg-type]

    monkeypatch.setattr(model, "requirement_wad", off)
    tally = _flips(venue)(toolchain, 1004, FEW, 0, _silent)
    assert tally.wrong_side > 0
    assert summary(1004, {venue: tally}, 10, 0)["passed"] is False


def test_a_range_that_is_said_to_hold_one_unit_more_is_noticed(
    toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Range.amounts

    def off(self: Range, sqrt_x96: int) -> tuple[int, int]:
        first, second = honest(self, sqrt_x96)
        return first + 1, second

    monkeypatch.setattr(Range, "amounts", off)
    assert worth(toolchain, 1005, FEW, 0, _silent).wrong_side > 0


def test_the_command_writes_what_it_found_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toolchain: Toolchain
) -> None:
    assert toolchain.anvil.exists()
    words = [
        "--seed",
        "9",
        "--accounts",
        "5",
        "--transactions",
        "1",
        "--venue",
        "lyra",
        "--venue",
        "uniswap",
        "--jobs",
        "1",
    ]
    assert main([*words, "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["seed"], told["passed"]) == (9, True)
    assert (told["lyra"]["accounts"], told["lyra"]["wrong_side"]) == (5, 0)
    assert told["uniswap"]["liquidations"] == "nothing to liquidate"
    assert "5 accounts, 1 by transaction, 0 on the wrong side" in capsys.readouterr().out
