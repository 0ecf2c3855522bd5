"""The account as the contract counts it: pure, to the last unit, at any price and second.

ExamplePerps.sol: ``equityOf``, ``requirementOf``, ``fundingOf``, ``isLiquidatable``. Solidity's division
rounds towards zero, which is what ``mul_div_trunc`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.market.margin import Betas, CollateralKind, Prices
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, div_trunc, mul_div_trunc, mul_div_up

FOREVER_S = 3_650 * DAY_S


@dataclass(frozen=True, slots=True)
class Terms:
    """The contract's constants, wad of notional; ``funding``: per second, paid by longs."""

    initial: int
    maintenance: int
    fee: int
    funding: int


@dataclass(frozen=True, slots=True)
class ExampleMargin:
    """One account. ``quote_wad``: what the position has brought in less what it has cost."""

    market: MarketId
    asset: str
    collateral_token: Token
    collateral_wad: int
    size: int
    quote_wad: int
    since_s: int
    at_s: int
    price_wad: int
    terms: Terms

    @property
    def key(self) -> str:
        return self.market

    @property
    def venue(self) -> str:
        return "example"

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.QUOTE

    @property
    def prices(self) -> Prices:
        return {self.market: self.price_wad}

    @property
    def price_step_wad(self) -> int:
        return 1

    @property
    def removable_wad(self) -> int:
        """What is above the initial margin, in whole units of the token, and no more than is posted."""
        notional = mul_div_trunc(abs(self.size), self.price_wad, WAD)
        free = self.equity_wad(self.prices, self.at_s) - mul_div_up(notional, self.terms.initial, WAD)
        unit = int(10 ** (18 - self.collateral_token.decimals))
        return max(0, min(free, self.collateral_wad)) // unit * unit

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """``equityOf``."""
        price = prices.get(self.market, self.price_wad)
        worth = mul_div_trunc(self.size, price, WAD)
        return self.collateral_wad + self.quote_wad + worth - self._funding_wad(price, at_s)

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """``requirementOf``."""
        del at_s
        notional = mul_div_trunc(abs(self.size), prices.get(self.market, self.price_wad), WAD)
        return mul_div_trunc(notional, self.terms.maintenance, WAD)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """``isLiquidatable``."""
        return self.equity_wad(prices, at_s) < self.requirement_wad(prices, at_s)

    def binding(self, prices: Prices, at_s: int) -> str:
        """There is one rule."""
        del prices, at_s
        return "maintenance"

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """Both sides are straight in the price."""
        del betas
        return ()

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """Who pays funding only gets worse; who earns it may recover at any second."""
        del prices, at_s
        return FOREVER_S if self.size * self.terms.funding > 0 else 0

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Funding, at the snapshot's price."""
        return {"funding": self._funding_wad(self.price_wad, at_s)}

    def size_wad(self, market: MarketId) -> int:
        """Signed; 0 in any other market."""
        return self.size if market == self.market else 0

    def cut(self, market: MarketId, size_wad: int) -> ExampleMargin:
        """Closed at the price, fees apart."""
        return self.traded(market, -size_wad if self.size > 0 else size_wad, self.price_wad)

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> ExampleMargin:
        """After a trade, fees in the price; it settles the funding. Rounded against us."""
        if market != self.market:
            return self
        paid = mul_div_up(size_wad, price_wad, WAD)
        owed = self._funding_wad(self.price_wad, self.at_s)
        return replace(
            self, size=self.size + size_wad, quote_wad=self.quote_wad - paid - owed, since_s=self.at_s
        )

    def _funding_wad(self, price_wad: int, at_s: int) -> int:
        """``fundingOf``: the products first, as the contract has them."""
        notional = mul_div_trunc(self.size, price_wad, WAD)
        return div_trunc(notional * self.terms.funding * (at_s - self.since_s), WAD)


def fee_wad(size_wad: int, price_wad: int, terms: Terms) -> int:
    """Of a trade: rounded up, as ``_ceil`` does."""
    return mul_div_up(abs(mul_div_trunc(size_wad, price_wad, WAD)), terms.fee, WAD)
