"""What a trade costs now: the fee, and nothing else, since everybody trades at the price."""

from __future__ import annotations

from dataclasses import dataclass

from agent.venues.example.margin import Terms, fee_wad

from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, mul_div_up, to_float


@dataclass(frozen=True, slots=True)
class ExampleOffer:
    """The market for an account that holds ``size_wad``."""

    market: MarketId
    asset: str
    price_wad: int
    max_wad: int
    size_wad: int
    is_closing: bool
    terms: Terms

    @property
    def venue(self) -> str:
        return "example"

    @property
    def cash_token(self) -> Token | None:
        return None

    @property
    def max_buy_wad(self) -> int:
        return min(self.max_wad, max(0, -self.size_wad)) if self.is_closing else self.max_wad

    @property
    def max_sell_wad(self) -> int:
        return min(self.max_wad, max(0, self.size_wad)) if self.is_closing else self.max_wad

    @property
    def carry_per_day(self) -> float:
        return to_float(self.price_wad) * to_float(self.terms.funding) * DAY_S

    def cost_wad(self, size_wad: int) -> int:
        """The fee."""
        return fee_wad(size_wad, self.price_wad, self.terms)

    def cash_need_wad(self, size_wad: int) -> int:
        """Nothing: the trade is margined."""
        del size_wad
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        """Initial margin of what it adds, and the fee. Never 0 for a trade."""
        if size_wad == 0:
            return 0
        added = max(0, abs(self.size_wad + size_wad) - abs(self.size_wad))
        worth = mul_div_up(added, self.price_wad, WAD)
        return mul_div_up(worth, self.terms.initial, WAD) + max(1, self.cost_wad(size_wad))
