"""A table to be read: its questions and subjects, packed, and how much of it fits in one request."""

from __future__ import annotations

from collections.abc import Sequence

from agent.chain import packing, probe
from agent.chain.manner import Means
from agent.chain.packing import HEADER, WORD, Template
from agent.chain.wire import Part, RpcCall
from agent.values.block import Block
from agent.values.call import Call

CAP_GAS = 3_000_000  # of one call, at first
CELL_GAS = 30_000  # a guess; the lens tells
KEPT_GAS = 60_000  # for writing down and returning
BYTE_GAS = 16  # of calldata
DEPLOYED_BYTE_GAS = 200
MOST_SENT = 500_000  # bytes of subjects in one request


class Sheet:
    """Every template for every subject, at ``block``."""

    def __init__(self, templates: Sequence[Template], subjects: Sequence[int], block: Block) -> None:
        self.templates = tuple(templates)
        self.block = block
        self.rows = len(subjects)
        self.width = packing.width_of(subjects)
        self.subjects = packing.packed_subjects(subjects, self.width)
        self.dtype = packing.row_dtype(self.templates)
        self.shape = tuple((one.target, one.data[:4]) for one in self.templates)

    def part_of(self, start: int, stop: int) -> bytes:
        """Some of the subjects, packed."""
        return self.subjects[start * self.width : stop * self.width]

    def call(self, row: int, column: int) -> Call:
        """One cell by itself."""
        template, data = self.templates[column], bytearray(self.templates[column].data)
        subject = self.part_of(row, row + 1).rjust(WORD, b"\0")
        for hole in template.holes:
            data[hole : hole + WORD] = subject
        return Call(template.target, bytes(data))

    def lens_request(self, part: Part, means: Means, start: int, stop: int) -> RpcCall:
        """What asks a lens for these rows."""
        cap = part.manner.cap(self.shape, CAP_GAS)
        floor = cap + cap // 32 + KEPT_GAS + 40 * self.dtype.itemsize
        payload = packing.table_payload(self.templates, self.width, self.part_of(start, stop), cap, floor)
        return probe.lens_call(part, means, "TableLens", payload, self.block)

    def rows_at_once(self, part: Part, means: Means, connections: int) -> int:
        """How many rows the endpoint is likely to answer in one request."""
        manner, size, columns = part.manner, self.dtype.itemsize, len(self.templates)
        if means is Means.MULTICALL:
            return max(1, manner.cells.now // columns)
        most = min(manner.answer_bytes.now // size, MOST_SENT // self.width)
        row_gas = manner.row_gas(self.shape, CELL_GAS * columns) + BYTE_GAS * self.width
        if means is Means.DEPLOYLESS:
            spent = len(packing.deployless("TableLens", self._head(), reverts=True))
            most = min(most, (packing.MOST_INITCODE - spent) // self.width)
            if not manner.reverts:
                most = min(most, (packing.MOST_CODE - HEADER) // size)
                row_gas += DEPLOYED_BYTE_GAS * size
        left = (
            manner.gas - manner.cap(self.shape, CAP_GAS) * 17 // 16 - KEPT_GAS - BYTE_GAS * len(self._head())
        )
        most = max(1, min(most, int(left / row_gas)))
        pieces = -(-self.rows // most)
        pieces = -(-pieces // connections) * connections
        return max(1, -(-self.rows // pieces))

    def _head(self) -> bytes:
        return packing.table_payload(self.templates, self.width, b"", 0, 0)
