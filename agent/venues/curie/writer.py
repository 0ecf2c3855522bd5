"""An action as Curie's calls, with the checks that prove it. Pure.

A trade names the exact amount of base and bounds the quote, fees included: that is what
``ClearingHouse._checkSlippage`` compares (``response.quote``), so the bound is size times limit price.
"""

from __future__ import annotations

from functools import lru_cache

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.values.address import Address
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, mul_down, mul_up, rescale_down, rescale_up
from agent.venues.curie.reader import CURIE, ERC20
from agent.venues.curie.state import CurieState, MarketView
from agent.venues.deployments import CurieDeployment

MARGIN_KEY = "curie:margin"
DUST_WAD = 10  # AccountBalance._DUST: a smaller position counts as none
UNLIMITED = 2**128  # an allowance as good as without limit


def write(
    curie: CurieDeployment, state: CurieState, action: Action, account: Address, deadline_s: int
) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market, position or account Curie does not
    have, PlanInfeasible for an action that cannot be done now.
    """
    if isinstance(action, Trade):
        bound = _bound(action.size_wad, action.limit_price_wad)
        return _trade(curie, state, state.market(action.market), action.size_wad, bound, account, deadline_s)
    if isinstance(action, Reduce):
        market = state.market(action.key)
        size_wad = min(action.size_wad, abs(market.taker_wad))
        if size_wad == 0:
            raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
        if market.taker_wad < 0:
            return _trade(curie, state, market, size_wad, action.max_cost_wad, account, deadline_s)
        # a long is sold for no less below its mark than ``max_cost_wad`` stands above it
        least = max(1, 2 * mul_up(size_wad, market.mark_wad) - action.max_cost_wad)
        return _trade(curie, state, market, -size_wad, least, account, deadline_s)
    if action.key != MARGIN_KEY:
        raise VenueUnknown(name=action.key, known=MARGIN_KEY)
    if isinstance(action, AddCollateral):
        return _deposit(curie, state, action, account)
    return _withdraw(curie, state, action, account)


def _bound(size_wad: int, limit_price_wad: int) -> int:
    """Most quote to pay or least to receive, rounded so that the price is never worse than the limit."""
    if size_wad > 0:
        return mul_down(size_wad, limit_price_wad)
    return mul_up(-size_wad, limit_price_wad)


def _trade(
    curie: CurieDeployment,
    state: CurieState,
    market: MarketView,
    size_wad: int,
    quote_bound_wad: int,
    account: Address,
    deadline_s: int,
) -> Order:
    if size_wad == 0 or not market.is_open or market.max_ticks == 0:
        raise PlanInfeasible(conflicts=f"{market.market} trades {decimal(size_wad)} now: closed or nothing")
    is_sale = size_wad < 0  # of exact base in; a purchase is of exact base out
    parameters = (
        market.base_token,
        is_sale,
        is_sale,
        abs(size_wad),
        max(1, quote_bound_wad),  # 0 would mean: no bound
        deadline_s,
        0,  # no price limit: it would fill in part instead of failing
        bytes(32),  # no referral
    )
    call = CURIE["openPosition"].at(Address(curie.clearing_house), parameters, gas_hint=1_200_000)
    after_wad = market.taker_wad + size_wad
    expected = 0 if abs(after_wad) < DUST_WAD else after_wad
    size = Term(
        Address(curie.account_balance),
        _data("getTakerPositionSize", account, market.base_token),
        is_signed=True,
    )
    return Order(
        calls=(call,),
        post=(
            Check(f"{market.market} size", (size,), lower=expected, upper=expected),
            margin_check(curie, account, WAD),
        ),
    )


@lru_cache(maxsize=256)
def _data(function: str, *arguments: str) -> bytes:
    """The calldata of a check, the same in every plan."""
    return CURIE[function].encode(*arguments)


def margin_check(curie: CurieDeployment, account: Address, multiple_wad: int) -> Check:
    """That account value is at least ``multiple_wad`` times what liquidation asks for."""
    value = Term(Address(curie.clearing_house), _data("getAccountValue", account), is_signed=True)
    requirement = Term(
        Address(curie.account_balance),
        _data("getMarginRequirementForLiquidation", account),
        is_signed=True,
        multiplier_wad=-multiple_wad,
    )
    name = f"{MARGIN_KEY} at least {decimal(multiple_wad):f} x maintenance"
    return Check(name, (value, requirement), lower=0)


def _deposit(curie: CurieDeployment, state: CurieState, action: AddCollateral, account: Address) -> Order:
    token, vault = state.settlement_token, Address(curie.vault)
    raw = rescale_up(action.amount_wad, 18, token.decimals)
    if raw <= 0:
        raise PlanInfeasible(
            conflicts=f"paying {decimal(action.amount_wad)} {token.symbol} into {MARGIN_KEY}"
        )
    calls: tuple[Call, ...] = (CURIE["deposit"].at(vault, token.address, raw, gas_hint=150_000),)
    if state.funds.allowance_raw < UNLIMITED:
        # exactly, and right before its use: orders of one batch cannot eat each other's allowance
        calls = (ERC20["approve"].at(token.address, vault, raw), *calls)
    balance = Term(vault, CURIE["getBalance"].encode(account), is_signed=True)
    before = rescale_down(state.funds.balance_wad, 18, token.decimals)
    return Order(calls=calls, post=(Check(f"{MARGIN_KEY} balance", (balance,), lower=before + raw),))


def _withdraw(curie: CurieDeployment, state: CurieState, action: RemoveCollateral, account: Address) -> Order:
    token, vault = state.settlement_token, Address(curie.vault)
    raw = rescale_down(action.amount_wad, 18, token.decimals)
    if raw <= 0 or action.amount_wad > state.funds.free_wad:
        raise PlanInfeasible(
            conflicts=f"taking {decimal(action.amount_wad)} {token.symbol} out of {MARGIN_KEY}, "
            f"of which {decimal(state.funds.free_wad)} are free"
        )
    # The contract nets quote over markets before it asks for initial margin: with several markets it would
    # let out so much that the rest is liquidatable. The check does not.
    return Order(
        calls=(CURIE["withdraw"].at(vault, token.address, raw, gas_hint=400_000),),
        post=(margin_check(curie, account, WAD),),
    )
