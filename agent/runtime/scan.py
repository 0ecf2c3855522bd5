"""All accounts of a venue at block after block: read what changed, solve all, ask exactly who is near.

A float says who is far away and nothing else: whoever is liquidatable by it, or within its error or `NEAR` of
being so, or among those that will be shown, is asked of the contract before anything is said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from agent.chain.rpc import Rpc
from agent.risk.crowd import Crowd, Flags, Flips, Floats, Rows, solve
from agent.runtime.register import Register
from agent.values.block import Block
from agent.values.fixed import to_float
from agent.venues.crowd import CrowdVenue, Sight, Verdict

H = TypeVar("H")

NEAR = 0.002  # of a joint move; nearer ones are asked of the contract
DOUBT = 4.0  # bounds of a float's error within which it is not believed
TOP = 20
JUDGED_EVERY = 100  # blocks between two readings of everybody


@dataclass(frozen=True)
class Times:
    """Where the seconds of one look went: events, reading and unpacking, solving, the contract's verdicts."""

    events_s: float
    read_s: float
    solve_s: float
    verdicts_s: float

    @property
    def total_s(self) -> float:
        return self.events_s + self.read_s + self.solve_s + self.verdicts_s


@dataclass(frozen=True)
class Sighting:
    """Everybody at one block. Arrays have a row per subject; ``equity``, ``requirement`` and whether a row is
    liquidatable are the contract's own where ``verdicts`` has the row. ``order``: rows with something at
    stake, nearest to liquidation first. ``missed``: rows that had changed without an event, None where that
    was not looked for. ``mistaken``: rows whose arrays and contract disagree by more than floats can err.
    """

    block: Block
    subjects: tuple[int, ...]
    crowd: Crowd
    equity: Floats
    requirement: Floats
    joint: Flips
    leading: Flips
    distance: Floats
    order: Rows
    unreadable: Rows
    verdicts: Mapping[int, Verdict]
    changed: int
    missed: int | None
    mistaken: Rows
    times: Times

    @property
    def liquidatable(self) -> Rows:
        """The rows of which the contract's predicate holds now."""
        return np.flatnonzero(self.distance == 0.0)

    @property
    def due(self) -> Rows:
        """Those of them that have something to liquidate; the others are bad debt."""
        found: Rows = self.order[self.distance[self.order] == 0.0]
        return found

    def below(self, distance: float) -> int:
        """How many are nearer than that."""
        return int((self.distance[self.order] < distance).sum())


