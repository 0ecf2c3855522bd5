"""How far liquidation is: the contract's own flip point, solved on its own integer predicate.

Sign conventions: a direction is "down" or "up"; a distance is the positive relative move of the price from
the snapshot to the flip (0.25 is twenty-five percent; 0 is liquidatable now). A joint move takes market i
from ``price_i`` to ``price_i * (1 + beta_i * (ratio - 1))``, never below nothing.

Which flip is the first one is certain where an account knows its shape (`ShapedAccount`): headroom that is
concave or monotone in the move is negative from its flip on, so an end says whether there is one at all. An
account that does not know its shape is looked at on a grid, outward, and a window of liquidatable prices
narrower than the grid can be jumped over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from agent.market.margin import (
    AccruingAccount,
    Betas,
    MarginAccount,
    Prices,
    WeightedAccount,
    is_shaped,
)
from agent.risk.root import Probe, flip_between
from agent.values.address import MarketId
from agent.values.fixed import WAD

Direction = Literal["down", "up"]
DIRECTIONS: tuple[Direction, Direction] = ("down", "up")

HORIZON_S = 365 * 86_400
GRAIN_S = 60  # an account of unknown shape may be liquidatable for less than this without being noticed
TOP = 16 * WAD  # a rise beyond sixteen times the price is "never"
# Ratios to the present price at which an account of unknown shape is looked at: two percent apart near the
# money where requirements bend, wider where nothing bends any more.
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
# An end far away is a poor place to search from: what is certain between two of these is so on the way too.
_DOWN_STRIDES = tuple(WAD * (100 - gone) // 100 for gone in (3, 8, 18, 36, 60, 85))
_UP_STRIDES = tuple(WAD * (100 + more) // 100 for more in (3, 8, 18, 36, 80, 200, 500))


@dataclass(frozen=True, slots=True)
class Flip:
    """Where an account turns liquidatable. ``market`` is None for a joint move of all its markets.

    ``price_wad`` is the nearest price at which the contract would liquidate; ``tolerance_wad`` away from it,
    towards the present price, it would not. ``ratio_wad`` is the price over the present one; of a joint move
    the move's, and the price is the first market's. ``binding`` names the term that rules there.
    """

    market: MarketId | None
    direction: Direction
    price_wad: int
    ratio_wad: int
    distance: float
    binding: str
    tolerance_wad: int


@dataclass(frozen=True, slots=True)
class Lapse:
    """When an account turns liquidatable at standing prices: ``seconds`` after its snapshot, to the second.

    ``binding``: the accrual that used up its headroom ("funding"), or else the term that rules there.
    """

    seconds: int
    binding: str
    tolerance_s: int = 1  # before that it would not

    @property
    def hours(self) -> float:
        return self.seconds / 3600


def solve_price(
    account: MarginAccount, market: MarketId, direction: Direction, at_s: int | None = None
) -> Flip | None:
    """The first flip of ``account`` as the price of ``market`` moves ``direction``, others held.

    None: no price in that direction (to zero, to sixteen times) liquidates it.
    """
    now = account.prices[market]
    when = account.at_s if at_s is None else at_s

    def at(price: int) -> Prices:
        return {**account.prices, market: price}

    def ask(price: int) -> Probe:
        return _probe(account, at(price), when)

    ratios = _stops(account, {market: WAD}, direction)
    found = _first(ask, now, (now * ratio // WAD for ratio in ratios), max(1, account.price_step_wad))
    if found is None:
        return None
    price, tolerance = found
    return Flip(
        market,
        direction,
        price,
        price * WAD // now if now else WAD,
        abs(now - price) / now if now else 0.0,
        account.binding(at(price), when),
        tolerance,
    )


def solve_joint(
    account: MarginAccount, direction: Direction, at_s: int | None = None, betas: Betas | None = None
) -> Flip | None:
    """As ``solve_price`` with all of the account's prices moving together, by ``betas`` or by its own.

    A price that ``betas`` leaves out stands still.
    """
    if betas is None and len(account.prices) == 1:
        return solve_price(account, next(iter(account.prices)), direction, at_s)
    moving = betas_of(account) if betas is None else betas
    when = account.at_s if at_s is None else at_s
    first = next(iter(account.prices), None)

    def ask(ratio: int) -> Probe:
        return _probe(account, moved(account.prices, ratio, moving), when)

    found = _first(ask, WAD, iter(_stops(account, moving, direction)), 1)
    if found is None:
        return None
    ratio, tolerance = found
    there = moved(account.prices, ratio, moving)
    return Flip(
        None,
        direction,
        0 if first is None else there[first],
        ratio,
        abs(WAD - ratio) / WAD,
        account.binding(there, when),
        tolerance and (0 if first is None else account.prices[first] // WAD + 1),
    )


def solve_lapse(account: MarginAccount, horizon_s: int = HORIZON_S) -> Lapse | None:
    """The first second at which the account is liquidatable at constant prices, funding and decay.

    None beyond the horizon. Exact for an account that knows its shape; of another, a window shorter than
    the scan's steps (a minute at first, a 64th of the horizon later) can be missed.
    """
    prices, start = account.prices, account.at_s

    def ask(seconds: int) -> Probe:
        return _probe(account, prices, start + seconds)

    if ask(0).is_bad:
        return Lapse(0, account.binding(prices, start))
    shaped = account if is_shaped(account) else None
    safe, span = 0, GRAIN_S
    while True:
        if shaped is not None:
            span = max(GRAIN_S, shaped.foresight_s(prices, start + safe))
        late = min(safe + span, horizon_s)
        if ask(late).is_bad:
            break
        if late == horizon_s:
            return None
        safe, span = late, min(span * 2, max(GRAIN_S, horizon_s // 64))
    _, late = flip_between(ask, safe, late)
    return Lapse(late, _lapse_binding(account, late))


def solve_time(account: MarginAccount, horizon_s: int = HORIZON_S) -> float | None:
    """Hours until liquidation, as ``solve_lapse`` finds it."""
    lapse = solve_lapse(account, horizon_s)
    return None if lapse is None else lapse.hours


def shocked(prices: Prices, ratio_wad: int) -> Prices:
    """All prices times ``ratio_wad`` / 1e18, rounded down."""
    return {market: price * ratio_wad // WAD for market, price in prices.items()}


def moved(prices: Prices, ratio_wad: int, betas: Betas) -> Prices:
    """The prices of a joint move, rounded down; see the top of the module."""
    gone = ratio_wad - WAD
    return {
        market: max(0, price * (WAD * WAD + betas.get(market, 0) * gone) // (WAD * WAD))
        for market, price in prices.items()
    }


def betas_of(account: MarginAccount) -> Betas:
    """The account's own, or one for each of its prices."""
    # as isinstance says, which is slow for a protocol
    if hasattr(type(account), "betas"):
        return cast(WeightedAccount, account).betas
    return dict.fromkeys(account.prices, WAD)


