"""A position by its number: up to four legs on one pool, in 256 bits. Pure.

Layout and rules: Panoptic v2, ``types/TokenId.sol``. From the low end: 64 bits of pool (40 of its address, 8
of vegoid, 16 of tick spacing), then 48 for each leg: asset 1, ratio 7, long 1, token type 1, risk partner 2,
strike 24 (signed), width 12 (in tick spacings). A leg of width 0 is a loan when short and a credit when long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eth_utils.crypto import keccak

from agent.pricing.tick import MAX_TICK, MIN_TICK

LEGS_MOST = 4
POOL_BITS, LEG_BITS = 64, 48
RATIO_MOST, WIDTH_MOST = 127, 4095
STRIKE_SPAN = 2**24
LANE_BITS = 124
PRIMES = (2**124 - 59, 2**124 - 615)  # PanopticMath: one for each half of the positions' hash
_LANE = 2**LANE_BITS - 1
# InvalidTokenIdParameter's numbers
RATIO_WRONG, PARTNER_WRONG, STRIKE_WRONG, CHUNK_TWICE = 1, 3, 4, 6
_WRONG = {
    RATIO_WRONG: "a leg without a ratio is followed by another, or there is none at all",
    PARTNER_WRONG: "a risk partner is not of the position, or not mutual",
    STRIKE_WRONG: "a strike stands at the end of all prices",
    CHUNK_TWICE: "two legs are the same chunk",
}


class TokenIdInvalid(ValueError):
    """What the contract would refuse, by the number it gives."""

    def __init__(self, parameter: int) -> None:
        super().__init__(f"InvalidTokenIdParameter({parameter}): {_WRONG[parameter]}")
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class PoolId:
    """Which pool: ``pattern`` is of its address, ``vegoid`` the divisor of the premium's spread."""

    pattern: int
    vegoid: int
    spacing: int

    @property
    def number(self) -> int:
        """As the contract packs it, 64 bits."""
        return self.pattern | self.vegoid << 40 | self.spacing << 48


def pool_of(number: int) -> PoolId:
    """The pool in the low 64 bits of a position or a pool's own number."""
    return PoolId(number % 2**40, number >> 40 & 0xFF, number >> 48 & 0xFFFF)


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg. ``asset``: the token its size counts in; ``token_type``: the token that moves (1 of token0
    over token1 is a put). ``width`` in tick spacings; ``strike`` a tick. Raises ValueError for what has no
    bits.
    """

    asset: int
    ratio: int
    is_long: bool
    token_type: int
    partner: int
    strike: int
    width: int

    def __post_init__(self) -> None:
        within = (
            self.asset in (0, 1)
            and self.token_type in (0, 1)
            and 0 <= self.ratio <= RATIO_MOST
            and 0 <= self.partner < LEGS_MOST
            and -STRIKE_SPAN // 2 <= self.strike < STRIKE_SPAN // 2
            and 0 <= self.width <= WIDTH_MOST
        )
        if not within:
            raise ValueError(f"no such leg: {self}")

    @property
    def bits(self) -> int:
        """48 bits."""
        return (
            self.asset
            | self.ratio << 1
            | int(self.is_long) << 8
            | self.token_type << 9
            | self.partner << 10
            | self.strike % STRIKE_SPAN << 12
            | self.width << 36
        )

    @property
    def is_loan(self) -> bool:
        """Tokens borrowed: no liquidity."""
        return self.width == 0 and not self.is_long

    @property
    def is_credit(self) -> bool:
        """Tokens lent and locked: no liquidity."""
        return self.width == 0 and self.is_long

    def ticks(self, spacing: int) -> tuple[int, int]:
        """Where its liquidity begins and ends; an odd number of half widths is rounded to the upper side."""
        span = self.width * spacing
        return self.strike - span // 2, self.strike + (span + 1) // 2


def leg_of(bits: int) -> Leg:
    """The leg in 48 bits."""
    strike = bits >> 12 & STRIKE_SPAN - 1
    return Leg(
        asset=bits & 1,
        ratio=bits >> 1 & 0x7F,
        is_long=bool(bits >> 8 & 1),
        token_type=bits >> 9 & 1,
        partner=bits >> 10 & 3,
        strike=strike - STRIKE_SPAN if strike >= STRIKE_SPAN // 2 else strike,
        width=bits >> 36 & 0xFFF,
    )


@dataclass(frozen=True, slots=True)
class TokenId:
    """A position's pool and its legs, in order, none of them empty before a full one."""

    pool: PoolId
    legs: tuple[Leg, ...]

    @property
    def number(self) -> int:
        """The 256-bit id."""
        packed = self.pool.number
        for index, leg in enumerate(self.legs):
            packed |= leg.bits << POOL_BITS + LEG_BITS * index
        return packed

    def ticks(self, index: int) -> tuple[int, int]:
        """Where the liquidity of one leg begins and ends."""
        return self.legs[index].ticks(self.pool.spacing)

    def validate(self) -> TokenId:
        """Itself, if the contract would take it. Raises TokenIdInvalid as ``TokenId.validate`` reverts."""
        check(self.number)
        return self


def decode(number: int) -> TokenId:
    """A position by its id. Raises TokenIdInvalid for one that the contract refuses."""
    check(number)
    return TokenId(pool_of(number), tuple(leg_of(_leg_bits(number, i)) for i in range(count_legs(number))))


def count_legs(number: int) -> int:
    """Up to and with the last leg that has a ratio: ``TokenId.countLegs``."""
    return max((i + 1 for i in range(LEGS_MOST) if _leg_bits(number, i) >> 1 & 0x7F), default=0)


def check(number: int) -> None:
    """Raises TokenIdInvalid in the contract's own order of questions."""
    if not 0 <= number < 2**256 or leg_of(_leg_bits(number, 0)).ratio == 0:
        raise TokenIdInvalid(RATIO_WRONG)
    count = count_legs(number)
    legs = [leg_of(_leg_bits(number, i)) for i in range(LEGS_MOST)]
    for index, leg in enumerate(legs):
        if leg.ratio == 0:
            if number >> POOL_BITS + LEG_BITS * index:
                raise TokenIdInvalid(RATIO_WRONG)
            return
        if any(_chunk(leg) == _chunk(other) for other in legs[index + 1 : count]):
            raise TokenIdInvalid(CHUNK_TWICE)
        if leg.strike in (MIN_TICK, MAX_TICK):
            raise TokenIdInvalid(STRIKE_WRONG)
        if leg.partner >= count or (leg.partner != index and legs[leg.partner].partner != index):
            raise TokenIdInvalid(PARTNER_WRONG)


def positions_hash(numbers: Iterable[int]) -> int:
    """What the pool stores of an account that holds exactly these: two sums of hashes, and the count of legs
    above (``PanopticMath.updatePositionsHash``). The order does not matter.
    """
    low = high = legs = 0
    for number in numbers:
        word = int.from_bytes(keccak(number.to_bytes(32, "big")), "big")
        low = (low + (word & _LANE)) % PRIMES[0]
        high = (high + (word >> LANE_BITS & _LANE)) % PRIMES[1]
        legs += count_legs(number)
    return low + (high << LANE_BITS) + (legs % 256 << 248)


def _leg_bits(number: int, index: int) -> int:
    return int(number >> POOL_BITS + LEG_BITS * index & 2**LEG_BITS - 1)


def _chunk(leg: Leg) -> tuple[int, int, int]:
    return leg.token_type, leg.strike, leg.width
