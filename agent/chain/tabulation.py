"""One table read at one endpoint: what is open, who asks for it, and what is asked again another way."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np

from agent.chain import multicall, packing, probe
from agent.chain.manner import Ceiling, Means
from agent.chain.packing import OK, SHORT_OF_GAS, WORD
from agent.chain.plain import ask_plain
from agent.chain.rpc import answer_of
from agent.chain.sheet import CAP_GAS, Sheet
from agent.chain.table import LIMBS, Flags, Limbs, Table
from agent.chain.wire import Part
from agent.errors import RateLimited, RpcRejected, RpcTimeout

WORTH_ROWS = 1_000  # for which another connection may pay
SMALL_ROWS = 64  # so few are not made fewer because they took too long
MANY = 8  # one in so many calls that may have lacked gas: the cap was too low

Cell = tuple[int, int]


class Tabulation:
    """An errand: a sheet's table."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    @property
    def label(self) -> str:
        return f"a table of {self._sheet.rows} x {len(self._sheet.templates)} x eth_call"

    @property
    def block_hash(self) -> str:
        return self._sheet.block.hash

    def run(self, part: Part, timeout_s: float) -> Table:
        return _Run(self._sheet, part, timeout_s).table()


class _Run:
    """One try at a sheet, at one endpoint."""

    def __init__(self, sheet: Sheet, part: Part, timeout_s: float) -> None:
        self._sheet, self._part, self._timeout_s = sheet, part, timeout_s
        self._ok: Flags = np.zeros((sheet.rows, len(sheet.templates)), np.bool_)
        self._limbs: list[Limbs] = [
            np.zeros((sheet.rows, one.words, LIMBS), np.uint64) for one in sheet.templates
        ]
        self._lock = threading.Lock()
        self._open: deque[tuple[int, int]] = deque(
            [(0, sheet.rows)] if sheet.rows and sheet.templates else []
        )
        self._alone: list[Cell] = []
        self._refused: tuple[int, int] | None = None
        self._connections = self._workers = 1
        self._is_ended = self._is_late = False
        self._is_served = False

    def table(self) -> Table:
        """All of it, or an error."""
        sheet, manner = self._sheet, self._part.manner
        is_wide = sheet.rows >= WORTH_ROWS
        self._connections = manner.pace.width() if is_wide else 1
        connections, began_s, is_even = self._connections, time.perf_counter(), True
        while self._open:
            means = probe.settled(self._part, sheet.block, self._timeout_s)
            if means is Means.PLAIN:
                self._alone += [
                    (row, column)
                    for start, stop in self._open
                    for row in range(start, stop)
                    for column in range(len(sheet.templates))
                ]
                break
            self._work(means)
            if self._refused is not None:
                is_even = False
                self._look_again(means, *self._refused)
        if self._alone:
            self._ask_alone()
        elif is_wide and is_even and connections == self._connections:
            cells_per_s = self._ok.size / (time.perf_counter() - began_s)
            manner.pace.learn(connections, cells_per_s)
        return Table(self._ok, tuple(self._limbs))

    def _work(self, means: Means) -> None:
        """Until nothing is open, or a part was refused."""
        self._refused, self._is_ended, self._workers = None, False, self._connections
        with ThreadPoolExecutor(max(1, self._workers - 1)) as helpers:
            helping = [
                helpers.submit(copy_context().run, self._worker, means) for _ in range(self._workers - 1)
            ]
            self._worker(means)
        for one in helping:
            one.result()

    def _worker(self, means: Means) -> None:
        is_whole = False
        try:
            while (taken := self._taken(means)) is not None:
                self._read(means, *taken)
            is_whole = True
        finally:
            if not is_whole:
                self._is_ended = True  # the others stop, too

    def _taken(self, means: Means) -> tuple[int, int] | None:
        most = self._sheet.rows_at_once(self._part, means, self._connections)
        with self._lock:
            if not self._open or self._is_ended:
                return None
            start, stop = self._open.popleft()
            if stop - start > most:
                self._open.appendleft((start + most, stop))
            return start, min(stop, start + most)

    def _put_back(self, start: int, stop: int) -> None:
        if start < stop:
            with self._lock:
                self._open.appendleft((start, stop))

    def _read(self, means: Means, start: int, stop: int) -> None:
        """One request; what it did not bring is open again."""
        ask = self._by_multicall if means is Means.MULTICALL else self._by_lens
        try:
            done = ask(means, start, stop)
        except RpcTimeout:
            self._shrink(means, stop - start)
            if self._is_late or stop - start <= SMALL_ROWS:
                raise
            self._is_late = True
            self._put_back(start, stop)
            return
        except RateLimited:
            if self._workers == 1:
                raise
            self._part.manner.pace.narrow()
            self._connections = 1
            self._is_ended = True  # the others finish what they asked, then one goes on
            self._put_back(start, stop)
            return
        if done is None:
            with self._lock:
                self._open.appendleft((start, stop))
                self._refused, self._is_ended = (start, stop), True
            return
        self._is_served = True
        self._put_back(start + done, stop)

    def _shrink(self, means: Means, rows: int) -> None:
        self._ceiling(means).shrink(rows * self._unit(means))

    def _ceiling(self, means: Means) -> Ceiling:
        manner = self._part.manner
        return manner.cells if means is Means.MULTICALL else manner.answer_bytes

    def _unit(self, means: Means) -> int:
        """How much of the ceiling a row takes."""
        return len(self._sheet.templates) if means is Means.MULTICALL else self._sheet.dtype.itemsize

    def _look_again(self, means: Means, start: int, stop: int) -> None:
        """A request was refused: because the means is no longer there, or because it was too much."""
        self._part.manner.forget()
        if probe.settled(self._part, self._sheet.block, self._timeout_s) is not means:
            return
        if stop - start > 1:
            self._shrink(means, stop - start)
        else:
            self._ceiling(means).excuse()
            self._open.remove((start, stop))
            self._alone += [(start, column) for column in range(len(self._sheet.templates))]

    def _by_lens(self, means: Means, start: int, stop: int) -> int | None:
        """How many rows it brought, None if it was refused."""
        sheet, manner = self._sheet, self._part.manner
        cap = manner.cap(sheet.shape, CAP_GAS)
        request = sheet.lens_request(self._part, means, start, stop)
        answer = probe.ask_bytes(self._part, request, sheet.block, self._timeout_s)
        found = packing.header(answer)
        rows = None if found is None else packing.table_rows(answer, found, sheet.dtype, stop - start)
        if found is None or rows is None:
            return None
        if found.done:
            manner.learn_row_gas(sheet.shape, max(0, found.began_gas - found.ended_gas) / found.done)
        status = rows["status"]
        short = np.argwhere(status & SHORT_OF_GAS)
        if len(short) * MANY > status.size and manner.raise_cap(sheet.shape, cap):
            return 0
        manner.answer_bytes.grow(len(answer))
        stop = start + found.done
        self._ok[start:stop] = status & OK
        for column, limbs in enumerate(self._limbs):
            limbs[start:stop] = rows[f"c{column}"]
        alone = [(start + row, column) for row, column in short.tolist()]
        if not found.done:  # not even one row fits
            alone += [(start, column) for column in range(len(sheet.templates))]
        with self._lock:
            self._alone += alone
        return max(1, found.done)

    def _by_multicall(self, _means: Means, start: int, stop: int) -> int | None:
        """The same. What failed is asked alone; if it then failed for another reason than a revert, or not
        at all, whatever came after it may have lacked the gas that it took.
        """
        sheet, part = self._sheet, self._part
        payload = multicall.table_payload(sheet.templates, sheet.width, sheet.part_of(start, stop))
        request = probe.multicall_call(payload, sheet.block)
        answer = probe.ask_bytes(part, request, sheet.block, self._timeout_s)
        found = multicall.table_cells(answer, sheet.templates, stop - start)
        if found is None:
            return None
        succeeded, ok, kept = found
        self._ok[start:stop] = ok
        for limbs, words in zip(self._limbs, kept, strict=True):
            limbs[start:stop] = words
        failed = [(start + row, column) for row, column in np.argwhere(~succeeded).tolist()]
        burnt = self._ask(failed)
        if burnt is None:
            part.manner.cells.grow((stop - start) * len(sheet.templates))
        else:
            part.manner.cells.shrink((stop - start) * len(sheet.templates))
            later = np.argwhere(succeeded).tolist()
            self._ask([(start + row, column) for row, column in later if (start + row, column) > burnt])
        return stop - start

    def _ask_alone(self) -> None:
        self._ask(sorted(set(self._alone)))

    def _ask(self, cells: Sequence[Cell]) -> Cell | None:
        """Plainly. The first cell that did not just revert, as it is in a batch that has failed before.

        A node that refuses a single call, not because it reverts, spoils this cell only; RpcRejected is
        raised if it refuses all.
        """
        sheet = self._sheet
        calls = [sheet.call(*cell) for cell in cells]
        results = ask_plain(self._part, sheet.block, calls, self._timeout_s)
        refusals: list[RpcRejected] = []
        first: Cell | None = None
        for (row, column), result in zip(cells, results, strict=True):
            if first is None and not probe.is_plain_revert(result):
                first = (row, column)
            size = sheet.templates[column].words * WORD
            try:
                answer = answer_of(result, sheet.block)
            except RpcRejected as refusal:
                refusals.append(refusal)
                is_ok, data = False, b""
            else:
                is_ok, data = answer.ok and len(answer.data) >= size, answer.data
            self._ok[row, column] = is_ok
            words = np.frombuffer(data[:size] if is_ok else bytes(size), ">u8")
            self._limbs[column][row] = words.reshape(-1, LIMBS)
        if refusals and len(refusals) == len(cells) and not self._is_served:
            raise refusals[0]
        return first
