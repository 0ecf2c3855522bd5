"""An action as Uniswap's calls, with the checks that prove it. Pure.

A trade moves exactly its size of the asset and bounds the quote, fees in; the router reverts on anything
else. It carries no check of the wallet, because other legs of the same batch move the same tokens.
"""

from __future__ import annotations

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, Order, Reduce, Trade
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, mul_down, mul_up, rescale_down, rescale_up
from agent.venues.deployments import UniswapDeployment
from agent.venues.uniswap.reader import ERC20, MANAGER_POSITION, UNISWAP
from agent.venues.uniswap.state import UniswapState

UNLIMITED = 2**128  # an allowance as good as without limit
EVERYTHING = 2**128 - 1  # NonfungiblePositionManager.collect: all that is owed
LIQUIDITY_WORD, OWED_WORDS = 7, (10, 11)  # of NonfungiblePositionManager.positions
NO_PRICE_LIMIT = 0  # a limit would fill in part instead of failing


def write(
    uniswap: UniswapDeployment, state: UniswapState, action: Action, account: Address, deadline_s: int
) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market, position or action Uniswap does not
    have, PlanInfeasible for one that cannot be done now.
    """
    if isinstance(action, Trade):
        return _trade(uniswap, state, action, account, deadline_s)
    if isinstance(action, Reduce):
        return _reduce(uniswap, state, action, account, deadline_s)
    raise VenueUnknown(name=f"uniswap for a {type(action).__name__}", known="Trade, Reduce")


def _trade(
    uniswap: UniswapDeployment, state: UniswapState, action: Trade, account: Address, deadline_s: int
) -> Order:
    view = state.pool(action.market)
    terms, router = view.terms, Address(uniswap.swap_router)
    asset, quote = terms.asset_token, terms.quote_token
    size_raw = view.offer.raw_size(action.size_wad)
    if size_raw == 0:
        raise PlanInfeasible(conflicts=f"{terms.market} cannot trade {decimal(action.size_wad)}")
    # valued at what is really traded, in whole units of the token, so that the price is never worse
    size_wad = rescale_down(size_raw, asset.decimals, 18)
    if action.size_wad > 0:
        most = rescale_down(mul_down(size_wad, action.limit_price_wad), 18, quote.decimals)
        swap = UNISWAP["exactOutputSingle"].at(
            router,
            (
                quote.address,
                asset.address,
                terms.fee_ppm,
                account,
                deadline_s,
                size_raw,
                most,
                NO_PRICE_LIMIT,
            ),
            gas_hint=300_000,
        )
        return Order(_allowed(router, quote, most, view.quote_allowance_raw, swap))
    least = rescale_up(mul_up(size_wad, action.limit_price_wad), 18, quote.decimals)
    swap = UNISWAP["exactInputSingle"].at(
        router,
        (asset.address, quote.address, terms.fee_ppm, account, deadline_s, size_raw, least, NO_PRICE_LIMIT),
        gas_hint=300_000,
    )
    return Order(_allowed(router, asset, size_raw, view.asset_allowance_raw, swap))


def _allowed(router: Address, token: Token, raw: int, allowed_raw: int, swap: Call) -> tuple[Call, ...]:
    """The swap, with the router allowed exactly what it may take, and nothing left of that afterwards.

    Some tokens take a new allowance only when the old one is zero.
    """
    if allowed_raw >= UNLIMITED:
        return (swap,)
    approve, none = ERC20["approve"], ERC20["approve"].at(token.address, router, 0)
    before = (none,) if allowed_raw else ()
    return (*before, approve.at(token.address, router, raw), swap, none)


def _reduce(
    uniswap: UniswapDeployment, state: UniswapState, action: Reduce, account: Address, deadline_s: int
) -> Order:
    """Take ``size_wad`` of liquidity out, and collect it with all fees.

    At a given price what comes out is worth least when the pool stands there, so others cannot cheapen it;
    they can only change the mix. Of neither token may ``max_cost_wad``'s worth be missing.
    """
    holding, manager = state.holding(action.key), Address(uniswap.position_manager)
    terms, held = holding.view.terms, holding.range
    liquidity = min(action.size_wad, held.liquidity)
    if liquidity <= 0:
        raise PlanInfeasible(conflicts=f"{holding.key} holds nothing to reduce")
    slack_quote = rescale_up(action.max_cost_wad, 18, terms.quote_token.decimals)
    slack_asset_wad = -(-action.max_cost_wad * WAD // max(1, holding.view.price_wad))
    slack_asset = rescale_up(slack_asset_wad, 18, terms.asset_token.decimals)
    asset, quote = terms.in_order(
        *type(held)(held.lower_tick, held.upper_tick, liquidity).amounts(holding.view.pool.sqrt_x96)
    )
    least = terms.in_order(max(0, asset - slack_asset), max(0, quote - slack_quote))
    take = UNISWAP["decreaseLiquidity"].at(
        manager, (holding.token_id, liquidity, *least, deadline_s), gas_hint=300_000
    )
    collect = UNISWAP["collect"].at(
        manager, (holding.token_id, account, EVERYTHING, EVERYTHING), gas_hint=300_000
    )
    data, left = MANAGER_POSITION.encode(holding.token_id), held.liquidity - liquidity
    return Order(
        calls=(take, collect),
        post=(
            Check(f"{holding.key} liquidity", (Term(manager, data, LIQUIDITY_WORD),), lower=left, upper=left),
            Check(
                f"{holding.key} is owed nothing",
                tuple(Term(manager, data, word) for word in OWED_WORDS),
                lower=0,
                upper=0,
            ),
        ),
    )
