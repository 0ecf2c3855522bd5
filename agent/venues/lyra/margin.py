"""One short option's margin account: the contract's minimum collateral, to the last digit.

A short is liquidatable when its collateral is less than `requirement_wad`, which follows
``OptionGreekCache.getMinCollateral``: the premium of the option at a shocked price and a shocked volatility,
at least a static floor and at most the notional where the option's loss is bounded. It needs no mark and no
implied volatility; only the spot price and time move it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from agent.market.instrument import OptionKind
from agent.market.margin import Betas, CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_down, mul_up, ratio_down, ratio_up, to_float
from agent.venues.lyra.decay import decay
from agent.venues.lyra.premium import curve, premiums

STATIC_FLOOR = "static floor"
NOTIONAL_CAP = "full notional cap"
SHOCKED_PRICE = "shocked option price"
SETTLEMENT = "settlement"


class OptionType(IntEnum):
    """As the contract numbers them."""

    LONG_CALL = 0
    LONG_PUT = 1
    SHORT_CALL_BASE = 2
    SHORT_CALL_QUOTE = 3
    SHORT_PUT_QUOTE = 4

    @property
    def is_short(self) -> bool:
        return self >= OptionType.SHORT_CALL_BASE

    @property
    def kind(self) -> OptionKind:
        is_put = self in (OptionType.LONG_PUT, OptionType.SHORT_PUT_QUOTE)
        return OptionKind.PUT if is_put else OptionKind.CALL

    @property
    def collateral_kind(self) -> CollateralKind:
        """Of a short; a long has no collateral."""
        return CollateralKind.BASE if self is OptionType.SHORT_CALL_BASE else CollateralKind.QUOTE


@dataclass(frozen=True, slots=True)
class CollateralTerms:
    """The market's parameters of the minimum: ``getMinCollatParams`` and the rate of the Greek cache.

    The shock volatility is ``shock_vol_a_wad`` up to ``shock_point_a_s`` before expiry,
    ``shock_vol_b_wad`` from ``shock_point_b_s`` on, and linear between. ``settlement_fee_wad`` is what a
    base-collateralised call pays on top when it settles.
    """

    floor_quote_wad: int
    floor_base_wad: int
    shock_vol_a_wad: int
    shock_point_a_s: int
    shock_vol_b_wad: int
    shock_point_b_s: int
    call_shock_wad: int
    put_shock_wad: int
    rate_wad: int
    settlement_fee_wad: int

    def shock_vol_wad(self, time_s: int) -> int:
        """The volatility the minimum is reckoned at, ``time_s`` before expiry."""
        if time_s <= self.shock_point_a_s:
            return self.shock_vol_a_wad
        if time_s >= self.shock_point_b_s:
            return self.shock_vol_b_wad
        fall = (self.shock_vol_a_wad - self.shock_vol_b_wad) * (time_s - self.shock_point_a_s)
        return self.shock_vol_a_wad - fall // (self.shock_point_b_s - self.shock_point_a_s)


FOR_EVER_S = 10**10


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a liquidation takes: a share of what the premium leaves, and never less than the fee, in quote
    (``getPartialCollatParams``)."""

    ratio_wad: int
    min_fee_wad: int


