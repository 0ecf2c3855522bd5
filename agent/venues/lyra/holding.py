"""One option position, as the contracts tell it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.fixed import mul_down, mul_up
from agent.venues.lyra.margin import OptionType


@dataclass(frozen=True, slots=True)
class Holding:
    """One option position with its strike and board. ``settled_at_wad`` is 0 until the board settles, then
    the price it settled at; ``base_taken_wad`` what a base-collateralised call then owes per unit, in base.
    """

    position_id: int
    option_type: OptionType
    amount_wad: int
    collateral_wad: int
    strike_id: int
    strike_wad: int
    skew_wad: int
    expiry_s: int
    base_iv_wad: int
    settled_at_wad: int = 0
    base_taken_wad: int = 0

    @property
    def key(self) -> str:
        return f"lyra:{self.position_id}"

    @property
    def vol_wad(self) -> int:
        """The volatility the market trades the strike at."""
        return mul_down(self.base_iv_wad, self.skew_wad)

    @property
    def posted_wad(self) -> int:
        """What is left of the collateral: what a settled call owes in the asset is taken off."""
        if self.settled_at_wad and self.option_type is OptionType.SHORT_CALL_BASE:
            return max(0, self.collateral_wad - mul_up(self.amount_wad, self.base_taken_wad))
        return self.collateral_wad

    def is_live(self, at_s: int) -> bool:
        """It can be traded, topped up and liquidated."""
        return at_s < self.expiry_s and self.settled_at_wad == 0
