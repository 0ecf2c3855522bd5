"""npm packages: the program that fetches them, and the protocols' artifacts out of pinned tarballs."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from agent.errors import ToolMissing

NODE_MAJOR_MIN = 20
NPM_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Pin:
    """A package's exact version and the sha512 of its tarball, as npm words it."""

    package: str
    version: str
    integrity: str

    @property
    def tarball(self) -> str:
        """The file name `npm pack` gives it."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def pins(name: str = "protocols") -> dict[str, Pin]:
    """The packages of one list under ``npm/``, by our name for them: the protocols' artifacts, or sources."""
    raw = json.loads((files("agent.sim") / "npm" / f"{name}.json").read_text())
    return {name: Pin(**pin) for name, pin in raw.items()}


def find_npm() -> str:
    """The npm program. Raises ToolMissing if it or a recent enough node is not there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ToolMissing(tool="node" if node is None else "npm", reason="it is not on PATH")
    version = version_of(node)
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < NODE_MAJOR_MIN:
        raise ToolMissing(tool=f"node {NODE_MAJOR_MIN}", reason=f"{node} is {version.strip() or 'silent'}")
    return npm


def version_of(program: str) -> str:
    """What ``program --version`` prints; empty when it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The lock file's descriptor, while nobody else holds the lock."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


@dataclass(frozen=True, slots=True)
class Npm:
    """The npm program, and the lock it holds open: if we are killed, nobody starts before npm has ended."""

    program: str
    lock: int  # a file descriptor


def run_npm(npm: Npm, arguments: list[str], cwd: Path) -> None:
    """Run npm quietly. Raises ToolMissing with its first error lines."""
    name = f"npm {arguments[0]}"
    command = [npm.program, *arguments, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
            pass_fds=(npm.lock,),
        )
    except subprocess.TimeoutExpired as error:
        raise ToolMissing(tool=name, reason=f"it did not finish within {NPM_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no message"]
        raise ToolMissing(tool=name, reason="; ".join(lines[:3]))


def missing_packages(folder: Path, wanted: dict[str, Pin]) -> dict[str, Pin]:
    """Those that are not unpacked under ``folder`` in the pinned version."""
    return {name: pin for name, pin in wanted.items() if not _has(folder / name / "integrity", pin.integrity)}


def missing_protocols(root: Path) -> dict[str, Pin]:
    """The protocols that are not unpacked under ``root/protocols`` in the pinned version."""
    return missing_packages(root / "protocols", pins())


def fetch_protocols(npm: Npm, root: Path, wanted: dict[str, Pin]) -> None:
    """As `fetch_packages`, of the artifacts alone: sources and typings are not used."""
    fetch_packages(npm, root / "protocols", wanted, is_artifact)


def fetch_packages(
    npm: Npm, parent: Path, wanted: dict[str, Pin], is_wanted: Callable[[PurePosixPath], bool]
) -> None:
    """Fetch, verify and unpack each into ``parent/<name>``, whole or not at all.

    Raises ToolMissing when npm fails or a tarball is not the one pinned.
    """
    parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent.parent, prefix="partial-") as folder:
        specs = [f"{pin.package}@{pin.version}" for pin in wanted.values()]
        run_npm(npm, ["pack", "--pack-destination", folder, *specs], parent.parent)
        for name, pin in wanted.items():
            tarball, unpacked, target = (
                Path(folder) / pin.tarball,
                Path(folder) / name,
                parent / name,
            )
            _verify(tarball, pin)
            _unpack(tarball, unpacked, is_wanted)
            (unpacked / "integrity").write_text(pin.integrity + "\n")
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            unpacked.rename(target)


def _verify(tarball: Path, pin: Pin) -> None:
    if not tarball.is_file():
        raise ToolMissing(tool=pin.package, reason=f"npm pack left no {tarball.name}")
    actual = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if actual != pin.integrity:
        raise ToolMissing(tool=pin.package, reason=f"its {actual} is not the pinned {pin.integrity}")


def _unpack(tarball: Path, target: Path, is_wanted: Callable[[PurePosixPath], bool]) -> None:
    with tarfile.open(tarball) as archive:
        members = [
            member
            for member in archive.getmembers()
            if member.isfile() and is_wanted(PurePosixPath(member.name))
        ]
        archive.extractall(target, members=members, filter="data")


def is_artifact(path: PurePosixPath) -> bool:
    """A compiled contract, or what says whose it is."""
    if path.name in ("LICENSE", "package.json"):
        return True
    return "artifacts" in path.parts and path.suffix == ".json" and not path.name.endswith(".dbg.json")


def _has(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text().strip() == text
