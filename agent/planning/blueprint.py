"""The problem of one ask: which choices there are, and the rows that are its bands, floors and wallets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.market.margin import MarginAccount
from agent.planning.ask import Ask
from agent.planning.item import Close, Deal, Item, Take, is_quote, token_price, touches
from agent.planning.listing import Listing, Stage, listing
from agent.planning.menu import NAKED, Point, close_choice, deal_choice, held, pay_choice, take_choice
from agent.planning.pending import UNTIL_FILLED, is_keeper
from agent.planning.problem import Choice, Problem, Row
from agent.planning.safety import edges
from agent.values.address import Address
from agent.values.fixed import to_float

TARGET_PRICE = 0.005  # quote per quote that an account which is paid into stays below its target
FLOOR_PRICE = 1.0  # quote per quote below its floor, where not all floors can be kept; more for the nearest
BAND_PRICE = 0.2  # of the asset's price, per unit outside the band, where not all limits can be kept
SLIVER = 3e-7  # of an account's collateral: what a row at its floor is shown less of
SAFE = 1 - 2e-6  # of a wallet is shown to the solver, whose rows may be off by a part of that


@dataclass(slots=True)
class Blueprint:
    """A problem and what each of its choices stands for."""

    problem: Problem
    items: dict[str, Item]


@dataclass(slots=True)
class _Draft:
    """What is gathered on the way."""

    ask: Ask
    stage: Stage
    extra: Mapping[str, Sequence[int]]
    items: Listing
    points: list[Point] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def blueprint(ask: Ask, stage: Stage, extra: Mapping[str, Sequence[int]]) -> Blueprint:
    """The problem of ``ask``. ``extra``: per account further ratios (wad) at which its floor is a row."""
    draft = _Draft(ask, stage, extra, listing(ask, stage))
    _add_delta_rows(draft)
    _add_greek_rows(draft)
    _add_margin_rows(draft)
    needs = _add_need_rows(draft)
    wallets = _add_wallet_rows(draft)
    choices: list[Choice] = []
    items: dict[str, Item] = {}
    listed: list[Item] = [*draft.items.closes, *draft.items.deals, *draft.items.pays, *draft.items.takes]
    for item in listed:
        items[item.name] = item
        choices.append(_choice(draft, item, needs, wallets))
    exclusive = _alternatives(
        [(close.position.key, close.name) for close in draft.items.closes]
        + [(f"{deal.offer.market} {deal.sign}", deal.name) for deal in draft.items.deals]
    )
    for close in draft.items.closes:
        if close.is_whole and close.account is not None:
            others = (f"pay {close.account.key}", f"take {close.account.key}")
            exclusive += [(close.name, other) for other in others if other in items]
    return Blueprint(Problem(tuple(choices), tuple(draft.rows), tuple(exclusive)), items)


def _alternatives(named: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """The names that share a key, where there are several: only one of them can be done."""
    groups: dict[str, list[str]] = {}
    for key, name in named:
        groups.setdefault(key, []).append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _add_delta_rows(draft: _Draft) -> None:
    ask, policy = draft.ask, draft.ask.policy
    if not ask.with_hedge:
        return
    assets = dict.fromkeys((*ask.due, *(deal.offer.asset for deal in draft.items.deals)))
    assets |= dict.fromkeys(c.position.instrument.asset for c in draft.items.closes)
    for asset in assets:
        start = to_float(ask.deltas_wad.get(asset, 0))
        bound = to_float(max(policy.band_wad(asset), policy.min_trade_wad))
        price = ask.spot(asset)
        if asset not in ask.due:
            bound = max(bound, abs(start))
        measure, limit = f"delta {asset}", f"delta band {asset}"
        harsh = BAND_PRICE * price if draft.stage is Stage.ELASTIC else None
        draft.rows.append(Row(measure, start, -bound, bound, limit, harsh))
        if asset in ask.due:
            draft.rows.append(Row(measure, start, 0.0, 0.0, price=policy.open_delta_bps / 1e4 * price))
        _add_held_rows(draft, asset)
    late = [deal for deal in draft.items.deals if is_keeper(deal.offer)]
    if late:
        most = float(max(policy.naked_limit_usd_s, ask.naked))
        draft.rows.append(Row(NAKED, float(ask.naked), upper=most, limit="policy.naked_limit_usd_s"))


def _add_held_rows(draft: _Draft, asset: str) -> None:
    """The band holds for what is held, too, as long as nobody has filled what is on its way: what can be done
    at once is done at once as far as the band asks for it, and nothing takes the book out of its band (or
    farther out) on the strength of a fill that has not happened. The band is also for what the market does
    meanwhile: what is more than may wait is brought well below that, if anybody can do it at once.
    """
    ask, policy = draft.ask, draft.ask.policy
    if not (asset in ask.pending.assets or any(is_keeper(d.offer) for d in draft.items.deals)):
        return
    start = to_float(ask.open_wad.get(asset, 0))
    band = to_float(max(policy.band_wad(asset), policy.min_trade_wad))
    bound = max(band, abs(start))
    draft.rows.append(Row(held(asset), start, -bound, bound, f"delta band {asset} {UNTIL_FILLED}"))
    waiting = to_float(max(policy.waiting_wad(asset), policy.min_trade_wad))
    if abs(start) > waiting:
        calm = waiting / 2
        draft.rows.append(Row(held(asset), start, -calm, calm, price=BAND_PRICE * ask.spot(asset)))


def _add_greek_rows(draft: _Draft) -> None:
    ask, policy = draft.ask, draft.ask.policy
    for asset, net in ask.assessment.by_asset.items():
        if not draft.items.closes:
            return
        for greek, value, bands in (
            ("gamma", net.gamma, policy.gamma_band),
            ("vega", net.vega, policy.vega_band),
        ):
            if asset not in bands or not ask.with_hedge:
                continue
            bound = float(bands[asset])
            is_broken = (greek, asset) in ask.greeks
            bound = bound * float(policy.greek_target_share) if is_broken else max(bound, abs(value))
            # out of its band it costs, per band's width, what a band's width of open delta costs
            width = max(float(bands[asset]), 1e-12)
            harsh = BAND_PRICE * ask.spot(asset) * to_float(policy.band_wad(asset)) / width
            price = harsh if draft.stage is Stage.ELASTIC else None
            draft.rows.append(Row(f"{greek} {asset}", value, -bound, bound, f"{greek} band {asset}", price))


def _add_margin_rows(draft: _Draft) -> None:
    ask, policy = draft.ask, draft.ask.policy
    guard, target = policy.guard_distance, float(policy.target_distance)
    release = float(policy.release_distance)
    takers = {take.account.key for take in draft.items.takes}
    payers = {pay.account.key for pay in draft.items.pays}
    order = _nearest_first(ask)
    for account in ask.snapshot.margins:
        key = account.key
        is_needy = key in ask.needy
        if not (
            key in draft.items.shaped or key in payers or key in takers or (is_needy and ask.with_margin)
        ):
            continue
        weight = token_price(account, ask.assessment.spot)
        limit = f"margin floor {key}"
        deals = [deal for deal in draft.items.deals if touches(account, deal.offer)]
        for point in _points(draft, account, guard, draft.extra.get(key, ())):
            start = _shown(point)
            if is_needy and not ask.with_margin:
                draft.rows += [Row(point.measure, start, 0.0, limit=limit, only_if=d.name) for d in deals]
            elif is_needy and draft.stage is Stage.ELASTIC:
                price = weight * (FLOOR_PRICE + order.index(key) / len(order))
                draft.rows.append(Row(point.measure, start, 0.0, price=price))
                firm = (deal for deal in deals if not deal.is_reducing)
                draft.rows += [Row(point.measure, start, 0.0, limit=limit, only_if=d.name) for d in firm]
            else:
                draft.rows.append(Row(point.measure, start, 0.0, limit=limit))
        if key in payers:
            for point in _points(draft, account, target, ()):
                start = to_float(point.start_wad)
                price = TARGET_PRICE * weight
                draft.rows.append(Row(point.measure, start, 0.0, price=price, only_if=f"pay {key}"))
        if key in takers and key in draft.items.shaped:
            for point in _points(draft, account, release, ()):
                start = to_float(point.start_wad)
                draft.rows.append(
                    Row(point.measure, start, 0.0, limit=f"idle collateral {key}", only_if=f"take {key}")
                )


def _shown(point: Point) -> float:
    """What an account has left, less what the solver's rows may be off by; what it has is not made a lack."""
    left = to_float(point.start_wad)
    less = left - SLIVER * (to_float(abs(point.account.collateral_wad)) + abs(left))
    return max(0.0, less) if left >= 0 else less


