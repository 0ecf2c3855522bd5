"""How far liquidation is: the contract's own flip point, solved on its own integer predicate.

Sign conventions: a direction is "down" or "up"; a distance is the positive relative move of the price from
the snapshot to the flip (0.25 is twenty-five percent; 0 is liquidatable now).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from agent.market.margin import MarginAccount, Prices
from agent.values.address import MarketId
from agent.values.fixed import WAD

Direction = Literal["down", "up"]
DIRECTIONS: tuple[Direction, Direction] = ("down", "up")

HORIZON_S = 365 * 86_400
TOP = 16 * WAD  # a rise beyond sixteen times the price is "never"
# Ratios to the present price at which the predicate is tried, outward, so that a nearer flip is not jumped
# over. Two percent apart near the money where option requirements bend, wider where nothing bends any more.
_DOWN = (*(WAD - WAD * step // 50 for step in range(1, 50)), WAD // 100, WAD // 1000, 0)
_UP = (
    *(WAD + WAD * step // 50 for step in range(1, 51)),
    *(2 * WAD + WAD * step // 10 for step in range(1, 21)),
    5 * WAD,
    6 * WAD,
    8 * WAD,
    11 * WAD,
    TOP,
)


@dataclass(frozen=True, slots=True)
class Flip:
    """Where an account turns liquidatable. ``market`` is None for a joint move of all its markets.

    ``price_wad`` is the nearest price at which the contract would liquidate; ``tolerance_wad`` away from it,
    towards the present price, it would not. ``ratio_wad`` is the price over the present one.
    """

    market: MarketId | None
    direction: Direction
    price_wad: int
    ratio_wad: int
    distance: float
    binding: str
    tolerance_wad: int


def solve_price(
    account: MarginAccount, market: MarketId, direction: Direction, at_s: int | None = None
) -> Flip | None:
    """The first flip of ``account`` as the price of ``market`` moves ``direction``, others held.

    None: no price in that direction (to zero, to sixteen times) liquidates it.
    """
    now = account.prices[market]
    when = account.at_s if at_s is None else at_s

    def bad(price: int) -> bool:
        return account.is_liquidatable({**account.prices, market: price}, when)

    def at(price: int) -> Prices:
        return {**account.prices, market: price}

    if bad(now):
        return Flip(market, direction, now, WAD, 0.0, account.binding(at(now), when), 0)
    step = max(1, account.price_step_wad)
    safe = now
    for ratio in _DOWN if direction == "down" else _UP:
        price = now * ratio // WAD
        if bad(price):
            break
        safe = price
    else:
        return None
    while abs(price - safe) > step:
        middle = (price + safe) // 2
        if bad(middle):
            price = middle
        else:
            safe = middle
    return Flip(
        market,
        direction,
        price,
        price * WAD // now,
        abs(now - price) / now,
        account.binding(at(price), when),
        abs(price - safe),
    )


def solve_joint(account: MarginAccount, direction: Direction, at_s: int | None = None) -> Flip | None:
    """As ``solve_price`` with all of the account's markets moving by the same ratio."""
    if len(account.prices) == 1:
        return solve_price(account, next(iter(account.prices)), direction, at_s)
    when = account.at_s if at_s is None else at_s

    def bad(ratio: int) -> bool:
        return account.is_liquidatable(shocked(account.prices, ratio), when)

    first = next(iter(account.prices.values()), 0)
    if bad(WAD):
        return Flip(None, direction, first, WAD, 0.0, account.binding(account.prices, when), 0)
    safe = WAD
    for ratio in _DOWN if direction == "down" else _UP:
        if bad(ratio):
            break
        safe = ratio
    else:
        return None
    while abs(ratio - safe) > 1:
        middle = (ratio + safe) // 2
        if bad(middle):
            ratio = middle
        else:
            safe = middle
    return Flip(
        None,
        direction,
        first * ratio // WAD,
        ratio,
        abs(WAD - ratio) / WAD,
        account.binding(shocked(account.prices, ratio), when),
        first // WAD + 1,
    )


def solve_time(account: MarginAccount, horizon_s: int = HORIZON_S) -> float | None:
    """Hours until the account is liquidatable at constant prices, funding and decay; None beyond the horizon.

    Exact to one second for a predicate that flips once; a coarse scan finds the first of several flips that
    are more than a 64th of the horizon apart.
    """

    def bad(seconds: int) -> bool:
        return account.is_liquidatable(account.prices, account.at_s + seconds)

    if bad(0):
        return 0.0
    safe, span = 0, 60
    while True:
        late = min(safe + span, horizon_s)
        if bad(late):
            break
        if late == horizon_s:
            return None
        safe, span = late, min(span * 2, max(60, horizon_s // 64))
    while late - safe > 1:
        middle = (safe + late) // 2
        if bad(middle):
            late = middle
        else:
            safe = middle
    return late / 3600


def shocked(prices: Prices, ratio_wad: int) -> Prices:
    """All prices times ``ratio_wad`` / 1e18, rounded down."""
    return {market: price * ratio_wad // WAD for market, price in prices.items()}


def collateral_to(account: MarginAccount, distance: float) -> int:
    """The collateral (wad of the account's token) to add so that nothing within ``distance`` liquidates it.

    Both directions and the way there are looked at in steps, since a requirement need not be monotonic;
    negative means that much could be taken out. Adding x raises equity by x at every price, and the contracts
    liquidate below the requirement, not at it: the answer is the largest requirement minus equity, and one
    unit of the token for what the contract's rounding to its decimals hides between the steps.
    """
    steps = 8
    reach = math.ceil(Fraction(distance) * WAD)
    gaps = []
    for step in range(-steps, steps + 1):
        prices = shocked(account.prices, max(0, WAD + reach * step // steps))
        gaps.append(account.requirement_wad(prices, account.at_s) - account.equity_wad(prices, account.at_s))
    unit = int(10 ** max(0, 18 - account.collateral_token.decimals))
    return max(gaps) + unit
