"""What a lens is sent and what it answers: see ``contracts/src/lens`` for the layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import orjson
from eth_utils.crypto import keccak
from numpy.typing import NDArray

from agent.values.address import Address, parse_address
from agent.values.call import Answer, Call

LENS = parse_address("0x" + keccak(text="evenkeel lens")[12:].hex())  # nobody has a key to it
MAGIC = b"EVENKEEL"
HEADER = 32
WORD = 32
OK, SHORT_OF_GAS = 1, 2  # bits of a status

MOST_INITCODE = 49_152  # EIP-3860
MOST_CODE = 24_576  # EIP-170
MOST_DATA = (1 << 24) - 1
MOST_GAS = (1 << 32) - 1


@cache
def runtime(name: str) -> bytes:
    """The code of one of our lenses, from a checkout or an installed package. Raises KeyError."""
    return _code(name, "deployedBytecode")


@cache
def passage() -> bytes:
    """The creation code that carries a lens where no address can be given one."""
    return _code("Passage", "bytecode")


def _code(name: str, field: str) -> bytes:
    for folder in (files("agent") / "abis", Path(__file__).resolve().parents[2] / "abis"):
        path = folder / f"{name}.json"
        if path.is_file():
            return bytes.fromhex(str(orjson.loads(path.read_bytes())[field]).removeprefix("0x"))
    raise KeyError(f"the package holds no contract {name}")


@dataclass(frozen=True, slots=True)
class Header:
    """How far a lens came, and the gas it had when it began and ended."""

    done: int
    began_gas: int
    ended_gas: int


def header(answer: bytes) -> Header | None:
    """None if no lens has answered."""
    if len(answer) < HEADER or answer[:8] != MAGIC:
        return None
    return Header(*(int.from_bytes(answer[start : start + 8], "big") for start in (8, 16, 24)))


def deployless(name: str, payload: bytes, *, reverts: bool) -> bytes:
    """The code that is sent instead of a call of the lens."""
    code = runtime(name)
    last = bytes(20) + b"".join(number.to_bytes(4, "big") for number in (reverts, len(code), len(payload)))
    return passage() + code + payload + last


@dataclass(frozen=True, slots=True)
class Template:
    """One call with holes: the places in its calldata where the subject's word stands."""

    target: Address
    data: bytes
    holes: tuple[int, ...]
    words: int


def row_dtype(templates: Sequence[Template]) -> np.dtype[np.void]:
    """A row of a table's answer."""
    fields: list[tuple[str, str, tuple[int, ...]]] = [("status", "u1", (len(templates),))]
    fields += [(f"c{index}", ">u8", (one.words, 4)) for index, one in enumerate(templates)]
    return np.dtype(fields)


def width_of(subjects: Sequence[int]) -> int:
    """Bytes that every subject fits in."""
    return max(1, (max(subjects, default=0).bit_length() + 7) // 8)


def packed_subjects(subjects: Sequence[int], width: int) -> bytes:
    """One after the other. Raises OverflowError on one that is negative."""
    return b"".join([subject.to_bytes(width, "big") for subject in subjects])


def table_payload(templates: Sequence[Template], width: int, subjects: bytes, cap: int, floor: int) -> bytes:
    """What TableLens is sent."""
    head = [bytes((width, len(templates))), cap.to_bytes(8, "big"), floor.to_bytes(8, "big")]
    for one in templates:
        head += [
            bytes.fromhex(one.target[2:]),
            one.words.to_bytes(2, "big"),
            len(one.data).to_bytes(2, "big"),
        ]
        head += [one.data, bytes((len(one.holes),)), *(place.to_bytes(2, "big") for place in one.holes)]
    return b"".join([*head, subjects])


def table_rows(answer: bytes, found: Header, dtype: np.dtype[np.void], most: int) -> NDArray[np.void] | None:
    """The rows that are done; None if the answer is not as long as it says."""
    if found.done > most or len(answer) != HEADER + found.done * dtype.itemsize:
        return None
    return np.frombuffer(answer, dtype, found.done, HEADER)


def call_payload(calls: Sequence[Call], caps: Sequence[int]) -> bytes:
    """What CallLens is sent."""
    return b"".join(
        bytes.fromhex(call.target[2:])
        + min(cap, MOST_GAS).to_bytes(4, "big")
        + len(call.data).to_bytes(3, "big")
        + call.data
        for call, cap in zip(calls, caps, strict=True)
    )


def call_answers(answer: bytes, found: Header, most: int) -> list[Answer | None] | None:
    """Of the calls that are done; None in the place of one that may have lacked gas, and None for all if
    the answer is not of that form.
    """
    if found.done > most:
        return None
    answers: list[Answer | None] = []
    at = HEADER
    for _ in range(found.done):
        status, length = answer[at : at + 1], int.from_bytes(answer[at + 5 : at + 9], "big")
        at += 9
        if not status or at + length > len(answer):
            return None
        data = answer[at : at + length]
        at += length
        answers.append(None if status[0] & SHORT_OF_GAS else Answer(bool(status[0] & OK), data))
    return answers if at == len(answer) else None
