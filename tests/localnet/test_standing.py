"""An agent whose venues drift, close and end: what it says, what it still does, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.assembly import eye_of
from agent.chain.rpc import Rpc
from agent.cli.local import write_files
from agent.errors import ConfigInvalid, RpcRejected
from agent.market.standing import Access
from agent.planning.exit import exit_of
from agent.planning.policy import Policy
from agent.risk.limits import Bounds
from agent.runtime.alarm import Alarm, deadline_level
from agent.runtime.cycle import Desk, writers
from agent.runtime.see import Eye, answerable
from agent.sim.fingerprint import recorded
from agent.sim.localnet import Localnet
from agent.tx.executor import delegation_code
from agent.values.address import Address
from agent.values.call import Codes
from agent.values.fixed import WAD
from agent.venues.deployments import Deployment, load
from agent.venues.manifest import SLOTS, Contract, Manifest, Stage
from agent.venues.watch import Watch
from tests.told import DUE, Ask, asker, nothing_sent

FALL_WAD = 1_850 * WAD
HOUR_S = 3_600
Edit = Callable[[dict[str, object]], None]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


def drift(net: Localnet, address: str) -> None:
    """Code that does the same and is another."""
    code = net.node.request("eth_getCode", address, "latest")
    net.node.request("anvil_setCode", address, f"{code}00")
    net.node.mine()


def edit(config: Path, venue: str, **fields: object) -> None:
    """Change one venue's manifest in the deployment file."""
    path = config.parent / "deployment.json"
    raw = json.loads(path.read_text())
    raw["manifests"].setdefault(venue, {}).update(fields)
    path.write_text(json.dumps(raw))


def iso(net: Localnet, in_s: int) -> str:
    return datetime.fromtimestamp(net.node.now_s() + in_s, UTC).isoformat()


# --- drift -----------------------------------------------------------------


def test_the_files_of_the_local_chain_know_what_runs_there(localnet: Localnet, tmp_path: Path) -> None:
    localnet.write(tmp_path)
    deployment = load(tmp_path / "deployment.json")
    assert set(deployment.manifests) == set(deployment.venues) >= {"curie", "lyra", "uniswap"}
    assert all(c.code_hash for one in deployment.manifests.values() for c in one.contracts)
    assert {venue for venue, one in deployment.manifests.items() if one.words} == set(deployment.venues)


