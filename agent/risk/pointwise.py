"""A venue that has no formulas for many states: its integer model asked one state at a time, and its Greeks.

Slow (tens of microseconds a state) where the others are fast. Headroom is the contract's own; worth is the
collateral at its present unit value, and the positions to second order around the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent.market.margin import CollateralKind, MarginAccount, PenalisedAccount
from agent.market.position import Position
from agent.market.scenario import Floats, Footing, States
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, from_float, to_float


@dataclass(frozen=True)
class PointwiseAccount:
    """``assets`` names the asset of each market, ``spot`` their oracle prices; a market without one moves
    with the account's own asset. ``positions`` are those that a liquidation of the account takes with it.
    """

    margin: MarginAccount
    assets: Mapping[MarketId, str]
    spot: Mapping[str, float]
    positions: tuple[SlopedClaim, ...] = ()

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
        """Equity less requirement of the integer model; 0 at least where its predicate does not hold, and a
        unit below zero where it does although the difference is not negative.
        """
        margin = self.margin
        ratios = {
            market: states.full(states.ratio(self.assets.get(market, margin.asset)))
            for market in margin.prices
        }
        seconds = states.seconds
        headroom = np.empty(states.shape)
        for where in np.ndindex(*states.shape):
            prices = {m: p * from_float(float(ratios[m][where])) // WAD for m, p in margin.prices.items()}
            at_s = margin.at_s + int(seconds[where])
            gap = to_float(margin.equity_wad(prices, at_s) - margin.requirement_wad(prices, at_s))
            is_bad = margin.is_liquidatable(prices, at_s)
            headroom[where] = min(gap, -1.0 / WAD) if is_bad else max(gap, 0.0)
        is_base = margin.collateral_kind is CollateralKind.BASE
        price = self.spot.get(margin.asset, 0.0) * states.ratio(margin.asset) if is_base else np.ones(())
        unit = states.full(price * states.worth_of(margin.collateral_token.address))
        taken = margin.liquidation_loss_wad if isinstance(margin, PenalisedAccount) else 0
        worth = to_float(margin.collateral_wad) * unit
        for position in self.positions:
            worth = worth + position.value(states)
        return Footing(headroom, worth, to_float(taken) * unit, unit)


@dataclass(frozen=True)
class SlopedClaim:
    """A position by its Greeks: value + delta dS + gamma dS^2 / 2 + vega dvol + theta days."""

    position: Position
    spot: float

    @property
    def key(self) -> str:
        return self.position.key

    @property
    def venue(self) -> str:
        return self.position.venue

    def value(self, states: States) -> Floats:
        """Good near the snapshot; far from it only a guess."""
        position, greeks = self.position, self.position.greeks
        moved = self.spot * (states.ratio(position.instrument.asset) - 1.0)
        vol = np.zeros(()) if position.iv is None else states.vol(position.iv) - position.iv
        worth = to_float(position.value_wad) + greeks.delta * moved + greeks.gamma * moved * moved / 2.0
        return states.full(worth + greeks.vega * vol + greeks.theta * states.hours / 24.0)
