"""What a plan will do, in exact ints: from the optimiser's floats, rounded against us, and judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.market.intent import Action, AddCollateral, Reduce, RemoveCollateral, Trade
from agent.market.margin import MarginAccount
from agent.planning.allocation import Fill
from agent.planning.ask import Ask
from agent.planning.blueprint import Blueprint
from agent.planning.item import (
    Close,
    Deal,
    Pay,
    Take,
    close_bill_wad,
    is_quote,
    is_reducible,
    is_tradable,
    touches,
)
from agent.planning.listing import Stage
from agent.planning.pending import UNTIL_FILLED, is_keeper
from agent.values.address import Address
from agent.values.fixed import from_float, mul_div_down, mul_down, mul_up, to_float

NEAR = 4e-6  # of a size: nearer than that, the float meant the round number beside it
TINY = 1e-12
UP = 5e-7  # of a partial close is closed on top: the solver's rows may be off by a part of that


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions by kind, in exact ints. ``cost_wad``: fee, impact and carry of the fills and the premium of the
    closes, in quote; gas is the chain's. ``deltas_wad`` per asset afterwards, with all that is asked of
    keepers filled; ``open_wad`` with nothing of it filled. ``unmet``: what is not kept.
    """

    trades: tuple[Trade, ...] = ()
    reductions: tuple[Reduce, ...] = ()
    takes: tuple[RemoveCollateral, ...] = ()
    pays: tuple[AddCollateral, ...] = ()
    reasons: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    deltas_wad: Mapping[str, int] = field(default_factory=dict)
    open_wad: Mapping[str, int] = field(default_factory=dict)
    cost_wad: int = 0
    is_urgent: bool = False

    @property
    def moves(self) -> tuple[Action, ...]:
        """All that is not a trade."""
        return (*self.takes, *self.reductions, *self.pays)

    @property
    def actions(self) -> tuple[Action, ...]:
        """In the order they have to happen: take out, close, pay in for a hedge, trade, pay in the rest."""
        hedged = {trade.venue for trade in self.trades}
        first = [pay for pay in self.pays if pay.venue in hedged]
        last = [pay for pay in self.pays if pay.venue not in hedged]
        return (*self.takes, *self.reductions, *first, *self.trades, *last)


@dataclass(slots=True)
class Exact:
    """One proposal in ints, with the accounts as they will be and where the exact models object.

    ``objections``: per account the ratio (wad) of its prices at which it could be liquidated though the plan
    touches it. ``broken``: names of the limits that stay broken.
    """

    fills: list[Fill] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    reductions: list[Reduce] = field(default_factory=list)
    takes: dict[str, int] = field(default_factory=dict)
    pays: dict[str, int] = field(default_factory=dict)
    deltas_wad: dict[str, int] = field(default_factory=dict)
    open_wad: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, MarginAccount] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    premium_wad: int = 0
    objections: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def exact(ask: Ask, plan: Blueprint, sizes: Mapping[str, float], stage: Stage) -> Exact:
    """The proposal ``sizes`` as it would be done."""
    done = Exact(deltas_wad=dict(ask.deltas_wad), open_wad=dict(ask.open_wad), accounts=ask.accounts)
    items = [(plan.items[name], size) for name, size in sizes.items()]
    budget: dict[Address, int] = dict(ask.treasury.by_token)
    closes = [(item, size) for item, size in items if isinstance(item, Close)]
    # what brings cash goes first, so that it is there for what needs it
    for item, size in sorted(closes, key=lambda pair: _brings_wad(ask, pair[0]), reverse=True):
        _close(ask, done, item, size, budget)
    signed = _signed(ask, done, [(item, size) for item, size in items if isinstance(item, Deal)])
    for deal, size_wad in signed:
        _trade(ask, done, deal, size_wad, budget, stage)
    _move(ask, done, items, budget)
    _object(ask, done, stage)
    return done


