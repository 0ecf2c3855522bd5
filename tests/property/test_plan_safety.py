"""Whatever the book: no planned trade leaves an account that the stated stress would liquidate, nothing is
spent that is not there, and a rescue that money can buy is bought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache

import pytest

from agent.errors import PlanInfeasible
from agent.market.intent import AddCollateral, Reduce, RemoveCollateral, Trade, Urgency
from agent.market.margin import CollateralKind, MarginAccount, TradableAccount
from agent.market.snapshot import Snapshot
from agent.planning.plan import Plan, plan
from agent.planning.policy import Policy
from agent.risk.assessment import assess
from agent.risk.limits import Bounds
from agent.values.address import IntentId
from agent.values.fixed import WAD
from agent.venues.lyra.margin import ShortOption
from tests.unit.planning.world import COIN, USD, WRITERS, world

INTENT = IntentId("0x" + "ab" * 32)
POLICY = Policy(band={"ETH": Decimal(1), "BTC": Decimal("0.5")}, stress_distance=Decimal("0.2"))
STRESS = Decimal("0.2")
BOOKS = 60
POINTS = 25  # of the exact model each way, not the planner's own
HEDGED, FUNDED = ("ETH", "BTC"), 60_000


@cache
def planned(seed: int, *, is_quick: bool = False) -> tuple[Snapshot, tuple[Plan, ...]]:
    """One random book and its plans; ``is_quick``: the optimiser gets no time at all."""
    seen = world(seed)
    policy = POLICY.model_copy(update={"solver_ms": 0}) if is_quick else POLICY
    return seen, plans_of(seen, policy)


def plans_of(seen: Snapshot, policy: Policy = POLICY) -> tuple[Plan, ...]:
    judged = assess(seen, Bounds({"ETH": 1.0, "BTC": 0.5}, float(policy.floor_distance)))
    try:
        return plan(seen, judged, policy, WRITERS, INTENT)
    except PlanInfeasible as error:
        assert error.fields["conflicts"]
        return ()


def after(seen: Snapshot, done: Plan) -> Iterator[tuple[MarginAccount, int, bool]]:
    """Every account with its trades done, what is paid in on top (wad), and whether it was traded."""
    for account in seen.margins:
        now, paid_wad, is_traded = account, 0, False
        for action in done.actions:
            if isinstance(action, AddCollateral | RemoveCollateral):
                sign = 1 if isinstance(action, AddCollateral) else -1
                paid_wad += sign * action.amount_wad if action.key == account.key else 0
            elif action.venue == account.venue and isinstance(now, TradableAccount):
                if isinstance(action, Trade):
                    now = now.traded(action.market, action.size_wad, action.limit_price_wad)
                    is_traded = True
                else:
                    now = _shrunk(seen, now, action)
            elif isinstance(now, ShortOption) and isinstance(action, Reduce) and action.key == account.key:
                now = now.cut(now.market, action.size_wad)
        yield now, paid_wad, is_traded


def _shrunk(seen: Snapshot, account: TradableAccount, action: Reduce) -> MarginAccount:
    """A reduction of a perpetual at its bound: at most so much paid, or as far below the mark as above it."""
    held = next(p for p in seen.positions if p.key == action.key)
    if held.size_wad < 0:
        price_wad = action.max_cost_wad * WAD // action.size_wad
        return account.traded(held.instrument.market, action.size_wad, price_wad)
    least_wad = 2 * action.size_wad * held.mark_wad // WAD - action.max_cost_wad
    return account.traded(held.instrument.market, -action.size_wad, least_wad * WAD // action.size_wad)


def is_lost(account: MarginAccount, paid_wad: int, stress: Decimal) -> bool:
    """Whether the exact model liquidates it anywhere between the stress down and the stress up."""
    for step in range(-POINTS, POINTS + 1):
        ratio = WAD + int(stress * WAD) * step // POINTS
        prices = {market: price * ratio // WAD for market, price in account.prices.items()}
        left_wad = account.equity_wad(prices, account.at_s) + paid_wad
        if left_wad < account.requirement_wad(prices, account.at_s):
            return True
        if paid_wad == 0 and account.is_liquidatable(prices, account.at_s):
            return True
    return False


@pytest.mark.parametrize("is_quick", [False, True], ids=["optimiser", "fallback"])
def test_no_plan_trades_into_an_account_that_the_stress_liquidates(is_quick: bool) -> None:
    """Also of the plans that the planner makes when its optimiser has no time at all."""
    traded = moved = 0
    for seed in range(BOOKS):
        seen, plans = planned(seed, is_quick=is_quick)
        for done in plans:
            for account, paid_wad, is_traded in after(seen, done):
                if is_traded or paid_wad < 0:
                    assert not is_lost(account, paid_wad, STRESS), (seed, account.key)
                traded += is_traded
                moved += paid_wad < 0
    assert traded >= 30
    assert moved >= 1


def test_what_a_plan_promises_whole_is_whole() -> None:
    whole = 0
    for seed in range(BOOKS):
        seen, plans = planned(seed)
        if not plans or plans[0].unmet:
            continue
        whole += 1
        first = plans[0]
        assert all(abs(first.delta_after_wad[asset]) <= POLICY.band_wad(asset) * 1.000001 for asset in HEDGED
                   if asset in first.delta_after_wad)  # fmt: skip
        for account, paid_wad, is_traded in after(seen, first):
            if not (is_traded or paid_wad or first.urgency is Urgency.RESCUE):
                continue  # nobody touched it and nobody had to
            closed = any(
                isinstance(a, Reduce) and a.key == account.key and not isinstance(account, TradableAccount)
                and getattr(account, "amount_wad", 1) == 0
                for a in first.actions
            )  # fmt: skip
            assert closed or not is_lost(account, paid_wad, STRESS), (seed, account.key)
    assert whole >= 25


def test_nothing_is_spent_that_is_not_there() -> None:
    """In the worst case of every limit price and bound, at every step of the batch."""
    for seed in range(BOOKS):
        seen, plans = planned(seed)
        accounts = {account.key: account for account in seen.margins}
        for done in plans:
            purse = {token: seen.wallet.balance_wad(token) for token in (USD.address, COIN.address)}
            for action in done.actions:
                if isinstance(action, Trade):
                    if action.venue == "uniswap":
                        spent = USD if action.size_wad > 0 else COIN
                        cost_wad = -(-action.size_wad * action.limit_price_wad // WAD)
                        purse[spent.address] -= cost_wad if action.size_wad > 0 else -action.size_wad
                elif isinstance(action, Reduce):
                    if action.venue == "lyra":
                        account = accounts[action.key]
                        is_whole = isinstance(account, ShortOption) and action.size_wad == account.amount_wad
                        if is_whole:
                            purse[account.collateral_token.address] += account.collateral_wad
                        purse[USD.address] -= action.max_cost_wad
                else:
                    token = accounts[action.key].collateral_token.address
                    sign = 1 if isinstance(action, RemoveCollateral) else -1
                    purse[token] += sign * action.amount_wad
                    if isinstance(action, RemoveCollateral):
                        assert action.amount_wad <= accounts[action.key].removable_wad
                assert min(purse.values()) >= 0, (seed, action)


def test_a_rescue_that_cash_can_buy_is_bought_whatever_the_hedge() -> None:
    rescued = 0
    for seed in range(BOOKS):
        if rescued >= 15:
            return
        seen = world(seed)
        rich = tuple(replace(amount, raw=amount.raw + FUNDED * 10**18) for amount in seen.wallet.balances)
        seen = replace(seen, wallet=replace(seen.wallet, balances=rich))
        near = [a for a in seen.margins if is_lost(a, 0, STRESS)]
        if not near:
            continue
        plans = plans_of(seen)
        for account, paid_wad, _ in after(seen, plans[0]):
            is_closed = isinstance(account, ShortOption) and account.amount_wad == 0
            if account.key in {a.key for a in near} and not is_closed:
                assert not is_lost(account, paid_wad, STRESS), (seed, account.key)
                rescued += account.collateral_kind is not CollateralKind.BASE
    raise AssertionError(f"only {rescued} rescues in {BOOKS} books")
