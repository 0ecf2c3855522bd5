"""What a report is drawn from: one run, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """The book at one block. ``distances``: relative price move to liquidation, None: no price does it."""

    block: int
    hours: float
    spot: float
    mark: float
    net_delta: float
    band: float
    distances: Mapping[str, float | None]
    equity_usd: float
    cash_cost_usd: float


@dataclass(frozen=True, slots=True)
class HedgeMark:
    """One transaction of the agent. ``outcome``: "landed" or "reverted"."""

    block: int
    hours: float
    label: str
    cost_usd: float
    outcome: str


@dataclass(frozen=True, slots=True)
class LiquidationMark:
    """One liquidation."""

    block: int
    hours: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """One run."""

    name: str
    samples: tuple[Sample, ...]
    hedges: tuple[HedgeMark, ...]
    liquidations: tuple[LiquidationMark, ...]

    def to_json(self) -> dict[str, object]:
        """Plain dicts and lists."""
        return asdict(self)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Series:
        """Back from `to_json`. Raises KeyError or TypeError for anything else."""
        return Series(
            raw["name"],
            tuple(Sample(**one) for one in raw["samples"]),
            tuple(HedgeMark(**one) for one in raw["hedges"]),
            tuple(LiquidationMark(**one) for one in raw["liquidations"]),
        )
