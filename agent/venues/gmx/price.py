"""What GMX's oracle would say of a token: a lowest and a highest price, in whole numbers of its own unit."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.fixed import rescale_down

PRICE_DECIMALS = 30


@dataclass(frozen=True, slots=True)
class Price:
    """USD at 30 decimals per smallest unit of the token."""

    low: int
    high: int

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2

    @property
    def words(self) -> tuple[int, int]:
        return (self.low, self.high)

    def pick(self, *, highest: bool) -> int:
        return self.high if highest else self.low

    def at(self, middle: int) -> Price:
        """The same spread, relatively, around another middle; no price is nothing, to the protocol."""
        if middle == self.middle:
            return self
        low, high = (max(1, price * middle // self.middle) for price in self.words)
        return Price(low, high)


@dataclass(frozen=True, slots=True)
class Prices:
    """Of one market's three tokens."""

    index: Price
    long: Price
    short: Price

    @property
    def words(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """As the contracts take them."""
        return (self.index.words, self.long.words, self.short.words)


def unit_of_wad(price_wad: int, decimals: int) -> int:
    """A price per whole token as GMX counts it, rounded down."""
    return rescale_down(price_wad, 18, PRICE_DECIMALS - decimals)


def wad_of_unit(price: int, decimals: int) -> int:
    """And back, rounded down; exact for tokens of at least 12 decimals."""
    return rescale_down(price, PRICE_DECIMALS - decimals, 18)
