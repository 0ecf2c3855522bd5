"""What the risk engine demands for one position at one tick, to the last unit. Pure.

Panoptic v2, ``RiskEngine._getRequiredCollateralAtTickSinglePosition`` and what it calls. Ratios are
millionths of ten (1e7 is 100 %), utilisations basis points, amounts raw units of the token that a leg moves.
The engine has no volatility: a short's demand is linear in the price on either side of its range, a long's
falls with distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96
from agent.values.fixed import Q96, div_up, mul_div_up
from agent.venues.panoptic.chunk import amounts_moved, moved, to_first, to_second
from agent.venues.panoptic.pair import HALF, Pair
from agent.venues.panoptic.token_id import Leg, TokenId

UNIT = 10_000_000
UTILISATION_MOST = 10_000
LN2 = 6_931_472
DISTANT = 10_000  # raw units that a long is never charged less than
CALENDAR = 80_000
WORD160 = 2**160


@dataclass(frozen=True, slots=True)
class Ratios:
    """The engine's parameters, of ``UNIT``. The defaults are those it was deployed with."""

    seller: int = 2_000_000
    buyer: int = 1_000_000
    loan: int = 1_000_000
    target: int = 6_666_667
    saturated: int = 9_000_000

    def short(self, utilisation: int, least: int) -> int:
        """What a seller must hold of the amount; below zero the position is a strangle's leg."""
        if utilisation < 0:
            least, utilisation = least // 2, -utilisation
        scaled = utilisation * 1_000
        if scaled < self.target:
            return least
        if scaled > self.saturated:
            return UNIT
        return least + (UNIT - least) * (scaled - self.target) // (self.saturated - self.target)

    def cross(self, utilisation: int, buffer: int) -> int:
        """How much of a surplus in one token counts for the other: ``crossBufferRatio``."""
        scaled = utilisation * 1_000
        if scaled < self.saturated:
            return buffer
        cutoff = (self.saturated + UNIT) // 2
        if scaled > cutoff:
            return 0
        return buffer * (cutoff - scaled) // (cutoff - self.saturated)


DEPLOYED = Ratios()


def demands(
    token_id: TokenId, size: int, tick: int, utilisations: Pair, ratios: Ratios = DEPLOYED
) -> tuple[Pair, Pair]:
    """What the position demands in token0 and token1, and the credits it holds in each."""
    required, credits = [0, 0], [0, 0]
    for index, leg in enumerate(token_id.legs):
        kind = leg.token_type
        if leg.is_credit:
            credits[kind] += moved(leg, token_id.pool.spacing, size)
        required[kind] += _leg(token_id, index, size, tick, utilisations[kind], ratios)
    return (required[0], required[1]), (credits[0], credits[1])


def terms(
    token_id: TokenId, size: int, tick: int, utilisations: Pair, ratios: Ratios = DEPLOYED
) -> list[tuple[str, int]]:
    """The name and demand of every leg, in the token that it moves."""
    return [
        (_name(token_id, index), _leg(token_id, index, size, tick, utilisations[leg.token_type], ratios))
        for index, leg in enumerate(token_id.legs)
    ]


def _name(token_id: TokenId, index: int) -> str:
    leg = token_id.legs[index]
    partner = token_id.legs[leg.partner]
    if leg.partner != index and _is_pair(leg, partner):
        return _strategy(leg, partner)
    if leg.width == 0:
        return "credit" if leg.is_long else "loan"
    return f"{'long' if leg.is_long else 'short'} {'put' if leg.token_type else 'call'}"


def _strategy(leg: Leg, partner: Leg) -> str:
    """What the engine takes two partners for; empty if it takes them one by one."""
    if leg.width and partner.width:
        if leg.token_type != partner.token_type:
            if not leg.is_long and not partner.is_long:
                return "strangle"
            return "synthetic" if leg.is_long != partner.is_long and leg.strike == partner.strike else ""
        return "spread" if leg.is_long != partner.is_long else ""
    if leg.width or partner.width:
        if leg.token_type != partner.token_type:
            return ""
        lending = partner if leg.width else leg
        return "prepaid" if lending.is_long else "loan and option"
    return "delayed swap" if leg.token_type != partner.token_type and leg.is_long != partner.is_long else ""


def _is_pair(leg: Leg, partner: Leg) -> bool:
    return leg.asset == partner.asset and leg.ratio == partner.ratio and _strategy(leg, partner) != ""


