"""Synthetix V3's perps market, which is published as Solidity alone: compiled on this machine, once.

Nothing of it is fetched or compiled before a contract of it is asked for. The sources are pinned npm packages
(``npm/sources.json``); what they import and npm lacks is our own stand-in (``contracts/synthetix``). The
result is kept with the toolchain under a name that says what went into it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from agent.errors import ToolMissing
from agent.sim.artifact import Artifact
from agent.sim.package import Npm, fetch_packages, find_npm, locked, missing_packages, pins

PROTOCOL = "synthetix"
SCOPE = "@synthetixio/"
COMPILER = "solc"  # its name among the pins
SETTINGS = {"evmVersion": "paris", "optimizer": {"enabled": True, "runs": 200}}
TIMEOUT_S = 600
KEPT = 4  # results of other sources that stay; about 1 MB each

PERPS, SPOT = f"{SCOPE}perps-market/contracts", f"{SCOPE}spot-market/contracts"
MODULES = tuple(
    f"{PERPS}/modules/{name}.sol"
    for name in (
        "AssociatedSystemsModule",
        "AsyncOrderCancelModule",
        "AsyncOrderModule",
        "AsyncOrderSettlementPythModule",
        "CollateralConfigurationModule",
        "CoreModule",
        "FeatureFlagModule",
        "GlobalPerpsMarketModule",
        "LiquidationModule",
        "MarketConfigurationModule",
        "PerpsAccountModule",
        "PerpsMarketFactoryModule",
        "PerpsMarketModule",
    )
)
ROOTS = (
    *MODULES,
    f"{PERPS}/mocks/MockGasPriceNode.sol",
    f"{PERPS}/mocks/MockPythERC7412Wrapper.sol",
    f"{SPOT}/modules/MarketConfigurationModule.sol",
    f"{SPOT}/modules/SpotMarketFactoryModule.sol",
    f"{SPOT}/modules/token/SynthTokenModule.sol",
    f"{SCOPE}oracle-manager/contracts/modules/NodeModule.sol",
    f"{SCOPE}core-modules/contracts/modules/NftModule.sol",
    f"{SCOPE}core-modules/contracts/modules/TokenModule.sol",
    f"{SCOPE}rewards-distributor/src/RewardsDistributor.sol",
    *(f"{SCOPE}system/{name}.sol" for name in ("AccountModule", "Core", "Router")),
)

Answer = dict[str, dict[str, dict[str, dict[str, Any]]]]  # contracts, source unit, contract, output

_IMPORT = re.compile(r'^\s*import\s+(?:[^;"]*?\sfrom\s+)?"([^"]+)"\s*;', re.MULTILINE)


def artifact(root: Path, name: str, say: Callable[[str], None]) -> Artifact:
    """A contract as compiled here; ``root`` is the toolchain's folder. Raises ToolMissing."""
    folder = root / "compiled" / _key()
    if not folder.is_dir():
        with locked(root / "lock") as lock:
            if not folder.is_dir():
                _build(root, folder, lock, say)
    path = folder / f"{name}.json"
    if not path.is_file():
        raise ToolMissing(
            tool=f"contract {name} of {PROTOCOL}", reason=f"not among those compiled in {folder}"
        )
    raw = orjson.loads(path.read_bytes())
    return Artifact(name, raw["abi"], raw["bytecode"], {})


def stand_in() -> Path:
    """The folder of our own Solidity, of a checkout or an installed package. Raises ToolMissing."""
    for folder in (
        Path(str(files("agent"))) / "contracts" / "synthetix",
        Path(__file__).resolve().parents[2] / "contracts" / "synthetix",
    ):
        if folder.is_dir():
            return folder
    raise ToolMissing(tool="our stand-in for Synthetix' core", reason="the package holds none")


def _key() -> str:
    """Names a result by everything that went into it."""
    digest = hashlib.sha256(json.dumps([SETTINGS, ROOTS], sort_keys=True).encode())
    digest.update((files("agent.sim") / "npm" / "sources.json").read_bytes())
    folder = stand_in()
    for path in sorted(folder.rglob("*.sol")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:24]


