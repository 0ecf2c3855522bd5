"""Assessment in, plans out: keep delta inside its band and every margin account above its floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.errors import PlanInfeasible
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade, Urgency
from agent.market.margin import MarginAccount, TradableAccount
from agent.market.offer import Offer
from agent.market.snapshot import Snapshot
from agent.planning.allocation import Fill, allocate
from agent.planning.policy import Policy
from agent.planning.stake import NO_MOVES, Moves, Stake, stake
from agent.planning.treasury import Treasury, any_due, fund
from agent.risk.assessment import Assessment
from agent.values.address import Address, IntentId
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import WAD, decimal, from_float, mul_up, ratio_up, rescale_down

Writer = Callable[[Action], Order]

COMPANY = 2  # a hedge that can ride along with a rescue is due at half the trigger: the block is paid for

_BALANCE_OF = bytes.fromhex("70a08231")  # ERC-20 balanceOf(address)


@dataclass(frozen=True, slots=True)
class Plan:
    """One batch: all of it happens in one transaction or none of it does.

    ``reasons`` say which limit asked for it; ``unmet`` which limits it cannot restore (empty is whole).
    ``delta_after_wad`` per asset and ``cost_wad`` (quote) are what the plan expects. ``pressure_bps`` and
    ``budget_wei`` are those of its `Stake`.
    """

    intent_id: IntentId
    deadline_s: int
    urgency: Urgency
    actions: tuple[Action, ...]
    calls: tuple[Call, ...]
    pre: tuple[Check, ...]
    post: tuple[Check, ...]
    reasons: tuple[str, ...]
    unmet: tuple[str, ...]
    delta_after_wad: Mapping[str, int]
    cost_wad: int
    pressure_bps: int = 0
    budget_wei: int | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    actions: tuple[Action, ...]
    reasons: tuple[str, ...]
    unmet: tuple[str, ...]
    delta_after_wad: Mapping[str, int]
    cost_wad: int
    stake: Stake


def plan(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
    moves: Moves = NO_MOVES,
) -> tuple[Plan, ...]:
    """The plans to try, best first; empty when every limit holds.

    The first does everything that is due. The others are its parts (collateral alone, hedge alone), for
    the case that a venue refuses one leg: a rescue is never lost because a hedge cannot trade, nor the
    other way round. All carry the same intent id, so at most one of them can ever happen.
    Raises PlanInfeasible when a limit is broken and nothing at all can be done about it.
    """
    drafts: list[_Draft] = []
    for with_hedge, with_margin in ((True, True), (False, True), (True, False)):
        draft = _draft(snapshot, assessment, policy, moves, with_hedge, with_margin)
        if draft.actions and all(draft.actions != other.actions for other in drafts):
            drafts.append(draft)
        if with_hedge and with_margin:
            if not draft.actions and draft.unmet:
                raise PlanInfeasible(conflicts="; ".join(draft.unmet))
            if not draft.actions:
                return ()
    return _written(drafts, snapshot, policy, writers, intent_id)


def _written(
    drafts: Sequence[_Draft],
    snapshot: Snapshot,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
) -> tuple[Plan, ...]:
    """The drafts that their venues can write. Raises PlanInfeasible when that is none of them."""
    plans: list[Plan] = []
    refused: list[str] = []
    for draft in drafts:
        try:
            plans.append(_write(draft, snapshot, policy, writers, intent_id))
        except PlanInfeasible as error:
            refused.append(str(error.fields["conflicts"]))
    if not plans:
        raise PlanInfeasible(conflicts="; ".join(dict.fromkeys(refused)))
    return tuple(plans)


def _draft(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    moves: Moves,
    with_hedge: bool,
    with_margin: bool,
) -> _Draft:
    """Decide the actions, in the order they have to happen: take out, close, trade, pay in."""
    treasury = Treasury.of(snapshot, policy)
    deltas = {asset: from_float(greeks.delta) for asset, greeks in assessment.by_asset.items()}
    reasons: list[str] = []
    unmet: list[str] = []

    trades: list[Trade] = []
    accounts: dict[str, MarginAccount] = {account.key: account for account in snapshot.margins}
    cost_wad = 0
    is_urgent = False
    is_due = any_due(accounts, policy)
    if with_hedge:
        for asset, delta_wad in deltas.items():
            trigger_wad = policy.trigger_wad(asset) // (COMPANY if with_margin and is_due else 1)
            if abs(delta_wad) <= max(trigger_wad, policy.min_trade_wad):
                continue
            is_outside = abs(delta_wad) > policy.band_wad(asset)
            fills, unfilled_wad = _hedge(snapshot, policy, treasury, asset, -delta_wad)
            for fill in fills:
                trades.append(_trade(fill, policy, is_urgent=is_outside))
                cost_wad += fill.cost_wad
                deltas[asset] += fill.size_wad
                _apply(accounts, fill, trades[-1])
                treasury = treasury.traded(asset, fill.size_wad, fill.offer.cash_need_wad(fill.size_wad))
            is_urgent = is_urgent or is_outside
            if fills:
                reasons.append(f"net delta {asset} {decimal(delta_wad):.4f} beyond its trigger")
            if abs(unfilled_wad) > policy.band_wad(asset):
                unmet.append(f"delta band {asset}: no venue can trade {decimal(unfilled_wad):.4f} now")

    transfers: tuple[Action, ...] = ()
    if with_margin:
        funding = fund(accounts, snapshot, policy, treasury)
        transfers, unmet_floors = funding.actions, funding.unmet
        reasons += funding.reasons
        unmet += unmet_floors
        for asset, change_wad in funding.delta_change_wad.items():
            deltas[asset] = deltas.get(asset, 0) + change_wad

    at_stake = stake(
        snapshot,
        assessment,
        policy,
        moves,
        saves_margin=any(isinstance(m, (AddCollateral, Reduce)) for m in transfers),
        restores_band=is_urgent,
        about_margin=with_margin,
    )
    out = [m for m in transfers if isinstance(m, (RemoveCollateral, Reduce))]
    into = [m for m in transfers if isinstance(m, AddCollateral)]
    # A hedge may need the margin that is paid in for it, so its venue's top-up goes first.
    hedged = {trade.venue for trade in trades}
    first = [m for m in into if m.venue in hedged]
    last = [m for m in into if m.venue not in hedged]
    return _Draft(
        (*out, *first, *trades, *last), tuple(reasons), tuple(unmet), dict(deltas), cost_wad, at_stake
    )


def _hedge(
    snapshot: Snapshot, policy: Policy, treasury: Treasury, asset: str, size_wad: int
) -> tuple[tuple[Fill, ...], int]:
    offers = [o for state in snapshot.venues for o in state.offers if o.asset == asset]

    def capacity(offer: Offer, sign: int) -> int:
        if offer.cash_token is not None:
            return treasury.spot_capacity_wad(asset, sign, offer.price_wad)
        free = sum(max(0, a.removable_wad) for a in snapshot.margins if a.venue == offer.venue)
        return _margined(offer, sign, abs(size_wad), free + treasury.cash_wad)

    done = allocate(size_wad, offers, float(policy.holding_hours), capacity)
    fills = tuple(f for f in done.fills if abs(f.size_wad) >= policy.min_trade_wad)
    return fills, size_wad - sum(f.size_wad for f in fills)


def _margined(offer: Offer, sign: int, wanted_wad: int, free_wad: int) -> int:
    """The largest size up to ``wanted_wad`` whose margin ``free_wad`` covers.

    A trade that reduces needs next to none and one that turns the position over needs some again, so the
    need is asked for at the real size. It grows with the size from where it starts to grow.
    """
    if offer.margin_need_wad(sign * wanted_wad) <= free_wad:
        return wanted_wad
    low, high = 0, wanted_wad
    while high - low > WAD // 10**6:
        middle = (low + high) // 2
        if offer.margin_need_wad(sign * middle) <= free_wad:
            low = middle
        else:
            high = middle
    return low


def _trade(fill: Fill, policy: Policy, *, is_urgent: bool) -> Trade:
    size, offer = fill.size_wad, fill.offer
    per_unit_wad = ratio_up(offer.cost_wad(size), abs(size))
    average_wad = offer.price_wad + (per_unit_wad if size > 0 else -per_unit_wad)
    return Trade(
        offer.venue, offer.market, size, policy.worse_price_wad(average_wad, size, is_urgent=is_urgent)
    )


def _apply(accounts: dict[str, MarginAccount], fill: Fill, trade: Trade) -> None:
    """Judge the venue's margin account as it will be after the fill, at the limit price."""
    for key, account in accounts.items():
        if (
            account.venue == trade.venue
            and isinstance(account, TradableAccount)
            and fill.offer.market in account.prices
        ):
            accounts[key] = account.traded(trade.market, trade.size_wad, trade.limit_price_wad)


