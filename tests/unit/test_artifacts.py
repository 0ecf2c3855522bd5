"""The artifacts under ``abis/`` are what the sources compile to."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from agent.sim.compiler import SETTINGS, SOLC_VERSION, Compiled, compile_contracts
from agent.sim.deploy import gmx
from agent.sim.toolchain import Toolchain

ROOT = Path(__file__).resolve().parents[2]
ABIS = ROOT / "abis"
CODE_LIMIT = 24_576  # EIP-170
STAND_INS = (*gmx.CONTRACTS.values(), "GmxReferrals")
OWN = (
    "CallLens",
    "ExamplePerps",
    "HedgeExecutor",
    "KeeperMarket",
    "MintableToken",
    "Multicall3",
    "Passage",
    "PriceAggregator",
    "TableLens",
    *sorted({*STAND_INS} - {"MintableToken", "PriceAggregator"}),
)


@pytest.fixture(scope="module")
def fresh(toolchain: Toolchain) -> dict[str, Compiled]:
    return compile_contracts(toolchain.root, ROOT / "contracts")


def test_every_contract_is_compiled(fresh: dict[str, Compiled]) -> None:
    assert set(fresh) == set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_shipped_artifact_equals_a_fresh_build(fresh: dict[str, Compiled], name: str) -> None:
    shipped = (ABIS / f"{name}.json").read_bytes()
    assert shipped == fresh[name].to_json(), "run scripts/build_contracts.py and commit abis/"


def test_no_artifact_of_our_contracts_is_left_from_a_contract_that_is_gone(
    fresh: dict[str, Compiled],
) -> None:
    shipped = {path.stem: json.loads(path.read_bytes()) for path in ABIS.glob("*.json")}
    ours = {name for name, artifact in shipped.items() if "source" in artifact and "bytecode" in artifact}
    assert ours == set(fresh)


def test_code_fits_the_limit_of_the_chain(fresh: dict[str, Compiled]) -> None:
    sizes = {name: len(contract.deployed_bytecode) // 2 - 1 for name, contract in fresh.items()}
    assert all(0 < size <= CODE_LIMIT for size in sizes.values()), sizes


def test_a_build_does_not_depend_on_where_it_is_made(
    fresh: dict[str, Compiled], toolchain: Toolchain, tmp_path: Path
) -> None:
    for source in sorted((ROOT / "contracts").glob("s*/**/*.sol")):
        copy = tmp_path / "elsewhere" / source.relative_to(ROOT / "contracts")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    assert compile_contracts(toolchain.root, tmp_path / "elsewhere") == fresh


def test_the_settings_of_forge_are_those_of_the_artifacts(fresh: dict[str, Compiled]) -> None:
    forge = tomllib.loads((ROOT / "contracts" / "foundry.toml").read_text())["profile"]["default"]
    assert forge["solc_version"] == SOLC_VERSION
    assert forge["evm_version"] == SETTINGS["evmVersion"]
    assert {"enabled": forge["optimizer"], "runs": forge["optimizer_runs"]} == SETTINGS["optimizer"]
    assert "via_ir" not in forge
    assert "viaIR" not in SETTINGS
    assert all(contract.compiler.startswith(SOLC_VERSION) for contract in fresh.values())
