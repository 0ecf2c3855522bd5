"""One pair as an account trades it, in one collateral: its fees, spread, limits and accruals."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.fixed import div_trunc
from agent.venues.gtrade.curve import Curve
from agent.venues.gtrade.fragment import LEVERAGE, P_10, PERCENT
from agent.venues.gtrade.holding import BorrowingTerms, FundingTerms, OpenInterest, borrowing, funding

LEGACY_THRESHOLD = 90 * P_10


@dataclass(frozen=True, slots=True)
class LiquidationTerms:
    """``GroupLiquidationParams``: percents at 10 decimals, leverages at 3."""

    max_spread: int
    start_threshold: int
    end_threshold: int
    start_leverage: int
    end_leverage: int

    def threshold(self, leverage: int) -> int:
        """``TradingCommonUtils.getLiqPnlThresholdP``: the loss, of the collateral, that liquidates."""
        if self.max_spread == 0:
            return LEGACY_THRESHOLD
        if leverage <= self.start_leverage:
            return self.start_threshold
        if leverage >= self.end_leverage:
            return self.end_threshold
        fallen = (leverage - self.start_leverage) * (self.start_threshold - self.end_threshold)
        return self.start_threshold - fallen // (self.end_leverage - self.start_leverage)


@dataclass(frozen=True, slots=True)
class Money:
    """The collateral: ``delta`` takes its smallest unit to 18 decimals; ``usd`` has 8."""

    index: int
    delta: int
    usd: int

    def of_usd(self, usd_wad: int) -> int:
        """``getCollateralFromUsdNormalizedValue``."""
        return usd_wad * 10**8 // self.usd // self.delta

    def to_usd(self, amount: int) -> int:
        """``getUsdNormalizedValue``."""
        return amount * self.delta * self.usd // 10**8


@dataclass(frozen=True, slots=True)
class Pair:
    """Percents at 10 decimals, leverages at 3, dollars at 18. ``spread``: of the account there, its own part
    included. ``buying`` and ``selling``: what size costs beyond half of it. ``room_long`` and ``room_short``:
    how much more may be opened, in the collateral's unit. ``gov_fee``: the share of a smallest fee that an
    update of leverage costs, percent at 3 decimals.
    """

    index: int
    money: Money
    spread: int
    fee: int
    min_size_usd: int
    min_fee_usd: int
    min_leverage: int
    max_leverage: int
    counter_multiplier: int
    gov_fee: int
    liquidation: LiquidationTerms
    funding: FundingTerms
    borrowing: BorrowingTerms
    interest: OpenInterest
    buying: Curve
    selling: Curve
    room_long: int
    room_short: int

    # --- fees ------------------------------------------------------------------------------------------

    def trading_fee(self, position: int, *, is_counter: bool) -> int:
        """``getTotalTradeFeesCollateral`` without a fee tier, of a position in the collateral's unit."""
        multiplier = self.counter_multiplier if is_counter else LEVERAGE
        basis = max(position * multiplier, self.money.of_usd(self.min_size_usd) * 1_000)
        return basis * self.fee // P_10 // 100 // 1_000

    @property
    def update_fee(self) -> int:
        """``getMinGovFeeCollateral``: what an update of leverage, or an order that is refused, costs."""
        return self.trading_fee(0, is_counter=False) // 2 * self.gov_fee // 1_000 // 100

    @property
    def least_collateral(self) -> int:
        """Nothing is opened with less."""
        return 5 * self.money.of_usd(self.min_fee_usd)

    # --- accruals --------------------------------------------------------------------------------------

    def funding_at(self, price: int, at_s: int, *, is_long: bool) -> int:
        """The side's accumulator at that price and second."""
        long, short, _ = funding(self.funding, self.interest, price, self.money.usd, at_s)
        return long if is_long else short

    def borrowing_at(self, price: int, at_s: int) -> int:
        return borrowing(self.borrowing, price, at_s)

    def carry_per_second(self, price: int, at_s: int, *, is_long: bool) -> float:
        """What a dollar of size pays per second: borrowing, and funding paid (> 0) or earned."""
        span_s = 3_600
        grown = self.funding_at(price, at_s + span_s, is_long=is_long) - self.funding_at(
            price, at_s, is_long=is_long
        )
        grown += self.borrowing_at(price, at_s + span_s) - self.borrowing_at(price, at_s)
        return grown / span_s / price / PERCENT

    # --- prices ----------------------------------------------------------------------------------------

    def fill_price(self, price: int, usd_wad: int, *, buys: bool) -> int:
        """``getPriceAfterImpact``: the oracle's price after spread and impact."""
        cost = self.impact(usd_wad, buys=buys)
        return price + div_trunc(price * (cost if buys else -cost), PERCENT)

    def impact(self, usd_wad: int, *, buys: bool) -> int:
        """Against the trader (> 0), percent at 10 decimals: half the spread, volume and skew."""
        return self.spread // 2 + (self.buying if buys else self.selling).at(usd_wad)
