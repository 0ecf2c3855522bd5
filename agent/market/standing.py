"""How a venue stands with us at one block: what may be done there, and why not more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Access(Enum):
    """From everything to nothing. ``LEAVE``: what is held may be closed and taken out, nothing be paid in."""

    FULL = "open"
    REDUCE = "close-only"
    LEAVE = "ended"
    WATCH = "read-only"


@dataclass(frozen=True, slots=True)
class Standing:
    """One venue. ``drifts``: in what its contracts differ from what is known of them; ``reasons``: whatever
    else keeps us from writing there. ``ends_in_s``: to its end, if that is known; below 0 after it.
    """

    venue: str
    access: Access = Access.FULL
    drifts: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    stage: str = "open"
    ends_in_s: int | None = None

    @property
    def why(self) -> str:
        """All reasons in one line."""
        return "; ".join((*self.drifts, *self.reasons))