def _probe(account: MarginAccount, prices: Prices, at_s: int) -> Probe:
    gap = account.equity_wad(prices, at_s) - account.requirement_wad(prices, at_s)
    return Probe(gap, account.is_liquidatable(prices, at_s))


def _stops(account: MarginAccount, betas: Mapping[MarketId, int], direction: Direction) -> list[int]:
    """The ratios to look at, outward: between two of them the account is not liquidatable unless it is at
    the farther one.
    """
    last = 0 if direction == "down" else TOP
    if is_shaped(account):
        corners = {*account.bends(betas), *vanishing(betas), last}
        corners |= set(_DOWN_STRIDES if direction == "down" else _UP_STRIDES)
    else:
        corners = {*(_DOWN if direction == "down" else _UP), *vanishing(betas)}
    ahead = (
        ratio for ratio in corners if (last <= ratio < WAD if direction == "down" else WAD < ratio <= last)
    )
    return sorted(ahead, reverse=direction == "down")


def vanishing(betas: Mapping[MarketId, int]) -> Iterable[int]:
    """Where a market reaches nothing and stays: the move bends there."""
    return (WAD - WAD * WAD // beta for beta in betas.values() if beta > WAD or beta < 0)


def _first(ask: Callable[[int], Probe], now: int, stops: Iterable[int], step: int) -> tuple[int, int] | None:
    """The first flip beyond ``now`` and its tolerance; 0 and ``now`` if that is liquidatable itself."""
    if ask(now).is_bad:
        return now, 0
    safe = now
    for point in stops:
        if ask(point).is_bad:
            safe, bad = flip_between(ask, safe, point, step)
            return bad, abs(bad - safe)
        safe = point
    return None


def _lapse_binding(account: MarginAccount, seconds: int) -> str:
    """An accrual rules if it took more than the requirement rose."""
    prices, start = account.prices, account.at_s
    ruling = account.binding(prices, start + seconds)
    if not isinstance(account, AccruingAccount):
        return ruling
    before, after = account.accrued_wad(start), account.accrued_wad(start + seconds)
    taken = {name: after[name] - before.get(name, 0) for name in after}
    worst = max(taken, key=lambda name: taken[name], default="")
    rise = account.requirement_wad(prices, start + seconds) - account.requirement_wad(prices, start)
    return worst if worst and taken[worst] > max(rise, 0) else ruling