def _nearest_first(ask: Ask) -> list[str]:
    """Needy accounts, the nearest to liquidation last: the order of what a missing floor costs."""

    def far(key: str) -> tuple[bool, float]:
        account = ask.accounts[key]
        is_lost = account.is_liquidatable(account.prices, account.at_s)
        return is_lost, ask.needy[key] / max(1, account.collateral_wad + ask.needy[key])

    return sorted(ask.needy, key=far)


def _points(draft: _Draft, account: MarginAccount, distance: float, extra: Sequence[int]) -> list[Point]:
    """The measures of an account at ``distance``: point by point where its shape can change."""
    ask, key = draft.ask, account.key
    if key not in draft.items.shaped:
        measure = f"{key} within {distance}"
        known = next((p for p in draft.points if p.measure == measure), None)
        if known is not None:
            return [known]
        found = [Point(measure, account, 0, -ask.curves.ledger.short_wad(account, distance))]
    else:
        found = [
            Point(f"{key} at {ratio}", account, ratio, ask.curves.ledger.slack_wad(account, ratio))
            for ratio in dict.fromkeys((*edges(distance), *extra))
        ]
    draft.points += [p for p in found if all(p.measure != other.measure for other in draft.points)]
    return found


def _add_need_rows(draft: _Draft) -> dict[str, str]:
    """Free collateral of each margined venue that trades; the measure by venue."""
    ask = draft.ask
    needs: dict[str, str] = {}
    for venue in dict.fromkeys(
        deal.offer.venue for deal in draft.items.deals if deal.offer.cash_token is None
    ):
        free_wad = sum(max(0, a.removable_wad) for a in ask.snapshot.margins if a.venue == venue)
        most_wad = sum(
            ask.curves.need_wad(deal.offer, deal.sign * deal.cap_wad)
            for deal in draft.items.deals
            if deal.offer.venue == venue
        )
        takes = any(take.account.venue == venue for take in draft.items.takes)
        if most_wad > free_wad or (takes and most_wad > 0):
            needs[venue] = f"free {venue}"
            draft.rows.append(Row(needs[venue], to_float(free_wad), 0.0, limit=f"initial margin {venue}"))
    return needs


