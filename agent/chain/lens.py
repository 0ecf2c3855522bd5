"""Readings into round trips: all of them in step, all at one block hash, most of a turn in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from agent.chain.listing import Listing
from agent.chain.rpc import Rpc
from agent.values.block import Block
from agent.values.call import Answer, Call, Reading

T = TypeVar("T")

CHUNK = 2_000  # calls in one request, if the node takes so many
FEW = 4  # so few are as fast in a plain batch


def read_all(rpc: Rpc, block: Block, readings: Sequence[Reading[T]], chunk: int = CHUNK) -> list[T]:
    """What each reading returns, in order. Every answer is of ``block``.

    Takes as many round trips as the longest reading has turns; more if a turn has over ``chunk`` calls, or
    more than the node can do at once. Raises ReadUnpinned if the node no longer has the block, what `Rpc`
    raises, and what a reading raises.
    """
    results: list[T | None] = [None] * len(readings)
    asked: dict[int, tuple[Call, ...]] = {}
    try:
        for index, reading in enumerate(readings):
            _step(results, asked, index, reading, None)
        while asked:
            answers = read_calls(rpc, block, [call for batch in asked.values() for call in batch], chunk)
            turn, asked, taken = asked, {}, 0
            for index, batch in turn.items():
                own = tuple(answers[taken : taken + len(batch)])
                taken += len(batch)
                _step(results, asked, index, readings[index], own)
    finally:
        for reading in readings:
            reading.close()
    return cast(list[T], results)


def read_calls(rpc: Rpc, block: Block, calls: Sequence[Call], chunk: int = CHUNK) -> list[Answer]:
    """What every call answers at ``block``, in order, as if each were asked by itself."""
    if min(len(calls), chunk) > FEW:
        return rpc.carry(Listing(calls, block, chunk))
    answers: list[Answer] = []
    for start in range(0, len(calls), chunk):
        answers += rpc.calls(calls[start : start + chunk], block)
    return answers


def read_one(rpc: Rpc, block: Block, reading: Reading[T]) -> T:
    """What one reading returns."""
    return read_all(rpc, block, (reading,))[0]


def _step(
    results: list[T | None],
    asked: dict[int, tuple[Call, ...]],
    index: int,
    reading: Reading[T],
    answers: tuple[Answer, ...] | None,
) -> None:
    """One turn of one reading: it asks again, or it is done."""
    try:
        asked[index] = next(reading) if answers is None else reading.send(answers)
    except StopIteration as done:
        results[index] = done.value
