"""The judge: a snapshot in, health, distances, Greeks and limits out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.market.margin import CollateralKind, MarginAccount
from agent.market.position import Greeks
from agent.market.request import Request, open_requests
from agent.market.snapshot import Snapshot, is_massed
from agent.risk.calm import is_calm
from agent.risk.greeks import by_asset, net
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


class Assessment:
    """What the judge says of one snapshot. Money in quote currency as floats, for people and limits.

    Nothing is reckoned before it is asked for, and then once: a decision that needs no flip waits for none.
    """

    def __init__(self, snapshot: Snapshot, bounds: Bounds) -> None:
        self._snapshot = snapshot
        self._bounds = bounds

    @property
    def block(self) -> Block:
        return self._snapshot.block

    @cached_property
    def accounts(self) -> tuple[AccountRisk, ...]:
        return tuple(_risk(account) for account in self._snapshot.margins)

    @cached_property
    def waiting(self) -> tuple[Request, ...]:
        """What keepers were asked for and may still fill."""
        return open_requests(self._snapshot)

    @cached_property
    def by_asset(self) -> Mapping[str, Greeks]:
        asked = {request.asset: Greeks() for request in self.waiting}
        return asked | by_asset(self._snapshot.positions)

    @cached_property
    def deltas(self) -> Mapping[str, float]:
        """The net delta of each asset, as in ``by_asset``."""
        asked = {request.asset: 0.0 for request in self.waiting}
        return asked | net(self._snapshot.exposures("delta"))

    @cached_property
    def gammas(self) -> Mapping[str, float]:
        """The net gamma of each asset, as in ``by_asset``."""
        return net(self._snapshot.exposures("gamma"))

    @cached_property
    def vegas(self) -> Mapping[str, float]:
        """The net vega of each asset, as in ``by_asset``."""
        return net(self._snapshot.exposures("vega"))

    @cached_property
    def spot(self) -> Mapping[str, float]:
        return spot_prices(self._snapshot)

    @cached_property
    def equity_usd(self) -> float:
        return equity_usd(self._snapshot)

    @cached_property
    def bands(self) -> tuple[Limit, ...]:
        """The limits on delta alone."""
        band = self._bounds.band
        return tuple(
            Limit(f"net delta {asset}", "band", delta, band.get(asset, 0.0))
            for asset, delta in self.deltas.items()
        ) + tuple(
            Limit(f"net delta {asset} if filled", "band", delta, band.get(asset, 0.0))
            for asset, delta in _deltas_if_filled(self.waiting, self.deltas).items()
        )

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        bounds = self._bounds
        limits = list(self.bands)
        limits += [
            Limit(f"net {name} {asset}", "greek", value, widest[asset])
            for name, widest, values in (
                ("gamma", bounds.gamma, self.gammas if bounds.gamma else {}),
                ("vega", bounds.vega, self.vegas if bounds.vega else {}),
            )
            for asset, value in values.items()
            if asset in widest
        ]
        floor = bounds.floor_distance
        limits += [Limit(f"distance {risk.key}", "floor", risk.distance, floor) for risk in self.accounts]
        return tuple(limits)

    @property
    def breached(self) -> tuple[Limit, ...]:
        """The limits that do not hold."""
        return tuple(limit for limit in self.limits if limit.breached)

    @property
    def delta_usd(self) -> float:
        """Net delta of the book in quote currency."""
        return sum(delta * self.spot.get(asset, 0.0) for asset, delta in self.deltas.items())

    @property
    def distance(self) -> float:
        """The nearest account's distance to liquidation."""
        return min((risk.distance for risk in self.accounts), default=math.inf)

    def is_calm(self, distance: float, within_s: float) -> bool:
        """Whether it is certain that every account is farther than that from liquidation, both in price and,
        at standing prices, in time; without solving for any flip.
        """
        return all(
            state.is_calm(distance, within_s)
            if is_massed(state)
            else all(is_calm(account, distance, within_s) for account in state.margins)
            for state in self._snapshot.venues
        )


def assess(snapshot: Snapshot, bounds: Bounds) -> Assessment:
    """Judge a snapshot."""
    return Assessment(snapshot, bounds)


def _deltas_if_filled(waiting: Sequence[Request], deltas: Mapping[str, float]) -> dict[str, float]:
    """Of each asset that keepers are asked for, the farthest its net delta can get by fills: any of the open
    requests may be filled and any of them not.
    """
    found: dict[str, float] = {}
    for asset in dict.fromkeys(request.asset for request in waiting):
        sizes = [to_float(request.pending_wad) for request in waiting if request.asset == asset]
        lowest = deltas[asset] + sum(size for size in sizes if size < 0)
        highest = deltas[asset] + sum(size for size in sizes if size > 0)
        ends = [end for end in (lowest, highest) if end != deltas[asset]]
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
