"""How long a shocked premium surely stays below a bound, at a standing price. Pure.

The premium is Black-Scholes of the discounted strike and of the deviation v = vol(T) sqrt(T). It gains at
most S / sqrt(2 pi) per unit of v (its vega, Hull chapter 19) and, a put, at most one per unit of the
discounted strike; a call falls with that. While time passes v mostly falls; it rises only where the
volatility grows faster than the root of time shrinks, between the two shock points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.market.instrument import OptionKind
from agent.values.fixed import YEAR_S, to_float

_VEGA_MOST = 1 / math.sqrt(2 * math.pi)
_NOISE = 1e-9  # of price and strike: the contract's own approximations, and the floats here
_SEARCH = 40


@dataclass(frozen=True, slots=True)
class Decay:
    """One option's way to its expiry. ``vol_a`` per year rules up to ``point_a_s`` before expiry, ``vol_b``
    from ``point_b_s`` on, linear between. Prices and rate as floats; nothing here goes on chain.
    """

    kind: OptionKind
    spot: float
    strike: float
    rate: float
    vol_a: float
    point_a_s: int
    vol_b: float
    point_b_s: int

    def calm_s(self, time_s: int, room: float) -> int:
        """Seconds from ``time_s`` before expiry in which the premium cannot gain ``room`` (quote per unit).

        A lower bound, rounded down; 0 when there is no room to speak of.
        """
        room -= _NOISE * (self.spot + self.strike)
        if room <= 0:
            return 0
        if self._gain(time_s, 0) <= room:
            return time_s
        low, high = 0, time_s
        for _ in range(_SEARCH):
            middle = (low + high) // 2
            if self._gain(time_s, time_s - middle) <= room:
                low = middle
            else:
                high = middle
        return low

    def _gain(self, time_s: int, then_s: int) -> float:
        """The most that the premium can rise at any time between."""
        rise = max(self._deviation(at) for at in self._peaks(time_s, then_s)) - self._deviation(time_s)
        years = (time_s - then_s) / YEAR_S
        against = self.rate if self.kind is OptionKind.PUT else -self.rate
        carried = max(against, 0.0) * years * math.exp(max(-self.rate, 0.0) * time_s / YEAR_S)
        return self.spot * _VEGA_MOST * rise + self.strike * carried

    def _deviation(self, time_s: float) -> float:
        return self._vol(time_s) * math.sqrt(max(time_s, 1.0) / YEAR_S)

    def _vol(self, time_s: float) -> float:
        if time_s <= self.point_a_s:
            return self.vol_a
        if time_s >= self.point_b_s:
            return self.vol_b
        return self.vol_a + self._slope * (time_s - self.point_a_s)

    @property
    def _slope(self) -> float:
        return (self.vol_b - self.vol_a) / (self.point_b_s - self.point_a_s)

    def _peaks(self, time_s: int, then_s: int) -> list[float]:
        """Where the deviation can be greatest: the ends, the shock points, and where vol^2 T is flat."""
        places: list[float] = [self.point_a_s, self.point_b_s]
        if self.point_b_s > self.point_a_s and self._slope != 0:
            places.append((self._slope * self.point_a_s - self.vol_a) / (3 * self._slope))
        return [time_s, then_s, *(at for at in places if then_s < at < time_s)]


def decay(
    kind: OptionKind,
    spot_wad: int,
    strike_wad: int,
    rate_wad: int,
    vol_a_wad: int,
    point_a_s: int,
    vol_b_wad: int,
    point_b_s: int,
) -> Decay:
    """From the contract's numbers."""
    spot, strike, rate = to_float(spot_wad), to_float(strike_wad), to_float(rate_wad)
    return Decay(kind, spot, strike, rate, to_float(vol_a_wad), point_a_s, to_float(vol_b_wad), point_b_s)
