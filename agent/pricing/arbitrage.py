"""Proofs that SVI curves leave no arbitrage: no grid, and no strike too far out.

Butterfly. Put k = m + sigma (u - 1/u)/2 with u > 0. Then sqrt((k-m)^2 + sigma^2) = sigma (u + 1/u)/2, and
with D = u^2 + 1, R = right^2 u^2 - left^2, W = 2uw = sigma right^2 u^2 + 2au + sigma left^2 and
M = 2uk = sigma u^2 + 2mu - sigma
    16 sigma D^3 W^2 g = sigma D [4 (2DW - MR)^2 - 8 u R^2 W - R^2 W^2] + 32 (right^2 + left^2) u^3 W^2.
So g > 0 at every strike exactly when this polynomial of degree 10 has no root on u > 0 and is positive
there. Floats are fractions of a power of two: the roots are counted by Sturm's theorem in whole numbers.

Calendar. Both curves are convex: between two points the later lies above its tangent and the earlier below
its chord, so that two numbers prove an interval; beyond the last point the asymptotes prove the wing.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from agent.pricing.smile import Floats, Smile, butterfly

Polynomial = list[int]  # coefficients from the constant up

TOUCH = 1e-12  # of the total variance: two curves this near count as touching, not as crossing
FAR = 100.0  # log-moneyness beyond the curves' centres from which on only the asymptotes are compared
BETWEEN = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
KEPT_BITS = 48  # of each coefficient, in the quick proof
_SAMPLE = np.sinh(np.linspace(-12, 12, 193))  # in widths from the centre, to be quick about what is wrong
_CLEARLY = 1e-6  # a g this far below zero is no rounding
_DEEPEST, _MOST = 40, 20_000  # halvings and open intervals after which two curves count as crossing


def has_no_butterfly(smile: Smile) -> bool:
    """Whether the density is positive at every strike. Exact: the answer is that of the real numbers."""
    if smile.right == 0 and smile.left == 0:
        return True
    if np.any(smile.butterfly(smile.centre + smile.width * _SAMPLE) < -_CLEARLY):
        return False
    polynomial = _trimmed(_density_numerator(smile))
    if polynomial[-1] < 0:
        return False
    if all(coefficient >= 0 for coefficient in polynomial):
        return True
    return _positive_roots(_lowered(polynomial)) == 0 or _positive_roots(polynomial) == 0


def has_no_calendar(earlier: Smile, later: Smile) -> bool:
    """Whether the later curve is proven to lie nowhere below the earlier by more than TOUCH of it."""
    if earlier == later:
        return True
    if not _wing_holds(earlier, later, 1) or not _wing_holds(earlier, later, -1):
        return False
    points = _points(earlier, later)
    start, end = points[:-1], points[1:]
    for _ in range(_DEEPEST):
        low, high = earlier.variance(start), earlier.variance(end)
        if np.any(later.variance(start) < low * (1 - TOUCH)):
            return False
        middle = (start + end) / 2
        value, slope, _ = later.slopes(middle)
        half = (end - start) / 2
        is_open = (value - slope * half < low * (1 - TOUCH)) | (value + slope * half < high * (1 - TOUCH))
        if not np.any(is_open):
            return True
        if np.count_nonzero(is_open) > _MOST:
            return False
        middle = middle[is_open]
        start, end = (
            np.concatenate((start[is_open], middle)),
            np.concatenate((middle, end[is_open])),
        )
    return False


def least_between(earlier: Smile, later: Smile) -> float:
    """The least g found of curves between the two (total variance linear in time), on a dense grid.

    A mixture of two curves with positive densities can have a negative one where both are near zero.
    """
    points = _points(earlier, later)
    one, other = earlier.slopes(points), later.slopes(points)
    return min(
        float(
            np.min(
                butterfly(
                    points, *(_mixed(first, last, share) for first, last in zip(one, other, strict=True))
                )
            )
        )
        for share in BETWEEN
    )


def _mixed(first: Floats, last: Floats, share: float) -> Floats:
    return np.asarray(first + share * (last - first))


def _reach(earlier: Smile, later: Smile) -> float:
    return FAR + 2 * max(abs(earlier.centre), abs(later.centre))


def _points(earlier: Smile, later: Smile) -> Floats:
    """Where to look: dense around both curves' bends and the money, thinning out."""
    far = _reach(earlier, later)
    grids = [
        smile.centre + smile.width * np.sinh(np.linspace(-span, span, 97))
        for smile in (earlier, later)
        for span in (math.asinh((far + abs(smile.centre)) / smile.width),)
    ]
    middle = math.sqrt(earlier.variance(0.0)) * np.linspace(-8, 8, 65)
    points = np.unique(np.concatenate((*grids, middle, (-far, far))))
    return points[(points >= -far) & (points <= far)]


