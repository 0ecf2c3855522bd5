"""The programs we run but do not ship: anvil, forge, solc, and the protocols' published artifacts.

Everything comes from npm and lands in one folder. Nothing is used before its sha512 has been compared with
the one pinned in this package's ``npm/`` folder (npm does it for the programs, we do it for the protocols,
whose full dependency trees nobody needs). The stamp file is written last: a folder without it is unfinished.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path, PurePosixPath

import orjson
import platformdirs

from agent.errors import ToolMissing

FOUNDRY_VERSION = "1.7.1"
NODE_MAJOR_MIN = 20
NPM_TIMEOUT_S = 600
LAYOUT = 1  # raise when the layout of the folder changes, so that old ones are rebuilt

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract as its publisher shipped it. ``bytecode`` is hex with link placeholders."""

    name: str
    abi: list[dict[str, object]]
    bytecode: str
    link_references: dict[str, dict[str, list[dict[str, int]]]]

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """Creation code with every library placeholder replaced. Raises KeyError naming a missing one."""
        code = self.bytecode.removeprefix("0x")
        for by_name in self.link_references.values():
            for library, places in by_name.items():
                address = libraries[library].removeprefix("0x").lower()
                for place in places:
                    start = 2 * place["start"]
                    code = code[:start] + address + code[start + 2 * place["length"] :]
        return bytes.fromhex(code)


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
        for protocol in _pins():
            for path in sorted((self.root / "protocols" / protocol).rglob("*.sol/*.json")):
                if path.parent.name == f"{path.stem}.sol":
                    found.setdefault((protocol, path.stem), path)
        return found

    def artifact(self, protocol: str, name: str) -> Artifact:
        """The published artifact of contract ``name``. Raises ToolMissing if the package has none."""
        path = self._artifacts.get((protocol, name))
        if path is None:
            raise ToolMissing(tool=f"contract {name} of {protocol}", reason=f"not under {self.root}")
        raw = orjson.loads(path.read_bytes())
        return Artifact(name, raw["abi"], raw["bytecode"], raw.get("linkReferences", {}))


@dataclass(frozen=True, slots=True)
class _Pin:
    package: str
    version: str
    integrity: str


def own_artifact(name: str) -> Artifact:
    """One of our own contracts, from the package data (or ``abis/`` of a checkout). Raises ToolMissing."""
    for folder in (files("agent") / "abis", Path(__file__).resolve().parents[2] / "abis"):
        path = folder / f"{name}.json"
        if path.is_file():
            raw = orjson.loads(path.read_bytes())
            return Artifact(name, raw["abi"], raw["bytecode"], {})
    raise ToolMissing(tool=f"the artifact of {name}", reason="the package holds none")


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
    with _locked(root / "lock"):
        try:
            return locate(root)
        except ToolMissing:
            npm = _npm()
        (root / "stamp").unlink(missing_ok=True)
        _install_programs(root, npm, say)
        _install_protocols(root, npm, say)
        toolchain = Toolchain(root)
        for program in (toolchain.anvil, toolchain.forge, toolchain.solc_js):
            if not program.is_file():
                raise ToolMissing(tool=program.name, reason=f"npm did not install {program}")
        partial = root / "stamp.partial"
        partial.write_text(_digest() + "\n")
        partial.replace(root / "stamp")
        say(f"toolchain ready in {root}")
        return toolchain


def _install_programs(root: Path, npm: str, say: Progress) -> None:
    say(f"installing anvil, forge {FOUNDRY_VERSION} and solc (about 70 MB) ...")
    for name in ("package.json", "package-lock.json"):
        (root / name).write_text((files("agent.sim") / "npm" / name).read_text())
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run([npm, "ci", *quiet], root, "npm ci")
    # A lock made where the registry offers fewer platforms lacks ours: fetch that binary by exact version.
    names = [f"@foundry-rs/{tool}-{_platform()}" for tool in ("anvil", "forge")]
    missing = [f"{name}@{FOUNDRY_VERSION}" for name in names if not (root / "node_modules" / name).is_dir()]
    if missing and not all(_on_path(tool) for tool in ("anvil", "forge")):
        say(f"installing {' and '.join(missing)} ...")
        _run([npm, "install", "--no-save", *quiet, *missing], root, "npm install")


def _install_protocols(root: Path, npm: str, say: Progress) -> None:
    wanted = {
        name: pin
        for name, pin in _pins().items()
        if not _has(root / "protocols" / name / "integrity", pin.integrity)
    }
    if not wanted:
        return
    say(f"fetching the protocols' published contracts: {', '.join(wanted)} ...")
    with tempfile.TemporaryDirectory(dir=root, prefix="partial-") as folder:
        specs = [f"{pin.package}@{pin.version}" for pin in wanted.values()]
        _run(
            [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *specs],
            root,
            "npm pack",
        )
        for name, pin in wanted.items():
            tarball = Path(folder) / f"{pin.package.removeprefix('@').replace('/', '-')}-{pin.version}.tgz"
            if not tarball.is_file():
                raise ToolMissing(tool=pin.package, reason=f"npm pack left no {tarball.name}")
            actual = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
            if actual != pin.integrity:
                raise ToolMissing(tool=pin.package, reason=f"its {actual} is not the pinned {pin.integrity}")
            unpacked = Path(folder) / name
            _unpack(tarball, unpacked)
            (unpacked / "integrity").write_text(pin.integrity + "\n")
            target = root / "protocols" / name
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            unpacked.rename(target)


def _unpack(tarball: Path, target: Path) -> None:
    """Only the artifacts and the licence: sources and typings are not used."""
    with tarfile.open(tarball) as archive:
        members = [
            member
            for member in archive.getmembers()
            if member.isfile() and _is_wanted(PurePosixPath(member.name))
        ]
        archive.extractall(target, members=members, filter="data")


def _is_wanted(path: PurePosixPath) -> bool:
    if path.name in ("LICENSE", "package.json"):
        return True
    return "artifacts" in path.parts and path.suffix == ".json" and not path.name.endswith(".dbg.json")


def _pins() -> dict[str, _Pin]:
    raw = json.loads((files("agent.sim") / "npm" / "protocols.json").read_text())
    return {name: _Pin(**pin) for name, pin in raw.items()}


def _digest() -> str:
    """Names the pinned versions: a stamp with another digest belongs to other pins."""
    digest = hashlib.sha256(f"{LAYOUT} {_platform()}".encode())
    for name in ("package-lock.json", "protocols.json"):
        digest.update((files("agent.sim") / "npm" / name).read_bytes())
    return digest.hexdigest()


def _has(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text().strip() == text


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
    return Path(found) if re.search(rf"\b{re.escape(wanted)}\.\d", _version(found)) else None


def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _npm() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ToolMissing(tool="node" if node is None else "npm", reason="it is not on PATH")
    version = re.match(r"v(\d+)\.", _version(node))
    if version is None or int(version[1]) < NODE_MAJOR_MIN:
        raise ToolMissing(
            tool=f"node {NODE_MAJOR_MIN}", reason=f"{node} is {_version(node).strip() or 'unknown'}"
        )
    return npm


def _run(command: list[str], cwd: Path, name: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolMissing(tool=name, reason=f"it did not finish within {NPM_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no message"]
        raise ToolMissing(tool=name, reason="; ".join(lines[:3]))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
