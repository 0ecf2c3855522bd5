"""What GMX says of one account at one block, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import VenueUnknown
from agent.market.instrument import Perpetual
from agent.market.margin import CollateralKind
from agent.market.position import Greeks, Position
from agent.market.request import Request
from agent.market.scenario import Stressed
from agent.market.snapshot import Quote
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, mul_div_down, to_float
from agent.venues.gmx.margin import GmxMargin, Priced
from agent.venues.gmx.market import Market, gain
from agent.venues.gmx.offer import GmxOffer
from agent.venues.gmx.order import Placed
from agent.venues.gmx.power import FLOAT
from agent.venues.gmx.price import Prices, wad_of_unit
from agent.venues.gmx.shock import ShockedAccount

ORACLE_PRICES = 3  # of an order without a swap: index, long and short


@dataclass(frozen=True, slots=True)
class Execution:
    """What a keeper's work costs at least, and how long a market order binds."""

    increase_gas: int
    decrease_gas: int
    base_gas: int
    gas_per_price: int
    multiplier: int
    gas_price_wei: int
    expiry_s: int

    def fee_wei(self, *, is_increase: bool) -> int:
        """For one order: ``GasUtils.adjustGasLimitForEstimate`` at the gas price we reckon with."""
        gas = self.increase_gas if is_increase else self.decrease_gas
        limit = self.base_gas + self.gas_per_price * ORACLE_PRICES + gas * self.multiplier // FLOAT
        return limit * self.gas_price_wei


@dataclass(frozen=True, slots=True)
class Claimable:
    """Funding earned and not yet written down, of one position, in the long and the short token."""

    key: str
    long: int
    short: int


@dataclass(frozen=True, slots=True)
class Purse:
    """What the account holds of a token, and what the router may take of it."""

    token: Token
    balance: int
    allowance: int


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market. ``claimable``: funding written down for the account, in the long and the short token."""

    market: Market
    asset: str
    index: Priced
    long: Priced
    short: Priced
    claimable: tuple[int, int]

    @property
    def prices(self) -> Prices:
        return Prices(self.index.price, self.long.price, self.short.price)

    @property
    def middle_wad(self) -> int:
        return wad_of_unit(self.index.price.middle, self.index.decimals)

    def carry_per_second(self, at_s: int, *, is_long: bool) -> float:
        """What a dollar of size pays per second: borrowing, and funding paid (> 0) or earned."""
        rate, longs_pay = self.market.next_rate(self.index.price.middle, at_s)
        paid = rate / FLOAT
        if longs_pay is not is_long:
            own = self.market.side(is_long=is_long).open_usd
            other = self.market.side(is_long=not is_long).open_usd
            paid = -paid * other / own if own else 0.0
        return paid + self.market.borrowing_rate(self.prices, is_long=is_long) / FLOAT


@dataclass(frozen=True, slots=True)
class GmxState:
    """One account on GMX."""

    at_s: int
    markets: tuple[MarketView, ...]
    margins: tuple[GmxMargin, ...]
    orders: tuple[Placed, ...]
    asked: tuple[Request, ...]
    claimables: tuple[Claimable, ...]
    purses: tuple[Purse, ...]
    execution: Execution
    native_wad: int
    collateral_bps: int

    @property
    def venue(self) -> str:
        return "gmx"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every order of the account in a configured market that waits, whoever left it."""
        return self.asked

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """The oracle's middle; funding is what a long pays, without borrowing."""
        found = []
        for view in self.markets:
            rate, longs_pay = view.market.next_rate(view.index.price.middle, self.at_s)
            per_day = mul_div_down(rate * DAY_S, WAD, FLOAT)
            found.append(
                Quote(
                    venue="gmx",
                    market=view.index.market,
                    asset=view.asset,
                    index_wad=view.middle_wad,
                    mark_wad=view.middle_wad,
                    funding_per_day_wad=per_day if longs_pay else -per_day,
                )
            )
        return tuple(found)

    @property
    def positions(self) -> tuple[Position, ...]:
        return tuple(_perpetual(margin) for margin in self.margins)

    @property
    def offers(self) -> tuple[GmxOffer, ...]:
        return tuple(
            GmxOffer(
                view=view.market,
                market=view.index.market,
                asset=view.asset,
                prices=view.prices,
                decimals=view.index.decimals,
                short_decimals=view.short.decimals,
                held=tuple(m for m in self.margins if m.market.token == view.market.token),
                carry_long=view.carry_per_second(self.at_s, is_long=True),
                carry_short=view.carry_per_second(self.at_s, is_long=False),
                collateral_bps=self.collateral_bps,
                wait_s=self.execution.expiry_s,
                request_cost_wad=self.request_cost_wad,
            )
            for view in self.markets
            if not view.market.is_disabled
        )

    @property
    def request_cost_wad(self) -> int:
        """Dollars for one order, if none of the fee came back."""
        fee_wei = max(self.execution.fee_wei(is_increase=grows) for grows in (True, False))
        return mul_div_down(fee_wei, self.native_wad, WAD)

    @property
    def stressed(self) -> Stressed:
        return Stressed(tuple(ShockedAccount(margin) for margin in self.margins), ())

    def view(self, market: str) -> MarketView:
        """Raises VenueUnknown."""
        for view in self.markets:
            if view.index.market == market:
                return view
        raise VenueUnknown(name=market, known=", ".join(view.index.market for view in self.markets))

    def margin(self, key: str) -> GmxMargin:
        """The position of that key. Raises VenueUnknown."""
        for margin in self.margins:
            if margin.key == key:
                return margin
        raise VenueUnknown(name=key, known=", ".join(margin.key for margin in self.margins) or "none")

    def purse(self, token: Address) -> Purse:
        """Raises VenueUnknown."""
        for purse in self.purses:
            if purse.token.address == token:
                return purse
        raise VenueUnknown(name=token, known=", ".join(purse.token.address for purse in self.purses))


def _perpetual(margin: GmxMargin) -> Position:
    """The position; collateral that is the asset moves with its price, so it is part of the delta."""
    index, held = margin.tokens[0], margin.held
    profit = gain(held.size_usd, held.size_tokens, index.price, is_long=held.is_long, best=False)
    profit = margin.market.capped_profit(profit, margin.market_prices(margin.prices), is_long=held.is_long)
    size_wad = margin.size_wad(index.market)
    posted_wad = margin.collateral_wad if margin.collateral_kind is CollateralKind.BASE else 0
    return Position(
        venue="gmx",
        key=margin.key,
        instrument=Perpetual(index.market, margin.asset),
        size_wad=size_wad,
        value_wad=mul_div_down(profit, WAD, FLOAT),
        greeks=Greeks(delta=to_float(size_wad + posted_wad)),
        mark_wad=wad_of_unit(index.price.middle, index.decimals),
    )
