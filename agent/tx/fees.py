"""What to bid for a place in a block: pure arithmetic on the chain's own recent history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from types import MappingProxyType

from agent.errors import FeeCapExceeded
from agent.market.intent import Urgency
from agent.tx.transaction import Fee
from agent.values.fixed import BPS, mul_div_up

BUMP_BPS = 11_000  # what geth's pool demands of both fees of a replacement


@dataclass(frozen=True, slots=True)
class Appetite:
    """How an urgency bids: a percentile of recent tips, and room for the base fee's rise (12.5 % a block)."""

    tip_percentile: int
    base_fee_bps: int


APPETITES: Mapping[Urgency, Appetite] = MappingProxyType(
    {
        Urgency.HOUSEKEEPING: Appetite(tip_percentile=25, base_fee_bps=15_000),
        Urgency.NORMAL: Appetite(tip_percentile=50, base_fee_bps=20_000),
        Urgency.RESCUE: Appetite(tip_percentile=90, base_fee_bps=30_000),
    }
)
PERCENTILES = tuple(sorted({a.tip_percentile for a in APPETITES.values()}))


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """``max_cost_wei``: the most one transaction may cost; ``max_rescue_cost_wei`` (if set): a rescue.
    ``min_tip_wei``: what is paid when nobody tips.
    """

    max_cost_wei: int
    min_tip_wei: int = 1
    max_rescue_cost_wei: int | None = None
    appetites: Mapping[Urgency, Appetite] = field(default_factory=lambda: APPETITES)

    def cap_wei(self, urgency: Urgency) -> int:
        """The budget of one transaction of this urgency."""
        if urgency is Urgency.RESCUE and self.max_rescue_cost_wei is not None:
            return self.max_rescue_cost_wei
        return self.max_cost_wei


@dataclass(frozen=True, slots=True)
class History:
    """The last blocks, oldest first. ``tips_wei[i]`` are a block's tips at ``PERCENTILES``; empty blocks
    are left out, for they say nothing about what a place costs."""

    next_base_fee_wei: int
    tips_wei: tuple[tuple[int, ...], ...]
    percentiles: tuple[int, ...] = PERCENTILES

    def tip_wei(self, percentile: int) -> int:
        """The median over the blocks of what that percentile tipped, 0 if no block had a transaction."""
        column = self.percentiles.index(percentile)
        tips: Sequence[int] = [row[column] for row in self.tips_wei]
        return median_low(tips) if tips else 0


def market(history: History, urgency: Urgency, policy: FeePolicy) -> Fee:
    """What the market asks now for this urgency; no budget yet. There is no floor but ``min_tip_wei``."""
    appetite = policy.appetites[urgency]
    tip_wei = max(history.tip_wei(appetite.tip_percentile), policy.min_tip_wei)
    room_wei = mul_div_up(history.next_base_fee_wei, appetite.base_fee_bps, BPS)
    return Fee(max_fee_wei=room_wei + tip_wei, tip_wei=tip_wei)


def bid(history: History, urgency: Urgency, policy: FeePolicy, gas: int, value_wei: int = 0) -> Fee:
    """The first bid for a transaction.

    To stay inside the budget, headroom for a rising base fee is given up first and then the tip, down to
    ``min_tip_wei``: a late place in the block is better than none. Raises FeeCapExceeded when not even
    that could enter the next block.
    """
    wanted = market(history, urgency, policy)
    cap_wei = policy.cap_wei(urgency)
    affordable_wei = (cap_wei - value_wei) // gas
    needed_wei = history.next_base_fee_wei + policy.min_tip_wei
    if affordable_wei < needed_wei:
        raise FeeCapExceeded(cost_wei=needed_wei * gas + value_wei, cap_wei=cap_wei)
    tip_wei = min(wanted.tip_wei, affordable_wei - history.next_base_fee_wei)
    return Fee(min(wanted.max_fee_wei, affordable_wei), tip_wei)


def bump(
    last: Fee, history: History, urgency: Urgency, policy: FeePolicy, gas: int, value_wei: int = 0
) -> Fee:
    """The bid that replaces ``last``: both fees at least 10 % higher (rounded up), and at the market.

    Raises FeeCapExceeded when the smallest replacement is beyond the budget; the caller keeps the last
    attempt alive.
    """
    least = Fee(raised(last.max_fee_wei), raised(last.tip_wei))
    wanted = market(history, urgency, policy)
    cap_wei = policy.cap_wei(urgency)
    affordable_wei = (cap_wei - value_wei) // gas
    if affordable_wei < least.max_fee_wei:
        raise FeeCapExceeded(cost_wei=least.max_fee_wei * gas + value_wei, cap_wei=cap_wei)
    max_fee_wei = min(max(least.max_fee_wei, wanted.max_fee_wei), affordable_wei)
    return Fee(max_fee_wei, min(max(least.tip_wei, wanted.tip_wei), max_fee_wei))


def raised(wei: int) -> int:
    """The least a pool accepts in place of ``wei``: ceil(1.1 x), and always more."""
    return max(wei + 1, mul_div_up(wei, BUMP_BPS, BPS))
