"""One gTrade trade as a margin account: it ends where the pair's price reaches its liquidation price.

Each trade is an account of its own. The liquidation price itself depends on the pair's price, because the
holding fees in it accrue at the price of the moment: so it is reckoned anew at every price that is asked
about, exactly, and where the two meet is for the solver to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.market.margin import CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, div_trunc, div_up, mul_div_down, mul_div_up, rescale_down
from agent.venues.gtrade.fragment import LEVERAGE, P_10, PERCENT, market_name, trade_name, unit_of, wad_of
from agent.venues.gtrade.held import Held, Holding, closing_spread, holding_of, liquidation_price
from agent.venues.gtrade.pair import Pair

THRESHOLD, FUNDING, BORROWING = "liquidation threshold", "funding", "borrowing"
WAD_DECIMALS = 18
ROUNDS = 48  # of a bisection
MARGIN_PPM = 990_000  # of the largest leverage: the price moves until a keeper acts


@dataclass(frozen=True, slots=True)
class GtradeMargin:
    """One trade at one block. ``price``: of the pair, 10 decimals."""

    held: Held
    pair: Pair
    asset: str
    token: Token
    price: int
    at_s: int

    @property
    def key(self) -> str:
        return trade_name(self.held.index)

    @property
    def venue(self) -> str:
        return "gtrade"

    @property
    def market(self) -> MarketId:
        return market_name(self.pair.index)

    @property
    def collateral_token(self) -> Token:
        return self.token

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.QUOTE

    @property
    def collateral_wad(self) -> int:
        """What is posted; fees and profit that are booked are not in it."""
        return self.held.collateral * self.pair.money.delta

    @property
    def prices(self) -> Prices:
        return {self.market: wad_of(self.price)}

    @property
    def price_step_wad(self) -> int:
        return wad_of(1)

    # --- the check -------------------------------------------------------------------------------------

    def holding(self, price: int, at_s: int) -> Holding:
        """Owed and not yet booked, in the collateral's smallest unit."""
        return holding_of(self.held, self.pair, price, at_s, self.at_s)

    def liquidation_price(self, price: int, at_s: int) -> int:
        """What the contract's getter would say at that price of the pair, 10 decimals."""
        owed = self.holding(price, at_s).total - self.held.realized
        return liquidation_price(self.held, self.pair, owed)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """Whether a ``LIQ_CLOSE`` order would be executed: the oracle's price against the liquidation
        price, both included.
        """
        price = unit_of(prices[self.market])
        end = self.liquidation_price(price, at_s)
        return price <= end if self.held.is_long else price >= end

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """Collateral, profit and what is booked, less what is owed and closing costs."""
        return self.requirement_wad(prices, at_s) + self._spare_wad(prices, at_s)

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """The share of the collateral that may not be lost."""
        del prices, at_s
        threshold = self.held.liquidation.threshold(self.held.leverage)
        return self.collateral_wad - mul_div_down(self.collateral_wad, threshold, PERCENT)

    def binding(self, prices: Prices, at_s: int) -> str:
        del prices, at_s
        return THRESHOLD

    def _spare_wad(self, prices: Prices, at_s: int) -> int:
        """How much more may be lost: the distance of the price from where the trade ends, in money.

        It is exact where the contract's distance is cut to its price's last place, and on the contract's
        side of zero all the same.
        """
        held, delta = self.held, self.pair.money.delta
        price = unit_of(prices[self.market])
        owed = self.holding(price, at_s).total - held.realized
        fees = self.pair.trading_fee(held.position, is_counter=held.is_counter) + owed
        threshold = held.liquidation.threshold(held.leverage)
        bearable = mul_div_down(self.collateral_wad, threshold, PERCENT)
        notional = held.whole * delta
        moved = held.sign * (price - held.open_price) * PERCENT - held.open_price * closing_spread(
            held, self.pair
        )
        spare = bearable - fees * delta + mul_div_down(notional, moved, LEVERAGE * held.open_price * PERCENT)
        return min(spare, -1) if self.is_liquidatable(prices, at_s) else max(spare, 0)

    # --- what may be done ------------------------------------------------------------------------------

    @property
    def removable_wad(self) -> int:
        """What an update of leverage could take out now: the trade must neither end by it nor be larger for
        its worth than the pair allows.
        """
        low, high = 0, self.held.collateral
        if not self._bears(0):
            return 0
        for _ in range(ROUNDS):
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._bears(middle) else (low, middle - 1)
            if low >= high:
                break
        return low * self.pair.money.delta

    def _bears(self, amount: int) -> bool:
        held = self.held
        left = held.collateral - amount
        if left < self.pair.least_collateral:
            return False
        if held.whole // left > self.pair.max_leverage:
            return False
        after = self._booked(fee=self.pair.update_fee, collateral=left, whole=held.whole)
        usd_wad = self.pair.money.to_usd(held.position)
        impact = max(0, self.pair.impact(usd_wad, buys=not held.is_long))
        worth = after.worth_wad(after.price, after.at_s)
        worth -= mul_div_up(held.position * self.pair.money.delta, impact, PERCENT)
        if worth <= 0 or after.is_liquidatable(after.prices, after.at_s):
            return False
        size = mul_div_up(held.position * self.pair.money.delta, self.price, held.open_price)
        return size * LEVERAGE * 1_000_000 <= worth * self.pair.max_leverage * MARGIN_PPM

    def worth_wad(self, price: int, at_s: int) -> int:
        """What closing at the oracle's price would pay out, without impact: may be below 0."""
        held, delta = self.held, self.pair.money.delta
        owed = self.holding(price, at_s).total - held.realized
        fees = self.pair.trading_fee(held.position, is_counter=held.is_counter) + owed
        profit = mul_div_down(held.position * delta, held.sign * (price - held.open_price), held.open_price)
        return self.collateral_wad + profit - fees * delta

    @property
    def liquidation_loss_wad(self) -> int:
        """All that is left: nothing comes back of a trade that is liquidated."""
        return max(0, self.worth_wad(self.price, self.at_s))

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Funding and borrowing owed since they were last booked, at the snapshot's price."""
        owed, delta = self.holding(self.price, at_s), self.pair.money.delta
        return {FUNDING: owed.funding * delta, BORROWING: (owed.borrowing + owed.old) * delta}

    def size_wad(self, market: MarketId) -> int:
        """The signed size: the position at its opening price, in the asset."""
        if market != self.market:
            return 0
        held = self.held
        size = held.whole * self.pair.money.delta * P_10 // LEVERAGE // held.open_price
        return held.sign * size

    def stepped(self, amount: int) -> tuple[int, int]:
        """(leverage, collateral) after an update that pays ``amount`` in (< 0: out): leverage has three
        decimals, so that a little more stays than was meant, never less.
        """
        leverage = self.held.whole // (self.held.collateral + amount)
        return leverage, self.held.whole // leverage if leverage else 0

    def funded(self, amount_wad: int) -> GtradeMargin:
        """After an update of leverage that pays ``amount_wad`` in, or takes it out."""
        amount = rescale_down(amount_wad, WAD_DECIMALS, self.token.decimals)
        if self.held.collateral + amount <= 0 or amount == 0:
            return self
        left = self.held.collateral + amount
        return self._booked(fee=self.pair.update_fee, collateral=left, whole=self.held.whole)

    def cut(self, market: MarketId, size_wad: int) -> GtradeMargin:
        """After closing ``size_wad`` at the mark: a part of the trade with all it has goes to the wallet."""
        return self.traded(market, -size_wad * self.held.sign, self.prices[self.market])

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> GtradeMargin:
        """After buying (> 0) or selling at ``price_wad``, fees in the price. What grows brings collateral at
        the trade's own leverage; what shrinks takes its share of everything out.
        """
        held, delta = self.held, self.pair.money.delta
        whole = abs(self.size_wad(self.market))
        if market != self.market or size_wad == 0 or whole == 0:
            return self
        if (size_wad > 0) is not held.is_long:
            gone = mul_div_up(held.collateral, min(abs(size_wad), whole), whole)
            return self._scaled(held.collateral - gone)
        added = mul_div_up(abs(size_wad), wad_of(self.price), WAD)
        lost = mul_div_up(size_wad, price_wad - wad_of(self.price), WAD)
        position = div_up(added, delta)
        backing = mul_div_up(position, LEVERAGE, held.leverage)
        tokens = whole + abs(size_wad)
        collateral = held.collateral + backing
        grown = self._booked(fee=div_up(lost, delta), collateral=collateral, whole=collateral * held.leverage)
        opened = collateral * held.leverage * delta * P_10 // LEVERAGE // tokens
        # the terms of the day are the trade's from then on
        after = replace(grown.held, open_price=max(1, opened), liquidation=self.pair.liquidation)
        return replace(grown, held=after)

    def _scaled(self, collateral: int) -> GtradeMargin:
        """The same trade with less of everything: what is owed is booked, then cut in proportion."""
        booked = self._booked(fee=0, collateral=self.held.collateral, whole=self.held.whole).held
        realized = div_trunc(booked.realized * collateral, self.held.collateral)
        held = replace(booked, collateral=collateral, realized=realized)
        return replace(self, held=held)

    def _booked(self, *, fee: int, collateral: int, whole: int) -> GtradeMargin:
        """What is owed at the snapshot becomes booked, ``fee`` with it, and the trade has another
        collateral; ``whole`` is that times its leverage.
        """
        held = self.held
        owed = self.holding(self.price, self.at_s).total
        after = replace(
            held,
            collateral=collateral,
            leverage=max(1, whole // collateral) if collateral else held.leverage,
            realized=held.realized - owed - fee,
            funding_acc=self.pair.funding_at(self.price, self.at_s, is_long=held.is_long),
            borrowing_acc=self.pair.borrowing_at(self.price, self.at_s),
            old_owed=0,
        )
        return replace(self, held=after)
