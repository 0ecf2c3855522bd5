"""Whether an account survives the stated stress: its exact model, asked along the way there and back."""

from __future__ import annotations

import math
from fractions import Fraction

from agent.market.margin import MarginAccount
from agent.risk.liquidation import shocked
from agent.values.fixed import WAD

STEPS = 32  # from the present price to the stated distance, each way


def edges(distance: float) -> tuple[int, ...]:
    """The ratios (wad) to the present prices where a straight requirement is worst: both ends, and now."""
    reach = math.ceil(Fraction(distance) * WAD)
    return (max(0, WAD - reach), WAD, WAD + reach)


def slack_wad(account: MarginAccount, ratio_wad: int) -> int:
    """Equity less requirement with all prices at ``ratio_wad`` of the present, less a unit of the token.

    In the collateral token at 18 decimals; the unit is for what the contract rounds to its decimals.
    """
    prices = shocked(account.prices, ratio_wad)
    gap_wad = account.equity_wad(prices, account.at_s) - account.requirement_wad(prices, account.at_s)
    return gap_wad - unit_wad(account)


def unit_wad(account: MarginAccount) -> int:
    """The smallest amount of the collateral token at 18 decimals."""
    return int(10 ** max(0, 18 - account.collateral_token.decimals))


def danger(account: MarginAccount, distance: float, added_wad: int = 0) -> int | None:
    """The ratio (wad) within ``distance`` at which the account is nearest to being liquidated, if it is.

    ``added_wad`` is collateral paid in: by the port's promise it raises equity by exactly that. None: the
    model liquidates it nowhere on the way, neither by its predicate nor by equity against requirement.
    """
    reach = math.ceil(Fraction(distance) * WAD)
    worst: tuple[int, int] | None = None
    for step in range(-STEPS, STEPS + 1):
        ratio_wad = max(0, WAD + reach * step // STEPS)
        prices = shocked(account.prices, ratio_wad)
        left_wad = account.equity_wad(prices, account.at_s) + added_wad
        left_wad -= account.requirement_wad(prices, account.at_s)
        is_lost = added_wad == 0 and account.is_liquidatable(prices, account.at_s)
        if (left_wad < 0 or is_lost) and (worst is None or left_wad < worst[0]):
            worst = (left_wad, ratio_wad)
    return None if worst is None else worst[1]


def is_no_worse(after: MarginAccount, before: MarginAccount, distance: float) -> bool:
    """Whether ``after`` has at least as much left as ``before`` wherever it has less than it needs."""
    reach = math.ceil(Fraction(distance) * WAD)
    for step in range(-STEPS, STEPS + 1):
        ratio_wad = max(0, WAD + reach * step // STEPS)
        left_wad = slack_wad(after, ratio_wad)
        if left_wad < 0 and left_wad < slack_wad(before, ratio_wad):
            return False
    return True
