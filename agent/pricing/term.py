"""What options are made of, as arrays: which are refused, and which need care."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.values.fixed import YEAR_S

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Term = Floats | float  # of each option, or of all of a block

MIN_TIME_S = 1.0
MIN_VOL = 1e-4
BLOCK = 8192  # options: a block's arrays together fit in a core's second cache
READ: tuple[Literal["readonly"]] = ("readonly",)
_MAX_GROWTH = 100.0
_TAME = 1e-140  # prices from here to its inverse need no care


def checked(**given: npt.ArrayLike) -> tuple[Floats, ...]:
    """The terms of options, in the order given, as arrays that are fit to be worked on. Raises ValueError."""
    terms = {name: np.asarray(one, dtype=np.float64) for name, one in given.items()}
    if all(one.size for one in terms.values()):
        is_tame(terms)
    return tuple(terms.values())


def is_tame(terms: Mapping[str, Term]) -> bool:
    """Whether nothing has to be held back from zero or from infinity. Raises ValueError as `checked`."""
    least, most = dict(terms), dict(terms)
    for name, one in terms.items():
        if not isinstance(one, float):
            least[name], most[name] = float(one.min()), float(one.max())
        if not (math.isfinite(least[name]) and math.isfinite(most[name])):
            raise ValueError(f"{name} is not finite: {one}")
    if least["spot"] < 0 or least["strike"] <= 0:
        raise ValueError("spot must not be negative and strike must be positive")
    years = max(MIN_TIME_S, most["time_s"]) / YEAR_S
    for name in ("rate", "dividend"):
        if max(-least[name], most[name]) * years > _MAX_GROWTH:
            raise ValueError(f"{name} over {years:g} years is growth beyond e^{_MAX_GROWTH:g}")
    is_inside = all(least[name] > _TAME and most[name] < 1 / _TAME for name in ("spot", "strike"))
    return bool(is_inside and least["time_s"] >= MIN_TIME_S and least.get("vol", 1.0) >= MIN_VOL)
