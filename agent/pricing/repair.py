"""From a curve with an arbitrage to the nearest one found that has none, and that is proven.

The least squares are taken again under constraints at the points of a grid (SLSQP, analytic Jacobians): g at
least a floor, and the curve on its side of its neighbours. What comes out is proven as a whole or refused. If
every try is refused, the curve walks straight towards one that is proven, and stops where it is proven too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from agent.pricing.arbitrage import FAR, has_no_butterfly
from agent.pricing.calibration import Shape, box_of, fit_ssvi, nearest_svi
from agent.pricing.smile import Floats, Smile, blend, butterfly
from agent.pricing.strip import Strip

FLOORS = (1e-4, 1e-2, 5e-2)  # of g, and of the relative distance from a neighbour: one try each
_EXCHANGES = 2  # rounds of adding the points where the constraints were broken
_STEEPER = 1e-6  # of the slope's unit: a wing no steeper than its bound's might cross it
_HALVINGS = 8  # of the walk
_STAY = 1e-6  # square vol points per square unit of a parameter: holds those the quotes do not know
_POINTS = 100.0  # vol points per 1.00 of volatility

Accepts = Callable[[Smile], bool]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Curves that this one must not lie below or above."""

    below: Smile | None = None
    above: Smile | None = None

    @property
    def signed(self) -> tuple[tuple[Smile, float], ...]:
        """The bounds with 1 if the curve must lie above, -1 if below."""
        pairs = ((self.below, 1.0), (self.above, -1.0))
        return tuple((edge, sign) for edge, sign in pairs if edge is not None)


def fit_svi(strip: Strip, last: Smile | None = None) -> tuple[Smile, bool]:
    """The curve, proven free of butterfly arbitrage, and whether it had to be repaired.

    ``last``: the same expiry's curve of a moment ago, to start from.
    """
    free = nearest_svi(strip, last)
    if has_no_butterfly(free):
        return free, False
    anchor = fit_ssvi(strip, Shape())
    return repair(strip, (anchor, free), anchor, has_no_butterfly, Bounds()), True


def repair(strip: Strip, starts: tuple[Smile, ...], anchor: Smile, accepts: Accepts, bounds: Bounds) -> Smile:
    """The nearest curve to the quotes found that ``accepts``; ``anchor`` must be one, so there always is."""
    best, loss = anchor, strip.loss(anchor)
    refused: list[Smile] = []
    for floor in FLOORS:
        for start in starts:
            smile = _constrained(strip, start, floor, bounds)
            if strip.loss(smile) >= loss:
                continue
            if accepts(smile):
                return smile
            refused.append(smile)
    for start in refused:
        smile = _walked(start, anchor, accepts)
        if strip.loss(smile) < loss:
            best, loss = smile, strip.loss(smile)
    return best


def _walked(start: Smile, anchor: Smile, accepts: Accepts) -> Smile:
    """A curve on the way from one that may be refused to one that is accepted, by halving."""
    refused, accepted = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (refused + accepted) / 2
        if accepts(blend(start, anchor, share)):
            accepted = share
        else:
            refused = share
    return blend(start, anchor, accepted)


def _constrained(strip: Strip, start: Smile, floor: float, bounds: Bounds) -> Smile:
    """Least squares under constraints at points, to which those are added where the answer breaks them."""
    points, smile = _watch(strip, start), start
    for _ in range(_EXCHANGES):
        smile = _Problem(strip, smile, floor, bounds, points).solved()
        dense = _dense(strip, smile)
        room = _room(smile, dense, bounds)
        is_dip = (room < floor / 2) & (room <= np.minimum(np.roll(room, 1), np.roll(room, -1)))
        if not np.any(is_dip):
            break
        points = np.concatenate((points, dense[is_dip]))
    return smile


def _room(smile: Smile, points: Floats, bounds: Bounds) -> Floats:
    """What g, and the relative distances from the bounds, are at the least."""
    least = smile.butterfly(points)
    for edge, sign in bounds.signed:
        least = np.minimum(least, sign * np.log(smile.variance(points) / edge.variance(points)))
    return least


