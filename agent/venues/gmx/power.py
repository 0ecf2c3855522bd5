"""Powers as GMX takes them, to the last unit: its library (PRBMath 2, UD60x18) is inexact in its own way.

``x ** y = 2 ** (y * log2 x)``, with log2 found bit by bit and 2 ** f as a product of 64 roots of two.
Numbers at 30 decimals are cut to 18 first.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

from agent.values.fixed import WAD

FLOAT = 10**30  # GMX's fixed point: 1.0
TO_WAD = FLOAT // WAD
HALF_WAD = WAD // 2
EXP2_BITS = 64
ROOT_PRECISION = 512


def apply_exponent(value: int, exponent: int) -> int:
    """``value ** exponent``, both at 30 decimals; 0 below one dollar: ``Precision.applyExponentFactor``."""
    if value < FLOAT:
        return 0
    if exponent == FLOAT:
        return value
    return power_wad(value // TO_WAD, exponent // TO_WAD) * TO_WAD


@lru_cache(maxsize=4096)  # imbalances in opened dollars stay the same whatever the price: a search asks again
def power_wad(base_wad: int, exponent_wad: int) -> int:
    """``base ** exponent`` of wads, base at least one: ``PRBMathUD60x18.pow``."""
    product = log2_wad(base_wad) * exponent_wad
    return exp2_wad(product // WAD + (product % WAD >= HALF_WAD))


def log2_wad(value_wad: int) -> int:
    """The binary logarithm of a wad of at least one, rounded down bit by bit: ``PRBMathUD60x18.log2``."""
    whole = (value_wad // WAD).bit_length() - 1
    result, rest = whole * WAD, value_wad >> whole
    if rest == WAD:
        return result
    delta = HALF_WAD
    while delta > 0:
        rest = rest * rest // WAD
        if rest >= 2 * WAD:
            result += delta
            rest >>= 1
        delta >>= 1
    return result


def exp2_wad(value_wad: int) -> int:
    """Two to the power of a wad: ``PRBMath.exp2``."""
    fixed = (value_wad << EXP2_BITS) // WAD
    result = 1 << 191
    for place, root in enumerate(_roots(), start=1):
        if fixed >> (EXP2_BITS - place) & 1:
            result = result * root >> EXP2_BITS
    return result * WAD >> 191 - (fixed >> EXP2_BITS)


@cache
def _roots() -> tuple[int, ...]:
    """2 ** (2 ** -i) for i = 1 to 64, at 64 binary digits, to the nearest."""
    root, found = 2 << ROOT_PRECISION, []
    for _ in range(EXP2_BITS):
        root = math.isqrt(root << ROOT_PRECISION)
        found.append(root + (1 << ROOT_PRECISION - EXP2_BITS - 1) >> ROOT_PRECISION - EXP2_BITS)
    return tuple(found)
