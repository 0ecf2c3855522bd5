"""European options the slow, obvious way: `black`'s formulas in plain numpy, over whole arrays at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.pricing.wing import log_ratio, wing
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]


def value(
    kind: OptionKind,
    spot: Floats,
    strike: Floats,
    seconds: Floats,
    vol: Floats,
    rate: float,
    dividend: float,
    *,
    on_forward: bool = False,
) -> dict[str, Floats]:
    """Price and Greeks by name, through scipy's error function and the series of `wing`."""
    sign = 1.0 if kind is OptionKind.CALL else -1.0
    years, sigma = np.maximum(seconds, 1.0) / YEAR_S, np.maximum(vol, 1e-4)
    root, carry = np.sqrt(years), rate - dividend
    growth, discount = np.expm1(carry * years), np.exp(-rate * years)
    x = log_ratio(spot, strike) + carry * years
    forward, ahead = spot + spot * growth, (spot - strike) + spot * growth
    low = np.minimum(forward, strike)
    ratio = low / np.maximum(forward, strike)
    w = wing(np.abs(x), sigma * root)
    is_above = x > 0
    d2 = -np.where(is_above, w.near, w.far)
    tails = w.near_tail, w.far_tail * ratio
    in_delta = _phi(sign * np.where(is_above, w.far, w.near), np.where(is_above, tails[1], tails[0]))
    in_strike = _phi(sign * d2, np.where(is_above, tails[0], tails[1]))
    price = discount * (low * w.value + np.maximum(sign * ahead, 0.0))
    core = discount * low * w.density
    delta = sign * np.exp(-dividend * years) * in_delta
    vega = core * root
    theta = rate * price - carry * spot * delta - core * sigma / (2 * root)
    return {
        "price": price,
        "delta": delta,
        "gamma": core / spot / spot / (sigma * root),
        "vega": vega,
        "theta": theta / (YEAR_S / DAY_S),
        "rho": -years * price if on_forward else sign * strike * years * discount * in_strike,
        "vanna": -core / spot * d2 / sigma,
        "volga": -vega * w.near * w.far / sigma,
    }


def _phi(d: Floats, tail: Floats) -> Floats:
    return np.where(d > 0, 1 - tail, tail)
