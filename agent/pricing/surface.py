"""Volatilities of every strike and expiry from those quoted, free of arbitrage, with how good they are.

Each expiry has one curve (`smile`), proven free of butterfly arbitrage; no curve lies below an earlier one at
the same strike over forward, proven to the last strike. Between expiries total variance is linear in time,
and curves between are checked on a dense grid. What is asked for outside the quotes is refused, or marked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.errors import VolOutOfRange
from agent.market.vol import VolQuote
from agent.pricing.arbitrage import has_no_butterfly, has_no_calendar, least_between
from agent.pricing.calibration import FEW, Shape, fit_ssvi, shape_of
from agent.pricing.repair import Bounds, fit_svi, repair
from agent.pricing.smile import Floats, Smile
from agent.pricing.strip import Strip, strips
from agent.values.fixed import YEAR_S

MARGIN = 0.5  # standard deviations at the money beyond the outermost quotes that still count as quoted


class Kind(Enum):
    """Which family a curve is of."""

    SVI = "svi"
    SSVI = "ssvi"
    FLAT = "flat"


class Extrapolation(Enum):
    """What to do where nothing is quoted: raise, or answer and mark the answer."""

    REFUSED = "refused"
    FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Quality:
    """How one expiry's curve agrees with its quotes. Errors are in vol points (0.01 of volatility)."""

    kind: Kind
    quotes: int
    rmse_points: float
    max_error_points: float
    is_repaired: bool  # moved away from the nearest curve, because that one had an arbitrage
    k_low: float  # ln(strike / forward) of the outermost quotes
    k_high: float


@dataclass(frozen=True, slots=True)
class Expiry:
    """One expiry's curve. forward: quote per unit of the asset; years: from the surface's time."""

    expiry_s: int
    years: float
    forward: float
    smile: Smile
    quality: Quality

    @property
    def k_range(self) -> tuple[float, float]:
        """Where it may be read: its quotes and MARGIN standard deviations beyond."""
        more = MARGIN * math.sqrt(float(self.smile.variance(0.0)))
        return self.quality.k_low - more, self.quality.k_high + more


@dataclass(frozen=True, slots=True)
class Volatility:
    """An answer, of the strikes' shape. iv: per year; is_extrapolated: no quote stands near there."""

    iv: Floats
    total_variance: Floats
    is_extrapolated: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Surface:
    """The expiries, earliest first, as seen at ``at_s``."""

    at_s: int
    expiries: tuple[Expiry, ...]

    @property
    def time_range_s(self) -> tuple[int, int]:
        """The first and the last expiry."""
        return self.expiries[0].expiry_s, self.expiries[-1].expiry_s

    def forward(self, expiry_s: int) -> float:
        """The forward of a time, in quote: its logarithm is linear between expiries and constant outside."""
        times = [expiry.years for expiry in self.expiries]
        logs = [math.log(expiry.forward) for expiry in self.expiries]
        return math.exp(float(np.interp((expiry_s - self.at_s) / YEAR_S, times, logs)))

    def vol(
        self,
        strike: npt.ArrayLike,
        expiry_s: int,
        extrapolation: Extrapolation = Extrapolation.REFUSED,
    ) -> Volatility:
        """The volatilities of strikes (quote per unit) at one expiry.

        Every curve that is read for it must be read within its own range. Raises VolOutOfRange outside,
        unless told to flag: then wings follow the curve, and before the first and after the last expiry the
        nearest one's volatility at the same strike over forward holds.
        """
        strikes = np.asarray(strike, dtype=np.float64)
        if expiry_s <= self.at_s:
            raise VolOutOfRange(strike=strike, expiry_s=expiry_s, reason=f"it is not after {self.at_s}")
        if not np.all(np.isfinite(strikes) & (strikes > 0)):
            raise VolOutOfRange(strike=strike, expiry_s=expiry_s, reason="a strike must be positive")
        parts = self._parts(expiry_s)
        first_s, last_s = self.time_range_s
        forward = self.forward(expiry_s)
        k = np.log(strikes / forward)
        low = max(expiry.k_range[0] for expiry, _ in parts)
        high = min(expiry.k_range[1] for expiry, _ in parts)
        is_late = not first_s <= expiry_s <= last_s
        outside = (k < low) | (k > high) | is_late
        if extrapolation is Extrapolation.REFUSED and np.any(outside):
            edges = f"{forward * math.exp(low):.6g} to {forward * math.exp(high):.6g}"
            reason = (
                f"expiries are quoted from {first_s} to {last_s}"
                if is_late
                else f"strikes are quoted from {edges}"
            )
            worst = float(strikes[outside].flat[0])
            raise VolOutOfRange(strike=worst, expiry_s=expiry_s, reason=reason)
        total = np.sum([share * expiry.smile.variance(k) for expiry, share in parts], axis=0)
        years = (expiry_s - self.at_s) / YEAR_S
        return Volatility(np.sqrt(total / years), total, np.asarray(outside))

    def _parts(self, expiry_s: int) -> tuple[tuple[Expiry, float], ...]:
        """The curves whose weighted sum is the total variance of that time."""
        years = (expiry_s - self.at_s) / YEAR_S
        later = next((i for i, e in enumerate(self.expiries) if e.expiry_s >= expiry_s), None)
        if later is None:
            return ((self.expiries[-1], years / self.expiries[-1].years),)
        end = self.expiries[later]
        if later == 0 or end.expiry_s == expiry_s:
            return ((end, years / end.years),)
        start = self.expiries[later - 1]
        share = (years - start.years) / (end.years - start.years)
        return ((start, 1 - share), (end, share))


