"""Says how the venues stand: at once when it changes, and the louder the nearer a venue's end is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agent.market.request import RequestingState
from agent.market.snapshot import Snapshot
from agent.market.standing import Access, Standing

Level = Literal["info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error", "critical")
ERROR_SHARE, CRITICAL_SHARE = 0.5, 0.125  # of the lead time: from when on it is graver
REPEAT_S = {"info": 86_400, "warning": 21_600, "error": 3_600, "critical": 600}  # of the chain's time


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to say about one venue."""

    level: Level
    event: str
    venue: str
    why: str
    ends_in_s: int | None = None


def deadline_level(ends_in_s: int, lead_s: int, *, is_exposed: bool) -> Level | None:
    """How grave a venue's end is; None while it is farther than the lead. Without anything there: info."""
    if ends_in_s > lead_s:
        return None
    if not is_exposed:
        return "info"
    if ends_in_s <= lead_s * CRITICAL_SHARE:
        return "critical"
    return "error" if ends_in_s <= lead_s * ERROR_SHARE else "warning"


@dataclass(slots=True)
class Alarm:
    """Keeps what it has said. ``lead_s``: how long before a venue's end it begins."""

    lead_s: int
    _access: dict[str, tuple[Access, str]] = field(default_factory=dict)
    _said: dict[str, tuple[Level, int]] = field(default_factory=dict)

    def note(self, snapshot: Snapshot) -> tuple[Notice, ...]:
        """What is to be said at this snapshot: what changed since the last, and deadlines that are due."""
        found = []
        for standing in snapshot.standings:
            found += self._changes(standing)
            found += self._deadline(standing, snapshot)
        return tuple(found)

    def _changes(self, standing: Standing) -> list[Notice]:
        now = (standing.access, "; ".join(standing.drifts))
        before = self._access.get(standing.venue, (Access.FULL, ""))
        self._access[standing.venue] = now
        if now == before:
            return []
        if standing.access is Access.FULL:
            return [Notice("info", "venue open again", standing.venue, before[1] or before[0].value)]
        level: Level = "error" if standing.access is Access.WATCH else "warning"
        return [Notice(level, f"venue {standing.access.value}", standing.venue, standing.why)]

    def _deadline(self, standing: Standing, snapshot: Snapshot) -> list[Notice]:
        left_s, name, now_s = standing.ends_in_s, standing.venue, snapshot.block.timestamp_s
        if left_s is None:
            return []
        level = deadline_level(left_s, self.lead_s, is_exposed=is_exposed(snapshot, name))
        if level is None:
            self._said.pop(name, None)
            return []
        before, at_s = self._said.get(name, ("info", now_s - REPEAT_S["info"]))
        graver = LEVELS.index(level) > LEVELS.index(before)
        if not graver and now_s - at_s < REPEAT_S[level]:
            return []
        self._said[name] = (level, now_s)
        event = "venue ends soon" if left_s > 0 else "venue has ended"
        why = f"in {left_s / 3600:.1f} h" if left_s > 0 else f"{-left_s / 3600:.1f} h ago"
        return [Notice(level, event, name, why, left_s)]


def is_exposed(snapshot: Snapshot, venue: str) -> bool:
    """Whether anything of ours is at the venue: positions, collateral, or orders that wait for a keeper."""
    state = snapshot.venue(venue)
    if isinstance(state, RequestingState) and any(one.is_open for one in state.requests):
        return True
    return any(p.size_wad for p in state.positions) or any(m.collateral_wad for m in state.margins)
