"""A contract's published ABI: the words for its functions, events and errors, and their coding.

Structs are dicts by field name on the way out, and dicts or tuples in ABI order on the way in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from agent.errors import DecodeMismatch

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Function:
    """A function, or a custom error (which has no outputs)."""

    name: str
    selector: bytes
    inputs: tuple[Entry, ...]
    outputs: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event; ``topic`` is the first topic of its logs."""

    name: str
    topic: str
    inputs: tuple[Entry, ...]


class Abi:
    """An ABI, parsed once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.functions: dict[str, list[Function]] = {}
        self.events: dict[str, Event] = {}
        self.errors: dict[bytes, Function] = {}
        self.constructor: tuple[Entry, ...] = ()
        for entry in entries:
            inputs = _parts(entry, "inputs")
            name = str(entry.get("name", ""))
            signature = f"{name}({','.join(_type(part) for part in inputs)})"
            digest = keccak(text=signature)
            if entry["type"] == "function":
                function = Function(name, digest[:4], inputs, _parts(entry, "outputs"))
                self.functions.setdefault(name, []).append(function)
                self.functions.setdefault(signature, []).append(function)
            elif entry["type"] == "event":
                self.events[name] = Event(name, "0x" + digest.hex(), inputs)
            elif entry["type"] == "error":
                self.errors[digest[:4]] = Function(name, digest[:4], inputs, ())
            elif entry["type"] == "constructor":
                self.constructor = inputs

    def function(self, name: str, arguments: int) -> Function:
        """By name and number of arguments, or by full signature where that is ambiguous."""
        found = [f for f in self.functions.get(name, []) if len(f.inputs) == arguments]
        if len(found) != 1:
            raise LookupError(f"{len(found)} functions {name} of {arguments} arguments")
        return found[0]


def bytes32(text: str) -> bytes:
    """ASCII text padded with zeros, as Solidity's string literals in a bytes32."""
    return text.encode("ascii").ljust(32, b"\0")


def _parts(entry: Entry, key: str) -> tuple[Entry, ...]:
    return tuple(cast(Sequence[Entry], entry.get(key, ())))


def _type(part: Entry) -> str:
    kind = str(part["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_type(inner) for inner in _parts(part, "components"))
    return f"({inner}){kind.removeprefix('tuple')}"


def encode(parts: Sequence[Entry], values: Sequence[object]) -> bytes:
    """ABI-encode; a struct may be a tuple or a dict. Raises ValueError on a field too few or many."""
    shaped = [_shape(part, value) for part, value in zip(parts, values, strict=True)]
    return bytes(codec.encode([_type(part) for part in parts], shaped))


def _shape(part: Entry, value: object) -> object:
    """Structs given as dicts become tuples in ABI order; a missing or surplus field raises."""
    kind = str(part["type"])
    if kind == "tuple" and isinstance(value, dict):
        fields = _parts(part, "components")
        if {str(inner["name"]) for inner in fields} != set(value):
            raise ValueError(f"{part['name']} has fields {[inner['name'] for inner in fields]}")
        return tuple(_shape(inner, value[str(inner["name"])]) for inner in fields)
    return value


def decode(parts: Sequence[Entry], data: bytes, target: str, label: str) -> list[object]:
    """ABI-decode; structs become dicts, addresses checksummed. Raises DecodeMismatch."""
    try:
        values = codec.decode([_type(part) for part in parts], data)
    except (DecodingError, OverflowError) as error:
        kinds = ",".join(_type(part) for part in parts)
        raise DecodeMismatch(label=label, target=target, expected=kinds, reason=str(error)) from error
    return [_named(part, value) for part, value in zip(parts, values, strict=True)]


def _named(part: Entry, value: object) -> object:
    kind = str(part["type"])
    if kind.endswith("]"):
        element = {**part, "type": kind[: kind.rindex("[")]}
        return [_named(element, item) for item in cast(Sequence[object], value)]
    if kind == "tuple":
        fields = _parts(part, "components")
        items = cast(Sequence[object], value)
        return {str(inner["name"]): _named(inner, item) for inner, item in zip(fields, items, strict=True)}
    if kind == "address":
        return to_checksum_address(str(value))
    return value
