"""A compiled contract: as its publisher shipped it, or our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import orjson

from agent.errors import ToolMissing


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


def own_artifact(name: str) -> Artifact:
    """One of our own contracts, from the package data (or ``abis/`` of a checkout). Raises ToolMissing."""
    for folder in (files("agent") / "abis", Path(__file__).resolve().parents[2] / "abis"):
        path = folder / f"{name}.json"
        if path.is_file():
            raw = orjson.loads(path.read_bytes())
            return Artifact(name, raw["abi"], raw["bytecode"], {})
    raise ToolMissing(tool=f"the artifact of {name}", reason="the package holds none")
