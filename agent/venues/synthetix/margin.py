"""One account's margin over all its markets: the contract's available and required margin, to the last unit.

Synthetix V3 perps-market 3.13.0: ``storage/PerpsAccount.sol`` (isEligibleForLiquidation, getAvailableMargin,
getAccountRequiredMargins, getKeeperRewardsAndCosts, getPossibleLiquidationReward, charge). Everything is
counted in dollars at 18 decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

from agent.market.margin import Betas, CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, mul_div_down, mul_div_trunc, mul_down
from agent.venues.synthetix.market import Leg
from agent.venues.synthetix.terms import INTEREST_YEAR_S, Collateral, Interest, Keeper

MAINTENANCE = "maintenance"
MINIMUM_MARGIN = "minimum position margin"
MINIMUM_REWARD = "minimum keeper reward"
FLAG_REWARD = "keeper flag reward"
COLLATERAL_REWARD = "keeper collateral reward"
REWARD_CAP = "keeper reward cap"
WINDOWS = "liquidation windows"
DEBT = "debt"
FUNDING = "funding"
INTEREST = "interest"
FOR_EVER_S = 10**10


@dataclass(frozen=True, slots=True)
class SynthetixMargin:
    """An account of the perps market. ``legs`` are all known markets, also those it has no position in.

    Held constant: what keepers' transactions cost, and the rate of interest; with them the model is the
    contract's at every price and time. A pending order counts only in that nothing can be moved meanwhile.
    """

    collateral_token: Token
    account_id: int
    usd_wad: int
    debt_wad: int
    collaterals: tuple[Collateral, ...]
    legs: tuple[Leg, ...]
    interest: Interest
    keeper: Keeper
    is_flagged: bool
    is_pending: bool
    at_s: int
    marks: Mapping[MarketId, int]

    @property
    def key(self) -> str:
        return margin_key(self.account_id)

    @property
    def venue(self) -> str:
        return "synthetix"

    @property
    def asset(self) -> str:
        """Of the market with the largest stake."""
        largest = max(self.legs, key=lambda leg: leg.notional(self.marks[leg.market]), default=None)
        return "" if largest is None else largest.asset

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.QUOTE

    @property
    def collateral_wad(self) -> int:
        """Dollars posted; synths are counted in the equity alone."""
        return self.usd_wad

    @property
    def removable_wad(self) -> int:
        """Dollars that ``modifyCollateral`` would let out: ``validateWithdrawableAmount``."""
        if self.is_flagged or self.is_pending:
            return 0
        return max(0, min(self.usd_wad, self.withdrawable_wad))

    @property
    def liquidation_loss_wad(self) -> int:
        """All that is left: a liquidation seizes the whole collateral and pays nothing back."""
        return max(0, self.equity_wad(self.marks, self.at_s))

    @property
    def prices(self) -> Prices:
        return self.marks

    @property
    def price_step_wad(self) -> int:
        """Oracle nodes answer in wads."""
        return 1

    @property
    def open_legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.size_wad)

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """``getAvailableMargin``: discounted collateral, profit and loss with funding and interest, less
        debt.
        """
        interest = self.interest.at(at_s)
        total = self.usd_wad - self.debt_wad
        for collateral in self.collaterals:
            total += collateral.discounted(prices[collateral.market])
        for leg in self.open_legs:
            total += leg.pnl(prices[leg.market], at_s, interest)
        return total

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """``getRequiredMargins``, maintenance: with what liquidating it would pay to keepers.

        Without positions it is what a keeper is paid for seizing the collateral of an account in debt
        (``isEligibleForMarginLiquidation``).
        """
        del at_s
        return sum(self.parts(prices).values())

    def initial_wad(self, prices: Prices) -> int:
        """``getRequiredMargins``, initial: what opening and withdrawing must leave."""
        parts = self.parts(prices)
        if self.open_legs:
            parts[MAINTENANCE] = sum(leg.initial(prices[leg.market]) for leg in self.open_legs)
        return sum(parts.values())

    @property
    def withdrawable_wad(self) -> int:
        """``getWithdrawableMargin`` now, in dollars of any collateral; negative below the initial margin."""
        if self.debt_wad > 0:
            return 0
        if not self.open_legs:
            return self._collateral(self.marks)
        return self.equity_wad(self.marks, self.at_s) - self.initial_wad(self.marks)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """``canLiquidate`` or ``canLiquidateMarginOnly``."""
        return self.is_flagged or self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        """The largest part of the requirement."""
        del at_s
        parts = self.parts(prices)
        return max(parts, key=lambda name: parts[name])

    def parts(self, prices: Prices) -> dict[str, int]:
        """The requirement by its parts; the keeper's reward goes by the name of the rule that sets it."""
        legs, keeper = self.open_legs, self.keeper
        collateral = self._collateral(prices)
        by_collateral = mul_down(collateral, keeper.collateral_ratio)
        cost = keeper.flag_costs[len(legs) + len(self.collaterals)] + keeper.liquidation_cost
        if not legs:
            return {DEBT: keeper.reward(by_collateral, cost, collateral) if self.debt_wad > 0 else 0}
        by_flag = sum(leg.flag_reward(prices[leg.market]) for leg in legs)
        earned = max(by_flag, by_collateral)
        reward = keeper.reward(earned, cost, collateral)
        steps = max(leg.windows for leg in legs)
        return {
            MAINTENANCE: sum(leg.maintenance(prices[leg.market]) for leg in legs),
            MINIMUM_MARGIN: sum(leg.margin.minimum_margin for leg in legs),
            self._rule(reward, earned, cost, is_flag=by_flag >= by_collateral): reward,
            WINDOWS: max(0, steps - 1) * keeper.reward(0, keeper.liquidation_cost, 0),
        }

    @property
    def betas(self) -> Betas:
        """Markets move together. A synth that is an asset moves with them; one that the deployment file calls
        none stands still, since a stable one that rose with the market would hide danger.
        """
        moving = {leg.market: WAD for leg in self.legs}
        return moving | {item.market: WAD if item.asset else 0 for item in self.collaterals}

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """Where another rule begins to set the keeper's reward, or another bound to cap it.

        Everything but the reward is a straight line in the move. The reward is the lesser of two: the largest
        of three lines (convex, so that headroom is concave), and the lesser of two (concave).
        """
        vanishing = sorted({WAD - WAD * WAD // beta for beta in betas.values() if beta > WAD or beta < 0})
        found: set[int] = set()
        for index in range(len(vanishing) + 1):
            low = vanishing[index - 1] if index else 0
            high = vanishing[index] if index < len(vanishing) else max(2 * WAD, 2 * low)
            found |= self._bends_while_alive(betas, (low + high) // 2)
        return tuple(sorted(found))

    def _bends_while_alive(self, betas: Betas, ratio: int) -> set[int]:
        """Of the lines as they are at ``ratio``: a market that has reached nothing by then stays there."""

        def line(weights: Mapping[MarketId, int], constant: int) -> tuple[int, int]:
            """The value at the present prices and its rise per unit of the ratio, if it went on like this."""
            value, rise = constant, 0
            for market, weight in weights.items():
                beta = betas.get(market, 0)
                if WAD * WAD + beta * (ratio - WAD) > 0:
                    value += weight
                    rise += mul_div_trunc(weight, beta, WAD)
            return value, rise

        keeper, marks = self.keeper, self.marks
        cost = keeper.flag_costs[len(self.open_legs) + len(self.collaterals)] + keeper.liquidation_cost
        posted = {c.market: c.value(marks[c.market]) for c in self.collaterals}
        flags = {leg.market: leg.flag_reward(marks[leg.market]) for leg in self.open_legs}
        worth, worth_rise = line(posted, self.usd_wad)
        earned = (
            (keeper.floor(cost), 0),
            line(flags, cost),
            (mul_down(worth, keeper.collateral_ratio) + cost, mul_down(worth_rise, keeper.collateral_ratio)),
        )
        caps = (
            (keeper.maximum_reward, 0),
            (mul_down(worth, keeper.maximum_ratio), mul_down(worth_rise, keeper.maximum_ratio)),
        )
        found: set[int] = set()
        for one, other in (*product(earned, caps), caps):
            closing = one[1] - other[1]
            if closing:
                crossing = WAD + mul_div_down(other[0] - one[0], WAD, closing)
                found |= {at for at in (crossing, crossing + 1) if at > 0}
        return found

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """At standing prices headroom is a parabola in time, for the funding's rate goes up or down by a
        straight line: bent down it stays negative for ever once it is, bent up it falls to its lowest point.
        """
        if self.is_liquidatable(prices, at_s):
            return 0
        bend = slope = 0  # of headroom in days from ``at_s``: bend * days^2 / 2 + slope * days, wads
        for leg in self.open_legs:
            worth = mul_div_trunc(leg.size_wad, prices[leg.market], WAD)
            bend -= mul_div_trunc(worth, leg.funding.velocity, WAD)
            slope -= mul_div_trunc(worth, leg.funding.rate_at(at_s), WAD)
            locked = mul_down(leg.notional(prices[leg.market]), leg.margin.locked_oi_ratio)
            slope -= mul_div_trunc(mul_down(locked, self.interest.rate), DAY_S, INTEREST_YEAR_S)
        if bend <= 0 or slope >= 0:
            return FOR_EVER_S
        return mul_div_down(-slope, DAY_S, bend)

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Funding and interest owed since each position was last changed, at the snapshot's prices."""
        interest, legs = self.interest.at(at_s), self.open_legs
        return {
            FUNDING: -sum(leg.funding_wad(self.marks[leg.market], at_s) for leg in legs),
            INTEREST: sum(leg.interest_wad(self.marks[leg.market], interest) for leg in legs),
        }

    def size_wad(self, market: MarketId) -> int:
        """The signed size held in ``market``."""
        return sum(leg.size_wad for leg in self.legs if leg.market == market)

    def cut(self, market: MarketId, size_wad: int) -> SynthetixMargin:
        """After closing ``size_wad`` at the mark."""
        sign = -1 if self.size_wad(market) > 0 else 1
        return self.traded(market, sign * size_wad, self.marks[market])

    def _rule(self, reward: int, earned: int, cost: int, *, is_flag: bool) -> str:
        if reward < max(self.keeper.floor(cost), earned + cost):
            return REWARD_CAP
        if self.keeper.floor(cost) > earned + cost:
            return MINIMUM_REWARD
        return FLAG_REWARD if is_flag else COLLATERAL_REWARD

    def _collateral(self, prices: Prices) -> int:
        """``getTotalCollateralValue`` without discounts."""
        return self.usd_wad + sum(c.value(prices[c.market]) for c in self.collaterals)

    def funded(self, amount_wad: int) -> SynthetixMargin:
        """After paying dollars in (> 0) or taking them out."""
        return replace(self, usd_wad=self.usd_wad + amount_wad)

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> SynthetixMargin:
        """After an order of ``size_wad`` has been settled at ``price_wad``, fees in the price, at the
        snapshot: the position's profit is booked, its funding and interest begin anew, the market's skew has
        moved.
        """
        interest = self.interest.at(self.at_s)
        legs, booked = [], 0
        for leg in self.legs:
            if leg.market != market:
                legs.append(leg)
                continue
            mark = self.marks[market]
            booked = _booked(leg, price_wad, mark, size_wad, self.at_s, interest)
            funding = leg.funding.recomputed(mark, self.at_s, size_wad)
            legs.append(
                replace(
                    leg,
                    size_wad=leg.size_wad + size_wad,
                    entry_wad=mark,
                    entry_funding=funding.value,
                    entry_interest=interest,
                    funding=funding,
                )
            )
        usd, debt = charged(self.usd_wad, self.debt_wad, booked)
        return replace(self, legs=tuple(legs), usd_wad=usd, debt_wad=debt)


def _booked(leg: Leg, price_wad: int, mark_wad: int, size_wad: int, at_s: int, interest: int) -> int:
    """What the trade adds to the dollars if the rest is marked at the oracle's price, rounded against us."""
    lost = mul_div_trunc(size_wad, price_wad - mark_wad, WAD)
    return leg.pnl(mark_wad, at_s, interest) - lost - 1


def charged(usd_wad: int, debt_wad: int, amount_wad: int) -> tuple[int, int]:
    """Dollars and debt after a profit (> 0) or loss is booked: ``PerpsAccount.charge``."""
    if amount_wad > 0:
        paid = min(debt_wad, amount_wad)
        return usd_wad + amount_wad - paid, debt_wad - paid
    taken = min(usd_wad, -amount_wad)
    return usd_wad - taken, debt_wad - amount_wad - taken


def margin_key(account_id: int) -> str:
    """The margin account's name in the book."""
    return f"synthetix:{account_id}"


def frozen(marks: Mapping[MarketId, int]) -> Mapping[MarketId, int]:
    """A copy that cannot be changed."""
    return MappingProxyType(dict(marks))
