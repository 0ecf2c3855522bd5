"""The same questions to many accounts at one block: a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from agent.chain.abi import Function
from agent.chain.rpc import Rpc
from agent.chain.table import Limbs, Table
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Answer, Call

__all__ = ["SUBJECT", "Column", "Table", "read_table"]

WORD = 32
CHUNK = 500  # calls in one JSON-RPC batch; geth refuses more than 1000 by default


class Hole(Enum):
    """Stands among arguments for what differs from row to row."""

    SUBJECT = "subject"


SUBJECT: Final = Hole.SUBJECT


@dataclass(frozen=True, slots=True)
class Column:
    """A view of one contract, asked for every subject; ``words`` of its answer are kept, from the first.

    The subject stands for a whole argument of one word: an address, a number or a bytes32.
    """

    target: Address
    function: Function
    arguments: tuple[object, ...]
    words: int


def read_table(rpc: Rpc, block: Block, columns: Sequence[Column], subjects: Sequence[int]) -> Table:
    """What every column says of every subject (an address or an id, as a number), all at ``block``'s hash.

    Raises ReadUnpinned and what `Rpc` raises; a call that reverts only spoils its own cell.
    """
    calls = [_call(column, subject) for subject in subjects for column in columns]
    answers: list[Answer] = []
    for start in range(0, len(calls), CHUNK):
        answers += rpc.calls(calls[start : start + CHUNK], block)
    rows, width = len(subjects), len(columns)
    ok = np.zeros((rows, width), np.bool_)
    limbs: list[Limbs] = []
    for index, column in enumerate(columns):
        size = column.words * WORD
        kept = bytearray()
        for row in range(rows):
            answer = answers[row * width + index]
            ok[row, index] = answer.ok and len(answer.data) >= size
            kept += answer.data[:size] if ok[row, index] else bytes(size)
        found = np.frombuffer(bytes(kept), ">u8").astype(np.uint64)
        limbs.append(found.reshape(rows, column.words, 4))
    return Table(ok, tuple(limbs))


def _call(column: Column, subject: int) -> Call:
    arguments = [
        _worded(kind, subject) if argument is SUBJECT else argument
        for kind, argument in zip(column.function.inputs, column.arguments, strict=True)
    ]
    return column.function.at(column.target, *arguments)


def _worded(kind: str, subject: int) -> object:
    if kind == "address":
        return f"0x{subject:040x}"
    return subject.to_bytes(WORD, "big") if kind == "bytes32" else subject
