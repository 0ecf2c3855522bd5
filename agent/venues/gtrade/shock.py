"""A gTrade trade in many states at once: its margin with every term, in floats.

The floats of `GtradeMargin`: holding fees go on at the rate they have now and scale with the price they are
reckoned at. Nothing is cut, so it can differ from the contract within its rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.market.scenario import Floats, Footing, States
from agent.values.amount import Token
from agent.venues.gtrade.fragment import PERCENT
from agent.venues.gtrade.held import closing_spread
from agent.venues.gtrade.margin import GtradeMargin

HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class ShockedAccount:
    """One trade; what its collateral's token is worth of its face counts in ``worth`` only."""

    margin: GtradeMargin

    @property
    def key(self) -> str:
        return self.margin.key

    @property
    def venue(self) -> str:
        return self.margin.venue

    @property
    def collateral_token(self) -> Token:
        return self.margin.collateral_token

    def stand(self, states: States) -> Footing:
        """Collateral + profit + booked - owed - closing costs, against the share that may not be lost."""
        margin, held, pair = self.margin, self.margin.held, self.margin.pair
        unit = pair.money.delta / 1e18
        ratio = states.full(states.ratio(margin.asset))
        collateral = held.collateral * unit
        position = held.position * unit
        relative = margin.price / held.open_price * ratio
        profit = position * held.sign * (relative - 1.0)
        owed = self._owed(states, ratio) * unit - held.realized * unit
        fee = pair.trading_fee(held.position, is_counter=held.is_counter) * unit
        spread = position * closing_spread(held, pair) / PERCENT
        bearable = collateral * held.liquidation.threshold(held.leverage) / PERCENT
        face = states.full(states.worth_of(margin.collateral_token.address))
        worth = collateral + profit - owed
        return Footing(
            headroom=bearable + profit - owed - fee - spread,
            worth=worth * face,
            penalty=np.maximum(worth - fee, 0.0) * face,
            unit=face,
        )

    def _owed(self, states: States, ratio: Floats) -> Floats:
        """In the collateral's unit: what has accrued is reckoned at the price of the moment, too."""
        margin, at_s = self.margin, self.margin.at_s
        here, dear = (margin.holding(price, at_s).total for price in (margin.price, 2 * margin.price))
        later = margin.holding(margin.price, at_s + HOUR_S).total
        return here + (dear - here) * (ratio - 1.0) + (later - here) / HOUR_S * states.seconds * ratio
