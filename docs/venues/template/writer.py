"""An action as the contract's calls, with the checks that prove it. Pure."""

from __future__ import annotations

from agent.venues.example.deployment import ExampleDeployment
from agent.venues.example.fragment import ERC20, EXAMPLE
from agent.venues.example.state import ExampleState

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.values.address import Address
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, mul_div_down, mul_up, rescale_down, rescale_up

COLLATERAL_WORD, SIZE_WORD = 0, 1  # of accounts()
UNLIMITED = 2**128  # an allowance as good as without limit


def write(example: ExampleDeployment, state: ExampleState, action: Action, account: Address) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for what the venue does not have, PlanInfeasible
    for what cannot be done now.
    """
    margin = state.margin
    known = action.market if isinstance(action, Trade) else action.key
    if known != margin.market:
        raise VenueUnknown(name=known, known=margin.market)
    if isinstance(action, Trade):
        return _trade(example, state, action.size_wad, action.limit_price_wad, account)
    if isinstance(action, Reduce):
        size_wad = min(action.size_wad, abs(margin.size))
        if size_wad == 0:
            raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
        if margin.size < 0:  # bought back: the whole price is the cost
            limit = mul_div_down(action.max_cost_wad, WAD, size_wad)
            return _trade(example, state, size_wad, limit, account)
        # a long is sold for no less below its mark than ``max_cost_wad`` stands above it
        least = 2 * mul_up(size_wad, margin.price_wad) - action.max_cost_wad
        return _trade(example, state, -size_wad, max(1, mul_div_down(least, WAD, size_wad)), account)
    if isinstance(action, AddCollateral):
        return _deposit(example, state, action.amount_wad, account)
    return _withdraw(example, state, action, account)


def _trade(
    example: ExampleDeployment, state: ExampleState, size_wad: int, limit_wad: int, account: Address
) -> Order:
    offer = state.offers[0]
    most = offer.max_buy_wad if size_wad > 0 else offer.max_sell_wad
    if size_wad == 0 or abs(size_wad) > most:
        raise PlanInfeasible(conflicts=f"{offer.market} trades {decimal(size_wad)} now, of {decimal(most)}")
    call = EXAMPLE["trade"].at(Address(example.perps), size_wad, limit_wad, gas_hint=150_000)
    after = state.margin.size + size_wad
    return Order(
        (call,), post=(_word(example, account, SIZE_WORD, "size", after, after), _margin(example, account))
    )


def _deposit(example: ExampleDeployment, state: ExampleState, amount_wad: int, account: Address) -> Order:
    token, perps = state.margin.collateral_token, Address(example.perps)
    raw = rescale_up(amount_wad, 18, token.decimals)
    if raw <= 0:
        raise PlanInfeasible(conflicts=f"paying {decimal(amount_wad)} {token.symbol} into {state.margin.key}")
    calls: tuple[Call, ...] = (EXAMPLE["deposit"].at(perps, raw, gas_hint=100_000),)
    if state.allowance_raw < UNLIMITED:
        # exactly, and right before its use: orders of one batch cannot eat each other's allowance
        calls = (ERC20["approve"].at(token.address, perps, raw), *calls)
    least = state.margin.collateral_wad + rescale_down(raw, token.decimals, 18)
    return Order(calls, post=(_word(example, account, COLLATERAL_WORD, "collateral", least),))


def _withdraw(
    example: ExampleDeployment, state: ExampleState, action: RemoveCollateral, account: Address
) -> Order:
    margin = state.margin
    raw = rescale_down(action.amount_wad, 18, margin.collateral_token.decimals)
    if raw <= 0 or action.amount_wad > margin.removable_wad:
        raise PlanInfeasible(
            conflicts=f"taking {decimal(action.amount_wad)} out of {margin.key}, of which "
            f"{decimal(margin.removable_wad)} are free"
        )
    call = EXAMPLE["withdraw"].at(Address(example.perps), raw, gas_hint=100_000)
    return Order((call,), post=(_margin(example, account),))


def _word(
    example: ExampleDeployment, account: Address, word: int, name: str, lower: int, upper: int = 2**255 - 1
) -> Check:
    term = Term(Address(example.perps), EXAMPLE["accounts"].encode(account), word, is_signed=True)
    return Check(f"example {name}", (term,), lower=lower, upper=upper)


def _margin(example: ExampleDeployment, account: Address) -> Check:
    """That nothing could be liquidated afterwards."""
    perps = Address(example.perps)
    equity = Term(perps, EXAMPLE["equityOf"].encode(account), is_signed=True)
    needed = Term(perps, EXAMPLE["requirementOf"].encode(account), is_signed=True, multiplier_wad=-WAD)
    return Check("example margin", (equity, needed), lower=0)
