"""A quantity of a token: adding two different tokens raises."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.values.address import Address
from agent.values.fixed import decimal, rescale_down


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20, as read from the chain."""

    address: Address
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Amount:
    """``raw`` in the token's smallest unit; may be negative for flows."""

    token: Token
    raw: int

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.token, self.raw + self._same(other).raw)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.token, self.raw - self._same(other).raw)

    def _same(self, other: Amount) -> Amount:
        if self.token.address != other.token.address:
            raise TypeError(f"cannot combine {self.token.symbol} with {other.token.symbol}")
        return other

    @property
    def wad(self) -> int:
        """The quantity at 18 decimals, rounded down."""
        return rescale_down(self.raw, self.token.decimals, 18)

    @property
    def decimal(self) -> Decimal:
        """For display."""
        return decimal(self.raw, self.token.decimals)
