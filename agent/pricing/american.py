"""American options: the European price and an early-exercise premium along the exact exercise boundary.

The boundary B of a put solves Kim's integral equation. It is found by iterating

    B(t) = K exp(-(r - q) t) N / D
    N = phi(d-)/(v sqrt t) + r integral e^(ru) phi(d-(t-u, B(t)/B(u))) / (v sqrt(t-u)) du
    D = phi(d+)/(v sqrt t) + Phi(d+) + q integral e^(qu) (Phi(d+(...)) + phi(d+(...)) / (v sqrt(t-u))) du

on Chebyshev nodes of ln(B/X)^2 over sqrt(t), X = K min(1, r/q), with d+-(t, z) = (ln z + (r - q) t) / (v sqrt t)
+- v sqrt(t) / 2. The premium, delta and gamma are its integrals over time, with nodes that crowd towards
now, because near the boundary that is where they are made; theta follows from the Black-Scholes equation; vega,
rho, vanna and volga are differences of fourth order of the premium, added to the European's exact ones. A call
is the put with spot and strike, and rate and dividend, exchanged.

Source: Andersen, Lake and Offengenden, High-performance American option pricing (Journal of Computational
Finance, 2016), equations FP-A; McDonald and Schroder (1998) for the exchange.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, legendre
from scipy.special import ndtr

from agent.market.instrument import OptionKind
from agent.pricing import black
from agent.pricing.black import MIN_TIME_S, MIN_VOL, Valuation, checked
from agent.pricing.wing import log_ratio
from agent.values.fixed import DAY_S, YEAR_S

Floats = npt.NDArray[np.float64]

NODES, POINTS = 20, 40
_ROUNDS = 60
_SETTLED = 1e-13
_SQRT_TWO_PI = math.sqrt(2 * math.pi)
