"""What Lyra lists: boards, each an expiry with its strikes, and the volatilities they are traded at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.market.vol import VolQuote
from agent.values.fixed import WAD, YEAR_S, mul_down, to_float

LEAST_WEIGHT = 0.01


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike of a board: its price, and its volatility over the board's."""

    strike_wad: int
    skew_wad: int


@dataclass(frozen=True, slots=True)
class Board:
    """One expiry that has not been settled yet, with everything that is listed for it."""

    board_id: int
    expiry_s: int
    base_iv_wad: int
    is_frozen: bool
    strikes: tuple[Strike, ...]

    def is_live(self, at_s: int) -> bool:
        """It can be traded."""
        return at_s < self.expiry_s and not self.is_frozen

    def vol_quotes(self, asset: str, spot_wad: int, rate_wad: int, at_s: int) -> tuple[VolQuote, ...]:
        """Every strike's volatility while the board is live.

        The forward grows from the spot at the market's rate. An error of a volatility counts as the square
        of its vega, but never for less than LEAST_WEIGHT of one at the money.
        """
        years = (self.expiry_s - at_s) / YEAR_S
        forward = to_float(spot_wad) * math.exp(rate_wad / WAD * years)
        return tuple(self._vol_quote(strike, asset, forward, years) for strike in self.strikes)

    def _vol_quote(self, strike: Strike, asset: str, forward: float, years: float) -> VolQuote:
        price, iv = to_float(strike.strike_wad), to_float(mul_down(self.base_iv_wad, strike.skew_wad))
        deviation = iv * math.sqrt(years)
        weight = LEAST_WEIGHT
        if min(forward, price, deviation) > 0:
            d1 = math.log(forward / price) / deviation + deviation / 2
            weight = max(weight, math.exp(-d1 * d1))
        return VolQuote(self.expiry_s, price, forward, iv, weight, asset)
