"""RLP written straight into bytes: the two shapes that a transaction is made of, strings and lists.

Source: the Ethereum yellow paper, appendix B. Reading stays with the `rlp` package: strict, and not hot.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.values.address import Address

SHORT = 55  # up to so many bytes the length is in the first byte itself
_STRING, _LIST = 0x80, 0xC0
_EMPTY = b"\x80"
_HEADS = {offset: [bytes([offset + size]) for size in range(SHORT + 1)] for offset in (_STRING, _LIST)}
_SMALL = [_EMPTY, *(bytes([value]) for value in range(1, 128))]


def integer(value: int) -> bytes:
    """An unsigned int, without leading zeros. Raises OverflowError below 0."""
    if 0 <= value < 128:
        return _SMALL[value]
    return string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def string(data: bytes) -> bytes:
    """Bytes."""
    size = len(data)
    if size == 1 and data[0] < 128:
        return data
    return _head(size, _STRING) + data


def address(value: Address) -> bytes:
    """The 20 bytes of an account."""
    return b"\x94" + bytes.fromhex(value[2:])


def listed(items: Iterable[bytes]) -> bytes:
    """A list of items that are encoded already."""
    body = b"".join(items)
    return _head(len(body), _LIST) + body


def _head(size: int, offset: int) -> bytes:
    if size <= SHORT:
        return _HEADS[offset][size]
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((offset + SHORT + len(length),)) + length