def _build(root: Path, folder: Path, lock: int, say: Callable[[str], None]) -> None:
    """Fetch what is missing, compile, and put the result into ``folder``, whole or not at all."""
    wanted = missing_packages(root / "sources", pins("sources"))
    if wanted:
        say(f"fetching {', '.join(pin.package for pin in wanted.values())} ...")
        fetch_packages(Npm(find_npm(), lock), root / "sources", wanted, _is_source)
    say("compiling Synthetix V3's perps market (once, about 20 s) ...")
    began = time.monotonic()
    sources = closure(root / "sources", stand_in(), ROOTS)
    answer = _compile(root, sources)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="partial-") as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        for unit in ROOTS:
            name = PurePosixPath(unit).stem
            # the spot market's modules have names that the perps market's have, too
            label = (
                f"Spot{name}" if unit.startswith(SPOT) and not name.startswith(("Spot", "Synth")) else name
            )
            compiled = answer["contracts"][unit][name]
            code = "0x" + compiled["evm"]["bytecode"]["object"]
            (partial / f"{label}.json").write_bytes(orjson.dumps({"abi": compiled["abi"], "bytecode": code}))
        partial.rename(folder)
    by_age = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    say(f"compiled {len(sources)} files in {time.monotonic() - began:.0f} s")


def _is_source(path: PurePosixPath) -> bool:
    return path.suffix == ".sol" or path.name in ("LICENSE", "package.json", "soljson.js")


def closure(packages: Path, own: Path, roots: Iterable[str]) -> dict[str, str]:
    """Every file that the roots import, by the name it is imported under. Raises ToolMissing."""
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        unit = waiting.pop()
        if unit in found:
            continue
        within = unit.removeprefix(SCOPE)
        name, _, rest = within.partition("/")
        path = next((p for p in (packages / name / "package" / rest, own / within) if p.is_file()), None)
        if path is None:
            raise ToolMissing(tool=f"the source {unit}", reason=f"neither in {packages} nor in {own}")
        found[unit] = path.read_text(encoding="utf-8")
        waiting += [_resolved(unit, imported) for imported in _IMPORT.findall(found[unit])]
    return found


def _resolved(unit: str, imported: str) -> str:
    """``../storage/Account.sol`` as seen from ``unit``."""
    if not imported.startswith("."):
        return imported
    parts = list(PurePosixPath(unit).parent.parts)
    for part in PurePosixPath(imported).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _compile(root: Path, sources: dict[str, str]) -> Answer:
    """The compiler's answer. Raises ToolMissing with its first error."""
    node = shutil.which("node")
    if node is None:
        raise ToolMissing(tool="node", reason="it is not on PATH")
    request = {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in sorted(sources.items())},
        "settings": {
            **SETTINGS,
            "outputSelection": {
                unit: {PurePosixPath(unit).stem: ["abi", "evm.bytecode.object"]} for unit in ROOTS
            },
        },
    }
    soljson = root / "sources" / COMPILER / "package" / "soljson.js"
    with as_file(files("agent.sim") / "npm" / "solc.cjs") as script:
        command = [node, str(script), str(root / "node_modules"), "--standard-json", f"--soljson={soljson}"]
        try:
            done = subprocess.run(
                command, input=orjson.dumps(request), capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ToolMissing(tool="solc", reason=f"it did not finish within {TIMEOUT_S} s") from error
    try:
        answer = orjson.loads(done.stdout)
    except orjson.JSONDecodeError as error:
        raise ToolMissing(tool="solc", reason=done.stderr.decode(errors="replace")[:500]) from error
    errors = [item["formattedMessage"] for item in answer.get("errors", ()) if item["severity"] == "error"]
    if errors:
        raise ToolMissing(tool="solc", reason=errors[0])
    result: Answer = answer
    return result
