"""Contract ABIs: the few fragments we call, as package data, with where they come from.

A file ``abis/<name>.json`` holds ``{"source": ..., "fragments": [...]}``. Answers are decoded strictly:
short, over-long or badly padded ones are refused, because they mean that the contract is not what we think.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import cast

import orjson
from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from agent.chain.codec import Unfit, decoder, encoder, split
from agent.errors import DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.call import Answer, Call

Value = int | str | bytes | bool | tuple["Value", ...]
Fragment = Mapping[str, object]
Errors = Mapping[bytes, tuple[str, tuple[str, ...]]]  # custom errors: selector to name and types
NO_ERRORS: Errors = {}

_WORD = 32
_KEPT = 512  # answers and calls of one function that are remembered: most are the same in the next block
_PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "bad enum value",
    0x31: "pop on an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an unset function",
}


@dataclass(frozen=True)
class Function:
    """One function: arguments into calldata, answers into values.

    ``decode`` gives addresses checksummed, structs and arrays as tuples in ABI order.
    """

    contract: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    selector: bytes
    errors: Errors = field(default_factory=dict, compare=False, repr=False)  # all of its contract's

    def __hash__(self) -> int:
        return hash((self.selector, self.name))

    @cached_property
    def _encode(self) -> Callable[[Sequence[object]], bytes] | None:
        return encoder(self.inputs)

    @cached_property
    def _decode(self) -> Callable[[bytes], tuple[object, ...]] | None:
        return decoder(self.outputs)

    @cached_property
    def _known(self) -> dict[bytes, tuple[Value, ...]]:
        return {}

    @cached_property
    def _numbers(self) -> dict[bytes, tuple[int, ...]]:
        return {}

    @cached_property
    def _calls(self) -> dict[tuple[object, ...], Call]:
        return {}

    @property
    def label(self) -> str:
        """For people: "curie.openPosition"."""
        return f"{self.contract}.{self.name}"

    @property
    def signature(self) -> str:
        """ "deposit(address,uint256)"."""
        return f"{self.name}({','.join(self.inputs)})"

    @property
    def words(self) -> int | None:
        """How many words every answer has; None where that depends on what is answered."""
        found = [_static_words(kind) for kind in self.outputs]
        return None if None in found else sum(count for count in found if count is not None)

    def encode(self, *args: object) -> bytes:
        """Calldata. Raises TypeError on arguments that are not of the function's types."""
        try:
            if self._encode is not None:
                return self.selector + self._encode(args)
        except Unfit:
            pass  # whatever is wrong with them, eth-abi says it
        try:
            return self.selector + codec.encode(self.inputs, args)
        except (EncodingError, ValueError, TypeError) as error:
            raise TypeError(f"{self.contract}.{self.signature} cannot take {args!r}: {error}") from error

    def at(self, target: Address, *args: object, gas_hint: int = 0) -> Call:
        """The call of this function on the contract at ``target``."""
        return Call(target, self.encode(*args), label=self.label, gas_hint=gas_hint)

    def asked(self, target: Address, arguments: tuple[object, ...]) -> Call:
        """As `at`, of a call that is made in every block: written once."""
        try:
            known = self._calls.get((target, *arguments))
        except TypeError:  # a list among the arguments
            return self.at(target, *arguments)
        if known is None:
            known = self.at(target, *arguments)
            if len(self._calls) >= _KEPT:
                self._calls.clear()
            self._calls[(target, *arguments)] = known
        return known

    def decode(self, data: bytes, target: str = "?") -> tuple[Value, ...]:
        """The returned values. Raises DecodeMismatch."""
        known = self._known.get(data)
        if known is None:
            known = self._decoded(data, target)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[data] = known
        return known

    def _decoded(self, data: bytes, target: str) -> tuple[Value, ...]:
        try:
            if self._decode is not None:
                return cast(tuple[Value, ...], self._decode(data))
        except Unfit:
            pass  # whatever is wrong with it, eth-abi says it
        return _decode(self.outputs, data, self.label, target)

    def read(self, call: Call, answer: Answer) -> tuple[Value, ...]:
        """The values in the answer to ``call``. Raises ReadReverted or DecodeMismatch."""
        if not answer.ok:
            raise ReadReverted(
                label=call.label, target=call.target, reason=decode_error(answer.data, self.errors)
            )
        return self.decode(answer.data, call.target)

    def integers(self, call: Call, answer: Answer) -> tuple[int, ...]:
        """As `read`, of a function that returns only numbers and flags, structs flattened."""
        known = self._numbers.get(answer.data) if answer.ok else None
        if known is None:
            known = tuple(_integers(self.read(call, answer)))
            if len(self._numbers) >= _KEPT:
                self._numbers.clear()
            self._numbers[answer.data] = known
        return known

    def integer(self, call: Call, answer: Answer) -> int:
        """As `read`, of a function that returns one number or flag."""
        (value,) = self.integers(call, answer)
        return value

    def address(self, call: Call, answer: Answer) -> Address:
        """As `read`, of a function that returns one address."""
        (value,) = self.read(call, answer)
        return Address(cast(str, value))

    def text(self, call: Call, answer: Answer) -> str:
        """As `read`, of a function that returns one string."""
        (value,) = self.read(call, answer)
        return cast(str, value)


