"""The answers of many accounts to the same questions, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Limbs = NDArray[np.uint64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LIMBS = 4  # of a word
SIGN = np.uint64(63)
ONE = np.uint64(1)
SCALES = (2.0**192, 2.0**128, 2.0**64)


@dataclass(frozen=True)
class Table:
    """One row per subject, one column per question.

    ``ok[row, column]`` is False where that call reverted or answered too short; its words are zeros, as
    floats it is nan (so that nobody takes it for an empty position), and as an int it is refused.
    """

    ok: Flags
    limbs: tuple[Limbs, ...]  # per column [rows, words, LIMBS], the most significant limb first

    def words(self, column: int) -> Limbs:
        """uint64[rows, words, 4]: each word as limbs, the most significant first."""
        return self.limbs[column]

    def unsigned(self, column: int, word: int) -> Floats:
        """float64[rows] of a uint, within two units of the last place; nan where not ok."""
        return self._known(column, magnitude(self.limbs[column][:, word]))

    def signed(self, column: int, word: int) -> Floats:
        """float64[rows] of an int of any width, within two units of the last place; nan where not ok."""
        limbs = self.limbs[column][:, word]
        is_negative = limbs[:, 0] >> SIGN != 0
        if not is_negative.any():
            return self._known(column, magnitude(limbs))
        found = magnitude(limbs)  # of the negative ones the magnitude first: small ones keep their digits
        found[is_negative] = -magnitude(_negated(limbs[is_negative]))
        return self._known(column, found)

    def integers(
        self, column: int, word: int, rows: Sequence[int] | None = None, *, signed: bool = False
    ) -> list[int]:
        """Exact, of ``rows`` or of all. Raises ValueError if one of them is not ok."""
        index = np.arange(len(self.ok)) if rows is None else np.asarray(rows, np.intp)
        if not self.ok[index, column].all():
            raise ValueError(f"column {column} has no answer in row {index[~self.ok[index, column]][0]}")
        raw = self.limbs[column][index, word].astype(">u8").tobytes()
        return [
            int.from_bytes(raw[start : start + 32], "big", signed=signed) for start in range(0, len(raw), 32)
        ]

    def _known(self, column: int, found: Floats) -> Floats:
        ok = self.ok[:, column]
        return found if ok.all() else np.where(ok, found, np.nan)


def magnitude(limbs: Limbs) -> Floats:
    """float64[n] of uint64[n, 4]."""
    found = limbs[:, 3].astype(np.float64)
    for limb in (2, 1, 0):
        part = limbs[:, limb]
        if part.any():
            found += part * SCALES[limb]
    return found


def _negated(limbs: Limbs) -> Limbs:
    """Two's complement."""
    found = ~limbs
    carries = np.ones(len(found), np.bool_)
    for limb in (3, 2, 1, 0):
        found[:, limb] += carries
        carries &= found[:, limb] == 0
    return found