@dataclass(frozen=True, slots=True)
class ShortOption:
    """A short position as the account that is liquidated with it. Amounts in units of its collateral.

    ``mark_wad`` is the market's premium per unit in quote; ``is_halted``: the market takes no change of
    collateral now (paused).
    """

    position_id: int
    market: MarketId
    asset: str
    option_type: OptionType
    strike_wad: int
    expiry_s: int
    amount_wad: int
    collateral_wad: int
    collateral_token: Token
    terms: CollateralTerms
    penalty: Penalty
    mark_wad: int
    at_s: int
    prices: Prices
    is_halted: bool = False

    @property
    def key(self) -> str:
        """Also the position's key."""
        return f"lyra:{self.position_id}"

    @property
    def venue(self) -> str:
        return "lyra"

    @property
    def collateral_kind(self) -> CollateralKind:
        return self.option_type.collateral_kind

    @property
    def price_step_wad(self) -> int:
        """The oracle's prices have 18 decimals."""
        return 1

    @property
    def removable_wad(self) -> int:
        """Down to the minimum at the snapshot's price and time."""
        if self.is_halted or self.at_s >= self.expiry_s:
            return 0
        return max(0, self.collateral_wad - self.requirement_wad(self.prices, self.at_s))

    @property
    def liquidation_loss_wad(self) -> int:
        """``OptionToken.getLiquidationFees`` at the present premium: a share of the collateral it leaves.

        The contract takes the premium at its averaged volatility, so this is near and not exact.
        """
        spot_wad = self.prices[self.market]
        owed_wad, fee_wad = mul_up(self.mark_wad, self.amount_wad), self.penalty.min_fee_wad
        if self.collateral_kind is CollateralKind.BASE:
            owed_wad, fee_wad = ratio_up(owed_wad, spot_wad), ratio_down(fee_wad, spot_wad)
        left_wad = max(0, self.collateral_wad - owed_wad)
        return min(max(mul_down(left_wad, self.penalty.ratio_wad), fee_wad), left_wad)

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """The collateral: a short has no other means, whatever the price."""
        return self.collateral_wad

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """The minimum collateral; from expiry on, what settling takes (and nobody can liquidate)."""
        if self.amount_wad == 0:
            return 0
        if at_s >= self.expiry_s:
            return self._settlement_wad(prices[self.market])
        shocked_wad, floor_wad, cap_wad = self._terms_wad(prices[self.market], at_s)
        return min(max(shocked_wad, floor_wad), cap_wad)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """Collateral below the minimum, before expiry (``liquidatePosition`` refuses an expired board)."""
        return at_s < self.expiry_s and self.collateral_wad < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        """Which of the three terms rules."""
        if at_s >= self.expiry_s:
            return SETTLEMENT
        shocked_wad, floor_wad, cap_wad = self._terms_wad(prices[self.market], at_s)
        if max(shocked_wad, floor_wad) >= cap_wad:
            return NOTIONAL_CAP
        return SHOCKED_PRICE if shocked_wad > floor_wad else STATIC_FLOOR

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """None: a call's minimum, in quote or in the asset, rises with the price and a put's falls."""
        del betas
        return ()

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """As long as decay and the shock volatility cannot use up what lies between the shocked premium and
        the collateral. Time past expiry changes nothing: nobody can liquidate then.
        """
        time_s, spare_wad = self.expiry_s - at_s, self.collateral_wad
        if time_s <= 0 or self.amount_wad == 0:
            return FOR_EVER_S
        shocked_wad, floor_wad, cap_wad = self._terms_wad(prices[self.market], at_s)
        if spare_wad < floor_wad <= cap_wad:  # it is liquidatable until it expires
            return time_s - 1
        if spare_wad >= cap_wad:
            return FOR_EVER_S
        is_put = self.option_type is OptionType.SHORT_PUT_QUOTE
        shock_wad = self.terms.put_shock_wad if is_put else self.terms.call_shock_wad
        spot_wad = mul_down(prices[self.market], shock_wad)
        per_unit_wad = (spare_wad - shocked_wad) * WAD // self.amount_wad
        if self.option_type is OptionType.SHORT_CALL_BASE:
            per_unit_wad = mul_down(per_unit_wad, spot_wad)
        terms = self.terms
        way = decay(
            self.option_type.kind,
            spot_wad,
            self.strike_wad,
            terms.rate_wad,
            terms.shock_vol_a_wad,
            terms.shock_point_a_s,
            terms.shock_vol_b_wad,
            terms.shock_point_b_s,
        )
        return way.calm_s(time_s, to_float(per_unit_wad))

    def size_wad(self, market: MarketId) -> int:
        """Minus the amount that is short."""
        return -self.amount_wad if market == self.market else 0

    def cut(self, market: MarketId, size_wad: int) -> ShortOption:
        """After buying ``size_wad`` of it back with money from elsewhere; the collateral stays."""
        if market != self.market:
            return self
        return replace(self, amount_wad=max(0, self.amount_wad - size_wad))

    def _terms_wad(self, spot_wad: int, at_s: int) -> tuple[int, int, int]:
        """Shocked premium, floor and cap, rounded as the contract rounds."""
        terms, amount_wad = self.terms, self.amount_wad
        is_put = self.option_type is OptionType.SHORT_PUT_QUOTE
        shocked_spot_wad = mul_down(spot_wad, terms.put_shock_wad if is_put else terms.call_shock_wad)
        time_s = self.expiry_s - at_s
        option = curve(self.strike_wad, time_s, terms.shock_vol_wad(time_s), terms.rate_wad)
        call_wad, put_wad = premiums(option, shocked_spot_wad)
        if is_put:
            notional_wad = mul_down(amount_wad, self.strike_wad)
            return mul_down(put_wad, amount_wad), terms.floor_quote_wad, notional_wad
        premium_wad = mul_down(call_wad, amount_wad)
        if self.option_type is OptionType.SHORT_CALL_BASE:
            in_base_wad = ratio_down(premium_wad, shocked_spot_wad) if shocked_spot_wad > 0 else 0
            return in_base_wad, terms.floor_base_wad, amount_wad
        return premium_wad, terms.floor_quote_wad, 2**256 - 1

    def _settlement_wad(self, spot_wad: int) -> int:
        """What the position owes when its board settles at ``spot_wad``."""
        is_put = self.option_type is OptionType.SHORT_PUT_QUOTE
        owed_wad = self.strike_wad - spot_wad if is_put else spot_wad - self.strike_wad
        if owed_wad <= 0:
            return 0
        if self.option_type is OptionType.SHORT_CALL_BASE:
            ratio_wad = ratio_down(ratio_down(owed_wad, spot_wad), WAD - self.terms.settlement_fee_wad)
            return mul_down(min(ratio_wad, WAD), self.amount_wad)
        return mul_down(owed_wad, self.amount_wad)
