"""A GMX position in many states at once: its margin with every term, in floats.

The floats of `GmxMargin`: prices move with their asset at the same relative spread, funding and borrowing go
on at the rates they have now. Nothing is cut, so it can differ from the contract within its rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.market.margin import CollateralKind
from agent.market.scenario import Floats, Footing, States
from agent.values.amount import Token
from agent.venues.gmx.margin import GmxMargin
from agent.venues.gmx.power import FLOAT
from agent.venues.gmx.price import wad_of_unit


@dataclass(frozen=True, slots=True)
class ShockedAccount:
    """One position; what its collateral's token is worth of its face counts in ``worth`` only."""

    margin: GmxMargin

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
        """Collateral + profit - what is owed and what closing costs, against the share of the size."""
        margin, held = self.margin, self.margin.held
        now = margin.market_prices(margin.prices)
        is_base = margin.collateral_kind is CollateralKind.BASE
        ratio = states.full(states.ratio(margin.asset))
        moving: Floats = ratio if is_base else np.ones(states.shape)
        token_price = (now.long if margin.in_long_token else now.short).low / FLOAT
        size, tokens = held.size_usd / FLOAT, held.size_tokens
        index = (now.index.low if held.is_long else now.index.high) / FLOAT * ratio
        profit = tokens * index - size if held.is_long else size - tokens * index
        collateral = held.collateral * token_price * moving
        owed_now, owed_rate = self._owed(moving)
        owed = owed_now + owed_rate * states.seconds
        fee = size * max(margin.market.fees.position) / FLOAT
        remaining = collateral + profit - owed - fee
        required = margin.required_usd / FLOAT
        unit = moving * (
            wad_of_unit(now.long.middle if margin.in_long_token else now.short.middle, margin.token.decimals)
            / 1e18
        )
        face = states.full(states.worth_of(margin.collateral_token.address))
        penalty = np.minimum(size * margin.market.fees.liquidation / FLOAT, np.maximum(remaining, 0.0))
        quote = unit * face
        return Footing(
            headroom=(remaining - required) / unit,
            worth=collateral * face + profit - owed,
            penalty=penalty * face,
            unit=quote,
        )

    def _owed(self, moving: Floats) -> tuple[Floats, Floats]:
        """(dollars owed at the snapshot, dollars per second): funding is owed in the token."""
        margin, at_s = self.margin, self.margin.at_s
        now = margin.market_prices(margin.prices)
        token_price = (now.long if margin.in_long_token else now.short).low / FLOAT
        here, later = (margin.standing(margin.prices, at_s + seconds) for seconds in (0, 3_600))
        owed = here.funding * token_price * moving + here.borrowing_usd / FLOAT
        rate = (later.funding - here.funding) * token_price * moving
        rate = rate + (later.borrowing_usd - here.borrowing_usd) / FLOAT
        return owed, rate / 3_600
