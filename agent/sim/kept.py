"""A built chain on disk: anvil's state and our manifest of it, under a name that says what went into it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from agent.sim.artifact import own_artifact
from agent.sim.node import Node

KEPT = 8  # chains of other options or older code that stay; about 8 MB each


@dataclass(frozen=True, slots=True)
class KeptState:
    """One folder. The state is written last: where it is, everything is."""

    folder: Path

    @property
    def state(self) -> Path:
        """What anvil loads."""
        return self.folder / "state.json"

    @property
    def exists(self) -> bool:
        return self.state.is_file()

    def manifest(self) -> dict[str, object]:
        """What was built."""
        return read_json(self.folder / "localnet.json")

    def keep(self, node: Node, manifest: dict[str, object]) -> None:
        """Write both, and forget the oldest beside them. Two processes may do this at once."""
        dumped = str(node.request("anvil_dumpState"))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "localnet.json", manifest)
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as partial:
            partial.write(gzip.decompress(bytes.fromhex(dumped.removeprefix("0x"))))
        Path(partial.name).replace(self.state)
        by_age = sorted(self.folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in by_age[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)  # another process may be doing the same


def digest_of(options: str, ingredients: Iterable[str], own_contracts: Iterable[str]) -> str:
    """A name for options, files of this package and our own contracts' code."""
    digest = hashlib.sha256(options.encode())
    for name in ingredients:
        digest.update((files("agent.sim") / name).read_bytes())
    for name in own_contracts:
        digest.update(own_artifact(name).bytecode.encode())
    return digest.hexdigest()[:24]


def read_json(path: Path) -> dict[str, object]:
    """A manifest. Not by orjson, which makes floats of ints beyond 64 bits. Raises ValueError or OSError."""
    raw: dict[str, object] = json.loads(path.read_text())
    return raw


def write_json(path: Path, value: object) -> None:
    """Indented, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
        json.dump(value, partial, indent=2)
        partial.write("\n")
    Path(partial.name).replace(path)