def _write(
    draft: _Draft,
    snapshot: Snapshot,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
) -> Plan:
    orders = [writers[action.venue](action) for action in draft.actions]
    return Plan(
        intent_id=intent_id,
        deadline_s=snapshot.block.timestamp_s + policy.deadline_s,
        urgency=draft.stake.urgency,
        actions=draft.actions,
        calls=tuple(call for order in orders for call in order.calls),
        pre=tuple(check for order in orders for check in order.pre),
        post=(*(check for order in orders for check in order.post), *_wallet_checks(draft, snapshot)),
        reasons=draft.reasons,
        unmet=draft.unmet,
        delta_after_wad=draft.delta_after_wad,
        cost_wad=draft.cost_wad,
        pressure_bps=draft.stake.pressure_bps,
        budget_wei=draft.stake.budget_wei,
    )


def _wallet_checks(draft: _Draft, snapshot: Snapshot) -> tuple[Check, ...]:
    """Of each token the plan moves, the wallet ends with no less than the plan's worst case says."""
    flow: dict[Address, int] = {}
    accounts = {account.key: account for account in snapshot.margins}
    offers = {offer.market: offer for state in snapshot.venues for offer in state.offers}
    quote = next(iter(snapshot.quote_tokens), None)

    def move(token: Address | None, amount_wad: int) -> None:
        if token is not None:
            flow[token] = flow.get(token, 0) + amount_wad

    for action in draft.actions:
        if isinstance(action, AddCollateral):
            move(accounts[action.key].collateral_token.address, -action.amount_wad)
        elif isinstance(action, RemoveCollateral):
            move(accounts[action.key].collateral_token.address, action.amount_wad)
        elif isinstance(action, Reduce):
            move(quote, -action.max_cost_wad)
        elif (cash := offers[action.market].cash_token) is not None:
            move(cash.address, -mul_up(action.size_wad, action.limit_price_wad))
    checks = []
    for amount in snapshot.wallet.balances:
        token = amount.token.address
        if token not in flow:
            continue
        # a unit of the token's last place is left to every rounding on the way
        change = rescale_down(flow[token], 18, amount.token.decimals) - len(draft.actions)
        data = _BALANCE_OF + bytes(12) + bytes.fromhex(snapshot.account[2:])
        lower = max(amount.raw + change, 0)
        checks.append(Check(f"wallet {amount.token.symbol} at least", (Term(token, data),), lower=lower))
    return tuple(checks)
