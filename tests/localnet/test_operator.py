"""An operator's hand on what is on its way: evenkeel tx list, show, bump and cancel."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from agent.cli.local import write_files
from agent.sim.localnet import Localnet
from tests.told import DUE, Ask, asker, nothing_sent

ONCE = ("run", "--live", "--once", "--delegate")
Row = dict[str, object]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


@pytest.fixture
def config(chain: Localnet, ask: Ask, tmp_path: Path) -> Path:
    """A hedge of a delegated account is in the pool, and nobody mines."""
    path = write_files(chain, tmp_path / "net")
    assert ask(*ONCE, "-c", path).code == 0
    chain.node.mine()
    chain.node.set_automine(on=False)
    told = ask(*ONCE, "-c", path, *DUE, "--json")
    assert (told.code, told.json["sent"] is not None) == (0, True), told.err
    return path


def listed(ask: Ask, config: Path, *more: str) -> list[Row]:
    told = ask("tx", "list", "-c", config, "--json", *more)
    assert (told.code, told.err) == (0, "")
    return cast(list[Row], json.loads(told.out))


def shown(ask: Ask, config: Path, errand_id: object) -> Row:
    return ask("tx", "show", errand_id, "-c", config, "--json").json


def attempts(row: Row) -> list[Row]:
    return cast(list[Row], row["attempts"])


def test_what_is_on_its_way_is_listed_and_shown(ask: Ask, config: Path) -> None:
    (errand,) = listed(ask, config, "--open")
    assert (errand["purpose"], errand["state"], errand["verdict"]) == ("hedge", "sent", "pending")
    assert [row["purpose"] for row in listed(ask, config)] == ["hedge", "delegation"]
    whole = shown(ask, config, errand["id"])
    assert attempts(whole) == attempts(errand)
    assert whole["won"] is None
    table = ask("tx", "list", "-c", config).out
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "hedge" in table
    assert "errand" in ask("tx", "show", errand["id"], "-c", config).out


def test_a_bump_is_a_dry_run_until_it_is_live_and_the_winner_is_named(
    chain: Localnet, ask: Ask, config: Path
) -> None:
    (errand,) = listed(ask, config, "--open")
    with nothing_sent(chain):
        dry = ask("tx", "bump", errand["id"], "-c", config, "--json")
    assert dry.code == 0
    assert "Nothing was sent" in str(dry.json["answer"])
    done = ask("tx", "bump", errand["id"], "-c", config, "--live", "--json")
    assert (done.code, done.json["answer"]) == (0, "done"), done.err
    first, second = attempts(shown(ask, config, errand["id"]))
    assert cast(int, second["max_fee_wei"]) * 10 >= cast(int, first["max_fee_wei"]) * 11
    for _ in range(3):
        chain.node.mine()
        assert ask(*ONCE, "-c", config, *DUE).code == 0
    ended = shown(ask, config, errand["id"])
    assert (ended["state"], ended["verdict"], ended["won"]) == ("final", "executed", second["tx_hash"])
    late = ask("tx", "cancel", errand["id"], "-c", config, "--live", "--json")
    assert (late.code, late.json["answer"]) == (4, "it is not on its way any more")


def test_a_running_agent_carries_a_cancellation_out(chain: Localnet, ask: Ask, config: Path) -> None:
    (errand,) = listed(ask, config, "--open")
    command = [sys.executable, "-m", "agent.cli", "run", "--live", "-c", str(config)]
    with (config.parent / "agent.log").open("wb") as log:
        agent = subprocess.Popen(
            [*command, "--set", "run.interval_s=0.3"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            wait_for_the_lock(config, agent)
            done = ask("tx", "cancel", errand["id"], "-c", config, "--live", "--json")
            assert (done.code, done.json["answer"]) == (0, "done"), done.err
        finally:
            agent.terminate()
            assert agent.wait(timeout=20) == 0
    ended = shown(ask, config, errand["id"])
    assert [row["purpose"] for row in attempts(ended)] == ["hedge", "cancel"]
    chain.node.mine()
    assert ask(*ONCE, "-c", config).code == 0
    ended = shown(ask, config, errand["id"])
    assert (ended["verdict"], ended["won"]) == ("cancelled", attempts(ended)[1]["tx_hash"])


def wait_for_the_lock(config: Path, agent: subprocess.Popen[bytes]) -> None:
    log = config.parent / "agent.log"
    deadline = time.monotonic() + 20
    while "recovered" not in log.read_text():
        assert agent.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_not_in_the_journal_is_said_so(ask: Ask, config: Path) -> None:
    for verb in ("show", "bump", "cancel"):
        told = ask("tx", verb, 999, "-c", config, "--json")
        assert (told.code, told.error["error"]) == (2, "ConfigInvalid")
        assert "evenkeel tx list" in str(told.error["message"])
