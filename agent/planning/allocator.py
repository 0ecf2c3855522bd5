"""The cheapest safe thing to do about a book: solve, judge with the exact models, add what they object to,
solve again; then wider, then elastic, and in the end say what contradicts what.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from agent.planning.ask import Ask
from agent.planning.blueprint import Blueprint, blueprint
from agent.planning.conflict import conflicts
from agent.planning.decision import Decision, Exact, decision, exact
from agent.planning.item import Deal, is_tradable
from agent.planning.listing import Stage
from agent.planning.optimum import Infeasible, Optimum, Trouble, solve
from agent.planning.pending import is_keeper
from agent.planning.problem import Problem, chord_errors
from agent.planning.split import split
from agent.values.fixed import from_float

Clock = Callable[[], float]  # seconds, never going back

ROUNDS = 8  # solutions per stage, looks at curves and objections of the exact models included
LOOKS = 3  # of them at most for curves
COST_TOLERANCE = 1e-3  # of the cost, or a cent: what straight lines may add to it
CENT = 0.01


@dataclass(frozen=True, slots=True)
class Found:
    """A decision and how it was come by. ``cost`` as the optimiser reckons it, gas and wishes included, in
    quote; ``bound`` no answer to the problem is cheaper; ``error`` what the straight lines may hide.
    ``infeasible`` is the problem with all its limits where they contradict each other.
    """

    decision: Decision
    stage: Stage
    solves: int
    cost: float
    bound: float
    error: float
    infeasible: Problem | None = None


class Watch:
    """The time that is left of a number of seconds."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds, below 0 when it is over."""
        return self._end - self._clock()


def find(ask: Ask, watch: Watch) -> Found | Trouble:
    """The decision on ``ask``; Trouble if there was no time or an answer that the exact models would take."""
    if ask.is_idle:
        return Found(
            Decision(deltas_wad=ask.deltas_wad, open_wad=ask.open_wad), Stage.USUAL, 0, 0.0, 0.0, 0.0
        )
    extra: dict[str, list[int]] = {}
    solves = 0
    hard: Problem | None = None
    for stage in Stage:
        if stage is Stage.WIDE and not _can_widen(ask):
            continue
        answer = _settle(ask, stage, extra, watch)
        solves += answer.solves
        if isinstance(answer, _Nothing):
            hard = answer.problem
            continue
        if isinstance(answer, _Failed):
            return Trouble(answer.why)
        unmet = tuple(f"{name} cannot be kept now" for name in answer.done.broken)
        made = decision(ask, answer.done, unmet)
        return Found(made, stage, solves, answer.cost, answer.bound, answer.error, hard)
    return Trouble("even the elastic problem has no answer")


def explain(found: Found, watch: Watch) -> tuple[str, ...]:
    """What is unmet, as the minimal conflicts of limits as far as the time goes."""
    if found.infeasible is None or not found.decision.unmet:
        return found.decision.unmet
    clashes = conflicts(found.infeasible, watch.left)
    named = {name for conflict in clashes for name in conflict.limits}
    others = (u for u in found.decision.unmet if u.removesuffix(" cannot be kept now") not in named)
    return (*(str(conflict) for conflict in clashes), *others)


def _can_widen(ask: Ask) -> bool:
    return ask.with_hedge and any(is_tradable(ask.accounts[key]) for key in ask.needy)


@dataclass(frozen=True, slots=True)
class _Settled:
    done: Exact
    solves: int
    cost: float
    bound: float
    error: float


@dataclass(frozen=True, slots=True)
class _Nothing:
    problem: Problem
    solves: int


@dataclass(frozen=True, slots=True)
class _Failed:
    why: str
    solves: int


def _settle(
    ask: Ask, stage: Stage, extra: dict[str, list[int]], watch: Watch
) -> _Settled | _Nothing | _Failed:
    """Solve one stage until the exact models have no objection and the straight lines are near enough."""
    looks = 0
    for number in range(1, ROUNDS + 1):
        plan = blueprint(ask, stage, extra)
        answer = _usual(ask, plan) or solve(plan.problem, watch.left())
        if isinstance(answer, Infeasible):
            return _Nothing(plan.problem, number)
        if isinstance(answer, Trouble):
            return _Failed(answer.why, number)
        done = exact(ask, plan, answer.sizes, stage)
        fresh = {k: r for k, r in done.objections.items() if r not in extra.get(k, ())}
        if done.objections:
            if not fresh:
                return _Failed(f"the exact model of {', '.join(done.objections)} keeps objecting", number)
            for key, ratio in fresh.items():
                extra.setdefault(key, []).append(ratio)
            continue
        if looks < LOOKS and number < ROUNDS and _look(ask, plan, answer):
            looks += 1
            continue
        return _Settled(done, number, answer.cost, answer.bound, _error(plan))
    return _Failed(f"no agreement with the exact models after {ROUNDS} rounds", ROUNDS)


def _usual(ask: Ask, plan: Blueprint) -> Optimum | None:
    """The closed form, where nothing but deltas is due."""
    is_late = any(isinstance(item, Deal) and is_keeper(item.offer) for item in plan.items.values())
    if ask.greeks or (ask.with_margin and ask.needy) or ask.pending.requests or is_late:
        return None
    return split(plan.problem, [f"delta {asset}" for asset in ask.due])


def _look(ask: Ask, plan: Blueprint, answer: Optimum) -> bool:
    """Look at the curves around the solution if the straight lines there may hide more than is tolerated."""
    choices = {choice.name: choice for choice in plan.problem.choices}
    deals: list[tuple[Deal, int]] = []
    hidden = 0.0
    for name, size in answer.sizes.items():
        deal = plan.items[name]
        if not isinstance(deal, Deal) or deal.is_laddered:
            continue
        choice = choices[name]
        errors = chord_errors(choice.sizes, choice.costs)
        here = min(bisect_left(choice.sizes, size * (1 + 1e-9)), len(errors))
        hidden += max(errors[max(0, here - 2) : here + 1])
        deals.append((deal, min(from_float(size), deal.cap_wad)))
    if len(deals) < 2 or hidden <= max(CENT, COST_TOLERANCE * abs(answer.cost)):
        return False  # what one venue does alone is what has to be done, whatever the curve
    for deal, size_wad in deals:
        ask.curves.look(deal, size_wad)
    return True


def _error(plan: Blueprint) -> float:
    """What the straight lines can be above the curves of all deals, at most."""
    return sum(
        max(chord_errors(choice.sizes, choice.costs))
        for choice in plan.problem.choices
        if isinstance(deal := plan.items[choice.name], Deal) and not deal.is_laddered
    )
