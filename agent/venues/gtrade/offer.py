"""Trading a gTrade pair: what an order would cost if it were filled now, and how much may be asked for.

A trade against one that is held closes it, and opens with what is left. What goes the same way is added to
the largest trade of that side, at its leverage; the first of a side is opened at the deployment's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, div_up, mul_div_up, to_float
from agent.venues.gtrade.fragment import LEVERAGE, PERCENT, V10, market_name, unit_of, wad_of
from agent.venues.gtrade.margin import GtradeMargin
from agent.venues.gtrade.pair import Pair

BPS = 10_000
SHARE = (9, 10)  # of the room there is: prices and others' orders may move before a keeper acts


@dataclass(frozen=True, slots=True)
class Leg:
    """One order of a trade. ``margin``: the trade that it closes or adds to, None where it opens one.
    ``position``: in the collateral's unit, of what it opens at the fill that is expected, or of what it
    closes as it was opened.
    """

    margin: GtradeMargin | None
    buys: bool
    size_wad: int
    position: int
    collateral: int
    leverage: int
    is_close: bool = False


@dataclass(frozen=True, slots=True)
class GtradeOffer:
    """One pair. ``carry_long`` and ``carry_short``: per second and dollar of size."""

    pair: Pair
    asset: str
    price: int
    held: tuple[GtradeMargin, ...]
    carry_long: float
    carry_short: float
    leverage: int
    wait_s: int
    request_cost_wad: int = 0

    @property
    def venue(self) -> str:
        return "gtrade"

    @property
    def market(self) -> MarketId:
        return market_name(self.pair.index)

    @property
    def price_wad(self) -> int:
        """The oracle's."""
        return wad_of(self.price)

    @property
    def cash_token(self) -> Token | None:
        return None

    @property
    def lot_wad(self) -> int:
        return 0

    @property
    def min_size_wad(self) -> int:
        """Below it the smallest fee makes an order dear, and nothing can be opened."""
        least = self.pair.least_collateral * self.pair.money.delta * self.leverage // LEVERAGE
        return div_up(least * WAD, self.price_wad)

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

    def only(self, margin: GtradeMargin) -> GtradeOffer:
        """The same with that trade alone."""
        return replace(self, held=(margin,))

    def legs(self, size_wad: int) -> tuple[Leg, ...]:
        """The orders that make the trade: closings first, of the largest trade first."""
        left, buys, found = abs(size_wad), size_wad > 0, []
        by_size = sorted(self.held, key=lambda margin: abs(margin.size_wad(self.market)), reverse=True)
        for margin in by_size:
            whole = abs(margin.size_wad(self.market))
            if margin.held.is_long is buys or left == 0 or whole == 0:
                continue
            part = min(left, whole)
            collateral = margin.held.collateral
            if part < whole:
                collateral = (2 * collateral * part + whole) // (2 * whole)  # to the nearest unit
            position = collateral * margin.held.leverage // LEVERAGE
            found.append(Leg(margin, buys, part, position, collateral, margin.held.leverage, is_close=True))
            left -= part
        if left:
            same = [m for m in by_size if m.held.is_long is buys and m.held.version >= V10]
            found.append(self._opening(same[0] if same else None, left, buys=buys))
        return tuple(found)

    def _opening(self, margin: GtradeMargin | None, size_wad: int, *, buys: bool) -> Leg:
        price = self.fill_price(size_wad, buys=buys)
        position = div_up(size_wad * price, unit_of(WAD) * self.pair.money.delta)
        leverage = self.leverage if margin is None else margin.held.leverage
        collateral = div_up(position * LEVERAGE, leverage)
        return Leg(margin, buys, size_wad, position, collateral, leverage)

    def fill_price(self, size_wad: int, *, buys: bool) -> int:
        """The oracle's price with spread and impact, 10 decimals; impact that rewards is left out."""
        usd_wad = mul_div_up(size_wad, self.price_wad, WAD)
        cost = max(0, self.pair.impact(usd_wad, buys=buys))
        moved = div_up(self.price * cost, PERCENT)
        return self.price + moved if buys else max(1, self.price - moved)

    def cost_wad(self, size_wad: int) -> int:
        """Against the oracle's price: spread, impact that costs, and fees without a tier's discount."""
        lost = 0
        for leg in self.legs(size_wad):
            price = self.fill_price(leg.size_wad, buys=leg.buys)
            lost += mul_div_up(leg.size_wad, wad_of(abs(price - self.price)), WAD)
            lost += self.fee_of(leg) * self.pair.money.delta
        return lost

    def fee_of(self, leg: Leg) -> int:
        """In the collateral's unit."""
        is_counter = leg.margin is not None and leg.margin.held.is_counter
        return self.pair.trading_fee(leg.position, is_counter=is_counter)

    def cash_need_wad(self, size_wad: int) -> int:
        """The collateral that travels with what opens. What closes brings some, but later."""
        opened = sum(leg.collateral for leg in self.legs(size_wad) if not leg.is_close)
        return opened * self.pair.money.delta

    def margin_need_wad(self, size_wad: int) -> int:
        """Nothing of any account there is: the order brings its own."""
        del size_wad
        return 0

    def _room_wad(self, *, is_long: bool) -> int:
        """What may be opened, within our share of every cap, and what closes of the other side."""
        room = self.pair.room_long if is_long else self.pair.room_short
        size = room * SHARE[0] // SHARE[1] * self.pair.money.delta * WAD // self.price_wad
        closing = sum(abs(m.size_wad(self.market)) for m in self.held if m.held.is_long is not is_long)
        return size + closing
