"""Trading a GMX market: what an order would cost if it were filled now, and how much may be asked for.

A fill is at the oracle's worse price; impact is kept with the position and settled when it is closed, so it
is a cost of opening all the same. A trade against a position closes it, and opens the other side with what is
left.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import (
    DAY_S,
    WAD,
    div_up,
    mul_div_down,
    mul_div_up,
    rescale_down,
    rescale_up,
    to_float,
)
from agent.venues.gmx.margin import GmxMargin
from agent.venues.gmx.market import Market, tokens_of
from agent.venues.gmx.power import FLOAT
from agent.venues.gmx.price import Prices, wad_of_unit

BPS = 10_000
SHARE = (9, 10)  # of the room there is: prices and others' orders may move before a keeper acts


@dataclass(frozen=True, slots=True)
class Leg:
    """One order of a trade: ``margin`` is the position it closes, None where it opens. Sizes in index
    tokens and in dollars at 30 decimals, both above 0.
    """

    margin: GmxMargin | None
    is_long: bool
    tokens: int
    size_usd: int

    @property
    def is_increase(self) -> bool:
        return self.margin is None


@dataclass(frozen=True, slots=True)
class GmxOffer:
    """One market. ``carry_long`` and ``carry_short``: per second and dollar of size."""

    view: Market
    market: MarketId
    asset: str
    prices: Prices
    decimals: int
    short_decimals: int
    held: tuple[GmxMargin, ...]
    carry_long: float
    carry_short: float
    collateral_bps: int
    wait_s: int
    request_cost_wad: int

    @property
    def venue(self) -> str:
        return "gmx"

    @property
    def price_wad(self) -> int:
        """The oracle's middle."""
        return wad_of_unit(self.prices.index.middle, self.decimals)

    @property
    def cash_token(self) -> Token | None:
        return None

    @property
    def carry_per_day(self) -> float:
        """Funding and borrowing of a long, or what a short loses by as much more or less."""
        held = sum(margin.size_wad(self.market) for margin in self.held)
        rate = -self.carry_short if held < 0 else self.carry_long
        return rate * DAY_S * to_float(self.price_wad)

    @property
    def max_buy_wad(self) -> int:
        return self._room_wad(is_long=True)

    @property
    def max_sell_wad(self) -> int:
        return self._room_wad(is_long=False)

    def legs(self, size_wad: int) -> tuple[Leg, ...]:
        """The orders that make the trade: closings first, of the largest position first."""
        left = rescale_down(abs(size_wad), 18, self.decimals)
        buys, found = size_wad > 0, []
        for margin in sorted(self.held, key=lambda m: m.held.size_tokens, reverse=True):
            held = margin.held
            if held.is_long is buys or left == 0:
                continue
            tokens = min(left, held.size_tokens)
            usd = held.size_usd
            if tokens < held.size_tokens:
                usd = min(usd, usd_for(tokens, held.size_usd, held.size_tokens, is_long=held.is_long))
            found.append(Leg(margin, held.is_long, tokens, usd))
            left -= tokens
        if left:
            found.append(Leg(None, buys, left, left * self.prices.index.pick(highest=buys)))
        return tuple(found)

    def cost_wad(self, size_wad: int) -> int:
        """Against the oracle's middle: the spread, impact that costs (none that rewards), and fees."""
        lost = 0
        for leg in self.legs(size_wad):
            signed = 1 if leg.is_increase else -1
            usd, improves = self.view.price_impact(
                self.prices, signed * leg.size_usd, signed * leg.tokens, is_long=leg.is_long
            )
            index = self.prices.index
            buys = leg.is_long is leg.is_increase
            spread = index.high - index.middle if buys else index.middle - index.low
            fee = mul_div_up(leg.size_usd, self.view.fees.position.of(first=improves), FLOAT)
            lost += leg.tokens * spread + max(0, -usd) + fee
        return mul_div_up(lost, WAD, FLOAT)

    def cash_need_wad(self, size_wad: int) -> int:
        """The collateral that travels with what opens, counted in the short token."""
        opened = sum(leg.size_usd for leg in self.legs(size_wad) if leg.is_increase)
        amount = div_up(self.collateral_usd(opened), self.prices.short.low)
        return rescale_up(amount, self.short_decimals, 18)

    def margin_need_wad(self, size_wad: int) -> int:
        """Nothing of any account there is: the order brings its own."""
        del size_wad
        return 0

    def collateral_usd(self, size_usd: int) -> int:
        """What backs ``size_usd`` more, its fee included; never below what the protocol lets exist."""
        fees = self.view.fees
        if size_usd == 0:
            return 0
        wanted = mul_div_up(size_usd, self.collateral_bps, BPS)
        least = mul_div_up(size_usd, 2 * fees.min_collateral, FLOAT) + 2 * fees.min_collateral_usd
        return max(wanted, least) + mul_div_up(size_usd, max(fees.position), FLOAT)

    def _room_wad(self, *, is_long: bool) -> int:
        """What may be opened, within our share of every cap, and what closes of the other side."""
        side = self.view.side(is_long=is_long)
        pool = self.view.pool_usd(self.prices, is_long=is_long)
        factor = min(side.reserve, side.interest_reserve)
        reserve = pool * factor // FLOAT - self.view.reserved_usd(self.prices, is_long=is_long)
        room_usd = max(0, min(side.max_usd - side.open_usd, reserve))
        tokens = room_usd * SHARE[0] // SHARE[1] // self.prices.index.high
        closing = sum(m.held.size_tokens for m in self.held if m.held.is_long is not is_long)
        return rescale_down(tokens + closing, self.decimals, 18)


def usd_for(tokens: int, whole_usd: int, whole_tokens: int, *, is_long: bool) -> int:
    """The dollars of opened size with which ``tokens`` of a position leave."""
    usd = mul_div_down(tokens, whole_usd, whole_tokens)
    short_of = tokens_of(usd, whole_usd, whole_tokens, is_long=is_long) < tokens
    return usd if not short_of else mul_div_up(tokens, whole_usd, whole_tokens)


def acceptable(limit_wad: int, fee: int, decimals: int, *, buys: bool) -> int:
    """The worst price of a fill, as GMX counts it, at which the fee still fits into ``limit_wad``."""
    if buys:
        price = mul_div_down(limit_wad, FLOAT, FLOAT + fee)
        return rescale_down(price, 18, 30 - decimals)
    price = mul_div_up(limit_wad, FLOAT, FLOAT - fee)
    return rescale_up(price, 18, 30 - decimals)
