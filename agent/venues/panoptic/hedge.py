"""Delta by lending: a loan whose tokens are swapped as it is minted. Pure.

A sale borrows the asset and swaps it for quote; a purchase borrows quote and swaps it for the asset. Both are
positions of one leg without width, minted with the tick limits in falling order, which is how the contract is
told to swap. The fee on what is borrowed is paid from the account's shares of that token: where a seller has
none, a second loan that is not swapped brings them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.pricing.pool import PPM, Swap, swap
from agent.pricing.tick import MAX_SQRT_X96, MAX_TICK, MIN_SQRT_X96, MIN_TICK, sqrt_price_x96
from agent.values.fixed import mul_div_up, rescale_down
from agent.venues.panoptic.account import Account, Held
from agent.venues.panoptic.chunk import moved
from agent.venues.panoptic.token_id import Leg, TokenId, pool_of
from agent.venues.panoptic.view import View

BPS = 10_000
COST_SQRT_PPM = 100_000  # costs are followed this far in the square root; no sensible trade goes further
WHOLE = 2**127  # more than any pool holds: trade up to the price limit
FEE_SLACK = 16  # raw units above the fee that a loan for it borrows: its own fee, and roundings


@dataclass(frozen=True, slots=True)
class Hedge:
    """Positions to mint, in order; all but the last without a swap. Raw amounts of asset and quote, > 0 is
    what the account gets. ``unfilled``: raw asset that the pool has not within reach.
    """

    positions: tuple[tuple[TokenId, int], ...]
    asset: int
    quote: int
    sqrt_x96: int
    unfilled: int

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(token_id.number for token_id, _ in self.positions)


def hedge(view: View, account: Account, size_wad: int, reach_ppm: int = COST_SQRT_PPM) -> Hedge:
    """What trading ``size_wad`` of the asset (> 0 buys) takes now; nothing for less than a raw unit."""
    terms = view.denomination
    raw = rescale_down(abs(size_wad), 18, terms.asset_token.decimals)
    if raw == 0:
        return Hedge((), 0, 0, view.pool.sqrt_x96, 0)
    if size_wad > 0:
        wanted = _swap(view, -raw, terms.quote_kind, reach_ppm)
        loan = _loan(view, account, terms.quote_kind, wanted.paid)
        if loan is None:
            return Hedge((), 0, 0, view.pool.sqrt_x96, raw)
        borrowed = _amount(loan)
        done = _swap(view, borrowed, terms.quote_kind, reach_ppm)
        return Hedge((loan,), done.received, -done.paid, done.sqrt_x96, wanted.unfilled)
    loan = _loan(view, account, terms.asset_kind, raw)
    if loan is None:
        return Hedge((), 0, 0, view.pool.sqrt_x96, raw)
    borrowed = _amount(loan)
    done = _swap(view, borrowed, terms.asset_kind, reach_ppm)
    loans = (*_fee_loan(view, account, loan, borrowed), loan)
    return Hedge(loans, -borrowed, done.received, done.sqrt_x96, done.unfilled)


def after(view: View, account: Account, done: Hedge, at_s: int) -> Account:
    """The account once the positions are minted, with the utilisations that rule it from then on."""
    terms = view.denomination
    stakes = [stake.settled(at_s) for stake in account.stakes]
    held = list(account.held)
    for number, (token_id, size) in enumerate(done.positions):
        kind, amount = token_id.legs[0].token_type, _amount((token_id, size))
        is_swapped = number == len(done.positions) - 1
        other = done.asset if kind == terms.quote_kind else done.quote
        lent = stakes[kind].borrowed_by(amount, amount if is_swapped else 0, view.rules.fee_bps)
        stakes[kind] = lent
        if is_swapped:
            stakes[1 - kind] = stakes[1 - kind].borrowed_by(0, -other, 0)
        utilisations = (stakes[0].tracker.utilisation, stakes[1].tracker.utilisation)
        held.append(Held(token_id, size, utilisations, at_s))
    return replace(account, held=tuple(held), stakes=(stakes[0], stakes[1]))


def most_asset(view: View, reach_ppm: int, *, is_purchase: bool) -> int:
    """Raw asset that the Uniswap pool gives (or takes) until its root has moved so many millionths."""
    terms = view.denomination
    if is_purchase:
        return _swap(view, WHOLE, terms.quote_kind, reach_ppm).received
    return _swap(view, WHOLE, terms.asset_kind, reach_ppm).paid


def tick_limits(view: View, done: Hedge, slack_ticks: int) -> tuple[int, int]:
    """The open interval in which the price may end: where it will, and ``slack_ticks`` on the far side; on
    the near side as far back as one transaction may move it.
    """
    down = done.sqrt_x96 < view.pool.sqrt_x96
    near, far = view.rules.ticks_most, slack_ticks
    start = view.pool.tick
    end = _tick_near(done.sqrt_x96, start)
    low, high = (end - far - 1, start + near) if down else (start - near, end + far + 1)
    return max(low, MIN_TICK), min(high, MAX_TICK)


def _tick_near(sqrt_x96: int, start: int) -> int:
    tick = start
    while tick > MIN_TICK and sqrt_price_x96(tick) > sqrt_x96:
        tick -= 1
    while tick < MAX_TICK - 1 and sqrt_price_x96(tick + 1) <= sqrt_x96:
        tick += 1
    return tick


def _loan(view: View, account: Account, kind: int, raw: int, skip: int = 0) -> tuple[TokenId, int] | None:
    """A loan of that token whose id the account does not hold yet; None if it is too small to be one."""
    pool = pool_of(view.number)
    taken = {held.number for held in account.held}
    strike = view.pool.tick // pool.spacing * pool.spacing
    for step in range(len(taken) + skip + 1):
        leg = Leg(kind, 1, is_long=False, token_type=kind, partner=0, strike=strike + step, width=0)
        token_id = TokenId(pool, (leg,))
        if token_id.number in taken:
            continue
        if skip:
            skip -= 1
            continue
        return (token_id, raw) if raw > 0 and moved(leg, pool.spacing, raw, is_opening=True) else None
    return None


def _amount(loan: tuple[TokenId, int]) -> int:
    token_id, size = loan
    return moved(token_id.legs[0], token_id.pool.spacing, size, is_opening=True)


def _fee_loan(
    view: View, account: Account, loan: tuple[TokenId, int], borrowed: int
) -> tuple[tuple[TokenId, int], ...]:
    """A loan that pays the fee of another, where the account has no shares to."""
    kind = loan[0].legs[0].token_type
    fee = mul_div_up(borrowed, view.rules.fee_bps, BPS)
    stake = account.stakes[kind]
    if stake.tracker.assets(stake.shares) > 2 * fee + FEE_SLACK:
        return ()
    brought = _loan(view, account, kind, fee + mul_div_up(fee, 2 * view.rules.fee_bps, BPS) + FEE_SLACK, 1)
    return () if brought is None else (brought,)


def _swap(view: View, amount: int, kind: int, reach_ppm: int) -> Swap:
    """``amount`` > 0: exactly so much of token ``kind`` goes in; < 0: so much of the other comes out."""
    down = kind == 0
    limit = view.pool.sqrt_x96 * (PPM - reach_ppm if down else PPM + reach_ppm) // PPM
    limit = min(max(limit, MIN_SQRT_X96 + 1), MAX_SQRT_X96 - 1)
    return swap(view.pool, amount, zero_for_one=down, fee_ppm=view.fee_ppm, limit_x96=limit)
