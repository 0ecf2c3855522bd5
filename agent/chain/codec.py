"""Static ABI types compiled once into straight code: what is asked and answered in every block.

Only what has a fixed size is compiled, and lists of such things; the rest is eth-abi's, and so is every value
that does not fit: the compiled code says `Unfit` then, and eth-abi finds the words for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from eth_utils.address import to_checksum_address

WORD = 32
_ARRAY = re.compile(r"(.*)\[(\d*)\]")
_NUMBER = re.compile(r"(u?int)(\d+)")
_BYTES = re.compile(r"bytes(\d+)")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

Read = Callable[[bytes, int], object]  # data and where the value begins
Write = Callable[[object], bytes]


class Unfit(Exception):
    """Not for the compiled code."""


def decoder(types: tuple[str, ...]) -> Callable[[bytes], tuple[object, ...]] | None:
    """From bytes that hold exactly these values; None if that cannot be compiled. It raises Unfit."""
    if len(types) == 1 and types[0].endswith("[]"):
        return _list_decoder(types[0][:-2])
    try:
        read, size = _tuple_reader(types)
    except Unfit:
        return None

    def decode(data: bytes) -> tuple[object, ...]:
        if len(data) != size:
            raise Unfit
        values: tuple[object, ...] = read(data, 0)
        return values

    return decode


def encoder(types: tuple[str, ...]) -> Callable[[Sequence[object]], bytes] | None:
    """Arguments of these types into bytes; None if that cannot be compiled. It raises Unfit."""
    try:
        return _tuple_writer(types)
    except Unfit:
        return None


def _list_decoder(kind: str) -> Callable[[bytes], tuple[object, ...]] | None:
    """One dynamic list of static things, alone."""
    try:
        read, size = _reader(kind)
    except Unfit:
        return None

    def decode(data: bytes) -> tuple[object, ...]:
        if len(data) < 2 * WORD or int.from_bytes(data[:WORD], "big") != WORD:
            raise Unfit
        count = int.from_bytes(data[WORD : 2 * WORD], "big")
        if len(data) != 2 * WORD + count * size:
            raise Unfit
        return (tuple(read(data, at) for at in range(2 * WORD, len(data), size)),)

    return decode


def _reader(kind: str) -> tuple[Read, int]:
    """How to read one static value, and how many bytes it takes."""
    array = _ARRAY.fullmatch(kind)
    if array:
        inner, count = array[1], array[2]
        if not count:
            raise Unfit
        return _tuple_reader((inner,) * int(count))
    if kind.startswith("("):
        return _tuple_reader(split(kind[1:-1]))
    return _word_reader(kind), WORD


def _tuple_reader(kinds: Sequence[str]) -> tuple[Callable[[bytes, int], tuple[object, ...]], int]:
    parts: list[tuple[Read, int]] = []
    size = 0
    for kind in kinds:
        read, own = _reader(kind)
        parts.append((read, size))
        size += own
    fixed = tuple(parts)

    def read_all(data: bytes, at: int) -> tuple[object, ...]:
        return tuple([read(data, at + offset) for read, offset in fixed])

    return read_all, size


def _word_reader(kind: str) -> Read:
    number = _NUMBER.fullmatch(kind)
    if number and number[1] == "uint":
        limit = 1 << int(number[2])
        return _unsigned(limit)
    if number:
        return _signed(1 << (int(number[2]) - 1))
    if kind == "bool":
        return _flag
    if kind == "address":
        return _address
    raw = _BYTES.fullmatch(kind)
    if raw:
        return _raw(int(raw[1]))
    raise Unfit


def _unsigned(limit: int) -> Read:
    def read(data: bytes, at: int) -> int:
        value = int.from_bytes(data[at : at + WORD], "big")
        if value >= limit:
            raise Unfit
        return value

    return read


def _signed(limit: int) -> Read:
    def read(data: bytes, at: int) -> int:
        value = int.from_bytes(data[at : at + WORD], "big", signed=True)
        if not -limit <= value < limit:
            raise Unfit
        return value

    return read


def _flag(data: bytes, at: int) -> bool:
    value = int.from_bytes(data[at : at + WORD], "big")
    if value > 1:
        raise Unfit
    return value == 1


def _address(data: bytes, at: int) -> str:
    return _checksummed(data[at : at + WORD])


@lru_cache(maxsize=4096)
def _checksummed(word: bytes) -> str:
    if word[:12] != bytes(12):
        raise Unfit
    return str(to_checksum_address("0x" + word[12:].hex()))


def _raw(size: int) -> Read:
    rest = bytes(WORD - size)

    def read(data: bytes, at: int) -> bytes:
        if data[at + size : at + WORD] != rest:
            raise Unfit
        return data[at : at + size]

    return read


def _tuple_writer(kinds: Sequence[str]) -> Callable[[object], bytes]:
    writers = tuple(_writer(kind) for kind in kinds)
    count = len(writers)

    def write(values: object) -> bytes:
        if not isinstance(values, (tuple, list)) or len(values) != count:
            raise Unfit
        return b"".join([write_one(value) for write_one, value in zip(writers, values, strict=True)])

    return write


def _writer(kind: str) -> Write:
    array = _ARRAY.fullmatch(kind)
    if array:
        if not array[2]:
            raise Unfit
        return _tuple_writer((array[1],) * int(array[2]))
    if kind.startswith("("):
        return _tuple_writer(split(kind[1:-1]))
    number = _NUMBER.fullmatch(kind)
    if number:
        bits, is_signed = int(number[2]), number[1] == "int"
        return _number_writer(-(1 << (bits - 1)) if is_signed else 0, 1 << (bits - is_signed))
    if kind == "bool":
        return _write_flag
    if kind == "address":
        return _write_address
    raw = _BYTES.fullmatch(kind)
    if raw:
        return _raw_writer(int(raw[1]))
    raise Unfit


def _number_writer(low: int, high: int) -> Write:
    def write(value: object) -> bytes:
        if type(value) is not int or not low <= value < high:
            raise Unfit
        return value.to_bytes(WORD, "big", signed=low < 0)

    return write


def _write_flag(value: object) -> bytes:
    if type(value) is not bool:
        raise Unfit
    return value.to_bytes(WORD, "big")


def _write_address(value: object) -> bytes:
    if not isinstance(value, str):
        raise Unfit
    return _address_word(value)


@lru_cache(maxsize=4096)
def _address_word(text: str) -> bytes:
    if not _ADDRESS.fullmatch(text):
        raise Unfit
    return bytes(12) + bytes.fromhex(text[2:])


def _raw_writer(size: int) -> Write:
    rest = bytes(WORD - size)

    def write(value: object) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise Unfit
        return value + rest

    return write


@lru_cache(maxsize=512)
def split(inside: str) -> tuple[str, ...]:
    """The members of a tuple type: "uint256,(int8,bool)[]" into its two."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(inside):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(inside[start:index])
            start = index + 1
    return (*parts, inside[start:]) if inside else ()
