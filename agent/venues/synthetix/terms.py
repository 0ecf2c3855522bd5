"""What an account's margin is made of beside its positions: collateral, interest, and what keepers are paid.

Synthetix V3 perps-market 3.13.0: ``storage/PerpsCollateralConfiguration.sol`` (valueInUsd),
``storage/InterestRate.sol``, ``storage/KeeperCosts.sol``, ``storage/GlobalPerpsMarketConfiguration.sol``
(keeperReward). Ratios, prices and dollars are wads; every product and quotient is cut down.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import MarketId
from agent.values.fixed import WAD, mul_div_down, mul_down

INTEREST_YEAR_S = 31_557_600  # InterestRate.AVERAGE_SECONDS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Collateral:
    """A synth posted as margin; ``market`` names its price among the account's prices."""

    market: MarketId
    asset: str
    amount_wad: int
    skew_scale: int
    upper_discount: int
    lower_discount: int
    discount_scalar: int

    def value(self, price_wad: int) -> int:
        """Before the discount."""
        return mul_down(self.amount_wad, price_wad)

    def discounted(self, price_wad: int) -> int:
        """What available margin counts: the discount grows with the amount's share of the skew scale."""
        discount = 0
        if self.skew_scale != 0:
            impact = mul_down(mul_div_down(self.amount_wad, WAD, self.skew_scale), self.discount_scalar)
            discount = min(max(impact, self.lower_discount), self.upper_discount)
        return mul_down(self.value(price_wad), WAD - discount)


@dataclass(frozen=True, slots=True)
class Interest:
    """Interest per dollar of locked open interest: accrued when last written, and the rate per year since."""

    accrued: int
    rate: int
    time_s: int

    def at(self, at_s: int) -> int:
        """``calculateNextInterest``."""
        elapsed = mul_div_down(at_s - self.time_s, WAD, INTEREST_YEAR_S)
        return self.accrued + mul_down(self.rate, elapsed)


@dataclass(frozen=True, slots=True)
class Keeper:
    """What keepers are paid: costs of a transaction as their oracle says now, and the bounds of the reward.

    The cost of flagging depends on how many price feeds that must update: ``flag_costs[n]`` is of n feeds.
    """

    liquidation_cost: int
    flag_costs: tuple[int, ...]
    minimum_reward: int
    minimum_profit_ratio: int
    maximum_reward: int
    maximum_ratio: int
    collateral_ratio: int

    def floor(self, cost: int) -> int:
        """``minimumKeeperRewardCap``."""
        return max(cost + self.minimum_reward, mul_down(cost, self.minimum_profit_ratio + WAD))

    def ceiling(self, collateral: int) -> int:
        """``maximumKeeperRewardCap``: of an account without collateral only the absolute bound."""
        if collateral == 0:
            return self.maximum_reward
        return min(mul_down(collateral, self.maximum_ratio), self.maximum_reward)

    def reward(self, earned: int, cost: int, collateral: int) -> int:
        """``keeperReward``."""
        return min(max(self.floor(cost), earned + cost), self.ceiling(collateral))
