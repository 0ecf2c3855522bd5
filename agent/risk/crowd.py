"""How far liquidation is for many accounts at once: `agent.risk.liquidation` in floats, all rows in one pass.

The same signs, stops and reach as there; a float is a guess of what the integer models say, so every row
carries ``slack``, a bound on its headroom's error, and whoever is nearer to zero than that has to be asked
exactly before anything is said about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from agent.values.address import MarketId

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

Way = Literal["joint", "leading"]  # all of an account's prices together, or its largest market's alone

TOP = 16.0
_STOPS_DOWN = (0.97, 0.92, 0.82, 0.64, 0.4, 0.15, 0.0)
_STOPS_UP = (1.03, 1.08, 1.18, 1.36, 1.8, 3.0, 6.0, TOP)
_STEPS = 80  # halvings alone need 52
_NARROW = 2.0**-51


class Crowd(Protocol):
    """The accounts of a venue at one block, in units of their margin currency. Rows are accounts.

    ``equity`` and ``requirement`` are nan for an account that could not be read. ``bends`` has the ratios
    (> 0) between which a row's headroom is concave or monotone, nan where it has fewer. ``leading`` is each
    row's largest market, an index into ``markets`` (-1: none). ``deltas`` is [rows, assets].
    """

    equity: Floats
    requirement: Floats
    slack: Floats
    bends: Floats
    leading: npt.NDArray[np.intp]
    prices: Floats  # of the leading market, nan without one
    sizes: Floats  # in it, > 0 long
    deltas: Floats
    markets: tuple[MarketId, ...]
    market_assets: tuple[str, ...]  # of each market
    assets: tuple[str, ...]

    def headroom(self, ratios: Floats, rows: Rows, way: Way) -> Floats:
        """Equity less requirement of ``rows``, each at its own ratio to the present price."""
        ...

    def binding(self, row: int, ratio: float) -> str:
        """The term that rules the row's requirement at that ratio of the joint move."""
        ...


@dataclass(frozen=True)
class Flips:
    """Ratios to the present price at which each row turns liquidatable; nan where no price does."""

    down: Floats
    up: Floats

    @property
    def distance(self) -> Floats:
        """Of the nearer one; inf without any, 0 for a row that is liquidatable now."""
        down = np.where(np.isnan(self.down), np.inf, 1.0 - self.down)
        up = np.where(np.isnan(self.up), np.inf, self.up - 1.0)
        return np.minimum(down, up)

    @property
    def nearer(self) -> Floats:
        """The ratio of the nearer one, nan without any."""
        down = np.where(np.isnan(self.down), np.inf, 1.0 - self.down)
        up = np.where(np.isnan(self.up), np.inf, self.up - 1.0)
        return np.where(down <= up, self.down, self.up)


@dataclass(frozen=True)
class Settled:
    """A crowd some of whose rows are known exactly: there headroom now has the exact one's sign and size, and
    elsewhere it is as much higher or lower. ``now`` is nan for the other rows.
    """

    crowd: Crowd
    now: Floats

    def headroom(self, ratios: Floats, rows: Rows, way: Way) -> Floats:
        """See `Crowd`."""
        found = self.crowd.headroom(ratios, rows, way)
        now = self.now[rows]
        guess = self.crowd.equity[rows] - self.crowd.requirement[rows]
        shifted = np.where(ratios == 1.0, now, found + (now - guess))
        return np.where(np.isnan(now), found, shifted)


def solve(crowd: Crowd, way: Way, rows: Rows | None = None, now: Floats | None = None) -> Flips:
    """The first flips of all rows (or of some, the others nan), downward and upward.

    ``now``: the exact headroom of the rows whose it is known, nan of the others (see `Settled`).
    """
    count = len(crowd.equity)
    chosen = np.arange(count) if rows is None else rows
    known = crowd.equity if now is None else np.where(np.isnan(now), crowd.equity, now)
    chosen = chosen[np.isfinite(known[chosen])]
    asked = crowd if now is None else Settled(crowd, now)

    def ask(ratios: Floats, at: Rows) -> Floats:
        return asked.headroom(ratios, at, way)

    present = ask(np.ones(len(chosen)), chosen)
    found = [np.full(count, np.nan), np.full(count, np.nan)]
    for ratios, stops in zip(found, (_STOPS_DOWN, _STOPS_UP), strict=True):
        ratios[chosen] = _first(ask, chosen, present, _outward(crowd.bends[chosen], stops))
    return Flips(found[0], found[1])


