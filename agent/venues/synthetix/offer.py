"""What an order would cost if it were settled now, to the last unit; a keeper settles it later.

Synthetix V3 perps-market 3.13.0: ``AsyncOrder.validateRequest``, ``calculateFillPrice``,
``calculateOrderFee``, ``PerpsMarket.validatePositionSize``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_div_down, mul_div_trunc, to_float
from agent.venues.synthetix.margin import SynthetixMargin
from agent.venues.synthetix.market import Fees, Funding, fill_price, order_fee


@dataclass(frozen=True, slots=True)
class SynthetixOffer:
    """One market for one account. ``settlement_wad`` is what a keeper is paid for settling any order."""

    market: MarketId
    asset: str
    price_wad: int
    funding: Funding
    fees: Fees
    open_interest_wad: int
    max_size_wad: int
    settlement_wad: int
    account: SynthetixMargin

    @property
    def venue(self) -> str:
        return "synthetix"

    @property
    def cash_token(self) -> Token | None:
        return None

    @property
    def carry_per_day(self) -> float:
        """Longs pay the price times the rate."""
        return to_float(mul_div_trunc(self.funding.rate_at(self.account.at_s), self.price_wad, WAD))

    @property
    def max_buy_wad(self) -> int:
        return self._room(1)

    @property
    def max_sell_wad(self) -> int:
        return self._room(-1)

    def fill_wad(self, size_wad: int) -> int:
        """The price of an order settled now, before fees."""
        return fill_price(self.funding, size_wad, self.price_wad)

    def cost_wad(self, size_wad: int) -> int:
        """Against the oracle's price: the premium (a discount is none), the fee and the keeper's reward."""
        if size_wad == 0:
            return 0
        fill = self.fill_wad(size_wad)
        fee = order_fee(self.funding.skew_wad, size_wad, fill, self.fees)
        premium = -mul_div_trunc(size_wad, self.price_wad - fill, WAD)
        return max(0, premium) + fee + self.settlement_wad

    def cash_need_wad(self, size_wad: int) -> int:
        """Nothing: the trade is margined."""
        del size_wad
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        """What the trade takes of the margin that could be withdrawn before it: never 0 for a trade."""
        if size_wad == 0:
            return 0
        legs = tuple(
            replace(leg, size_wad=leg.size_wad + size_wad) if leg.market == self.market else leg
            for leg in self.account.legs
        )
        after, marks = replace(self.account, legs=legs), self.account.marks
        added = max(0, after.initial_wad(marks) - self.account.initial_wad(marks))
        return added + max(1, self.cost_wad(size_wad))

    def _room(self, side: int) -> int:
        """What brings this side's open interest to its limit, and closes what is held on the other first.

        A sale so large that its fill price would be below nothing is none, either.
        """
        held = next(leg.size_wad for leg in self.account.legs if leg.market == self.market)
        own_side = mul_div_down(self.open_interest_wad + side * self.funding.skew_wad, 1, 2)
        room = max(0, self.max_size_wad - own_side) + max(0, -side * held)
        if side > 0 or self.funding.skew_scale == 0:
            return room
        return max(0, min(room, 2 * (self.funding.skew_scale + self.funding.skew_wad)))
