"""One GMX position as a margin account: what the liquidation handler asks of it, to the last unit.

``PositionUtils.isPositionLiquidatable`` with both flags set, as ``LiquidationHandler`` calls it after it has
brought funding and borrowing up to date: so with the NEXT accumulators, not the stored ones that the plain
view uses. Every position is an account of its own: its collateral backs nothing else.

Dollars and factors have 30 decimals inside; what the account says is in its collateral token at 18.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from agent.market.margin import Betas, CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import WAD, mul_div_down, mul_div_up, rescale_down, rescale_up
from agent.venues.gmx.fragment import position_name
from agent.venues.gmx.market import (
    PER_SIZE,
    Market,
    Pair,
    Side,
    gain,
    part_of,
    tokens_of,
)
from agent.venues.gmx.power import FLOAT
from agent.venues.gmx.price import Price, unit_of_wad, wad_of_unit
from agent.venues.gmx.price import Prices as MarketPrices

MAINTENANCE, MINIMUM, FUNDING, BORROWING = "maintenance", "minimum collateral", "funding", "borrowing"
WAD_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Held:
    """A position as the contract stores it. ``discounts``: the shares of the position fee that a referral
    and a tier give back; the larger counts.
    """

    size_usd: int
    size_tokens: int
    collateral: int
    pending_impact: int
    borrowing: int
    funding_per_size: int
    is_long: bool
    discounts: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Priced:
    """A token whose price the account depends on. ``asset`` is empty for a stable one."""

    market: MarketId
    decimals: int
    asset: str
    price: Price


@dataclass(frozen=True, slots=True)
class Standing:
    """The check's own numbers, dollars at 30 decimals: liquidatable when ``remaining < required``."""

    remaining_usd: int
    required_usd: int
    funding: int  # owed, in the collateral token
    borrowing_usd: int


