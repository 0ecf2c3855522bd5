"""Shocks to several assets at once: volatilities and correlations into seeded prices.

Source: Glasserman, Monte Carlo Methods in Financial Engineering, sections 2.3 (Cholesky) and 3.2 (geometric
Brownian motion). Log returns are normal, or Student's t of the same variance when ``tail`` says so; prices
have no drift (their mean is 1 for normal returns). Nothing is repaired: correlations that no random variables
can have are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agent.errors import CorrelationInvalid
from agent.market.scenario import Floats, States

YEAR_H = 8760.0
ROUNDING = 1e-12  # an eigenvalue of a singular matrix may come out this much below zero


def correlation(assets: Sequence[str], pairs: Mapping[tuple[str, str], float]) -> Floats:
    """The matrix; a pair that is not given, in either order, has 0. Raises CorrelationInvalid."""
    matrix = np.eye(len(assets))
    for (first, second), value in pairs.items():
        if first not in assets or second not in assets or first == second:
            raise CorrelationInvalid(what=f"{first} and {second}", reason="these are not two of the assets")
        row, column = assets.index(first), assets.index(second)
        given = pairs.get((second, first), value)
        if given != value:
            raise CorrelationInvalid(
                what=f"{first} and {second}", reason=f"both {value} and {given} are given"
            )
        matrix[row, column] = matrix[column, row] = value
    return matrix


def factor(matrix: Floats) -> Floats:
    """L with L L' = the correlation matrix, lower triangular where it is positive definite.

    A semi-definite one (two assets that move as one) has a root too. Raises CorrelationInvalid for what is
    not symmetric with a diagonal of ones and entries in [-1, 1], or has a negative eigenvalue.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise CorrelationInvalid(what=f"a matrix of shape {matrix.shape}", reason="it is not square")
    if not np.all(np.isfinite(matrix)) or np.any(np.abs(matrix) > 1.0):
        raise CorrelationInvalid(what="the matrix", reason="its entries must lie between -1 and 1")
    if not np.array_equal(matrix, matrix.T) or np.any(np.diag(matrix) != 1.0):
        raise CorrelationInvalid(what="the matrix", reason="it must be symmetric with a diagonal of ones")
    values, vectors = np.linalg.eigh(matrix)
    least = float(values.min(initial=1.0))
    if least < -ROUNDING * len(matrix):
        raise CorrelationInvalid(
            what="the matrix", reason=f"its smallest eigenvalue is {least:.6g}: no assets can move like that"
        )
    if least > ROUNDING * len(matrix):
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)


def draw(
    vols: Mapping[str, float],
    pairs: Mapping[tuple[str, str], float],
    *,
    hours: float,
    steps: int,
    count: int,
    seed: int,
    tail: float | None = None,
) -> States:
    """``count`` paths of ``steps`` equal steps over ``hours``; the first state is the snapshot itself.

    ``vols`` are per year (0.8 is 80 %). ``tail``: degrees of freedom, > 2, of one scale that a whole path and
    all its assets share, so that great moves come together. The same seed gives the same paths. Assets that
    are not named do not move. Raises CorrelationInvalid, and ValueError for a vol, time or count below zero.
    """
    if any(not vol >= 0 for vol in vols.values()) or hours <= 0 or steps < 1 or count < 1:
        raise ValueError("vols must be >= 0; hours, steps and count must be above 0")
    if tail is not None and not tail > 2:
        raise ValueError(f"a tail of {tail} degrees of freedom has no variance")
    assets = tuple(vols)
    root = factor(correlation(assets, pairs))
    random = np.random.default_rng(seed)
    normal = random.standard_normal((count, steps, len(assets))) @ root.T
    if tail is not None:
        scale = np.sqrt((tail - 2.0) / random.chisquare(tail, (count, 1, 1)))
        normal = normal * scale
    step_years = hours / steps / YEAR_H
    sigma = np.array([vols[asset] for asset in assets]) * np.sqrt(step_years)
    logs = np.cumsum(normal * sigma - sigma * sigma / 2.0, axis=1)
    paths = np.exp(np.concatenate([np.zeros((count, 1, len(assets))), logs], axis=1))
    times = np.broadcast_to(np.linspace(0.0, hours, steps + 1), (count, steps + 1))
    return States(
        hours=np.ascontiguousarray(times),
        ratios={asset: np.ascontiguousarray(paths[:, :, index]) for index, asset in enumerate(assets)},
    )
