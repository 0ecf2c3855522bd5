"""A longer sweep of random smiles and surfaces than the suite's: python -m tests.unit.pricing SEED COUNT."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from itertools import pairwise

import numpy as np

from agent.pricing import surface
from agent.pricing.arbitrage import has_no_butterfly, has_no_calendar
from agent.pricing.repair import fit_svi
from tests.unit.pricing.volatility import (
    AT_S,
    noisy_strip,
    quotes_of,
    spreads,
    strip_of,
    true_smile,
    wide_grid,
    wild_strip,
)


def smiles(dice: random.Random, count: int, *, is_wild: bool) -> dict[str, float]:
    """Fits of single expiries; times are of this process's processor."""
    took: dict[bool, list[float]] = {False: [], True: []}
    least_g = least_density = least_spread = math.inf
    unproven = 0
    for _ in range(count):
        strip = wild_strip(dice) if is_wild else noisy_strip(dice)
        start = time.process_time()
        smile, is_repaired = fit_svi(strip)
        took[is_repaired].append(time.process_time() - start)
        unproven += not has_no_butterfly(smile)
        grid = wide_grid(smile)
        least_g = min(least_g, float(smile.butterfly(grid).min()))
        least_density = min(least_density, float(smile.density(grid).min()))
        least_spread = min(least_spread, float(spreads(smile).min()))
    return {
        "fits": count,
        "unproven": unproven,
        "repaired_share": len(took[True]) / count,
        "least_g": least_g,
        "least_density": least_density,
        "least_spread": least_spread,
        "median_ms": 1e3 * float(np.median(took[False] or [0.0])),
        "median_ms_repaired": 1e3 * float(np.median(took[True] or [0.0])),
        "longest_ms": 1e3 * max(took[False] + took[True]),
    }


def recoveries(dice: random.Random, count: int) -> dict[str, float]:
    """Fits of exact quotes, 20 strikes each."""
    worst, took = 0.0, []
    for _ in range(count):
        smile, years, deviation = true_smile(dice)
        k = deviation * np.array(sorted(dice.uniform(-3, 3) for _ in range(20)))
        strip = strip_of(k, np.sqrt(smile.variance(k) / years), years)
        start = time.process_time()
        found, _ = fit_svi(strip)
        took.append(time.process_time() - start)
        worst = max(worst, float(np.max(np.abs(strip.misses(found)))))
    return {"fits": count, "largest_error_in_vol": worst, "median_ms": 1e3 * float(np.median(took))}


def surfaces(dice: random.Random, count: int) -> dict[str, float]:
    """Fits of two to five expiries, half of them with quotes of falling total variance."""
    took, repaired, expiries, crossings, least_gap, least_g = [], 0, 0, 0, math.inf, math.inf
    for index in range(count):
        noise, decay = 10 ** dice.uniform(-3, -0.7), 0.8 * (index % 2)
        quotes = quotes_of(dice, noise=noise, expiries=dice.randint(2, 5), decay=decay)
        start = time.process_time()
        found = surface.fit(quotes, AT_S)
        took.append(time.process_time() - start)
        expiries += len(found.expiries)
        repaired += sum(expiry.quality.is_repaired for expiry in found.expiries)
        for expiry in found.expiries:
            least_g = min(least_g, float(expiry.smile.butterfly(wide_grid(expiry.smile)).min()))
        for earlier, later in pairwise(found.expiries):
            crossings += not has_no_calendar(earlier.smile, later.smile)
            k = np.concatenate((wide_grid(earlier.smile), wide_grid(later.smile)))
            gap = later.smile.variance(k) / earlier.smile.variance(k) - 1
            least_gap = min(least_gap, float(gap.min()))
    return {
        "fits": count,
        "crossings": crossings,
        "repaired_share": repaired / expiries,
        "least_g": least_g,
        "least_relative_gap": least_gap,
        "median_ms": 1e3 * float(np.median(took)),
        "longest_ms": 1e3 * max(took),
    }


if __name__ == "__main__":
    seed, size = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    print(
        json.dumps(
            {
                "exact": recoveries(rng, size),
                "noisy": smiles(rng, size, is_wild=False),
                "wild": smiles(rng, size, is_wild=True),
                "surfaces": surfaces(rng, size // 10),
            },
            indent=2,
        )
    )
