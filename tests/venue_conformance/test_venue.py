"""What every venue holds to, whatever it is: the same sentences for all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.assembly import eye_of, venues_of
from agent.chain.lens import read_one
from agent.errors import ContractMismatch, PlanInfeasible
from agent.market.access import permitted, require_allowed
from agent.market.intent import Action, AddCollateral, Order, Reduce, RemoveCollateral, Trade
from agent.market.margin import AccruingAccount, FundableAccount, TradableAccount
from agent.market.standing import Access, Standing
from agent.planning.exit import exit_of
from agent.planning.policy import Policy
from agent.risk.liquidation import DIRECTIONS, solve_price
from agent.values.fixed import WAD, mul_down
from agent.venues.manifest import Manifest, Stage
from agent.venues.venue import AbleVenue
from agent.venues.watch import places_of
from tests.venue_conformance.bench import Bench
from tests.venue_conformance.scene import DEADLINE_S, Lengthened, Recorder, Scene

LATER = 10**6  # of equity: what seconds at another funding may come to
RELATIVE = 10**9  # one part of so many: what a model may be off where a second has passed


def test_it_declares_what_it_can_do_and_writes_just_that(scene: Scene) -> None:
    assert isinstance(scene.venue, AbleVenue)
    ability, state = scene.venue.ability, scene.read()
    kinds = {type(action) for action in scene.bench.actions(state)}
    assert bool(ability.margin) == bool(state.margins)
    assert (Trade in kinds) == bool(scene.bench.offers(state))
    assert ({AddCollateral, RemoveCollateral} <= kinds) == ("collateral" in ability.writes)
    assert bool(kinds) == bool(ability.writes)
    assert scene.venue.name == state.venue == scene.bench.name


def test_its_units_are_the_houses(scene: Scene) -> None:
    state, bench = scene.read(), scene.bench
    assert state.positions
    assert state.quotes
    for quote in state.quotes:
        assert abs(quote.index_wad - bench.price_of(quote)) <= 1, quote
    for position in state.positions:
        assert position.size_wad == bench.size_of(position), position.key
    for margin in state.margins:
        assert margin.collateral_wad == bench.collateral_of(margin), margin.key
        told = bench.standing_of(margin)
        if told is not None:
            equity = margin.equity_wad(margin.prices, margin.at_s)
            assert equity - margin.requirement_wad(margin.prices, margin.at_s) == told[0] - told[1]
    for offer in bench.offers(state):
        quote = next(q for q in state.quotes if q.market == offer.market)
        assert 9 * quote.mark_wad < 10 * offer.price_wad < 11 * quote.mark_wad


def test_its_signs_are_the_houses(scene: Scene) -> None:
    """A position of positive delta gains when its price rises; a purchase raises the size."""
    bench, before = scene.bench, scene.read()
    bench.move(before.quotes[0].market, WAD * 102 // 100)
    after = {position.key: position for position in scene.read().positions}
    asset, judged = before.quotes[0].asset, 0
    moved = {p.key: after[p.key].mark_wad != p.mark_wad for p in before.positions}
    for position in before.positions:
        delta, gained = position.greeks.delta, after[position.key].value_wad - position.value_wad
        if position.value_wad == 0 == after[position.key].value_wad or not moved[position.key]:
            continue  # collateral, whose worth is its account's; or its own feed has not moved
        if position.instrument.asset == asset and abs(delta) > 0.01:
            assert (gained > 0) == (delta > 0), position.key
            judged += 1
    assert judged


def test_what_it_owes_by_the_second_is_what_the_contracts_count(scene: Scene) -> None:
    bench = scene.bench
    bench.wait(3_600)
    before = {margin.key: margin for margin in scene.read().margins}
    bench.wait(7_200)
    for after in scene.read().margins:
        first = before[after.key]
        assert after.at_s > first.at_s
        equity = first.equity_wad(after.prices, after.at_s)
        told = bench.standing_of(after)
        assert told is not None
        if told[1]:
            assert abs(equity - told[0]) * RELATIVE <= abs(told[0]), after.key
        if isinstance(first, AccruingAccount):
            owed = sum(first.accrued_wad(after.at_s).values()) - sum(first.accrued_wad(first.at_s).values())
            fallen = first.equity_wad(first.prices, first.at_s) - first.equity_wad(first.prices, after.at_s)
            assert abs(fallen - owed) * RELATIVE <= abs(owed) + RELATIVE * RELATIVE, after.key


def test_a_reading_is_of_its_block_whatever_came_after(scene: Scene) -> None:
    bench, block = scene.bench, scene.block()
    first = scene.read(block)
    bench.move(first.quotes[0].market, WAD * 97 // 100)
    bench.wait(60)
    assert scene.read(block) == first
    assert scene.read() != first
    recorder = Recorder(bench.node.url)
    read_one(recorder, block, scene.venue.read(bench.account, block))
    recorder.close()
    assert {at for _, at, _ in recorder.asked} == {block}


def test_its_contracts_liquidate_where_the_model_flips_and_not_a_step_nearer(scene: Scene) -> None:
    assert isinstance(scene.venue, AbleVenue)
    found = 0
    for margin in scene.read().margins:
        questions, answers = [dict(margin.prices)], [False]
        for market in margin.prices:
            for way in DIRECTIONS:
                flip = solve_price(margin, market, way)
                if flip is None:
                    continue
                step = flip.tolerance_wad if way == "down" else -flip.tolerance_wad
                questions += [{market: flip.price_wad}, {market: flip.price_wad + step}]
                answers += [True, False]
                found += 1
        assert scene.bench.judge(margin, questions) == answers, margin.key
    assert bool(found) == bool(scene.venue.ability.margin)


def test_a_trade_costs_what_the_offer_says_and_leaves_what_was_foretold(scene: Scene) -> None:
    bench, node = scene.bench, scene.bench.node
    trades = [action for action in bench.actions(scene.read()) if isinstance(action, Trade)]
    assert {trade.size_wad > 0 for trade in trades} in ({True, False}, set())
    for trade in trades:
        snapshot = node.snapshot()
        state, wallet = scene.read(), scene.see(scene.eye())
        offer = next(one for one in bench.offers(state) if one.market == trade.market)
        quoted = mul_down(trade.size_wad, offer.price_wad) + offer.cost_wad(trade.size_wad)
        order = scene.venue.write(state, trade, bench.account, DEADLINE_S)
        done = scene.carry_out(order)
        paid = bench.paid_wad(trade, done)
        less, more = bench.slack_wad(trade)
        assert -less - 1 <= paid - quoted <= more + 1, trade
        if offer.cash_token is not None:
            seen = scene.see(scene.eye())
            held = sum(p.size_wad for p in seen.wallet_positions) - sum(
                p.size_wad for p in wallet.wallet_positions
            )
            assert held == trade.size_wad
        else:
            brought = getattr(bench, "brought_wad", None)  # collateral that travels with the order
            _assert_foretold(scene, state, trade, paid, 0 if brought is None else brought(done))
        node.revert(snapshot)


def _assert_foretold(scene: Scene, before: object, trade: Trade, paid_wad: int, brought_wad: int) -> None:
    after = scene.read()
    first = next(m for m in before.margins if trade.market in m.prices)  # type: ignore[attr-defined]
    last = next(m for m in after.margins if m.key == first.key)

    def size(state: object) -> int:
        held = state.positions  # type: ignore[attr-defined]
        return sum(p.size_wad for p in held if p.instrument.market == trade.market)

    # where a venue keeps its fee in the asset, or borrows in whole units, the bench says so
    told = getattr(scene.bench, "foretold_slack_wad", None)
    most_size, most_money = (0, 0) if told is None else told(trade)
    assert abs(size(after) - size(before) - trade.size_wad) <= most_size
    assert isinstance(first, TradableAccount)
    price = abs(paid_wad) * WAD // abs(trade.size_wad)
    assert not brought_wad or isinstance(first, FundableAccount)
    grown = first.funded(brought_wad) if isinstance(first, FundableAccount) and brought_wad else first
    foretold = grown.traded(trade.market, trade.size_wad, price)
    equity = foretold.equity_wad(last.prices, last.at_s)
    actual = last.equity_wad(last.prices, last.at_s)
    # the average price has 18 decimals; a block or a keeper later, the trade itself has moved the funding
    rounding = abs(trade.size_wad) // WAD + 10 + abs(equity) // LATER
    assert abs(actual - equity) <= rounding + most_money
    asked = foretold.requirement_wad(last.prices, last.at_s)
    assert abs(asked - last.requirement_wad(last.prices, last.at_s)) <= most_money


def test_what_is_written_is_what_is_read_afterwards(scene: Scene) -> None:
    """Checks that hold before and after, and just the collateral and the size that were meant."""
    bench, node = scene.bench, scene.bench.node
    bench.wait(3_600)  # what is an average stands still then
    for action in bench.actions(scene.read()):
        if isinstance(action, Trade):
            continue
        snapshot, before = node.snapshot(), scene.read()
        order = scene.venue.write(before, action, bench.account, DEADLINE_S)
        bench.node.set_next_timestamp(bench.node.now_s() + 1)
        done = scene.carry_out(order)
        if not done.by_keeper:
            broken = [proof for proof in scene.prove(order.post) if not proof.kept]
            assert broken == [], action
        after = scene.read()
        if isinstance(action, Reduce):
            held = {p.key: p.size_wad for p in before.positions}[action.key]
            left = {p.key: p.size_wad for p in after.positions}.get(action.key, 0)
            assert abs(held) - abs(left) == action.size_wad
            assert left * held > 0
        else:
            moved = action.amount_wad if isinstance(action, AddCollateral) else -action.amount_wad
            first = next(m for m in before.margins if m.key == action.key)
            last = next(m for m in after.margins if m.key == action.key)
            unit = 10 ** (18 - last.collateral_token.decimals)
            settled = 0  # what has accrued may be settled out of the collateral on the way
            if isinstance(first, AccruingAccount):
                settled = sum(abs(owed) for owed in first.accrued_wad(last.at_s).values())
            assert -settled <= last.collateral_wad - first.collateral_wad - moved < unit + settled
            grown = first.funded(moved) if isinstance(first, FundableAccount) else first
            equity = grown.equity_wad(last.prices, last.at_s) + (0 if grown is not first else moved)
            actual = last.equity_wad(last.prices, last.at_s)
            assert abs(actual - equity) <= unit + abs(actual) // RELATIVE
        node.revert(snapshot)


def test_a_market_that_is_another_is_refused(scene: Scene) -> None:
    block = scene.block()
    impostors = scene.bench.impostors()
    assert impostors
    read_one(scene.rpc, block, scene.venue.identify())
    for impostor in impostors:
        venue = next(one for one in venues_of(impostor.deployment) if one.name == scene.bench.name)
        with pytest.raises(ContractMismatch, match=impostor.word):
            read_one(scene.rpc, block, venue.identify())
        with pytest.raises(ContractMismatch):
            eye_of(scene.rpc, impostor.deployment, block)


def test_contracts_that_run_other_code_make_it_read_only_at_the_next_look(scene: Scene) -> None:
    bench, node = scene.bench, scene.bench.node
    eye = scene.eye()
    first = scene.see(eye)
    assert first.standing(bench.name).access is Access.FULL
    manifest = scene.deployment.manifest(bench.name)
    named = places_of(scene.deployment.venues[bench.name])  # an index token need not be a contract
    there = {one for one in named if node.request("eth_getCode", one, "latest") != "0x"}
    assert {one.address for one in manifest.contracts} == there
    for contract in manifest.contracts:
        code = node.request("eth_getCode", contract.address, "latest")
        node.request("anvil_setCode", contract.address, f"{code}00")  # does the same, and is another
        node.mine()
        seen = scene.see(eye)
        standing = seen.standing(bench.name)
        assert (standing.access, len(standing.drifts)) == (Access.WATCH, 1)
        assert contract.address in standing.why
        assert seen.venue(bench.name).positions
        _assert_only_watched(bench, seen.standing(bench.name), scene)
        others = {s.access for s in seen.standings if s.venue != bench.name}
        shared = any(contract.address in s.why for s in seen.standings if s.venue != bench.name)
        assert shared or others <= {Access.FULL}
        node.request("anvil_setCode", contract.address, code)
        node.mine()
    assert scene.see(eye).standing(bench.name).access is Access.FULL


def _assert_only_watched(bench: Bench, standing: Standing, scene: Scene) -> None:
    state = scene.read()
    for action in bench.actions(state):
        with pytest.raises(PlanInfeasible, match="read-only"):
            require_allowed(action, state, standing)
    snapshot = replace(scene.see(scene.eye()), standings=(standing,))
    planned = permitted(snapshot)
    assert (planned.venue(bench.name).offers, planned.venue(bench.name).margins) == ((), ())
    assert planned.positions == snapshot.positions


def test_contracts_that_break_leave_the_book_as_it_was_last_read(scene: Scene) -> None:
    bench, node = scene.bench, scene.bench.node
    eye = scene.eye()
    first = scene.see(eye)
    places = places_of(scene.deployment.venues[bench.name])
    for address, place in places.items():
        if "token" not in place:  # a wallet whose tokens do not answer cannot be told by anybody
            node.request("anvil_setCode", address, "0xfe")
    node.mine()
    standing = scene.see(eye).standing(bench.name)
    assert standing.access is Access.WATCH
    assert f"as it was at block {first.block.number}" in standing.why
    assert scene.see(eye).venue(bench.name) == first.venue(bench.name)


def test_longer_answers_make_it_read_only_and_it_is_read_all_the_same(scene: Scene) -> None:
    bench, block = scene.bench, scene.block()
    recorder = Recorder(bench.node.url)
    state = read_one(recorder, block, scene.venue.read(bench.account, block))
    recorder.close()
    lengths: dict[str, set[int]] = {}
    for call, _, answer in recorder.asked:
        if answer.ok and call.label:
            lengths.setdefault(call.label, set()).add(len(answer.data) // 32)
    fixed = {label: min(sizes) for label, sizes in lengths.items() if len(sizes) == 1 and min(sizes) > 0}
    assert fixed
    known = scene.deployment.manifest(bench.name).model_copy(update={"words": fixed})
    assert scene.see(scene.eye(known)).standing(bench.name).access is Access.FULL
    label = max(fixed, key=lambda name: fixed[name])
    node = Lengthened(bench.node.url, label, {call.target for call, _, _ in recorder.asked})
    eye = scene.eye(known)
    seen = replace(eye, rpc=node).see(bench.account, block)
    node.close()
    standing = seen.standing(bench.name)
    assert (standing.access, standing.drifts) == (
        Access.WATCH,
        (f"{label} answers {fixed[label] + 1} words, not {fixed[label]}",),
    )
    assert seen.venue(bench.name) == state


def test_the_way_out_of_a_closing_venue_closes_what_it_says(scene: Scene) -> None:
    bench = scene.bench
    known = scene.deployment.manifest(bench.name).model_copy(update={"stage": Stage.CLOSE_ONLY})
    snapshot = scene.see(scene.eye(known))

    def write(action: Action) -> Order:
        return scene.venue.write(scene.read(), action, bench.account, DEADLINE_S)

    found = exit_of(snapshot, bench.name, Policy(), write)
    held = {p.key: p.size_wad for p in snapshot.venue(bench.name).positions if p.size_wad}
    closed: dict[str, int] = {}
    for step in found.steps:
        assert step.refusal == "", step
        assert isinstance(step.action, Trade | Reduce)
        closed[step.key] = closed.get(step.key, 0) + abs(step.action.size_wad)
    assert set(closed) <= set(held)
    for key, size_wad in held.items():
        assert closed.get(key, 0) == abs(size_wad) or any(key in left for left in found.left), key
    for step in found.steps:
        scene.carry_out(write(step.action))
    after = {p.key: p.size_wad for p in scene.read().positions}
    for key, size_wad in closed.items():
        assert abs(held[key]) - abs(after.get(key, 0)) == size_wad, key


@pytest.mark.parametrize("stage", [Stage.CLOSE_ONLY, Stage.ENDED])
def test_a_venue_that_closes_is_only_reduced(scene: Scene, stage: Stage) -> None:
    bench = scene.bench
    known = scene.deployment.manifest(bench.name).model_copy(update={"stage": stage})
    assert isinstance(known, Manifest)
    snapshot = scene.see(scene.eye(known))
    standing, state = snapshot.standing(bench.name), snapshot.venue(bench.name)
    assert standing.access is (Access.REDUCE if stage is Stage.CLOSE_ONLY else Access.LEAVE)
    planned = permitted(snapshot).venue(bench.name)
    for offer in planned.offers:
        held = sum(p.size_wad for p in state.positions if p.instrument.market == offer.market)
        assert offer.max_buy_wad <= max(0, -held)
        assert offer.cash_token is not None or offer.max_sell_wad <= max(0, held)
    for action in bench.actions(state):
        if isinstance(action, Trade):
            held = sum(p.size_wad for p in state.positions if p.instrument.market == action.market)
            is_spot = any(o.cash_token for o in bench.offers(state) if o.market == action.market)
            reduces = held * action.size_wad < 0 and abs(action.size_wad) <= abs(held)
            is_allowed = action.size_wad < 0 if is_spot else reduces
        else:
            is_allowed = stage is Stage.CLOSE_ONLY or not isinstance(action, AddCollateral)
        if is_allowed:
            require_allowed(action, state, standing)
        else:
            with pytest.raises(PlanInfeasible, match=stage.value):
                require_allowed(action, state, standing)
