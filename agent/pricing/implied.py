"""The volatility at which Black's formula gives a price, found inside a bracket that cannot be left.

The price becomes its out-of-the-money part in units of min(F, K), beta = q(x, s) of ``wing``, and s = vol
sqrt(years) is solved for. q rises from 0 to 1 with one inflection at sqrt(2x). Below it the equation
solved is 1 / ln q(s) = 1 / ln beta, which is nearly a parabola in s however small beta is; above it
ln(1 - q(s)) = ln(1 - beta). Each step is Householder's of third order; a step that leaves the bracket is
replaced by its middle, and every step narrows the bracket by the sign at its point: the root is never lost.
Source: Jäckel, Let's be rational (Wilmott, 2015), for the two equations; the bracket is ours.

What a price cannot say is refused, never guessed: see `Verdict`. How well a price says it is told as well:
``tolerance`` is what 16 rounding units of the price, of the forward in it and of the intrinsic value taken
off it move the volatility, and with that the most a round trip through `black.value` may be off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import erfinv, ndtri

from agent.market.instrument import OptionKind
from agent.pricing.term import BLOCK, MIN_TIME_S, READ, checked
from agent.pricing.wing import Wing, log_ratio, wing
from agent.values.fixed import YEAR_S

WRITE: tuple[Literal["writeonly"], Literal["allocate"]] = ("writeonly", "allocate")
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

_EPSILON = float(np.finfo(np.float64).eps)
_SLACK = 16 * _EPSILON  # of the steps from the terms to a price, and back
_LEAST = 2e-323  # the rounding of prices too small for a full mantissa
_ROUNDS = 120  # halving alone needs fewer from the widest bracket
_TINY = 1e-300
_SQRT_8 = math.sqrt(8)
_CLOSE = 1e-5  # a step this small, relative to s, leaves an error of its fourth power


class Verdict(IntEnum):
    """Whether a price has a volatility. All but FOUND answer NaN."""

    FOUND = 0
    BELOW_INTRINSIC = 1  # less than the option is worth without any movement
    NO_TIME_VALUE = 2  # that, to the rounding: every volatility small enough gives this price
    TOO_DEAR = (
        3  # at or above the most it can be worth: the discounted forward of a call, the strike of a put
    )
    NOT_A_NUMBER = 4  # the price is not finite


@dataclass(frozen=True, slots=True)
class Implied:
    """vol: per year, NaN where ``verdict`` is not FOUND. tolerance: the most it is off because floats round,
    the price being exact otherwise, to first order: where it is not small beside ``vol``, the price says
    little; NaN likewise. verdict: `Verdict` as int8.
    """

    vol: Floats
    tolerance: Floats
    verdict: Codes


def volatility(
    kind: OptionKind,
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike = 0.0,
) -> Implied:
    """Of calls or puts, in the conventions of `black.value`, broadcast; without its floor of volatility.

    Raises ValueError for terms that `black.value` refuses, and for a spot of zero.
    """
    terms = checked(spot=spot, strike=strike, time_s=time_s, rate=rate, dividend=dividend)
    if np.any(terms[0] == 0):
        raise ValueError("at a spot of zero no price says anything of volatility")
    sign = 1.0 if kind is OptionKind.CALL else -1.0
    operands: list[Floats | None] = [np.asarray(price, dtype=np.float64), *terms, None, None, None]
    walk = np.nditer(
        operands,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[*[READ] * 6, *[WRITE] * 3],
        op_dtypes=[*[np.float64] * 8, np.int8],
        order="C",
        buffersize=BLOCK,
    )
    with walk:
        for block in walk:
            for out, answer in zip(block[6:], _block(sign, *block[:6]), strict=True):
                out[...] = answer
        vol, tolerance, verdict = walk.operands[6:]
        return Implied(vol, tolerance, verdict.astype(np.int8))


def volatility_on_forward(
    kind: OptionKind,
    price: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    rate: npt.ArrayLike,
) -> Implied:
    """Black-76: of calls or puts on a forward, in the conventions of `black.value_on_forward`."""
    return volatility(kind, price, forward, strike, time_s, rate, rate)


def volatility_of(
    kind: OptionKind,
    price: float,
    spot: float,
    strike: float,
    time_s: float,
    rate: float,
    dividend: float = 0.0,
) -> float:
    """Of one option. Raises ValueError saying why if the price has no volatility."""
    one = volatility(kind, price, spot, strike, time_s, rate, dividend)
    verdict = Verdict(int(one.verdict))
    if verdict is not Verdict.FOUND:
        reason = verdict.name.lower().replace("_", " ")
        raise ValueError(f"a {kind.value} at {price!r} has no implied volatility: {reason}")
    return float(one.vol)


def _block(
    sign: float,
    price: Floats,
    spot: Floats,
    strike: Floats,
    seconds: Floats,
    rate: Floats,
    dividend: Floats,
) -> tuple[Floats, Floats, Codes]:
    years = np.maximum(seconds, MIN_TIME_S) / YEAR_S
    carry = (rate - dividend) * years
    growth, discount = np.expm1(carry), np.exp(-rate * years)
    forward, ahead = spot + spot * growth, (spot - strike) + spot * growth
    low = discount * np.minimum(forward, strike)
    intrinsic = discount * np.maximum(sign * ahead, 0.0)
    at_stake = np.where(intrinsic > 0, discount * np.maximum(forward, strike), 0.0)
    beta = (price - intrinsic) / low
    beta = np.where((beta < 0) & (price >= intrinsic - _SLACK * at_stake), 0.0, beta)
    # against the bound by the same road as the other side, so that neither is lost in the other's rounding
    left = (discount * (forward if sign > 0 else strike) - price) / low
    verdict = np.select(
        [~np.isfinite(price), beta < 0, left <= 0, beta == 0],
        [Verdict.NOT_A_NUMBER, Verdict.BELOW_INTRINSIC, Verdict.TOO_DEAR, Verdict.NO_TIME_VALUE],
        Verdict.FOUND,
    ).astype(np.int8)
    found = verdict == Verdict.FOUND
    vol, tolerance = np.full_like(price, np.nan), np.full_like(price, np.nan)
    if found.any():
        root = np.sqrt(years[found])
        x = np.abs(log_ratio(spot, strike) + carry)[found]
        deviation, slope, chance = _solve(x, beta[found], left[found])
        vol[found] = deviation / root
        lost = (_SLACK * at_stake + _LEAST)[found] / low[found] + _SLACK * chance + _LEAST
        tolerance[found] = (lost / slope + _SLACK * deviation) / root
    return vol, tolerance, verdict


def _solve(x: Floats, beta: Floats, left: Floats) -> tuple[Floats, Floats, Floats]:
    """s with q(x, s) = beta, given left = 1 - beta as well, and there the slope of q by s and Phi(a)."""
    bend = np.sqrt(2 * x)
    at_bend = wing(x, np.maximum(bend, _TINY)).value
    is_high: Flags = at_bend <= beta
    goal = np.where(is_high, _log_left(beta, left), np.log(beta))
    # q <= s / sqrt(2 pi), it is below the least float at x / s = 39, and 1 at 80 beyond the inflection
    low = np.maximum(np.where(is_high, bend, x / 39), beta)
    high = np.where(is_high, bend + 80, bend)
    s = np.clip(_guess(x, bend, at_bend, beta, is_high), low, high)
    slope, chance, todo = np.empty_like(s), np.empty_like(s), np.arange(s.size)
    for _ in range(_ROUNDS):
        at = s[todo]
        w = wing(x[todo], at)
        slope[todo] = w.density
        chance[todo] = np.where(w.near < 0, w.near_tail, 1 - w.near_tail)
        newton, step, is_short = _step(x[todo], at, w, goal[todo], is_high[todo])
        low[todo] = np.where(is_short, at, low[todo])
        high[todo] = np.where(is_short, high[todo], at)
        to = at + step
        is_out = ~((to >= low[todo]) & (to <= high[todo])) & ~(np.abs(newton) <= 4 * _EPSILON * at)
        middle = np.sqrt(low[todo]) * np.sqrt(high[todo])
        s[todo] = np.where(is_out, middle, to)
        is_narrow = high[todo] - low[todo] <= 2 * _EPSILON * at
        todo = todo[~(is_narrow | (~is_out & (np.abs(newton) <= _CLOSE * at)))]
        if todo.size == 0:
            break
    return s, slope, chance


def _guess(x: Floats, bend: Floats, at_bend: Floats, beta: Floats, is_high: Flags) -> Floats:
    """Exact at the inflection, and at the money: there q = erf(s / sqrt 8)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((beta - at_bend) / (1 - at_bend), 0.0, 1 - _EPSILON)
        distance = -ndtri(np.minimum(beta / at_bend, 1.0) / 2)  # of the strike, in deviations
        low = 2 * x / (distance + np.sqrt(distance * distance + 2 * x))
    guess: Floats = np.where(is_high, np.hypot(bend, _SQRT_8 * erfinv(share)), low)
    return guess