def decision(ask: Ask, done: Exact, unmet: Sequence[str]) -> Decision:
    """In the words of a plan."""
    accounts = ask.accounts
    hedged = {trade.market for trade in done.trades}
    reasons = [
        f"net delta {asset} {to_float(ask.deltas_wad[asset]):.4f} beyond its trigger"
        for asset in ask.due
        if any(f.offer.asset == asset and f.offer.market in hedged for f in done.fills)
    ]
    reasons += [f"net {greek} {asset} beyond its band" for greek, asset in ask.greeks if done.reductions]
    moved = {*done.pays, *done.takes, *(r.key for r in done.reductions)}
    if ask.with_margin and moved:
        reasons += [f"{key} is nearer to liquidation than {ask.policy.guard_distance:g}" for key in ask.needy]
        reasons += [
            f"{key} would be too near to liquidation after the trade"
            for key in done.pays
            if key not in ask.needy
        ]
    return Decision(
        tuple(done.trades),
        tuple(done.reductions),
        tuple(RemoveCollateral(accounts[k].venue, k, wad) for k, wad in done.takes.items()),
        tuple(AddCollateral(accounts[k].venue, k, wad) for k, wad in done.pays.items()),
        tuple(reasons),
        tuple(unmet),
        done.deltas_wad,
        done.open_wad,
        sum(fill.cost_wad for fill in done.fills) + done.premium_wad,
        bool(done.trades) and any(ask.due.get(f.offer.asset, False) for f in done.fills),
    )


def _brings_wad(ask: Ask, close: Close) -> int:
    own = close.account.collateral_wad if close.is_whole and close.account and is_quote(close.account) else 0
    return own - close_bill_wad(close.position, abs(close.position.size_wad), ask.policy)


def _close(ask: Ask, done: Exact, close: Close, size: float, budget: dict[Address, int]) -> None:
    position = close.position
    held_wad = abs(position.size_wad)
    size_wad = held_wad if close.is_whole else min(held_wad, from_float(size * (1 + UP)) + 1)
    bill_wad = close_bill_wad(position, size_wad, ask.policy)
    done.reductions.append(Reduce(position.venue, position.key, size_wad, bill_wad))
    asset = position.instrument.asset
    delta_wad = mul_div_down(from_float(position.greeks.delta), size_wad, held_wad)
    done.deltas_wad[asset] = done.deltas_wad.get(asset, 0) - delta_wad
    done.open_wad[asset] = done.open_wad.get(asset, 0) - delta_wad
    done.premium_wad += bill_wad - mul_up(size_wad, position.mark_wad)
    quote = ask.treasury.quote
    if position.size_wad < 0 and quote is not None:
        budget[quote] = budget.get(quote, 0) - bill_wad
    account = close.account
    if account is None:
        return
    if size_wad == held_wad:
        done.closed.add(account.key)
        token = account.collateral_token.address
        budget[token] = budget.get(token, 0) + account.collateral_wad
    elif is_reducible(account):
        done.accounts[account.key] = account.cut(position.instrument.market, size_wad)


def _signed(ask: Ask, done: Exact, deals: Sequence[tuple[Deal, float]]) -> list[tuple[Deal, int]]:
    """Signed sizes. A float's dust that keeps a due delta from zero goes to the deal with room for it."""
    found: list[tuple[Deal, int]] = []
    for deal, size in deals:
        if deal.lot_wad:
            size_wad = round(size / to_float(deal.lot_wad)) * deal.lot_wad
        else:
            size_wad = from_float(size)
            if abs(size_wad - deal.cap_wad) <= TINY * deal.cap_wad:
                size_wad = deal.cap_wad
        found.append((deal, deal.sign * min(size_wad, deal.cap_wad)))
    for asset in ask.due:
        start_wad = done.deltas_wad.get(asset, 0)
        left_wad = start_wad + sum(size for deal, size in found if deal.offer.asset == asset)
        if left_wad == 0 or abs(left_wad) > NEAR * max(abs(start_wad), ask.policy.min_trade_wad):
            continue
        for number, (deal, size_wad) in enumerate(found):
            after_wad = size_wad - left_wad
            fits = 0 < deal.sign * after_wad <= deal.cap_wad
            if deal.offer.asset == asset and not deal.lot_wad and fits:
                found[number] = (deal, after_wad)
                break
    return [(deal, size_wad) for deal, size_wad in found if size_wad != 0]


