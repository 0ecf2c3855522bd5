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
        if len(self.limits) == 1:
            return f"{self.limits[0]} cannot be kept by anything that can be done now"
        return f"{self.limits[0]} cannot be kept with {' and '.join(self.limits[1:])}"


def conflicts(problem: Problem, remaining: Callable[[], float]) -> tuple[Conflict, ...]:
    """The minimal conflicts of an infeasible problem, disjoint from each other; () if it is feasible.

    A deletion filter: each limit in turn is dropped for good if what is left is still infeasible; what stays
    is infeasible as a whole and feasible without any one of its members. Then all of its members are dropped
    and the search goes on for another, independent conflict. ``remaining`` says the seconds left.
    """
    found: list[Conflict] = []
    gone: frozenset[str] = frozenset()
    every = problem.limits
    while True:
        verdict = is_feasible(problem, remaining(), gone)
        if verdict is not False:
            return tuple(found)
        kept = [name for name in every if name not in gone]
        is_minimal = True
        # what is named last is given up first: bands and floors come first in a problem
        for name in reversed(tuple(kept)):
            others = [other for other in kept if other != name]
            answer = is_feasible(problem, remaining(), frozenset(every) - frozenset(others))
            if answer is False:
                kept = others
            elif answer is None:
                is_minimal = False
                break
        if not kept:
            return tuple(found)  # what has no name contradicts itself: nobody's limit to drop
        found.append(Conflict(tuple(kept), is_minimal))
        gone |= frozenset(kept)
