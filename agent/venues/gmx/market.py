"""One GMX market as a pure function of prices and time: rates, accumulators, impact and profit, as the
contracts reckon them (gmx-synthetics ``MarketUtils``, ``PositionPricingUtils``; source of March 2026).

Dollars and factors have 30 decimals, token amounts are in the token's smallest unit. Longs come first in
every pair of sides, the long token in every pair of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agent.values.address import Address
from agent.values.fixed import div_up, mul_div_down, mul_div_up
from agent.venues.gmx.power import FLOAT, apply_exponent
from agent.venues.gmx.price import Price, Prices

PER_SIZE = FLOAT * 10**15  # what funding per unit of size is counted in


class Pair(NamedTuple):
    """Two numbers: of longs and shorts, or of improvement and worsening."""

    first: int
    second: int

    def of(self, *, first: bool) -> int:
        return self.first if first else self.second


@dataclass(frozen=True, slots=True)
class Side:
    """One side's open interest, by collateral, and its borrowing terms.

    ``usd`` and ``tokens``: opened size in dollars and index tokens, of the long and the short token as
    collateral. ``funding_per_size`` and ``claim_per_size``: the stored accumulators, by token.
    """

    usd: Pair
    tokens: Pair
    funding_per_size: Pair
    claim_per_size: Pair
    borrowing: int
    borrowed_at_s: int
    optimal_usage: int
    base_rate: int
    above_rate: int
    plain_rate: int
    plain_exponent: int
    reserve: int
    interest_reserve: int
    max_usd: int
    max_profit: int
    min_collateral_multiplier: int

    @property
    def open_usd(self) -> int:
        return self.usd.first + self.usd.second

    @property
    def open_tokens(self) -> int:
        return self.tokens.first + self.tokens.second


@dataclass(frozen=True, slots=True)
class Funding:
    """How the funding rate moves. ``updated_at_s`` 0: never was."""

    saved: int
    updated_at_s: int
    increase: int
    decrease: int
    stable_above: int
    decrease_below: int
    least: int
    most: int
    plain: int
    exponent: int


@dataclass(frozen=True, slots=True)
class Impact:
    """Price impact of the imbalance: factors and exponents for improvement and worsening, and their caps.

    ``inventory``: the imbalance over all markets of the index token, in dollars or tokens as the protocol
    counts; None where it does not.
    """

    factors: Pair
    exponents: Pair
    most: Pair
    most_in_liquidation: int
    inventory: int | None = None


@dataclass(frozen=True, slots=True)
class Fees:
    """Position fee factors for improvement and worsening, and what demands collateral."""

    position: Pair
    liquidation: int
    min_collateral: int
    min_collateral_in_liquidation: int
    min_collateral_usd: int
    min_size_usd: int


@dataclass(frozen=True, slots=True)
class Market:
    """One market. ``counts_tokens``: imbalances are of today's worth, not of opened size.

    ``spares_smaller``: the smaller side pays no borrowing. ``pool``: amounts of both tokens.
    ``impact_pool``: index tokens from which positive impact is paid; ``lendable_usd`` what may be lent to it.
    """

    token: Address
    index_token: Address
    long_token: Address
    short_token: Address
    longs: Side
    shorts: Side
    funding: Funding
    impact: Impact
    fees: Fees
    pool: Pair
    impact_pool: int
    lent_impact: int
    max_lendable: int
    max_lendable_usd: int
    counts_tokens: bool
    spares_smaller: bool
    is_disabled: bool = False

    @property
    def divisor(self) -> int:
        """Two where both tokens are one: its numbers are stored once and count half for each."""
        return 2 if self.long_token == self.short_token else 1

    def side(self, *, is_long: bool) -> Side:
        return self.longs if is_long else self.shorts

    # --- what imbalances are made of -------------------------------------------------------------------

    def balance(self, middle: int, *, is_long: bool) -> int:
        """One side, as imbalances are measured."""
        side = self.side(is_long=is_long)
        return side.open_tokens * middle if self.counts_tokens else side.open_usd

    def pool_usd(self, prices: Prices, *, is_long: bool) -> int:
        """The worth of the token that backs a side."""
        return self.pool.first * prices.long.low if is_long else self.pool.second * prices.short.low

    def reserved_usd(self, prices: Prices, *, is_long: bool) -> int:
        """What a side may come to be owed."""
        if is_long:
            return self.longs.open_tokens * prices.index.high
        return self.shorts.open_usd

    # --- borrowing -------------------------------------------------------------------------------------

    def borrowing_rate(self, prices: Prices, *, is_long: bool) -> int:
        """Per second, of the size: ``getBorrowingFactorPerSecond``, with its kink where there is one."""
        side, reserved = self.side(is_long=is_long), self.reserved_usd(prices, is_long=is_long)
        if reserved == 0:
            return 0
        if self.spares_smaller:
            own, other = (self.balance(prices.index.middle, is_long=who) for who in (is_long, not is_long))
            if own < other:
                return 0
        pool = self.pool_usd(prices, is_long=is_long)
        if pool == 0:
            return 0
        if side.optimal_usage == 0:
            used = apply_exponent(reserved, side.plain_exponent) * FLOAT // pool
            return used * side.plain_rate // FLOAT
        usable = pool * side.interest_reserve // FLOAT
        usage = reserved * FLOAT // usable if usable else 0
        rate = usage * side.base_rate // FLOAT
        if side.optimal_usage < usage and side.optimal_usage < FLOAT:
            steeper = max(0, side.above_rate - side.base_rate)
            rate += steeper * (usage - side.optimal_usage) // (FLOAT - side.optimal_usage)
        return rate

    def next_borrowing(self, prices: Prices, at_s: int, *, is_long: bool) -> int:
        """The accumulator as an execution at ``at_s`` would first bring it up to date."""
        side = self.side(is_long=is_long)
        seconds = at_s - side.borrowed_at_s if side.borrowed_at_s else 0
        return side.borrowing + seconds * self.borrowing_rate(prices, is_long=is_long)

    # --- funding ---------------------------------------------------------------------------------------

    def next_rate(self, middle: int, at_s: int) -> tuple[int, bool]:
        """(per second, whether longs pay): ``getNextFundingFactorPerSecond``."""
        long, short = (self.balance(middle, is_long=is_long) for is_long in (True, False))
        terms, skew = self.funding, abs(long - short)
        if skew == 0 and terms.increase == 0:
            return 0, True
        if long + short == 0:
            return 0, True
        skew = apply_exponent(skew, terms.exponent) * FLOAT // (long + short)
        if terms.increase == 0:
            return min(skew * terms.plain // FLOAT, terms.most), long > short
        seconds = at_s - terms.updated_at_s if terms.updated_at_s else 0
        saved = terms.saved
        goes_on = (saved > 0 and long > short) or (saved < 0 and short > long)
        if not goes_on or skew > terms.stable_above:
            step = skew * terms.increase // FLOAT * seconds
            saved += -step if long < short else step
        elif skew < terms.decrease_below and saved:
            left = abs(saved) - terms.decrease * seconds
            saved = (1 if saved > 0 else -1) * (left if left > 0 else 1)
        saved = _bounded(saved, 0, terms.most)
        paid = _bounded(saved, terms.least, terms.most)
        return abs(paid), paid > 0

    def next_funding(self, prices: Prices, at_s: int, *, is_long: bool, in_long_token: bool) -> int:
        """What a unit of size owes since ever, in one collateral, as an execution would write it down."""
        side = self.side(is_long=is_long)
        stored = side.funding_per_size.of(first=in_long_token)
        if not self.longs.open_usd or not self.shorts.open_usd or not self.funding.updated_at_s:
            return stored
        rate, longs_pay = self.next_rate(prices.index.middle, at_s)
        if longs_pay is not is_long:
            return stored
        seconds = at_s - self.funding.updated_at_s
        usd = side.open_usd * (seconds * rate) // FLOAT // self.divisor
        own = side.usd.of(first=in_long_token)
        part = usd * own // side.open_usd
        if part == 0 or own == 0:
            return stored
        price = prices.long.high if in_long_token else prices.short.high
        delta = div_up(mul_div_up(part, PER_SIZE, own), price)
        return stored + delta * self.divisor

    # --- impact ----------------------------------------------------------------------------------------

    def price_impact(
        self, prices: Prices, size_usd: int, size_tokens: int, *, is_long: bool
    ) -> tuple[int, bool]:
        """(dollars, whether the imbalance shrinks) of a change of one side, uncapped; < 0 costs."""
        middle = prices.index.middle
        long, short = (self.balance(middle, is_long=who) for who in (True, False))
        change = size_tokens * middle if self.counts_tokens else size_usd
        usd, improves = self._impact(long, short, change, is_long=is_long)
        if usd >= 0 or self.impact.inventory is None:
            return usd, improves
        inventory = self.impact.inventory * (middle if self.counts_tokens else 1)
        long, short = max(0, -inventory), max(0, inventory)
        offset = max(0, -change)
        virtual, improves_it = self._impact(long + offset, short + offset, change, is_long=is_long)
        return (virtual, improves_it) if virtual < usd else (usd, improves)

    def _impact(self, long: int, short: int, change: int, *, is_long: bool) -> tuple[int, bool]:
        next_long = max(0, long + change) if is_long else long
        next_short = short if is_long else max(0, short + change)
        before, after = abs(long - short), abs(next_long - next_short)
        improves = after < before
        good, bad = _adjusted(self.impact.factors)
        good_exponent, bad_exponent = _adjusted(self.impact.exponents)
        if (long <= short) == (next_long <= next_short):
            factor, exponent = (good, good_exponent) if improves else (bad, bad_exponent)
            moved = abs(_worth(before, factor, exponent) - _worth(after, factor, exponent))
            return (moved if improves else -moved), improves
        gained = _worth(before, good, good_exponent) - _worth(after, bad, bad_exponent)
        return gained, improves

    def capped_impact(self, usd: int, size_usd: int) -> int:
        """A positive impact is at most a share of the size."""
        if usd < 0:
            return usd
        return min(usd, size_usd * _adjusted(self.impact.most).first // FLOAT)

    def payable_impact(self, usd: int, prices: Prices) -> int:
        """A positive impact is at most what its pool holds and may borrow."""
        if usd <= 0:
            return usd
        held = self.impact_pool * prices.index.low
        if usd <= held:
            return usd
        worth = self.pool.first * prices.long.low + self.pool.second * prices.short.low
        most = min(worth * self.max_lendable // FLOAT, self.max_lendable_usd)
        return min(usd, held + max(0, most - self.lent_impact * prices.index.high))

    # --- profit ----------------------------------------------------------------------------------------

    def capped_profit(self, usd: int, prices: Prices, *, is_long: bool) -> int:
        """A position's profit when the side's whole profit is more than the pool pays."""
        if usd <= 0:
            return usd
        side = self.side(is_long=is_long)
        all_of_it = gain(side.open_usd, side.open_tokens, prices.index, is_long=is_long, best=True)
        if not side.open_usd or not side.open_tokens or all_of_it <= 0:
            return usd
        most = self.pool_usd(prices, is_long=is_long) * side.max_profit // FLOAT
        if most >= all_of_it or most <= 0:
            return usd
        return mul_div_down(usd, most, all_of_it)


def gain(size_usd: int, size_tokens: int, index: Price, *, is_long: bool, best: bool) -> int:
    """Worth less cost for longs, the reverse for shorts, at the better or the worse of the two prices."""
    price = index.pick(highest=best is is_long)
    return size_tokens * price - size_usd if is_long else size_usd - size_tokens * price


def tokens_of(size_usd: int, whole_usd: int, whole_tokens: int, *, is_long: bool) -> int:
    """Index tokens that leave with ``size_usd`` of a position, rounded for the pool."""
    if size_usd == whole_usd:
        return whole_tokens
    if is_long:
        return mul_div_up(whole_tokens, size_usd, whole_usd)
    return mul_div_down(whole_tokens, size_usd, whole_usd)


def impact_tokens(usd: int, index: Price) -> int:
    """An impact at opening as the index tokens it is kept in, rounded against the trader."""
    return usd // index.high if usd > 0 else -div_up(-usd, index.low)


def part_of(amount: int, size_usd: int, whole_usd: int) -> int:
    """The share of a pending impact that goes with ``size_usd``: a cost is rounded up, a gain down."""
    return mul_div_down(amount, size_usd, whole_usd)


def _adjusted(pair: Pair) -> Pair:
    """What rewards improvement is never more than what punishes worsening."""
    return Pair(min(pair.first, pair.second), pair.second)


def _worth(usd: int, factor: int, exponent: int) -> int:
    return apply_exponent(usd, exponent) * factor // FLOAT


def _bounded(value: int, least: int, most: int) -> int:
    size = min(max(abs(value), least), most)
    return -size if value < 0 else size
