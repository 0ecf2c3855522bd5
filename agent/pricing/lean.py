"""The three Greeks that limits are set on, for many options on one asset in one pass; all else is `black`'s.

The same model and conventions as `black`, without a dividend: a year of 31,536,000 seconds, time counts as at
least one second and volatility as at least 1e-4. With s = vol sqrt(years), d = (ln(S/K) + rate years)/s + s/2

    delta = w Phi(w d)        gamma = phi(d) / (S s)        vega = S phi(d) sqrt(years)

(w = 1 for a call, -1 for a put). No series for tiny s and no care for prices: a tenth of the time. A test
holds it against `black` over both modules' whole common range.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from agent.values.fixed import YEAR_S

Floats = npt.NDArray[np.float64]

MIN_TIME_S = 1.0
MIN_VOL = 1e-4
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def slopes(
    signs: Floats, spot: float, strikes: Floats, seconds: Floats, vols: Floats, rate: float
) -> tuple[Floats, Floats, Floats]:
    """Delta, gamma and vega of each: ``signs`` 1.0 for a call and -1.0 for a put, ``spot`` > 0 in quote."""
    years = np.maximum(seconds, MIN_TIME_S) / YEAR_S
    sigma = np.maximum(vols, MIN_VOL)
    root = np.sqrt(years)
    deviation = sigma * root
    d = (np.log(spot / strikes) + rate * years) / deviation + deviation / 2
    density = np.exp(d * d * -0.5) / _ROOT_TWO_PI
    return signs * ndtr(signs * d), density / (spot * deviation), density * (spot * root)
