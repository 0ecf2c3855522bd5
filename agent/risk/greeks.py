"""The book's sensitivities: positions summed per asset."""

from __future__ import annotations

from collections.abc import Iterable

from agent.market.position import Greeks, Position


def by_asset(positions: Iterable[Position]) -> dict[str, Greeks]:
    """Net Greeks per underlying, from the holder's side. Units as in ``Greeks``."""
    total: dict[str, Greeks] = {}
    for position in positions:
        asset = position.instrument.asset
        total[asset] = total.get(asset, Greeks()) + position.greeks
    return total
