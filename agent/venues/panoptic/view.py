"""One pool at one block, as it is to everybody."""

from __future__ import annotations

from dataclasses import dataclass

from agent.pricing.pool import Pool
from agent.venues.panoptic.denomination import Denomination
from agent.venues.panoptic.oracle import Oracle, Tuning
from agent.venues.panoptic.pair import Pair
from agent.venues.panoptic.requirement import Ratios
from agent.venues.panoptic.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Rules:
    """The engine's bounds. ``leave_buffer`` of 1e7; ``fee_bps`` of what a mint moves; ``ticks_most``: how far
    all prices of one transaction may go, there and back.
    """

    cross_buffers: Pair
    ratios: Ratios
    tuning: Tuning
    leave_buffer: int
    fee_bps: int
    legs_most: int
    ticks_most: int


@dataclass(frozen=True, slots=True)
class View:
    """``pool`` is the Uniswap pool with the liquidity around its price; ``number`` the pool's 64 bits."""

    denomination: Denomination
    number: int
    fee_ppm: int
    pool: Pool
    oracle: Oracle
    trackers: tuple[Tracker, Tracker]
    rules: Rules

    @property
    def safe_mode(self) -> int:
        """From 0 (off) to 3 (nothing is minted)."""
        return self.oracle.safe_mode(self.pool.tick, self.rules.tuning)

    @property
    def price_wad(self) -> int:
        """Quote per asset."""
        return self.denomination.price_wad(self.pool.sqrt_x96)
