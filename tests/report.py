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
        "reverted": 0,
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


def runs() -> tuple[Series, Series]:
    """With the agent, without it."""
    return _run("with agent", 0.3), _run("without agent", 12.0)


def _run(name: str, swing: float) -> Series:
    is_kept = swing < 1
    samples = tuple(_sample(n, swing, is_kept) for n in range(300))
    hedges = tuple(
        HedgeMark(n, n / 120, f"sell 0.5 ETH on curie; pay 100.00 into {HOSTILE}", 3.2, outcome)
        for n, outcome in ((40, "landed"), (90, "reverted"), (140, "landed"))
    )
    lost = tuple(LiquidationMark(n, n / 120, f"lyra:{n} liquidated on lyra") for n in (150, 180))
    return Series(name, samples, hedges if is_kept else (), () if is_kept else lost)


def _sample(n: int, swing: float, is_kept: bool) -> Sample:
    spot = 2000 - 550 / (1 + math.exp(-(n - 130) / 20))
    distances: dict[str, float | None] = {f"lyra:{k}": 0.18 + 0.05 * k for k in range(1, 6)}
    distances["curie:margin"] = None if n < 10 else 1.7 - n / 300
    if not is_kept and n > 150:
        del distances["lyra:1"]
    delta = swing * math.sin(n / 25)
    return Sample(n, n / 120, spot, spot + 3, delta, 1.0, distances, 100_000 - n, 0.5 * n if is_kept else 0.0)
