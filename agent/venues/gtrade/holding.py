"""What holding a trade costs: funding and borrowing, to the last unit, at any price and second.

``FundingFeesUtils`` of the contracts' version 10. Fees accrue in percent of the position at its opening,
times the pair's price of the moment the fee is reckoned at: so what is owed depends on that price. Rates have
18 decimals inside, accumulators 20, both in percent.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.fixed import div_trunc
from agent.venues.gtrade.fragment import P_10, YEAR_S

APR_CAP = 100 * 10**20
E8, E18, E20 = 10**8, 10**18, 10**20


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """``FundingFeeParams`` and ``PairFundingFeeData`` of a pair."""

    skew_coefficient: int
    velocity_cap: int
    rate_cap: int
    theta_usd: int
    is_enabled: bool
    has_multiplier: bool
    acc_long: int
    acc_short: int
    rate: int
    at_s: int


@dataclass(frozen=True, slots=True)
class BorrowingTerms:
    """``BorrowingFeeParams`` and ``PairBorrowingFeeData`` of a pair."""

    rate: int
    acc: int
    at_s: int


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """Tokens of 18 decimals opened since version 10, on both sides."""

    long: int
    short: int

    @property
    def skew(self) -> int:
        return self.long - self.short


def velocity(terms: FundingTerms, interest: OpenInterest, price: int, collateral_usd: int) -> int:
    """``_getCurrentFundingVelocityPerYear``, signed, 10 decimals. ``collateral_usd`` has 8."""
    skew = interest.skew
    if skew == 0 or terms.skew_coefficient == 0 or terms.velocity_cap == 0:
        return 0
    usd = div_trunc(div_trunc(skew * price, E18) * collateral_usd, E8)
    sign = -1 if usd < 0 else 1
    if usd * sign < terms.theta_usd * P_10:
        return 0
    return min(skew * sign * terms.skew_coefficient // 10**34, terms.velocity_cap * 1_000) * sign


def rates(terms: FundingTerms, per_year: int, seconds: int) -> tuple[int, int]:
    """``_getAvgFundingRatePerSecondP``: (average since the last update, now), 18 decimals."""
    last = terms.rate
    if terms.rate_cap == 0:
        return 0, 0
    if per_year == 0 or seconds == 0:
        return last, last
    cap = terms.rate_cap * E8 * (-1 if per_year < 0 else 1)
    if cap == last:
        return cap, cap
    until_cap = div_trunc(div_trunc((cap - last) * YEAR_S, per_year), E8)
    if seconds > until_cap:
        first = div_trunc(last + cap, 2)
        return div_trunc(first * until_cap + cap * (seconds - until_cap), seconds), cap
    now = last + div_trunc(seconds * per_year * E8, YEAR_S)
    return div_trunc(last + now, 2), now


def funding(
    terms: FundingTerms, interest: OpenInterest, price: int, collateral_usd: int, now_s: int
) -> tuple[int, int, int]:
    """``getPairPendingAccFundingFees``: accumulators of longs and shorts, and the rate now."""
    if not terms.is_enabled:
        return terms.acc_long, terms.acc_short, terms.rate
    seconds = now_s - terms.at_s
    per_year = velocity(terms, interest, price, collateral_usd)
    average, now = rates(terms, per_year, seconds)
    spans = [(average, seconds, terms.has_multiplier)]
    if terms.has_multiplier and now * terms.rate < 0:
        until_zero = div_trunc(div_trunc(-terms.rate * YEAR_S, per_year), E8)
        spans = [
            (div_trunc(terms.rate, 2), until_zero, True),
            (div_trunc(now, 2), seconds - until_zero, True),
        ]
    long, short = terms.acc_long, terms.acc_short
    for rate, span_s, multiplied in spans:
        delta = div_trunc(rate * span_s * price, E8)
        for_long, for_short = multipliers(rate, interest, multiplied=multiplied)
        long += div_trunc(delta * for_long, E20)
        short -= div_trunc(delta * for_short, E20)
    return long, short, now


def multipliers(rate: int, interest: OpenInterest, *, multiplied: bool) -> tuple[int, int]:
    """``_getLongShortAprMultiplier``: what the smaller side earns more, 20 decimals."""
    if rate == 0:
        return E20, E20
    long = short = 0
    if interest.long:
        long = interest.short * E20 // interest.long if rate < 0 and multiplied else E20
    if interest.short:
        short = interest.long * E20 // interest.short if rate > 0 and multiplied else E20
    return min(long, APR_CAP), min(short, APR_CAP)


def borrowing(terms: BorrowingTerms, price: int, now_s: int) -> int:
    """``getPairPendingAccBorrowingFees``."""
    return terms.acc + terms.rate * (now_s - terms.at_s) * price


def share(position: int, grown: int, open_price: int) -> int:
    """What an accumulator's growth costs a position, in its collateral; toward zero, as the contract."""
    return div_trunc(div_trunc(div_trunc(position * grown, open_price), P_10), 100)
