"""The pool's own oracle: one word of averages and of its last eight prices. Pure.

Panoptic v2, ``types/OraclePack.sol`` and ``RiskEngine.twapEMA``, ``isSafeMode``, ``getSolvencyTicks``. A poke
(anybody's, once in an epoch of 64 s) takes in the pool's tick, at most ``clamp`` away from the last one seen.
Divisions cut towards zero, so an average stops short of a price that stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.values.fixed import div_trunc

EPOCH_S = 64
EPOCHS = 2**24
SLOTS = 8
REBASE = 1_024  # a residual beyond it moves the reference
LOCK_SHIFT, REFERENCE_SHIFT, EMA_SHIFT, ORDER_SHIFT, EPOCH_SHIFT = 118, 96, 120, 208, 232
EMA_BITS, RESIDUAL_BITS = 22, 12
TWAP_WEIGHTS = (6, 3, 1)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The engine's parameters. ``periods_s``: of the spot, fast, slow and eons average."""

    periods_s: tuple[int, int, int, int] = (60, 120, 240, 960)
    clamp: int = 149
    ticks_delta: int = 724  # beyond it, all four ticks are asked; half of it between averages is a warning


DEPLOYED = Tuning()


@dataclass(frozen=True, slots=True)
class Oracle:
    """What the word says. ``residuals``: of the eight observations, newest first; ``order``: their slots by
    rank, highest price first; ``averages``: spot, fast, slow, eons.
    """

    epoch: int
    order: tuple[int, ...]
    averages: tuple[int, int, int, int]
    lock: int
    reference: int
    residuals: tuple[int, ...]

    @property
    def spot(self) -> int:
        return self.averages[0]

    @property
    def latest(self) -> int:
        """The last tick seen."""
        return self.reference + self.residuals[0]

    @property
    def median(self) -> int:
        ranked = [self.residuals[slot] for slot in self.order]
        return self.reference + div_trunc(ranked[3] + ranked[4], 2)

    @property
    def twap(self) -> int:
        """Six parts fast, three slow and one eons."""
        weighed = sum(w * tick for w, tick in zip(TWAP_WEIGHTS, self.averages[1:], strict=True))
        return div_trunc(weighed, sum(TWAP_WEIGHTS))

    def liquidation_ticks(self, current: int) -> tuple[int, int, int, int]:
        """At all of which an account must be insolvent: spot, TWAP, latest, current."""
        return self.spot, self.twap, self.latest, current

    def solvency_ticks(self, current: int, tuning: Tuning = DEPLOYED) -> tuple[int, ...]:
        """At all of which it must be solvent after it minted, burnt or took collateral out."""
        spot, median, latest = self.spot, self.median, self.latest
        apart = sum((tick - median) ** 2 for tick in (spot, latest, current))
        if apart > tuning.ticks_delta**2 or self.safe_mode(current, tuning) > 0:
            return spot, median, latest, current
        return (spot,)

    def safe_mode(self, current: int, tuning: Tuning = DEPLOYED) -> int:
        """0: off; 1: fully backed; 2: nothing swaps in a mint; 3: nothing is minted."""
        spot, fast, slow, _ = self.averages
        half = tuning.ticks_delta // 2
        return (
            int(abs(current - spot) > tuning.ticks_delta)
            + int(abs(spot - fast) > half)
            + int(abs(self.median - slow) > half)
            + self.lock
        )

    def poked(self, current: int, at_s: int, tuning: Tuning = DEPLOYED) -> Oracle:
        """After somebody pokes it at that time; itself if its epoch is not over."""
        epoch = at_s // EPOCH_S % EPOCHS
        if epoch == self.epoch:
            return self
        tick = min(max(current, self.latest - tuning.clamp), self.latest + tuning.clamp)
        return self._observed(tick, epoch, (epoch - self.epoch) % EPOCHS * EPOCH_S, tuning)

    def shifted(self, ticks: int) -> Oracle:
        """As if all prices it ever saw had been that much higher."""
        spot, fast, slow, eons = (average + ticks for average in self.averages)
        return replace(self, reference=self.reference + ticks, averages=(spot, fast, slow, eons))

    def _observed(self, tick: int, epoch: int, passed_s: int, tuning: Tuning) -> Oracle:
        reference, residuals = self.reference, self.residuals
        if abs(tick - reference) > REBASE:
            offset = self.median - reference
            reference += offset
            residuals = tuple(_twos(old - offset, RESIDUAL_BITS) for old in residuals)
        newest = tick - reference
        return Oracle(
            epoch=epoch,
            order=_inserted(self.order, residuals, newest),
            averages=_averaged(self.averages, tick, passed_s, tuning.periods_s),
            lock=self.lock,
            reference=reference,
            residuals=(_twos(newest, RESIDUAL_BITS), *residuals[:-1]),
        )


def decode(word: int) -> Oracle:
    """The oracle in ``s_oraclePack``."""
    averages = [_field(word, EMA_SHIFT + EMA_BITS * i, EMA_BITS) for i in range(4)]
    return Oracle(
        epoch=word >> EPOCH_SHIFT & EPOCHS - 1,
        order=tuple(word >> ORDER_SHIFT + 3 * rank & 7 for rank in range(SLOTS)),
        averages=(averages[0], averages[1], averages[2], averages[3]),
        lock=word >> LOCK_SHIFT & 3,
        reference=_field(word, REFERENCE_SHIFT, EMA_BITS),
        residuals=tuple(_field(word, RESIDUAL_BITS * slot, RESIDUAL_BITS) for slot in range(SLOTS)),
    )


def encode(oracle: Oracle) -> int:
    """The word of an oracle."""
    word = oracle.epoch << EPOCH_SHIFT | oracle.lock << LOCK_SHIFT
    word |= oracle.reference % 2**EMA_BITS << REFERENCE_SHIFT
    for rank, slot in enumerate(oracle.order):
        word |= slot << ORDER_SHIFT + 3 * rank
    for index, average in enumerate(oracle.averages):
        word |= average % 2**EMA_BITS << EMA_SHIFT + EMA_BITS * index
    for slot, residual in enumerate(oracle.residuals):
        word |= residual % 2**RESIDUAL_BITS << RESIDUAL_BITS * slot
    return int(word)


def _averaged(
    averages: Sequence[int], tick: int, passed_s: int, periods_s: Sequence[int]
) -> tuple[int, int, int, int]:
    """``updateEMAs``: slowest first, and the time is cut to three quarters of each period in turn."""
    moved = list(averages)
    for index in (3, 2, 1, 0):
        period_s = periods_s[index]
        passed_s = min(passed_s, 3 * period_s // 4)
        moved[index] += div_trunc(passed_s * (tick - moved[index]), period_s)
    return moved[0], moved[1], moved[2], moved[3]


def _inserted(order: Sequence[int], residuals: Sequence[int], newest: int) -> tuple[int, ...]:
    """``insertObservation``: slots move up by one, the oldest leaves, and the newest gets slot 0 and the rank
    behind those that are at least as high.
    """
    found = [0] * SLOTS
    shift, is_below = 1, True
    for rank in range(SLOTS):
        slot = order[rank]
        if slot == SLOTS - 1:
            shift -= 1
            continue
        if is_below and newest > residuals[slot]:
            shift += 1
            is_below = False
        found[rank + shift - 1] += slot + 1
    return tuple(found)


def _field(word: int, shift: int, bits: int) -> int:
    return _twos(word >> shift & 2**bits - 1, bits)


def _twos(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value