def _step(x: Floats, s: Floats, w: Wing, goal: Floats, is_high: Flags) -> tuple[Floats, Floats, Flags]:
    """Newton's and Householder's third-order step from s, NaN where there is none; whether s is too small."""
    h, t = x / s, s / 2
    second = (h * h - t * t) / s  # second derivative of q by s, in units of the first
    third = second * second - 3 * h * h / (s * s) - 0.25  # and the third
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rest = np.where(w.near < 0, 1 - w.value, w.near_tail + w.far_tail)
        have = np.where(is_high, _log_left(w.value, rest), np.log(w.value))
        pace = w.density / np.where(is_high, rest, w.value)
        # the equation's own second and third derivative by q, in units of its first
        inverse = 1 / have
        two = np.where(is_high, 1.0, -(1 + 2 * inverse)) * pace
        three = np.where(is_high, 2.0, 2 + 6 * inverse * (1 + inverse)) * pace * pace
        newton = np.where(is_high, have - goal, have - have * have / goal) / pace
        bow, twist = two + second, three + 3 * two * second + third
        step = newton * (1 + bow * newton / 2) / (1 + newton * (bow + twist * newton / 6))
    return newton, step, np.where(is_high, have > goal, have < goal)


def _log_left(value: Floats, left: Floats) -> Floats:
    """ln(1 - value), by whichever of the two is the smaller."""
    with np.errstate(divide="ignore"):
        return np.where(value < 0.5, np.log1p(-np.minimum(value, 0.5)), np.log(left))
