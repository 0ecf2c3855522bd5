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
PERCENTILES = (10, 25, 50, 75, 90, 99)  # what is asked of the chain's history; between them: a line


@dataclass(frozen=True, slots=True)
class Appetite:
    """How one bids: a percentile of recent tips, room for the base fee's rise (12.5 % a block), and how
    much more a replacement bids where the budget allows it.
    """

    tip_percentile: int
    base_fee_bps: int
    bump_bps: int = BUMP_BPS


@dataclass(frozen=True, slots=True)
class Grades:
    """The bids inside one urgency: with nothing pressing, and with liquidation at the door."""

    calm: Appetite
    pressed: Appetite

    def at(self, pressure_bps: int) -> Appetite:
        """The bid at a pressure from 0 to 10,000, on the line between the two."""
        return Appetite(
            _between(self.calm.tip_percentile, self.pressed.tip_percentile, pressure_bps),
            _between(self.calm.base_fee_bps, self.pressed.base_fee_bps, pressure_bps),
            _between(self.calm.bump_bps, self.pressed.bump_bps, pressure_bps),
        )


APPETITES: Mapping[Urgency, Grades] = MappingProxyType(
    {
        Urgency.HOUSEKEEPING: Grades(Appetite(25, 15_000), Appetite(50, 20_000)),
        Urgency.NORMAL: Grades(Appetite(50, 20_000), Appetite(75, 30_000, bump_bps=12_000)),
        Urgency.RESCUE: Grades(Appetite(90, 30_000), Appetite(99, 50_000, bump_bps=15_000)),
    }
)


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """``max_cost_wei``: the most one transaction may cost; ``max_rescue_cost_wei`` (if set): a rescue.
    ``min_tip_wei``: what is paid when nobody tips.
    """

    max_cost_wei: int
    min_tip_wei: int = 1
    max_rescue_cost_wei: int | None = None
    appetites: Mapping[Urgency, Grades] = field(default_factory=lambda: APPETITES)

    def cap_wei(self, urgency: Urgency, budget_wei: int | None = None) -> int:
        """The most one transaction of this urgency may cost: the owner's cap, or what it is worth if that
        is less. ``budget_wei`` None: nobody can say what it is worth.
        """
        cap_wei = self.max_cost_wei
        if urgency is Urgency.RESCUE and self.max_rescue_cost_wei is not None:
            cap_wei = self.max_rescue_cost_wei
        return cap_wei if budget_wei is None else min(cap_wei, max(budget_wei, 0))


@dataclass(frozen=True, slots=True)
class History:
    """The last blocks, oldest first. ``tips_wei[i]`` are a block's tips at ``PERCENTILES``; empty blocks
    are left out, for they say nothing about what a place costs."""

    next_base_fee_wei: int
    tips_wei: tuple[tuple[int, ...], ...]
    percentiles: tuple[int, ...] = PERCENTILES

    def tip_wei(self, percentile: int) -> int:
        """The median over the blocks of what that percentile tipped, 0 if no block had a transaction.

        A percentile nobody asked the node for lies on the line between its neighbours, rounded up.
        """
        asked = self.percentiles
        below = max((p for p in asked if p <= percentile), default=asked[0])
        above = min((p for p in asked if p >= percentile), default=asked[-1])
        low_wei, high_wei = self._median_wei(below), self._median_wei(above)
        if above <= below:
            return low_wei
        return low_wei + mul_div_up(max(0, high_wei - low_wei), percentile - below, above - below)

    def _median_wei(self, percentile: int) -> int:
        column = self.percentiles.index(percentile)
        tips: Sequence[int] = [row[column] for row in self.tips_wei]
        return median_low(tips) if tips else 0


def market(history: History, urgency: Urgency, policy: FeePolicy, pressure_bps: int = 0) -> Fee:
    """What the market asks now for this urgency and pressure; no budget yet. There is no floor but
    ``min_tip_wei``."""
    appetite = policy.appetites[urgency].at(pressure_bps)
    tip_wei = max(history.tip_wei(appetite.tip_percentile), policy.min_tip_wei)
    room_wei = mul_div_up(history.next_base_fee_wei, appetite.base_fee_bps, BPS)
    return Fee(max_fee_wei=room_wei + tip_wei, tip_wei=tip_wei)


