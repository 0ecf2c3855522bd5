"""The least-cost answer to a problem: a mixed-integer linear program for HiGHS.

Every stretch of a choice is a variable from 0 to 1, every row is divided by its largest coefficient and the
objective by its own, so that a book of a millionth and one of ten millions look alike to the solver. Binaries
appear only where something is paid or demanded once (gas, a smallest size, exclusion, a condition) or where
stretches would not fill in order by themselves; integers only for lots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agent.planning.problem import Choice, Problem, Row, judge

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

FAR = 1e3  # times its end: as far as a choice goes whose capacity is dropped and that names no reach
USED = 1e-9  # of a choice's end: less than that was not done
LOOSE = 1e-6  # a row missed by more, relative, is numerical trouble
LARGEST = 1e3  # coefficient of the objective: the solver stops a millionth short of its optimum, absolutely
INFEASIBLE = 2  # scipy's status


@dataclass(frozen=True, slots=True)
class Optimum:
    """Sizes by choice name (only what is done), their cost along the straight lines, a proven lower bound.

    When time runs out between the two, the best sizes found so far are still sizes that keep every row.
    """

    sizes: Mapping[str, float]
    cost: float
    bound: float


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No sizes keep every row."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The solver gave no answer that can be trusted: out of time, or not the numbers it says they are."""

    why: str


Answer = Optimum | Infeasible | Trouble


def solve(problem: Problem, seconds: float, dropped: frozenset[str] = frozenset()) -> Answer:
    """The optimum of ``problem`` without the ``dropped`` limits, within ``seconds``."""
    if seconds <= 0:
        return Trouble("out of time")
    program = _Program(problem, dropped)
    if not program.is_finite:
        return Trouble("a number that is none in the problem")
    result = program.run(seconds, is_relaxed=True)
    if result.x is None:
        return Infeasible() if result.status == INFEASIBLE else Trouble(str(result.message))
    if not dropped and (quick := _rounded(program, result)) is not None:
        return quick
    result = program.run(seconds)
    if result.x is None:
        return Infeasible() if result.status == INFEASIBLE else Trouble(str(result.message))
    sizes = program.sizes(result.x)
    verdict = judge(problem, sizes, LOOSE)
    broken = [name for name in verdict.broken if name not in dropped]
    if broken:
        return Trouble(f"a solution that breaks {', '.join(broken)}")
    bound = getattr(result, "mip_dual_bound", None)
    least = verdict.cost if bound is None or not math.isfinite(bound) else bound * program.unit
    return Optimum(sizes, verdict.cost, least)


def _rounded(program: _Program, result: OptimizeResult) -> Optimum | None:
    """The relaxation's sizes where they keep every rule and, with all that is paid once, cost no more than
    the relaxation's own bound: then nothing is left to branch on.
    """
    sizes = program.sizes(result.x)
    verdict = judge(program.problem, sizes, USED)
    bound = result.fun * program.unit
    if verdict.broken or verdict.cost > bound + max(1e-9 * abs(bound), 1e-12 * program.unit):
        return None
    return Optimum(sizes, verdict.cost, bound)


def is_feasible(problem: Problem, seconds: float, dropped: frozenset[str]) -> bool | None:
    """Whether anything keeps every row but the dropped ones; None if the solver could not tell."""
    if seconds <= 0:
        return None
    hard = tuple(row for row in problem.rows if row.price is None)
    program = _Program(Problem(problem.choices, hard, problem.exclusive), dropped)
    program.cost[:] = [0.0] * len(program.cost)
    result = program.run(seconds, is_relaxed=True)
    if result.x is None and result.status == INFEASIBLE:
        return False
    if result.x is not None:
        verdict = judge(program.problem, program.sizes(result.x), USED)
        if all(name in dropped for name in verdict.broken):
            return True
    result = program.run(seconds)
    if result.x is not None:
        return True
    return False if result.status == INFEASIBLE else None


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a choice's variables stand. ``used`` and ``count`` are -1 where there is none."""

    first: int
    widths: tuple[float, ...]
    used: int
    end: float


