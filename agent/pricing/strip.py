"""Volatility quotes of one asset, checked and sorted into expiries."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from agent.errors import VolQuoteInvalid
from agent.market.vol import VolQuote
from agent.pricing.smile import Floats, Smile
from agent.values.fixed import YEAR_S

LOWEST_IV, HIGHEST_IV = 1e-4, 100.0
FARTHEST_K = 20.0  # |ln(strike / forward)| of a quote
ENOUGH, JUMPY = 12, 1.4  # quotes, and the jumps' squares over the misses' (2 of noise) from which it is noise
SAME = 1e-9  # relative: two forwards or volatilities this near are one


@dataclass(frozen=True, slots=True)
class Strip:
    """One expiry's quotes as arrays of one shape, strikes ascending. k: ln(strike / forward); iv: per year;
    share: weights that sum to 1; forward: quote per unit of the asset; years: to expiry.
    """

    expiry_s: int
    years: float
    forward: float
    k: Floats
    iv: Floats
    share: Floats

    @property
    def span(self) -> float:
        """The width in log-moneyness that the quotes speak of, never nothing."""
        return max(float(self.k[-1] - self.k[0]), float(np.min(self.iv)) * math.sqrt(self.years))

    def misses(self, smile: Smile) -> Floats:
        """Fitted less quoted volatility."""
        return np.asarray(np.sqrt(smile.variance(self.k) / self.years) - self.iv)

    def is_noise(self, smile: Smile) -> bool:
        """Whether the misses of enough quotes jump from strike to strike as if each were on its own: what a
        curve nearer to the quotes could take away goes smoothly along them. Source: Durbin and Watson (1950).
        """
        misses = self.misses(smile)
        jumps = misses[1:] - misses[:-1]
        return misses.size >= ENOUGH and bool(jumps @ jumps > JUMPY * (misses @ misses))

    def loss(self, smile: Smile) -> float:
        """The weighted mean of squared misses."""
        return float(self.share @ self.misses(smile) ** 2)


def strips(quotes: Iterable[VolQuote], at_s: int) -> tuple[Strip, ...]:
    """The expiries, earliest first, equal quotes merged. Raises VolQuoteInvalid naming the quote."""
    return tuple(_strip(group, at_s) for group in _grouped(quotes, at_s).values())


def _grouped(quotes: Iterable[VolQuote], at_s: int) -> dict[int, list[VolQuote]]:
    """The quotes by expiry, both ascending, equal ones merged."""
    groups: dict[int, dict[float, VolQuote]] = {}
    asset: str | None = None
    for quote in quotes:
        reason = _flaw(quote, at_s)
        if reason is None and asset not in {None, quote.asset}:
            reason = f"it is of another asset than those before it ({asset!r})"
        asset = quote.asset
        group = groups.setdefault(quote.expiry_s, {})
        first = next(iter(group.values()), quote)
        twin = group.get(quote.strike, quote)
        if reason is None and not math.isclose(first.forward, quote.forward, rel_tol=SAME):
            reason = f"another quote of its expiry has the forward {first.forward}"
        if reason is None and not math.isclose(twin.iv, quote.iv, rel_tol=SAME):
            reason = f"the same strike is also quoted at {twin.iv}"
        if reason is not None:
            raise VolQuoteInvalid(quote=quote, reason=reason)
        group[quote.strike] = quote if twin is quote else replace(twin, weight=twin.weight + quote.weight)
    if not groups:
        raise VolQuoteInvalid(quote="list", reason="it is empty")
    return {expiry_s: [group[k] for k in sorted(group)] for expiry_s, group in sorted(groups.items())}


def _flaw(quote: VolQuote, at_s: int) -> str | None:
    """Why a quote cannot be fitted, if it cannot."""
    numbers = {"strike": quote.strike, "forward": quote.forward, "iv": quote.iv, "weight": quote.weight}
    for name, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            return f"{name} must be a positive number"
    if quote.expiry_s <= at_s:
        return f"it expires at or before {at_s}"
    if not LOWEST_IV <= quote.iv <= HIGHEST_IV:
        return f"iv must be from {LOWEST_IV} to {HIGHEST_IV} (1.00 is 100 %)"
    if abs(math.log(quote.strike / quote.forward)) > FARTHEST_K:
        return f"ln(strike / forward) must be within {FARTHEST_K} of zero"
    return None


def _strip(group: list[VolQuote], at_s: int) -> Strip:
    weight = np.array([quote.weight for quote in group])
    return Strip(
        expiry_s=group[0].expiry_s,
        years=(group[0].expiry_s - at_s) / YEAR_S,
        forward=group[0].forward,
        k=np.log(np.array([quote.strike / quote.forward for quote in group])),
        iv=np.array([quote.iv for quote in group]),
        share=weight / weight.sum(),
    )
