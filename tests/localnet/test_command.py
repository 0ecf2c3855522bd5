"""The command line as a user meets it: what it prints, and what one live cycle does."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import cast

import pytest
import stamina

from agent import __version__
from agent.cli.local import write_files
from agent.sim.localnet import Localnet
from agent.sim.node import Node, quantity
from agent.tx.executor import delegation_code
from tests.told import DUE, LIVE, Ask, Told, asker, nothing_sent, real

ACCOUNTS = ["curie:margin", "lyra:9", "lyra:10", "lyra:11"]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


# --- what it prints --------------------------------------------------------------------------------


@pytest.fixture
def config(localnet: Localnet, tmp_path: Path) -> Path:
    return write_files(localnet, tmp_path / "net")


def test_the_real_command_tells_its_version_and_its_commands() -> None:
    assert real("version", "--json").json == {"version": __version__}
    assert real("version") == Told(0, f"evenkeel {__version__}\n", "")
    asked = real("--help")
    assert asked.code == 0
    for command in (
        "version",
        "setup",
        "localnet",
        "demo",
        "run",
        "watch",
        "positions",
        "risk",
        "plan",
        "journal",
        "config",
    ):
        assert f"\n  {command} " in asked.out
    assert "Exit codes" in asked.out


def test_positions_lists_every_holding(ask: Ask, localnet: Localnet, config: Path) -> None:
    with nothing_sent(localnet):
        told, shown = ask("positions", "-c", config, "--json"), ask("positions", "-c", config)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    positions = cast(list[dict[str, str]], told.json["positions"])
    assert len(positions) == 7
    for position in positions:
        (line,) = [
            line for line in shown.out.splitlines() if line.startswith(shortened(position["key"]) + " ")
        ]
        assert f" {float(position['size']):,.2f} " in line
        assert f" {cast(dict[str, float], position['greeks'])['delta']:,.4f}" in line


def test_risk_tells_how_far_every_account_is_from_liquidation(
    ask: Ask, localnet: Localnet, config: Path
) -> None:
    with nothing_sent(localnet):
        told, shown = ask("risk", "-c", config, "--json"), ask("risk", "-c", config)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    accounts = cast(list[dict[str, float]], told.json["accounts"])
    assert [account["key"] for account in accounts] == ACCOUNTS
    explained = cast(dict[str, list[dict[str, object]]], told.json["explanation"])
    cases = {case["key"]: case for case in explained["accounts"]}
    for account in accounts:
        line, why = [x for x in shown.out.splitlines() if x.startswith(f"{account['key']} ")]
        assert f" {account['distance']:.2%} " in line
        assert f" {account['health']:,.2f} " in line
        case = cases[account["key"]]
        (flip,) = cast(list[dict[str, float]], case["flips"])
        assert flip["distance"] == account["distance"]
        assert f" {account['distance']:.2%} to {float(flip['price']):,.2f} " in why
        # Three stand at 18 % and are meant to be 25 % away.
        assert (float(cast(str, case["collateral_to_target"])) > 0) == (account["distance"] < 0.25)
        assert bool(case["cuts"]) == (account["distance"] < 0.25)
    moved = sum(cast(float, driver["price_up_1_percent"]) for driver in explained["drivers"])
    net = cast(dict[str, dict[str, float]], told.json["greeks"])["ETH"]
    assert moved == pytest.approx(net["delta"] * 20 + net["gamma"] * 20**2 / 2)
    volatility = cast(dict[str, dict[str, list[dict[str, float]]]], told.json["volatility"])
    assert [expiry["quotes"] for expiry in volatility["ETH"]["expiries"]] == [7, 7, 7]
    for expiry in volatility["ETH"]["expiries"]:
        assert f" {expiry['vol_at_forward']:.2%} " in shown.out
        assert expiry["rmse_points"] <= expiry["max_error_points"] < 0.5
    assert told.json["plan"] is None
    assert "Nothing to do: every limit holds." in shown.out
    assert "BREACHED" not in shown.out
    breached = ask("risk", "-c", config, *DUE)
    assert (breached.code, breached.out.count("BREACHED")) == (0, 3)
    assert " gas, about " in breached.out


def test_plan_says_what_it_would_do_and_why_and_does_nothing(
    ask: Ask, localnet: Localnet, config: Path
) -> None:
    with nothing_sent(localnet):
        told, shown = ask("plan", "-c", config, *DUE, "--json"), ask("plan", "-c", config, *DUE)
        idle = ask("plan", "-c", config)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    plans = cast(list[dict[str, object]], told.json["plans"])
    actions = cast(list[dict[str, str]], plans[0]["actions"])
    assert {action["key"] for action in actions} == set(ACCOUNTS[1:])
    for action in actions:
        assert f"pay {float(action['amount']):,.2f} into {action['key']}" in shown.out
    for reason in cast(list[str], plans[0]["reasons"]):
        assert f"because {reason}" in shown.out
    assert f"{told.json['simulated_gas']:,} gas. Nothing was sent." in " ".join(shown.out.split())
    assert idle.out.strip() == "Nothing to do: every limit holds."


def test_plan_does_not_say_that_a_broken_limit_holds(ask: Ask, config: Path) -> None:
    narrow = ask("plan", "-c", config, "--set", "policy.band.ETH=0.001")  # less than the smallest trade
    assert (narrow.code, narrow.out.strip()) == (0, "No plan, although beyond its limit: net delta ETH.")


def test_a_dry_run_needs_no_key_and_sends_nothing(ask: Ask, localnet: Localnet, config: Path) -> None:
    config.with_name("key.json").unlink()
    with nothing_sent(localnet):
        told = ask("run", "-c", config, "--once", "--json", *DUE)
        shown = ask("run", "-c", config, "--once", *DUE)
    assert told.code == shown.code == 0
    assert told.json["sent"] is None
    assert cast(int, told.json["simulated_gas"]) > 100_000
    assert all(json.loads(line)["part"] for line in told.err.splitlines())
    assert shown.out == ""
    assert "dry run: would send" in shown.err
    assert not config.with_name("evenkeel.sqlite").exists()


def test_watch_needs_no_config(ask: Ask, localnet: Localnet, config: Path) -> None:
    words = ["watch", localnet.book.account, "--rpc", localnet.url, "--once", "--set", "rpc.max_head_age_s=0"]
    words += ["--deployment", str(config.with_name("deployment.json"))]
    config.unlink()
    with nothing_sent(localnet):
        told, shown = ask(*words, "--json"), ask(*words)
    assert (told.code, told.err, shown.code, shown.err) == (0, "", 0, "")
    assert set(told.json) == {
        "chain_id",
        "account",
        "block",
        "wallet",
        "quotes",
        "positions",
        "requests",
        "venues",
        "risk",
    }
    assert shown.out.startswith(f"block {localnet.node.block_number()}  {localnet.book.account}  equity 106,")
    assert "curie:0x" in shown.out
    assert "distance lyra:11" in shown.out


def test_config_show_tells_every_value_and_no_secret(ask: Ask, config: Path) -> None:
    secret = config.with_name("password").read_text().strip()
    words = ("config", "show", "-c", config, "--set", "rpc.url=http://user:hunter2@node.example/v3/APIKEY")
    told, shown = ask(*words, "--json"), ask(*words)
    assert told.code == shown.code == 0
    assert cast(dict[str, object], told.json["rpc"])["url"] == "http://node.example/..."
    assert "http://node.example/..." in shown.out
    assert str(config.with_name("key.json")) in shown.out.replace("\n", "").replace(" ", "")
    for word in (secret, "hunter2", "APIKEY"):
        assert word not in told.out + shown.out + told.err + shown.err


@pytest.mark.parametrize("width", [50, 60, 80, 100, 200])
def test_a_table_fits_the_terminal_and_keeps_a_row_on_a_line(
    ask: Ask, config: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = ask("positions", "-c", config).out.splitlines()
    assert max(len(line) for line in shown) <= width
    rows = [line for line in shown if line.startswith(("curie:", "lyra:", "uniswap:", "wallet:"))]
    assert len(rows) == 7
    assert all(len(row.split()[-1]) > 1 for row in rows)
    assert ("theta" in shown[0]) == (width >= 100)
    assert any("not shown for want of room" in line for line in shown) == (width < 110)
    limits = ask("risk", "-c", config).out.splitlines()
    assert max(len(line) for line in limits) <= width
    assert len([line for line in limits if line.startswith("distance ") and line.endswith(" ok")]) == 4


def shortened(key: str) -> str:
    """As a table shows it."""
    venue, _, rest = key.partition(":")
    return f"{venue}:{rest[:6]}…{rest[-4:]}" if rest.startswith("0x") else key


# --- a live run ------------------------------------------------------------------------------------


def test_one_live_cycle_delegates_hedges_and_leaves_a_record(
    chain: Localnet, ask: Ask, tmp_path: Path
) -> None:
    config = write_files(chain, tmp_path / "net")
    before = nonce(chain)
    told = real(*LIVE, "-c", config, *DUE, "--json")
    assert told.code == 0, told.err
    assert is_delegated(chain)
    receipt = chain.node.receipt(str(told.json["sent"]))
    assert quantity(receipt["status"]) == 1
    assert nonce(chain) - before == 3  # the delegation, the authorization in it, the hedge
    after = ask("risk", "-c", config, "--json").json
    distances = [
        cast(float, account["distance"]) for account in cast(list[dict[str, object]], after["accounts"])
    ]
    assert min(distances) >= 0.2499
    with nothing_sent(chain):
        again = ask("run", "--live", "--once", "-c", config, *DUE, "--json")
    assert (again.code, again.json["sent"], again.json["plans"]) == (0, None, [])
    assert_journal_tells(ask, config, str(told.json["sent"]))


def assert_journal_tells(ask: Ask, config: Path, tx_hash: str) -> None:
    entries = json.loads(ask("journal", "-c", config, "--json").out)
    kinds = [entry["kind"] for entry in entries]
    assert kinds.index("decision") < kinds.index("transaction")
    hedged = [e for e in entries if e["kind"] == "outcome" and e["payload"]["tx_hash"] == tx_hash]
    assert {(e["payload"]["verdict"], e["payload"]["purpose"]) for e in hedged} == {("executed", "hedge")}
    shown = ask("journal", "-c", config)
    assert f"{tx_hash[:6]}…{tx_hash[-4:]}" in shown.out
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    assert len(json.loads(ask("journal", "-c", config, "--json", "--last", 2).out)) == 2
    verified = ask("journal", "-c", config, "--verify", "--json").json
    assert verified == {"entries": len(entries), "head": entries[-1]["hash"], "verified": True}
    assert f"{len(entries)} entries, every link holds" in ask("journal", "-c", config, "--verify").out


def test_one_live_cycle_waits_until_its_delegation_is_mined(
    chain: Localnet, ask: Ask, tmp_path: Path
) -> None:
    config = write_files(chain, tmp_path / "net")
    chain.node.set_automine(on=False)
    seen: list[bool] = []

    def miner() -> None:
        node = Node(chain.url)
        deadline = time.monotonic() + 20
        while pending(node, chain) == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)  # the agent looks meanwhile, and finds the account as it was
        seen.append(is_delegated(chain, node))
        node.mine()

    mining = threading.Thread(target=miner)
    mining.start()
    told = ask(*LIVE, "-c", config, *DUE, "--json")
    mining.join()
    assert told.code == 0, told.err
    assert seen == [False]
    assert is_delegated(chain)
    assert "waiting for the delegation to be mined" in told.err
    chain.node.mine()
    assert quantity(chain.node.receipt(str(told.json["sent"]))["status"]) == 1


def test_a_new_local_chain_forgets_the_journal_of_the_one_before(localnet: Localnet, config: Path) -> None:
    journal = config.with_name("evenkeel.sqlite")
    journal.write_text("about a chain that is gone")
    write_files(localnet, config.parent)
    assert not journal.exists()


def test_a_live_cycle_that_is_refused_says_so_in_its_code(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    chain.node.set_balance(chain.book.account, 10**9)
    with nothing_sent(chain):
        told = ask(*LIVE, "-c", config, *DUE, "--json")
    assert (told.code, told.error["error"]) == (4, "BalanceTooLow")
    assert "Send it native currency" in str(told.error["message"])


def test_a_live_run_without_leave_to_delegate_says_how_to_give_it(
    ask: Ask, localnet: Localnet, config: Path
) -> None:
    with nothing_sent(localnet):
        told = ask("run", "--live", "--once", "-c", config, "--json", *DUE)
    assert (told.code, told.error["error"]) == (5, "DelegationMismatch")
    assert "run --live --delegate" in str(told.error["message"])


def test_a_contract_that_refuses_to_answer_is_transient_and_stdout_stays_clean(
    chain: Localnet, ask: Ask, tmp_path: Path
) -> None:
    config, before = write_files(chain, tmp_path / "net"), nonce(chain)
    chain.node.set_code(
        chain.lyra.exchange_rates.address, bytes.fromhex("5f5ffd")
    )  # reverts whatever is asked
    with stamina.set_testing(True, attempts=2):
        for command in ("positions", "risk", "plan"):
            told = ask(command, "-c", config, "--json")
            assert (told.code, told.error["error"], told.out) == (3, "ReadReverted", "")
            assert len(told.err.splitlines()) == 1
        told = ask(*LIVE, "-c", config, "--json", *DUE)
    assert (told.code, told.error["error"], told.out) == (3, "ReadReverted", "")
    assert nonce(chain) == before


def nonce(net: Localnet) -> int:
    return quantity(net.node.request("eth_getTransactionCount", net.book.account, "latest"))


def pending(node: Node, net: Localnet) -> int:
    counts = [
        quantity(node.request("eth_getTransactionCount", net.book.account, t)) for t in ("pending", "latest")
    ]
    return counts[0] - counts[1]


def is_delegated(net: Localnet, node: Node | None = None) -> bool:
    code = (node or net.node).request("eth_getCode", net.book.account, "latest")
    return code == "0x" + delegation_code(net.executor.address).hex()
