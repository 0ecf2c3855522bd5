"""The out-of-the-money value of Black's formula, right in relative terms however far out.

With x = the size of ln(F/K) and s = vol sqrt(years), the undiscounted option out of the money is worth
min(F, K) q(x, s). Written with Mills' ratio Y = Phi/phi (the scaled complementary error function) and the two
distances a = s/2 - x/s and z = s/2 + x/s,

    q = phi(a) (Y(a) - Y(-z))               a < 0: both are tails, and only phi can be small
    q = 1 - phi(a) (Y(-a) + Y(-z))          a >= 0
    q = 2 phi(a) sum Y^(n)(-h) (s/2)^n / n!  n odd, h = x/s, where s is small: no difference of near equals

The derivatives follow Y' = 1 + zY. The relative error is a few rounding units times (1 + h^2), which is the
conditioning of exp(-h^2/2) itself. Idea and regions: Jäckel, Let's be rational (Wilmott, 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx

Floats = npt.NDArray[np.float64]

_SMALL = 0.06  # total deviations below this go by the series, whose next term is below a rounding unit
_FARTHEST = 1e8  # deviations; beyond 39 everything is zero, and squares and powers stay finite
_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_PI = math.sqrt(math.pi / 2)
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Wing:
    """What price and Greeks are made of. ``near`` is a and ``far`` is z of the module's text.

    value: q. density: phi(a). near_tail: Phi(-|a|). far_tail: exp(x) Phi(-z).
    """

    near: Floats
    far: Floats
    value: Floats
    density: Floats
    near_tail: Floats
    far_tail: Floats


def wing(x: Floats, s: Floats) -> Wing:
    """Everything at x >= 0 and s > 0, of one shape with at least one dimension."""
    with np.errstate(over="ignore", under="ignore"):
        h, t = np.minimum(x / s, _FARTHEST), s / 2
        near, far = t - h, t + h
        bell = np.exp(-near * near / 2)
        near_tail = bell * erfcx(np.abs(near) * _SQRT_HALF) / 2
        far_tail = bell * erfcx(far * _SQRT_HALF) / 2
        value = np.where(near < 0, near_tail - far_tail, 1 - (near_tail + far_tail))
        density = bell / _SQRT_TWO_PI
        small = s < _SMALL
        if small.any():
            value[small] = density[small] * _series(h[small], t[small])
    return Wing(near, far, value, density, near_tail, far_tail)


def log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    """ln(numerator / denominator) with a small relative error also where they are nearly equal."""
    with np.errstate(divide="ignore"):
        excess = (numerator - denominator) / denominator
        return np.where(
            np.abs(excess) < 0.5, np.log1p(np.maximum(excess, -0.5)), np.log(numerator / denominator)
        )


def _series(h: Floats, t: Floats) -> Floats:
    """Y(-h + t) - Y(-h - t) for small t >= 0, by the odd derivatives of Y at -h."""
    before = _SQRT_HALF_PI * erfcx(h * _SQRT_HALF)
    slope = 1 - h * before
    power = 2 * t
    total: Floats = power * slope
    for n in range(1, 9):
        before, slope = slope, n * before - h * slope
        power = power * t / (n + 1)
        if n % 2 == 0:
            total += power * slope
    return total
