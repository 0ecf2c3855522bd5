"""A Curie account in many states at once: linear in every price, and funding at today's rate over time.

The floats of `CurieMargin`: marks move with their asset, averages (and so funding per day) stay, as there.
Nothing is rounded, so it can differ from the contract within its rounding of the flip.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.market.scenario import Floats, Footing, States
from agent.values.amount import Token
from agent.values.fixed import DAY_S, Q96, to_float
from agent.venues.curie.margin import PPM, CurieMargin


@dataclass(frozen=True, slots=True)
class ShockedAccount:
    """One account; what its settlement token is worth counts in ``worth``, never in the contract's check."""

    margin: CurieMargin

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
        """Equity is cash + sum of size * mark * ratio + open notional - funding; the requirement is the
        maintenance ratio of the sum of |size * mark * ratio|, the penalty the penalty ratio of it.
        """
        margin, seconds = self.margin, states.seconds
        cash_wad = margin.balance_wad + margin.owed_wad + margin.pending_fee_wad
        cash_wad += sum(leg.open_notional_wad - leg.funding_wad for leg in margin.legs)
        equity: Floats = states.full(to_float(cash_wad))
        exposure: Floats = states.full(0.0)
        for other in margin.collaterals:
            counted = to_float(other.worth_wad(margin.marks[other.market]))
            equity += counted * states.ratio(other.asset) if other.asset else counted
        for leg in margin.legs:
            if leg.size_wad == 0:
                continue
            value = to_float(leg.value_wad(margin.marks[leg.market])) * states.ratio(leg.asset)
            per_second = to_float(leg.size_wad) * (leg.premium_x96 / Q96) / DAY_S
            equity += value - per_second * seconds
            exposure += abs(value)
        unit = states.full(states.worth_of(margin.collateral_token.address))
        return Footing(
            headroom=equity - exposure * (margin.maintenance_ppm / PPM),
            worth=equity * unit,
            penalty=exposure * (margin.penalty_ppm / PPM) * unit,
            unit=unit,
        )
