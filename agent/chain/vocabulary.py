"""What the protocols call their errors, all of them, for refusals that come from inside a batch.

Every file of ``abis/`` adds its ``error`` fragments, and its ``codes``: what the short strings mean that
older contracts revert with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import cast

import orjson
from eth_utils.crypto import keccak

from agent.chain.abi import Fragment, type_of

Named = tuple[str, tuple[str, ...], tuple[str, ...]]  # an error's name, types and field names


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Custom errors by selector, and the meanings of short codes."""

    errors: Mapping[bytes, Named]
    codes: Mapping[str, str]


@cache
def vocabulary() -> Vocabulary:
    """Of every ABI in the package, or in ``abis/`` of a checkout."""
    errors: dict[bytes, Named] = {}
    codes: dict[str, str] = {}
    for path in _paths():
        raw = orjson.loads(path.read_bytes())
        codes |= raw.get("codes", {})
        for fragment in raw.get("fragments", ()):
            if fragment["type"] == "error":
                selector, named = _named(fragment)
                errors.setdefault(selector, named)
    return Vocabulary(MappingProxyType(errors), MappingProxyType(codes))


def _paths() -> list[Traversable | Path]:
    packaged = files("agent") / "abis"
    folder: Traversable | Path = packaged
    if not packaged.is_dir():
        folder = Path(__file__).resolve().parents[2] / "abis"
    return sorted((path for path in folder.iterdir() if path.name.endswith(".json")), key=lambda p: p.name)


def _named(fragment: Fragment) -> tuple[bytes, Named]:
    inputs = cast(Sequence[Fragment], fragment.get("inputs", ()))
    name, kinds = str(fragment["name"]), tuple(type_of(item) for item in inputs)
    fields = tuple(str(item.get("name", "")) or f"field {place}" for place, item in enumerate(inputs))
    return keccak(text=f"{name}({','.join(kinds)})")[:4], (name, kinds, fields)
