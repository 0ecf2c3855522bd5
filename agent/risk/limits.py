"""Limits as data: a breached limit is something to plan for, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the owner allows: largest |net delta| per asset in its units, smallest distance to liquidation,
    and largest |gamma| and |vega| of the assets for which that is bounded at all; units as in ``Greeks``.
    """

    band: Mapping[str, float] = field(default_factory=dict)
    floor_distance: float = 0.0
    gamma: Mapping[str, float] = field(default_factory=dict)
    vega: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: ``value`` against ``bound``. ``kind`` is "band" or "greek" (|value| at most) or "floor" (at
    least).
    """

    name: str
    kind: str
    value: float
    bound: float

    @property
    def breached(self) -> bool:
        """Whether the limit is broken."""
        return self.value < self.bound if self.kind == "floor" else abs(self.value) > self.bound
