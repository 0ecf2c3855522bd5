"""One account's margin over all its markets: the contract's account value and requirement, to the last unit.

Formulas of Perpetual Protocol v2 (curie-contract 2.8.4): ``Vault.getAccountValue``,
``AccountBalance.getMarginRequirementForLiquidation``, ``ClearingHouse._isLiquidatable``,
``Exchange.getPendingFundingPayment``. A size is > 0 long; funding is > 0 when the account owes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from agent.market.margin import Betas, CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import (
    DAY_S,
    Q96,
    WAD,
    mul_div_down,
    mul_div_trunc,
    mul_div_up,
    rescale_down,
)

PPM = 1_000_000
MAINTENANCE = "maintenance"
FUNDING = "funding"
FOR_EVER_S = 10**10


@dataclass(frozen=True, slots=True)
class Leg:
    """The account's stake in one market.

    ``open_notional_wad`` is what was received (> 0) or paid (< 0) for the size. ``funding_wad`` is pending
    at the snapshot; ``premium_x96`` the clamped difference of the market's and the index's averages: a unit
    long pays that much per day. A market that is not open has no premium.
    """

    market: MarketId
    asset: str
    size_wad: int
    open_notional_wad: int
    funding_wad: int
    premium_x96: int

    def funding_at(self, seconds: int) -> int:
        """Owed ``seconds`` after the snapshot if both averages stay; the accrual is rounded against us."""
        accrued = self.size_wad * self.premium_x96 * seconds
        return self.funding_wad + mul_div_up(accrued, 1, Q96 * DAY_S)

    def value_wad(self, price_wad: int) -> int:
        """Size times price, cut towards zero as the contract does."""
        return mul_div_trunc(self.size_wad, price_wad, WAD)


@dataclass(frozen=True, slots=True)
class Collateral:
    """Margin in another token than the settlement token: ``Vault._getNonSettlementTokenValue``.

    ``held`` in the token's own decimals; the feed's average has ``feed_decimals``; ``weight_ppm`` of the
    worth counts. ``asset`` is what the deployment file says it is, empty if it does not.
    """

    token: Token
    asset: str
    held: int
    feed_decimals: int
    weight_ppm: int

    @property
    def market(self) -> MarketId:
        """Under which its price stands among the account's prices."""
        return MarketId(f"curie:collateral:{self.token.address}")

    def worth_wad(self, price_wad: int) -> int:
        """What it counts for at that average, cut as the contract cuts."""
        decimals, unit = self.token.decimals, 10**self.feed_decimals
        price = rescale_down(price_wad, 18, self.feed_decimals)
        if decimals > 18:
            worth = rescale_down(self.held * price // unit, decimals, 18)
        else:
            worth = rescale_down(self.held, decimals, 18) * price // unit
        return worth * self.weight_ppm // PPM


@dataclass(frozen=True, slots=True)
class CurieMargin:
    """A Curie account. The size of open liquidity orders is held constant: exact for an account without.

    ``marks``: of each market the price margin is judged at, and of each collateral its feed's average.
    All ``_wad`` in the settlement token at 18 decimals; ratios in millionths.
    """

    collateral_token: Token
    balance_wad: int
    owed_wad: int
    pending_fee_wad: int
    free_wad: int
    legs: tuple[Leg, ...]
    maintenance_ppm: int
    initial_ppm: int
    penalty_ppm: int
    at_s: int
    marks: Mapping[MarketId, int]
    collaterals: tuple[Collateral, ...] = ()

    @property
    def key(self) -> str:
        return "curie:margin"

    @property
    def venue(self) -> str:
        return "curie"

    @property
    def asset(self) -> str:
        """Of the market with the largest stake."""
        largest = max(self.legs, key=lambda leg: abs(leg.value_wad(self.marks[leg.market])), default=None)
        return "" if largest is None else largest.asset

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.QUOTE

    @property
    def collateral_wad(self) -> int:
        return self.balance_wad

    @property
    def removable_wad(self) -> int:
        return self.free_wad

    @property
    def liquidation_loss_wad(self) -> int:
        """The penalty's share of all positions' absolute value: ``ClearingHouse._liquidate``."""
        return mul_div_down(self._exposure_wad(self.marks), self.penalty_ppm, PPM)

    @property
    def prices(self) -> Prices:
        return self.marks

    @property
    def price_step_wad(self) -> int:
        """Marks are wads; averages behind them move in steps of a tick, the index in its feed's."""
        return 1

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """Account value, rounded down to the settlement token's decimals."""
        total = self.balance_wad + self.owed_wad + self.pending_fee_wad
        for other in self.collaterals:
            total += other.worth_wad(prices[other.market])
        for leg in self.legs:
            total += leg.value_wad(prices[leg.market]) + leg.open_notional_wad
            total -= leg.funding_at(at_s - self.at_s)
        unit = int(10 ** (18 - self.collateral_token.decimals))  # the reader takes no token of more decimals
        return total // unit * unit

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """The maintenance share of all positions' absolute value."""
        del at_s
        return mul_div_down(self._exposure_wad(prices), self.maintenance_ppm, PPM)

    def _exposure_wad(self, prices: Prices) -> int:
        total = 0
        for leg in self.legs:
            total += abs(leg.value_wad(prices[leg.market]))
        return total

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        return self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        del prices, at_s
        return MAINTENANCE

    @property
    def betas(self) -> Betas:
        """Markets move together. Collateral that is an asset moves with them; what the deployment file does
        not call an asset stands still, since a stable token that rose with the market would hide danger.
        """
        moving = {leg.market: WAD for leg in self.legs}
        return moving | {other.market: WAD if other.asset else 0 for other in self.collaterals}

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """None: equity is a straight line in the move and the requirement a sum of absolute values, so
        headroom is concave whatever moves.
        """
        del betas
        return ()

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """For ever: funding goes on at one rate and the requirement does not move."""
        del prices, at_s
        return FOR_EVER_S

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Funding owed, over all markets."""
        return {FUNDING: sum(leg.funding_at(at_s - self.at_s) for leg in self.legs)}

    def size_wad(self, market: MarketId) -> int:
        """The signed size held in ``market``."""
        return sum(leg.size_wad for leg in self.legs if leg.market == market)

    def cut(self, market: MarketId, size_wad: int) -> CurieMargin:
        """After closing ``size_wad`` at the mark."""
        sign = -1 if self.size_wad(market) > 0 else 1
        return self.traded(market, sign * size_wad, self.marks[market])

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> CurieMargin:
        """After buying (> 0) or selling at ``price_wad``, fees in the price; the quote is rounded against us.

        What can be removed shrinks by the initial margin of whatever the trade adds to the position, and by
        what the trade loses against the mark.
        """
        legs = tuple(_moved(leg, size_wad, price_wad) if leg.market == market else leg for leg in self.legs)
        before = sum(abs(leg.size_wad) for leg in self.legs if leg.market == market)
        after = sum(abs(leg.size_wad) for leg in legs if leg.market == market)
        added = mul_div_up(max(0, after - before), max(price_wad, self.marks[market]), WAD)
        loss = max(0, mul_div_up(size_wad, price_wad - self.marks[market], WAD))
        taken = mul_div_up(added, self.initial_ppm, PPM) + loss
        return replace(self, legs=legs, free_wad=max(0, self.free_wad - taken))


def _moved(leg: Leg, size_wad: int, price_wad: int) -> Leg:
    quote_wad = mul_div_down(-size_wad, price_wad, WAD)
    return replace(leg, size_wad=leg.size_wad + size_wad, open_notional_wad=leg.open_notional_wad + quote_wad)


def frozen(marks: Mapping[MarketId, int]) -> Mapping[MarketId, int]:
    """A copy that cannot be changed."""
    return MappingProxyType(dict(marks))
