"""Trading delta in a Panoptic pool now: what a swapped loan costs and how much of it goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agent.pricing.pool import PPM
from agent.values.address import MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, WAD, mul_div_up, mul_down, rescale_down, rescale_up, to_float
from agent.venues.panoptic.account import FULL
from agent.venues.panoptic.hedge import BPS, Hedge, after, hedge, most_asset
from agent.venues.panoptic.margin import PanopticMargin
from agent.venues.panoptic.oracle import EPOCH_S
from agent.venues.panoptic.view import View

NO_SWAP_MODE = 2  # from this safe mode on a mint swaps nothing
LEGS_OF_A_TRADE = 2


@dataclass(frozen=True)
class PanopticOffer:
    """Margined: a sale's quote and a purchase's asset stay in the account as collateral, the loan as debt."""

    view: View
    margin: PanopticMargin

    @property
    def venue(self) -> str:
        return "panoptic"

    @property
    def market(self) -> MarketId:
        return self.view.denomination.market

    @property
    def asset(self) -> str:
        return self.view.denomination.asset

    @property
    def price_wad(self) -> int:
        return self.view.price_wad

    @property
    def carry_per_day(self) -> float:
        """A unit long borrows its price in quote and pays interest on that; a unit short borrows the asset
        and pays on that. One number says both: the first less the second, at the rates of now.
        """
        rates = [
            tracker.curve.rate(tracker.utilisation * WAD // BPS, tracker.rate_at_target, 0)
            for tracker in self.view.trackers
        ]
        paid = rates[self.view.denomination.quote_kind] - rates[self.view.denomination.asset_kind]
        return to_float(self.price_wad) * to_float(paid) * DAY_S

    @property
    def cash_token(self) -> Token | None:
        return None

    @cached_property
    def max_buy_wad(self) -> int:
        return self._most(1)

    @cached_property
    def max_sell_wad(self) -> int:
        return self._most(-1)

    def hedge(self, size_wad: int) -> Hedge:
        """What is minted for it."""
        return hedge(self.view, self.margin.account, size_wad)

    def cost_wad(self, size_wad: int) -> int:
        if size_wad == 0:
            return 0
        done = self.hedge(size_wad)
        terms = self.view.denomination
        fee = self._fee_wad(done)
        missing = 2 * mul_down(rescale_up(done.unfilled, terms.asset_token.decimals, 18), self.price_wad)
        if size_wad > 0:
            paid = rescale_up(-done.quote, terms.quote_token.decimals, 18)
            got = rescale_down(done.asset, terms.asset_token.decimals, 18)
            return max(0, paid - mul_down(got, self.price_wad)) + fee + missing
        sold = rescale_up(-done.asset, terms.asset_token.decimals, 18)
        received = rescale_down(done.quote, terms.quote_token.decimals, 18)
        return max(0, -(-sold * self.price_wad // WAD) - received) + fee + missing

    def cash_need_wad(self, size_wad: int) -> int:
        """Nothing: the trade is margined."""
        del size_wad
        return 0

    def margin_need_wad(self, size_wad: int) -> int:
        """By how much less the account could let out afterwards, its demands at the utilisation the trade
        makes. Never 0 for a trade.
        """
        if size_wad == 0:
            return 0
        done = self.hedge(size_wad)
        later = after(self.view, self.margin.account, done, self.margin.at_s)
        before_wad, after_wad = self._free_wad(self.margin), self._free_wad(self.margin.with_account(later))
        return max(1, before_wad - after_wad)

    def _free_wad(self, margin: PanopticMargin) -> int:
        """The least headroom at the ticks that a mint is judged at, as much above the demands as it asks."""
        view, at_s = self.view, margin.at_s
        ticks = view.oracle.solvency_ticks(view.pool.tick, view.rules.tuning)
        lent = FULL if view.safe_mode > 0 and margin.account.held else None
        return min(margin.headroom_wad(tick, at_s, view.rules.leave_buffer, lent) for tick in ticks)

    def _fee_wad(self, done: Hedge) -> int:
        """What the vaults keep of what is borrowed, in quote, rounded up."""
        terms = self.view.denomination
        if done.quote < 0:
            fee = mul_div_up(-done.quote, self.view.rules.fee_bps, BPS)
            return rescale_up(fee, terms.quote_token.decimals, 18)
        fee = mul_div_up(-done.asset, self.view.rules.fee_bps, BPS)
        fee += sum(mul_div_up(size, self.view.rules.fee_bps, BPS) for _, size in done.positions[:-1])
        return mul_div_up(rescale_up(fee, terms.asset_token.decimals, 18), self.price_wad, WAD)

    def _most(self, sign: int) -> int:
        """As far as the price may go in one transaction, and the account may go by its margin."""
        view, account = self.view, self.margin.account
        legs = sum(len(held.token_id.legs) for held in account.held)
        if view.safe_mode >= NO_SWAP_MODE or legs + LEGS_OF_A_TRADE > view.rules.legs_most:
            return 0
        reach_ppm = view.rules.ticks_most * PPM // 8 // BPS  # a quarter of the bound, of the square root
        raw = most_asset(view, reach_ppm, is_purchase=sign > 0)
        low, high = 0, rescale_down(raw, view.denomination.asset_token.decimals, 18)
        if high and self._may(sign * high):
            return high
        step = high // 1_000
        while high - low > max(1, step):
            middle = (low + high) // 2
            low, high = (middle, high) if self._may(sign * middle) else (low, middle)
        return low

    def _may(self, size_wad: int) -> bool:
        """Whether the pool would take the account afterwards, an epoch from now."""
        done = self.hedge(size_wad)
        if not done.positions or done.unfilled:
            return False
        margin, view = self.margin, self.view
        later = after(view, margin.account, done, margin.at_s)
        if any(stake.shares < 0 for stake in later.stakes):
            return False
        ticks = view.oracle.solvency_ticks(view.pool.tick, view.rules.tuning)
        return later.may_leave(
            ticks, margin.at_s + EPOCH_S, view.rules.leave_buffer, is_safe_mode=view.safe_mode > 0
        )