def _wing_holds(earlier: Smile, later: Smile, side: int) -> bool:
    """Whether the later curve's asymptote lies above the earlier curve from `_reach` on.

    A curve lies above its asymptote, and by no more than b sigma^2 / (2 |k - m|).
    """
    far = _reach(earlier, later)
    slope, bound = _asymptote(earlier, side)
    later_slope, later_bound = _asymptote(later, side)
    bend = (earlier.right**2 + earlier.left**2) / 2 * earlier.width**2
    rest = bend / (2 * (far - side * earlier.centre))
    here = float(earlier.variance(side * far))
    return later_slope >= slope and (later_slope - slope) * far + later_bound - bound - rest >= -TOUCH * here


def _asymptote(smile: Smile, side: int) -> tuple[float, float]:
    """Slope by side * k, and the value at k = 0."""
    a = smile.floor - smile.width * smile.right * smile.left
    slope = (smile.right if side > 0 else smile.left) ** 2
    return slope, a - side * slope * smile.centre


# --- whole-number polynomials ----------------------------------------------------------------------


def _density_numerator(smile: Smile) -> Polynomial:
    ratios = [
        number.as_integer_ratio()
        for number in (smile.floor, smile.right, smile.left, smile.centre, smile.width)
    ]
    one = max(denominator for _, denominator in ratios)  # a power of two, so all of them divide it
    bits = one.bit_length() - 1
    floor, right, left, centre, width = (top * (one // bottom) for top, bottom in ratios)
    up, down = right * right, left * left
    total = [
        width * down,
        2 * ((floor << 2 * bits) - width * right * left),
        width * up,
    ]  # W, in units of one^-3; R in one^-2, M in one^-1
    lean = [-down, 0, up]
    place = [-width, 2 * centre, width]
    circle = [1, 0, 1]
    gap = _plus([2 * c for c in _times(circle, total)], [-c for c in _times(place, lean)])
    lean_squared, total_squared = _times(lean, lean), _times(total, total)
    first = [c << 4 * bits + 2 for c in _times(gap, gap)]
    second = [0] + [-c << 3 * bits + 3 for c in _times(lean_squared, total)]
    third = [-c for c in _times(lean_squared, total_squared)]
    inside = _times(circle, _plus(_plus(first, second), third))
    bend = [0, 0, 0] + [((up + down) * c) << 3 * bits + 5 for c in total_squared]
    return _plus([width * c for c in inside], bend)


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    product = [0] * (len(one) + len(other) - 1)
    for i, left in enumerate(one):
        if left:
            for j, right in enumerate(other):
                product[i + j] += left * right
    return product


def _plus(one: Polynomial, other: Polynomial) -> Polynomial:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return [c + (shorter[i] if i < len(shorter) else 0) for i, c in enumerate(longer)]


def _trimmed(polynomial: Polynomial) -> Polynomial:
    """Without zeros at either end (roots at zero do not count), and without a common factor."""
    start, end = 0, len(polynomial)
    while end > 1 and polynomial[end - 1] == 0:
        end -= 1
    while start < end - 1 and polynomial[start] == 0:
        start += 1
    common = math.gcd(*polynomial[start:end]) or 1
    return [c // common for c in polynomial[start:end]]


def _lowered(polynomial: Polynomial) -> Polynomial:
    """Each coefficient rounded down to KEPT_BITS after u is scaled by a power of two: a polynomial of short
    numbers that lies nowhere above the given one on u > 0.
    """
    degree = len(polynomial) - 1
    tilt = (polynomial[0].bit_length() - polynomial[-1].bit_length()) // max(degree, 1)
    least = min(0, tilt * degree)
    scaled = [c << (tilt * i - least) for i, c in enumerate(polynomial)]
    return _trimmed([_rounded_down(c, max(0, c.bit_length() - KEPT_BITS)) for c in scaled])


def _rounded_down(number: int, bits: int) -> int:
    return number >> bits << bits


def _positive_roots(polynomial: Polynomial) -> int:
    """How many different real roots lie above zero: Sturm's theorem between 0 and infinity."""
    chain = [polynomial, [i * c for i, c in enumerate(polynomial)][1:]]
    while len(chain[-1]) > 1:
        rest = _negative_remainder(chain[-2], chain[-1])
        if not any(rest):
            break
        chain.append(rest)
    return _changes([p[0] for p in chain]) - _changes([p[-1] for p in chain])


def _negative_remainder(dividend: Polynomial, divisor: Polynomial) -> Polynomial:
    """Minus the remainder, times something positive."""
    rest, lead = list(dividend), divisor[-1]
    scale, sign = abs(lead), 1 if lead > 0 else -1
    while len(rest) >= len(divisor):
        factor, shift = sign * rest[-1], len(rest) - len(divisor)
        rest = [scale * c for c in rest]
        for i, c in enumerate(divisor):
            rest[shift + i] -= factor * c
        while rest and rest[-1] == 0:
            rest.pop()
    common = math.gcd(*rest) or 1
    return [-c // common for c in rest]


def _changes(values: list[int]) -> int:
    signs = [value > 0 for value in values if value]
    return sum(one is not other for one, other in pairwise(signs))
