"""An action as Panoptic's calls, with the checks that prove it. Pure.

Everything an account does to its positions is one ``dispatch``: it names the positions to mint or burn, in
order, and the whole list that is left, which the pool compares with its own hash; it ends with the engine's
solvency check at 1.0667 times the demands. A dispatch has no bound on amounts, only on the tick the price
ends at: the bound on what a trade costs is a check of the vaults' balances after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.pricing.tick import MAX_TICK, MIN_TICK
from agent.values.address import Address
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import (
    decimal,
    mul_div_up,
    mul_up,
    ratio_up,
    rescale_down,
    rescale_up,
    to_float,
)
from agent.venues.deployments import PanopticDeployment, PanopticPool
from agent.venues.panoptic.account import Held
from agent.venues.panoptic.chunk import moved
from agent.venues.panoptic.hedge import BPS, Hedge, tick_limits
from agent.venues.panoptic.ledger import PANOPTIC
from agent.venues.panoptic.offer import NO_SWAP_MODE
from agent.venues.panoptic.reader import ERC20, trackers_of
from agent.venues.panoptic.state import PanopticState, PoolState
from agent.venues.panoptic.token_id import TokenId, count_legs

ASSET = ":asset"  # after a margin account's key: its other collateral
UNLIMITED = 2**128  # an allowance as good as without limit
NO_SPREAD_LIMIT = 2**23 - 1  # an int24; the engine has a bound of its own
USE_PREMIA = True
NO_BUILDER = 0
GAS_DISPATCH, GAS_VAULT = 3_000_000, 1_500_000
TICK = log(1.0001)
DUST = 4  # raw units that shares lose when they are counted
_WITHDRAW = PANOPTIC["withdraw(uint256,address,address,uint256[],bool)"]

Step = tuple[TokenId, int, tuple[int, int]]  # a position, its size (0 burns) and the tick limits


def write(
    panoptic: PanopticDeployment, state: PanopticState, action: Action, account: Address, deadline_s: int
) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for a market, position or account Panoptic does not
    have, PlanInfeasible for an action that cannot be done now.
    """
    if isinstance(action, Trade):
        return _trade(panoptic, state.pool(action.market), action, account, deadline_s)
    if isinstance(action, Reduce):
        pool, held = state.holding(action.key)
        return _reduce(panoptic, pool, held, action, account, deadline_s)
    kind_is_asset = action.key.endswith(ASSET)
    pool = state.pool(action.key.removesuffix(ASSET))
    terms = pool.view.denomination
    kind = terms.asset_kind if kind_is_asset else terms.quote_kind
    if isinstance(action, AddCollateral):
        return _deposit(panoptic, pool, kind, action, account, deadline_s)
    return _withdraw(panoptic, pool, kind, action, account)


def dispatch(panoptic: PanopticDeployment, pool: PoolState, account: Address, steps: Sequence[Step]) -> Order:
    """Mint and burn in this order; falling tick limits swap what is left over. Checks the count of legs."""
    if pool.view.safe_mode >= NO_SWAP_MODE and any(low > high for _, _, (low, high) in steps):
        raise PlanInfeasible(conflicts=f"{pool.key} is in safe mode and swaps nothing in a mint")
    left = dict.fromkeys(held.number for held in pool.account.held)
    for token_id, size, _ in steps:
        if size == 0:
            left.pop(token_id.number, None)
        else:
            left[token_id.validate().number] = None
    legs = sum(count_legs(number) for number in left)
    if legs > pool.view.rules.legs_most:
        raise PlanInfeasible(conflicts=f"{pool.key} takes {pool.view.rules.legs_most} legs, not {legs}")
    address = Address(_record(panoptic, pool).address)
    call = PANOPTIC["dispatch"].at(
        address,
        tuple(token_id.number for token_id, _, _ in steps),
        tuple(left),
        tuple(size for _, size, _ in steps),
        tuple((low, high, NO_SPREAD_LIMIT) for _, _, (low, high) in steps),
        USE_PREMIA,
        NO_BUILDER,
        gas_hint=GAS_DISPATCH,
    )
    count = Term(address, PANOPTIC["numberOfLegs"].encode(account))
    return Order(calls=(call,), post=(Check(f"{pool.key} legs", (count,), lower=legs, upper=legs),))


