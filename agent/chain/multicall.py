"""Multicall3 by hand: calldata of ``aggregate3`` built, and its answer read, without an ABI library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.chain.packing import WORD, Template
from agent.values.address import parse_address
from agent.values.call import Answer, Call

MULTICALL3 = parse_address("0x" + "cA11bde05977b3631167028862bE2a173976CA11")  # on every chain that has it
AGGREGATE3 = bytes.fromhex("82ad56cb")  # aggregate3((address,bool,bytes)[])
TIMESTAMP = bytes.fromhex("0f28c97d")  # getCurrentBlockTimestamp(): tells that it is there, and of when

_HEAD = 3 * WORD  # target, allowFailure, the place of the calldata

Bytes = NDArray[np.uint8]


def list_payload(calls: Sequence[Call]) -> bytes:
    """``aggregate3`` of any calls, each of which may fail."""
    elements, places, place = [], [], len(calls) * WORD
    for call in calls:
        element = _element(call.target, call.data)
        places.append(_word(place))
        elements.append(element)
        place += len(element)
    return b"".join([AGGREGATE3, _word(WORD), _word(len(calls)), *places, *elements])


def table_payload(templates: Sequence[Template], width: int, subjects: bytes) -> bytes:
    """``aggregate3`` of every template for every subject, row by row."""
    count = len(subjects) // width
    elements = [_element(one.target, one.data) for one in templates]
    row = np.frombuffer(b"".join(elements), np.uint8)
    rows = np.tile(row, (count, 1))
    words = np.zeros((count, WORD), np.uint8)
    words[:, WORD - width :] = np.frombuffer(subjects, np.uint8).reshape(count, width)
    start = 0
    for one, element in zip(templates, elements, strict=True):
        for hole in one.holes:
            at = start + _HEAD + WORD + hole
            rows[:, at : at + WORD] = words
        start += len(element)
    starts = np.cumsum([0, *(len(element) for element in elements[:-1])])
    cells = count * len(templates)
    places = (np.arange(count)[:, None] * len(row) + starts[None, :]).ravel() + cells * WORD
    head = np.zeros((cells, 4), ">u8")
    head[:, 3] = places
    return b"".join([AGGREGATE3, _word(WORD), _word(cells), head.tobytes(), rows.tobytes()])


def list_answers(answer: bytes, count: int) -> list[Answer] | None:
    """Of ``count`` calls; None if the answer is not of that form."""
    found = _elements(answer, count)
    if found is None:
        return None
    ok, starts, lengths = found
    return [
        Answer(bool(is_ok), answer[start : start + length])
        for is_ok, start, length in zip(ok.tolist(), starts.tolist(), lengths.tolist(), strict=True)
    ]


def table_cells(
    answer: bytes, templates: Sequence[Template], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[NDArray[np.uint64]]] | None:
    """Of ``count`` rows: which calls succeeded, which of them answered long enough, and the kept words of
    each column; None if the answer is not of that form.
    """
    columns = len(templates)
    found = _elements(answer, count * columns)
    if found is None:
        return None
    succeeded = found[0].reshape(count, columns)
    starts, lengths = (part.reshape(count, columns) for part in found[1:])
    needed = np.array([one.words * WORD for one in templates])
    ok = succeeded & (lengths >= needed[None, :])
    limbs = np.frombuffer(answer, ">u8").reshape(-1, 4)
    kept = []
    for column, one in enumerate(templates):
        words = np.zeros((count, one.words, 4), np.uint64)
        first = starts[ok[:, column], column] // WORD
        words[ok[:, column]] = limbs[first[:, None] + np.arange(one.words)[None, :]]
        kept.append(words)
    return succeeded, ok, kept


def _elements(
    answer: bytes, count: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]] | None:
    """(success, where the data begin, their length) of each element, all within the answer."""
    if len(answer) % WORD or len(answer) < (2 + count) * WORD:
        return None
    words = np.frombuffer(answer, ">u8").reshape(-1, 4)
    if words[:, :3][: 2 + count].any() or words[0, 3] != WORD or words[1, 3] != count:
        return None
    total = len(answer)
    places = words[2 : 2 + count, 3].astype(np.uint64)
    if (places % np.uint64(WORD)).any() or (places > total).any():
        return None
    rows = (places.astype(np.int64) // WORD) + 2
    if count and int(rows.max()) + 3 > len(words):
        return None
    lengths = words[rows + 2, 3].astype(np.uint64)
    if words[rows + 1, 3].astype(np.uint64).tolist() != [2 * WORD] * count or (lengths > total).any():
        return None
    starts = (rows + 3) * WORD
    sizes = lengths.astype(np.int64)
    if ((starts + sizes) > total).any():
        return None
    return words[rows, 3] != 0, starts, sizes


def _element(target: str, data: bytes) -> bytes:
    head = [bytes(12), bytes.fromhex(target[2:]), _word(1), _word(_HEAD), _word(len(data))]
    return b"".join([*head, data, bytes(-len(data) % WORD)])


def _word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")
