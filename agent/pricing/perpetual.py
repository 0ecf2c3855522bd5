"""Perpetual options made of Uniswap v3 liquidity, through their own payoff.

Liquidity over the prices a to b, held against what was borrowed to provide it, is worth a short option that
never expires, with strike K = sqrt(a b): a put if quote was borrowed, a call if the asset was. Removing that
liquidity from somebody who provides it is the long option. Per unit of the asset the owner's worth is

    put   below a: K - S     inside: sqrt(a) (sqrt b - sqrt S)^2 / (sqrt b - sqrt a)     above b: 0
    call  below a: 0         inside: sqrt(b) (sqrt S - sqrt a)^2 / (sqrt b - sqrt a)     above b: S - K

which is exact, and so are delta and gamma, its derivatives. One unit is liquidity of 1 / (1/sqrt a -
1/sqrt b). Instead of losing time value the owner pays the range's trading fees while the price is inside it.
What has streamed already is part of the worth; what will stream is not known, and theta says what would be
fair: half the variance times S^2 gamma, which is what the range loses to arbitrage on average.

Sources: Uniswap v3 whitepaper, section 6.2; Lambert and Kristensen, Panoptic (2022), section 3; Milionis,
Moallemi, Roughgarden and Zhang, Automated market making and loss-versus-rebalancing (2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.market.instrument import OptionKind
from agent.market.position import Greeks
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Leg:
    """One range. ``size`` in units of the asset, < 0 for who provides the liquidity. ``streamed_asset`` and
    ``streamed_quote`` are fees that have come in (> 0) or are owed (< 0) and are not settled yet.

    Raises ValueError unless 0 < lower < upper, all numbers finite.
    """

    kind: OptionKind
    lower: float
    upper: float
    size: float
    streamed_asset: float = 0.0
    streamed_quote: float = 0.0

    def __post_init__(self) -> None:
        numbers = self.lower, self.upper, self.size, self.streamed_asset, self.streamed_quote
        if not all(math.isfinite(number) for number in numbers) or not 0 < self.lower < self.upper:
            raise ValueError(f"no range of liquidity: {self}")

    @property
    def strike(self) -> float:
        """Where the payoffs outside the range would meet."""
        return math.sqrt(self.lower) * math.sqrt(self.upper)

    @property
    def liquidity(self) -> float:
        """L of the range, in whole tokens: the square root of asset times quote. Never below zero."""
        low, high = math.sqrt(self.lower), math.sqrt(self.upper)
        return abs(self.size) * low * high * (low + high) / (self.upper - self.lower)


@dataclass(frozen=True, slots=True)
class Worth:
    """Of all legs, from their holder's side, in the shape of the price. value: quote. delta: units of the
    asset. gamma: delta per 1 of price. theta: quote per day at the fair fee.
    """

    value: Floats
    delta: Floats
    gamma: Floats
    theta: Floats

    @property
    def greeks(self) -> Greeks:
        """At a single price. Raises TypeError if there are more."""
        return Greeks(delta=float(self.delta), gamma=float(self.gamma), theta=float(self.theta))


def value(legs: Iterable[Leg], price: npt.ArrayLike, vol: npt.ArrayLike = 0.0) -> Worth:
    """Any number of legs at ``price``, quote per asset; ``vol`` per year is for theta only, broadcast.

    Raises ValueError unless prices are finite and above zero and volatilities finite and not below.
    """
    spot, sigma = np.broadcast_arrays(np.asarray(price, np.float64), np.asarray(vol, np.float64))
    if not np.all(np.isfinite(spot) & (spot > 0) & np.isfinite(sigma) & (sigma >= 0)):
        raise ValueError(f"a price must be above zero and a volatility not below: {spot}, {sigma}")
    worth, delta, gamma = (np.zeros_like(spot) for _ in range(3))
    for leg in legs:
        parts = _unit(leg, spot)
        worth += leg.size * parts[0] + leg.streamed_asset * spot + leg.streamed_quote
        delta += leg.size * parts[1] + leg.streamed_asset
        gamma += leg.size * parts[2]
    theta = -(sigma**2) * spot**2 * gamma / 2 / (YEAR_S / DAY_S)
    return Worth(worth, delta, gamma, theta)


def _unit(leg: Leg, spot: Floats) -> tuple[Floats, Floats, Floats]:
    """Worth, delta and gamma of one unit owned."""
    low, high, root = math.sqrt(leg.lower), math.sqrt(leg.upper), np.sqrt(spot)
    width = (leg.upper - leg.lower) / (low + high)
    below, above = spot < leg.lower, spot >= leg.upper
    gamma = np.where(below | above, 0.0, low * high / (2 * spot * root * width))
    if leg.kind is OptionKind.PUT:
        reach = np.clip(leg.upper - spot, 0.0, None) / (high + root)
        worth = np.where(below, leg.strike - spot, low * reach * reach / width)
        return worth, np.where(below, -1.0, -low * reach / (root * width)), gamma
    reach = np.clip(spot - leg.lower, 0.0, None) / (low + root)
    worth = np.where(above, spot - leg.strike, high * reach * reach / width)
    return worth, np.where(above, 1.0, high * reach / (root * width)), gamma
