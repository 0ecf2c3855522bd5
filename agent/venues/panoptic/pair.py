"""Two amounts in one word: token0 in the low 128 bits, token1 in the high ones. Pure.

Panoptic v2, ``types/LeftRight.sol``: the right slot is token0, the left one token1.
"""

from __future__ import annotations

HALF = 2**128

Pair = tuple[int, int]  # of token0 and token1


def unsigned(word: int) -> Pair:
    """Both slots of a LeftRightUnsigned. Raises ValueError for what is not a word."""
    if not 0 <= word < HALF * HALF:
        raise ValueError(f"not a word: {word}")
    return word % HALF, word // HALF


def signed(word: int) -> Pair:
    """Both slots of a LeftRightSigned, given as the int256 (or the uint256) that it is."""
    if not -HALF * HALF // 2 <= word < HALF * HALF:
        raise ValueError(f"not a word: {word}")
    low, high = word % HALF, word // HALF % HALF
    return _twos(low), _twos(high)


def pack(pair: Pair) -> int:
    """The word of two unsigned amounts. Raises ValueError for one that has no room."""
    if not all(0 <= part < HALF for part in pair):
        raise ValueError(f"no room for {pair}")
    return pair[0] + pair[1] * HALF


def pack_signed(pair: Pair) -> int:
    """The int256 of two signed amounts. Raises ValueError for one that has no room."""
    if not all(-HALF // 2 <= part < HALF // 2 for part in pair):
        raise ValueError(f"no room for {pair}")
    return pair[0] % HALF + pair[1] * HALF


def _twos(part: int) -> int:
    return part - HALF if part >= HALF // 2 else part
