"""The programs we run but do not ship: anvil, forge, solc, and the protocols' published artifacts.

Everything comes from npm and lands in one folder. Nothing is used before its sha512 has been compared with
the one pinned in this package's ``npm/`` folder (npm does it for the programs, we do it for the protocols,
whose full dependency trees nobody needs). The stamp file is written last: a folder without it is unfinished.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import orjson
import platformdirs

from agent.errors import ToolMissing
from agent.sim import source
from agent.sim.artifact import Artifact
from agent.sim.package import (
    Npm,
    fetch_protocols,
    find_npm,
    locked,
    missing_protocols,
    pins,
    run_npm,
    version_of,
)

FOUNDRY_VERSION = "1.7.1"
LAYOUT = 1  # raise when the layout of the folder changes, so that old ones are rebuilt

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Toolchain:
    """A finished folder. Get one from `locate` or `install`."""

    root: Path

    @property
    def node_modules(self) -> Path:
        return self.root / "node_modules"

    @cached_property
    def anvil(self) -> Path:
        """The anvil program. Raises ToolMissing."""
        return _foundry(self.node_modules, "anvil")

    @cached_property
    def forge(self) -> Path:
        """The forge program. Raises ToolMissing."""
        return _foundry(self.node_modules, "forge")

    @property
    def solc_js(self) -> Path:
        """The command-line script of solc-js, to be run with node."""
        return self.node_modules / "solc" / "solc.js"

    @cached_property
    def _artifacts(self) -> dict[tuple[str, str], Path]:
        found: dict[tuple[str, str], Path] = {}
        for protocol in pins():
            for path in sorted((self.root / "protocols" / protocol).rglob("*.sol/*.json")):
                if path.parent.name == f"{path.stem}.sol":
                    found.setdefault((protocol, path.stem), path)
        return found

    def artifact(self, protocol: str, name: str) -> Artifact:
        """The published artifact of contract ``name``; that of a protocol which publishes its sources alone
        is compiled when it is first asked for. Raises ToolMissing if the package has none.
        """
        if protocol == source.PROTOCOL:
            return source.artifact(self.root, name, _to_stderr)
        path = self._artifacts.get((protocol, name))
        if path is None:
            raise ToolMissing(tool=f"contract {name} of {protocol}", reason=f"not under {self.root}")
        raw = orjson.loads(path.read_bytes())
        return Artifact(name, raw["abi"], raw["bytecode"], raw.get("linkReferences", {}))


def default_root() -> Path:
    """``.toolchain`` in a checkout, else a folder in the user's cache."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".toolchain"
    return platformdirs.user_cache_path("evenkeel") / "toolchain"


def locate(root: Path | None = None) -> Toolchain:
    """The installed toolchain. Raises ToolMissing if it is absent, unfinished or of other versions."""
    root = (root or default_root()).resolve()
    stamp = root / "stamp"
    if not stamp.is_file():
        raise ToolMissing(tool="the toolchain", reason=f"{root} holds none")
    if stamp.read_text().strip() != _digest():
        raise ToolMissing(tool="the toolchain", reason=f"{root} holds other versions than those pinned")
    return Toolchain(root)


def install(root: Path | None = None, progress: Progress | None = None) -> Toolchain:
    """Install what is missing into ``root`` and return it; does nothing when it is complete.

    Safe to interrupt, to repeat and to run twice at once. Raises ToolMissing when node or npm is missing or
    too old, when npm fails, or when a package is not the one pinned.
    """
    root = (root or default_root()).resolve()
    say = progress or _to_stderr
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / "lock") as lock:
        try:
            return locate(root)
        except ToolMissing:
            npm = Npm(find_npm(), lock)
        (root / "stamp").unlink(missing_ok=True)
        for leftover in root.glob("partial-*"):  # of an install that was killed
            shutil.rmtree(leftover)
        _install_programs(root, npm, say)
        wanted = missing_protocols(root)
        if wanted:
            say(f"fetching the protocols' published contracts: {', '.join(wanted)} ...")
            fetch_protocols(npm, root, wanted)
        toolchain = Toolchain(root)
        for program in (toolchain.anvil, toolchain.forge, toolchain.solc_js):
            if not program.is_file():
                raise ToolMissing(tool=program.name, reason=f"npm did not install {program}")
        partial = root / "stamp.partial"
        partial.write_text(_digest() + "\n")
        partial.replace(root / "stamp")
        say(f"toolchain ready in {root}")
        return toolchain


def _install_programs(root: Path, npm: Npm, say: Progress) -> None:
    say(f"installing anvil, forge {FOUNDRY_VERSION} and solc (about 70 MB) ...")
    for name in ("package.json", "package-lock.json"):
        (root / name).write_text((files("agent.sim") / "npm" / name).read_text())
    run_npm(npm, ["ci"], root)
    # A lock made where the registry offers fewer platforms lacks ours: fetch that binary by exact version.
    names = [f"@foundry-rs/{tool}-{_platform()}" for tool in ("anvil", "forge")]
    missing = [f"{name}@{FOUNDRY_VERSION}" for name in names if not (root / "node_modules" / name).is_dir()]
    if missing and not all(_on_path(tool) for tool in ("anvil", "forge")):
        say(f"installing {' and '.join(missing)} ...")
        run_npm(npm, ["install", "--no-save", *missing], root)


def _digest() -> str:
    """Names the pinned versions: a stamp with another digest belongs to other pins."""
    digest = hashlib.sha256(f"{LAYOUT} {_platform()}".encode())
    for name in ("package-lock.json", "protocols.json"):
        digest.update((files("agent.sim") / "npm" / name).read_bytes())
    return digest.hexdigest()


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    system = {"Windows": "win32"}.get(platform.system(), platform.system().lower())
    return f"{system}-{machine}"


def _foundry(node_modules: Path, tool: str) -> Path:
    binary = node_modules / "@foundry-rs" / f"{tool}-{_platform()}" / "bin" / tool
    if binary.is_file():
        return binary
    on_path = _on_path(tool)
    if on_path is None:
        raise ToolMissing(tool=f"{tool} {FOUNDRY_VERSION}", reason=f"npm offers none for {_platform()}")
    return on_path


def _on_path(tool: str) -> Path | None:
    """A program of the same minor version that the user installed by other means."""
    found = shutil.which(tool)
    if found is None:
        return None
    wanted = FOUNDRY_VERSION.rpartition(".")[0]
    return Path(found) if re.search(rf"\b{re.escape(wanted)}\.\d", version_of(found)) else None


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
