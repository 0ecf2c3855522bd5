"""What a position is worth at the pool's price, and how that moves. Pure.

A short leg is liquidity less the debt it was made from: its worth is L's tokens less the amount moved, its
delta the asset in both, its gamma -L / (2 S^1.5) in range. A long leg is the same the other way round; a loan
is the debt alone and a credit its opposite. Nothing depends on a volatility; premium comes in by the second
as others trade, at a rate nobody knows beforehand, so there is no theta either.
"""

from __future__ import annotations

from agent.market.position import Greeks
from agent.values.fixed import to_float
from agent.venues.panoptic.account import Held
from agent.venues.panoptic.chunk import amounts_at, liquidity, moved
from agent.venues.panoptic.denomination import Denomination
from agent.venues.panoptic.pair import Pair


def worth(held: Held, sqrt_x96: int) -> Pair:
    """Raw token0 and token1 that closing the position at this price would bring (below zero: take), without
    premia and fees.
    """
    total = [0, 0]
    for leg in held.token_id.legs:
        spacing, sign = held.token_id.pool.spacing, -1 if leg.is_long else 1
        if leg.width:
            for kind, amount in enumerate(amounts_at(leg, spacing, held.size, sqrt_x96)):
                total[kind] += sign * amount
        total[leg.token_type] -= sign * moved(leg, spacing, held.size)
    return total[0], total[1]


def greeks(held: Held, premia: Pair, denomination: Denomination, tick: int, sqrt_x96: int) -> Greeks:
    """Of the whole position with the premia it has collected or owes, in the house's units."""
    both = worth(held, sqrt_x96)
    kind = denomination.asset_kind
    delta = to_float(both[kind] + premia[kind], denomination.asset_token.decimals)
    unit = (denomination.asset_token.decimals + denomination.quote_token.decimals) / 2
    price = to_float(denomination.price_wad(sqrt_x96))
    gamma = 0.0
    for leg in held.token_id.legs:
        low, high = leg.ticks(held.token_id.pool.spacing)
        if leg.width and low <= tick < high:
            amount = liquidity(leg, held.token_id.pool.spacing, held.size) / 10.0**unit
            gamma += (1.0 if leg.is_long else -1.0) * amount / (2 * price**1.5)
    return Greeks(delta=delta, gamma=gamma)
