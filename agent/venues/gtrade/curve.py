"""Price impact by size, as the contract answered at some sizes; straight between them, flat beyond."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from agent.values.fixed import div_up

SIZES_USD = (1_000, 10_000, 50_000, 200_000, 1_000_000, 5_000_000)  # where the contract is asked


@dataclass(frozen=True, slots=True)
class Curve:
    """``points``: (dollars, percent at 10 decimals against the trader, > 0 costs), ascending by dollars."""

    points: tuple[tuple[int, int], ...]

    def at(self, usd_wad: int) -> int:
        """Rounded up: the cost of ``usd_wad`` in percent at 10 decimals."""
        first, last = self.points[0], self.points[-1]
        if usd_wad >= last[0] * 10**18:
            return last[1]
        if usd_wad <= first[0] * 10**18:
            if len(self.points) < 2:
                return first[1]
            return _between(usd_wad, first, self.points[1])
        for low, high in pairwise(self.points):
            if usd_wad <= high[0] * 10**18:
                return _between(usd_wad, low, high)
        return last[1]


def _between(usd_wad: int, low: tuple[int, int], high: tuple[int, int]) -> int:
    span = (high[0] - low[0]) * 10**18
    return low[1] + div_up((high[1] - low[1]) * (usd_wad - low[0] * 10**18), span)