class _Program:
    """The matrices of one problem."""

    def __init__(self, problem: Problem, dropped: frozenset[str]) -> None:
        self.problem = problem
        self.cost: list[float] = []
        self._upper: list[float] = []
        self._whole: list[int] = []
        self._rows: list[dict[int, float]] = []
        self._low: list[float] = []
        self._high: list[float] = []
        self.unit = 1.0
        rows = [row for row in problem.rows if row.price is not None or row.limit not in dropped]
        conditions = {row.only_if for row in rows if row.only_if}
        excluded = {name for group in problem.exclusive for name in group}
        self._columns = {
            choice.name: self._add(choice, rows, dropped, choice.name in conditions | excluded)
            for choice in problem.choices
        }
        for row in rows:
            self._bind(row)
        for group in problem.exclusive:
            self._row({self._columns[name].used: 1.0 for name in group}, -math.inf, 1.0)

    @property
    def is_finite(self) -> bool:
        """Whether every coefficient is a number; bounds may be infinite."""
        edges = (*self._low, *self._high, *self._upper)
        terms = (value for row in self._rows for value in row.values())
        return all(map(math.isfinite, (*self.cost, *terms))) and not any(map(math.isnan, edges))

    def run(self, seconds: float, *, is_relaxed: bool = False) -> OptimizeResult:
        """scipy's own result; of the linear relaxation where that is asked for."""
        cost = np.asarray(self.cost)
        self.unit = (float(np.max(np.abs(cost), initial=0.0)) or 1.0) / LARGEST
        matrix: NDArray[np.float64] = np.zeros((len(self._rows), len(cost)))
        for number, row in enumerate(self._rows):
            for column, value in row.items():
                matrix[number, column] = value
        from scipy.optimize import Bounds, LinearConstraint, milp  # whoever only looks needs no solver

        return milp(
            cost / self.unit,
            constraints=[LinearConstraint(matrix, self._low, self._high)] if self._rows else [],
            bounds=Bounds(0.0, np.asarray(self._upper)),
            integrality=np.zeros(len(cost)) if is_relaxed else np.asarray(self._whole),
            options={"time_limit": seconds, "mip_rel_gap": 1e-9},
        )

    def sizes(self, x: Sequence[float]) -> dict[str, float]:
        """Of every choice that is done, on its lot."""
        done = {}
        for choice in self.problem.choices:
            columns = self._columns[choice.name]
            size = math.fsum(w * x[columns.first + k] for k, w in enumerate(columns.widths))
            if choice.lot > 0:
                nearest = round(size / choice.lot) * choice.lot
                # a dropped lot leaves its size as it is
                size = nearest if abs(nearest - size) < LOOSE * max(choice.lot, size) else size
            elif abs(size - columns.end) < USED * columns.end:
                size = columns.end
            elif choice.minimum > 0 and abs(size - choice.minimum) < LOOSE * choice.minimum:
                size = choice.minimum
            if size > USED * columns.end:
                done[choice.name] = size
        return done

    def _variable(self, cost: float, upper: float, *, is_whole: bool = False) -> int:
        self.cost.append(cost)
        self._upper.append(upper)
        self._whole.append(1 if is_whole else 0)
        return len(self.cost) - 1

    def _row(self, row: dict[int, float], low: float, high: float) -> None:
        scale = max((abs(value) for value in row.values()), default=0.0)
        if scale == 0.0:
            scale = max((abs(v) for v in (low, high) if math.isfinite(v)), default=0.0) or 1.0
        self._rows.append({column: value / scale for column, value in row.items()})
        self._low.append(low / scale)
        self._high.append(high / scale)

    def _add(
        self, choice: Choice, rows: Sequence[Row], dropped: frozenset[str], is_watched: bool
    ) -> _Columns:
        is_open = bool(choice.capacity) and choice.capacity in dropped
        minimum = 0.0 if choice.minimum_limit in dropped and choice.minimum_limit else choice.minimum
        lot = 0.0 if choice.lot_limit in dropped and choice.lot_limit else choice.lot
        end = max(choice.reach or FAR * choice.sizes[-1], choice.sizes[-1]) if is_open else choice.sizes[-1]
        widths = tuple(high - low for low, high in pairwise(choice.sizes))
        first = len(self.cost)
        for k, width in enumerate(widths):
            is_last = k == len(widths) - 1
            upper = 1.0 + (end - choice.sizes[-1]) / width if is_last else 1.0
            self._variable(choice.costs[k + 1] - choice.costs[k], upper)
        whole = {first + k: width for k, width in enumerate(widths)}
        used = -1
        if choice.fixed_cost > 0 or minimum > 0 or choice.once or is_watched:
            used = self._variable(choice.fixed_cost, 1.0, is_whole=True)
            self._row({**whole, used: -end}, -math.inf, 0.0)
            if minimum > 0:
                self._row({**whole, used: -minimum}, 0.0, math.inf)
        if lot > 0 and not minimum == lot == end:
            count = self._variable(0.0, math.floor(end / lot * (1 + USED)), is_whole=True)
            self._row({**whole, count: -lot}, 0.0, 0.0)
        if not _fills_in_order(choice, rows):
            for k in range(len(widths) - 1):
                full = self._variable(0.0, 1.0, is_whole=True)
                self._row({first + k: 1.0, full: -1.0}, 0.0, math.inf)
                top = self._upper[first + k + 1]
                self._row({first + k + 1: 1.0, full: -top}, -math.inf, 0.0)
        return _Columns(first, widths, used, end)

    def _bind(self, row: Row) -> None:
        terms: dict[int, float] = {}
        least, most = row.start, row.start
        for choice in self.problem.choices:
            columns = self._columns[choice.name]
            values = choice.effects.get(row.measure)
            if values is not None:
                for k in range(len(columns.widths)):
                    step = values[k + 1] - values[k]
                    if step != 0.0:
                        terms[columns.first + k] = step
            once = choice.once.get(row.measure, 0.0)
            if once != 0.0:
                terms[columns.used] = once
        for column, value in terms.items():
            least += min(0.0, value * self._upper[column])
            most += max(0.0, value * self._upper[column])
        if row.lower > -math.inf and (row.lower > least or row.price is None):
            self._side(row, terms, 1.0, row.lower, max(0.0, row.lower - least))
        if row.upper < math.inf and (row.upper < most or row.price is None):
            self._side(row, terms, -1.0, row.upper, max(0.0, most - row.upper))

    def _side(self, row: Row, terms: dict[int, float], sign: float, edge: float, worst: float) -> None:
        """sign * (start + terms) >= sign * edge, as a wish or a condition where it is one."""
        line = {column: sign * value for column, value in terms.items()}
        if row.price is not None:
            scale = max((abs(v) for v in line.values()), default=1.0)
            missed = self._variable(row.price * scale, math.inf)
            line[missed] = scale
        base = sign * (edge - row.start)
        if row.only_if:
            used = self._columns[row.only_if].used
            line[used] = line.get(used, 0.0) - worst
            base -= worst
        self._row(line, base, math.inf)


def _fills_in_order(choice: Choice, rows: Sequence[Row]) -> bool:
    """Whether no later stretch is better than an earlier one in anything, so that nobody skips one."""
    if len(choice.sizes) < 3:
        return True
    if not _rises(_slopes(choice.sizes, choice.costs)):
        return False
    for row in rows:
        values = choice.effects.get(row.measure)
        if values is None:
            continue
        slopes = _slopes(choice.sizes, values)
        if row.lower > -math.inf and not _rises([-slope for slope in slopes]):
            return False
        if row.upper < math.inf and not _rises(slopes):
            return False
    return True


def _slopes(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    return [(values[k + 1] - values[k]) / (sizes[k + 1] - sizes[k]) for k in range(len(sizes) - 1)]


def _rises(slopes: Sequence[float]) -> bool:
    largest = max(abs(slope) for slope in slopes)
    return all(after >= before - 1e-6 * largest for before, after in pairwise(slopes))
