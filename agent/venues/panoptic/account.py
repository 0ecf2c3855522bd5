"""One account as the risk engine sees it: balances, demands and solvency at a tick, to the last unit. Pure.

Panoptic v2, ``RiskEngine._getMargin`` and ``isAccountSolvent``. Balances: shares' worth less interest, the
premium that short legs can collect, and credits. Demands: those of all legs at the highest utilisation of any
position's mint, the premium that long legs owe, and interest the balance cannot pay. A surplus in one token
counts for the other by the cross buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.pricing.tick import sqrt_price_x96
from agent.values.fixed import Q96, mul_div_down, mul_div_up
from agent.venues.panoptic import requirement
from agent.venues.panoptic.chunk import to_first, to_second
from agent.venues.panoptic.pair import Pair
from agent.venues.panoptic.requirement import UNIT, UTILISATION_MOST, Ratios, demands
from agent.venues.panoptic.token_id import Leg, PoolId, TokenId
from agent.venues.panoptic.tracker import Stake

SIZE_BITS, UTILISATION_BITS = 128, 16
LOAN_STRIKE = 0
FULL: Pair = (UTILISATION_MOST, UTILISATION_MOST)


@dataclass(frozen=True, slots=True)
class Held:
    """A position: its legs, how many contracts, and the vaults' utilisations when it was minted (bps)."""

    token_id: TokenId
    size: int
    utilisations: Pair
    minted_at_s: int = 0
    minted_tick: int = 0

    @property
    def number(self) -> int:
        return self.token_id.number


def held_of(token_id: TokenId, balance: int) -> Held:
    """A position by the word ``PositionBalance`` that the pool stores of it."""
    tick = balance >> 160 & 0xFFFFFF
    return Held(
        token_id,
        size=balance % 2**SIZE_BITS,
        utilisations=(balance >> 128 & 0xFFFF, balance >> 144 & 0xFFFF),
        minted_at_s=balance >> 184 & 0xFFFFFFFF,
        minted_tick=tick - 2**24 if tick >= 2**23 else tick,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Balances and demands in token0 and token1; ``utilisations`` rule the cross buffers."""

    balances: Pair
    required: Pair
    utilisations: Pair


@dataclass(frozen=True, slots=True)
class Account:
    """What the engine is told of an account. ``short_premia`` are owed to it, ``long_premia`` by it."""

    held: tuple[Held, ...]
    stakes: tuple[Stake, Stake]
    short_premia: Pair = (0, 0)
    long_premia: Pair = (0, 0)
    cross_buffers: Pair = (UNIT, UNIT)
    ratios: Ratios = requirement.DEPLOYED

    @property
    def utilisations(self) -> Pair:
        """The highest of any position's, of each token."""
        return (
            max((one.utilisations[0] for one in self.held), default=0),
            max((one.utilisations[1] for one in self.held), default=0),
        )

    def standing(self, tick: int, at_s: int, utilisations: Pair | None = None) -> Standing:
        """``getMargin`` at a tick and a time. In safe mode the utilisations are full."""
        lent = self.utilisations if utilisations is None else utilisations
        required, balances = list(self.long_premia), list(self.short_premia)
        for one in self.held:
            demanded, credits = demands(one.token_id, one.size, tick, lent, self.ratios)
            for kind in (0, 1):
                required[kind] += demanded[kind]
                balances[kind] += credits[kind]
        for kind, stake in enumerate(self.stakes):
            assets, interest = stake.assets, stake.interest(at_s)
            if interest > assets:
                required[kind] += assets
            else:
                balances[kind] += assets - interest
        return Standing((balances[0], balances[1]), (required[0], required[1]), lent)

    def gap(self, tick: int, standing: Standing, buffer: int = UNIT) -> int:
        """By how much it is solvent there, in raw units of the token that the engine compares in (token0
        below a price of one, token1 from there on); below zero it is not. ``isAccountSolvent`` is that it is
        not.
        """
        sqrt_x96 = sqrt_price_x96(tick)
        first, second = standing.balances
        needs = [mul_div_up(required, buffer, UNIT) for required in standing.required]
        spare = [
            mul_div_down(max(0, standing.balances[i] - needs[i]), self._cross(i, standing.utilisations), UNIT)
            for i in (0, 1)
        ]
        if sqrt_x96 < Q96:
            return min(
                first + to_first(spare[1], sqrt_x96) - needs[0],
                to_first(second, sqrt_x96) + spare[0] - to_first(needs[1], sqrt_x96, up=True),
            )
        return min(
            to_second(first, sqrt_x96) + spare[1] - to_second(needs[0], sqrt_x96, up=True),
            second + to_second(spare[0], sqrt_x96) - needs[1],
        )

    def is_solvent(self, tick: int, at_s: int, buffer: int = UNIT, utilisations: Pair | None = None) -> bool:
        """The engine's predicate."""
        return self.gap(tick, self.standing(tick, at_s, utilisations), buffer) >= 0

    def may_leave(self, ticks: Sequence[int], at_s: int, buffer: int, *, is_safe_mode: bool) -> bool:
        """Whether it could end a dispatch or a withdrawal so: ``_validateSolvency``."""
        lent = FULL if is_safe_mode else None
        return not self.held or all(self.is_solvent(tick, at_s, buffer, lent) for tick in ticks)

    def paid_in(self, kind: int, assets: int) -> Account:
        """After so much of token ``kind`` was paid in (or, below zero, taken out)."""
        stakes = list(self.stakes)
        stakes[kind] = stakes[kind].paid_in(assets)
        return replace(self, stakes=(stakes[0], stakes[1]))

    def _cross(self, kind: int, utilisations: Pair) -> int:
        return self.ratios.cross(utilisations[kind], self.cross_buffers[kind])


def borrowed(account: Account, pool: PoolId, kind: int, debt: int, gain: int) -> Account:
    """After a loan of ``debt`` of token ``kind`` was swapped for ``gain`` of the other. Its strike is of no
    account for what it demands, and the stakes keep what they owe.
    """
    leg = Leg(kind, 1, is_long=False, token_type=kind, partner=0, strike=LOAN_STRIKE, width=0)
    loan = Held(TokenId(pool, (leg,)), debt, account.utilisations)
    stakes = list(account.stakes)
    stakes[kind] = replace(stakes[kind], borrowed=stakes[kind].borrowed + debt)
    return replace(account, held=(*account.held, loan), stakes=(stakes[0], stakes[1])).paid_in(1 - kind, gain)