def _add_wallet_rows(draft: _Draft) -> dict[Address, tuple[str, ...]]:
    """What the wallet has of each token that may flow; the measures by token."""
    ask, policy = draft.ask, draft.ask.policy
    symbols = {a.collateral_token.address: a.collateral_token.symbol for a in ask.snapshot.margins}
    symbols |= {amount.token.address: amount.token.symbol for amount in ask.snapshot.wallet.balances}
    tokens = [pay.account.collateral_token.address for pay in draft.items.pays]
    tokens += [take.account.collateral_token.address for take in draft.items.takes]
    if ask.treasury.quote is not None:
        tokens.append(ask.treasury.quote)
    tokens += [
        t for d in draft.items.deals if (t := ask.treasury.asset_tokens.get(d.offer.asset)) is not None
    ]
    measures: dict[Address, tuple[str, ...]] = {}
    for token in dict.fromkeys(tokens):
        symbol = symbols.get(token, token)
        held = ask.snapshot.wallet.balance_wad(token)
        measures[token] = (f"wallet {symbol} {token}",)
        start = to_float(max(0, held)) * SAFE
        if token == ask.treasury.quote and policy.cash_reserve_wad > 0:
            spare = to_float(max(0, held - policy.cash_reserve_wad)) * SAFE
            draft.rows.append(Row(measures[token][0], spare, 0.0, limit=f"cash reserve {symbol}"))
        draft.rows.append(Row(measures[token][0], start, 0.0, limit=f"wallet {symbol}"))
    return measures


def _choice(
    draft: _Draft, item: Item, needs: Mapping[str, str], wallets: Mapping[Address, tuple[str, ...]]
) -> Choice:
    ask, policy = draft.ask, draft.ask.policy
    quote = ask.treasury.quote

    def wallet(account: MarginAccount | None) -> tuple[str, ...]:
        token = quote if account is None else account.collateral_token.address
        return () if token is None else wallets.get(token, ())

    if isinstance(item, Deal):
        is_spot = item.offer.cash_token is not None
        base = ask.treasury.asset_tokens.get(item.offer.asset)
        return deal_choice(
            item,
            ask.curves,
            draft.points,
            ask.gas(policy.trade_gas),
            "" if is_spot else needs.get(item.offer.venue, ""),
            next(iter(wallet(None)), "") if is_spot or is_keeper(item.offer) else "",
            next(iter(wallets.get(base, ())), "") if is_spot and base is not None else "",
        )
    if isinstance(item, Close):
        return close_choice(item, draft.points, policy, ask.gas(policy.close_gas), wallet)
    account = item.account
    need = needs.get(account.venue, "")
    least_wad = policy.min_top_up_wad if is_quote(account) else 0
    gas = ask.gas(policy.transfer_gas)
    if isinstance(item, Take):
        return take_choice(item, draft.points, gas, wallet(account), need, least_wad)
    if draft.stage is Stage.ELASTIC:
        least_wad = 0
    return pay_choice(item, draft.points, gas, wallet(account), need, least_wad)
