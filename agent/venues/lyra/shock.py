"""Lyra's options in many states at once: Black-Scholes for their worth, the minimum collateral for margin.

The floats of `ShortOption`: the minimum follows ``OptionGreekCache.getMinCollateral`` (shocked price and
volatility, static floor, notional cap) and does not see implied volatility; the worth does. An option that
expires before a state is settled at that state's own price, which is the exact one only for a price that has
not moved since.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.market.instrument import OptionKind
from agent.market.margin import CollateralKind
from agent.market.scenario import Floats, Footing, States
from agent.pricing import black
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.fixed import to_float
from agent.venues.lyra.margin import CollateralTerms, OptionType, ShortOption


@dataclass(frozen=True, slots=True)
class Premium:
    """One unit of an option, long, at the market's own volatility: quote per unit of the asset."""

    asset: str
    kind: OptionKind
    strike_wad: int
    expires_in_s: int
    spot_wad: int
    vol_wad: int
    rate_wad: int

    def value(self, states: States) -> Floats:
        """The price in each state; from expiry on what it pays."""
        spot = to_float(self.spot_wad) * states.ratio(self.asset)
        strike = to_float(self.strike_wad)
        left_s = self.expires_in_s - states.seconds
        sign = 1.0 if self.kind is OptionKind.CALL else -1.0
        paid = np.maximum(sign * (spot - strike), 0.0)
        vol, rate = states.vol(to_float(self.vol_wad)), to_float(self.rate_wad)
        alive = black.price(self.kind, spot, strike, left_s, vol, rate)
        return states.full(np.where(left_s > 0, alive, paid))


@dataclass(frozen=True, slots=True)
class LongOption:
    """A long option that has not expired. Nobody can liquidate it."""

    key: str
    premium: Premium
    amount_wad: int
    quote_token: Address
    venue: str = "lyra"

    def value(self, states: States) -> Floats:
        """What the market would pay, in what its quote token is then worth."""
        return to_float(self.amount_wad) * self.premium.value(states) * states.worth_of(self.quote_token)


@dataclass(frozen=True, slots=True)
class ExpiredOption:
    """What an expired option pays: quote, and the asset, both worth that much at the snapshot."""

    key: str
    asset: str
    quote_wad: int
    base_wad: int
    quote_token: Address
    base_token: Address
    venue: str = "lyra"

    def value(self, states: States) -> Floats:
        """The quote part is fixed, the asset moves."""
        quote = to_float(self.quote_wad) * states.worth_of(self.quote_token)
        return states.full(
            quote + to_float(self.base_wad) * states.ratio(self.asset) * states.worth_of(self.base_token)
        )


@dataclass(frozen=True, slots=True)
class ShockedShort:
    """A short option with its collateral. What its tokens are worth counts in ``worth`` only: the contract
    takes both for their face.
    """

    margin: ShortOption
    premium: Premium
    quote_token: Address

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
        """After expiry it cannot be liquidated: headroom is then what settling leaves, at least 0."""
        short = self.margin
        is_base = short.collateral_kind is CollateralKind.BASE
        spot = states.full(to_float(short.prices[short.market]) * states.ratio(short.asset))
        posted = to_float(short.collateral_wad)
        owed = to_float(short.amount_wad) * self.premium.value(states)
        per_unit = spot if is_base else states.full(1.0)  # quote at face per unit of collateral
        token = states.worth_of(short.collateral_token.address)
        left = np.maximum(posted * per_unit - owed, 0.0)
        penalty = np.maximum(left * to_float(short.penalty.ratio_wad), to_float(short.penalty.min_fee_wad))
        worth = posted * per_unit * token - owed * states.worth_of(self.quote_token)
        expired = states.seconds >= short.expiry_s - short.at_s
        after = left / np.where(per_unit > 0, per_unit, 1.0)
        return Footing(
            headroom=np.where(expired, after, posted - self.requirement(states, spot)),
            worth=np.where(expired, np.maximum(worth, 0.0), worth),
            penalty=np.where(expired, 0.0, np.minimum(penalty, left) * token),
            unit=per_unit * token,
        )

    def requirement(self, states: States, spot: Floats) -> Floats:
        """The minimum collateral in units of it, at least one second before expiry."""
        short, terms = self.margin, self.margin.terms
        left_s = np.maximum(short.expiry_s - short.at_s - states.seconds, 1.0)
        is_put = short.option_type is OptionType.SHORT_PUT_QUOTE
        shocked = spot * to_float(terms.put_shock_wad if is_put else terms.call_shock_wad)
        strike, amount = to_float(short.strike_wad), to_float(short.amount_wad)
        if amount == 0:
            return states.full(0.0)
        vol, rate = shock_vol(terms, left_s), to_float(terms.rate_wad)
        premium = black.price(short.option_type.kind, shocked, strike, left_s, vol, rate) * amount
        floor_quote = to_float(terms.floor_quote_wad)
        if is_put:
            return np.minimum(np.maximum(premium, floor_quote), amount * strike)
        if short.option_type is OptionType.SHORT_CALL_QUOTE:
            return np.maximum(premium, floor_quote)
        in_base = np.divide(premium, shocked, out=np.zeros_like(premium), where=shocked > 0)
        return np.minimum(np.maximum(in_base, to_float(terms.floor_base_wad)), amount)


def shock_vol(terms: CollateralTerms, left_s: Floats) -> Floats:
    """`CollateralTerms.shock_vol_wad` of many times to expiry, as a number per year."""
    near, far = to_float(terms.shock_vol_a_wad), to_float(terms.shock_vol_b_wad)
    span = terms.shock_point_b_s - terms.shock_point_a_s
    if span <= 0:
        return np.where(left_s <= terms.shock_point_a_s, near, far)
    share = np.clip((left_s - terms.shock_point_a_s) / span, 0.0, 1.0)
    return near - (near - far) * share
