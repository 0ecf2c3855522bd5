"""The book's sensitivities: positions summed per asset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

from agent.market.position import Greeks, Position

NAMES = tuple(one.name for one in fields(Greeks))


def by_asset(positions: Iterable[Position]) -> dict[str, Greeks]:
    """Net Greeks per underlying, from the holder's side, rounded once. Units as in ``Greeks``."""
    held: dict[str, list[Greeks]] = {}
    for position in positions:
        held.setdefault(position.instrument.asset, []).append(position.greeks)
    return {
        asset: Greeks(*(math.fsum(getattr(one, name) for one in own) for name in NAMES))
        for asset, own in held.items()
    }


def net(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The same of one Greek alone, from what each holding has of it: the sum is exact, so in any order."""
    return {asset: math.fsum(own) for asset, own in values.items()}