def _leg(token_id: TokenId, index: int, size: int, tick: int, utilisation: int, ratios: Ratios) -> int:
    """``_getRequiredCollateralSingleLeg``."""
    leg, spacing = token_id.legs[index], token_id.pool.spacing
    partner = token_id.legs[leg.partner]
    if leg.partner == index or not _is_pair(leg, partner):
        return _alone(leg, spacing, size, tick, utilisation, ratios)
    strategy = _strategy(leg, partner)
    if strategy == "strangle":
        return _alone(leg, spacing, size, tick, -(utilisation or 1), ratios)
    if strategy == "synthetic":
        return 0 if leg.is_long else _alone(leg, spacing, size, tick, utilisation, ratios)
    if strategy == "spread":
        return _spread(leg, partner, spacing, size, tick, utilisation, ratios) if leg.is_long else 0
    if strategy == "delayed swap":
        return 0 if leg.is_long else _delayed_swap(leg, partner, spacing, size, tick, ratios)
    if leg.width == 0:
        return 0  # demanded with the option
    if strategy == "prepaid":
        return _alone(leg, spacing, size, tick, UTILISATION_MOST, ratios)
    own = _alone(leg, spacing, size, tick, utilisation, ratios)
    loan = _alone(partner, spacing, size, tick, utilisation, ratios)
    return max(own, loan) if leg.is_long else own + loan


@lru_cache(maxsize=65_536)
def _alone(leg: Leg, spacing: int, size: int, tick: int, utilisation: int, ratios: Ratios) -> int:
    """``_getRequiredCollateralSingleLegNoPartner``."""
    amount = moved(leg, spacing, size)
    if leg.is_credit:
        return 0
    if leg.is_loan:
        return mul_div_up(amount, ratios.short(utilisation, ratios.loan) + UNIT, UNIT)
    if leg.is_long:
        return _long(leg, spacing, amount, tick, ratios)
    return _short(leg, spacing, amount, tick, ratios.short(utilisation, ratios.seller))


def _short(leg: Leg, spacing: int, amount: int, tick: int, ratio: int) -> int:
    base = 1 + div_up(amount * ratio, UNIT)
    away = 2 * (tick - leg.strike if leg.token_type else leg.strike - tick)
    q_x96 = sqrt_price_x96(min(max(away, MIN_TICK), MAX_TICK))  # price over strike for puts, else its inverse
    floor = base // 2
    moving = max(0, amount + mul_div_up(base, q_x96, Q96) - mul_div_up(amount, q_x96, Q96))
    low, high = leg.ticks(spacing)
    inside = 0
    if low <= tick < high:
        s_x96 = sqrt_price_x96(high - low)
        slope = (s_x96 - q_x96) % WORD160
        inside = mul_div_up(amount * (UNIT - ratio), slope, UNIT * (s_x96 + Q96)) + floor
    return max(inside, moving, floor)


def _long(leg: Leg, spacing: int, amount: int, tick: int, ratios: Ratios) -> int:
    base = 1 + div_up(amount * ratios.buyer, UNIT)
    width = leg.width * spacing
    away = max((width + 1) // 2, abs(tick - leg.strike))
    shifts, rest = divmod(away * UNIT // width, LN2)
    decay = _taylor(rest) << shifts if shifts < 128 else HALF - 1
    return min(base, UNIT * base * width // (away * decay) + DISTANT)


def _taylor(part: int) -> int:
    """e to the ``part`` / UNIT, times UNIT: ``Math.sTaylorCompounded``."""
    second = part * part // (2 * UNIT)
    third = second * part // (3 * UNIT)
    return UNIT + part + second + third + third * part // (4 * UNIT)


def _spread(
    leg: Leg, partner: Leg, spacing: int, size: int, tick: int, utilisation: int, ratios: Ratios
) -> int:
    """The most that a long leg and its short partner can lose, or both by themselves if that is less."""
    split = sum(_alone(one, spacing, size, tick, utilisation, ratios) for one in (leg, partner))
    kind = leg.token_type
    own = amounts_moved(leg, spacing, size, is_opening=False)
    other = amounts_moved(partner, spacing, size, is_opening=False)
    wider = abs(leg.width - partner.width) * spacing
    loss = 1 + own[kind] * wider // CALENDAR
    if leg.asset != kind:
        loss += abs(own[kind] - other[kind])
    else:
        notional, partners = own[1 - kind], other[1 - kind]
        largest = max(notional, partners)
        loss += div_up(abs(notional - partners) * own[kind], largest) if largest else 0
    return min(split, loss)


def _delayed_swap(leg: Leg, partner: Leg, spacing: int, size: int, tick: int, ratios: Ratios) -> int:
    """A loan in one token against a credit in the other: what the credit is not worth."""
    required = mul_div_up(moved(leg, spacing, size), ratios.seller + UNIT, UNIT)
    credit, sqrt_x96 = moved(partner, spacing, size), sqrt_price_x96(tick)
    worth = (to_second if partner.token_type == 0 else to_first)(credit, sqrt_x96, up=True)
    return required - worth if required > worth else 1
