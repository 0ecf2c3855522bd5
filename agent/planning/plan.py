"""Assessment in, plans out: keep delta inside its band and every margin account above its floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.errors import PlanInfeasible
from agent.market.intent import (
    Action,
    AddCollateral,
    Order,
    Reduce,
    RemoveCollateral,
    Step,
    TakeBack,
    Trade,
    Urgency,
)
from agent.market.request import Request
from agent.market.snapshot import Snapshot
from agent.planning.allocator import Clock, Found, Watch, explain, find
from agent.planning.ask import Ask, ask, curves_of, needy_accounts
from agent.planning.carry import Expected
from agent.planning.curve import Curves
from agent.planning.decision import Decision
from agent.planning.greedy import decide
from agent.planning.optimum import Trouble
from agent.planning.pending import (
    NOTHING,
    UNTIL_FILLED,
    Exposure,
    Pending,
    exposures,
    is_keeper,
    is_overdue,
    leg_exposure,
    naked_usd_s,
)
from agent.planning.policy import Policy
from agent.planning.stake import NO_MOVES, Moves, Stake, band_bps, stake
from agent.planning.swift import swift
from agent.risk.assessment import Assessment
from agent.values.address import Address, IntentId, MarketId
from agent.values.call import Call
from agent.values.check import Check, Term
from agent.values.fixed import mul_up, rescale_down

Writer = Callable[[Action], Order]

_BALANCE_OF = bytes.fromhex("70a08231")  # ERC-20 balanceOf(address)


@dataclass(frozen=True, slots=True)
class Plan:
    """One batch: all of it happens in one transaction or none of it does; of a leg that a keeper fills, the
    asking.

    ``reasons`` say which limit asked for it; ``unmet`` which limits it cannot restore (empty is whole).
    ``delta_after_wad`` per asset and ``cost_wad`` (quote) are what the plan expects. ``pressure_bps`` and
    ``budget_wei`` are those of its `Stake`. ``delta_after_wad`` counts what keepers are asked for as filled,
    ``delta_until_wad`` as not filled. ``naked``: what waits for keepers after it, requests of before
    included; ``naked_limit_usd_s`` bounds it.
    """

    intent_id: IntentId
    deadline_s: int
    urgency: Urgency
    actions: tuple[Step, ...]
    calls: tuple[Call, ...]
    pre: tuple[Check, ...]
    post: tuple[Check, ...]
    reasons: tuple[str, ...]
    unmet: tuple[str, ...]
    delta_after_wad: Mapping[str, int]
    cost_wad: int
    pressure_bps: int = 0
    budget_wei: int | None = None
    delta_until_wad: Mapping[str, int] = field(default_factory=dict)
    naked: tuple[Exposure, ...] = ()
    naked_limit_usd_s: int = 0

    @property
    def naked_usd_s(self) -> int:
        """The worst case of what stays unhedged while keepers are waited for: quote x seconds."""
        return naked_usd_s(self.naked)


@dataclass(frozen=True, slots=True)
class _Draft:
    actions: tuple[Action, ...]
    reasons: tuple[str, ...]
    unmet: tuple[str, ...]
    delta_after_wad: Mapping[str, int]
    cost_wad: int
    stake: Stake
    delta_until_wad: Mapping[str, int]
    pending: Pending
    taken: tuple[tuple[Request, Order], ...] = ()


def _no_time() -> float:
    return 0.0


def plan(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
    moves: Moves = NO_MOVES,
    carry: Expected | None = None,
    clock: Clock = _no_time,
    pending: Pending = NOTHING,
) -> tuple[Plan, ...]:
    """The plans to try, best first; empty when every limit holds.

    The first does everything that is due. The others are the same without asking any keeper, and its parts
    (collateral alone, hedge alone), for the case that a venue refuses one leg: a rescue is never lost because
    a hedge cannot trade, nor the other way round. All carry the same intent id, so at most one of them can
    ever happen.
    ``carry`` is what holding is expected to cost (`CarryTrail`), the present funding without it. ``clock``
    bounds the search by ``policy.solver_ms``; without one only each of its steps is bounded.
    ``pending`` is what was asked of keepers before. A plan that trades takes back what is to be taken back in
    the same transaction: if a keeper fills it first, nothing of the plan happens.
    Raises PlanInfeasible when a limit is broken and nothing at all can be done about it, unless it is only
    waited for a keeper.
    """
    curves = curves_of(policy, carry)
    quick = swift(snapshot, assessment, policy, curves, moves, pending)
    if quick is not None:
        found = _swift_draft(quick, assessment)
        return _written([found], snapshot, policy, writers, intent_id) if found.actions else ()
    return search(snapshot, assessment, policy, writers, intent_id, moves, curves, clock, pending)


def search(
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
    moves: Moves,
    curves: Curves,
    clock: Clock,
    pending: Pending = NOTHING,
) -> tuple[Plan, ...]:
    """As `plan`, the whole search whatever the case."""
    watch = Watch(policy.solver_ms / 1000, clock)
    needy = needy_accounts(snapshot, policy, curves, pending)

    def draft(
        *, with_hedge: bool, with_margin: bool, is_firm: bool = False
    ) -> tuple[_Draft, Decision, Found | Trouble]:
        question = ask(
            snapshot,
            assessment,
            policy,
            curves,
            needy,
            replace(pending, resting=_late_markets(snapshot)) if is_firm else pending,
            with_hedge=with_hedge,
            with_margin=with_margin,
        )
        return _draft(question, moves, watch)

    whole, made, found = draft(with_hedge=True, with_margin=True)
    whole = replace(whole, taken=pending.taken)
    drafts = [whole] if whole.actions or whole.taken else []
    if _asks(whole, snapshot):
        firm = draft(with_hedge=True, with_margin=True, is_firm=True)[0]
        if firm.actions and firm.actions != whole.actions:
            drafts.append(replace(firm, taken=pending.taken))
    if made.trades and made.moves:  # else it is all of one part
        for with_hedge in (False, True):
            part = draft(with_hedge=with_hedge, with_margin=not with_hedge)[0]
            part = replace(part, taken=pending.taken if with_hedge else ())
            if part.actions and all(part.actions != other.actions for other in drafts):
                drafts.append(part)
    if whole.unmet and isinstance(found, Found):
        whole = replace(whole, unmet=explain(found, watch))
        drafts[:1] = [whole] if whole.actions or whole.taken else []
    drafts += [replace(one, taken=()) for one in drafts if _may_leave(one, snapshot, policy)]
    unmet = [name for name in whole.unmet if not (pending.requests and UNTIL_FILLED in name)]
    if not drafts and unmet:
        raise PlanInfeasible(conflicts="; ".join(unmet))
    return _written(drafts, snapshot, policy, writers, intent_id) if drafts else ()


def _swift_draft(made: Decision, assessment: Assessment) -> _Draft:
    """Nobody is near to liquidation, or it would not be swift: only the band can press."""
    urgency = Urgency.RESCUE if made.is_urgent else Urgency.NORMAL
    at_stake = Stake(urgency, band_bps(assessment) if made.is_urgent else 0)
    return _Draft(
        made.actions,
        made.reasons,
        (),
        dict(made.deltas_wad),
        made.cost_wad,
        at_stake,
        dict(made.deltas_wad),
        NOTHING,
    )


def _late_markets(snapshot: Snapshot) -> frozenset[MarketId]:
    return frozenset(o.market for state in snapshot.venues for o in state.offers if is_keeper(o))


def _asks(draft: _Draft, snapshot: Snapshot) -> bool:
    """Whether any leg waits for a keeper."""
    late = _late_markets(snapshot)
    return any(isinstance(action, Trade) and action.market in late for action in draft.actions)


def _may_leave(draft: _Draft, snapshot: Snapshot, policy: Policy) -> bool:
    """Whether it may be done although what it takes back cannot be taken back: where it does not trade, or
    where that has waited for longer than anybody planned with. What is filled after all is closed then.
    """
    now_s = snapshot.block.timestamp_s
    overdue = all(is_overdue(request, now_s, policy) for request, _ in draft.taken)
    trades = any(isinstance(action, Trade) for action in draft.actions)
    return bool(draft.taken and draft.actions) and (overdue or not trades)


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


def _draft(ask: Ask, moves: Moves, watch: Watch) -> tuple[_Draft, Decision, Found | Trouble]:
    """Decide what to do: the cheapest safe thing, or the simple one where the optimiser has no answer."""
    found = find(ask, watch)
    made = decide(ask) if isinstance(found, Trouble) else found.decision
    at_stake = stake(
        ask.snapshot,
        ask.assessment,
        ask.policy,
        moves,
        saves_margin=bool(made.pays) or (bool(made.reductions) and bool(ask.needy)),
        restores_band=made.is_urgent,
        about_margin=ask.with_margin,
    )
    deltas = dict(made.deltas_wad)
    drafted = _Draft(
        made.actions,
        made.reasons,
        made.unmet,
        deltas,
        made.cost_wad,
        at_stake,
        dict(made.open_wad),
        ask.pending,
    )
    return drafted, made, found


def _write(
    draft: _Draft,
    snapshot: Snapshot,
    policy: Policy,
    writers: Mapping[str, Writer],
    intent_id: IntentId,
) -> Plan:
    orders = [order for _, order in draft.taken]
    orders += [writers[action.venue](action) for action in draft.actions]
    return Plan(
        intent_id=intent_id,
        deadline_s=snapshot.block.timestamp_s + policy.deadline_s,
        urgency=draft.stake.urgency,
        actions=(*(TakeBack(r.venue, r.key) for r, _ in draft.taken), *draft.actions),
        calls=tuple(call for order in orders for call in order.calls),
        pre=tuple(check for order in orders for check in order.pre),
        post=(*(check for order in orders for check in order.post), *_wallet_checks(draft, snapshot)),
        reasons=(*(f"request {r.key} is {r.phase.value}" for r, _ in draft.taken), *draft.reasons),
        unmet=draft.unmet,
        delta_after_wad=draft.delta_after_wad,
        cost_wad=draft.cost_wad,
        pressure_bps=draft.stake.pressure_bps,
        budget_wei=draft.stake.budget_wei,
        delta_until_wad=draft.delta_until_wad,
        naked=_naked(draft, snapshot, policy),
        naked_limit_usd_s=policy.naked_limit_usd_s,
    )


def _naked(draft: _Draft, snapshot: Snapshot, policy: Policy) -> tuple[Exposure, ...]:
    """What waits for keepers once the plan is mined."""
    offers = {offer.market: offer for state in snapshot.venues for offer in state.offers}
    requests = draft.pending.requests
    found = list(exposures(requests, snapshot, policy)) if requests else []
    # a book's list is long, and a plan that only trades does not need it
    closes = any(isinstance(action, Reduce) for action in draft.actions)
    positions = {position.key: position for position in snapshot.positions} if closes else {}
    for action in draft.actions:
        if isinstance(action, Trade) and is_keeper(offer := offers[action.market]):
            found.append(leg_exposure(offer, action.size_wad, policy))
        elif isinstance(action, Reduce):
            position = positions[action.key]
            deal = offers.get(position.instrument.market)
            if deal is not None and is_keeper(deal):
                size_wad = -action.size_wad if position.size_wad > 0 else action.size_wad
                found.append(leg_exposure(deal, size_wad, policy))
    return tuple(found)


def _wallet_checks(draft: _Draft, snapshot: Snapshot) -> tuple[Check, ...]:
    """Of each token the plan moves, the wallet ends with no less than the plan's worst case says."""
    flow: dict[Address, int] = {}
    offers = {offer.market: offer for state in snapshot.venues for offer in state.offers}
    quote = next(iter(snapshot.quote_tokens), None)
    # a book's lists are long, and a plan that only trades needs neither
    of_accounts = any(isinstance(action, AddCollateral | RemoveCollateral) for action in draft.actions)
    accounts = {account.key: account for account in snapshot.margins} if of_accounts else {}
    on_margin = {market for market, offer in offers.items() if offer.cash_token is None}
    closes = any(isinstance(action, Reduce) for action in draft.actions)
    held = snapshot.positions if closes else ()
    margined = {p.key for p in held if p.instrument.market in on_margin}  # paid out of margin

    def move(token: Address | None, amount_wad: int) -> None:
        if token is not None:
            flow[token] = flow.get(token, 0) + amount_wad

    for action in draft.actions:
        if isinstance(action, AddCollateral):
            move(accounts[action.key].collateral_token.address, -action.amount_wad)
        elif isinstance(action, RemoveCollateral):
            move(accounts[action.key].collateral_token.address, action.amount_wad)
        elif isinstance(action, Reduce):
            if action.key not in margined:
                move(quote, -action.max_cost_wad)
        elif is_keeper(offer := offers[action.market]):
            move(quote, -max(0, offer.cash_need_wad(action.size_wad)))
        elif (cash := offer.cash_token) is not None:
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
