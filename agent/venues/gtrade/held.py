"""A trade as the contract stores it, and what its contract reckons of it: fees owed, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.fixed import div_trunc
from agent.venues.gtrade.fragment import LEVERAGE, P_10, V9_2, V10
from agent.venues.gtrade.holding import share
from agent.venues.gtrade.pair import LiquidationTerms, Pair


@dataclass(frozen=True, slots=True)
class Held:
    """``collateral`` and fees in the collateral's smallest unit, ``open_price`` at 10 decimals. ``realized``:
    profit already booked less fees already charged. ``old_owed``: of the old borrowing (by the block), which
    grows by ``old_rate``: percent at 10 decimals in 1e9 seconds.
    """

    index: int
    is_long: bool
    collateral: int
    leverage: int
    open_price: int
    is_counter: bool
    version: int
    slippage: int
    liquidation: LiquidationTerms
    realized: int
    funding_acc: int
    borrowing_acc: int
    old_owed: int = 0
    old_rate: int = 0

    @property
    def whole(self) -> int:
        """The collateral times the leverage's three decimals."""
        return self.collateral * self.leverage

    @property
    def position(self) -> int:
        """``getPositionSizeCollateral``."""
        return self.whole // LEVERAGE

    @property
    def sign(self) -> int:
        return 1 if self.is_long else -1


@dataclass(frozen=True, slots=True)
class Holding:
    """``TradeHoldingFees``: owed and not yet booked."""

    funding: int
    borrowing: int
    old: int

    @property
    def total(self) -> int:
        return self.funding + self.borrowing + self.old


def holding_of(held: Held, pair: Pair, price: int, at_s: int, since_s: int) -> Holding:
    """``getTradePendingHoldingFeesCollateral``. ``since_s``: when ``old_owed`` was read."""
    funding = 0
    if held.version >= V10:
        grown = pair.funding_at(price, at_s, is_long=held.is_long) - held.funding_acc
        funding = share(held.position, grown, held.open_price)
    borrowed = share(held.position, pair.borrowing_at(price, at_s) - held.borrowing_acc, held.open_price)
    grown_old = held.whole * held.old_rate * max(0, at_s - since_s)
    return Holding(funding, borrowed, held.old_owed + grown_old // LEVERAGE // 10**9 // P_10 // 100)


def liquidation_distance(held: Held, pair: Pair, owed: int) -> int:
    """How far from its opening price the trade ends, signed: ``_getTradeLiquidationPrice`` up to the side.

    ``owed``: holding fees less what is realized. Every division is the contract's own, toward zero.
    """
    delta = pair.money.delta
    fees = pair.trading_fee(held.position, is_counter=held.is_counter) + owed
    bearable = held.collateral * held.liquidation.threshold(held.leverage) * delta * 1_000 // 100 // P_10
    distance = held.open_price * (bearable - fees * delta * 1_000)
    distance = div_trunc(div_trunc(div_trunc(distance, held.collateral), held.leverage), delta)
    return distance - held.open_price * closing_spread(held, pair) // P_10 // 100


def closing_spread(held: Held, pair: Pair) -> int:
    """Half the account's spread, at most what the trade was opened with; none before version 9.2."""
    return min(pair.spread // 2, held.liquidation.max_spread) if held.version >= V9_2 else 0


def liquidation_price(held: Held, pair: Pair, owed: int) -> int:
    """``getTradeLiquidationPrice``; a long that cannot end says 0."""
    return max(0, held.open_price - held.sign * liquidation_distance(held, pair, owed))