@dataclass(frozen=True)
class Event:
    """One event. ``topic`` is what its logs begin with, lower-case hex."""

    contract: str
    name: str
    topic: str
    inputs: tuple[str, ...]
    names: tuple[str, ...]
    indexed: tuple[bool, ...]

    def decode(self, topics: Sequence[str], data: bytes, target: str = "?") -> dict[str, Value]:
        """The fields of a log by name; an indexed dynamic field is its hash. Raises DecodeMismatch."""
        label = f"{self.contract}.{self.name}"
        kinds = [
            _in_topic(kind) for kind, is_topic in zip(self.inputs, self.indexed, strict=True) if is_topic
        ]
        if not topics or topics[0].lower() != self.topic or len(topics) != len(kinds) + 1:
            raise DecodeMismatch(
                label=label, target=target, expected="its topics", reason=f"they are {topics}"
            )
        words = bytes.fromhex("".join(topic.removeprefix("0x") for topic in topics[1:]))
        from_topics = iter(_decode(kinds, words, label, target))
        rest = [kind for kind, is_topic in zip(self.inputs, self.indexed, strict=True) if not is_topic]
        from_data = iter(_decode(rest, data, label, target))
        return {
            name: next(from_topics if is_topic else from_data)
            for name, is_topic in zip(self.names, self.indexed, strict=True)
        }


@dataclass(frozen=True)
class Contract:
    """The functions, events and errors of one ABI file. ``contract["name"]`` is the function; one that is
    overloaded is asked for by its signature, ``contract["deposit(address,uint256)"]``.
    """

    name: str
    source: str
    functions: Mapping[str, Function]
    events: Mapping[str, Event] = field(default_factory=dict)
    errors: Errors = field(default_factory=dict)

    def __getitem__(self, name: str) -> Function:
        return self.functions[name]

    def event_of(self, topics: Sequence[str]) -> Event | None:
        """The event whose log begins with these topics, None if it is none of ours."""
        found = topics[0].lower() if topics else ""
        return next((event for event in self.events.values() if event.topic == found), None)


def _static_words(kind: str) -> int | None:
    if kind.endswith("]"):
        inner, _, count = kind[:-1].rpartition("[")
        each = _static_words(inner) if count else None
        return None if each is None else each * int(count)
    if kind.startswith("("):
        parts = [_static_words(part) for part in split(kind[1:-1])]
        return None if None in parts else sum(part for part in parts if part is not None)
    return None if kind in {"bytes", "string"} else 1


@cache
def load(name: str) -> Contract:
    """The contract in ``abis/<name>.json``, from a checkout or an installed package. Raises KeyError."""
    for folder in (files("agent") / "abis", Path(__file__).resolve().parents[2] / "abis"):
        path = folder / f"{name}.json"
        if path.is_file():
            raw = orjson.loads(path.read_bytes())
            return parse(name, raw["source"], raw["fragments"] if "fragments" in raw else raw["abi"])
    raise KeyError(f"the package holds no ABI {name}")


def parse(name: str, source: str, fragments: Iterable[Fragment]) -> Contract:
    """A contract from its ABI's fragments."""
    functions: dict[str, Function] = {}
    shared: set[str] = set()
    events: dict[str, Event] = {}
    errors: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for fragment in fragments:
        kind, own_name = fragment["type"], str(fragment.get("name", ""))
        inputs = _types(fragment, "inputs")
        signature = f"{own_name}({','.join(inputs)})"
        if kind == "function":
            function = Function(
                contract=name,
                name=own_name,
                inputs=inputs,
                outputs=_types(fragment, "outputs"),
                output_names=_names(fragment, "outputs"),
                selector=keccak(text=signature)[:4],
                errors=errors,
            )
            functions[signature] = function
            if own_name in functions:
                shared.add(own_name)
            functions[own_name] = function
        elif kind == "event":
            events[own_name] = Event(
                contract=name,
                name=own_name,
                topic="0x" + keccak(text=signature).hex(),
                inputs=inputs,
                names=_names(fragment, "inputs"),
                indexed=tuple(bool(item.get("indexed")) for item in _parameters(fragment, "inputs")),
            )
        elif kind == "error":
            errors[keccak(text=signature)[:4]] = (own_name, inputs)
    for own_name in shared:
        del functions[own_name]
    return Contract(name, source, functions, events, errors)


