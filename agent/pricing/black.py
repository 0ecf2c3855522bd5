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
Complete Guide to Option Pricing Formulas (2007), chapters 1 and 2; the arithmetic: ``valuer``, which gives
many options a few measures at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.pricing.valuer import ALL, Valuer

Floats = npt.NDArray[np.float64]


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
    return Valuation(*Valuer(ALL).value(kind, spot, strike, time_s, vol, rate, dividend))


def value_on_forward(
    kind: OptionKind,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    time_s: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
) -> Valuation:
    """Black-76: price and Greeks of calls or puts on a forward, paid for today."""
    return Valuation(*Valuer(ALL).value_on_forward(kind, forward, strike, time_s, vol, rate))


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
    (prices,) = Valuer(("price",)).value(kind, spot, strike, time_s, vol, rate, dividend)
    return np.asarray(prices)


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
