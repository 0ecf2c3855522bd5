"""Black-Scholes of a European option on spot, in floats, with all Greeks.

Conventions are Lyra's: one rate that is both interest and carry and no dividend, volatility per year, a year
of 31,536,000 seconds, time at least one second and volatility at least 1e-4. Everything is per one unit of
the asset, from the side of the option's owner. Arguments broadcast as numpy arrays; seconds to expiry may be
zero or less and count as one. Arguments that are not finite, or prices below zero, raise ValueError.
Source: Black and Scholes (1973); Hull, Options, Futures and Other Derivatives, chapters 15 and 19.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]

MIN_TIME_S = 1.0
MIN_VOL = 1e-4
_DAYS = YEAR_S / DAY_S
_SQRT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Valuation:
    """Price and Greeks, each of the arguments' broadcast shape.

    price: quote. delta: units of the asset. gamma: delta per 1 of price. vega: quote per 1.00 of volatility.
    theta: quote per day of time passing.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats


def value(
    kind: OptionKind,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
) -> Valuation:
    """Price and Greeks of calls or puts; spot and strike in quote, ``time_s`` seconds to expiry."""
    spot_, strike_, seconds, vol_, rate_ = (
        _checked(name, given)
        for name, given in (
            ("spot", spot),
            ("strike", strike),
            ("time_s", time_s),
            ("vol", vol),
            ("rate", rate),
        )
    )
    if np.any(spot_ < 0) or np.any(strike_ <= 0):
        raise ValueError("spot must not be negative and strike must be positive")
    years = np.maximum(seconds, MIN_TIME_S) / YEAR_S
    sigma = np.maximum(vol_, MIN_VOL)
    root = np.sqrt(years)
    deviation = sigma * root
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        d1 = np.log(spot_ / strike_) / deviation + (rate_ / sigma + sigma / 2) * root
        d2 = d1 - deviation
        discounted = strike_ * np.exp(-rate_ * years)
        density = np.exp(-d1 * d1 / 2) / _SQRT_TWO_PI
    sign = 1.0 if kind is OptionKind.CALL else -1.0
    in_delta, in_strike = ndtr(sign * d1), ndtr(sign * d2)
    gamma = np.divide(density, spot_ * deviation, out=np.zeros_like(d1), where=spot_ > 0)
    decay = -spot_ * density * sigma / (2 * root) - sign * rate_ * discounted * in_strike
    return Valuation(
        price=np.maximum(sign * (spot_ * in_delta - discounted * in_strike), 0.0),
        delta=sign * in_delta,
        gamma=gamma,
        vega=spot_ * density * root,
        theta=decay / _DAYS,
    )


def price(
    kind: OptionKind,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
) -> Floats:
    """The price alone, in quote."""
    return value(kind, spot, strike, time_s, vol, rate).price


def greeks(
    kind: OptionKind, spot: float, strike: float, time_s: float, vol: float, rate: float
) -> tuple[float, Greeks]:
    """Price and Greeks of one option, as plain floats."""
    one = value(kind, spot, strike, time_s, vol, rate)
    return float(one.price), Greeks(float(one.delta), float(one.gamma), float(one.vega), float(one.theta))


def _checked(name: str, given: npt.ArrayLike) -> Floats:
    array = np.asarray(given, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} is not finite: {array}")
    return array
