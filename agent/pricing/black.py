"""European options in floats: Black-Scholes with carry, and Black-76 on a forward, with all Greeks.

Everything is per one unit of the asset, from the side of the option's owner. The volatility, the rate and the
dividend are per year, continuously compounded; a year has 31,536,000 seconds; time counts as at least one
second and volatility as at least 1e-4. The forward is F = S exp((rate - dividend) years). Without a dividend
the carry is the rate, which is Lyra's convention.

Arguments broadcast as numpy arrays and are worked on in blocks that stay in the processor's cache. Arguments
that are not finite, a price below zero, a strike not above zero, or growth beyond e^100 raise ValueError.
Answers are finite for prices from 1e-100 to 1e100 (and spot 0). In the wings the price and Greeks keep a
small relative error down to where floats end; in the money, a price is intrinsic value plus the wing.

With E = exp(-dividend years), D = exp(-rate years), s = vol sqrt(years), d1 = ln(F/K)/s + s/2, d2 = d1 - s,
w = 1 for a call and -1 for a put, and n = S E phi(d1) = K D phi(d2):

    price = w (S E Phi(w d1) - K D Phi(w d2))     delta = w E Phi(w d1)     gamma = n / (S^2 s)
    vega  = n sqrt(years)                         vanna = -n d2 / (S vol)   volga = vega d1 d2 / vol
    theta = rate price - (rate - dividend) S delta - n vol / (2 sqrt(years))
    rho   = w K years D Phi(w d2)

On a forward, S is F and the dividend is the rate; delta, gamma and vanna are by the forward, and rho, the
forward held, is -years price. Sources: Black and Scholes (1973); Merton (1973); Black (1976); Haug, The
Complete Guide to Option Pricing Formulas (2007), chapters 1 and 2; the arithmetic: ``wing``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.pricing.wing import log_ratio, wing
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]

MIN_TIME_S = 1.0
MIN_VOL = 1e-4
BLOCK = 8192  # numbers: a block's arrays together fit in a core's second cache
READ: tuple[Literal["readonly"]] = ("readonly",)
WRITE: tuple[Literal["writeonly"], Literal["allocate"]] = ("writeonly", "allocate")
_MAX_GROWTH = 100.0
_DAYS = YEAR_S / DAY_S


@dataclass(frozen=True, slots=True)
class Valuation:
    """Price and Greeks, each of the arguments' broadcast shape.

    price: quote. delta: units of the asset. gamma: delta per 1 of price. vega: quote per 1.00 of volatility.
    theta: quote per day of time passing. rho: quote per 1.00 of rate, the dividend (or the forward) held.
    vanna: delta per 1.00 of volatility. volga: vega per 1.00 of volatility.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats
    vanna: Floats
    volga: Floats

    @property
    def greeks(self) -> Greeks:
        """Of a single option. Raises TypeError if there are more."""
        return Greeks(**{one.name: float(getattr(self, one.name)) for one in fields(self)[1:]})


def value(
    kind: OptionKind,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike = 0.0,
) -> Valuation:
    """Price and Greeks of calls or puts; spot and strike in quote, ``time_s`` seconds to expiry."""
    terms = checked(spot=spot, strike=strike, time_s=time_s, vol=vol, rate=rate, dividend=dividend)
    return _in_blocks(kind, terms, on_forward=False)


def value_on_forward(
    kind: OptionKind,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
) -> Valuation:
    """Black-76: price and Greeks of calls or puts on a forward, paid for today."""
    terms = checked(spot=forward, strike=strike, time_s=time_s, vol=vol, rate=rate, dividend=rate)
    return _in_blocks(kind, terms, on_forward=True)


def price(
    kind: OptionKind,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike = 0.0,
) -> Floats:
    """The price alone, in quote."""
    return value(kind, spot, strike, time_s, vol, rate, dividend).price


def greeks(
    kind: OptionKind,
    spot: float,
    strike: float,
    time_s: float,
    vol: float,
    rate: float,
    dividend: float = 0.0,
) -> tuple[float, Greeks]:
    """Price and Greeks of one option, as plain floats."""
    one = value(kind, spot, strike, time_s, vol, rate, dividend)
    return float(one.price), one.greeks