def decode_error(data: bytes, errors: Errors = NO_ERRORS) -> str:
    """Revert data as words: Error(string), Panic, and the custom ``errors`` of a contract."""
    if not data:
        return "no reason given (a bare revert, or out of gas)"
    known: Errors = {
        bytes.fromhex("08c379a0"): ("Error", ("string",)),
        bytes.fromhex("4e487b71"): ("Panic", ("uint256",)),
        **errors,
    }
    name, types = known.get(data[:4], ("", ()))
    if not name:
        return f"error 0x{data[:4].hex()} with {len(data) - 4} bytes"
    try:
        values = codec.decode(types, data[4:])
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return f"{name} with malformed data 0x{data[4:68].hex()}"
    if name == "Error":
        return str(values[0])
    if name == "Panic":
        return f"panic 0x{values[0]:02x} ({_PANICS.get(values[0], 'unknown')})"
    return f"{name}({', '.join(_shown(value) for value in values)})"


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _decode(types: Sequence[str], data: bytes, label: str, target: str) -> tuple[Value, ...]:
    try:
        size = static_size(tuple(types))
        if not data and types:
            raise DecodingError("nothing came back: there is no code, or no such function")
        if len(data) % _WORD or (size is not None and len(data) != size):
            raise DecodingError(f"{len(data)} bytes came")
        values = codec.decode(types, data)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise DecodeMismatch(
            label=label, target=target, expected=f"({','.join(types)})", reason=str(error)
        ) from error
    return tuple(_clean(kind, value) for kind, value in zip(types, values, strict=True))


@lru_cache(maxsize=512)
def static_size(types: tuple[str, ...]) -> int | None:
    """Bytes of the encoding of these types, None if they depend on the values."""
    if any("[]" in kind or "string" in kind or _has_bytes(kind) for kind in types):
        return None
    total = 0
    for kind in types:
        whole, count = kind, 1
        while whole.endswith("]"):  # a fixed array T[k]
            whole, _, length = whole[:-1].rpartition("[")
            count *= int(length)
        parts = split(whole[1:-1]) if whole.startswith("(") else ()
        inner = static_size(parts) if parts else _WORD
        total += count * (inner or 0)
    return total


def _has_bytes(kind: str) -> bool:
    """Whether dynamic ``bytes`` occurs, as against bytes1 to bytes32."""
    return any(part.split("[")[0] == "bytes" for part in kind.replace("(", ",").replace(")", ",").split(","))


def _clean(kind: str, value: object) -> Value:
    if kind == "address":
        return _checksummed(cast(str, value))
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return tuple(_clean(inner, item) for item in cast(Sequence[object], value))
    if kind.startswith("("):
        parts = zip(split(kind[1:-1]), cast(Sequence[object], value), strict=True)
        return tuple(_clean(inner, item) for inner, item in parts)
    return cast(Value, value)


@lru_cache(maxsize=4096)
def _checksummed(text: str) -> str:
    return str(to_checksum_address(text))


def _integers(values: tuple[Value, ...]) -> Iterable[int]:
    for value in values:
        if isinstance(value, tuple):
            yield from _integers(value)
        elif isinstance(value, int):
            yield int(value)
        else:
            raise TypeError(f"not a number: {value!r}")


def _in_topic(kind: str) -> str:
    """Dynamic values and structs are hashed in topics."""
    return "bytes32" if kind in {"string", "bytes"} or kind.endswith(("]", ")")) else kind


def _parameters(fragment: Fragment, side: str) -> Sequence[Fragment]:
    return cast(Sequence[Fragment], fragment.get(side, ()))


def _types(fragment: Fragment, side: str) -> tuple[str, ...]:
    return tuple(type_of(item) for item in _parameters(fragment, side))


def type_of(parameter: Fragment) -> str:
    """A parameter's type as signatures write it: a struct by its members."""
    kind = str(parameter["type"])
    if kind.startswith("tuple"):
        return f"({','.join(_types(parameter, 'components'))}){kind.removeprefix('tuple')}"
    return kind


def _names(fragment: Fragment, side: str) -> tuple[str, ...]:
    return tuple(str(item.get("name", "")) for item in _parameters(fragment, side))
