"""One expiry's implied variance as a function of log-moneyness: the SVI curve.

k = ln(strike / forward), w = iv^2 x years. The raw form (Gatheral 2004) is
    w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)).
It is held by its least value v = a + b sigma sqrt(1 - rho^2) and the square roots of its wings' slopes,
right^2 = b (1 + rho) and left^2 = b (1 - rho). With r = sqrt((k - m)^2 + sigma^2) and d = k - m,
    w = v + (right sqrt(r + d) - left sqrt(r - d))^2 / 2,
which is the same curve without the raw form's cancellation, and whose domain is a box: v > 0, sigma > 0,
0 <= right, left < sqrt(2) (the slopes below 2: Lee 2004, Rogers and Tehranchi 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SLOPE_LIMIT = 2.0  # of total variance per unit of log-moneyness, not reached
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Smile:
    """An SVI curve. floor: least total variance; right, left: roots of the wings' slopes; centre: m;
    width: sigma, both in log-moneyness. Raises ValueError outside the domain.
    """

    floor: float
    right: float
    left: float
    centre: float
    width: float

    def __post_init__(self) -> None:
        numbers = (self.floor, self.right, self.left, self.centre, self.width)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"not finite: {self}")
        steepest = max(self.right, self.left)
        if not (self.floor > 0 and self.width > 0 and min(self.right, self.left) >= 0):
            raise ValueError(f"floor and width must be positive and slopes not negative: {self}")
        if not steepest * steepest < SLOPE_LIMIT:
            raise ValueError(f"a wing's slope is not below {SLOPE_LIMIT}: {self}")

    @classmethod
    def of_raw(cls, a: float, b: float, rho: float, m: float, sigma: float) -> Smile:
        """From the raw form. Raises ValueError unless b >= 0, |rho| <= 1, sigma > 0, w > 0, slopes < 2."""
        if not (b >= 0 and abs(rho) <= 1):
            raise ValueError(f"b must not be negative and |rho| at most 1: b={b}, rho={rho}")
        floor = a + b * sigma * math.sqrt(1 - rho * rho)
        return cls(floor, math.sqrt(b * (1 + rho)), math.sqrt(b * (1 - rho)), m, sigma)

    @classmethod
    def of_ssvi(cls, theta: float, rho: float, phi: float) -> Smile:
        """One slice of SSVI: theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)).

        theta: total variance at the money. Source: Gatheral and Jacquier (2014), section 4.
        """
        free = 1 - rho * rho
        slope = theta * phi / 2
        return cls(
            theta * free,
            math.sqrt(slope * (1 + rho)),
            math.sqrt(slope * (1 - rho)),
            -rho / phi,
            math.sqrt(free) / phi,
        )

    @classmethod
    def flat(cls, variance: float) -> Smile:
        """The same total variance at every strike."""
        return cls(variance, 0.0, 0.0, 0.0, 1.0)

    @property
    def raw(self) -> tuple[float, float, float, float, float]:
        """(a, b, rho, m, sigma) of the raw form; rho is 0 of a flat curve."""
        up, down = self.right**2, self.left**2
        b = (up + down) / 2
        rho = (up - down) / (up + down) if b > 0 else 0.0
        return self.floor - self.width * self.right * self.left, b, rho, self.centre, self.width

    def variance(self, k: npt.ArrayLike) -> Floats:
        """Total variance, of k's shape."""
        return self.slopes(k)[0]

    def slopes(self, k: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Total variance and its first and second derivative by k."""
        away, above, below = self._arms(k)
        rising, falling = self.right * np.sqrt(above), self.left * np.sqrt(below)
        first = (rising - falling) * (rising + falling) / (2 * away)
        bend = (self.right**2 + self.left**2) / 2
        return self.floor + (rising - falling) ** 2 / 2, first, bend * self.width**2 / away**3

    def gradient(self, k: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """The derivatives of `slopes` by (ln floor, right, left, centre, ln width), as last axis."""
        away, above, below = self._arms(k)
        d = np.asarray(k, dtype=np.float64) - self.centre
        up, down = np.sqrt(above), np.sqrt(below)
        rising, falling = self.right * up, self.left * down
        gap = rising - falling
        first = gap * (rising + falling) / (2 * away)
        sharp = (self.width / away) ** 2
        second = (self.right**2 + self.left**2) / 2 * sharp / away
        none = np.zeros_like(d)
        of_value = (
            none + self.floor,
            up * gap,
            -down * gap,
            -first,
            gap * (rising * below - falling * above) / (2 * away),
        )
        of_first = (none, rising * up / away, -falling * down / away, -second, -d * second)
        of_second = (
            none,
            self.right * sharp / away,
            self.left * sharp / away,
            3 * d * second / away**2,
            second * (2 - 3 * sharp),
        )
        return np.stack(of_value, -1), np.stack(of_first, -1), np.stack(of_second, -1)

    def butterfly(self, k: npt.ArrayLike) -> Floats:
        """Gatheral's g: the curve is free of butterfly arbitrage where g >= 0 everywhere.

        g = (1 - k w'/(2w))^2 - w'^2/4 (1/w + 1/4) + w''/2. Source: Gatheral and Jacquier (2014), eq. 2.1.
        """
        return butterfly(np.asarray(k, dtype=np.float64), *self.slopes(k))

    def density(self, k: npt.ArrayLike) -> Floats:
        """Risk-neutral density of ln(price at expiry / forward): g exp(-d2^2/2) / sqrt(2 pi w)."""
        point = np.asarray(k, dtype=np.float64)
        value = self.variance(point)
        d2 = -point / np.sqrt(value) - np.sqrt(value) / 2
        return np.asarray(self.butterfly(point) * np.exp(-d2 * d2 / 2) / (_SQRT_TWO_PI * np.sqrt(value)))

    def _arms(self, k: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """r, r + d and r - d, the two without cancellation: their product is width^2."""
        d = np.asarray(k, dtype=np.float64) - self.centre
        away = np.hypot(d, self.width)
        long = away + np.abs(d)
        short = self.width * (self.width / long)
        return away, np.where(d >= 0, long, short), np.where(d >= 0, short, long)


def butterfly(k: Floats, value: Floats, first: Floats, second: Floats) -> Floats:
    """g of any curve, from its total variance and its derivatives by k."""
    lean = 1 - k * first / (2 * value)
    return np.asarray(lean * lean - first * first * (0.25 / value + 0.0625) + second / 2)


def blend(start: Smile, end: Smile, share: float) -> Smile:
    """The curve whose parameters lie at ``share`` of the way from one to the other."""
    pairs = (
        (start.floor, end.floor),
        (start.right, end.right),
        (start.left, end.left),
        (start.centre, end.centre),
        (start.width, end.width),
    )
    return Smile(*(one + share * (other - one) for one, other in pairs)) if share < 1 else end
