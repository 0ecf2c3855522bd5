"""Which venue trades how much of a delta, at least cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.market.offer import Offer
from agent.values.fixed import WAD, from_float, to_float

SLICES = 32


@dataclass(frozen=True, slots=True)
class Fill:
    """``size_wad`` of the asset traded on one offer; ``cost_wad`` quote for fee, impact and carry."""

    offer: Offer
    size_wad: int
    cost_wad: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """How a delta is split. ``unfilled_wad`` is what no venue could take now (same sign as asked)."""

    fills: tuple[Fill, ...]
    unfilled_wad: int


Capacity = Callable[[Offer, int], int]  # (offer, sign) -> most of |size| the account can afford there, wad


def allocate(size_wad: int, offers: Sequence[Offer], holding_hours: float, capacity: Capacity) -> Allocation:
    """Split ``size_wad`` (> 0 buys) over ``offers`` so that fee + impact + expected carry is least.

    Costs are convex in size on every venue we know (fee linear, impact increasing), so handing out equal
    slices to whichever offer is cheapest at the margin is optimal up to one slice. Carry is the present
    funding times the expected holding time; a venue that pays us to hold may have negative cost.
    """
    sign = 1 if size_wad > 0 else -1
    left = abs(size_wad)
    taken = {id(offer): 0 for offer in offers}
    room = {
        id(offer): max(
            0,
            min(offer.max_buy_wad if sign > 0 else offer.max_sell_wad, capacity(offer, sign)),
        )
        for offer in offers
    }
    step = max(1, -(-left // SLICES))
    while left > 0:
        best: tuple[int, Offer, int] | None = None
        for offer in offers:
            slice_wad = min(step, left, room[id(offer)] - taken[id(offer)])
            if slice_wad <= 0:
                continue
            before, after = taken[id(offer)], taken[id(offer)] + slice_wad
            extra = total_cost_wad(offer, sign * after, holding_hours) - (
                total_cost_wad(offer, sign * before, holding_hours) if before else 0
            )
            per_unit = extra * WAD // slice_wad
            if best is None or per_unit < best[0]:
                best = (per_unit, offer, slice_wad)
        if best is None:
            break
        taken[id(best[1])] += best[2]
        left -= best[2]
    fills = tuple(
        Fill(offer, sign * taken[id(offer)], total_cost_wad(offer, sign * taken[id(offer)], holding_hours))
        for offer in offers
        if taken[id(offer)]
    )
    return Allocation(fills, sign * left)


def total_cost_wad(offer: Offer, size_wad: int, holding_hours: float) -> int:
    """Fee and impact now plus the expected carry of holding ``size_wad`` for ``holding_hours``."""
    carry = offer.carry_per_day * to_float(size_wad) * holding_hours / 24
    return offer.cost_wad(size_wad) + (from_float(carry) if math.isfinite(carry) else 0)
