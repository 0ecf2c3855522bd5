"""An action on an option as Lyra's calls, with the checks that prove it. Pure.

- Collateral goes in by ``addCollateral``. The contract takes it even for a board that has expired and can
  neither be liquidated nor saved, so every order first proves the clock and the position.
- It comes out by ``openPosition`` of nothing with a lower collateral: the contract's way to adjust.
- A close is an ordinary one where the pricer allows it, else a forced one, which costs more volatility. A
  partial close keeps the collateral that is posted and is paid from the wallet; a full one returns it.
"""

from __future__ import annotations

from agent.errors import PlanInfeasible, VenueUnknown
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Call
from agent.values.check import INT256_MAX, Check, Term
from agent.values.fixed import WAD, decimal, mul_down, ratio_down
from agent.venues.deployments import LyraDeployment
from agent.venues.lyra.fragment import ERC20, LYRA
from agent.venues.lyra.holding import Holding
from agent.venues.lyra.premium import call_delta, curve
from agent.venues.lyra.state import LyraState

_ACTIVE, _CLOSED = 1, 2  # OptionToken.PositionState
_AMOUNT_WORD, _COLLATERAL_WORD = 3, 4  # of OptionToken.getOptionPosition
_BLOCK_TIME = Term(ZERO, b"", word=0)  # the executor answers for the zero address itself
_ENOUGH_ALLOWANCE = 2**128  # as good as without limit


def write(lyra: LyraDeployment, state: LyraState, action: Action) -> Order:
    """Calls and checks of one action. Raises VenueUnknown for an action or position Lyra does not have,
    PlanInfeasible for one that cannot be done now.
    """
    if not isinstance(action, (AddCollateral, RemoveCollateral, Reduce)):
        raise VenueUnknown(
            name=f"lyra for a {type(action).__name__}", known="AddCollateral, RemoveCollateral, Reduce"
        )
    holding = state.holding(action.key)
    _require_live(state, holding)
    token = Address(lyra.option_token)
    pre = (
        Check(
            f"{holding.key} is active",
            (Term(token, LYRA["getPositionState"].encode(holding.position_id)),),
            lower=_ACTIVE,
            upper=_ACTIVE,
        ),
        Check(f"{holding.key} has not expired", (_BLOCK_TIME,), upper=holding.expiry_s - 1),
    )
    if isinstance(action, AddCollateral):
        calls, post = _add(lyra, state, holding, action.amount_wad)
    elif isinstance(action, RemoveCollateral):
        calls, post = _remove(lyra, state, holding, action.amount_wad)
    else:
        calls, post = _reduce(lyra, state, holding, action)
    return Order(calls, pre, post)


def _require_live(state: LyraState, holding: Holding) -> None:
    if not holding.is_live(state.standing.at_s):
        raise PlanInfeasible(conflicts=f"{holding.key} expired at {holding.expiry_s} and can only be settled")


def _add(
    lyra: LyraDeployment, state: LyraState, holding: Holding, amount_wad: int
) -> tuple[tuple[Call, ...], tuple[Check, ...]]:
    market = Address(lyra.option_market)
    _require_short(holding)
    call = Call(
        market,
        LYRA["addCollateral"].encode(holding.position_id, amount_wad),
        label="lyra.addCollateral",
        gas_hint=150_000,
    )
    paid_in = state.standing.collateral_token(holding.option_type)
    check = _word_check(lyra, holding, "collateral", lower=holding.collateral_wad + amount_wad)
    return (*_approval(state, paid_in, market, amount_wad), call), (check,)


def _remove(
    lyra: LyraDeployment, state: LyraState, holding: Holding, amount_wad: int
) -> tuple[tuple[Call, ...], tuple[Check, ...]]:
    _require_short(holding)
    left_wad = holding.collateral_wad - amount_wad
    if left_wad < 0 or state.standing.is_paused:
        why = (
            "while Lyra is paused"
            if state.standing.is_paused
            else f"of {decimal(holding.collateral_wad):.4f}"
        )
        raise PlanInfeasible(conflicts=f"{holding.key} cannot give {decimal(amount_wad):.4f} {why}")
    call = _trade(lyra, "openPosition", holding, 0, left_wad, (0, 0))
    return (call,), (_word_check(lyra, holding, "collateral", lower=left_wad, upper=left_wad),)


