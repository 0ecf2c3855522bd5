"""Whether an account is certainly far from liquidation: no flip is solved, its ends are looked at."""

from __future__ import annotations

import math

from agent.market.margin import MarginAccount, is_fundable, is_shaped
from agent.risk.liquidation import betas_of, moved, solve_lapse
from agent.risk.remedy import ratios_within

SLIVER = 10**9  # one part in so many of what meets is not enough to be certain


def is_calm(account: MarginAccount, distance: float, within_s: float) -> bool:
    """Whether no joint move of up to ``distance`` either way, and no wait of up to ``within_s`` at standing
    prices, liquidates it, with a unit of the token to spare. False where that is not certain.
    """
    if is_fundable(account) or not is_shaped(account):
        return False
    unit_wad = int(10 ** max(0, 18 - account.collateral_token.decimals))
    betas, at_s = betas_of(account), account.at_s
    for ratio_wad in ratios_within(account, distance):
        prices = moved(account.prices, ratio_wad, betas)
        equity_wad, needed_wad = account.equity_wad(prices, at_s), account.requirement_wad(prices, at_s)
        sliver_wad = (abs(equity_wad) + needed_wad) // SLIVER
        if equity_wad - needed_wad < unit_wad + sliver_wad or account.is_liquidatable(prices, at_s):
            return False
    return solve_lapse(account, math.ceil(within_s)) is None
