"""Where an American put is exercised, and what exercising early is worth.

The boundary B(t), t before expiry, solves Kim's integral equation. It is found by iterating
B(t) = K exp(-(r - q) t) N / D, by the first pair where that settles and by the second where it does not
(a volatility that is small beside the rates):

    N = phi(d-)/(v sqrt t) + r integral e^(ru) phi(e-)/(v sqrt(t-u)) du
    D = phi(d+)/(v sqrt t) + Phi(d+) + q integral e^(qu) (Phi(e+) + phi(e+)/(v sqrt(t-u))) du

    N = Phi(d-) + r integral e^(ru) Phi(e-) du          D = Phi(d+) + q integral e^(qu) Phi(e+) du

with d+- = (ln(B(t)/K) + (r - q) t) / (v sqrt t) +- v sqrt(t)/2, and e+- the same over t - u with B(t)/B(u).
The boundary is kept as (ln B/X)^2 on Chebyshev nodes of sqrt t, X = K min(1, r/q); with u = t cos^2(angle)
the integrands are smooth at both ends, which makes Gauss's few points exact to about nine digits.

Source: Kim (1990); Andersen, Lake and Offengenden, High-performance American option pricing (Journal of
Computational Finance, 2016), fixed points A and B. The angle is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, legendre
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

NODES, POINTS = 24, 32
_PANELS_NOW, _PANELS_END, _PER_PANEL = 12, 6, 10
_ROUNDS = 120
_SETTLED = 1e-12
_LOST, _LOST_AFTER = 1e-3, 20  # a change that is still greater after so many rounds will not settle
_SQRT_TWO_PI = math.sqrt(2 * math.pi)

# Chebyshev's nodes in sqrt(t) over its greatest; the last one is t = 0, where the boundary is X
_COSINES = np.cos(np.pi * np.arange(NODES + 1) / NODES)
_FROM_NODES = np.linalg.inv(chebyshev.chebvander(_COSINES, NODES))
_X = (1 + _COSINES[:-1]) / 2
_GAUSS, _GAUSS_WEIGHT = legendre.leggauss(POINTS)
_ANGLE = (1 + _GAUSS) * math.pi / 4
_SIN, _WEIGHT = np.sin(_ANGLE), _GAUSS_WEIGHT * np.cos(_ANGLE) * math.pi / 4


def _interpolation(x: Floats) -> Floats:
    """The matrix from values at the nodes to values at x, in [0, 1]."""
    matrix: Floats = chebyshev.chebvander(2 * x - 1, NODES) @ _FROM_NODES
    return matrix


_INSIDE = _interpolation(_X[:, None] * np.cos(_ANGLE)[None, :])


def _crowded() -> tuple[Floats, Floats]:
    """Angles and weights on panels that halve towards both ends: now, where an option near its boundary earns
    its gamma, and the expiry, where the boundary bends.
    """
    halves = 0.5 ** np.arange(_PANELS_NOW, 0, -1)
    edges = np.concatenate([[0.0], halves, 1 - halves[-_PANELS_END:-1][::-1], [1.0]]) * math.pi / 2
    node, weight = legendre.leggauss(_PER_PANEL)
    width = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + width * (1 + node)).ravel(), (width * weight).ravel()


_ANGLE_NOW, _WEIGHT_NOW = _crowded()
_NOW = _interpolation(np.cos(_ANGLE_NOW))


@dataclass(frozen=True, slots=True)
class Premium:
    """What early exercise adds to a European put, and whether it is exercised now; all of one shape.

    Where it is exercised, price, delta and gamma mean nothing: the put is its payoff.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    is_exercised: npt.NDArray[np.bool_]


def premium(spot: Floats, years: Floats, vol: Floats, rate: Floats, dividend: Floats) -> Premium:
    """Of puts with strike 1 and rate > 0, flat. Raises ValueError where no boundary is found."""
    log_x = np.log(np.where(dividend > rate, rate / np.where(dividend > rate, dividend, 1.0), 1.0))
    # a boundary in units of the strike is the same for all strikes and spots
    alike, which = np.unique(np.stack([years, vol, rate, dividend, log_x]), axis=1, return_inverse=True)
    nodes = boundary(*alike)[which]
    log_spot = np.log(spot)
    return Premium(
        *_integrals(log_spot, nodes, log_x, years, vol, rate, dividend), is_exercised=log_spot <= nodes[:, 0]
    )


def boundary(years: Floats, vol: Floats, rate: Floats, dividend: Floats, log_x: Floats) -> Floats:
    """ln B at the nodes, for each option; the first is at its whole time. Raises ValueError."""
    terms = years, vol, rate, dividend, log_x
    nodes, change = _settle(_guess(*terms), *terms, is_smooth=True)
    rest = np.flatnonzero(~(change <= _SETTLED * 100))
    if rest.size:
        some = tuple(term[rest] for term in terms)
        nodes[rest], change[rest] = _settle(_guess(*some), *some, is_smooth=False)
    if not np.all(change <= 1e-7):
        worst = int(np.argmax(np.nan_to_num(change, nan=np.inf)))
        raise ValueError(
            f"no exercise boundary found for volatility {vol[worst]:g}, rate {rate[worst]:g}, dividend "
            f"{dividend[worst]:g} and {years[worst]:g} years: the volatility is too small beside the rates"
        )
    return nodes


