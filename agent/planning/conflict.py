"""Which limits contradict each other: sets of names none of which can be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.planning.optimum import is_feasible
from agent.planning.problem import Problem


@dataclass(frozen=True, slots=True)
class Conflict:
    """``limits`` cannot all hold. ``is_minimal``: any of them dropped, the others can; else time ran out."""

    limits: tuple[str, ...]
    is_minimal: bool = True

    def __str__(self) -> str:
        """For people."""
        if len(self.limits) == 1:
            return f"{self.limits[0]} cannot be kept by anything that can be done now"
        return f"{self.limits[0]} cannot be kept with {' and '.join(self.limits[1:])}"


def conflicts(problem: Problem, remaining: Callable[[], float]) -> tuple[Conflict, ...]:
    """The minimal conflicts of an infeasible problem, disjoint from each other; () if it is feasible.

    QuickXplain (Junker, AAAI 2004): limits are left out by halves while the rest stays infeasible; what
    stays is infeasible as a whole and feasible without any one of its members. Then all of its members are
    dropped and the search goes on for another, independent conflict. ``remaining`` says the seconds left.
    """
    found: list[Conflict] = []
    gone: frozenset[str] = frozenset()
    every = problem.limits
    while True:
        if _can(problem, remaining, gone) is not False:
            return tuple(found)
        names = [name for name in every if name not in gone]
        if not names or _can(problem, remaining, frozenset(every)) is False:
            return tuple(found)  # what has no name contradicts itself: nobody's limit to drop
        search = _Search(problem, remaining)
        # what is named last is left out first: bands and floors come first in a problem
        kept = search.core((), tuple(names), is_new=False)
        ordered = tuple(name for name in names if name in kept)
        found.append(Conflict(ordered, search.is_sure))
        gone |= frozenset(ordered)


def _can(problem: Problem, remaining: Callable[[], float], dropped: frozenset[str]) -> bool | None:
    return is_feasible(problem, remaining(), dropped)


class _Search:
    """One conflict. An answer that the solver does not give in time counts as feasible: then what is named
    may be more than needed, and ``is_sure`` is no longer true.
    """

    def __init__(self, problem: Problem, remaining: Callable[[], float]) -> None:
        self._problem = problem
        self._remaining = remaining
        self._every = frozenset(problem.limits)
        self.is_sure = True

    def core(self, base: tuple[str, ...], names: tuple[str, ...], *, is_new: bool) -> frozenset[str]:
        """Of ``names`` as few as contradict ``base`` and each other. ``is_new``: base has just grown."""
        if is_new and self._contradict(base):
            return frozenset()
        if len(names) == 1:
            return frozenset(names)
        half = (len(names) + 1) // 2
        first, second = names[:half], names[half:]
        late = self.core((*base, *first), second, is_new=True)
        early = self.core((*base, *sorted(late)), first, is_new=bool(late))
        return late | early

    def _contradict(self, kept: tuple[str, ...]) -> bool:
        answer = _can(self._problem, self._remaining, self._every - frozenset(kept))
        if answer is None:
            self.is_sure = False
        return answer is False
