"""What would bring an account to a distance from liquidation: collateral to add, or size to cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from agent.market.margin import CuttableAccount, MarginAccount, Prices, is_fundable, is_shaped
from agent.risk.liquidation import betas_of, moved, vanishing
from agent.values.address import MarketId
from agent.values.fixed import WAD

ROUNDS = 200  # collateral of which a part is lost to a higher requirement is added to at most this often
STEPS = 16  # each way, at which an account that does not know its shape is looked at


@dataclass(frozen=True, slots=True)
class Remedy:
    """``amount_wad`` of collateral to add (negative: to spare) or of size to cut. ``ratio_wad``: where on the
    joint move headroom is least; ``binding``: the term that rules there. ``tolerance_wad`` less may not do.
    """

    amount_wad: int
    ratio_wad: int
    binding: str
    tolerance_wad: int


def collateral(account: MarginAccount, distance: float) -> Remedy:
    """`collateral_to`, and why."""
    ratio, binding = _tightest(account, distance)
    unit = int(10 ** max(0, 18 - account.collateral_token.decimals))
    return Remedy(collateral_to(account, distance), ratio, binding, unit)


def size(
    account: CuttableAccount, market: MarketId, distance: float, step_wad: int = WAD // 10**6
) -> Remedy | None:
    """`size_to`, and why; None if closing all of it would not do."""
    amount = size_to(account, market, distance, step_wad)
    if amount and not is_safe_within(account.cut(market, amount), distance):
        return None
    ratio, binding = _tightest(account, distance)
    return Remedy(amount, ratio, binding, step_wad)


def _tightest(account: MarginAccount, distance: float) -> tuple[int, str]:
    """The ratio within the distance at which headroom is least, and the term that rules there."""
    betas = betas_of(account)
    places = {ratio: moved(account.prices, ratio, betas) for ratio in ratios_within(account, distance)}
    ratio = min(
        places,
        key=lambda at: (
            account.equity_wad(places[at], account.at_s) - account.requirement_wad(places[at], account.at_s)
        ),
    )
    return ratio, account.binding(places[ratio], account.at_s)


def collateral_to(account: MarginAccount, distance: float) -> int:
    """The collateral (wad of the account's token) to add so that nothing within ``distance`` liquidates it.

    Negative means that much could be taken out. Adding x raises equity by x at every price, and the
    contracts liquidate below the requirement, not at it: the answer is the largest requirement minus equity
    over the distance, either way, and one unit of the token for what the contract's rounding to its decimals
    hides. Exact where the account knows its shape; else it is looked at in sixteen steps each way. Where
    what is posted raises the requirement too (`FundableAccount`), that is added until it is enough.
    """
    unit = int(10 ** max(0, 18 - account.collateral_token.decimals))
    amount = _largest_gap(account, distance) + unit
    if is_fundable(account):
        for _ in range(ROUNDS):
            short = _largest_gap(account.funded(amount), distance)
            if short <= 0:
                break
            amount += short + unit
    return amount


def _largest_gap(account: MarginAccount, distance: float) -> int:
    """Requirement minus equity where it is largest within the distance."""
    return max(
        account.requirement_wad(prices, account.at_s) - account.equity_wad(prices, account.at_s)
        for prices in _within(account, distance)
    )


def size_to(account: CuttableAccount, market: MarketId, distance: float, step_wad: int = WAD // 10**6) -> int:
    """The least size (wad, > 0 whichever side is held) to close in ``market`` so that nothing within
    ``distance`` liquidates the account; a multiple of ``step_wad`` unless it is all of it.

    0 if it is there already. All of it does not always do: ``is_safe_within`` of what ``cut`` returns says.
    Presumes that a smaller position is a safer one, as long as it is the one that endangers the account.
    """
    held = abs(account.size_wad(market))

    def is_safe(size: int) -> bool:
        return is_safe_within(account.cut(market, size) if size else account, distance)

    if is_safe(0):
        return 0
    low, high = 0, -(-held // step_wad)
    while high - low > 1:
        middle = (low + high) // 2
        if is_safe(min(middle * step_wad, held)):
            high = middle
        else:
            low = middle
    return min(high * step_wad, held)


def is_safe_within(account: MarginAccount, distance: float) -> bool:
    """Whether no joint move of up to ``distance`` either way liquidates the account."""
    return not any(account.is_liquidatable(prices, account.at_s) for prices in _within(account, distance))


def ratios_within(account: MarginAccount, distance: float) -> tuple[int, ...]:
    """Where headroom can be least on a joint move of up to ``distance`` either way: its ratios (wad), rising.

    The ends, the present and the bends between, or sixteen steps each way where no shape is known.
    """
    reach, betas = reach_wad(distance), betas_of(account)
    ratios = {max(0, WAD - reach), WAD, WAD + reach}
    if is_shaped(account):
        corners = (*account.bends(betas), *vanishing(betas))
        ratios |= {ratio for ratio in corners if WAD - reach < ratio < WAD + reach}
    else:
        ratios |= {max(0, WAD + reach * step // STEPS) for step in range(-STEPS, STEPS + 1)}
    return tuple(sorted(ratios))


@lru_cache(maxsize=256)
def reach_wad(distance: float) -> int:
    """The distance as a wad, rounded up: a float is not to be short of it."""
    return math.ceil(Fraction(distance) * WAD)


def _within(account: MarginAccount, distance: float) -> list[Prices]:
    betas = betas_of(account)
    return [moved(account.prices, ratio, betas) for ratio in ratios_within(account, distance)]