def checked(**given: npt.ArrayLike) -> tuple[Floats, ...]:
    """The terms of options, in the order given, as arrays that are fit to be worked on. Raises ValueError."""
    terms = {name: np.asarray(one, dtype=np.float64) for name, one in given.items()}
    for name, array in terms.items():
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} is not finite: {array}")
    if np.any(terms["spot"] < 0) or np.any(terms["strike"] <= 0):
        raise ValueError("spot must not be negative and strike must be positive")
    years = max(MIN_TIME_S, float(np.max(terms["time_s"], initial=0.0))) / YEAR_S
    for name in ("rate", "dividend"):
        if float(np.max(np.abs(terms[name]), initial=0.0)) * years > _MAX_GROWTH:
            raise ValueError(f"{name} over {years:g} years is growth beyond e^{_MAX_GROWTH:g}")
    return tuple(terms.values())


def _in_blocks(kind: OptionKind, terms: tuple[Floats, ...], *, on_forward: bool) -> Valuation:
    """Walks the broadcast arguments block by block, without ever laying them out in full."""
    sign = 1.0 if kind is OptionKind.CALL else -1.0
    count = len(fields(Valuation))
    operands: list[Floats | None] = [*terms, *[None] * count]
    walk = np.nditer(
        operands,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[*[READ] * len(terms), *[WRITE] * count],
        op_dtypes=[np.float64] * len(operands),
        order="C",
        buffersize=BLOCK,
    )
    with walk:
        for block in walk:
            answers = _block(sign, *block[: len(terms)], on_forward=on_forward)
            for out, answer in zip(block[len(terms) :], answers, strict=True):
                out[...] = answer
        return Valuation(*walk.operands[len(terms) :])


def _block(
    sign: float,
    spot: Floats,
    strike: Floats,
    seconds: Floats,
    vol: Floats,
    rate: Floats,
    dividend: Floats,
    *,
    on_forward: bool,
) -> tuple[Floats, ...]:
    years = np.maximum(seconds, MIN_TIME_S) / YEAR_S
    sigma = np.maximum(vol, MIN_VOL)
    root = np.sqrt(years)
    carry = rate - dividend
    growth = np.expm1(carry * years)
    discount = np.exp(-rate * years)
    x = log_ratio(spot, strike) + carry * years
    forward, ahead = spot + spot * growth, (spot - strike) + spot * growth
    low = np.minimum(forward, strike)
    ratio = low / np.maximum(forward, strike)
    w = wing(np.abs(x), sigma * root)

    is_above = x > 0
    d2 = -np.where(is_above, w.near, w.far)
    tails = w.near_tail, w.far_tail * ratio  # Phi(-|a|) and Phi(-z)
    in_delta = _phi(sign * np.where(is_above, w.far, w.near), np.where(is_above, tails[1], tails[0]))
    in_strike = _phi(sign * d2, np.where(is_above, tails[0], tails[1]))

    wing_price = discount * low * np.clip(w.value, 0.0, 1.0)
    most = discount * (forward if sign > 0 else strike)
    price = np.minimum(wing_price + discount * np.maximum(sign * ahead, 0.0), most)
    with np.errstate(under="ignore"):
        core = discount * low * w.density
        delta = sign * np.exp(-dividend * years) * in_delta
        by_spot = np.divide(core, spot, out=np.zeros_like(core), where=spot > 0)
        gamma = np.divide(by_spot, spot, out=np.zeros_like(core), where=spot > 0) / (sigma * root)
        vega = core * root
        theta = (rate * price - carry * spot * delta - core * sigma / (2 * root)) / _DAYS
        rho = -years * price if on_forward else sign * strike * years * discount * in_strike
        vanna = -by_spot * d2 / sigma
        volga = vega * (-w.near * w.far) / sigma
    return price, delta, gamma, vega, theta, rho, vanna, volga


def _phi(d: Floats, tail: Floats) -> Floats:
    """The normal distribution function at d, from its tail beyond -|d|."""
    return np.where(d > 0, 1 - tail, tail)