@dataclass
class Scan(Generic[H]):
    """One venue, looked at block by block. ``top``: how many of the nearest are always asked exactly."""

    rpc: Rpc
    venue: CrowdVenue[H]
    register: Register
    top: int = TOP
    judged_every: int = JUDGED_EVERY
    held: H | None = None
    _subjects: tuple[int, ...] = ()
    _stale: set[int] = field(default_factory=set)
    _since: int = 0

    def look(self, block: Block) -> Sighting:
        """Everybody at ``block``. Raises what `Register.follow` and the venue's reading raise; then the next
        look makes up for it.
        """
        began = time.perf_counter()
        self._stale |= self.register.follow(block)
        subjects = self.register.subjects
        found_at = time.perf_counter()
        sight = Sight(self.rpc, block)
        before = self.held if subjects[: len(self._subjects)] == self._subjects else None
        self._since += 1
        is_judged = before is not None and self._since >= self.judged_every
        stale = np.fromiter((subject in self._stale for subject in subjects), np.bool_, len(subjects))
        held = self.venue.take(sight, subjects, before, stale | is_judged)
        missed = self._missed(before, held, stale) if before is not None and is_judged else None
        changed = len(subjects) if before is None else int(stale.sum())
        self.held, self._subjects, self._stale = held, subjects, set()
        self._since = 0 if is_judged or before is None else self._since
        read_at = time.perf_counter()
        crowd = self.venue.crowd(held)
        joint = solve(crowd, "joint")
        solved_at = time.perf_counter()
        rows = self._doubtful(crowd, joint)
        verdicts = self._verdicts(sight, subjects, rows)
        asked_at = time.perf_counter()
        equity, requirement, now = _settled(crowd, verdicts)
        again = np.array(sorted(verdicts), np.intp)
        joint = _merged(joint, solve(crowd, "joint", again, now), again)
        leading = solve(crowd, "leading", now=now)
        distance = joint.distance
        unreadable = np.flatnonzero(np.isnan(equity))
        distance[unreadable] = np.nan
        at_stake = np.flatnonzero(np.isfinite(distance) & (requirement > 0.0))
        share = (equity - requirement) / np.maximum(np.abs(requirement), 1e-18)
        order = at_stake[np.lexsort((share[at_stake], distance[at_stake]))]
        done_at = time.perf_counter()
        return Sighting(
            block=block,
            subjects=subjects,
            crowd=crowd,
            equity=equity,
            requirement=requirement,
            joint=joint,
            leading=leading,
            distance=distance,
            order=order,
            unreadable=unreadable,
            verdicts=verdicts,
            changed=changed,
            missed=missed,
            mistaken=_mistaken(crowd, verdicts),
            times=Times(
                events_s=found_at - began,
                read_s=read_at - found_at,
                solve_s=(solved_at - read_at) + (done_at - asked_at),
                verdicts_s=asked_at - solved_at,
            ),
        )

    def _missed(self, before: H, held: H, stale: Flags) -> int:
        differing = self.venue.differing(before, held)
        return int((differing & ~stale[: len(differing)]).sum())

    def _doubtful(self, crowd: Crowd, joint: Flips) -> Rows:
        headroom = crowd.equity - crowd.requirement
        distance = joint.distance
        is_near = (distance <= NEAR) | (np.abs(headroom) <= DOUBT * crowd.slack) & (crowd.requirement > 0.0)
        is_near |= headroom < 0.0
        nearest = np.argsort(distance, kind="stable")[: self.top]
        is_near[nearest[np.isfinite(distance[nearest])]] = True
        return np.flatnonzero(is_near & np.isfinite(crowd.equity))

    def _verdicts(self, sight: Sight, subjects: tuple[int, ...], rows: Rows) -> dict[int, Verdict]:
        if not len(rows):
            return {}
        told = self.venue.verdicts(sight, [subjects[row] for row in rows])
        return {int(row): one for row, one in zip(rows, told, strict=True) if one is not None}


def _settled(crowd: Crowd, verdicts: Mapping[int, Verdict]) -> tuple[Floats, Floats, Floats]:
    """Equity and requirement with the contract's words in, and the headrooms those are sure of."""
    equity, requirement = crowd.equity.copy(), crowd.requirement.copy()
    now = np.full(len(equity), np.nan)
    for row, one in verdicts.items():
        equity[row], requirement[row] = to_float(one.equity_wad), to_float(one.requirement_wad)
        gap = to_float(one.equity_wad - one.requirement_wad)
        # the predicate rules over the difference: what is flagged is liquidatable whatever it has
        now[row] = min(gap, -1e-18) if one.is_liquidatable else max(gap, 0.0)
    return equity, requirement, now


def _mistaken(crowd: Crowd, verdicts: Mapping[int, Verdict]) -> Rows:
    found = [
        row
        for row, one in verdicts.items()
        if abs(to_float(one.equity_wad) - crowd.equity[row]) > DOUBT * crowd.slack[row]
        or abs(to_float(one.requirement_wad) - crowd.requirement[row]) > DOUBT * crowd.slack[row]
    ]
    return np.array(found, np.intp)


def _merged(flips: Flips, exact: Flips, rows: Rows) -> Flips:
    down, up = flips.down.copy(), flips.up.copy()
    down[rows], up[rows] = exact.down[rows], exact.up[rows]
    return Flips(down, up)
