"""The scripted market's path, from a seed: a price, the perpetual's premium and a base fee for every block.

Calm, then a crash of at least a quarter within an hour with one gap of at least six percent between two
blocks, then a market that finds a level. The same seed gives the same path on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from agent.values.fixed import WAD, to_float

HOUR_S = 3600
GWEI = 10**9
FEED_STEP_WAD = 10**10  # the feed has eight decimals
MAX_NOISE = 0.004  # of one block, so that there is one gap and everything else is a walk
BASE_FEE_STEP = 0.125  # what EIP-1559 lets the base fee move in one block


@dataclass(frozen=True, slots=True)
class Step:
    """One block of the script. ``premium``: the perpetual's price over the oracle's, relative."""

    price_wad: int
    premium: float
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the crash is, in blocks (``steps[start]`` is its last price before), and the gap in it."""

    start: int
    end: int
    gap: int  # the block whose price is the gap's far side


@dataclass(frozen=True, slots=True)
class Path:
    """``steps[0]`` is where the market starts: a path of n blocks has n + 1 steps."""

    seed: int
    shape: Shape
    steps: tuple[Step, ...]

    @property
    def crash(self) -> float:
        """The relative fall from before the crash to its end (0.27)."""
        start, end = self.steps[self.shape.start], self.steps[self.shape.end]
        return 1 - end.price_wad / start.price_wad

    @property
    def gap(self) -> float:
        """The relative fall of the one block."""
        return 1 - self.steps[self.shape.gap].price_wad / self.steps[self.shape.gap - 1].price_wad


def path(seed: int, blocks: int, block_s: int, start_wad: int) -> Path:
    """``blocks`` blocks of ``block_s`` seconds from ``start_wad`` (quote per asset).

    ``blocks`` must be at least 60, or there is no room for a crash between a before and an after.
    """
    if blocks < 60:
        raise ValueError(f"a path needs at least 60 blocks, not {blocks}")
    random = Random(seed)
    shape = _shape(random, blocks, block_s)
    moves = _moves(random, shape, blocks)
    premiums = _premiums(random, shape, blocks)
    fees = _base_fees(random, shape, blocks)
    steps = []
    price = to_float(start_wad)
    for move, premium, fee in zip(moves, premiums, fees, strict=True):
        price *= math.exp(move)
        steps.append(Step(round(price * WAD / FEED_STEP_WAD) * FEED_STEP_WAD, premium, fee))
    return Path(seed, shape, tuple(steps))


def _shape(random: Random, blocks: int, block_s: int) -> Shape:
    """The crash lasts half to nine tenths of an hour, as far as the path has room for that."""
    hour = HOUR_S // block_s
    longest = min(round(hour * 0.9), blocks // 3)
    length = random.randint(max(20, min(longest, hour // 2)), max(20, longest))
    start = random.randint(blocks // 8, max(blocks // 8, blocks * 3 // 5 - length))
    gap = random.randint(start + length // 6, start + length * 5 // 6)
    return Shape(start, start + length, gap)


def _moves(random: Random, shape: Shape, blocks: int) -> list[float]:
    """Log returns; the first is 0."""
    calm = random.uniform(0.0006, 0.0014)  # per block, one standard deviation
    wild = calm * random.uniform(1.3, 2.0)
    noise = [_bounded(random.gauss(0, wild if shape.start < n else calm)) for n in range(blocks + 1)]
    drift_before = random.uniform(-0.02, 0.05) / max(1, shape.start)
    drift_after = random.uniform(-0.04, 0.10) / max(1, blocks - shape.end)

    gap = math.log(1 - random.uniform(0.062, 0.08))
    total = math.log(1 - random.uniform(0.255, 0.30))
    slide = [n for n in range(shape.start + 1, shape.end + 1) if n != shape.gap]
    weights = [random.uniform(0.5, 1.5) for _ in slide]
    shaken = sum(noise[n] for n in slide)
    moves = [0.0] * (blocks + 1)
    for n in range(1, blocks + 1):
        if n <= shape.start:
            moves[n] = noise[n] + drift_before
        elif n > shape.end:
            moves[n] = noise[n] + drift_after
    for n, weight in zip(slide, weights, strict=True):
        # the noise is taken out on the whole, so that the crash is as deep as it was drawn
        share = weight / sum(weights)
        moves[n] = noise[n] + share * (total - gap - shaken)
    moves[shape.gap] = gap
    return moves


def _bounded(move: float) -> float:
    return max(-MAX_NOISE, min(MAX_NOISE, move))


def _premiums(random: Random, shape: Shape, blocks: int) -> list[float]:
    """Longs pay before the crash, shorts pay for a while after its start: funding changes sign."""
    before, after = random.uniform(0.0005, 0.003), -random.uniform(0.0005, 0.004)
    premium, found = before, []
    for n in range(blocks + 1):
        aim = before if n < shape.start else after
        premium += (aim - premium) / 20 + random.gauss(0, 0.00015)
        found.append(premium)
    return found


def _base_fees(random: Random, shape: Shape, blocks: int) -> list[int]:
    """Quiet until the crash, then many times dearer, never faster than the protocol lets it."""
    quiet = random.uniform(0.05, 0.5) * GWEI
    busy = quiet * random.uniform(5, 15)
    fee, found = quiet, []
    for n in range(blocks + 1):
        aim = busy if shape.start < n <= shape.end + 10 else quiet
        ratio = (aim / fee) * math.exp(random.gauss(0, 0.05))
        fee *= max(1 - BASE_FEE_STEP, min(1 + BASE_FEE_STEP, ratio))
        found.append(round(fee))
    return found
