"""A Panoptic account in many states at once.

Everything about it is a function of the pool's tick, but for interest. So the exact model is asked at the
ticks that occur, or at a thousand of them with straight lines between, and at the corners of its demands. The
pool follows the market: it prices its tokens for what they are worth. The oracle is taken to have caught up.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np

from agent.market.scenario import Floats, Footing, States
from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96
from agent.values.amount import Token
from agent.values.fixed import to_float
from agent.venues.panoptic.greek import worth
from agent.venues.panoptic.margin import PanopticMargin
from agent.venues.panoptic.requirement import UNIT

LEAST = 1e-9
NODES = 1_000
BONUS = 0.2  # RiskEngine.MAX_BONUS: of a balance, and never more than what is missing of the demand
TICK = log(1.0001)


@dataclass(frozen=True, slots=True)
class ShockedAccount:
    """One margin account; agrees with its `PanopticMargin`."""

    margin: PanopticMargin

    @property
    def key(self) -> str:
        return self.margin.key

    @property
    def venue(self) -> str:
        return "panoptic"

    @property
    def collateral_token(self) -> Token:
        return self.margin.collateral_token

    def stand(self, states: States) -> Footing:
        """Footing in each state. A pool's price cannot be 0: it stays above 1e-9 of the present one."""
        terms = self.margin.denomination
        asset = states.worth_of(terms.asset_token.address)
        quote = np.maximum(states.worth_of(terms.quote_token.address), LEAST)
        ratio = np.maximum(states.ratio(terms.asset) * asset / quote, LEAST)
        away = np.log(ratio) / TICK * (1.0 if terms.is_asset_first else -1.0)
        ticks = np.clip(np.floor(self.margin.tick + 0.5 + away), MIN_TICK, MAX_TICK - 1)
        ticks = states.full(ticks)
        nodes = self._nodes(ticks)
        table = np.array([self._row(int(tick)) for tick in nodes])
        headroom, assets, quotes, penalty = (
            np.interp(ticks, nodes, table[:, column]) for column in range(table.shape[1])
        )
        interest = [self._interest(kind, states) for kind in (0, 1)]
        price = to_float(self.margin.price_wad) * ratio
        owed = interest[terms.asset_kind] * price + interest[terms.quote_kind]
        assets = assets - interest[terms.asset_kind]
        quotes = quotes - interest[terms.quote_kind]
        return Footing(
            headroom=states.full(headroom - owed if self.margin.account.held else 0.0),
            worth=states.full((assets * price + quotes) * quote),
            penalty=states.full(penalty * quote),
            unit=states.full(quote),
        )

    def _nodes(self, ticks: Floats) -> Floats:
        seen = np.unique(ticks)
        if len(seen) <= NODES:
            return seen
        spread = seen[np.linspace(0, len(seen) - 1, NODES).astype(int)]
        corners = [tick for tick in self.margin.corners() if seen[0] < tick < seen[-1]]
        beside = [tick - 1 for tick in corners]
        return np.unique(np.concatenate([spread, np.array([*corners, *beside], dtype=np.float64)]))

    def _row(self, tick: int) -> tuple[float, float, float, float]:
        """Headroom in quote, all asset and all quote in the account, and a liquidation's penalty in quote."""
        margin, terms = self.margin, self.margin.denomination
        standing = margin.account.standing(tick, margin.at_s)
        headroom = to_float(margin.headroom_wad(tick, margin.at_s, UNIT))
        sqrt_x96 = sqrt_price_x96(tick)
        amounts = [stake.assets - stake.interest(margin.at_s) for stake in margin.account.stakes]
        for kind in (0, 1):
            amounts[kind] += margin.account.short_premia[kind] - margin.account.long_premia[kind]
        for held in margin.account.held:
            for kind, amount in enumerate(worth(held, sqrt_x96)):
                amounts[kind] += amount
        asset, quote = (
            to_float(amounts[kind], token.decimals)
            for kind, token in (
                (terms.asset_kind, terms.asset_token),
                (terms.quote_kind, terms.quote_token),
            )
        )
        bonuses = [
            min(int(balance * BONUS), max(0, required - balance))
            for balance, required in zip(standing.balances, standing.required, strict=True)
        ]
        bonus = to_float(terms.to_quote((bonuses[0], bonuses[1]), sqrt_x96), terms.quote_token.decimals)
        return headroom, asset, quote, bonus

    def _interest(self, kind: int, states: States) -> Floats:
        """Owed at each state's time beyond what is owed now, whole tokens."""
        stake, token = self.margin.account.stakes[kind], self.margin.denomination.tokens[kind]
        now = stake.interest(self.margin.at_s)
        seconds, index = np.unique(states.seconds, return_inverse=True)
        owed = [to_float(stake.interest(self.margin.at_s + int(s)) - now, token.decimals) for s in seconds]
        return np.array(owed)[index].reshape(states.shape)
