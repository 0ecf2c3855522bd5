"""The judge: a snapshot in, health, distances, Greeks and limits out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.market.margin import CollateralKind, MarginAccount
from agent.market.position import Greeks
from agent.market.request import Request, open_requests
from agent.market.snapshot import Snapshot
from agent.risk.greeks import by_asset
from agent.risk.limits import Bounds, Limit
from agent.risk.liquidation import Flip, solve_joint, solve_time
from agent.values.block import Block
from agent.values.fixed import to_float


@dataclass(frozen=True, slots=True)
class AccountRisk:
    """One margin account. ``_wad`` in its collateral token; ``health`` = equity / requirement (inf if none).

    ``distance`` is the nearer flip's, inf if neither direction liquidates. ``hours_to_liquidation`` holds
    prices still and lets funding and time run; None if it never comes within the horizon.
    """

    key: str
    venue: str
    asset: str
    equity_wad: int
    requirement_wad: int
    health: float
    down: Flip | None
    up: Flip | None
    distance: float
    hours_to_liquidation: float | None
    binding: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the judge says of one snapshot. Money in quote currency as floats, for people and limits."""

    block: Block
    accounts: tuple[AccountRisk, ...]
    by_asset: Mapping[str, Greeks]
    spot: Mapping[str, float]
    equity_usd: float
    limits: tuple[Limit, ...]

    @property
    def breached(self) -> tuple[Limit, ...]:
        """The limits that do not hold."""
        return tuple(limit for limit in self.limits if limit.breached)

    @property
    def delta_usd(self) -> float:
        """Net delta of the book in quote currency."""
        return sum(greeks.delta * self.spot.get(asset, 0.0) for asset, greeks in self.by_asset.items())

    @property
    def distance(self) -> float:
        """The nearest account's distance to liquidation."""
        return min((risk.distance for risk in self.accounts), default=math.inf)


def assess(snapshot: Snapshot, bounds: Bounds) -> Assessment:
    """Judge a snapshot."""
    accounts = tuple(_risk(account) for account in snapshot.margins)
    greeks = by_asset(snapshot.positions)
    waiting = open_requests(snapshot)
    greeks |= {request.asset: Greeks() for request in waiting if request.asset not in greeks}
    limits = [
        Limit(f"net delta {asset}", "band", net.delta, bounds.band.get(asset, 0.0))
        for asset, net in greeks.items()
    ]
    limits += [
        Limit(f"net delta {asset} if filled", "band", delta, bounds.band.get(asset, 0.0))
        for asset, delta in _deltas_if_filled(waiting, greeks).items()
    ]
    limits += [
        Limit(f"net {name} {asset}", "greek", getattr(net, name), widest[asset])
        for name, widest in (("gamma", bounds.gamma), ("vega", bounds.vega))
        for asset, net in greeks.items()
        if asset in widest
    ]
    limits += [
        Limit(f"distance {risk.key}", "floor", risk.distance, bounds.floor_distance) for risk in accounts
    ]
    return Assessment(
        snapshot.block, accounts, greeks, spot_prices(snapshot), equity_usd(snapshot), tuple(limits)
    )


def _deltas_if_filled(waiting: Sequence[Request], greeks: Mapping[str, Greeks]) -> dict[str, float]:
    """Of each asset that keepers are asked for, the farthest its net delta can get by fills: any of the open
    requests may be filled and any of them not.
    """
    found: dict[str, float] = {}
    for asset in dict.fromkeys(request.asset for request in waiting):
        sizes = [to_float(request.pending_wad) for request in waiting if request.asset == asset]
        lowest = greeks[asset].delta + sum(size for size in sizes if size < 0)
        highest = greeks[asset].delta + sum(size for size in sizes if size > 0)
        ends = [end for end in (lowest, highest) if end != greeks[asset].delta]
        if ends:
            found[asset] = max(ends, key=abs)
    return found


def spot_prices(snapshot: Snapshot) -> dict[str, float]:
    """The oracle price of each asset: the first venue's that has one."""
    prices: dict[str, float] = {}
    for state in snapshot.venues:
        for quote in state.quotes:
            prices.setdefault(quote.asset, to_float(quote.index_wad))
    return prices


def equity_usd(snapshot: Snapshot) -> float:
    """What the whole book is worth at the marks, in quote currency.

    Every position's value (which leaves collateral out), every margin account's posted collateral (in the
    asset itself: at the oracle price), and the quote tokens of the wallet. Wallet tokens that are the asset
    are wallet positions.
    """
    spot = spot_prices(snapshot)
    posted = sum(
        to_float(a.collateral_wad)
        * (1.0 if a.collateral_kind is CollateralKind.QUOTE else spot.get(a.asset, 0.0))
        for a in snapshot.margins
    )
    held = sum(to_float(position.value_wad) for position in snapshot.positions)
    return posted + held + to_float(_wallet_quote_wad(snapshot))


def _wallet_quote_wad(snapshot: Snapshot) -> int:
    """The wallet's cash: what margin accounts take as quote collateral and spot is paid in."""
    return sum(snapshot.wallet.balance_wad(token) for token in snapshot.quote_tokens)


def _risk(account: MarginAccount) -> AccountRisk:
    equity = account.equity_wad(account.prices, account.at_s)
    requirement = account.requirement_wad(account.prices, account.at_s)
    down, up = solve_joint(account, "down"), solve_joint(account, "up")
    return AccountRisk(
        key=account.key,
        venue=account.venue,
        asset=account.asset,
        equity_wad=equity,
        requirement_wad=requirement,
        health=equity / requirement if requirement > 0 else math.inf,
        down=down,
        up=up,
        distance=min((flip.distance for flip in (down, up) if flip is not None), default=math.inf),
        hours_to_liquidation=solve_time(account),
        binding=account.binding(account.prices, account.at_s),
    )
