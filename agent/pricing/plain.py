"""Price and the usual Greeks of very many options, as exact as a part of the spot: twice as fast as `Valuer`.

The same model and conventions as `black`, without a dividend: a year of 31,536,000 seconds, time counts as at
least one second and volatility as at least 1e-4. s = vol sqrt(years), d = (ln(S/K) + rate years)/s + s/2:

    price = S Phi(d) - K e^(-rate years) Phi(d - s)     gamma = phi(d) / (S s)     vega = S phi(d) sqrt(years)
    delta = Phi(d)     theta = -(S phi(d) vol / (2 sqrt years) + rate K e^(-rate years) Phi(d - s)) per year

and puts by parity. A price is a difference of two numbers of the size of the spot, so of an option far out of
the money only the first digits after the spot's own are right: for whole books, grids and rankings. What is
traded on is valued by `Valuer`. Blocks stay in the cache.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from agent.pricing.term import BLOCK
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MEASURES = ("price", "delta", "gamma", "vega", "theta")
MIN_TIME_S = 1.0
MIN_VOL = 1e-4
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def usual(
    is_call: Flags | bool,
    spot: Floats | float,
    strike: Floats,
    time_s: Floats,
    vol: Floats,
    rate: float = 0.0,
    out: Floats | None = None,
) -> Floats:
    """float64[5, n]: `MEASURES` of n options, units as in ``Greeks`` (theta per day, vega per 1.00).

    ``strike``, ``time_s`` and ``vol`` have shape [n]; ``spot`` and ``is_call`` too, or are one for all.
    Prices > 0 and finite, time in seconds. Of a price the error is within 1e-15 of spot and strike together.
    """
    count = len(strike)
    found = np.empty((len(MEASURES), count)) if out is None else out
    size = min(BLOCK, count)
    work = np.empty((7, size))
    for start in range(0, count, BLOCK):
        part = slice(start, min(start + BLOCK, count))
        width = part.stop - start
        own = spot[part] if isinstance(spot, np.ndarray) else spot
        calls = is_call[part] if isinstance(is_call, np.ndarray) else is_call
        terms = (own, strike[part], time_s[part], vol[part])
        _block(calls, *terms, rate, found[:, part], work[:, :width])
    return found


def _block(
    is_call: Flags | bool,
    spot: Floats | float,
    strike: Floats,
    time_s: Floats,
    vol: Floats,
    rate: float,
    out: Floats,
    work: Floats,
) -> None:
    price, delta, gamma, vega, theta = out
    root, deviation, d, floor, owed, second, density = work
    np.maximum(time_s, MIN_TIME_S, out=root)
    root *= 1.0 / YEAR_S
    np.maximum(vol, MIN_VOL, out=floor)
    if rate:
        np.multiply(root, -rate, out=owed)
        np.divide(spot, strike, out=d)
        np.log(d, out=d)
        d -= owed
        np.exp(owed, out=owed)
        owed *= strike
    else:
        np.divide(spot, strike, out=d)
        np.log(d, out=d)
        owed[...] = strike
    np.sqrt(root, out=root)
    np.multiply(floor, root, out=deviation)
    d /= deviation
    np.multiply(deviation, 0.5, out=second)
    d += second
    np.subtract(d, deviation, out=second)
    ndtr(d, out=delta)
    ndtr(second, out=second)
    np.multiply(d, d, out=density)
    density *= -0.5
    np.exp(density, out=density)
    density *= 1.0 / _ROOT_TWO_PI
    np.multiply(owed, second, out=second)  # of the strike, what is paid
    np.multiply(delta, spot, out=price)
    price -= second
    np.multiply(density, spot, out=vega)
    np.divide(density, deviation, out=gamma)
    gamma /= spot
    np.multiply(vega, floor, out=theta)
    theta /= root
    theta *= -0.5 * DAY_S / YEAR_S
    vega *= root
    if rate:
        second *= rate * DAY_S / YEAR_S
        theta -= second
    _turn(is_call, spot, owed, rate, price, delta, theta)


def _turn(
    is_call: Flags | bool,
    spot: Floats | float,
    owed: Floats,
    rate: float,
    price: Floats,
    delta: Floats,
    theta: Floats,
) -> None:
    """Puts by parity; what rounding leaves below zero is nothing."""
    if is_call is not True:
        is_put = ~np.asarray(is_call)
        price += is_put * (owed - spot)
        delta -= is_put
        if rate:
            theta += is_put * (owed * (rate * DAY_S / YEAR_S))
    np.maximum(price, 0.0, out=price)
