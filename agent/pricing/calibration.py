"""The SVI curve and the SSVI slice nearest one expiry's volatilities, by least squares in volatility.

Levenberg-Marquardt on a box with an analytic Jacobian, started from the best of a grid of (centre, width),
for each of which the rest is a linear problem (De Marco and Martini, Zeliade 2009). The SVI curve may still
have an arbitrage: `repair` looks after that. The SSVI slice has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from scipy.optimize import leastsq

from agent.pricing.arbitrage import has_no_butterfly
from agent.pricing.smile import Floats, Smile
from agent.pricing.strip import Strip

FEW = 5  # quotes: with fewer the five parameters of SVI are not known
_INSIDE = 0.999  # of the bound of SSVI that its slices keep
_PULL = 1e-7  # vol per unit of a parameter: holds those the quotes do not know, moves no other
_SOFT_PULL = 1e-4  # the same of an SSVI slice towards the shape it is given
_EXACT, _NEARLY_EXACT = 1e-10, 1e-3  # root mean squared misses in vol, between which it is worth going on


@dataclass(frozen=True, slots=True)
class Shape:
    """What a slice takes from its neighbours where its own quotes say nothing: rho and
    stretch = phi sqrt(theta), which is the slope at the money in standard deviations.
    """

    rho: float = 0.0
    stretch: float = 0.3


def fit_ssvi(strip: Strip, shape: Shape) -> Smile:
    """The slice of SSVI nearest the quotes, held to ``shape`` where they leave it open.

    Kept inside theta phi (1 + |rho|) < 4 and theta phi^2 (1 + |rho|) <= 4, which suffice (Gatheral and
    Jacquier 2014, theorem 4.2); proven all the same.
    """
    root = np.sqrt(strip.share)
    start = np.array(
        [2 * math.log(float(strip.share @ strip.iv)), math.atanh(shape.rho), math.log(shape.stretch)]
    )

    def misses(x: Floats) -> Floats:
        return np.concatenate((root * strip.misses(_ssvi(x, strip.years)), _SOFT_PULL * (x - start)))

    best = leastsq(misses, start, full_output=True, xtol=1e-9, ftol=1e-10, maxfev=200)[0]
    smile = _ssvi(best, strip.years)
    return smile if has_no_butterfly(smile) else Smile.flat(float(strip.share @ strip.iv) ** 2 * strip.years)


def _ssvi(x: Floats, years: float) -> Smile:
    """From ln(variance per year at the money), artanh(rho), ln(stretch); phi is bent below its bounds."""
    theta = math.exp(min(max(float(x[0]), -60.0), 60.0)) * years
    rho = 0.999 * math.tanh(float(x[1]))
    wanted = math.exp(min(max(float(x[2]), -40.0), 40.0)) / math.sqrt(theta)
    most = _INSIDE * min(4 / (theta * (1 + abs(rho))), 2 / math.sqrt(theta * (1 + abs(rho))))
    phi = (wanted**-4 + most**-4) ** -0.25
    return Smile.of_ssvi(theta, rho, phi)


def shape_of(smile: Smile) -> Shape:
    """The skew and stretch of a curve, as an SSVI slice would have them."""
    _, b, rho, _, _ = smile.raw
    theta = float(smile.variance(0.0))
    stretch = 2 * b / math.sqrt(theta)
    return Shape(min(max(rho, -0.99), 0.99), min(max(stretch, 1e-6), 2.0))


# --- the free fit -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """Where parameters (ln floor, ln right, ln left, centre, ln width) may be."""

    low: Floats
    high: Floats

    def smile(self, place: Floats) -> Smile:
        floor, right, left, centre, width = np.clip(place, self.low, self.high).tolist()
        return Smile(math.exp(floor), math.exp(right), math.exp(left), centre, math.exp(width))

    def place(self, smile: Smile) -> Floats:
        tiny = math.exp(float(self.low[1]))
        place = np.clip(
            np.array(
                [
                    math.log(smile.floor),
                    math.log(max(smile.right, tiny)),
                    math.log(max(smile.left, tiny)),
                    smile.centre,
                    math.log(smile.width),
                ]
            ),
            self.low,
            self.high,
        )
        return np.asarray(place)


def box_of(strip: Strip) -> Box:
    """Around what the quotes can tell of: eight spans of centre, slopes below 2, widths in between."""
    variance = strip.iv**2 * strip.years
    least, most, span = float(np.min(variance)), float(np.max(variance)), strip.span
    faint = 1e-4 * math.sqrt(least / span)  # a root of a slope that adds 1e-8 of the variance over the span
    middle = float(strip.k[0] + strip.k[-1]) / 2
    steepest = math.log(math.sqrt(1.9999))
    return Box(
        np.array(
            [
                math.log(least) - 16,
                math.log(min(faint, 1e-3)),
                math.log(min(faint, 1e-3)),
                middle - 8 * span,
                math.log(span) - 9,
            ]
        ),
        np.array([math.log(2 * most), steepest, steepest, middle + 8 * span, math.log(span) + 4]),
    )


class _Misses:
    """Misses and their Jacobian in free numbers x, a logistic curve of which holds each parameter in the box.

    Both come from one pass and are kept: the solver asks for the second where it has asked for the first.
    """

    def __init__(self, strip: Strip, box: Box, start: Smile) -> None:
        self._strip, self._box = strip, box
        self._range = box.high - box.low
        share = np.clip((box.place(start) - box.low) / self._range, 0.01, 0.99)
        self.start: Floats = np.log(share / (1 - share))
        self._at: bytes = b""
        self._root = np.sqrt(strip.share)
        quotes = strip.k.size
        self._misses = np.empty(quotes + 5)
        self._jacobian = np.zeros((quotes + 5, 5))
        self._jacobian[quotes:] = _PULL * np.eye(5)

    def misses(self, x: Floats) -> Floats:
        self._pass(x)
        return self._misses

    def jacobian(self, x: Floats) -> Floats:
        self._pass(x)
        return self._jacobian

    def smile(self, x: Floats) -> Smile:
        return self._box.smile(self._box.low + self._range * self._share(x))

    def _share(self, x: Floats) -> Floats:
        return np.asarray(0.5 + 0.5 * np.tanh(x / 2))

    def _pass(self, x: Floats) -> None:
        if x.tobytes() == self._at:
            return
        self._at = x.tobytes()
        share = self._share(x)
        floor, right, left, centre, width = (self._box.low + self._range * share).tolist()
        floor, right, left, width = math.exp(floor), math.exp(right), math.exp(left), math.exp(width)
        d = self._strip.k - centre
        away = np.sqrt(d * d + width * width)
        long = np.sqrt(away + np.abs(d))
        above = np.where(d >= 0, long, width / long)  # the roots of away + d and of away - d
        below = width / above
        rising, falling = right * above, left * below
        gap = rising - falling
        vol = np.sqrt((floor + gap * gap / 2) / self._strip.years)
        quotes = d.size
        np.multiply(self._root, vol - self._strip.iv, out=self._misses[:quotes])
        np.multiply(_PULL, x - self.start, out=self._misses[quotes:])
        unit = self._root / (2 * self._strip.years * vol)
        slope = unit * gap
        pace = slope / (2 * away)
        of_place = self._jacobian[:quotes]
        np.multiply(unit, floor, out=of_place[:, 0])
        np.multiply(slope, rising, out=of_place[:, 1])
        np.multiply(slope, -falling, out=of_place[:, 2])
        np.multiply(pace, -(rising + falling), out=of_place[:, 3])
        np.multiply(pace * width, right * below - left * above, out=of_place[:, 4])
        of_place *= self._range * share * (1 - share)


def nearest_svi(strip: Strip, last: Smile | None = None) -> Smile:
    """Least squares from the best start; where the quotes nearly lie on one curve, taken to the end, and from
    the next best starts too if that end is not theirs.

    ``last``: the same expiry's curve of a moment ago, tried before any other start. What it leads to is kept
    if the misses are nothing, or noise without a shape that another curve could follow.
    """
    box = box_of(strip)
    best, loss = None, math.inf
    for start in _starts(strip) if last is None else chain((last,), _starts(strip)):
        smile, found = _settled(strip, box, start)
        if best is None or found < loss:
            best, loss = smile, found
        is_other = start is not last and loss >= _NEARLY_EXACT**2
        if loss <= _EXACT**2 or is_other or strip.is_noise(best):
            break
    if best is None:
        raise ValueError(f"no place to start from: {strip}")
    return best


def _settled(strip: Strip, box: Box, start: Smile) -> tuple[Smile, float]:
    """Where least squares lead from a start, and its loss."""
    problem = _Misses(strip, box, start)
    found = problem.start
    for xtol, ftol, calls in ((1e-9, 1e-10, 100), (1e-14, 1e-15, 1000)):
        found = leastsq(
            problem.misses,
            found,
            Dfun=problem.jacobian,
            full_output=True,
            xtol=xtol,
            ftol=ftol,
            maxfev=calls,
        )[0]
        smile = problem.smile(found)
        loss = strip.loss(smile)
        if not _EXACT**2 < loss < _NEARLY_EXACT**2 or strip.is_noise(smile):
            break
    return smile, loss


def _starts(strip: Strip, most: int = 4) -> Iterator[Smile]:
    """The best few of a grid of (centre, width), the other three parameters by linear least squares."""
    span, middle = strip.span, float(strip.k[0] + strip.k[-1]) / 2
    spots = np.array([*product((-0.6, -0.3, -0.1, 0.1, 0.3, 0.6), (0.03, 0.12, 0.4, 1.2))]) * span
    centre, width = spots[:, :1] + middle, spots[:, 1:]
    variance = strip.iv**2 * strip.years
    weight = strip.share / variance
    d = strip.k - centre
    away = np.hypot(d, width)
    above, below = (away + d) / 2, (away - d) / 2
    basis = np.stack((np.ones_like(d), above, below), -1)
    weighted = basis.swapaxes(1, 2) * weight
    normal = weighted @ basis
    normal += np.eye(3) * (1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None])
    answer = np.linalg.solve(normal, (weighted @ variance)[:, :, None])[:, :, 0]
    up, down = (np.clip(answer[:, i : i + 1], 1e-8, 1.9) for i in (1, 2))
    wings = up * above + down * below
    a = (variance - wings) @ (weight / weight.sum())
    floor = np.maximum(a[:, None] + width * np.sqrt(up * down), 0.05 * np.min(variance))
    value = floor - width * np.sqrt(up * down) + wings
    losses = ((value - variance) ** 2) @ weight
    for index in np.argsort(losses)[:most]:
        yield Smile(
            float(floor[index, 0]),
            math.sqrt(up[index, 0]),
            math.sqrt(down[index, 0]),
            float(centre[index, 0]),
            float(width[index, 0]),
        )