def _outward(bends: Floats, stops: tuple[float, ...]) -> Floats:
    """[rows, n]: where to look, from the present price outward, nan at the end."""
    fixed = np.broadcast_to(np.array(stops), (len(bends), len(stops)))
    if not bends.shape[1]:
        return fixed
    last, is_down = stops[-1], stops[-1] < 1.0
    ahead = (bends < 1.0) & (bends >= last) if is_down else (bends > 1.0) & (bends <= last)
    every = np.concatenate([fixed, np.where(ahead, bends, np.nan)], axis=1)
    return -np.sort(-every, axis=1) if is_down else np.sort(every, axis=1)


def _first(ask: Callable[[Floats, Rows], Floats], rows: Rows, now: Floats, stops: Floats) -> Floats:
    """The first ratio of each row at which headroom is negative; between two stops it is where it ends."""
    found = np.where(now < 0.0, 1.0, np.nan)
    left = np.flatnonzero(now >= 0.0)
    safe, safe_gap = np.ones(len(rows)), now.copy()
    bad, bad_gap = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for column in range(stops.shape[1]):
        at = stops[left, column]
        left, at = left[np.isfinite(at)], at[np.isfinite(at)]
        if not len(left):
            break
        gap = ask(at, rows[left])
        is_bad = gap < 0.0
        hit, calm = left[is_bad], left[~is_bad]
        bad[hit], bad_gap[hit] = at[is_bad], gap[is_bad]
        safe[calm], safe_gap[calm] = at[~is_bad], gap[~is_bad]
        left = calm
    there = np.flatnonzero(np.isfinite(bad))
    found[there] = _roots(
        lambda ratios, picked: ask(ratios, rows[there[picked]]),
        safe[there],
        safe_gap[there],
        bad[there],
        bad_gap[there],
    )
    return found


def _roots(
    ask: Callable[[Floats, Rows], Floats], safe: Floats, safe_gap: Floats, bad: Floats, bad_gap: Floats
) -> Floats:
    """Where each gap changes its sign, by Chandrupatla's method (see `agent.risk.root`), on the bad side."""
    new, old, before = bad.copy(), safe.copy(), safe.copy()
    at_new, at_old, at_before = bad_gap.copy(), safe_gap.copy(), safe_gap.copy()
    # a straight line, which most headrooms are, is done after this step
    share = np.clip(at_new / (at_new - at_old), 0.0, 1.0)
    live = np.arange(len(new))
    for _ in range(_STEPS):
        width = np.abs(old[live] - new[live])
        scale = np.maximum(np.maximum(np.abs(old[live]), np.abs(new[live])), 1e-3)
        moving = (width > _NARROW * scale) & (at_new[live] != 0.0)
        live, width, scale = live[moving], width[moving], scale[moving]
        if not len(live):
            break
        least = np.minimum(_NARROW * scale / width, 0.5)
        step = np.clip(share[live], least, 1.0 - least)
        point = new[live] + step * (old[live] - new[live])
        gap = ask(point, live)
        same = (gap < 0.0) == (at_new[live] < 0.0)
        kept, turned = live[same], live[~same]
        before[kept], at_before[kept] = new[kept], at_new[kept]
        before[turned], at_before[turned] = old[turned], at_old[turned]
        old[turned], at_old[turned] = new[turned], at_new[turned]
        new[live], at_new[live] = point, gap
        share[live] = _share(new[live], old[live], before[live], at_new[live], at_old[live], at_before[live])
    return np.where(
        (at_new <= 0.0) | (at_old >= 0.0), new, old
    )  # at nothing left the flip is a hair's breadth on


def _share(a_at: Floats, b_at: Floats, c_at: Floats, a: Floats, b: Floats, c: Floats) -> Floats:
    """How far on the way from the newest point to the other side to ask next."""
    with np.errstate(all="ignore"):
        along = (a_at - b_at) / (c_at - b_at)
        down = (a - b) / (c - b)
        fits = (along > 0) & (along < 1) & (down * down < along) & ((1 - down) ** 2 < 1 - along)
        guess = a / (b - a) * c / (b - c) + a / (c - a) * b / (c - b) * ((c_at - a_at) / (b_at - a_at))
        return np.where(fits & np.isfinite(guess), np.clip(guess, 0.0, 1.0), 0.5)
