"""Curie's margin over arrays: what accounts hold and what all share, as headroom at any price. Pure.

The formulas are those of `agent.venues.curie.margin`, in floats. Headroom is a straight line in every move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from agent.risk.crowd import Flags, Floats, Rows, Way
from agent.values.address import MarketId
from agent.values.fixed import DAY_S
from agent.venues.curie.margin import MAINTENANCE
from agent.venues.deployments import CurieDeployment

ROUNDING = 2.0**-46  # of the sum of all terms' magnitudes: float products and sums, with much to spare
CUTS = 1e-15  # what the contract's own roundings and the growth's two wei add up to at most


@dataclass(frozen=True)
class Market:
    """What all accounts share at one block, in whole tokens; nan where a price cannot be had.

    ``growths``: of each market the sum of premiums so far, beyond some anchor, in quote times seconds.
    ``worths``: of a whole collateral token, discounted; ``units``: how many of its smallest make one.
    """

    marks: Floats
    growths: Floats
    maintenance: float
    decimals: int
    worths: Floats
    units: Floats


@dataclass(frozen=True)
class Stakes:
    """What accounts hold: [rows], [rows, markets] or [rows, collaterals], in whole tokens.

    ``since``: the growth at the account's last change, beyond the same anchor.
    """

    balance: Floats
    owed: Floats
    sizes: Floats
    notionals: Floats
    since: Floats
    collaterals: Floats

    def grown(self, count: int) -> Stakes:
        """With rows of nothing at the end, ``count`` in all. Always a copy."""
        return self._each(lambda old: np.concatenate([old, np.zeros((count - len(old), *old.shape[1:]))]))

    def put(self, rows: Rows, fresh: Stakes) -> Stakes:
        """With those rows replaced, in place."""
        for name, array in self._arrays().items():
            array[rows] = getattr(fresh, name)
        return self

    def filled(self) -> Stakes:
        """Nothing where an answer is missing."""
        return self._each(lambda array: np.nan_to_num(array, posinf=0.0, neginf=0.0))

    def differing(self, later: Stakes) -> Flags:
        """Of each of our rows, whether the same row of ``later`` says something else."""
        count = len(self.balance)
        found = np.zeros(count, np.bool_)
        theirs = later._arrays()
        for name, array in self._arrays().items():
            unlike = array != theirs[name][:count]
            found |= unlike if unlike.ndim == 1 else unlike.any(axis=1)
        return found

    def _each(self, change: Callable[[Floats], Floats]) -> Stakes:
        return Stakes(**{name: change(array) for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, Floats]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Heap:
    """Accounts as `agent.risk.crowd.Crowd`: ``still + moving * ratio`` in the joint move, and in the leading
    market's alone ``headroom now + lead * (ratio - 1)``.
    """

    equity: Floats
    requirement: Floats
    slack: Floats
    bends: Floats
    leading: npt.NDArray[np.intp]
    prices: Floats
    sizes: Floats
    deltas: Floats
    markets: tuple[MarketId, ...]
    market_assets: tuple[str, ...]
    assets: tuple[str, ...]
    moving: Floats
    lead: Floats

    def headroom(self, ratios: Floats, rows: Rows, way: Way) -> Floats:
        """See `agent.risk.crowd.Crowd`."""
        slope = self.moving if way == "joint" else self.lead
        return (self.equity[rows] - self.requirement[rows]) + slope[rows] * (ratios - 1.0)

    def binding(self, row: int, ratio: float) -> str:
        """There is but one term."""
        del row, ratio
        return MAINTENANCE


@dataclass(frozen=True)
class Told:
    """What the contract itself says of the rows that ``flags`` marks; there it rules."""

    flags: Flags
    sizes: Floats
    equity: Floats
    requirement: Floats


def heap(curie: CurieDeployment, stakes: Stakes, market: Market, told: Told) -> Heap:
    """Everybody's margin at the market's prices."""
    sizes = np.where(told.flags[:, None], told.sizes, stakes.sizes)
    values = _times(sizes, market.marks)
    growths = np.where(sizes != 0.0, market.growths - stakes.since, 0.0)
    funding = sizes * growths / DAY_S
    worths = _times(stakes.collaterals, market.worths)
    equity = stakes.balance + stakes.owed + (values + stakes.notionals - funding).sum(axis=1)
    equity += worths.sum(axis=1)
    exposure = np.abs(values)
    requirement = exposure.sum(axis=1) * market.maintenance
    moves = np.array([bool(other.asset) for other in curie.collaterals], np.bool_)
    terms = np.abs(stakes.balance) + np.abs(stakes.owed) + np.abs(worths).sum(axis=1)
    terms += (exposure + np.abs(stakes.notionals)).sum(axis=1)
    terms += (np.abs(sizes) * (np.abs(market.growths) + np.abs(stakes.since))).sum(axis=1) / DAY_S
    leading = exposure.argmax(axis=1) if exposure.shape[1] else np.zeros(len(exposure), np.intp)
    rows = np.arange(len(exposure))
    has_any = exposure.any(axis=1)
    lead = np.where(has_any, (values - exposure * market.maintenance)[rows, leading], 0.0)
    return Heap(
        equity=np.where(told.flags, told.equity, equity),
        requirement=np.where(told.flags, told.requirement, requirement),
        slack=np.where(told.flags, 0.0, 10.0**-market.decimals + CUTS) + terms * ROUNDING,
        bends=np.zeros((len(rows), 0)),
        leading=np.where(has_any, leading, -1),
        prices=np.where(has_any, market.marks[leading], np.nan),
        sizes=np.where(has_any, sizes[rows, leading], 0.0),
        deltas=_deltas(curie, sizes, stakes.collaterals),
        markets=tuple(MarketId(f"curie:{one.address}") for one in curie.markets),
        market_assets=tuple(one.asset for one in curie.markets),
        assets=_assets(curie),
        moving=values.sum(axis=1) - requirement + worths[:, moves].sum(axis=1),
        lead=lead,
    )


def _times(amounts: Floats, prices: Floats) -> Floats:
    """Nothing is worth nothing, even where there is no price."""
    return np.where(amounts != 0.0, amounts * prices, 0.0)


def _assets(curie: CurieDeployment) -> tuple[str, ...]:
    found = [one.asset for one in (*curie.markets, *curie.collaterals) if one.asset]
    return tuple(dict.fromkeys(found))


def _deltas(curie: CurieDeployment, sizes: Floats, collaterals: Floats) -> Floats:
    """[rows, assets], in units of the asset; collateral that is an asset counts whole."""
    assets = _assets(curie)
    found = np.zeros((len(sizes), len(assets)))
    for index, market in enumerate(curie.markets):
        found[:, assets.index(market.asset)] += sizes[:, index]
    for index, other in enumerate(curie.collaterals):
        if other.asset:
            found[:, assets.index(other.asset)] += collaterals[:, index]
    return found
