"""The three Greeks that limits are set on, for many options on one asset in one pass; all else is `black`'s.

The same model and conventions as `black`, without a dividend: a year of 31,536,000 seconds, time counts as at
least one second and volatility as at least 1e-4. With s = vol sqrt(years), d = (ln(S/K) + rate years)/s + s/2

    delta = w Phi(w d)        gamma = phi(d) / (S s)        vega = S phi(d) sqrt(years)

(w = 1 for a call, -1 for a put). No series for tiny s and no care for prices: a tenth of the time. A test
holds it against `black` over both modules' whole common range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from agent.values.fixed import YEAR_S

Floats = npt.NDArray[np.float64]

MIN_TIME_S = 1.0
MIN_VOL = 1e-4
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Lean:
    """Many options at one price: ``d``, the deviations s, and the roots of the years."""

    signs: Floats
    spot: float
    d: Floats
    deviations: Floats
    roots: Floats

    @property
    def delta(self) -> Floats:
        """Units of the asset."""
        delta: Floats = self.signs * ndtr(self.signs * self.d)
        return delta

    @property
    def gamma(self) -> Floats:
        """Delta per 1 of price."""
        return self._density / (self.spot * self.deviations)

    @property
    def vega(self) -> Floats:
        """Quote per 1.00 of volatility."""
        return self._density * (self.spot * self.roots)

    @property
    def _density(self) -> Floats:
        density: Floats = np.exp(self.d * self.d * -0.5) / _ROOT_TWO_PI
        return density


def lean(signs: Floats, spot: float, strikes: Floats, seconds: Floats, vols: Floats, rate: float) -> Lean:
    """``signs``: 1.0 for a call and -1.0 for a put; ``spot`` > 0 and ``strikes`` in quote."""
    years = np.maximum(seconds, MIN_TIME_S) / YEAR_S
    roots = np.sqrt(years)
    deviations = np.maximum(vols, MIN_VOL) * roots
    d = (np.log(spot / strikes) + rate * years) / deviations + deviations / 2
    return Lean(signs, spot, d, deviations, roots)
