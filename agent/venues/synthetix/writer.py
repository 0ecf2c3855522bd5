"""An action as the perps market's calls, with the checks that prove it. Pure.

Collateral moves in the transaction that asks for it. A trade does not: the order is committed with the worst
price that is acceptable, a keeper fills it later or nobody does, and the check proves the commitment alone.
"""

from __future__ import annotations

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.values.address import ZERO, Address, MarketId
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, mul_div_down, mul_div_up
from agent.venues.deployments import SynthetixDeployment
from agent.venues.synthetix.fragment import ERC20, SYNTHETIX, USD_ID
from agent.venues.synthetix.margin import SynthetixMargin
from agent.venues.synthetix.state import SynthetixState

UNLIMITED = 2**128  # an allowance as good as without limit
ORDER_SIZE_WORD = 3  # of getOrder's answer: time, market, account, size


def write(synthetix: SynthetixDeployment, state: SynthetixState, action: Action) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market, position or account that is not
    there, PlanInfeasible for an action that cannot be done now.
    """
    if isinstance(action, Trade):
        if not state.margins:
            raise PlanInfeasible(conflicts="trading on synthetix without an account there")
        return _commit(
            synthetix, state, state.margins[0], action.market, action.size_wad, action.limit_price_wad
        )
    if isinstance(action, Reduce):
        margin, leg = state.holding(action.key)
        size_wad = min(action.size_wad, abs(leg.size_wad))
        if size_wad == 0:
            raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
        mark = margin.marks[leg.market]
        if leg.size_wad < 0:  # bought back: the whole price is the cost
            limit = mul_div_down(action.max_cost_wad, WAD, size_wad)
            return _commit(synthetix, state, margin, leg.market, size_wad, limit)
        # a long is sold for no less below its mark than ``max_cost_wad`` stands above it
        limit = max(1, 2 * mark - mul_div_down(action.max_cost_wad, WAD, size_wad))
        return _commit(synthetix, state, margin, leg.market, -size_wad, limit)
    margin = state.margin(action.key)
    _require_free(margin)
    if isinstance(action, AddCollateral):
        return _deposit(synthetix, state, margin, action)
    if isinstance(action, RemoveCollateral):
        return _withdraw(synthetix, margin, action)
    raise VenueUnknown(name=type(action).__name__, known="trades and collateral")


def margin_check(synthetix: SynthetixDeployment, account_id: int, multiple_wad: int) -> Check:
    """That available margin is at least ``multiple_wad`` times what liquidation asks for."""
    perps = Address(synthetix.perps_market)
    available = Term(perps, SYNTHETIX["getAvailableMargin"].encode(account_id), is_signed=True)
    required = Term(
        perps, SYNTHETIX["getRequiredMargins"].encode(account_id), word=1, multiplier_wad=-multiple_wad
    )
    name = f"synthetix:{account_id} at least {decimal(multiple_wad):f} x maintenance"
    return Check(name, (available, required), lower=0)


def _require_free(margin: SynthetixMargin) -> None:
    """The contract moves nothing of an account that is being liquidated or has an order out."""
    if margin.is_flagged:
        raise PlanInfeasible(conflicts=f"{margin.key} is being liquidated")
    if margin.is_pending:
        raise PlanInfeasible(conflicts=f"{margin.key} has an order that waits for a keeper")


def _commit(
    synthetix: SynthetixDeployment,
    state: SynthetixState,
    margin: SynthetixMargin,
    name: MarketId,
    size_wad: int,
    limit_price_wad: int,
) -> Order:
    market = state.market(name)
    _require_free(margin)
    if size_wad == 0 or market.strategy.is_disabled:
        raise PlanInfeasible(conflicts=f"{name} trades {decimal(size_wad)} now: closed or nothing")
    acceptable = _acceptable(state, margin, name, size_wad, limit_price_wad)
    request = (market.id, margin.account_id, size_wad, market.strategy.id, acceptable, bytes(32), ZERO)
    perps = Address(synthetix.perps_market)
    call = SYNTHETIX["commitOrder"].at(perps, request, gas_hint=1_200_000)
    size = Term(perps, SYNTHETIX["getOrder"].encode(margin.account_id), word=ORDER_SIZE_WORD, is_signed=True)
    return Order(
        calls=(call,),
        post=(
            Check(f"{name} order", (size,), lower=size_wad, upper=size_wad),
            margin_check(synthetix, margin.account_id, WAD),
        ),
    )


def _acceptable(
    state: SynthetixState, margin: SynthetixMargin, name: MarketId, size_wad: int, limit_price_wad: int
) -> int:
    """The worst fill price at which the fees are still inside the limit: the contract bounds the fill alone.

    The fee is at most the dearer rate of the notional; the keeper's reward is spread over the size.
    """
    offer = next((item for item in state.commitments if item.market == name and item.account is margin), None)
    if offer is None:
        raise PlanInfeasible(conflicts=f"{name} takes no order of {margin.key} now")
    rate = max(offer.fees.maker, offer.fees.taker)
    reward = mul_div_up(offer.settlement_wad, WAD, abs(size_wad))
    if size_wad > 0:
        worst = mul_div_down(limit_price_wad - reward, WAD, WAD + rate)
    else:
        worst = mul_div_up(limit_price_wad + reward, WAD, WAD - rate)
    if worst <= 0:
        raise PlanInfeasible(
            conflicts=f"{name} at {decimal(limit_price_wad)}: the keeper's reward alone is more"
        )
    return worst


def _deposit(
    synthetix: SynthetixDeployment, state: SynthetixState, margin: SynthetixMargin, action: AddCollateral
) -> Order:
    perps, usd = Address(synthetix.perps_market), state.usd_token
    if action.amount_wad <= 0:
        raise PlanInfeasible(conflicts=f"paying {decimal(action.amount_wad)} {usd.symbol} into {margin.key}")
    modify = SYNTHETIX["modifyCollateral"]
    calls: tuple[Call, ...] = (
        modify.at(perps, margin.account_id, USD_ID, action.amount_wad, gas_hint=600_000),
    )
    if state.allowance_wad < UNLIMITED:
        # exactly, and right before its use: orders of one batch cannot eat each other's allowance
        calls = (ERC20["approve"].at(usd.address, perps, action.amount_wad), *calls)
    posted = Term(perps, SYNTHETIX["getCollateralAmount"].encode(margin.account_id, USD_ID))
    least = margin.usd_wad + action.amount_wad
    return Order(calls=calls, post=(Check(f"{margin.key} balance", (posted,), lower=least),))


def _withdraw(synthetix: SynthetixDeployment, margin: SynthetixMargin, action: RemoveCollateral) -> Order:
    if action.amount_wad <= 0 or action.amount_wad > margin.removable_wad:
        raise PlanInfeasible(
            conflicts=f"taking {decimal(action.amount_wad)} {margin.collateral_token.symbol} out of "
            f"{margin.key}, of which {decimal(margin.removable_wad)} are free"
        )
    call = SYNTHETIX["modifyCollateral"].at(
        Address(synthetix.perps_market), margin.account_id, USD_ID, -action.amount_wad, gas_hint=900_000
    )
    return Order(calls=(call,), post=(margin_check(synthetix, margin.account_id, WAD),))
