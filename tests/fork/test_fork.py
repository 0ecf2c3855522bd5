"""The same agent, unchanged, on a fork: of our own chain, since no other may be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from agent.cli.local import write_files
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.localnet import Localnet, attach
from agent.sim.node import quantity
from agent.sim.toolchain import Toolchain
from agent.tx.executor import delegation_code
from agent.values.fixed import WAD
from tests.told import LIVE, Ask, asker, nothing_sent, real

FORK_ID = 31338
FALL_WAD = 1_850 * WAD  # the book's delta is then outside its trigger, and its puts are near their floor


@pytest.fixture(scope="module")
def fork(
    localnet: Localnet, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Localnet]:
    """Handles to everything on a second anvil that has the first for its past."""
    options = AnvilOptions(chain_id=FORK_ID, fork_url=localnet.url, interval_s=12)
    with Anvil(toolchain.anvil, options) as node:
        manifest = tmp_path_factory.mktemp("fork") / "localnet.json"
        manifest.write_text(json.dumps(localnet.manifest() | {"rpc_url": node.url, "chain_id": FORK_ID}))
        yield attach(manifest, toolchain)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


def test_the_same_agent_hedges_on_a_fork_and_the_origin_is_untouched(
    localnet: Localnet, fork: Localnet, ask: Ask, tmp_path: Path
) -> None:
    with nothing_sent(localnet):
        config = write_files(fork, tmp_path / "net")
        assert ask("risk", "-c", config, "--json").json["equity_usd"] == pytest.approx(
            equity(localnet, ask, tmp_path)
        )
        first = real(*LIVE, "-c", config, "--json")
        assert (first.code, first.json["sent"], first.json["plans"]) == (0, None, []), first.err
        code = fork.node.request("eth_getCode", fork.book.account, "latest")
        assert code == "0x" + delegation_code(fork.executor.address).hex()

        fork.set_spot(FALL_WAD)
        due = net_delta(ask, config)
        assert abs(due) > 0.3
        told = ask("run", "--live", "--once", "-c", config, "--json")
        assert told.code == 0, told.err
        assert quantity(fork.node.receipt(str(told.json["sent"]))["status"]) == 1
        # a part may be left to a keeper, well inside the band; what is asked for makes up for it
        assert abs(net_delta(ask, config)) < 0.25
        assert abs(net_delta(ask, config) + asked(ask, config)) < 0.05

        after = ask("run", "--live", "--once", "-c", config, "--json")
        assert (after.code, after.json["sent"], after.json["refused"]) == (0, None, [])
        kept = [entry["payload"] for entry in json.loads(ask("journal", "-c", config, "--json").out)]
        hedges = [p for p in kept if p.get("tx_hash") == told.json["sent"] and p.get("verdict") == "executed"]
        assert hedges
        assert all(proof["kept"] for proof in hedges[0]["proof"])
    assert localnet.spot_wad() == 2_000 * WAD
    assert localnet.node.request("eth_getCode", localnet.book.account, "latest") == "0x"
    assert localnet.node.request("eth_getTransactionReceipt", told.json["sent"]) is None


def test_an_agent_configured_for_the_origin_refuses_the_fork(
    localnet: Localnet, fork: Localnet, ask: Ask, tmp_path: Path
) -> None:
    config = write_files(localnet, tmp_path / "net")
    with nothing_sent(fork), nothing_sent(localnet):
        told = ask(*LIVE, "-c", config, "--json", "--set", f"rpc.url={fork.url}")
    assert (told.code, told.error["error"]) == (5, "ChainMismatch")


def equity(net: Localnet, ask: Ask, folder: Path) -> float:
    config = write_files(net, folder / "origin")
    return cast(float, ask("risk", "-c", config, "--json").json["equity_usd"])


def asked(ask: Ask, config: Path) -> float:
    """What keepers are still to fill."""
    waiting = cast(list[dict[str, str]], ask("positions", "-c", config, "--json").json["requests"])
    return sum(float(one["size"]) - float(one["filled"]) for one in waiting)


def net_delta(ask: Ask, config: Path) -> float:
    greeks = cast(dict[str, dict[str, float]], ask("risk", "-c", config, "--json").json["greeks"])
    return greeks["ETH"]["delta"]
