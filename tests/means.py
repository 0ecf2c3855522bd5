"""Reading by each means, and the slow and obvious way that all of them must equal: one eth_call each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.chain import multicall, packing
from agent.chain.column import SUBJECT, Column, Table
from agent.chain.endpoint import Endpoint, EndpointPolicy
from agent.chain.lens import read_one
from agent.chain.manner import Means
from agent.chain.rpc import Rpc
from agent.sim.node import Node
from agent.values.block import Block
from agent.values.call import Answer, Reading

EVERY = tuple(Means)


def reader(url: str, means: Means | None) -> Endpoint:
    """An endpoint that is read by this means, or by the best it offers."""
    return Endpoint(url, EndpointPolicy(means=means), timeout_s=30.0)


def install_multicall(node: Node) -> None:
    """What public chains have at its address."""
    node.set_code(multicall.MULTICALL3, packing.runtime("Multicall3"))
    node.mine()


def one_by_one(rpc: Rpc, block: Block, reading: Reading[object]) -> object:
    """The twin of `read_one`: one request for every call."""
    answers: tuple[Answer, ...] | None = None
    while True:
        try:
            calls = next(reading) if answers is None else reading.send(answers)
        except StopIteration as done:
            return done.value
        answers = tuple(rpc.calls([call], block)[0] for call in calls)


def same_by(part: Endpoint, block: Block, again: Sequence[tuple[Reading[object], Reading[object]]]) -> bool:
    """Whether each reading, given twice, brings the same both ways."""
    plain = Rpc(part.rpc.endpoint)
    found = [
        read_one(part.rpc, block, packed) == one_by_one(plain, block, obvious) for packed, obvious in again
    ]
    plain.close()
    return bool(found) and all(found)


def plain_table(rpc: Rpc, block: Block, columns: Sequence[Column], subjects: Sequence[int]) -> Table:
    """The twin of `read_table`: one request for every cell."""
    ok = np.zeros((len(subjects), len(columns)), np.bool_)
    limbs = [np.zeros((len(subjects), one.words, 4), np.uint64) for one in columns]
    for row, subject in enumerate(subjects):
        for index, column in enumerate(columns):
            worded = {"address": f"0x{subject % 2**160:040x}", "bytes32": subject.to_bytes(32, "big")}
            arguments = [
                worded.get(kind, subject) if argument is SUBJECT else argument
                for kind, argument in zip(column.function.inputs, column.arguments, strict=True)
            ]
            answer = rpc.call(column.function.at(column.target, *arguments), block)
            ok[row, index] = answer.ok and len(answer.data) >= 32 * column.words
            for word in range(column.words if ok[row, index] else 0):
                for limb in range(4):
                    start = 32 * word + 8 * limb
                    limbs[index][row, word, limb] = int.from_bytes(answer.data[start : start + 8], "big")
    return Table(ok, tuple(limbs))


def same(found: Table, expected: Table) -> bool:
    """Every flag and every word."""
    return bool((found.ok == expected.ok).all()) and all(
        bool((mine == twins).all()) for mine, twins in zip(found.limbs, expected.limbs, strict=True)
    )
