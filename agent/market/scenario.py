"""Where the world could go, many states at once, and what a venue can say of its accounts there.

The float side of the house: ints are exact for one price, these are fast for ten thousand. An array's shape
is (scenarios, steps): along the second axis time passes, and an account that is liquidated at one step is
gone at the next. Money is quote currency, from the holder's side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from agent.values.address import Address
from agent.values.amount import Token

Floats = npt.NDArray[np.float64]

MIN_VOL = 1e-4


@dataclass(frozen=True)
class States:
    """States of the world, arrays of the shape of ``hours`` (or that broadcast to it).

    ``hours``: since the snapshot, >= 0. ``ratios``: an asset's price over the snapshot's, >= 0; an asset that
    is not named moves by ``other``. Implied volatility per year becomes ``iv * vol_factor + vol_shift``, at
    least 1e-4. ``worth``: what a token that should be worth its face (quote currency, or the asset) is
    worth of it; 1 unless named. Raises ValueError for what is not finite, negative, or of another shape.
    """

    hours: Floats
    ratios: Mapping[str, Floats] = field(default_factory=dict)
    other: Floats = field(default_factory=lambda: np.ones(()))
    vol_factor: Floats = field(default_factory=lambda: np.ones(()))
    vol_shift: Floats = field(default_factory=lambda: np.zeros(()))
    worth: Mapping[Address, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arrays = {"hours": self.hours, "other": self.other, "vol_factor": self.vol_factor}
        arrays |= {f"ratio of {asset}": ratio for asset, ratio in self.ratios.items()}
        arrays |= {f"worth of {token}": worth for token, worth in self.worth.items()}
        for name, array in (*arrays.items(), ("vol_shift", self.vol_shift)):
            if not np.all(np.isfinite(array)):
                raise ValueError(f"{name} is not finite")
            if np.broadcast_shapes(array.shape, self.hours.shape) != self.hours.shape:
                raise ValueError(f"{name} has shape {array.shape}, hours have {self.hours.shape}")
        for name, array in arrays.items():
            if np.any(array < 0):
                raise ValueError(f"{name} is negative")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.hours.shape

    @property
    def seconds(self) -> Floats:
        """Whole seconds since the snapshot, as a chain counts them."""
        return np.rint(self.hours * 3600.0)

    def ratio(self, asset: str) -> Floats:
        """The asset's price over the snapshot's."""
        return self.ratios.get(asset, self.other)

    def worth_of(self, token: Address) -> Floats:
        """What one unit of face value in this token is worth."""
        return self.worth.get(token, _ONE)

    def vol(self, iv: float) -> Floats:
        """The volatility that ``iv`` has become."""
        return np.maximum(iv * self.vol_factor + self.vol_shift, MIN_VOL)

    def full(self, values: Floats | float) -> Floats:
        """The values in the states' own shape, as an array of its own."""
        return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), self.shape))


_ONE = np.ones(())
NOW = States(hours=np.zeros((1, 1)))


@dataclass(frozen=True)
class Footing:
    """How an account stands in each state.

    ``headroom``: equity less requirement in units of the collateral; the venue liquidates below zero (an
    account that cannot be liquidated in a state has at least 0 there). ``worth``: collateral and positions
    together, quote currency. ``penalty``: what a liquidation of all of it would take there, quote currency.
    ``unit``: quote currency per unit of the collateral.
    """

    headroom: Floats
    worth: Floats
    penalty: Floats
    unit: Floats


class Claim(Protocol):
    """A holding, or some of them, that nobody can liquidate: the asset, cash, liquidity, a long option."""

    @property
    def key(self) -> str: ...

    @property
    def venue(self) -> str: ...

    def value(self, states: States) -> Floats:
        """What it is worth in each state, quote currency."""
        ...


class StressedAccount(Protocol):
    """A margin account as a function of many states; agrees with its `MarginAccount` of the same key."""

    @property
    def key(self) -> str: ...

    @property
    def venue(self) -> str: ...

    @property
    def collateral_token(self) -> Token: ...

    def stand(self, states: States) -> Footing:
        """Its footing in each state."""
        ...


@dataclass(frozen=True, slots=True)
class Stressed:
    """A venue's side of the book: every holding is in exactly one of its accounts or claims."""

    accounts: tuple[StressedAccount, ...]
    claims: tuple[Claim, ...]


@runtime_checkable
class StressedVenue(Protocol):
    """A venue state that can be asked about many states at once."""

    @property
    def stressed(self) -> Stressed: ...