def bid(
    history: History,
    urgency: Urgency,
    policy: FeePolicy,
    gas: int,
    value_wei: int = 0,
    *,
    pressure_bps: int = 0,
    budget_wei: int | None = None,
    data_fee_wei: int = 0,
) -> Fee:
    """The first bid for a transaction.

    ``budget_wei`` is what the transaction is worth (None: not known), ``data_fee_wei`` what the chain takes
    beside gas (`rollup.DataFee.most_wei`; 0 where it takes nothing). To stay inside the lower of budget and
    cap, headroom for a rising base fee is given up first and then the tip, down to ``min_tip_wei``: a late
    place in the block is better than none. Raises FeeCapExceeded when not even that could enter the next
    block.
    """
    wanted = market(history, urgency, policy, pressure_bps)
    cap_wei = policy.cap_wei(urgency, budget_wei)
    beside_wei = value_wei + data_fee_wei
    affordable_wei = (cap_wei - beside_wei) // gas
    needed_wei = history.next_base_fee_wei + policy.min_tip_wei
    if affordable_wei < needed_wei:
        raise FeeCapExceeded(cost_wei=needed_wei * gas + beside_wei, cap_wei=cap_wei)
    tip_wei = min(wanted.tip_wei, affordable_wei - history.next_base_fee_wei)
    return Fee(min(wanted.max_fee_wei, affordable_wei), tip_wei)


def bump(
    last: Fee,
    history: History,
    urgency: Urgency,
    policy: FeePolicy,
    gas: int,
    value_wei: int = 0,
    *,
    pressure_bps: int = 0,
    budget_wei: int | None = None,
    data_fee_wei: int = 0,
) -> Fee:
    """The bid that replaces ``last``: both fees at least 10 % higher (rounded up), more under pressure, and
    at the market; ``budget_wei`` and ``data_fee_wei`` as in `bid`.

    Raises FeeCapExceeded when the smallest replacement is beyond the budget; the caller keeps the last
    attempt alive.
    """
    least = Fee(raised(last.max_fee_wei), raised(last.tip_wei))
    step_bps = policy.appetites[urgency].at(pressure_bps).bump_bps
    wanted = market(history, urgency, policy, pressure_bps)
    cap_wei = policy.cap_wei(urgency, budget_wei)
    beside_wei = value_wei + data_fee_wei
    affordable_wei = (cap_wei - beside_wei) // gas
    if affordable_wei < least.max_fee_wei:
        raise FeeCapExceeded(cost_wei=least.max_fee_wei * gas + beside_wei, cap_wei=cap_wei)
    max_fee_wei = min(max(raised(last.max_fee_wei, step_bps), wanted.max_fee_wei), affordable_wei)
    return Fee(max_fee_wei, min(max(raised(last.tip_wei, step_bps), wanted.tip_wei), max_fee_wei))


def raised(wei: int, bump_bps: int = BUMP_BPS) -> int:
    """``wei`` times the factor, rounded up, and always more. With the default: the least a pool accepts."""
    return max(wei + 1, mul_div_up(wei, max(bump_bps, BUMP_BPS), BPS))


def patience(calm_blocks: int, pressure_bps: int) -> int:
    """Blocks to wait before outbidding ourselves: from ``calm_blocks`` down to one as pressure rises."""
    return _between(calm_blocks, 1, pressure_bps)


def _between(calm: int, pressed: int, pressure_bps: int) -> int:
    """On the line from one to the other, the whole number nearer to the pressed end."""
    pressure_bps = min(max(pressure_bps, 0), BPS)
    if pressed >= calm:
        return calm + mul_div_up(pressed - calm, pressure_bps, BPS)
    return calm - mul_div_up(calm - pressed, pressure_bps, BPS)