def _trade(
    panoptic: PanopticDeployment, pool: PoolState, action: Trade, account: Address, deadline_s: int
) -> Order:
    done, terms = pool.offer.hedge(action.size_wad), pool.view.denomination
    if not done.positions or done.unfilled:
        raise PlanInfeasible(conflicts=f"{pool.key} cannot trade {decimal(action.size_wad)}")
    far = _slack_ticks(done, pool, action)
    wide = _around(pool, pool.view.rules.ticks_most)
    low, high = tick_limits(pool.view, done, far)
    limits = [wide] * (len(done.positions) - 1) + [(high, low)]
    steps = [(token_id, size, limit) for (token_id, size), limit in zip(done.positions, limits, strict=True)]
    order = dispatch(panoptic, pool, account, steps)
    fee_bps = pool.view.rules.fee_bps
    if action.size_wad > 0:
        # exactly so much quote is borrowed and spent: the bound is on the asset that comes
        paid = -done.quote + mul_div_up(-done.quote, fee_bps, BPS)
        paid_wad = rescale_up(paid, terms.quote_token.decimals, 18)
        least = rescale_up(ratio_up(paid_wad, action.limit_price_wad), 18, terms.asset_token.decimals)
        kind, gain = terms.asset_kind, least
    else:
        sold_wad = rescale_up(-done.asset, terms.asset_token.decimals, 18)
        fee_raw = mul_div_up(-done.asset, fee_bps, BPS)
        fee_wad = mul_up(rescale_up(fee_raw, terms.asset_token.decimals, 18), pool.view.price_wad)
        least_wad = mul_up(sold_wad, action.limit_price_wad) + fee_wad
        kind, gain = terms.quote_kind, rescale_up(least_wad, 18, terms.quote_token.decimals)
    return Order(order.calls, post=(*order.post, _gained(panoptic, pool, account, kind, gain, deadline_s)))


def _slack_ticks(done: Hedge, pool: PoolState, action: Trade) -> int:
    """How many ticks worse than now the limit price is."""
    terms = pool.view.denomination
    quote_wad = rescale_up(abs(done.quote), terms.quote_token.decimals, 18)
    asset_wad = rescale_up(abs(done.asset), terms.asset_token.decimals, 18)
    average, limit = to_float(quote_wad) / to_float(asset_wad), to_float(action.limit_price_wad)
    if limit <= 0:
        return pool.view.rules.ticks_most
    worse = log(limit / average) / TICK * (1 if action.size_wad > 0 else -1)
    return max(0, min(int(worse) + 1, pool.view.rules.ticks_most))


def _around(pool: PoolState, ticks: int) -> tuple[int, int]:
    tick = pool.view.pool.tick
    return max(MIN_TICK, tick - ticks), min(MAX_TICK, tick + ticks)


def _gained(
    panoptic: PanopticDeployment, pool: PoolState, account: Address, kind: int, gain: int, deadline_s: int
) -> Check:
    """That a vault holds at least so much more for the account than now, less what interest may take until
    then.
    """
    stake, terms = pool.account.stakes[kind], pool.view.denomination
    owed = stake.interest(max(deadline_s, pool.at_s))
    held = Term(trackers_of(_record(panoptic, pool))[kind], PANOPTIC["assetsOf"].encode(account))
    return Check(
        f"{pool.key} {terms.tokens[kind].symbol}", (held,), lower=max(0, stake.assets + gain - owed - DUST)
    )


