"""Fixed-point arithmetic on ints, with the direction of rounding in the verb.

Numbers inside the house are ``int`` with a unit suffix; ``_wad`` means 1e18 fixed point. These verbs are
the only ones that multiply or divide two of them. ``down`` rounds toward minus infinity, ``up`` toward
plus infinity, ``trunc`` toward zero as Solidity's ``/`` does on signed ints.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache

WAD = 10**18
RAY = 10**27
Q96 = 2**96
BPS = 10_000
YEAR_S = 31_536_000
DAY_S = 86_400


def div_down(a: int, b: int) -> int:
    """floor(a / b)."""
    return a // b


def div_up(a: int, b: int) -> int:
    """ceil(a / b)."""
    return -((-a) // b)


def div_trunc(a: int, b: int) -> int:
    """a / b rounded toward zero, as the EVM's SDIV."""
    if b < 0:
        a, b = -a, -b
    return a // b if a >= 0 else -(-a // b)


def mul_div_down(a: int, b: int, c: int) -> int:
    """floor(a * b / c)."""
    return (a * b) // c


def mul_div_up(a: int, b: int, c: int) -> int:
    """ceil(a * b / c)."""
    return -((-(a * b)) // c)


def mul_div_trunc(a: int, b: int, c: int) -> int:
    """a * b / c rounded toward zero."""
    product = a * b if c > 0 else -a * b
    return product // abs(c) if product >= 0 else -(-product // abs(c))


def mul_down(a_wad: int, b_wad: int) -> int:
    """floor of the product of two wads, as a wad."""
    return (a_wad * b_wad) // WAD


def mul_up(a_wad: int, b_wad: int) -> int:
    """ceil of the product of two wads, as a wad."""
    return -((-(a_wad * b_wad)) // WAD)


def ratio_down(a_wad: int, b_wad: int) -> int:
    """floor(a / b) of two wads, as a wad."""
    return (a_wad * WAD) // b_wad


def ratio_up(a_wad: int, b_wad: int) -> int:
    """ceil(a / b) of two wads, as a wad."""
    return -((-(a_wad * WAD)) // b_wad)


def rescale_down(raw: int, from_decimals: int, to_decimals: int) -> int:
    """The same quantity in another number of decimals, rounded down."""
    if to_decimals >= from_decimals:
        return int(raw * 10 ** (to_decimals - from_decimals))
    return int(raw // 10 ** (from_decimals - to_decimals))


def rescale_up(raw: int, from_decimals: int, to_decimals: int) -> int:
    """The same quantity in another number of decimals, rounded up."""
    return -rescale_down(-raw, from_decimals, to_decimals)


def decimal(raw: int, decimals: int = 18) -> Decimal:
    """For display and config only: the exact decimal of a fixed-point int."""
    return Decimal(raw).scaleb(-decimals)


@lru_cache(maxsize=1_024)  # a policy's few numbers, asked for in every plan
def from_decimal(value: Decimal | str | int, decimals: int = 18) -> int:
    """The fixed-point int of an exact decimal, truncated toward zero beyond ``decimals`` places."""
    return int(Decimal(value).scaleb(decimals).to_integral_value(rounding="ROUND_DOWN"))


def to_float(raw: int, decimals: int = 18) -> float:
    """Into the float world (pricing, Greeks, the solver's first guess). Never the way into calldata."""
    return raw / float(10**decimals)


def from_float(value: float, decimals: int = 18) -> int:
    """The one gate back from floats: refuses NaN and infinity. Results are guesses, never calldata as is."""
    if not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    return round(value * float(10**decimals))