def _trade(
    ask: Ask, done: Exact, deal: Deal, size_wad: int, budget: dict[Address, int], stage: Stage
) -> None:
    offer, curves = deal.offer, ask.curves
    limit_wad = curves.deal_limit_wad(deal, abs(size_wad))
    trade = Trade(offer.venue, offer.market, size_wad, limit_wad)
    carry = curves.carry(offer, deal.sign) * to_float(abs(size_wad))
    cost_wad = curves.cost_wad(offer, size_wad) + curves.fixed_wad(offer)
    done.fills.append(Fill(offer, size_wad, cost_wad + from_float(carry)))
    done.deltas_wad[offer.asset] = done.deltas_wad.get(offer.asset, 0) + size_wad
    if not is_keeper(offer):
        done.open_wad[offer.asset] = done.open_wad.get(offer.asset, 0) + size_wad
    for key, account in done.accounts.items():
        if touches(account, offer) and is_tradable(account):
            done.accounts[key] = account.traded(offer.market, size_wad, limit_wad)
    quote, base = ask.treasury.quote, ask.treasury.asset_tokens.get(offer.asset)
    if offer.cash_token is not None:
        if size_wad > 0 and quote is not None:
            budget[quote] = budget.get(quote, 0) - mul_up(size_wad, limit_wad)
        elif size_wad < 0 and base is not None:
            budget[base] = budget.get(base, 0) + size_wad
    if deal.is_reducing and stage is not Stage.USUAL:
        # what shrinks an account that stays in danger is a reduction, not a trade
        keys = [key for key, account in done.accounts.items() if touches(account, offer)]
        held = next((p for p in ask.snapshot.positions if p.instrument.market == offer.market), None)
        if held is not None and any(key in ask.needy for key in keys):
            done.reductions.append(
                Reduce(offer.venue, held.key, abs(size_wad), _bound_wad(held.mark_wad, trade))
            )
            return
    done.trades.append(trade)


def _bound_wad(mark_wad: int, trade: Trade) -> int:
    """A trade's limit in a reduction's words: what is paid at most, or as far below the mark as above it."""
    size_wad = abs(trade.size_wad)
    if trade.size_wad > 0:
        return mul_down(size_wad, trade.limit_price_wad)
    return max(0, 2 * mul_up(size_wad, mark_wad) - mul_up(size_wad, trade.limit_price_wad))


def _move(ask: Ask, done: Exact, items: Sequence[tuple[object, float]], budget: dict[Address, int]) -> None:
    """Collateral out and in: the exact amounts that the floats meant, as far as the tokens go."""
    wanted: list[tuple[Pay, int]] = []
    for item, size in items:
        if isinstance(item, Pay) and item.account.key not in done.closed:
            wanted.append((item, _amount_wad(ask, done, item, size)))
    wanted.sort(key=lambda pair: -ask.needy.get(pair[0].account.key, 0))
    for item, size in items:
        if not isinstance(item, Take):
            continue
        token = item.account.collateral_token.address
        asked_wad = sum(wad for pay, wad in wanted if pay.account.collateral_token.address == token)
        missing_wad = max(0, asked_wad - budget.get(token, 0))
        amount_wad = from_float(size)
        if abs(amount_wad - missing_wad) <= NEAR * max(amount_wad, missing_wad):
            amount_wad = missing_wad
        amount_wad = min(amount_wad, item.cap_wad, max(missing_wad, 0))
        if amount_wad > 0:
            done.takes[item.account.key] = amount_wad
            budget[token] = budget.get(token, 0) + amount_wad
    for token in dict.fromkeys(pay.account.collateral_token.address for pay, _ in wanted):
        group = [(pay, wad) for pay, wad in wanted if pay.account.collateral_token.address == token]
        left_wad = max(0, budget.get(token, 0))
        amounts = _fitted(ask, done, group, left_wad)
        for (pay, _), amount_wad in zip(group, amounts, strict=True):
            if amount_wad > 0:
                done.pays[pay.account.key] = amount_wad