def _reduce(
    panoptic: PanopticDeployment,
    pool: PoolState,
    held: Held,
    action: Reduce,
    account: Address,
    deadline_s: int,
) -> Order:
    """Burn the position, and mint what is to stay of it again: the contract knows no partial burn. Nothing is
    swapped; a token that is owed and not there makes the contract refuse. ``max_cost_wad`` bounds the minting
    fee, and how far the price may have moved: at a given price what comes back is the position's worth.
    """
    size = min(pool.contracts(held, action.size_wad), held.size)
    if size <= 0:
        raise PlanInfeasible(conflicts=f"{action.key} holds nothing to reduce")
    left, view = held.size - size, pool.view
    fee_wad = _fee_wad(pool, held, left)
    if fee_wad > action.max_cost_wad:
        raise PlanInfeasible(
            conflicts=f"keeping {left} contracts of {action.key} costs {decimal(fee_wad):f}, above the limit"
        )
    del deadline_s
    limits = _around(pool, view.rules.ticks_most)
    steps: list[Step] = [(held.token_id, 0, limits)]
    if left:
        steps.append((held.token_id, left, limits))
    return dispatch(panoptic, pool, account, steps)


def _fee_wad(pool: PoolState, held: Held, size: int) -> int:
    """The fee on minting ``size`` contracts of it again, in quote, rounded up."""
    if size == 0:
        return 0
    view, fees = pool.view, [0, 0]
    for leg in held.token_id.legs:
        amount = moved(leg, held.token_id.pool.spacing, size, is_opening=True)
        fees[leg.token_type] += mul_div_up(amount, view.rules.fee_bps, BPS)
    raw = view.denomination.to_quote((fees[0], fees[1]), view.pool.sqrt_x96) + 1
    return rescale_up(raw, view.denomination.quote_token.decimals, 18)


def _deposit(
    panoptic: PanopticDeployment,
    pool: PoolState,
    kind: int,
    action: AddCollateral,
    account: Address,
    deadline_s: int,
) -> Order:
    token, tracker = pool.view.denomination.tokens[kind], trackers_of(_record(panoptic, pool))[kind]
    raw = rescale_up(action.amount_wad, 18, token.decimals)
    if raw <= 0:
        raise PlanInfeasible(
            conflicts=f"paying {decimal(action.amount_wad)} {token.symbol} into {action.key}"
        )
    calls: tuple[Call, ...] = (PANOPTIC["deposit"].at(tracker, raw, account, gas_hint=GAS_VAULT),)
    if pool.allowances[kind] < UNLIMITED:
        # exactly, and right before its use: orders of one batch cannot eat each other's allowance
        calls = (ERC20["approve"].at(token.address, tracker, raw), *calls)
    return Order(calls, post=(_gained(panoptic, pool, account, kind, raw, deadline_s),))


def _withdraw(
    panoptic: PanopticDeployment, pool: PoolState, kind: int, action: RemoveCollateral, account: Address
) -> Order:
    """The contract itself proves that the account stays solvent with its buffer: it wants the whole list."""
    token, tracker = pool.view.denomination.tokens[kind], trackers_of(_record(panoptic, pool))[kind]
    raw = rescale_down(action.amount_wad, 18, token.decimals)
    held = pool.account.stakes[kind].assets
    if raw <= 0 or raw > held:
        raise PlanInfeasible(
            conflicts=f"taking {decimal(action.amount_wad)} {token.symbol} out of {action.key}, which holds "
            f"{decimal(held, token.decimals)}"
        )
    if kind == pool.view.denomination.quote_kind and action.amount_wad > pool.margin.removable_wad:
        raise PlanInfeasible(
            conflicts=f"taking {decimal(action.amount_wad)} {token.symbol} out of {action.key}, of which "
            f"{decimal(pool.margin.removable_wad)} are free"
        )
    ids = tuple(one.number for one in pool.account.held)
    call = _WITHDRAW.at(tracker, raw, account, account, ids, USE_PREMIA, gas_hint=GAS_VAULT)
    count = Term(Address(_record(panoptic, pool).address), PANOPTIC["numberOfLegs"].encode(account))
    legs = sum(len(one.token_id.legs) for one in pool.account.held)
    return Order((call,), post=(Check(f"{pool.key} legs", (count,), lower=legs, upper=legs),))


def _record(panoptic: PanopticDeployment, pool: PoolState) -> PanopticPool:
    """The pool's entry in the deployment file. Raises VenueUnknown."""
    for record in panoptic.pools:
        if pool.key == f"panoptic:{record.address}":
            return record
    raise VenueUnknown(name=pool.key, known=", ".join(record.address for record in panoptic.pools))