def _reduce(
    lyra: LyraDeployment, state: LyraState, holding: Holding, action: Reduce
) -> tuple[tuple[Call, ...], tuple[Check, ...]]:
    size_wad = min(action.size_wad, holding.amount_wad)
    left_wad = holding.amount_wad - size_wad
    cost_wad = action.max_cost_wad
    bounds = (0, cost_wad)
    approval: tuple[Call, ...] = ()
    if holding.option_type.is_short:
        # also where the collateral pays: if it falls short, the wallet owes the rest
        market = Address(lyra.option_market)
        approval = _approval(state, state.standing.quote_token, market, cost_wad)
    else:
        bounds = (_least_proceeds_wad(state, holding, size_wad, cost_wad), 2**256 - 1)
    kept_wad = holding.collateral_wad if left_wad > 0 and holding.option_type.is_short else 0
    call = _trade(lyra, closing(state, holding, size_wad), holding, size_wad, kept_wad, bounds)
    checks = [_word_check(lyra, holding, "amount", lower=left_wad, upper=left_wad)]
    if left_wad == 0:
        closed = Term(Address(lyra.option_token), LYRA["getPositionState"].encode(holding.position_id))
        checks.append(Check(f"{holding.key} is closed", (closed,), lower=_CLOSED, upper=_CLOSED))
    return (*approval, call), tuple(checks)


def closing(state: LyraState, holding: Holding, size_wad: int) -> str:
    """``closePosition`` where the pricer takes an ordinary trade of this size, else ``forceClosePosition``.

    As OptionMarketPricer.updateCacheAndGetTradeResult decides, at the snapshot's price and time.
    """
    terms, market = state.standing.trade_terms, state.standing
    time_s = holding.expiry_s - market.at_s
    if time_s < terms.cutoff_s:
        return "forceClosePosition"
    sign = 1 if holding.option_type.is_short else -1  # closing a short buys
    move_wad = sign * (ratio_down(size_wad, terms.standard_size_wad) // 100)
    base_iv_wad = holding.base_iv_wad + move_wad
    skew_wad = holding.skew_wad + sign * mul_down(abs(move_wad), terms.skew_factor_wad)
    vol_wad = mul_down(base_iv_wad, skew_wad)
    bounds = (
        (base_iv_wad, terms.base_iv_wad),
        (skew_wad, terms.skew_wad),
        (vol_wad, terms.vol_wad),
    )
    in_bounds = all(v <= high if sign > 0 else v >= low for v, (low, high) in bounds)
    option = curve(holding.strike_wad, time_s, vol_wad, market.collateral_terms.rate_wad)
    delta_wad = call_delta(option, market.spot_wad)
    if in_bounds and terms.min_delta_wad <= delta_wad <= WAD - terms.min_delta_wad:
        return "closePosition"
    return "forceClosePosition"


def _least_proceeds_wad(state: LyraState, holding: Holding, size_wad: int, cost_wad: int) -> int:
    """A long is sold for no less below its mark than ``cost_wad`` stands above it."""
    mark_wad = next(p.mark_wad for p in state.positions if p.key == holding.key)
    return max(0, 2 * mul_down(size_wad, mark_wad) - cost_wad)


def _require_short(holding: Holding) -> None:
    if not holding.option_type.is_short:
        raise VenueUnknown(name=f"{holding.key} as a margin account", known="short options")


def _trade(
    lyra: LyraDeployment,
    function: str,
    holding: Holding,
    amount_wad: int,
    collateral_wad: int,
    cost_bounds_wad: tuple[int, int],
) -> Call:
    parameters = (
        holding.strike_id,
        holding.position_id,
        1,  # iterations
        int(holding.option_type),
        amount_wad,
        collateral_wad,
        *cost_bounds_wad,
    )
    return Call(
        Address(lyra.option_market),
        LYRA[function].encode(parameters),
        label=f"lyra.{function}",
        gas_hint=1_500_000 if amount_wad else 400_000,
    )


def _approval(state: LyraState, token: Token, spender: Address, amount_wad: int) -> tuple[Call, ...]:
    """Let the market take exactly this much, unless it may take anything already.

    Exactly, and right before its use: then several orders of one batch cannot eat each other's allowance.
    """
    market = state.standing
    is_quote = token == market.quote_token
    allowed_wad = market.quote_allowance_wad if is_quote else market.base_allowance_wad
    if amount_wad == 0 or allowed_wad >= _ENOUGH_ALLOWANCE:
        return ()
    return (Call(token.address, ERC20["approve"].encode(spender, amount_wad), label="lyra.approve"),)


def _word_check(
    lyra: LyraDeployment, holding: Holding, field: str, *, lower: int, upper: int = INT256_MAX
) -> Check:
    word = _AMOUNT_WORD if field == "amount" else _COLLATERAL_WORD
    data = LYRA["getOptionPosition"].encode(holding.position_id)
    return Check(
        f"{holding.key} {field}", (Term(Address(lyra.option_token), data, word),), lower=lower, upper=upper
    )