def test_a_drifted_venue_is_left_alone_and_others_go_on(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    chain.set_spot(FALL_WAD)
    both = ask("plan", "-c", config, "--json").json
    venues = {action["venue"] for plan in both["plans"] for action in plan["actions"]}  # type: ignore[attr-defined]
    assert "curie" in venues
    drift(chain, chain.curie.clearing_house.address)
    told = ask("plan", "-c", config, "--json").json
    standing = {one["venue"]: one for one in told["venues"]}  # type: ignore[attr-defined]
    assert (standing["curie"]["access"], standing["uniswap"]["access"]) == ("read-only", "open")
    assert chain.curie.clearing_house.address in standing["curie"]["drifts"][0]
    left = {action["venue"] for plan in told["plans"] for action in plan["actions"]}  # type: ignore[attr-defined]
    assert left
    assert "curie" not in left
    assert {a["key"] for a in told["risk"]["accounts"]} >= {"curie:margin"}  # type: ignore[index]


def test_a_live_agent_writes_nothing_where_it_drifted(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    drift(chain, chain.lyra.option_market.address)
    told = ask("run", "--live", "--delegate", "--once", "-c", config, "--json", *DUE)
    assert told.code == 0, told.err
    lines = [json.loads(line) for line in told.err.splitlines()]
    assert [line["venue"] for line in lines if line["event"] == "venue read-only"] == ["lyra"]
    assert [line["level"] for line in lines if line["event"] == "venue read-only"] == ["error"]
    assert told.json["sent"] is None
    kept = json.loads(ask("journal", "-c", config, "--json").out)
    assert not any("lyra.addCollateral" in json.dumps(entry) for entry in kept)


def test_venues_says_what_drifted_and_ends_with_five(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    with nothing_sent(chain):
        fine = ask("venues", "--rpc", chain.url, "--deployment", config.parent / "deployment.json", "--json")
        assert fine.code == 0, fine.err
        assert {v["access"] for v in fine.json["venues"]} == {"open"}  # type: ignore[attr-defined]
        assert {v["venue"] for v in fine.json["venues"]} >= {"curie", "lyra", "uniswap"}  # type: ignore[attr-defined]
        assert all(v["markets"] and v["can"]["tested_on"] for v in fine.json["venues"])  # type: ignore[attr-defined]
    drift(chain, chain.uniswap.swap_router.address)
    told = ask("venues", "-c", config, "--json")
    assert told.code == 5
    (wrong,) = [v for v in told.json["venues"] if not v["sound"]]  # type: ignore[attr-defined]
    assert (wrong["venue"], wrong["access"]) == ("uniswap", "read-only")
    assert [c["name"] for c in wrong["contracts"] if c["met"] is False] == ["swap_router"]
    shown = ask("venues", "-c", config)
    assert (shown.code, "NO" in shown.out) == (5, True)


def test_venues_says_of_what_nothing_is_known_and_of_what_is_another(
    chain: Localnet, ask: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(chain.deployment().model_dump_json())  # as files were before there were manifests
    told = ask("venues", "--rpc", chain.url, "--deployment", path, "--json")
    assert told.code == 0
    assert all(c["met"] is None for v in told.json["venues"] for c in v["contracts"])  # type: ignore[attr-defined]
    assert "unpinned" in ask("venues", "--rpc", chain.url, "--deployment", path).out
    deployment = chain.deployment()
    assert deployment.curie is not None
    other = deployment.curie.model_copy(update={"vault": chain.lyra.quote.address})
    path.write_text(deployment.model_copy(update={"curie": other}).model_dump_json())
    wrong = ask("venues", "--rpc", chain.url, "--deployment", path, "--json")
    assert wrong.code == 5
    access = {v["venue"]: (v["access"], bool(v["refusal"])) for v in wrong.json["venues"]}  # type: ignore[attr-defined]
    assert access.pop("curie") == ("read-only", True)
    assert set(access.values()) == {("open", False)}


# --- other kinds of drift --------------------------------------------------


def look(net: Localnet, manifest: Manifest, lead_s: int = 0) -> tuple[Eye, object]:
    deployment = net.deployment().model_copy(update={"manifests": {"curie": manifest}})
    rpc = Rpc(net.url)
    block = rpc.block("latest")
    eye = eye_of(rpc, deployment, block, lead_s)
    return eye, eye.see(net.book.account, block).standing("curie")


def test_a_proxy_that_points_elsewhere_is_drift(chain: Localnet) -> None:
    curie = chain.curie
    proxy, first, second = (one.address for one in (curie.vault, curie.config, curie.exchange))
    chain.node.request("anvil_setStorageAt", proxy, SLOTS["eip1967"], "0x" + first[2:].rjust(64, "0"))
    chain.node.mine()
    rpc = Rpc(chain.url)
    deployment = recorded(chain.node, chain.deployment())
    known = deployment.manifest("curie").contract(Address(first)).code_hash
    expected = Contract(address=proxy, implementation=first, implementation_hash=known)
    eye, standing = look(chain, Manifest(contracts=(expected,)))
    assert standing.access is Access.FULL  # type: ignore[attr-defined]
    chain.node.request("anvil_setStorageAt", proxy, SLOTS["eip1967"], "0x" + second[2:].rjust(64, "0"))
    chain.node.mine()
    drifted = eye.see(chain.book.account, rpc.block("latest")).standing("curie")
    assert drifted.access is Access.WATCH
    assert second.lower() in drifted.why
    chain.node.request("anvil_setStorageAt", proxy, SLOTS["eip1967"], "0x" + first[2:].rjust(64, "0"))
    drift(chain, first)
    assert "implementation" in eye.see(chain.book.account, rpc.block("latest")).standing("curie").why


def test_what_is_unpinned_is_held_to_the_code_of_the_first_look(chain: Localnet) -> None:
    vault, config = (Address(one.address) for one in (chain.curie.vault, chain.curie.config))
    eye, standing = look(chain, Manifest(contracts=(Contract(address=vault), Contract(address=config))))
    assert standing.access is Access.FULL  # type: ignore[attr-defined]
    code = chain.node.request("eth_getCode", vault, "latest")
    drift(chain, vault)
    rpc = Rpc(chain.url)
    found = eye.see(chain.book.account, rpc.block("latest")).standing("curie")
    assert (found.access, len(found.drifts)) == (Access.WATCH, 1)
    assert f"vault {vault} runs code 0x" in found.why
    assert "at the first look it ran" in found.why
    chain.node.request("anvil_setCode", vault, code)
    chain.node.mine()
    assert eye.see(chain.book.account, rpc.block("latest")).standing("curie").access is Access.FULL
    rpc.close()


def test_a_price_service_that_is_away_is_told_and_is_no_drift(
    chain: Localnet, ask: Ask, tmp_path: Path
) -> None:
    deployment = recorded(chain.node, chain.deployment())
    assert deployment.gmx is not None
    away = deployment.gmx.model_copy(update={"prices_url": "http://127.0.0.1:1/"})
    path = tmp_path / "deployment.json"
    path.write_text(deployment.model_copy(update={"gmx": away}).model_dump_json())
    told = ask("venues", "--rpc", chain.url, "--deployment", path, "--json")
    assert told.code == 0, told.err
    entries = {v["venue"]: v for v in told.json["venues"]}  # type: ignore[attr-defined]
    assert [name for name, one in entries.items() if one["unread"]] == ["gmx"]
    assert (entries["gmx"]["sound"], entries["gmx"]["markets"]) == (True, [])
    assert all(one["markets"] for name, one in entries.items() if name != "gmx")
    assert "not read now" in ask("venues", "--rpc", chain.url, "--deployment", path).out


def test_a_protocol_that_wants_no_code_is_read_only_for_a_delegated_account(chain: Localnet) -> None:
    known = Manifest(needs_codeless_account=True)
    eye, standing = look(chain, known)
    assert standing.access is Access.FULL  # type: ignore[attr-defined]
    chain.node.set_code(chain.book.account, delegation_code(chain.executor.address))
    chain.node.mine()
    rpc = Rpc(chain.url)
    found = eye.see(chain.book.account, rpc.block("latest")).standing("curie")
    assert (found.access, "account with code" in found.why) == (Access.WATCH, True)


def test_a_node_that_runs_no_program_is_asked_for_the_code_itself(chain: Localnet) -> None:
    class Strict(Rpc):
        def calls(self, calls, at):  # type: ignore[no-untyped-def]
            if any(isinstance(call, Codes) for call in calls):
                raise RpcRejected(endpoint="", method="eth_call", reason="missing to", rpc_code=-32602)
            return super().calls(calls, at)

    deployment = recorded(chain.node, chain.deployment())
    rpc = Strict(chain.url)
    block = rpc.block("latest")
    eye = eye_of(rpc, deployment, block)
    assert eye.watch == replace(Watch.of(deployment), one_by_one=True) == answerable(rpc, eye.watch, block)
    assert {s.access for s in eye.see(chain.book.account, block).standings} == {Access.FULL}
    drift(chain, chain.curie.vault.address)
    seen = eye.see(chain.book.account, rpc.block("latest"))
    assert seen.standing("curie").access is Access.WATCH
    assert seen.standing("lyra").access is Access.FULL


# --- life stages -----------------------------------------------------------


def test_a_stage_comes_from_dates_the_lead_and_the_contracts(chain: Localnet) -> None:
    def access(**fields: object) -> Access:
        return look(chain, Manifest.model_validate(fields), lead_s=10 * HOUR_S)[1].access  # type: ignore[attr-defined, no-any-return]

    assert access(ends=iso(chain, 11 * HOUR_S)) is Access.FULL
    assert access(ends=iso(chain, 9 * HOUR_S)) is Access.REDUCE
    assert access(ends=iso(chain, -HOUR_S)) is Access.LEAVE
    assert access(close_only_from=iso(chain, -HOUR_S)) is Access.REDUCE
    assert access(close_only_from=iso(chain, HOUR_S)) is Access.FULL
    assert access(stage="ended") is Access.LEAVE
    chain.curie.base.send(chain.roles["owner"], "pause")
    _, standing = look(chain, Manifest())
    assert (standing.access, standing.why) == (Access.REDUCE, "close-only: its contracts say so")  # type: ignore[attr-defined]


def test_no_plan_opens_anything_where_a_venue_closes(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    chain.set_spot(FALL_WAD)
    edit(config, "curie", stage="close-only")
    told = ask("plan", "-c", config, "--json").json
    held = float(
        next(
            p["size"]
            for p in ask("positions", "-c", config, "--json").json["positions"]  # type: ignore[attr-defined]
            if p["venue"] == "curie"
        )
    )
    trades = [
        float(a["size"])
        for plan in told["plans"]  # type: ignore[attr-defined]
        for a in plan["actions"]
        if a["venue"] == "curie" and a["action"] == "Trade"
    ]
    assert all(size * held < 0 and abs(size) <= abs(held) for size in trades)


def test_the_way_out_is_told_with_its_cost_and_its_day(chain: Localnet, ask: Ask, tmp_path: Path) -> None:
    config = write_files(chain, tmp_path / "net")
    ends = iso(chain, 20 * HOUR_S)
    for venue in ("curie", "lyra", "uniswap"):
        edit(config, venue, ends=ends)
    told = ask("venues", "-c", config, "--json")
    assert told.code == 0, told.err
    exits = {v["venue"]: v["exit"] for v in told.json["venues"] if v["exit"]}  # type: ignore[attr-defined]
    assert set(exits) == {"curie", "lyra", "uniswap"}
    (perpetual,) = exits["curie"]["steps"]
    assert (perpetual["action"], perpetual["size"], perpetual["refusal"]) == ("Trade", "6.06", None)
    assert 0 < float(exits["curie"]["cost"]) < 6.06 * 2_000 / 100
    assert len(exits["lyra"]["steps"]) == 3
    assert all(step["action"] == "Reduce" and step["refusal"] is None for step in exits["lyra"]["steps"])
    assert [step["refusal"] for step in exits["uniswap"]["steps"]] == [None]
    assert {exits[venue]["by"] for venue in ("curie", "lyra", "uniswap")} == {ends.replace("+00:00", "Z")}
    assert any("withdrawn" in left for left in exits["curie"]["left"])
    assert "way out by" in ask("venues", "-c", config).out


def test_the_way_out_is_a_way_out(chain: Localnet) -> None:
    """Carrying out the steps leaves nothing."""
    rpc = Rpc(chain.url)
    deployment = chain.deployment()
    policy = Policy()
    desk = Desk(chain.book.account, eye_of(rpc, deployment, rpc.block("latest")), policy, Bounds())
    for venue in ("curie", "uniswap", "lyra"):
        block = rpc.block("latest")
        snapshot = desk.eye.see(chain.book.account, block)
        known = writers(desk, snapshot)
        for step in exit_of(snapshot, venue, policy, known[venue]).steps:
            for call in known[venue](step.action).calls:
                chain.chain.send(chain.book.account, call.target, call.data, call.label)
        after = desk.eye.see(chain.book.account, rpc.block("latest"))
        assert not any(p.size_wad for p in after.venue(venue).positions)


# --- alarms ----------------------------------------------------------------


def test_a_deadline_is_told_the_louder_the_nearer_it_is() -> None:
    lead = 72 * HOUR_S
    levels = [deadline_level(h * HOUR_S, lead, is_exposed=True) for h in (73, 72, 37, 36, 10, 9, 0, -5)]
    assert levels == [None, "warning", "warning", "error", "error", "critical", "critical", "critical"]
    assert deadline_level(HOUR_S, lead, is_exposed=False) == "info"


def test_an_alarm_says_what_changes_once_and_a_deadline_again_and_again(chain: Localnet) -> None:
    ends = iso(chain, 80 * HOUR_S)
    eye, _ = look(chain, Manifest.model_validate({"ends": ends}), lead_s=72 * HOUR_S)
    alarm, rpc, told = Alarm(72 * HOUR_S), Rpc(chain.url), []
    for _ in range(82):
        notices = alarm.note(eye.see(chain.book.account, rpc.block("latest")))
        told.append([(n.level, n.event) for n in notices])
        chain.node.warp(HOUR_S)
    flat = [notice for some in told for notice in some]
    assert told[0] == []
    assert flat[:2] == [("warning", "venue close-only"), ("warning", "venue ends soon")]
    counts = {level: flat.count((level, "venue ends soon")) for level in ("warning", "error", "critical")}
    assert 5 <= counts["warning"] <= 7  # every six hours
    assert 26 <= counts["error"] <= 28  # every hour
    assert counts["critical"] >= 8  # at every look, here
    assert ("warning", "venue ended") in flat
    assert flat[-1] == ("critical", "venue has ended")


# --- files -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"contracts": [{"address": "0x12"}]}, "contracts.0.address"),
        ({"contracts": [{"address": "0x" + "11" * 20, "code_hash": "0x12"}]}, "64 hex digits"),
        ({"contracts": [{"address": "0x" + "11" * 20}] * 2}, "named twice"),
        ({"stage": "shut"}, "stage"),
        ({"ends": "2030-01-01T00:00:00"}, "ends"),
        ({"ends": "2030-01-01T00:00:00Z", "close_only_from": "2031-01-01T00:00:00Z"}, "close_only_from"),
        ({"words": {"curie.x": 0}}, "one word"),
        ({"sources": 1}, "source"),
        ({"contracts": [{"address": "0x" + "11" * 20, "slot": "eip1968"}]}, "eip1967"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_by_its_place(
    localnet: Localnet, tmp_path: Path, fields: dict[str, object], word: str
) -> None:
    config = write_files(localnet, tmp_path)
    edit(config, "curie", **fields)
    with pytest.raises(ConfigInvalid, match=word):
        load(tmp_path / "deployment.json")


def test_a_manifest_of_a_venue_that_nobody_knows_is_refused(localnet: Localnet, tmp_path: Path) -> None:
    raw = localnet.deployment().model_dump(mode="json") | {"manifests": {"nowhere": {}}}
    (tmp_path / "deployment.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigInvalid, match="nowhere"):
        load(tmp_path / "deployment.json")


def test_files_from_before_there_were_manifests_load_as_before(localnet: Localnet, tmp_path: Path) -> None:
    raw = localnet.deployment().model_dump(mode="json")
    del raw["manifests"]
    (tmp_path / "deployment.json").write_text(json.dumps(raw))
    found = load(tmp_path / "deployment.json")
    assert isinstance(found, Deployment)
    assert found.manifest("curie") == Manifest()
    assert found.manifest("curie").stage is Stage.OPEN
