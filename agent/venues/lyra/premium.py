"""Lyra's own option formula on ints, so that what it says is what the contract says, to the last digit.

The contract (BlackScholes and its exponential and logarithm) works with 27 decimals inside and 18 at its
surface, rounds every product and quotient half away from zero, and approximates exp, ln and the normal
distribution by rational functions. The numbers below are those functions' coefficients; the arithmetic is
written from their definition. ``pricing.black`` is the same model in floats, with the Greeks that the
contract does not have.

What depends on the asset's price is separated from what does not (`Curve`), because a search for a
liquidation price asks for many prices at one time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

from agent.values.fixed import RAY, YEAR_S, div_trunc

_HALF = RAY // 2
_NANO = 10**9  # from 18 to 27 decimals
_Q96 = 96
_MIN_TIME = RAY // YEAR_S  # one second
_MIN_VOL = RAY // 10_000
_SQRT_TWO_PI = 2506628274631000502415765285

# exp: beyond these the contract answers zero or reverts (18 decimals)
_EXP_ZERO = -42139678854452767551
_LN2_Q96 = 54916777467707473351141471128
_EXP_P = (
    44335888930127919016834873520032,
    398888492587501845352592340339721,
    1993839819670624470859228494792842,
)
_EXP_SCALE = 3822833074963236453042738258902158003155416615667

_LN_P = (
    24828157081833163892658089445524,
    43456485725739037958740375743393,
    -11111509109440967052023855526967,
    -45023709667254063763336534515857,
    -14706773417378608786704636184526,
)
_LN_Q = (
    71694874799317883764090561454958,
    283447036172924575727196451306956,
    401686690394027663651624208769553,
    204048457590392012362485061816622,
    31853899698501571402653359427138,
    909429971244387300277376558375,
)
_LN_SCALE = 1677202110996718588342820967067443963516166
_LN_PER_BIT = 16597577552685614221487285958193947469193820559219878177908093499208371
_LN_BASE = 600920179829731861736702779321621459595472258049074101567377883020018308

# the normal distribution's tail: a quotient of polynomials up to _SPLIT, a continued fraction beyond
_SPLIT = 7071067811865470000000000000
_TAIL_ZERO = 37 * RAY
_TAIL_P = (
    35262496599891100000000000,
    700383064443688000000000000,
    6373962203531650000000000000,
    33912866078383000000000000000,
    112079291497871000000000000000,
    221213596169931000000000000000,
    220206867912376000000000000000,
)
_TAIL_Q = (
    88388347648318400000000000,
    1755667163182640000000000000,
    16064177579207000000000000000,
    86780732202946100000000000000,
    296564248779674000000000000000,
    637333633378831000000000000000,
    793826512519948000000000000000,
    440413735824752000000000000000,
)


@dataclass(frozen=True, slots=True)
class Curve:
    """An option at one time and volatility, as a function of the asset's price. 27 decimals."""

    strike_ray: int
    strike_pv_ray: int
    drift_ray: int  # (vol^2 / 2 + rate) * time
    deviation_ray: int  # vol * sqrt(time)


