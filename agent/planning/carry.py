"""What holding is expected to cost, with the hysteresis that keeps us from chasing funding's sign.

Sign: quote paid per day by one unit long; negative where the long is paid. The expectation over the next
holding time is what was seen over the last one, and time that nobody saw counts as none: a rate has to last
before it counts, and one that changes its sign every hour counts as next to nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.market.offer import Offer
from agent.planning.policy import Policy
from agent.values.address import MarketId
from agent.values.fixed import DAY_S, to_float

BUCKET_S = 300  # seconds of funding that are remembered as one sum
LONGEST_S = 7 * DAY_S  # what is remembered at most
LONGEST_GAP_S = 900  # between two looks; what lies beyond was not seen

Expected = Mapping[MarketId, float]  # quote per day and unit long


@dataclass(slots=True)
class _Bucket:
    begins_s: int
    paid: dict[MarketId, float]  # quote per unit long, in this bucket's time


class CarryTrail:
    """The funding of the last ``longest_s``, market by market. Knows only what it was shown."""

    def __init__(self, longest_s: int = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._buckets: deque[_Bucket] = deque()
        self._last: tuple[int, dict[MarketId, float]] | None = None

    def note(self, at_s: int, offers: Sequence[Offer]) -> None:
        """The rates of a head at chain time ``at_s``; each stands until the next look. What a
        reorganisation took back stays remembered until the window has passed: it is a few seconds' worth.
        """
        if self._last is not None:
            since_s, rates = self._last
            seen_s = min(at_s - since_s, LONGEST_GAP_S)
            if seen_s > 0:
                if not self._buckets or since_s >= self._buckets[-1].begins_s + BUCKET_S:
                    self._buckets.append(_Bucket(since_s, {}))
                paid = self._buckets[-1].paid
                for market, rate in rates.items():
                    paid[market] = paid.get(market, 0.0) + rate * seen_s / DAY_S
        self._last = (at_s, {offer.market: offer.carry_per_day for offer in offers})
        while self._buckets and self._buckets[0].begins_s < at_s - self._longest_s:
            self._buckets.popleft()

    def expected(self, window_s: int) -> dict[MarketId, float]:
        """Quote per day and unit long: what was paid in the last ``window_s`` over all of it, seen or not.

        A window shorter than what is remembered as one sum is as long as that.
        """
        window_s = max(window_s, BUCKET_S)
        totals: dict[MarketId, float] = {}
        begin_s = 0 if self._last is None else self._last[0] - window_s
        for bucket in self._buckets:
            if bucket.begins_s < begin_s:
                continue
            for market, paid in bucket.paid.items():
                totals[market] = totals.get(market, 0.0) + paid
        known = {} if self._last is None else dict.fromkeys(self._last[1], 0.0)
        return {**known, **{market: paid * DAY_S / window_s for market, paid in totals.items()}}


def carry_per_unit(offer: Offer, sign: int, policy: Policy, expected: Expected | None) -> float:
    """Quote that one unit more on the side of ``sign`` is reckoned to cost over the holding time.

    The rate counts only as far as it is beyond ``policy.carry_deadband_bps`` of the price a day, and a gain
    (negative) is divided by 1 + ``policy.switch_margin``: moving a hedge has to pay its way back and more.
    Without ``expected`` the present rate stands for the future.
    """
    rate = offer.carry_per_day if expected is None else expected.get(offer.market, 0.0)
    if not math.isfinite(rate):
        return 0.0  # a rate that nobody can say is no reason to go anywhere
    dead = to_float(offer.price_wad) * float(policy.carry_deadband_bps) / 10_000
    beyond = max(0.0, abs(rate) - dead) * (1 if rate > 0 else -1) * sign
    cost = beyond * float(policy.holding_hours) / 24
    return cost if cost >= 0 else cost / (1 + float(policy.switch_margin))
