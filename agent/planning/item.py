"""What can be done about a book: trades, collateral moves, closes; each is one choice of the optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from agent.market.instrument import Option
from agent.market.margin import CollateralKind, CuttableAccount, MarginAccount, TradableAccount
from agent.market.offer import LottedOffer, Offer
from agent.market.position import Position
from agent.planning.policy import Policy
from agent.values.fixed import BPS, mul_up

LADDER = 24  # up to so many lots a curve is looked at on every one


@dataclass(frozen=True, slots=True)
class Deal:
    """A trade on ``offer``: up to ``cap_wad`` on the side of ``sign``. ``is_reducing``: of a position there
    is, never beyond it. ``is_urgent``: with the slippage of a delta outside its band.
    """

    offer: Offer
    sign: int
    cap_wad: int
    reach_wad: int
    is_urgent: bool
    is_reducing: bool = False

    @property
    def name(self) -> str:
        side = "reduce" if self.is_reducing else "buy" if self.sign > 0 else "sell"
        return f"{self.offer.market} {side}"

    @property
    def lot_wad(self) -> int:
        return self.offer.lot_wad if isinstance(self.offer, LottedOffer) else 0

    @property
    def is_laddered(self) -> bool:
        """Whether its curve is known at every size there is."""
        return self.lot_wad > 0 and self.cap_wad // self.lot_wad <= LADDER


@dataclass(frozen=True, slots=True)
class Pay:
    """Collateral from the wallet into ``account``."""

    account: MarginAccount
    most_wad: int

    @property
    def name(self) -> str:
        return f"pay {self.account.key}"


@dataclass(frozen=True, slots=True)
class Take:
    """Idle collateral out of ``account`` into the wallet, up to ``cap_wad``."""

    account: MarginAccount
    cap_wad: int

    @property
    def name(self) -> str:
        return f"take {self.account.key}"


@dataclass(frozen=True, slots=True)
class Close:
    """An option position bought or sold back: all of it, or up to three quarters. ``account``: its own."""

    position: Position
    account: MarginAccount | None
    is_whole: bool

    @property
    def name(self) -> str:
        return f"{'close' if self.is_whole else 'trim'} {self.position.key}"


Item = Deal | Pay | Take | Close


def close_bill_wad(position: Position, size_wad: int, policy: Policy) -> int:
    """The most that closing ``size_wad`` of it may cost."""
    return mul_up(size_wad, position.mark_wad) * (BPS + policy.close_premium_bps) // BPS


def touches(account: MarginAccount, offer: Offer) -> bool:
    """Whether a trade on ``offer`` changes the account."""
    return account.venue == offer.venue and is_tradable(account) and offer.market in account.prices


def is_tradable(account: MarginAccount) -> TypeGuard[TradableAccount]:
    """As isinstance says, which is slow for a protocol and asked thousands of times."""
    return hasattr(type(account), "traded")


def is_reducible(account: MarginAccount) -> TypeGuard[CuttableAccount]:
    """Whether it is the account of a position that can be closed in part, with its collateral left alone."""
    return hasattr(type(account), "cut") and not is_tradable(account)


def closable(positions: Sequence[Position], venues: Sequence[str]) -> list[Position]:
    """The option positions a venue could close."""
    return [p for p in positions if isinstance(p.instrument, Option) and p.venue in venues and p.size_wad]


def is_quote(account: MarginAccount) -> bool:
    """Whether its collateral is cash."""
    return account.collateral_kind is CollateralKind.QUOTE


def token_price(account: MarginAccount, spot: Mapping[str, float]) -> float:
    """Quote per unit of the account's collateral."""
    return 1.0 if is_quote(account) else spot.get(account.asset, 0.0)
