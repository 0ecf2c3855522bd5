"""A perps market's account in many states at once: its margin with every term, in floats.

The floats of `SynthetixMargin`: prices move with their asset, funding goes on at a rate that changes as fast
as the present skew makes it, interest at today's rate, keepers' costs stay. Nothing is cut, so it can differ
from the contract within its rounding of the flip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.market.scenario import Floats, Footing, States
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, to_float
from agent.venues.synthetix.margin import SynthetixMargin
from agent.venues.synthetix.market import Leg
from agent.venues.synthetix.terms import INTEREST_YEAR_S


@dataclass(frozen=True, slots=True)
class ShockedAccount:
    """One account; what its dollar token is worth counts in ``worth``, never in the contract's check."""

    margin: SynthetixMargin

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
        """Equity and requirement as `SynthetixMargin` has them. A liquidation takes all that is left."""
        margin, marks = self.margin, self.margin.marks
        posted: Floats = states.full(to_float(margin.usd_wad))
        counted: Floats = states.full(to_float(margin.usd_wad))
        for synth in margin.collaterals:
            ratio = states.ratio(synth.asset) if synth.asset else 1.0
            # In whole units: an account without collateral has another cap than one with next to none.
            posted += np.floor(synth.value(marks[synth.market]) * ratio) / WAD
            counted += to_float(synth.discounted(marks[synth.market])) * ratio
        profit: Floats = states.full(-to_float(margin.debt_wad))
        for leg in margin.open_legs:
            profit += self._profit(leg, states)
        headroom = counted + profit - self._requirement(posted, states)
        if margin.is_flagged:
            headroom = np.minimum(headroom, -1.0)
        unit = states.full(states.worth_of(margin.collateral_token.address))
        worth = (posted + profit) * unit
        return Footing(headroom=headroom, worth=worth, penalty=np.maximum(worth, 0.0), unit=unit)

    def _profit(self, leg: Leg, states: States) -> Floats:
        """size * (move + funding) - locked notional * interest."""
        margin, funding = self.margin, leg.funding
        price = to_float(margin.marks[leg.market]) * states.ratio(leg.asset)
        days = (states.seconds + (margin.at_s - funding.time_s)) / DAY_S
        average = to_float(funding.rate) + to_float(funding.velocity) * days / 2.0
        paid = to_float(funding.value - leg.entry_funding) - average * days * price
        years = (states.seconds + (margin.at_s - margin.interest.time_s)) / INTEREST_YEAR_S
        owed = to_float(margin.interest.accrued - leg.entry_interest) + to_float(margin.interest.rate) * years
        size, locked = to_float(leg.size_wad), to_float(leg.margin.locked_oi_ratio)
        return size * (price - to_float(leg.entry_wad) + paid) - abs(size) * price * locked * owed

    def _requirement(self, posted: Floats, states: States) -> Floats:
        """Maintenance, and what liquidating would pay to keepers."""
        margin, keeper = self.margin, self.margin.keeper
        legs = margin.open_legs
        cost_wad = keeper.flag_costs[len(legs) + len(margin.collaterals)] + keeper.liquidation_cost
        needed: Floats = states.full(0.0)
        flags: Floats = states.full(0.0)
        for leg in legs:
            notional = to_float(leg.notional(margin.marks[leg.market])) * states.ratio(leg.asset)
            needed += notional * to_float(leg.maintenance_ratio) + to_float(leg.margin.minimum_margin)
            flags += notional * to_float(leg.margin.flag_ratio)
        if not legs and margin.debt_wad == 0:
            return needed
        earned = np.maximum(flags, posted * to_float(keeper.collateral_ratio)) + to_float(cost_wad)
        most = to_float(keeper.maximum_reward)
        cap = np.where(posted > 0, np.minimum(posted * to_float(keeper.maximum_ratio), most), most)
        reward = np.minimum(np.maximum(to_float(keeper.floor(cost_wad)), earned), cap)
        steps = max((leg.windows for leg in legs), default=0)
        again = max(0, steps - 1) * to_float(keeper.reward(0, keeper.liquidation_cost, 0))
        return np.asarray(needed + reward + again, dtype=np.float64)
