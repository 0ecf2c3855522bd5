"""Why the book stands where it stands: what moves it, what would liquidate it, what would help. Pure.

More than a cycle needs, and slower; for people who ask.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.market.instrument import Perpetual
from agent.market.margin import CuttableAccount, MarginAccount
from agent.market.position import Greeks, Position
from agent.market.snapshot import Snapshot
from agent.risk.assessment import spot_prices
from agent.risk.liquidation import DIRECTIONS, Flip, Lapse, solve_joint, solve_lapse, solve_price
from agent.risk.remedy import Remedy, collateral, is_safe_within, size
from agent.values.address import MarketId
from agent.values.fixed import WAD, to_float

PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Driver:
    """What one holding makes or loses, in quote: when the asset rises or falls by one percent (second order),
    when its volatility rises by one point, and in a day of standing still, by decay and by funding.
    """

    key: str
    asset: str
    up: float
    down: float
    vol_point: float
    decay: float
    funding: float


@dataclass(frozen=True, slots=True)
class Cut:
    """What closing in ``market`` brings the account to the target; None: all of it would not do."""

    market: MarketId
    remedy: Remedy | None


@dataclass(frozen=True, slots=True)
class Case:
    """One margin account. ``flips``: all its markets together, then, if there are several, each with the
    others held. ``collateral`` (of its token) brings it to the target.
    """

    key: str
    asset: str
    token: str
    flips: tuple[Flip, ...]
    lapse: Lapse | None
    collateral: Remedy
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """``target``: the distance to liquidation that collateral and cuts are meant to reach. Drivers by how
    much they move the book, cases by how near they are.
    """

    target: float
    drivers: tuple[Driver, ...]
    cases: tuple[Case, ...]


def explain(snapshot: Snapshot, target: float) -> Explanation:
    """Everything about the book at one block."""
    spot = spot_prices(snapshot)
    drivers = [_driver(snapshot, position, spot) for position in snapshot.positions]
    cases = [_case(account, target) for account in snapshot.margins]
    return Explanation(
        target,
        tuple(sorted(drivers, key=lambda driver: -abs(driver.up - driver.down))),
        tuple(sorted(cases, key=_nearest)),
    )


def _driver(snapshot: Snapshot, position: Position, spot: dict[str, float]) -> Driver:
    asset, greeks = position.instrument.asset, position.greeks
    move = spot.get(asset, to_float(position.mark_wad)) * PERCENT
    return Driver(
        position.key,
        asset,
        _moved(greeks, move),
        _moved(greeks, -move),
        greeks.vega / 100,
        greeks.theta,
        _funding(snapshot, position),
    )


def _moved(greeks: Greeks, move: float) -> float:
    return greeks.delta * move + greeks.gamma * move * move / 2


def _funding(snapshot: Snapshot, position: Position) -> float:
    """Received (> 0) or paid a day at the present rate."""
    if not isinstance(position.instrument, Perpetual):
        return 0.0
    market = position.instrument.market
    quotes = (quote for state in snapshot.venues for quote in state.quotes if quote.market == market)
    quote = next(quotes, None)
    if quote is None:
        return 0.0
    rate = to_float(quote.funding_per_day_wad)
    return -to_float(position.size_wad) * to_float(quote.index_wad) * rate


def _case(account: MarginAccount, target: float) -> Case:
    flips = [solve_joint(account, direction) for direction in DIRECTIONS]
    if len(account.prices) > 1:
        flips += [
            solve_price(account, market, direction) for market in account.prices for direction in DIRECTIONS
        ]
    return Case(
        account.key,
        account.asset,
        account.collateral_token.symbol,
        tuple(flip for flip in flips if flip is not None),
        solve_lapse(account),
        collateral(account, target),
        tuple(_cuts(account, target)),
    )


def _cuts(account: MarginAccount, target: float) -> list[Cut]:
    """One for each market that is held, when the account is nearer than the target."""
    if not isinstance(account, CuttableAccount) or is_safe_within(account, target):
        return []
    cuts = []
    for market in account.prices:
        held = abs(account.size_wad(market))
        if held:
            step = max(1, min(WAD // 10**6, held // 10**6))
            cuts.append(Cut(market, size(account, market, target, step)))
    return cuts


def _nearest(case: Case) -> tuple[float, float]:
    distance = min((flip.distance for flip in case.flips), default=float("inf"))
    return distance, float("inf") if case.lapse is None else case.lapse.hours
