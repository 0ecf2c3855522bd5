"""One perps market's terms as functions of price and time, rounded as the contract rounds.

Synthetix V3 perps-market 3.13.0: ``storage/PerpsMarket.sol`` (funding), ``storage/Position.sol`` (profit and
interest), ``storage/PerpsMarketConfiguration.sol`` (margins), ``storage/AsyncOrder.sol`` (fill price and
fees). Its DecimalMath cuts: towards zero for signed numbers, down for unsigned ones. Ratios and prices are
wads.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import MarketId
from agent.values.fixed import DAY_S, WAD, div_up, mul_div_down, mul_div_trunc, mul_down


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """What a position must keep: ``PerpsMarketConfiguration.Data``."""

    initial_ratio: int  # per unit of size over the skew scale
    minimum_initial_ratio: int
    maintenance_scalar: int
    flag_ratio: int
    minimum_margin: int
    locked_oi_ratio: int
    limit_multiplier: int
    limit_window_s: int


@dataclass(frozen=True, slots=True)
class Funding:
    """``PerpsMarket.Data`` as it was last written. A rate is a fraction of the notional per day; ``value`` is
    what one unit long has been paid (> 0) since the market began, in quote.
    """

    rate: int
    value: int
    time_s: int
    skew_wad: int
    skew_scale: int
    max_velocity: int

    @property
    def velocity(self) -> int:
        """How much the rate changes per day: ``currentFundingVelocity``."""
        if self.skew_scale == 0:
            return 0
        share = mul_div_trunc(self.skew_wad, WAD, self.skew_scale)
        return mul_div_trunc(max(-WAD, min(WAD, share)), self.max_velocity, WAD)

    def rate_at(self, at_s: int) -> int:
        """``currentFundingRate``."""
        return self.rate + mul_div_trunc(self.velocity, self._elapsed(at_s), WAD)

    def value_at(self, price_wad: int, at_s: int) -> int:
        """``calculateNextFunding``: paid at ``price_wad`` for all the time since the last write."""
        average = -mul_div_trunc(self.rate + self.rate_at(at_s), WAD, 2 * WAD)
        return self.value + mul_div_trunc(mul_div_trunc(average, self._elapsed(at_s), WAD), price_wad, WAD)

    def recomputed(self, price_wad: int, at_s: int, added_wad: int) -> Funding:
        """After a trade of ``added_wad`` at that time: ``recomputeFunding`` and the new skew."""
        return Funding(
            self.rate_at(at_s),
            self.value_at(price_wad, at_s),
            at_s,
            self.skew_wad + added_wad,
            self.skew_scale,
            self.max_velocity,
        )

    def _elapsed(self, at_s: int) -> int:
        """Days since the last write, wad."""
        return mul_div_down(at_s - self.time_s, WAD, DAY_S)


@dataclass(frozen=True, slots=True)
class Fees:
    """Of the notional: ``maker`` for what brings the skew nearer to nothing, ``taker`` for the rest."""

    maker: int
    taker: int


@dataclass(frozen=True, slots=True)
class Leg:
    """The account's stake in one market. ``size_wad`` > 0 is long; 0 is no position.

    ``entry_wad``, ``entry_funding`` and ``entry_interest`` are price, funding value and interest per dollar
    as they were when the position was last changed.
    """

    market: MarketId
    asset: str
    size_wad: int
    entry_wad: int
    entry_funding: int
    entry_interest: int
    funding: Funding
    margin: MarginTerms
    fees: Fees

    def notional(self, price_wad: int) -> int:
        return mul_down(abs(self.size_wad), price_wad)

    def funding_wad(self, price_wad: int, at_s: int) -> int:
        """Funding received (> 0) or owed since the last change of the position."""
        return mul_div_trunc(self.size_wad, self.funding.value_at(price_wad, at_s) - self.entry_funding, WAD)

    def interest_wad(self, price_wad: int, interest: int) -> int:
        """Interest owed, ``interest`` being the market's per dollar of locked open interest."""
        locked = mul_down(self.notional(price_wad), self.margin.locked_oi_ratio)
        return mul_down(locked, interest - self.entry_interest)

    def pnl(self, price_wad: int, at_s: int, interest: int) -> int:
        """``Position.getPnl``: the price's move, funding and interest."""
        moved = mul_div_trunc(self.size_wad, price_wad - self.entry_wad, WAD)
        return moved + self.funding_wad(price_wad, at_s) - self.interest_wad(price_wad, interest)

    @property
    def initial_ratio(self) -> int:
        """``calculateRequiredMargins``: grows with the size's share of the skew scale."""
        scale = self.funding.skew_scale
        impact = 0 if scale == 0 else mul_div_down(abs(self.size_wad), WAD, scale)
        return mul_down(impact, self.margin.initial_ratio) + self.margin.minimum_initial_ratio

    @property
    def maintenance_ratio(self) -> int:
        return mul_down(self.initial_ratio, self.margin.maintenance_scalar)

    def maintenance(self, price_wad: int) -> int:
        """Without the fixed minimum per position."""
        return mul_down(self.notional(price_wad), self.maintenance_ratio)

    def initial(self, price_wad: int) -> int:
        """Without the fixed minimum per position."""
        return mul_down(self.notional(price_wad), self.initial_ratio)

    def flag_reward(self, price_wad: int) -> int:
        return mul_down(self.notional(price_wad), self.margin.flag_ratio)

    @property
    def windows(self) -> int:
        """In how many steps the position would be liquidated: ``numberOfLiquidationWindows``."""
        per_second = mul_down(
            mul_down(self.fees.maker + self.fees.taker, self.funding.skew_scale), self.margin.limit_multiplier
        )
        most = per_second * self.margin.limit_window_s
        return 0 if most == 0 else div_up(abs(self.size_wad), most)


def fill_price(funding: Funding, size_wad: int, price_wad: int) -> int:
    """What an order is filled at, the average of the premium before and after: ``calculateFillPrice``."""
    if funding.skew_scale == 0:
        return price_wad
    before = mul_div_trunc(funding.skew_wad, WAD, funding.skew_scale)
    after = mul_div_trunc(funding.skew_wad + size_wad, WAD, funding.skew_scale)
    total = 2 * price_wad + mul_div_trunc(price_wad, before, WAD) + mul_div_trunc(price_wad, after, WAD)
    return mul_div_down(max(0, total), WAD, 2 * WAD)


def order_fee(skew_wad: int, size_wad: int, fill_wad: int, fees: Fees) -> int:
    """The market's fee on an order: ``calculateOrderFee``. One that turns the skew over pays both."""
    notional = mul_div_trunc(size_wad, fill_wad, WAD)
    if _same_side(skew_wad + size_wad, skew_wad):
        rate = fees.taker if _same_side(notional, skew_wad) else fees.maker
        return abs(mul_div_trunc(notional, rate, WAD))
    maker = mul_down(mul_down(abs(skew_wad), fill_wad), fees.maker)
    taker = mul_down(mul_down(abs(skew_wad + size_wad), fill_wad), fees.taker)
    return taker + maker


def _same_side(a: int, b: int) -> bool:
    return a == 0 or b == 0 or (a > 0) == (b > 0)
