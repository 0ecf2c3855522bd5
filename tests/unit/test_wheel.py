"""What is installed is all that is needed: the wheel runs far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from agent import __version__

ROOT = Path(__file__).resolve().parents[2]
# Says where it came from, so that the checkout cannot stand in for the wheel unnoticed.
SNIPPET = """
import json
import agent
from agent.assembly import shipped
from agent.chain.abi import load
from agent.sim.artifact import own_artifact
from agent.sim.source import stand_in
print(json.dumps({
    "from": agent.__file__,
    "selectors": {name: load(name)[function].selector.hex() for name, function in
                  [("curie", "getVault"), ("erc20", "balanceOf"), ("lyra", "getOptionMarketParams"),
                   ("uniswap", "getPool"), ("uniswap_pool", "slot0")]},
    "stand-in": str(stand_in()),
    "bytecode": len(own_artifact("HedgeExecutor").bytecode),
    "manifest": str(shipped(1)),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed wheel, its dependencies left out."""
    if find_spec("hatchling") is None:
        pytest.skip("the build backend hatchling is not installed; the dev extras have it")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", ROOT]
    called([*pip, *build], folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    assert wheel.name == f"evenkeel-{__version__}-py3-none-any.whl"
    called([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], folder)
    return folder / "site"


def called(command: list[object], folder: Path, site: Path | None = None) -> str:
    """stdout of a process that finds the wheel, if one is named, and never the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(site)} if site is not None else {}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    evenkeel = installed / "bin" / "evenkeel"
    assert called([evenkeel, "version"], tmp_path, installed) == f"evenkeel {__version__}\n"
    assert "Exit codes" in called([evenkeel, "--help"], tmp_path, installed)
    assert list(tmp_path.iterdir()) == []


def test_abis_artifacts_and_manifests_travel_with_the_package(installed: Path, tmp_path: Path) -> None:
    told = json.loads(called([sys.executable, "-c", SNIPPET], tmp_path, installed))
    assert told["from"] == str(installed / "agent" / "__init__.py")
    assert told["manifest"].startswith(str(installed))
    assert told["selectors"]["erc20"] == "70a08231"
    assert told["bytecode"] > 5_000
    assert told["stand-in"] == str(installed / "agent" / "contracts" / "synthetix")


def test_the_wheel_holds_the_package_with_its_abis_and_nothing_else(installed: Path) -> None:
    held = {path.relative_to(installed).parts[0] for path in installed.iterdir()}
    assert held == {"agent", "bin", f"evenkeel-{__version__}.dist-info"}
    expected = contents(ROOT / "agent") | {f"abis/{name}" for name in contents(ROOT / "abis")}
    expected |= {f"contracts/synthetix/{name}" for name in contents(ROOT / "contracts" / "synthetix")}
    assert contents(installed / "agent") == expected
    assert {"py.typed", "abis/curie.json", "sim/npm/package-lock.json", "sim/npm/solc.cjs"} <= expected


def contents(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in files if "__pycache__" not in path.parts}
