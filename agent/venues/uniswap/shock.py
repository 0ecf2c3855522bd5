"""A range of liquidity in many states at once.

Source: Uniswap v3 whitepaper, section 6.2. With S the pool's price in quote per asset, a and b the range's,
c = S held between them and L the liquidity in whole tokens: L (1/sqrt(c) - 1/sqrt(b)) of the asset and
L (sqrt(c) - sqrt(a)) of quote. Nothing can be liquidated. The pool follows the market: it prices its tokens
for what they are worth, so a quote token at 0.8 lifts its price by a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from agent.market.scenario import Floats, States
from agent.pricing.tick import sqrt_price_x96
from agent.values.fixed import Q96
from agent.venues.uniswap.offer import Terms

LEAST = 1e-18


@dataclass(frozen=True, slots=True)
class ShockedRange:
    """Liquidity and what it has earned. ``fees`` are whole asset and quote tokens to collect."""

    key: str
    terms: Terms
    ticks: tuple[int, int]
    sqrt_x96: int
    liquidity: int
    fees: tuple[float, float]
    venue: str = "uniswap"

    def value(self, states: States) -> Floats:
        """Fees of the past count, fees to come do not. A pool's price cannot be 0; it stays above 1e-18 of
        the present one here.
        """
        asset = states.worth_of(self.terms.asset_token.address)
        quote = np.maximum(states.worth_of(self.terms.quote_token.address), LEAST)
        low, high = sorted(self._root(sqrt_price_x96(tick)) for tick in self.ticks)
        moved = np.maximum(states.ratio(self.terms.asset) * asset / quote, LEAST)
        root = self._root(self.sqrt_x96) * np.sqrt(moved)
        held = np.clip(root, low, high)
        unit = (self.terms.asset_token.decimals + self.terms.quote_token.decimals) / 2
        liquid = self.liquidity / 10**unit
        assets = liquid * (1 / held - 1 / high) + self.fees[0]
        quotes = liquid * (held - low) + self.fees[1]
        return states.full((assets * root * root + quotes) * quote)

    def _root(self, sqrt_x96: int) -> float:
        """The square root of quote per asset in whole tokens."""
        asset, quote = self.terms.asset_token.decimals, self.terms.quote_token.decimals
        raw = sqrt_x96 / Q96
        return (raw if self.terms.is_asset_first else 1 / raw) * sqrt(10.0 ** (asset - quote))