class _Problem:
    """Least squares in (ln floor, right, left, centre, ln width), each in its unit, for SLSQP."""

    def __init__(self, strip: Strip, start: Smile, floor: float, bounds: Bounds, points: Floats) -> None:
        self._strip, self._floor, self._points = strip, floor, points
        self._edges = [(edge, sign, edge.variance(points)) for edge, sign in bounds.signed]
        box = box_of(strip)
        steep = math.exp(float(box.high[1]))
        self._slope = min(math.sqrt(float(np.min(strip.iv)) ** 2 * strip.years / strip.span), 1.0)
        self._unit = np.array([1.0, self._slope, self._slope, strip.span, 1.0])
        self._low = np.array([box.low[0], 0.0, 0.0, box.low[3], box.low[4]]) / self._unit
        self._high = np.array([box.high[0], steep, steep, box.high[3], box.high[4]]) / self._unit
        place = [math.log(start.floor), start.right, start.left, start.centre, math.log(start.width)]
        self._start = np.clip(np.array(place) / self._unit, self._low, self._high)

    def solved(self) -> Smile:
        found = minimize(
            self._loss,
            self._start,
            jac=self._slope_of_loss,
            method="SLSQP",
            bounds=list(zip(self._low, self._high, strict=True)),
            constraints={"type": "ineq", "fun": self._room, "jac": self._slope_of_room},
            options={"maxiter": 40, "ftol": 1e-8},
        )
        return self._curve(np.asarray(found.x, dtype=np.float64))

    def _curve(self, place: Floats) -> Smile:
        safe = place if np.all(np.isfinite(place)) else self._start
        floor, right, left, centre, width = (np.clip(safe, self._low, self._high) * self._unit).tolist()
        return Smile(math.exp(floor), right, left, centre, math.exp(width))

    def _loss(self, place: Floats) -> float:
        away = place - self._start
        return _POINTS**2 * self._strip.loss(self._curve(place)) + _STAY * float(away @ away)

    def _slope_of_loss(self, place: Floats) -> Floats:
        smile, strip = self._curve(place), self._strip
        miss = strip.misses(smile)
        of_vol = smile.gradient(strip.k)[0] / (2 * strip.years * (miss + strip.iv))[:, None] * self._unit
        of_misses = 2 * _POINTS**2 * (strip.share * miss) @ of_vol
        return np.asarray(of_misses + 2 * _STAY * (place - self._start))

    def _room(self, place: Floats) -> Floats:
        smile = self._curve(place)
        value, first, second = smile.slopes(self._points)
        rows = [butterfly(self._points, value, first, second) - self._floor]
        for edge, sign, height in self._edges:
            rows.append(sign * np.log(value / height) - self._floor)
            steeper = np.array([smile.right - edge.right, smile.left - edge.left]) / self._slope
            rows.append(sign * steeper - _STEEPER)
        return np.concatenate(rows)

    def _slope_of_room(self, place: Floats) -> Floats:
        smile, points = self._curve(place), self._points
        value, first, _ = smile.slopes(points)
        of_value, of_first, of_second = (part * self._unit for part in smile.gradient(points))
        lean = points * first / (2 * value)
        by_value = 2 * (1 - lean) * lean / value + (first / (2 * value)) ** 2
        by_first = -(1 - lean) * points / value - first / (2 * value) - first / 8
        rows = [by_value[:, None] * of_value + by_first[:, None] * of_first + of_second / 2]
        for _, sign, _ in self._edges:
            rows += [sign * of_value / value[:, None], sign * np.eye(5)[1:3]]
        return np.concatenate(rows)


def _dense(strip: Strip, smile: Smile) -> Floats:
    """Where an answer is looked at before it is proven: around its bend, the money and the quotes."""
    bend = smile.centre + smile.width * np.sinh(np.linspace(-8, 8, 161))
    money = math.sqrt(float(smile.variance(0.0))) * np.linspace(-8, 8, 81)
    quoted = np.linspace(float(strip.k[0]) - strip.span, float(strip.k[-1]) + strip.span, 121)
    points = np.unique(np.concatenate((bend, money, quoted)))
    return np.asarray(points[np.abs(points) <= FAR])


def _watch(strip: Strip, smile: Smile) -> Floats:
    """Points at which the constraints are kept: the quotes' range densely, then out to FAR."""
    low, high, span = float(strip.k[0]), float(strip.k[-1]), strip.span
    inner = np.linspace(low - span / 2, high + span / 2, 21)
    reach = math.asinh(FAR / (0.1 * span))
    outer = (low + high) / 2 + 0.1 * span * np.sinh(np.linspace(-reach, reach, 18))
    bend = smile.centre + smile.width * np.sinh(np.linspace(-3, 3, 11))
    return np.concatenate((inner, outer, bend))
