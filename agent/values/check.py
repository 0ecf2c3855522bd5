"""A condition the executor contract proves on chain before or after a batch.

Every check has one linear form: ``lower <= sum(read_i * multiplier_i) / 1e18 <= upper``. Absolute bounds,
bands around zero and "account value at least three times maintenance" are all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.values.address import Address
from agent.values.fixed import WAD

INT256_MIN = -(2**255)
INT256_MAX = 2**255 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """One 32-byte word of a static call's answer, times ``multiplier_wad`` / 1e18."""

    target: Address
    data: bytes
    word: int = 0
    is_signed: bool = False
    multiplier_wad: int = WAD


@dataclass(frozen=True, slots=True)
class Check:
    """``name`` is for people and the record; bounds are inclusive and in the terms' own unit."""

    name: str
    terms: tuple[Term, ...]
    lower: int = INT256_MIN
    upper: int = INT256_MAX