# --- fitting ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """One expiry on the way: its quotes and the curve so far."""

    strip: Strip
    smile: Smile
    kind: Kind
    is_repaired: bool = False

    def moved(self, smile: Smile) -> _Draft:
        return replace(self, smile=smile, kind=Kind.SVI, is_repaired=True)

    def finished(self) -> Expiry:
        strip = self.strip
        misses = 100 * strip.misses(self.smile)
        quality = Quality(
            kind=self.kind,
            quotes=strip.k.size,
            rmse_points=float(np.sqrt(np.mean(misses**2))),
            max_error_points=float(np.max(np.abs(misses))),
            is_repaired=self.is_repaired,
            k_low=float(strip.k[0]),
            k_high=float(strip.k[-1]),
        )
        return Expiry(strip.expiry_s, strip.years, strip.forward, self.smile, quality)


def fit(quotes: Iterable[VolQuote], at_s: int, last: Surface | None = None) -> Surface:
    """The surface of one asset's quotes at a time. Raises VolQuoteInvalid naming the quote.

    ``last``: the asset's surface of a moment ago, whose curves are where the new ones are looked for first.

    An expiry of FEW strikes or more gets an SVI curve, one of fewer an SSVI slice with the shape of the
    nearest of those where its quotes leave it open, and a single quote a flat one; where that would be an
    arbitrage against a neighbour, the nearest SVI curve found that is none.
    """
    all_strips = strips(quotes, at_s)
    before = {expiry.expiry_s: expiry.smile for expiry in last.expiries} if last is not None else {}
    fitted = {
        strip.expiry_s: fit_svi(strip, before.get(strip.expiry_s))
        for strip in all_strips
        if strip.k.size >= FEW
    }
    full = [(strip.years, fitted[strip.expiry_s][0]) for strip in all_strips if strip.expiry_s in fitted]
    drafts = []
    for strip in all_strips:
        if strip.expiry_s in fitted:
            drafts.append(_Draft(strip, fitted[strip.expiry_s][0], Kind.SVI, fitted[strip.expiry_s][1]))
        elif strip.k.size > 1:
            drafts.append(_Draft(strip, fit_ssvi(strip, _nearest_shape(strip.years, full)), Kind.SSVI))
        else:
            drafts.append(_Draft(strip, Smile.flat(float(strip.iv[0]) ** 2 * strip.years), Kind.FLAT))
    return Surface(at_s, tuple(draft.finished() for draft in _ordered(drafts)))


def _nearest_shape(years: float, others: list[tuple[float, Smile]]) -> Shape:
    """The shape of the fitted curve whose time to expiry is the least times longer or shorter."""
    if not others:
        return Shape()
    return shape_of(min(others, key=lambda other: abs(math.log(other[0] / years)))[1])


def _ordered(drafts: list[_Draft]) -> Sequence[_Draft]:
    """Without calendar arbitrage: the later ones moved above the earlier, or the earlier below the later,
    whichever stays nearer to the quotes.
    """
    if all(_agree(one.smile, other.smile) for one, other in pairwise(drafts)):
        return drafts
    upward = drafts[:1]
    for draft in drafts[1:]:
        upward.append(_above(draft, upward[-1].smile))
    downward = drafts[-1:]
    for draft in reversed(drafts[:-1]):
        downward.append(_below(draft, downward[-1].smile))
    return min(upward, downward[::-1], key=lambda all_: sum(draft.strip.loss(draft.smile) for draft in all_))


def _agree(earlier: Smile, later: Smile) -> bool:
    return earlier == later or (has_no_calendar(earlier, later) and least_between(earlier, later) > 0)


def _above(draft: _Draft, bound: Smile) -> _Draft:
    if _agree(bound, draft.smile):
        return draft

    def accepts(smile: Smile) -> bool:
        return has_no_butterfly(smile) and _agree(bound, smile)

    return draft.moved(
        repair(draft.strip, (_steepened(draft.smile, bound), bound), bound, accepts, Bounds(below=bound))
    )


def _below(draft: _Draft, bound: Smile) -> _Draft:
    if _agree(draft.smile, bound):
        return draft

    def accepts(smile: Smile) -> bool:
        return has_no_butterfly(smile) and _agree(smile, bound)

    return draft.moved(
        repair(draft.strip, (_flattened(draft.smile, bound), bound), bound, accepts, Bounds(above=bound))
    )


def _steepened(smile: Smile, bound: Smile) -> Smile:
    return replace(smile, right=max(smile.right, bound.right), left=max(smile.left, bound.left))


def _flattened(smile: Smile, bound: Smile) -> Smile:
    return replace(smile, right=min(smile.right, bound.right), left=min(smile.left, bound.left))
