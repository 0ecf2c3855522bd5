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
_HALVINGS = 8  # of the walk
_STAY = 1e-6  # square vol points per square unit of a parameter: holds those the quotes do not know
_POINTS = 100.0  # vol points per 1.00 of volatility

Accepts = Callable[[Smile], bool]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Curves that this one must not lie below or above."""

    below: Smile | None = None
    above: Smile | None = None


def fit_svi(strip: Strip) -> tuple[Smile, bool]:
    """The curve, proven free of butterfly arbitrage, and whether it had to be repaired."""
    free = nearest_svi(strip)
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
    """Least squares with g >= floor and within the bounds, at the points of a grid; may fail in between."""
    box = box_of(strip)
    points = _watch(strip, start)
    edges = [(edge, sign) for edge, sign in ((bounds.below, 1.0), (bounds.above, -1.0)) if edge is not None]
    heights = [edge.variance(points) for edge, _ in edges]
    steep = math.exp(float(box.high[1]))
    slope = min(math.sqrt(float(np.min(strip.iv)) ** 2 * strip.years / strip.span), 1.0)
    unit = np.array([1.0, slope, slope, strip.span, 1.0])
    low = np.array([box.low[0], 0.0, 0.0, box.low[3], box.low[4]]) / unit
    high = np.array([box.high[0], steep, steep, box.high[3], box.high[4]]) / unit
    first_place = np.clip(
        np.array([math.log(start.floor), start.right, start.left, start.centre, math.log(start.width)])
        / unit,
        low,
        high,
    )

    def curve(place: Floats) -> Smile:
        if not np.all(np.isfinite(place)):
            return start
        floor_, right, left, centre, width = (np.clip(place, low, high) * unit).tolist()
        return Smile(math.exp(floor_), right, left, centre, math.exp(width))

    def loss(place: Floats) -> float:
        away = place - first_place
        return _POINTS**2 * strip.loss(curve(place)) + _STAY * float(away @ away)

    def slope_of_loss(place: Floats) -> Floats:
        smile = curve(place)
        miss = strip.misses(smile)
        of_vol = smile.gradient(strip.k)[0] / (2 * strip.years * (miss + strip.iv))[:, None] * unit
        return np.asarray(2 * _POINTS**2 * (strip.share * miss) @ of_vol + 2 * _STAY * (place - first_place))

    def room(place: Floats) -> Floats:
        smile = curve(place)
        value, first, second = smile.slopes(points)
        rows = [butterfly(points, value, first, second) - floor]
        for (edge, sign), known in zip(edges, heights, strict=True):
            rows.append(sign * np.log(value / known) - floor)
            rows.append(sign * np.array([smile.right - edge.right, smile.left - edge.left]) / slope - 1e-6)
        return np.concatenate(rows)

    def slope_of_room(place: Floats) -> Floats:
        smile = curve(place)
        value, first, _ = smile.slopes(points)
        of_value, of_first, of_second = (part * unit for part in smile.gradient(points))
        lean = points * first / (2 * value)
        by_value = 2 * (1 - lean) * lean / value + (first / (2 * value)) ** 2
        by_first = -(1 - lean) * points / value - first / (2 * value) - first / 8
        rows = [by_value[:, None] * of_value + by_first[:, None] * of_first + of_second / 2]
        for _, sign in edges:
            rows.append(sign * of_value / value[:, None])
            rows.append(sign * np.eye(5)[1:3])
        return np.concatenate(rows)

    found = minimize(
        loss,
        first_place,
        jac=slope_of_loss,
        method="SLSQP",
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "ineq", "fun": room, "jac": slope_of_room},
        options={"maxiter": 50, "ftol": 1e-8},
    )
    return curve(np.asarray(found.x, dtype=np.float64))


def _watch(strip: Strip, smile: Smile) -> Floats:
    """Points at which the constraints are kept: the quotes' range densely, then out to FAR."""
    low, high, span = float(strip.k[0]), float(strip.k[-1]), strip.span
    inner = np.linspace(low - span / 2, high + span / 2, 21)
    reach = math.asinh(FAR / (0.1 * span))
    outer = (low + high) / 2 + 0.1 * span * np.sinh(np.linspace(-reach, reach, 18))
    bend = smile.centre + smile.width * np.sinh(np.linspace(-3, 3, 11))
    return np.concatenate((inner, outer, bend))