@dataclass(frozen=True, slots=True)
class GmxMargin:
    """One position. ``tokens``: index, long and short; the same token has the same name wherever it stands.

    Prices are the middles of the oracle's; the spreads around them stay what they are, relatively.
    """

    position_key: bytes
    market: Market
    held: Held
    tokens: tuple[Priced, Priced, Priced]
    token: Token
    at_s: int

    @property
    def key(self) -> str:
        return position_name(self.position_key)

    @property
    def venue(self) -> str:
        return "gmx"

    @property
    def asset(self) -> str:
        return self.tokens[0].asset

    @property
    def collateral_token(self) -> Token:
        return self.token

    @property
    def in_long_token(self) -> bool:
        return self.token.address == self.market.long_token

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.BASE if self._collateral.asset == self.asset else CollateralKind.QUOTE

    @property
    def collateral_wad(self) -> int:
        return rescale_down(self.held.collateral, self.token.decimals, WAD_DECIMALS)

    @property
    def prices(self) -> Prices:
        return MappingProxyType(
            {item.market: wad_of_unit(item.price.middle, item.decimals) for item in self.tokens}
        )

    @property
    def price_step_wad(self) -> int:
        """The index token's smallest price move, which is finer the more decimals it has not."""
        return max(1, wad_of_unit(1, self.tokens[0].decimals))

    # --- the check -------------------------------------------------------------------------------------

    def standing(self, prices: Prices, at_s: int) -> Standing:
        """What the liquidation handler would find there and then."""
        held, at = self.held, self._at(prices)
        collateral = self._price_in(at).low
        funding = self._funding(at, at_s)
        borrowed = self.market.next_borrowing(at, at_s, is_long=held.is_long)
        borrowing_usd = mul_div_down(held.size_usd, max(0, borrowed - held.borrowing), FLOAT)
        usd, improves = self.market.price_impact(at, -held.size_usd, -held.size_tokens, is_long=held.is_long)
        fee = mul_div_down(held.size_usd, self.market.fees.position.of(first=improves), FLOAT) // collateral
        fee -= max(mul_div_down(fee, share, FLOAT) for share in held.discounts)
        cost = fee + borrowing_usd // collateral + funding
        profit = gain(held.size_usd, held.size_tokens, at.index, is_long=held.is_long, best=False)
        profit = self.market.capped_profit(profit, at, is_long=held.is_long)
        remaining = (held.collateral - cost) * collateral + profit + self._impact(usd, at)
        return Standing(remaining, self.required_usd, funding, borrowing_usd)

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """What remains, in the collateral token; rounded so that less than `requirement_wad` means
        liquidatable and nothing else does.
        """
        found = self.standing(prices, at_s)
        price = self._price_in(self._at(prices)).low
        gap = found.remaining_usd - found.required_usd
        return self._wad_up(found.required_usd, price) + self._wad_down(gap, price)

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """The larger of the share of the size and the least collateral, in the collateral token."""
        del at_s
        return self._wad_up(self.required_usd, self._price_in(self._at(prices)).low)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """Whether ``executeLiquidation`` would go through."""
        found = self.standing(prices, at_s)
        return found.remaining_usd < found.required_usd

    def binding(self, prices: Prices, at_s: int) -> str:
        del prices, at_s
        return MAINTENANCE if self._leverage_usd >= self.market.fees.min_collateral_usd else MINIMUM

    @property
    def _leverage_usd(self) -> int:
        factor = self.market.fees.min_collateral_in_liquidation
        return mul_div_down(self.held.size_usd, factor, FLOAT)

    @property
    def required_usd(self) -> int:
        """The least that must remain: nothing at all is never enough."""
        return max(self._leverage_usd, self.market.fees.min_collateral_usd, 1)

    def _impact(self, usd: int, at: MarketPrices) -> int:
        """What closing it all would cost by its impact, with what is pending; never counted as a gain."""
        pending = self.held.pending_impact
        usd = self.market.capped_impact(usd, self.held.size_usd)
        usd += pending * (at.index.low if pending > 0 else at.index.high)
        most = mul_div_down(self.held.size_usd, self.market.impact.most_in_liquidation, FLOAT)
        return min(0, max(usd, -most))

    def _funding(self, at: MarketPrices, at_s: int) -> int:
        """Owed in the collateral token, rounded up."""
        latest = self.market.next_funding(
            at, at_s, is_long=self.held.is_long, in_long_token=self.in_long_token
        )
        return mul_div_up(self.held.size_usd, max(0, latest - self.held.funding_per_size), PER_SIZE)

    # --- prices ----------------------------------------------------------------------------------------

    def _at(self, prices: Prices) -> MarketPrices:
        index, long, short = (
            item.price.at(max(1, unit_of_wad(prices[item.market], item.decimals)))
            if prices[item.market] != wad_of_unit(item.price.middle, item.decimals)
            else item.price
            for item in self.tokens
        )
        return MarketPrices(index, long, short)

    def market_prices(self, prices: Prices) -> MarketPrices:
        """The lowest and highest prices of the three tokens that the account takes ``prices`` for."""
        return self._at(prices)

    @property
    def collateral_price(self) -> Price:
        """Of the collateral, at the snapshot."""
        return self._collateral.price

    def _price_in(self, at: MarketPrices) -> Price:
        return at.long if self.in_long_token else at.short

    @property
    def _collateral(self) -> Priced:
        return self.tokens[1] if self.in_long_token else self.tokens[2]

    def _wad_down(self, usd: int, price: int) -> int:
        return mul_div_down(usd, 10**WAD_DECIMALS, price * 10**self.token.decimals)

    def _wad_up(self, usd: int, price: int) -> int:
        return mul_div_up(usd, 10**WAD_DECIMALS, price * 10**self.token.decimals)

    # --- its shape -------------------------------------------------------------------------------------

    @property
    def betas(self) -> Betas:
        """The index moves, and so does every token that is its asset; a stable one stands still."""
        return {
            item.market: WAD if item.asset == self.asset or item is self.tokens[0] else 0
            for item in self.tokens
        }

    # --- what may be done ------------------------------------------------------------------------------

    @property
    def removable_wad(self) -> int:
        """What could be taken out in one order now: the rest must back the size both by its own worth
        (``willPositionCollateralBeSufficient``, without profit) and in the check that follows.
        """
        found, at = self.standing(self.prices, self.at_s), self._at(self.prices)
        price = self._price_in(at).low
        factor = max(self.market.fees.min_collateral, self._interest_factor)
        needed = mul_div_up(self.held.size_usd, factor, FLOAT)
        profit = gain(
            self.held.size_usd, self.held.size_tokens, at.index, is_long=self.held.is_long, best=False
        )
        owed = self.held.collateral * price + min(0, profit) - found.remaining_usd
        backed = self.held.collateral * price - needed - max(0, owed)
        left = found.remaining_usd - max(
            mul_div_up(self.held.size_usd, self.market.fees.min_collateral, FLOAT), self.required_usd
        )
        return max(0, self._wad_down(min(backed, left), price))

    @property
    def _interest_factor(self) -> int:
        """The collateral that the whole side's size asks of each: more where more is open."""
        side = self.market.side(is_long=self.held.is_long)
        return mul_div_up(side.open_usd, side.min_collateral_multiplier, FLOAT)

    @property
    def liquidation_loss_wad(self) -> int:
        """The liquidation fee, of the size; never more than what is left."""
        found, price = self.standing(self.prices, self.at_s), self._price_in(self._at(self.prices)).low
        fee = mul_div_down(self.held.size_usd, self.market.fees.liquidation, FLOAT)
        return self._wad_down(max(0, min(fee, found.remaining_usd)), price)

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Funding and borrowing owed since the position was last changed, at the snapshot's prices."""
        found, price = self.standing(self.prices, at_s), self._price_in(self._at(self.prices)).low
        return {
            FUNDING: rescale_up(found.funding, self.token.decimals, WAD_DECIMALS),
            BORROWING: rescale_up(found.borrowing_usd // price, self.token.decimals, WAD_DECIMALS),
        }

    def size_wad(self, market: MarketId) -> int:
        """The signed size in index tokens."""
        if market != self.tokens[0].market:
            return 0
        tokens = rescale_down(self.held.size_tokens, self.tokens[0].decimals, WAD_DECIMALS)
        return tokens if self.held.is_long else -tokens

    def funded(self, amount_wad: int) -> GmxMargin:
        """After an order that pays ``amount_wad`` in, or takes it out, is filled: what is owed is paid."""
        amount = rescale_down(amount_wad, WAD_DECIMALS, self.token.decimals)
        return self._settled(amount, self.held.size_usd, self.held.size_tokens, self.held.pending_impact)

    def cut(self, market: MarketId, size_wad: int) -> GmxMargin:
        """After closing ``size_wad`` at the mark."""
        sign = -1 if self.held.is_long else 1
        return self.traded(market, sign * size_wad, self.prices[self.tokens[0].market])

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> GmxMargin:
        """After buying (> 0) or selling at ``price_wad``, fees in the price: what is bought or sold beyond
        the mark is taken from the collateral. A trade against the position is at most all of it.
        """
        if market != self.tokens[0].market or size_wad == 0:
            return self
        held, index = self.held, self._at(self.prices).index
        decimals = self.tokens[0].decimals
        mark = wad_of_unit(index.middle, decimals)
        lost_usd = mul_div_up(size_wad, price_wad - mark, WAD) * (FLOAT // WAD)
        price = self._price_in(self._at(self.prices)).low
        tokens = rescale_down(abs(size_wad), WAD_DECIMALS, decimals)
        if (size_wad > 0) is held.is_long:
            usd = tokens * index.middle
            return self._settled(
                -mul_div_up(lost_usd, 1, price),
                held.size_usd + usd,
                held.size_tokens + tokens,
                held.pending_impact,
            )
        usd = min(held.size_usd, mul_div_up(tokens, held.size_usd, held.size_tokens))
        gone = tokens_of(usd, held.size_usd, held.size_tokens, is_long=held.is_long)
        profit = gone * index.middle - usd if held.is_long else usd - gone * index.middle
        pending = part_of(held.pending_impact, usd, held.size_usd)
        return self._settled(
            mul_div_down(profit - lost_usd, 1, price),
            held.size_usd - usd,
            held.size_tokens - gone,
            held.pending_impact - pending,
        )

    def _settled(self, amount: int, size_usd: int, size_tokens: int, pending: int) -> GmxMargin:
        """The position after ``amount`` of collateral came in and what it owed was paid, at the snapshot."""
        at, held = self._at(self.prices), self.held
        found = self.standing(self.prices, self.at_s)
        owed = found.funding + found.borrowing_usd // self._price_in(at).low
        after = replace(
            held,
            size_usd=size_usd,
            size_tokens=size_tokens,
            collateral=held.collateral + amount - owed,
            pending_impact=pending,
            borrowing=self.market.next_borrowing(at, self.at_s, is_long=held.is_long),
            funding_per_size=self.market.next_funding(
                at, self.at_s, is_long=held.is_long, in_long_token=self.in_long_token
            ),
        )
        moved = _with_size(
            self.market,
            held.is_long,
            self.in_long_token,
            size_usd - held.size_usd,
            size_tokens - held.size_tokens,
        )
        return replace(self, held=after, market=moved)


def _with_size(market: Market, is_long: bool, in_long_token: bool, usd: int, tokens: int) -> Market:
    """The market after its open interest has moved."""
    side = market.side(is_long=is_long)

    def added(pair: Pair, amount: int) -> Pair:
        if market.divisor == 2:
            return Pair(pair.first + amount // 2, pair.second + amount // 2)
        return (
            Pair(pair.first + amount, pair.second)
            if in_long_token
            else Pair(pair.first, pair.second + amount)
        )

    moved: Side = replace(side, usd=added(side.usd, usd), tokens=added(side.tokens, tokens))
    return replace(market, longs=moved) if is_long else replace(market, shorts=moved)
