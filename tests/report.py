"""Two runs as the demonstration writes them, made up: a market that falls, six accounts, two liquidations."""

from __future__ import annotations

import math

from agent.dashboard.series import HedgeMark, LiquidationMark, Sample, Series

HOSTILE = "<script>alert(1)</script>"
SUMMARY: dict[str, object] = {
    "seed": 7,
    "blocks": 300,
    "venues": ["curie", "lyra", "uniswap"],
    "with_agent": {
        "liquidations": 0,
        "share_of_blocks_in_band": 0.9967,
        "max_abs_delta_usd": 9258.0,
        "min_distance_to_liquidation": None,
        "hedges": 37,
        "reverted": 1,
        "pnl_usd": -722.41,
        "gas_usd": 61.38,
    },
    "without_agent": {
        "liquidations": 2,
        "share_of_blocks_in_band": 0.35,
        "max_abs_delta_usd": 25192.0,
        "min_distance_to_liquidation": 0.0,
        "hedges": 0,
        "reverted": 0,
        "pnl_usd": -4922.9,
        "gas_usd": 0.0,
    },
    "intents_executed_more_than_once": 0,
}


STRIKES = (1620.0, 1530.0, 1390.0, 1300.0, 1180.0)  # prices at which lyra:1 to lyra:5 are liquidated
HEDGE_BLOCKS = range(4, 300, 8)
REVERTED_BLOCK = 150


def runs() -> tuple[Series, Series]:
    """With the agent, without it."""
    return _kept(), _left()


def _kept() -> Series:
    hedges = tuple(
        HedgeMark(n, n / 120, f"sell 0.5 ETH on curie; pay 100.00 into {HOSTILE}", 3.2, "landed")
        for n in HEDGE_BLOCKS
    )
    hedges += (HedgeMark(REVERTED_BLOCK, REVERTED_BLOCK / 120, "sell 0.2 ETH on curie", 0.4, "reverted"),)
    samples = []
    for n in range(300):
        cost = sum(mark.cost_usd for mark in hedges if mark.block <= n)
        relief = 320 * _step(n, 110, 8)  # deposits move the liquidation prices away
        delta = 0.1 * ((n - 4) % 8) * math.cos(n / 40) + 0.1 * math.sin(n / 3)
        samples.append(_sample(n, delta, _distances(n, relief), cost))
    return Series("with agent", tuple(samples), hedges, ())


def _left() -> Series:
    samples, lost = [], []
    for n in range(300):
        distances = _distances(n, 0.0)
        gone = {mark.label.split()[0] for mark in lost}
        for key in [key for key, distance in distances.items() if distance is not None and distance <= 0]:
            if key not in gone:
                lost.append(LiquidationMark(n, n / 120, f"{key} liquidated on lyra"))
            gone.add(key)
        alive = {key: distance for key, distance in distances.items() if key not in gone}
        samples.append(_sample(n, 11 * _step(n, 120, 25) + 0.3 * math.sin(n / 9) - 0.9, alive, 0.0))
    return Series("without agent", tuple(samples), (), tuple(lost))


def _distances(n: int, relief: float) -> dict[str, float | None]:
    spot = _spot(n)
    distances: dict[str, float | None] = {
        f"lyra:{k}": (spot - strike + relief) / spot for k, strike in enumerate(STRIKES, 1)
    }
    distances["curie:margin"] = None if n < 10 else 1.7 - n / 250
    return distances


def _sample(n: int, delta: float, distances: dict[str, float | None], cost: float) -> Sample:
    spot = _spot(n)
    mark = spot + 4 * math.sin(n / 11) - (9 * _step(n, 130, 20) if cost else 0.0)
    return Sample(n, n / 120, spot, mark, delta, 1.0, distances, 100_000 - cost, cost)


def _spot(n: int) -> float:
    return 2000 - 550 * _step(n, 130, 20) + 14 * math.sin(n / 3) + 9 * math.sin(n / 7.3)


def _step(n: int, middle: float, width: float) -> float:
    return 1 / (1 + math.exp((middle - n) / width))