@lru_cache(maxsize=4096)
def curve(strike_wad: int, time_s: int, vol_wad: int, rate_wad: int) -> Curve:
    """The option with ``strike_wad`` that expires in ``time_s`` seconds, at ``vol_wad`` per year."""
    strike, rate = strike_wad * _NANO, rate_wad * _NANO
    years = _divide(time_s, YEAR_S)
    discount = _exp(-(_multiply_signed(rate, years)))
    years_floored = max(years, _MIN_TIME)
    vol = max(vol_wad * _NANO, _MIN_VOL)
    return Curve(
        strike_ray=strike,
        strike_pv_ray=_multiply(strike, discount),
        drift_ray=_multiply_signed(_multiply(vol, vol) // 2 + rate, years_floored),
        deviation_ray=_multiply(vol, isqrt(years_floored * RAY)),
    )


def premiums(option: Curve, spot_wad: int) -> tuple[int, int]:
    """Call and put price per unit, wad. Where the contract's logarithm reverts (spot / strike below 1e-18)
    this gives the limit.
    """
    spot = spot_wad * _NANO
    d1 = _d1(option, spot)
    paid_ray = _multiply(spot, _normal(d1))
    owed_ray = _multiply(option.strike_pv_ray, _normal(d1 - option.deviation_ray))
    call_ray = max(paid_ray - owed_ray, 0)
    put_ray = max(call_ray + option.strike_pv_ray - spot, 0)
    return _to_wad(call_ray), _to_wad(put_ray)


def call_delta(option: Curve, spot_wad: int) -> int:
    """Delta of the call per unit, wad; the put's is this less one."""
    return _to_wad(_normal(_d1(option, spot_wad * _NANO)))


def vega(option: Curve, spot_wad: int, time_s: int) -> int:
    """Change of either price per 1.00 of volatility, wad. Uses the time as it is, without the floor."""
    spot = spot_wad * _NANO
    d1 = abs(_d1(option, spot))
    density = _divide(_exp(-_multiply(d1, d1 // 2)), _SQRT_TWO_PI)
    root = isqrt(_divide(time_s, YEAR_S) * RAY)
    return _to_wad(_multiply(root, _multiply(density, spot)))


def _d1(option: Curve, spot: int) -> int:
    moneyness = max(_divide(spot, option.strike_ray) // _NANO, 1)
    return _divide_signed(_ln(moneyness) * _NANO + option.drift_ray, option.deviation_ray)


def _multiply(a: int, b: int) -> int:
    """Half up; both >= 0."""
    return (a * b + _HALF) // RAY


def _divide(a: int, b: int) -> int:
    """Half up; a >= 0, b > 0."""
    return (2 * a * RAY + b) // (2 * b)


def _multiply_signed(a: int, b: int) -> int:
    """Half away from zero; b >= 0."""
    return _multiply(a, b) if a >= 0 else -_multiply(-a, b)


def _divide_signed(a: int, b: int) -> int:
    """Half away from zero; b > 0."""
    return _divide(a, b) if a >= 0 else -_divide(-a, b)


def _to_wad(ray: int) -> int:
    return (ray + _NANO // 2) // _NANO


def _horner(x: int, value: int, coefficients: tuple[int, ...]) -> int:
    """A polynomial in binary fixed point of 96 places, truncated after each step."""
    for coefficient in coefficients:
        value = ((value * x) >> _Q96) + coefficient
    return value


def _exp(x_ray: int) -> int:
    """e^x, 27 decimals of which the last nine are zero."""
    x = div_trunc(x_ray, _NANO)
    if x <= _EXP_ZERO:
        return 0
    x = div_trunc(x << 78, 5**18)  # into 96 binary places
    halvings = (div_trunc(x << 96, _LN2_Q96) + 2**95) >> _Q96
    x -= halvings * _LN2_Q96
    p = _horner(x, x + 2772001395605857295435445496992, _EXP_P)
    p = p * x + (4385272521454847904632057985693276 << _Q96)
    z = (((x + 750530180792738023273180420736) * x) >> _Q96) + 32788456221302202726307501949080
    w = x - 2218138959503481824038194425854
    w = ((w * z) >> _Q96) + 892943633302991980437332862907700
    q = ((z + w - 78174809823045304726920794422040) * w >> _Q96) + 4203224763890128580604056984195872
    return ((p // q * _EXP_SCALE) >> (195 - halvings)) * _NANO


def _ln(x_wad: int) -> int:
    """ln x, 18 decimals; x > 0."""
    bits = x_wad.bit_length() - 1 - _Q96
    x = (x_wad << (159 - bits)) >> 159  # in [1, 2) with 96 binary places
    p = _horner(x, x + 3273285459638523848632254066296, _LN_P)
    p = p * x - (795164235651350426258249787498 << _Q96)
    q = _horner(x, x + 5573035233440673466300451813936, _LN_Q)
    return (div_trunc(p, q) * _LN_SCALE + _LN_PER_BIT * bits + _LN_BASE) >> 174


def _normal(x: int) -> int:
    """The standard normal distribution function, 27 decimals."""
    z = abs(x)
    tail = 0
    if z <= _TAIL_ZERO:
        density = _exp(-_multiply(z, z // 2))
        if z < _SPLIT:
            tail = _multiply(_divide(_polynomial(z, _TAIL_P), _polynomial(z, _TAIL_Q)), density)
        else:
            fraction = z + RAY * 13 // 20
            for step in (4, 3, 2, 1):
                fraction = z + _divide(step * RAY, fraction)
            tail = _divide(density, _multiply(fraction, _SQRT_TWO_PI))
    return tail if x <= 0 else RAY - tail


def _polynomial(z: int, coefficients: tuple[int, ...]) -> int:
    value = 0
    for coefficient in coefficients:
        value = value * z // RAY + coefficient
    return value
