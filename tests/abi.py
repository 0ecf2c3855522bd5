"""Layouts of ABIs, for comparing one with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

Layout = tuple[object, ...]


def layouts(entries: Iterable[Mapping[str, object]]) -> dict[str, Layout]:
    """By name of a function, event or error: types and names of everything that goes in and comes out."""
    return {
        str(entry["name"]): (_parts(entry.get("inputs")), _parts(entry.get("outputs")))
        for entry in entries
        if entry.get("name")
    }


def _parts(parts: object) -> Layout:
    return tuple(
        (part["type"], part["name"], bool(part.get("indexed")), _parts(part.get("components")))
        for part in cast(Sequence[Mapping[str, object]], parts or ())
    )
