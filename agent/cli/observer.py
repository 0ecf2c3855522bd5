"""Somebody who only watches: every block of a chain as a sample, with the agent's own eye and judge."""

from __future__ import annotations

import math

from agent import assembly
from agent.config import Config
from agent.dashboard.series import Sample
from agent.market.snapshot import Snapshot
from agent.risk.assessment import Assessment, assess
from agent.values.fixed import to_float


class Observer:
    """Reads any block of the chain, not only the newest; needs no key."""

    def __init__(self, config: Config, asset: str = "ETH") -> None:
        self._desk, block = assembly.dry_desk(config)
        self._asset = asset
        self._band = float(config.policy.band.get(asset, 0))
        self._began_s = block.timestamp_s

    @property
    def newest(self) -> int:
        """The number of the newest block."""
        return self._desk.eye.rpc.block().number

    def sample(self, number: int) -> Sample:
        """The book at one block. Raises what seeing raises."""
        block = self._desk.eye.rpc.block(number)
        snapshot = self._desk.eye.see(self._desk.account, block)
        assessment = assess(snapshot, self._desk.bounds)
        return Sample(
            block=number,
            hours=(block.timestamp_s - self._began_s) / 3600,
            spot=assessment.spot[self._asset],
            mark=_mark(snapshot, self._asset),
            net_delta=self._delta(assessment),
            band=self._band,
            distances={
                risk.key: risk.distance if math.isfinite(risk.distance) else None
                for risk in assessment.accounts
            },
            equity_usd=assessment.equity_usd,
            cash_cost_usd=0.0,
        )

    def _delta(self, assessment: Assessment) -> float:
        greeks = assessment.by_asset.get(self._asset)
        return greeks.delta if greeks is not None else 0.0


def _mark(snapshot: Snapshot, asset: str) -> float:
    """The perpetual's mark: of the quotes, the one that has funding's venue, else the first."""
    quotes = [q for state in snapshot.venues for q in state.quotes if q.asset == asset]
    return to_float(next((q for q in quotes if q.venue == "curie"), quotes[0]).mark_wad)
