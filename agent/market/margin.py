"""A margin account as a pure function of prices and time: what risk solves and planning protects."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol, TypeGuard, runtime_checkable

from agent.values.address import MarketId
from agent.values.amount import Token

Prices = Mapping[MarketId, int]  # the venue's own price of each market, wad
Betas = Mapping[MarketId, int]  # how much of a move each market makes, wad: 1e18 moves one for one


class CollateralKind(Enum):
    """What one unit of the account's collateral is worth in its own margin currency: always one."""

    QUOTE = "quote"
    BASE = "base"


class MarginAccount(Protocol):
    """One account that can be liquidated as a whole, with every term its contract has.

    All ``_wad`` amounts are in units of ``collateral_token`` at 18 decimals: for a call short that is
    collateralised with the asset itself, equity and requirement count asset units. Adding x of the
    collateral token raises equity by exactly x at every price and time.
    """

    @property
    def key(self) -> str:
        """Unique in the book, e.g. "curie:margin" or "lyra:12" (the position's key)."""
        ...

    @property
    def venue(self) -> str: ...

    @property
    def asset(self) -> str:
        """The underlying whose price moves this account; "ETH"."""
        ...

    @property
    def collateral_token(self) -> Token: ...

    @property
    def collateral_kind(self) -> CollateralKind: ...

    @property
    def collateral_wad(self) -> int:
        """The collateral posted now (not the equity)."""
        ...

    @property
    def removable_wad(self) -> int:
        """How much of the collateral the protocol would let us take out now, rounded down."""
        ...

    @property
    def at_s(self) -> int:
        """Chain time of the snapshot; the model is exact there and projects from there."""
        ...

    @property
    def prices(self) -> Prices:
        """The venue's own prices at the snapshot, the ones its liquidation check uses."""
        ...

    @property
    def price_step_wad(self) -> int:
        """The smallest price change the venue's check can see."""
        ...

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """What the contract counts for the account, rounded as the contract rounds."""
        ...

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """What the contract demands, rounded as the contract rounds."""
        ...

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """The contract's predicate."""
        ...

    def binding(self, prices: Prices, at_s: int) -> str:
        """The name of the term that rules the requirement there ("maintenance", "static floor", ...)."""
        ...


@runtime_checkable
class ShapedAccount(MarginAccount, Protocol):
    """A margin account that knows the shape of its headroom (equity minus requirement), which is what makes
    a search for its first flip exact instead of as fine as its grid. Roundings to the last units of the
    token are left out of both statements: an account worth less than one may flip at every rounding.
    """

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """For the joint move in which market i goes to ``price_i * (1 + beta_i * (ratio - 1))``: the ratios
        (wad, > 0, ascending) between which headroom is concave or monotone. Below, between and above all
        of them it then has its least value at an end. Empty: it is so everywhere.
        """
        ...

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """How many seconds one look sees ahead, at standing prices: if the account is liquidatable at any
        time up to then, it still is at the end. 0 or more.
        """
        ...


@runtime_checkable
class WeightedAccount(MarginAccount, Protocol):
    """A margin account whose prices do not all make the same move."""

    @property
    def betas(self) -> Betas:
        """How much of a joint move each of its prices makes, unless the asker says otherwise."""
        ...


@runtime_checkable
class FundableAccount(MarginAccount, Protocol):
    """A margin account whose requirement depends on what is posted: the rule that collateral only raises
    equity does not hold of it.
    """

    def funded(self, amount_wad: int) -> MarginAccount:
        """The account after ``amount_wad`` of its collateral token is paid in."""
        ...


def is_shaped(account: MarginAccount) -> TypeGuard[ShapedAccount]:
    """As isinstance says, which is slow for a protocol and asked of every account in every block."""
    return hasattr(type(account), "bends")


def is_fundable(account: MarginAccount) -> TypeGuard[FundableAccount]:
    """As isinstance says."""
    return hasattr(type(account), "funded")


@runtime_checkable
class AccruingAccount(MarginAccount, Protocol):
    """A margin account that pays or earns by the second."""

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """What has accrued against the account until ``at_s``, by the name of the term ("funding"); negative
        is earned. In units of the collateral.
        """
        ...


@runtime_checkable
class CuttableAccount(MarginAccount, Protocol):
    """A margin account whose positions can be made smaller."""

    def size_wad(self, market: MarketId) -> int:
        """The signed size held in ``market``."""
        ...

    def cut(self, market: MarketId, size_wad: int) -> MarginAccount:
        """The account after ``size_wad`` (> 0, at most what is held) is closed at the mark, fees apart.

        A perpetual's profit and loss stay in the account; what an option's closing costs is paid from
        outside, and its collateral stays.
        """
        ...


@runtime_checkable
class TradableAccount(MarginAccount, Protocol):
    """A margin account whose positions can be traded: it can say what it would be afterwards."""

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> MarginAccount:
        """The same account after buying (> 0) or selling ``size_wad`` at ``price_wad``, fees in the price."""
        ...


@runtime_checkable
class PenalisedAccount(MarginAccount, Protocol):
    """A margin account that knows what its protocol keeps of it in a liquidation."""

    @property
    def liquidation_loss_wad(self) -> int:
        """The penalty if all of it were liquidated at the snapshot's prices, rounded down; what the
        liquidation pays back to creditors is no loss.
        """
        ...