def _guess(years: Floats, vol: Floats, rate: Floats, dividend: Floats, log_x: Floats) -> Floats:
    """From X at once to the perpetual put's boundary in the end, at about the pace of a deviation."""
    variance = vol * vol
    tilt = (rate - dividend) / variance - 0.5
    root = np.sqrt(tilt * tilt + 2 * rate / variance)
    power = np.where(tilt > 0, tilt + root, 2 * rate / variance / np.where(tilt > 0, 1.0, root - tilt))
    log_end = -np.log1p(1 / power)
    gap = np.maximum(-np.expm1(log_end - log_x), 1e-12)[:, None]
    deviation = (vol * np.sqrt(years))[:, None] * _X
    guess: Floats = log_x[:, None] + np.log1p(gap * np.expm1(-1.2 * deviation / gap))
    return guess


def _settle(
    log_b: Floats,
    years: Floats,
    vol: Floats,
    rate: Floats,
    dividend: Floats,
    log_x: Floats,
    *,
    is_smooth: bool,
) -> tuple[Floats, Floats]:
    """The iteration from ``log_b``: where it ends, and the last change."""
    log_b, x, carry = log_b.copy(), log_x[:, None], (rate - dividend)[:, None]
    t = years[:, None] * _X**2
    deviation = vol[:, None] * np.sqrt(years)[:, None] * _X
    left, gone = t[:, :, None] * _SIN**2, t[:, :, None] * (1 - _SIN**2)
    step = deviation[:, :, None] * _SIN
    r, q = rate[:, None, None], dividend[:, None, None]
    weight = 2 * t[:, :, None] * _SIN * _WEIGHT
    by_rate, by_dividend = r * np.exp(r * gone) * weight, q * np.exp(q * gone) * weight
    change = np.full(len(years), np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        for count in range(_ROUNDS):
            inner = x[:, :, None] - _between(log_b - x, _INSIDE)
            middle = (log_b[:, :, None] - inner + (r - q) * left) / step
            minus, plus = middle - step / 2, middle + step / 2
            outer = (log_b + carry * t) / deviation
            outer_minus, outer_plus = outer - deviation / 2, outer + deviation / 2
            if is_smooth:
                top = _phi(outer_minus) / deviation + (by_rate * _phi(minus) / step).sum(2)
                bottom = _phi(outer_plus) / deviation + ndtr(outer_plus)
                bottom = bottom + (by_dividend * (ndtr(plus) + _phi(plus) / step)).sum(2)
            else:
                top = ndtr(outer_minus) + (by_rate * ndtr(minus)).sum(2)
                bottom = ndtr(outer_plus) + (by_dividend * ndtr(plus)).sum(2)
            new = np.minimum(np.log(top / bottom) - carry * t, x)
            change = np.abs(new - log_b).max(1)
            log_b = new
            if np.all(~(change > _SETTLED) | ((count > _LOST_AFTER) & (change > _LOST))):
                break
    return log_b, change


def _between(log_ratio: Floats, matrix: Floats) -> Floats:
    """The size of ln B/X where ``matrix`` interpolates, from what it is at the nodes."""
    squares = np.concatenate([log_ratio**2, np.zeros((len(log_ratio), 1))], axis=1)
    size: Floats = np.sqrt(np.maximum(squares @ matrix.reshape(-1, NODES + 1).T, 0.0)).reshape(
        -1, *matrix.shape[:-1]
    )
    return size


def _integrals(
    log_spot: Floats,
    nodes: Floats,
    log_x: Floats,
    years: Floats,
    vol: Floats,
    rate: Floats,
    dividend: Floats,
) -> tuple[Floats, Floats, Floats]:
    """The premium's price, and its first and second derivative by spot."""
    x, r, q, spot = log_x[:, None], rate[:, None], dividend[:, None], np.exp(log_spot)[:, None]
    sine = np.sin(_ANGLE_NOW)
    passed = years[:, None] * sine**2
    deviation = (vol * np.sqrt(years))[:, None] * sine
    weight = 2 * years[:, None] * sine * np.cos(_ANGLE_NOW) * _WEIGHT_NOW
    log_b = x - _between(nodes - x, _NOW)
    with np.errstate(over="ignore", under="ignore"):
        middle = (log_spot[:, None] - log_b + (r - q) * passed) / deviation
        minus, plus = middle - deviation / 2, middle + deviation / 2
        earned, paid = r * np.exp(-r * passed) * weight, q * np.exp(-q * passed) * weight
        bell_minus, bell_plus = _phi(minus) / deviation, _phi(plus) / deviation
        price = (earned * ndtr(-minus) - paid * spot * ndtr(-plus)).sum(1)
        delta = (paid * (bell_plus - ndtr(-plus)) - earned * bell_minus / spot).sum(1)
        gamma = (
            earned * bell_minus * (1 + minus / deviation) / spot**2
            + paid * bell_plus * (1 - plus / deviation) / spot
        ).sum(1)
    return price, delta, gamma


def _phi(d: Floats) -> Floats:
    bell: Floats = np.exp(-d * d / 2) / _SQRT_TWO_PI
    return bell