def _fitted(ask: Ask, done: Exact, group: Sequence[tuple[Pay, int]], left_wad: int) -> list[int]:
    """The amounts, cut to what there is: first what is beyond the floors, then from the least urgent; and
    what a float's dust left over goes to the first.
    """
    amounts = [wad for _, wad in group]
    floors = [min(wad, _floor_wad(ask, done, pay.account.key)) for pay, wad in group]
    over_wad = sum(amounts) - left_wad
    if over_wad < 0 and -over_wad <= NEAR * left_wad:
        amounts[0] -= over_wad
    for least in (floors, [0] * len(group)):
        for number in range(len(group) - 1, -1, -1):
            cut_wad = min(max(over_wad, 0), amounts[number] - least[number])
            amounts[number] -= cut_wad
            over_wad -= cut_wad
    # What is short of the targets is short of all of them alike: to the optimiser that is one price.
    targets = [max(wad, _target_wad(ask, done, pay)) for (pay, _), wad in zip(group, amounts, strict=True)]
    spare_wad = sum(amounts) - sum(floors)
    wanted_wad = sum(targets) - sum(floors)
    if all(wad >= floor for wad, floor in zip(amounts, floors, strict=True)) and 0 < spare_wad < wanted_wad:
        pairs = zip(floors, targets, strict=True)
        amounts = [floor + (target - floor) * spare_wad // wanted_wad for floor, target in pairs]
    return amounts


def _floor_wad(ask: Ask, done: Exact, key: str) -> int:
    """What the account as it will be needs to survive the guard distance, everywhere the model is asked."""
    return max(0, ask.curves.ledger.short_wad(done.accounts[key], ask.policy.guard_distance))


def _target_wad(ask: Ask, done: Exact, pay: Pay) -> int:
    return max(
        0, ask.curves.ledger.short_wad(done.accounts[pay.account.key], float(ask.policy.target_distance))
    )


def _amount_wad(ask: Ask, done: Exact, pay: Pay, size: float) -> int:
    account = done.accounts[pay.account.key]
    least_wad = ask.policy.min_top_up_wad if is_quote(account) else 0
    target_wad = _target_wad(ask, done, pay)
    if size >= to_float(target_wad) * (1 - NEAR):
        return max(target_wad, _floor_wad(ask, done, pay.account.key), least_wad)
    floor_wad = _floor_wad(ask, done, pay.account.key)
    if abs(size - to_float(floor_wad)) <= NEAR * max(size, to_float(floor_wad)):
        return floor_wad
    return from_float(size)


def _object(ask: Ask, done: Exact, stage: Stage) -> None:
    """Ask the exact models; what they say against the proposal, and which limits it leaves broken."""
    policy, before = ask.policy, ask.accounts
    guard = policy.guard_distance
    traded = {trade.venue: trade for trade in done.trades}
    markets = {trade.market for trade in done.trades}
    for key, account in done.accounts.items():
        if key in done.closed:
            continue
        added_wad = done.pays.get(key, 0) - done.takes.get(key, 0)
        is_traded = account.venue in traded and any(market in markets for market in account.prices)
        is_touched = is_traded or added_wad != 0 or account != before[key]
        if not is_touched and not (key in ask.needy and ask.with_margin):
            continue
        ratio = ask.curves.ledger.danger(account, guard, added_wad)
        if ratio is None:
            continue
        is_forgiven = key in ask.needy and not is_traded and stage is Stage.ELASTIC
        if is_forgiven and (added_wad >= 0 and (account == before[key] or _no_worse(ask, done, key))):
            done.broken.append(f"margin floor {key}")
        else:
            done.objections[key] = ratio
    for asset, delta_wad in done.deltas_wad.items():
        before_wad = abs(ask.deltas_wad.get(asset, 0))
        bound_wad = max(policy.band_wad(asset), policy.min_trade_wad)
        if asset not in ask.due:  # what nobody was asked to bring back is only not to get worse
            bound_wad = max(bound_wad, before_wad)
        if ask.with_hedge and abs(delta_wad) > bound_wad + bound_wad // 10**6:
            done.broken.append(f"delta band {asset}")
        open_wad, bound_wad = (
            abs(done.open_wad.get(asset, 0)),
            max(policy.band_wad(asset), policy.min_trade_wad),
        )
        if asset in ask.due and open_wad > bound_wad + bound_wad // 10**6 and open_wad != abs(delta_wad):
            done.broken.append(f"delta band {asset} {UNTIL_FILLED}")


def _no_worse(ask: Ask, done: Exact, key: str) -> bool:
    return ask.curves.ledger.is_no_worse(done.accounts[key], ask.accounts[key], ask.policy.guard_distance)
