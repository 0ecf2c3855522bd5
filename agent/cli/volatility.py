"""What `evenkeel risk` says of volatility: how well a surface without arbitrage fits what venues quote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from agent.cli.figure import number
from agent.cli.grid import Grid
from agent.errors import Refused
from agent.market.snapshot import Snapshot
from agent.market.vol import VolQuote, VolSource
from agent.pricing.surface import Expiry, Surface, fit

Surfaces = Mapping[str, Surface | str]  # by asset; or why there is none


def surfaces(snapshot: Snapshot) -> Surfaces:
    """One for each asset whose options some venue quotes, of all its venues' quotes."""
    quotes: dict[str, list[VolQuote]] = {}
    for state in snapshot.venues:
        if isinstance(state, VolSource):
            for quote in state.vol_quotes:
                quotes.setdefault(quote.asset, []).append(quote)
    return {asset: _fitted(given, snapshot.block.timestamp_s) for asset, given in quotes.items()}


def _fitted(quotes: list[VolQuote], at_s: int) -> Surface | str:
    try:
        return fit(quotes, at_s)
    except Refused as error:
        return error.message


def surfaces_json(known: Surfaces) -> dict[str, object]:
    """Errors in vol points (0.01 of volatility)."""
    return {
        asset: {"refused": found}
        if isinstance(found, str)
        else {"expiries": [_expiry_json(expiry) for expiry in found.expiries]}
        for asset, found in known.items()
    }


def _expiry_json(expiry: Expiry) -> dict[str, object]:
    low, high = _strikes(expiry)
    return {
        "expiry_s": expiry.expiry_s,
        "forward": expiry.forward,
        "vol_at_forward": _vol(expiry),
        "kind": expiry.quality.kind.value,
        "quotes": expiry.quality.quotes,
        "rmse_points": expiry.quality.rmse_points,
        "max_error_points": expiry.quality.max_error_points,
        "is_repaired": expiry.quality.is_repaired,
        "strike_low": low,
        "strike_high": high,
    }


def surfaces_grid(known: Surfaces) -> Grid:
    """One row an expiry."""
    grid = Grid(
        "expiry",
        "at forward",
        "curve",
        "quotes",
        "rms error",
        "most",
        "strikes",
        expendable=("quotes", "rms error", "strikes"),
    )
    for asset, found in known.items():
        if isinstance(found, str):
            grid.add(asset, "-", found, "-", "-", "-", "-")
            continue
        for expiry in found.expiries:
            quality, (low, high) = expiry.quality, _strikes(expiry)
            day = datetime.fromtimestamp(expiry.expiry_s, UTC).strftime("%d%b%y").upper()
            grid.add(
                f"{asset} {day}",
                f"{_vol(expiry):.2%}",
                quality.kind.value + (", repaired" if quality.is_repaired else ""),
                str(quality.quotes),
                f"{quality.rmse_points:.2f} points",
                f"{quality.max_error_points:.2f} points",
                f"{number(low, 0)}-{number(high, 0)}",
            )
    return grid


def _strikes(expiry: Expiry) -> tuple[float, float]:
    """The outermost that are quoted."""
    return expiry.forward * math.exp(expiry.quality.k_low), expiry.forward * math.exp(expiry.quality.k_high)


def _vol(expiry: Expiry) -> float:
    return math.sqrt(float(expiry.smile.variance(0.0)) / expiry.years)
