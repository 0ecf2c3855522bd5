"""What is done to a book: states of the world, and what happens to venues and tokens beside the prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agent.market.scenario import States
from agent.values.address import Address

HELD_STEPS = 4  # after a jump the price is held; an account is looked at this often on the way


@dataclass(frozen=True)
class Closure:
    """A venue's accounts disappear at the price of the first state at or after ``hours``: auto-deleveraged
    (nothing is charged), or liquidated (``penalised``: the venue's penalty is). Their collateral stays.
    """

    hours: float = 0.0
    penalised: bool = False


@dataclass(frozen=True)
class Scenario:
    """States of shape (scenarios, steps) with a name.

    ``closures`` per venue. ``outages``: None: nobody acts. Else the wallet's cash tops up any account in the
    state in which it would be liquidated, as long as it lasts, but for a venue named here not before that
    many hours have passed.
    """

    name: str
    title: str
    states: States
    source: str = ""
    closures: Mapping[str, Closure] = field(default_factory=dict)
    outages: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Grid:
    """Every spot move with every vol move, each a jump that is held for ``hours``.

    Scenario number ``row * len(vol_moves) + column``; moves are relative (-0.2 is a fall of a fifth).
    """

    spot_moves: tuple[float, ...]
    vol_moves: tuple[float, ...]
    hours: float

    @property
    def scenario(self) -> Scenario:
        """All cells as one batch."""
        spots, vols = np.meshgrid(
            1.0 + np.array(self.spot_moves), 1.0 + np.array(self.vol_moves), indexing="ij"
        )
        return Scenario(
            name=f"grid at {self.hours:g} h",
            title=f"spot by vol, held for {self.hours:g} hours",
            states=jump(spots.ravel(), self.hours, vols.ravel()),
        )


def jump(
    ratios: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
    hours: float = 0.0,
    vol_factors: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]] = (1.0,),
) -> States:
    """All assets jump by these ratios at once and stay there for ``hours``."""
    spot = np.asarray(ratios, dtype=np.float64)[:, np.newaxis]
    factor = np.broadcast_to(np.asarray(vol_factors, dtype=np.float64)[:, np.newaxis], spot.shape)
    times = np.linspace(0.0, hours, HELD_STEPS + 1) if hours > 0 else np.zeros(1)
    shape = (len(spot), len(times))
    return States(
        hours=np.array(np.broadcast_to(times, shape)),
        other=np.broadcast_to(spot, shape),
        vol_factor=np.broadcast_to(factor, shape),
    )


def depegged(states: States, token: Address, worth: float) -> States:
    """The same states with ``token`` worth that share of its face from the first one on."""
    return replace(states, worth={**states.worth, token: np.full((), worth)})


def closed(venue: str, moves: Sequence[float], *, penalised: bool) -> Scenario:
    """``venue`` is gone at the present price, then all prices jump by each of the moves."""
    before = jump([1.0 for _ in moves])
    after = jump([1.0 + move for move in moves])
    states = States(
        hours=np.concatenate([before.hours, after.hours], axis=1),
        other=np.concatenate([before.other, after.other], axis=1),
    )
    how = "liquidated" if penalised else "auto-deleveraged"
    told = " or ".join(f"{move:+.0%}" for move in moves)
    name = f"{'liquidated' if penalised else 'adl'}-{venue}"
    return Scenario(
        name, f"{venue} {how}, then prices {told}", states, closures={venue: Closure(0.0, penalised)}
    )
