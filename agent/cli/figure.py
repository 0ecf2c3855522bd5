"""Numbers for people."""

from __future__ import annotations

import math


def number(value: float, digits: int = 2) -> str:
    """With thousands apart."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else "inf"


def percent(value: float | None) -> str:
    """Of a share."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.2%}"
