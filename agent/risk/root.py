"""Where a predicate flips between two ints, with as few questions as its gap allows.

Chandrupatla's method (Advances in Engineering Software 28, 1997): inverse quadratic interpolation where the
last three points are in its reach, halving where they are not. The interval is halved at least every third
question, whatever the gap looks like; for a gap that is a straight line two or three questions are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """One question's answer: ``is_bad`` is the predicate, and rules; ``gap`` only guides (>= 0 is safe)."""

    gap: int
    is_bad: bool


def flip_between(ask: Callable[[int], Probe], safe: int, bad: int, step: int = 1) -> tuple[int, int]:
    """(safe, bad), at most ``step`` apart, with the predicate false at the one and true at the other.

    It has to be so of the arguments, in whichever order on the line. Of several flips between them it is one.
    """
    new, old = bad, safe  # the flip is always between these two
    at = {new: ask(new), old: ask(old)}
    before = old
    share = 0.5
    halved = abs(new - old)
    tired = 0
    while abs(new - old) > step:
        width = abs(old - new)
        tired = 0 if width * 2 <= halved else tired + 1
        if tired == 0:
            halved = width
        moved = round(min(max(share, 0.0), 1.0) * width) if tired < 2 else width // 2
        moved = min(max(moved, min(step, width // 2), 1), width - min(step, width // 2))
        point = new + (moved if old > new else -moved)
        answer = ask(point)
        if answer.is_bad == at[new].is_bad:
            before = new
        else:
            before, old = old, new
        new = point
        at[new] = answer
        share = _share(new, old, before, at)
    return (old, new) if at[new].is_bad else (new, old)


def _share(new: int, old: int, before: int, at: dict[int, Probe]) -> float:
    """How far on the way from ``new`` to ``old`` to ask next."""
    a, b, c = float(at[new].gap), float(at[old].gap), float(at[before].gap)
    if (a < 0) == (b < 0) or before in (new, old) or c in (a, b):
        return 0.5
    along = (new - old) / (before - old)
    down = (a - b) / (c - b)
    if not (0 < along < 1 and down * down < along and (1 - down) ** 2 < 1 - along):
        return 0.5
    return a / (b - a) * c / (b - c) + a / (c - a) * b / (c - b) * ((before - new) / (old - new))
