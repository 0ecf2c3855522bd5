"""The toolchain is what was pinned, or it is refused."""

from __future__ import annotations

import json
import tarfile
from importlib.resources import files
from pathlib import Path

import pytest

from agent.errors import ToolMissing
from agent.sim import package, toolchain
from agent.sim.artifact import Artifact, own_artifact
from agent.sim.toolchain import Toolchain, install, locate

NPM = files("agent.sim") / "npm"
PLATFORMS = {"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64", "win32-amd64"}


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_lock_file_names_no_host_and_every_platform() -> None:
    text = (NPM / "package-lock.json").read_text()
    assert "://" not in text
    assert "resolved" not in text
    packages = json.loads(text)["packages"]
    for tool in ("anvil", "forge"):
        for platform in PLATFORMS:
            entry = packages[f"node_modules/@foundry-rs/{tool}-{platform}"]
            assert (entry["version"], entry["optional"]) == (toolchain.FOUNDRY_VERSION, True)
    assert packages["node_modules/solc"]["version"] == "0.8.30"


def test_every_protocol_is_pinned_by_sha512() -> None:
    pinned = {pin.package: pin for pin in package.pins().values()}
    assert set(pinned) == {
        "@perp/curie-contract",
        "@perp/perp-oracle-contract",
        "@uniswap/v3-core",
        "@uniswap/v3-periphery",
        "@lyrafinance/protocol",
    }
    assert all(pin.integrity.startswith("sha512-") and len(pin.integrity) == 95 for pin in pinned.values())


def test_every_package_of_sources_is_pinned_by_sha512_and_is_not_fetched_by_setup() -> None:
    pinned = {pin.package: pin for pin in package.pins("sources").values()}
    assert set(pinned) == {
        "@synthetixio/core-contracts",
        "@synthetixio/core-modules",
        "@synthetixio/oracle-manager",
        "@synthetixio/perps-market",
        "@synthetixio/spot-market",
        "solc",
    }
    assert all(pin.integrity.startswith("sha512-") and len(pin.integrity) == 95 for pin in pinned.values())
    assert not set(pinned) & {pin.package for pin in package.pins().values()}


def test_an_absent_toolchain_is_missing_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="evenkeel setup"):
        locate(tmp_path)


def test_a_toolchain_of_other_pins_is_missing(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text("another digest\n")
    with pytest.raises(ToolMissing, match="other versions"):
        locate(tmp_path)


def test_a_finished_toolchain_is_not_installed_again(toolchain: Toolchain) -> None:
    said: list[str] = []
    assert install(toolchain.root, said.append) == toolchain
    assert said == []


def test_without_node_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="node is not installed"):
        install(tmp_path / "root", lambda _: None)


def test_an_old_node_is_refused_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "node", "echo v18.19.0")
    _program(tmp_path, "npm", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolMissing, match=r"v18\.19\.0"):
        install(tmp_path / "root", lambda _: None)


def test_a_failing_npm_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "node", "echo v22.1.0")
    _program(tmp_path, "npm", "echo 'npm error network is unreachable' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolMissing, match="network is unreachable"):
        install(tmp_path / "root", lambda _: None)
    assert not (tmp_path / "root" / "stamp").exists()


def _fake_pack(folder: Path, pin: package.Pin, root: Path) -> package.Npm:
    """An npm whose pack delivers a tarball of one artifact."""
    artifact = folder / "package" / "artifacts" / "A.sol" / "A.json"
    artifact.parent.mkdir(parents=True)
    artifact.write_text('{"abi": [], "bytecode": "0x"}')
    (folder / "package" / "A.ts").write_text("not wanted")
    with tarfile.open(folder / pin.tarball, "w:gz") as archive:
        archive.add(folder / "package", arcname="package")
    _program(folder, "npm", f'cp "{folder / pin.tarball}" "$3"')  # pack --pack-destination FOLDER
    root.mkdir()
    return package.Npm(str(folder / "npm"), lock=2)


def test_a_tarball_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    pin = package.Pin("@a/b", "1.0.0", "sha512-another")
    root = tmp_path / "root"
    npm = _fake_pack(tmp_path, pin, root)
    with pytest.raises(ToolMissing, match="is not the pinned sha512-another"):
        package.fetch_protocols(npm, root, {"b": pin})
    assert list(root.iterdir()) == []


def test_a_pinned_tarball_is_unpacked_without_its_sources(tmp_path: Path) -> None:
    pin = package.Pin("@a/b", "1.0.0", "sha512-another")
    root = tmp_path / "root"
    npm = _fake_pack(tmp_path, pin, root)
    with pytest.raises(ToolMissing) as refusal:
        package.fetch_protocols(npm, root, {"b": pin})
    actual = str(refusal.value.fields["reason"]).split()[1]
    package.fetch_protocols(npm, root, {"b": package.Pin("@a/b", "1.0.0", actual)})
    unpacked = sorted(path.name for path in (root / "protocols" / "b").rglob("*") if path.is_file())
    assert unpacked == ["A.json", "integrity"]


def test_linking_replaces_the_placeholder_of_each_library() -> None:
    references = {"a.sol": {"L": [{"start": 1, "length": 20}]}}
    artifact = Artifact("A", [], "0x60" + "__$" + "0" * 34 + "$__" + "61", references)
    assert artifact.linked({"L": "0x" + "AB" * 20}).hex() == "60" + "ab" * 20 + "61"
    with pytest.raises(KeyError, match="L"):
        artifact.linked({})


def test_a_contract_nobody_published_is_missing_by_name(toolchain: Toolchain) -> None:
    with pytest.raises(ToolMissing, match="contract Nothing of curie"):
        toolchain.artifact("curie", "Nothing")
    with pytest.raises(ToolMissing, match="artifact of Nothing"):
        own_artifact("Nothing")
