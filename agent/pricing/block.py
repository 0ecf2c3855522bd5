"""One block of options on its way from terms to price and Greeks, in rows that are used again.

With F the forward, D the discount, x = |ln(F / K)|, s = vol sqrt(years), a = s/2 - x/s and z = s/2 + x/s, the
wing (what the option out of the money is worth, in units of D min(F, K)) is

    q = phi(a) (M(-a) - M(z))       a < EDGE        q = 1 - phi(a) (M(a) + M(z))       a >= EDGE

with Mills' ratio M and its difference of `mills`: no two near equals are subtracted, however small s is. The
formulas are those of `black`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agent.pricing.mills import FIRST, Rows, ratios
from agent.pricing.term import MIN_TIME_S, MIN_VOL, Flags, Floats, Term
from agent.values.fixed import DAY_S, YEAR_S

Measure = Literal["price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga"]

ROWS = 18
_EDGE = -FIRST
_FARTHEST = 1e8  # deviations; beyond 39 everything is zero, and squares stay finite
_DAYS = YEAR_S / DAY_S
_BELL = 1 / math.sqrt(2 * math.pi)
_SHRUNK = -0.7  # of (rate - dividend) years: below, 1 + expm1 loses digits that exp has
_BEYOND, _NOTHING = -37.6, -707.0  # deviations, and the exponent from which on the density is taken for zero


@dataclass(frozen=True, slots=True)
class Work:
    """A block on its way. low: D min(F, K). ahead: F - K. near and far: a and z of the module's text.
    right: exp(x) Phi(-z). left: Phi(-a) where ``is_in`` (a >= EDGE), else Phi(a). wing: q. core: D K phi(d2).
    """

    is_call: Flags | bool
    is_tame: bool
    spot: Term
    strike: Term
    carry: Term
    years: Floats
    root: Floats
    sigma: Term
    deviation: Floats
    discount: Floats
    forward: Floats
    ahead: Floats
    near: Floats
    far: Floats
    is_in: Flags
    is_above: Flags
    left: Floats
    right: Floats
    wing: Floats
    low: Floats
    core: Floats
    spare: Floats
    other: Floats


def worked(
    room: Floats,
    is_call: Flags | bool,
    spot: Term,
    strike: Term,
    seconds: Term,
    vol: Term,
    rate: Term,
    dividend: Term,
    *,
    is_tame: bool,
) -> Work:
    """What several measures need. A selection by a flag f is written x + f y where no digit is lost by it:
    the processor does that several times as fast as it chooses.
    """
    years, root, deviation, discount, forward, ahead, low, near, far, gap, left, *free = room
    multiply, divide, add, subtract = np.multiply, np.divide, np.add, np.subtract
    sigma = vol
    if is_tame:
        multiply(seconds, 1 / YEAR_S, out=years)
    else:
        np.maximum(seconds, MIN_TIME_S, out=years)
        multiply(years, 1 / YEAR_S, out=years)
        sigma = np.maximum(vol, MIN_VOL)
    np.sqrt(years, out=root)
    multiply(sigma, root, out=deviation)

    carry = rate - dividend
    subtract(spot, strike, out=ahead)
    multiply(-rate, years, out=discount)
    np.exp(discount, out=discount)
    multiply(carry, years, out=forward)
    shrunk = forward.copy() if forward.min() < _SHRUNK else None
    np.expm1(forward, out=forward)
    multiply(forward, spot, out=forward)
    add(ahead, forward, out=ahead)
    add(forward, spot, out=forward)
    if shrunk is not None:
        is_shrunk = shrunk < _SHRUNK
        forward[is_shrunk] = (spot * np.exp(shrunk))[is_shrunk]
        ahead[is_shrunk] = (forward - strike)[is_shrunk]

    x = near
    np.minimum(forward, strike, out=low)
    np.abs(ahead, out=x)
    divide(x, low, out=x)
    np.log1p(x, out=x)
    divide(x, deviation, out=x)
    if not is_tame:
        np.minimum(x, _FARTHEST, out=x)
    multiply(deviation, 0.5, out=left)
    add(left, x, out=far)
    subtract(left, x, out=near)

    is_in = near >= _EDGE
    twice, u = free[0], left
    np.copyto(twice, is_in)
    add(twice, twice, out=twice)
    multiply(twice, near, out=gap)
    subtract(gap, near, out=u)
    subtract(deviation, gap, out=gap)
    right, difference = ratios(u, far, gap, Rows(*free[1:]))

    core, spare = gap, free[1]
    multiply(near, near, out=core)
    multiply(core, -0.5, out=core)
    if near.min() < _BEYOND:
        np.putmask(core, core < _NOTHING, -np.inf)  # numbers that are not normal take a hundred times as long
    np.exp(core, out=core)
    multiply(core, _BELL, out=core)
    multiply(right, core, out=right)
    multiply(difference, core, out=difference)
    add(difference, right, out=left)
    wing = twice
    subtract(0.5, left, out=spare)
    multiply(wing, spare, out=wing)
    add(wing, difference, out=wing)
    multiply(low, discount, out=low)
    multiply(core, low, out=core)
    return Work(
        is_call=is_call,
        is_tame=is_tame,
        spot=spot,
        strike=strike,
        carry=carry,
        years=years,
        root=root,
        sigma=sigma,
        deviation=deviation,
        discount=discount,
        forward=forward,
        ahead=ahead,
        near=near,
        far=far,
        is_in=is_in,
        is_above=ahead > 0,
        left=left,
        right=right,
        wing=wing,
        low=low,
        core=core,
        spare=spare,
        other=free[2],
    )


def price(work: Work, out: Floats) -> None:
    """The wing and the intrinsic value, at most the discounted forward or strike."""
    spare, is_call = work.spare, work.is_call
    if isinstance(is_call, bool):
        if is_call:
            np.maximum(work.ahead, 0.0, out=spare)
        else:
            np.minimum(work.ahead, 0.0, out=spare)
            np.negative(spare, out=spare)
        most = work.forward if is_call else work.strike
    else:
        np.multiply(_sign(is_call), work.ahead, out=spare)
        np.maximum(spare, 0.0, out=spare)
        most = np.where(is_call, work.forward, work.strike)
    np.multiply(spare, work.discount, out=spare)
    np.multiply(work.wing, work.low, out=out)
    np.add(out, spare, out=out)
    np.multiply(most, work.discount, out=spare)
    np.minimum(out, spare, out=out)


def delta(work: Work, dividend: Term, out: Floats) -> None:
    """w E Phi(w d1), from the tail of the two sides of d1 that is at hand."""
    tail = work.spare
    np.multiply(work.right, work.strike, out=tail)
    np.divide(tail, work.forward, out=tail)
    _chosen(work, work.is_above, tail, work.is_above | work.is_in, out)
    if isinstance(dividend, float) and dividend == 0:
        return
    grown = work.spare
    np.multiply(-dividend, work.years, out=grown)
    np.exp(grown, out=grown)
    np.multiply(out, grown, out=out)


def rho(work: Work, out: Floats) -> None:
    """w K years D Phi(w d2), likewise."""
    tail, is_above = work.spare, work.is_above
    np.multiply(work.right, work.forward, out=tail)
    np.divide(tail, work.strike, out=tail)
    _chosen(work, ~is_above, tail, is_above & ~work.is_in, out)
    np.multiply(out, work.strike, out=out)
    np.multiply(out, work.years, out=out)
    np.multiply(out, work.discount, out=out)


def _chosen(work: Work, is_far: Flags, tail: Floats, is_beyond: Flags, out: Floats) -> None:
    """w Phi(w d), from ``tail`` where ``is_far`` and ``left`` elsewhere, which is Phi(-d) where ``is_beyond``
    and Phi(d) elsewhere.
    """
    is_call, other = work.is_call, work.other
    if not work.is_tame:
        np.fmin(tail, 1.0, out=tail)  # what is not chosen may be infinite, or no number
    np.copyto(out, is_far)
    np.multiply(tail, out, out=tail)
    np.subtract(1.0, out, out=out)
    np.multiply(work.left, out, out=out)
    np.add(tail, out, out=tail)
    # 1 - tail, or tail, which is |1 - tail| or |0 - tail|
    np.copyto(other, np.equal(is_beyond, is_call))
    np.subtract(other, tail, out=out)
    np.abs(out, out=out)
    if is_call is False:
        np.negative(out, out=out)
    elif is_call is not True:
        np.multiply(out, _sign(is_call), out=out)


def _sign(is_call: Flags) -> Floats:
    """1 of a call, -1 of a put."""
    return np.asarray(2.0 * is_call - 1.0)


def slopes(work: Work, answers: Mapping[Measure, Floats]) -> None:
    """Gamma, vega, vanna and volga, which are calls' and puts' alike."""
    spare, core = work.spare, work.core
    if "vega" in answers:
        np.multiply(core, work.root, out=answers["vega"])
    if "volga" in answers:
        volga = answers["volga"]
        np.multiply(core, work.root, out=volga)
        np.multiply(work.near, work.far, out=spare)
        np.negative(spare, out=spare)
        np.multiply(volga, spare, out=volga)
        np.divide(volga, work.sigma, out=volga)
    if "gamma" in answers:
        gamma = answers["gamma"]
        np.multiply(work.spot, work.deviation, out=spare)
        if work.is_tame:
            np.multiply(spare, work.spot, out=spare)
            np.divide(core, spare, out=gamma)
        else:  # the square of the price may be no number
            np.divide(core, spare, out=gamma)
            np.divide(gamma, work.spot, out=gamma)
    if "vanna" in answers:
        vanna = answers["vanna"]
        np.divide(core, work.spot, out=vanna)
        np.copyto(spare, work.far)
        np.putmask(spare, work.is_above, work.near)
        np.multiply(vanna, spare, out=vanna)
        np.divide(vanna, work.sigma, out=vanna)


def theta(work: Work, rate: Term, prices: Floats, deltas: Floats, out: Floats) -> None:
    """Per day: (rate price - carry S delta - core sigma / (2 sqrt(years))) / 365."""
    spare = work.spare
    np.multiply(work.core, work.sigma, out=spare)
    np.divide(spare, work.root, out=spare)
    np.multiply(spare, 0.5 / _DAYS, out=spare)
    np.multiply(prices, rate / _DAYS, out=out)
    np.subtract(out, spare, out=out)
    np.multiply(deltas, work.spot, out=spare)
    np.multiply(spare, work.carry / _DAYS, out=spare)
    np.subtract(out, spare, out=out)
