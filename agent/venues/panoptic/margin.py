"""A Panoptic account as the house judges it: in quote, at prices, through time. Pure.

What moves is the pool's price, and the contract only sees its tick. A liquidation needs the account insolvent
at four ticks at once: the oracle's spot average, its TWAP, the latest price it saw, and the pool's present
one. A move of the price carries all four along, each as far from it as now; as time passes the oracle catches
up, poked in every epoch, as somebody who wants to liquidate would do. The tick at which the account stands
best rules.

Equity is all balances in quote. The requirement is what equity has above the engine's own comparison
(`Account.gap`), so that equity is below it exactly where the engine says insolvent. Collateral in the other
token, and quote that is not needed for quote, count by the cross buffer: what quote adds to the headroom
depends on what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from agent.market.margin import Betas, CollateralKind, Prices
from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import Q96, WAD, mul_up, rescale_down
from agent.venues.panoptic.account import Account, borrowed
from agent.venues.panoptic.chunk import to_first, to_second
from agent.venues.panoptic.denomination import Denomination
from agent.venues.panoptic.oracle import EPOCH_S, Oracle, Tuning
from agent.venues.panoptic.pair import Pair
from agent.venues.panoptic.requirement import terms
from agent.venues.panoptic.token_id import PoolId

INTEREST, LONG_PREMIUM, NOTHING = "interest", "long premium", "nothing"
FOR_EVER_S = 10**10
CATCHING_UP_MOST = 4_096  # epochs after which an oracle stands still, whatever it had seen
TOP = 16 * WAD  # as far as anybody looks
GRAIN = WAD // 10  # between two of our own stops no piece of the requirement turns that is not one itself
REACH = (1, 2, 4, 8)  # half widths away from a long's strike at which its demand is looked at


@dataclass(frozen=True, slots=True)
class PanopticMargin:
    """All positions and collateral of one account in one pool. ``sqrt_x96`` and ``tick`` are the pool's own.

    ``leave_buffer``: what demands are multiplied with when collateral leaves, of 1e7. ``pool``: as its
    positions name it.
    """

    denomination: Denomination
    account: Account
    oracle: Oracle
    tuning: Tuning
    tick: int
    sqrt_x96: int
    leave_buffer: int
    at_s: int
    pool: PoolId

    @property
    def key(self) -> str:
        """Also the market's."""
        return self.denomination.market

    @property
    def venue(self) -> str:
        return "panoptic"

    @property
    def asset(self) -> str:
        return self.denomination.asset

    @property
    def collateral_token(self) -> Token:
        return self.denomination.quote_token

    @property
    def collateral_kind(self) -> CollateralKind:
        return CollateralKind.QUOTE

    @property
    def collateral_wad(self) -> int:
        """Quote posted, less the interest owed in it."""
        stake = self.account.stakes[self.denomination.quote_kind]
        return self._wad(max(0, stake.assets - stake.interest(self.at_s)))

    @property
    def removable_wad(self) -> int:
        """What `CollateralTracker.withdraw` would let out an epoch from now, at the present ticks."""
        kind, at_s = self.denomination.quote_kind, self.at_s + EPOCH_S
        stake = self.account.stakes[kind]
        most = min(stake.assets - stake.interest(at_s), stake.tracker.withdrawable)
        if most <= 0:
            return 0
        ticks, mode = self.oracle.solvency_ticks(self.tick, self.tuning), self.safe_mode

        def may(assets: int) -> bool:
            after = self.account.paid_in(kind, -assets)
            return after.may_leave(ticks, at_s, self.leave_buffer, is_safe_mode=mode > 0)

        if may(most):
            return self._wad(most)
        if not may(0):
            return 0
        low = 0
        while most - low > 1:
            middle = (low + most) // 2
            low, most = (middle, most) if may(middle) else (low, middle)
        return self._wad(low)

    @property
    def safe_mode(self) -> int:
        """The pool's, from 0 (off) to 3 (nothing is minted)."""
        return self.oracle.safe_mode(self.tick, self.tuning)

    @property
    def prices(self) -> Prices:
        return {self.denomination.market: self.price_wad}

    @property
    def price_wad(self) -> int:
        """The pool's own price."""
        return self.denomination.price_wad(self.sqrt_x96)

    @property
    def price_step_wad(self) -> int:
        """One: a flip lies at the end of a tick, and that is found to the last digit of the price."""
        return 1

    def ticks(self, prices: Prices, at_s: int) -> tuple[int, int, int, int]:
        """Spot average, TWAP, latest and present tick at that price and time."""
        tick = self._tick(prices[self.denomination.market])
        found = [tick + lag for lag in _lags(self.oracle, self.tick, self.tuning, self.at_s, at_s)] + [tick]
        held = [min(max(one, MIN_TICK), MAX_TICK) for one in found]
        return held[0], held[1], held[2], held[3]

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        """All balances in quote at the ruling tick, rounded down."""
        return self._wad(self._ruling(prices, at_s)[0])

    def requirement_wad(self, prices: Prices, at_s: int) -> int:
        """Equity less what the engine finds between balances and demands."""
        equity, gap, _ = self._ruling(prices, at_s)
        return self._wad(equity) - self._wad(gap)

    def is_liquidatable(self, prices: Prices, at_s: int) -> bool:
        """Insolvent at all four ticks, and there is something to liquidate."""
        return bool(self.account.held) and self._ruling(prices, at_s)[1] < 0

    def binding(self, prices: Prices, at_s: int) -> str:
        """The leg (or debt) that demands the most at the ruling tick, in quote."""
        tick = self._ruling(prices, at_s)[2]
        sqrt_x96, account = sqrt_price_x96(tick), self.account
        demanded: dict[str, int] = {}
        for one in account.held:
            named = terms(one.token_id, one.size, tick, account.utilisations, account.ratios)
            for leg, (name, amount) in zip(one.token_id.legs, named, strict=True):
                demanded[name] = demanded.get(name, 0) + self._quote(leg.token_type, amount, sqrt_x96)
        demanded[LONG_PREMIUM] = self.denomination.to_quote(account.long_premia, sqrt_x96)
        worst = max(demanded, key=lambda name: demanded[name])
        return worst if demanded[worst] else NOTHING

    def bends(self, betas: Betas) -> tuple[int, ...]:
        """Where a leg's range begins or ends or its strike lies, and every tenth between: demands are linear
        in the price or fall with distance in between, and no bump of theirs is narrower than its own stops.
        """
        beta = betas.get(self.denomination.market, 0)
        if beta <= 0:
            return ()
        ratios = set(range(GRAIN, 3 * WAD, GRAIN)) | set(range(3 * WAD, TOP, 5 * GRAIN))
        now_wad = self.price_wad
        for tick in self.corners():
            moved_wad = self.denomination.price_at(tick) * WAD // now_wad
            ratios |= {moved_wad - 1, moved_wad, moved_wad + 1}
        scaled = ((ratio - WAD) * WAD // beta + WAD for ratio in ratios)
        return tuple(sorted(ratio for ratio in scaled if ratio > 0))

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        """To the end of the oracle's epoch; once the oracle has caught up, for ever: then only interest
        grows.
        """
        del prices
        if _lags(self.oracle, self.tick, self.tuning, self.at_s, at_s) == _lags(
            self.oracle, self.tick, self.tuning, self.at_s, at_s + CATCHING_UP_MOST * EPOCH_S
        ):
            return FOR_EVER_S
        return EPOCH_S - 1 - at_s % EPOCH_S

    def accrued_wad(self, at_s: int) -> Mapping[str, int]:
        """Interest since the snapshot and before, of both tokens, in quote at the tick that rules now."""
        owed = (self.account.stakes[0].interest(at_s), self.account.stakes[1].interest(at_s))
        tick = self._ruling(self.prices, self.at_s)[2]
        return {INTEREST: self._wad(self.denomination.to_quote(owed, sqrt_price_x96(tick)))}

    def funded(self, amount_wad: int) -> PanopticMargin:
        """After ``amount_wad`` of quote is paid in; below zero, taken out."""
        raw = rescale_down(amount_wad, 18, self.collateral_token.decimals)
        return replace(self, account=self.account.paid_in(self.denomination.quote_kind, raw))

    def with_account(self, account: Account) -> PanopticMargin:
        """The same market with another account in it."""
        return replace(self, account=account)

    def traded(self, market: MarketId, size_wad: int, price_wad: int) -> PanopticMargin:
        """After a loan of what is sold (or of what is paid), swapped at ``price_wad``: debt in the one token,
        collateral in the other. Utilisations stay as they are; the offer's own need counts what they do.
        """
        terms = self.denomination
        if market != terms.market or size_wad == 0:
            return self
        quote_wad = -mul_up(size_wad, price_wad)  # against us on both sides
        asset = rescale_down(size_wad, 18, terms.asset_token.decimals)
        quote = rescale_down(quote_wad, 18, terms.quote_token.decimals)
        kind = terms.asset_kind if size_wad < 0 else terms.quote_kind
        debt, gain = (-asset, quote) if size_wad < 0 else (-quote, asset)
        if debt <= 0:
            return self
        return replace(self, account=borrowed(self.account, self.pool, kind, debt, gain))

    def headroom_wad(self, tick: int, at_s: int, buffer: int, utilisations: Pair | None = None) -> int:
        """What is above ``buffer`` times the demands at a tick, in quote."""
        return self._wad(
            _in_quote(
                self.denomination,
                self.account.gap(tick, self.account.standing(tick, at_s, utilisations), buffer),
                tick,
            )
        )

    def _ruling(self, prices: Prices, at_s: int) -> tuple[int, int, int]:
        """Equity and gap in raw quote, and the tick, where the account stands best of the four."""
        found = (_at(self.account, self.denomination, tick, at_s) for tick in set(self.ticks(prices, at_s)))
        return max(found, key=lambda one: (one[1], one[2]))

    def _tick(self, price_wad: int) -> int:
        if price_wad == self.price_wad:
            return self.tick  # a pool that stands at a tick's very end may say the one below
        return self.denomination.tick_of(price_wad)

    def corners(self) -> set[int]:
        """The ticks at which demands may turn, and those around them by the oracle's lags."""
        found: set[int] = {0}  # where the engine changes the token it compares in
        for one in self.account.held:
            spacing = one.token_id.pool.spacing
            for leg in one.token_id.legs:
                found |= {leg.strike, *leg.ticks(spacing)}
                if leg.is_long and leg.width:
                    half = leg.width * spacing // 2
                    found |= {leg.strike + sign * half * reach for reach in REACH for sign in (-1, 1)}
        lags = {0, *_lags(self.oracle, self.tick, self.tuning, self.at_s, self.at_s)}
        return {tick - lag for tick in found for lag in lags if MIN_TICK <= tick - lag < MAX_TICK}

    def _quote(self, kind: int, amount: int, sqrt_x96: int) -> int:
        return self.denomination.to_quote((amount, 0) if kind == 0 else (0, amount), sqrt_x96)

    def _wad(self, raw: int) -> int:
        return rescale_down(raw, self.collateral_token.decimals, 18)


@lru_cache(maxsize=65_536)
def _at(account: Account, terms: Denomination, tick: int, at_s: int) -> tuple[int, int, int]:
    """Equity and gap in raw quote at one tick."""
    standing = account.standing(tick, at_s)
    equity = terms.to_quote(standing.balances, sqrt_price_x96(tick))
    return equity, _in_quote(terms, account.gap(tick, standing), tick), tick


def _in_quote(terms: Denomination, gap: int, tick: int) -> int:
    """The engine's comparison in raw quote; it keeps its sign whatever it is converted from."""
    sqrt_x96 = sqrt_price_x96(tick)
    if (0 if sqrt_x96 < Q96 else 1) == terms.quote_kind:
        return gap
    convert = to_second if terms.is_asset_first else to_first
    return convert(gap, sqrt_x96) if gap >= 0 else -max(1, convert(-gap, sqrt_x96, up=True))


@lru_cache(maxsize=4_096)
def _lags(oracle: Oracle, tick: int, tuning: Tuning, since_s: int, at_s: int) -> tuple[int, int, int]:
    """How far spot, TWAP and latest are from a price that stands still, if the oracle is poked in every
    epoch.
    """
    epochs = min(at_s // EPOCH_S - since_s // EPOCH_S, CATCHING_UP_MOST)
    for number in range(1, epochs + 1):
        after = oracle.poked(tick, since_s + number * EPOCH_S, tuning)
        if (after.averages, after.latest) == (oracle.averages, oracle.latest):
            break
        oracle = after
    return oracle.spot - tick, oracle.twap - tick, oracle.latest - tick
