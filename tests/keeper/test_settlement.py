"""Requests to a keeper who does what he is told, well or badly, on a real chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.market.access import PermittedRequesting, permitted
from agent.market.intent import TakeBack, Trade
from agent.market.request import Phase, Request
from agent.market.standing import Access, Standing
from agent.planning.pending import NOTHING, in_calm, is_keeper, late_venues
from agent.planning.plan import plan
from agent.risk.assessment import assess
from agent.runtime.cycle import Pass, next_intent, writers
from agent.sim.toolchain import Toolchain
from agent.values.fixed import WAD
from tests.keeper.market import LateState
from tests.keeper.world import POLICY, World, fresh, world

TRIGGER = 0.15  # the band is one of the asset; beyond this share of it a hedge is due
HONEST, CROOKED = False, True


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(toolchain, tmp_path_factory.mktemp("keeper")) as made:
        yield made


@pytest.fixture
def book(shared: World, tmp_path: Path) -> Iterator[World]:
    """The account holds five of the asset: 4.8 have to be sold at once, the rest may wait."""
    with fresh(shared, tmp_path) as own:
        yield own


@pytest.fixture
def slow(shared: World, tmp_path: Path) -> Iterator[World]:
    """The same, where the firm market takes no more than two at a time."""
    with fresh(shared, tmp_path, firm_most_wad=2 * WAD) as own:
        yield own


def asked(book: World) -> Pass:
    """The agent hedges; its request is born and noticed."""
    sent = book.step()
    assert sent.sent is not None
    noticed = book.step()
    assert [turn.request.phase for turn in noticed.turns] == [Phase.REQUESTED]
    assert len(book.waiting()) == 1
    return noticed


def size_of(book: World, key: bytes) -> int:
    return int(str(book.late.call("orders", key)[1]))


def fill(book: World, share: float = 1.0, price: int = 2000, crooked: bool = HONEST) -> None:
    (key,) = book.waiting()
    size_wad = size_of(book, key)
    book.do("execute", key, size_wad if share == 1.0 else int(size_wad * share), price * WAD, crooked)


def test_both_kinds_hedge_the_same_book_and_the_band_holds_without_the_keeper(book: World) -> None:
    first = asked(book)
    plan = book.passes[0].plans[0]
    assert book.sizes() == {"late": 0.0, "firm": pytest.approx(-4.8)}
    assert book.delta() == pytest.approx(0.2)  # well inside the band, whatever the keeper does
    assert plan.naked_usd_s == 400 * (60 + POLICY.deadline_s)  # until it can be taken back, and that mined
    assert plan.delta_until_wad["ETH"] == WAD // 5 and plan.delta_after_wad["ETH"] == 0
    assert [limit.name for limit in first.assessment.limits if limit.kind == "band"] == [
        "net delta ETH",
        "net delta ETH if filled",
    ]
    fill(book)
    done = book.settled()
    assert book.delta() == pytest.approx(0)
    assert book.told() == ["requested", "executed"]
    (turn,) = [turn for one in done for turn in one.turns]
    assert [(p.name.split()[0], p.kept) for p in turn.proofs] == [("price", True), ("position", True)]


def test_what_is_pending_is_not_hedged_again(book: World) -> None:
    asked(book)
    for _ in range(3):
        done = book.step()
        assert done.plans == () and done.sent is None
        assert len(done.pending.requests) == 1
    assert book.births() == 1


def test_a_keeper_that_never_acts_loses_the_hedge_to_another_venue(book: World) -> None:
    asked(book)
    done = book.settled()
    assert book.delta() == pytest.approx(0)
    assert book.births() == 1
    assert book.told() == ["requested", "expired", "cancelled"]
    assert book.sizes() == {"late": 0.0, "firm": pytest.approx(-5)}
    legs = [[type(leg) for leg in one.chosen.actions] for one in done if one.chosen is not None]
    assert legs == [[TakeBack, Trade]]  # one transaction: never both hedges


def test_a_market_that_cancels_everything_is_left_alone_for_a_while(book: World) -> None:
    asked(book)
    for _ in range(POLICY.keeper_failures):
        book.do("cancel", book.waiting()[0], "no")
        for _ in range(3):
            book.step()
    assert book.births() == POLICY.keeper_failures
    assert book.told() == ["requested", "cancelled"] * 2
    assert book.settled(10)[-1].pending.resting
    assert book.delta() == pytest.approx(0)
    for _ in range(POLICY.keeper_rest_blocks):
        book.node.mine()
    book.hold(6)  # and then it is asked again
    book.settled(40)
    assert book.births() > POLICY.keeper_failures


def test_a_part_that_is_filled_counts_and_the_rest_is_planned_again(slow: World) -> None:
    slow.step()
    slow.step()
    (key,) = slow.waiting()
    assert size_of(slow, key) == -3 * WAD
    fill(slow, 0.5)
    done = slow.step()  # open still: what is left of it counts as on its way
    assert [(t.request.phase, t.request.pending_wad) for t in done.turns] == [
        (Phase.REQUESTED, -15 * WAD // 10)
    ]
    slow.do("cancel", key, "enough")
    slow.step()
    assert slow.told() == ["requested", "requested", "partly"]
    for _ in range(3):
        slow.step()
        for other in slow.waiting():
            slow.do("execute", other, size_of(slow, other), 2000 * WAD, HONEST)
    slow.settled()
    assert slow.delta() == pytest.approx(0)


def test_a_fill_that_comes_first_undoes_the_take_back_and_the_hedge_with_it(book: World) -> None:
    """Late and at the worst price the request allowed: nothing is hedged twice."""
    asked(book)
    (key,) = book.waiting()
    while not (done := book.look()).pending.taken:
        book.node.mine()
    assert done.sent is not None  # in the pool: take back, and trade elsewhere
    limit_wad = int(str(book.late.call("orders", key)[3]))
    size_wad = size_of(book, key)
    data = book.late.encode("execute", key, size_wad, limit_wad, HONEST)
    book.lane_chain.submit(book.keeper, book.late.address, data, tip_wei=10**12)
    book.node.mine()
    book.settled()
    assert book.told() == ["requested", "expired", "executed"]
    assert book.delta() == pytest.approx(0)
    assert book.sizes() == {"late": pytest.approx(-0.2), "firm": pytest.approx(-4.8)}


def test_a_fill_after_we_hedged_elsewhere_is_closed_again(slow: World) -> None:
    """A venue that lets nobody take anything back: past the worst case the hedge is made elsewhere, and what
    is filled after that is too much.
    """
    slow.step()
    slow.do("setLocked", True)
    (key,) = slow.waiting()
    while abs(slow.delta()) > TRIGGER:
        slow.step()
        assert len(slow.passes) < 30
    assert slow.sizes()["firm"] == pytest.approx(-5) and slow.waiting() == [key]
    slow.do("execute", key, -3 * WAD, 1999 * WAD, HONEST)
    assert slow.delta() == pytest.approx(-3)  # beyond the band on the other side
    done = slow.step()
    (trade,) = [leg for leg in done.plans[0].actions if isinstance(leg, Trade) and leg.venue == "firm"]
    assert trade.size_wad == 2 * WAD
    assert slow.delta() == pytest.approx(-1)  # inside it again in the next block
    slow.do("setLocked", False)
    slow.settled(40)
    assert slow.delta() == pytest.approx(0)


def test_a_price_beyond_the_bound_is_told_and_the_market_rests(book: World) -> None:
    asked(book)
    fill(book, price=1500, crooked=CROOKED)
    done = book.step()
    (turn,) = done.turns
    assert turn.request.phase is Phase.EXECUTED and not turn.kept
    assert [proof.kept for proof in turn.proofs] == [False, True]
    assert done.pending.resting
    book.hold(8)
    book.settled()
    assert book.births() == 1
    assert book.delta() == pytest.approx(0)


def test_a_frozen_request_is_taken_back_in_time(book: World) -> None:
    asked(book)
    book.do("freeze", book.waiting()[0], "price moved")
    frozen = book.step()
    assert [turn.request.phase for turn in frozen.turns] == [Phase.FROZEN]
    assert len(frozen.pending.requests) == 1  # it may be filled still
    book.settled()
    assert book.told() == ["requested", "frozen", "cancelled"]
    assert book.sizes() == {"late": 0.0, "firm": pytest.approx(-5)}


def test_a_frozen_request_that_is_filled_after_all_is_done(book: World) -> None:
    asked(book)
    book.do("freeze", book.waiting()[0], "price moved")
    book.step()
    fill(book)
    book.settled()
    assert book.told() == ["requested", "frozen", "executed"]
    assert book.delta() == pytest.approx(0)


def test_a_reorganised_birth_is_gone_and_comes_again_once(book: World) -> None:
    asked(book)
    book.lane.reorg(2)  # the blocks of the birth and of the look after it
    assert book.births() == 0
    gone = book.step()
    assert [turn.is_gone for turn in gone.turns] == [True]
    for _ in range(4):
        book.step()
    assert book.births() == 1
    fill(book)
    book.settled()
    assert book.told() == ["requested", "gone", "requested", "executed"]
    assert book.delta() == pytest.approx(0)


def test_a_reorganised_fill_is_pending_again(book: World) -> None:
    asked(book)
    fill(book)
    assert [turn.request.phase for turn in book.look().turns] == [Phase.EXECUTED]
    book.lane.reorg(1)
    assert book.births() == 1 and len(book.waiting()) == 1
    again = book.step()
    assert [(t.before, t.request.phase) for t in again.turns] == [(Phase.EXECUTED, Phase.REQUESTED)]
    assert again.plans == ()
    fill(book)
    book.settled()
    assert book.told() == ["requested", "executed", "requested", "executed"]
    assert book.delta() == pytest.approx(0)


@pytest.mark.parametrize("noticed", [True, False])
def test_a_crash_between_request_and_fill_loses_nothing_and_asks_nothing_twice(
    book: World, noticed: bool
) -> None:
    if noticed:
        asked(book)
    else:
        book.step()
    book.crash()
    fill(book)
    for _ in range(3):
        book.node.mine()
    book.start()
    book.settled()
    assert book.births() == 1
    assert book.told() == (["requested", "executed"] if noticed else ["executed"])
    assert book.delta() == pytest.approx(0)
    before = book.told()
    book.crash()
    book.start()
    book.step()
    assert book.told() == before  # told once, whoever asks


def test_a_crash_with_a_request_open_finds_it_open(book: World) -> None:
    asked(book)
    book.crash()
    book.start()
    done = book.step()
    assert len(done.pending.requests) == 1 and done.plans == () and done.turns == ()


def test_failures_of_an_earlier_life_count(book: World) -> None:
    asked(book)
    book.do("cancel", book.waiting()[0], "no")
    for _ in range(3):
        book.step()
    book.crash()
    book.do("cancel", book.waiting()[0], "no")
    book.start()
    assert book.settled()[-1].pending.resting
    assert book.births() == POLICY.keeper_failures


def test_without_a_limit_of_naked_exposure_no_keeper_is_asked(shared: World, tmp_path: Path) -> None:
    none = POLICY.model_copy(update={"naked_limit_usd_s": 0})
    with fresh(shared, tmp_path, policy=none) as book:
        book.settled()
        assert book.births() == 0
        assert book.sizes() == {"late": 0.0, "firm": pytest.approx(-5)}


def test_no_more_is_asked_for_than_the_limit_lets_wait(shared: World, tmp_path: Path) -> None:
    half = POLICY.model_copy(update={"naked_limit_usd_s": 36_000})  # 0.15 of one for two minutes
    with fresh(shared, tmp_path, policy=half) as book:
        asked(book)
        assert size_of(book, book.waiting()[0]) == -WAD * 15 // 100
        assert book.sizes()["firm"] == pytest.approx(-4.85)
        assert book.passes[0].plans[0].naked_usd_s == 36_000


def test_a_book_with_nothing_but_a_keeper_asks_and_says_what_is_open(shared: World, tmp_path: Path) -> None:
    wide = POLICY.model_copy(update={"naked_limit_usd_s": 10_000_000})
    with fresh(shared, tmp_path, policy=wide, firm_most_wad=0) as book:
        asked(book)
        plan = book.passes[0].plans[0]
        assert size_of(book, book.waiting()[0]) == -5 * WAD
        assert plan.naked_usd_s == 5 * 2000 * 120
        assert any("until filled" in unmet for unmet in plan.unmet)
        fill(book)
        book.settled()
        assert book.delta() == pytest.approx(0)


def test_a_turned_book_is_hedged_at_once_and_never_beyond_the_band(book: World) -> None:
    """With a sale of a fifth on its way, three of the asset are gone: what was sold is bought back."""
    asked(book)
    book.hold(2)
    book.step()
    book.node.mine()
    assert abs(book.delta()) <= float(POLICY.band["ETH"]) + 1e-9  # with nothing filled
    fill(book)
    book.settled()
    assert abs(book.delta()) <= TRIGGER
    assert Decimal(book.births()) == 1


def test_what_drifts_out_of_the_band_meanwhile_is_hedged_at_once(book: World) -> None:
    """A sale of a fifth is on its way and what is held is 0.6: that is more than may wait."""
    asked(book)
    book.hold(5.4)
    done = book.step()
    (trade,) = [leg for leg in done.plans[0].actions if isinstance(leg, Trade)]
    assert trade.venue == "firm" and trade.size_wad <= -0.4 * WAD
    assert abs(book.delta()) <= 0.2 + 1e-9
    fill(book)
    book.settled()
    assert abs(book.delta()) <= TRIGGER
    assert book.births() == 1


def test_nothing_is_said_to_be_infeasible_while_the_only_keeper_is_waited_for(
    shared: World, tmp_path: Path
) -> None:
    wide = POLICY.model_copy(update={"naked_limit_usd_s": 10_000_000})
    with fresh(shared, tmp_path, policy=wide, firm_most_wad=0) as book:
        asked(book)
        for _ in range(3):
            done = book.step()
            assert done.plans == () and done.refused == ()
        assert book.births() == 1


def test_a_closing_venue_that_settles_by_a_keeper_is_still_one(book: World) -> None:
    """What only gets smaller there gets smaller later, is naked meanwhile and asked for once."""
    asked(book)
    fill(book)
    book.settled()
    book.hold(4.65)  # sold by five: 0.35 are to be bought back, 0.2 of them where they cost least
    desk = book.desk
    snapshot = desk.eye.see(book.account, desk.eye.rpc.block("latest"))
    closing = replace(snapshot, standings=(Standing("late", Access.REDUCE),))
    seen = permitted(closing)
    (offer,) = seen.venue("late").offers
    assert is_keeper(offer) and offer.wait_s == 60
    assert (offer.max_buy_wad, offer.max_sell_wad) == (WAD // 5, 0)
    assert late_venues(seen) == {"late"}
    judged, intent = assess(snapshot, desk.bounds), next_intent(desk, snapshot.block)
    plans = plan(seen, judged, POLICY, writers(desk, closing), intent.id)
    sizes = {leg.venue: leg.size_wad / WAD for leg in plans[0].actions if isinstance(leg, Trade)}
    assert sizes == {"late": pytest.approx(0.2), "firm": pytest.approx(0.15)}
    worst = 0.2 * 2000 * 120
    assert plans[0].naked_usd_s == pytest.approx(worst, abs=1)
    state = seen.venue("late")
    assert isinstance(state, PermittedRequesting) and isinstance(state.state, LateState)
    asked_for = Request("late", "0x1", offer.market, "ETH", WAD // 10, 2100 * WAD, 0, 0, 60)
    waiting = PermittedRequesting(replace(state.state, requests=(asked_for,)), Access.REDUCE)
    assert waiting.requests == (asked_for,)
    assert [one.max_buy_wad for one in waiting.offers] == [WAD // 10]


def test_nobody_is_asked_while_prices_run(book: World) -> None:
    snapshot = book.desk.eye.see(book.account, book.desk.eye.rpc.block("latest"))
    (market,) = [offer.market for state in snapshot.venues for offer in state.offers if is_keeper(offer)]
    assert in_calm(NOTHING, snapshot, {"ETH": 0.02, "BTC": 0.5}, POLICY) is NOTHING
    assert in_calm(NOTHING, snapshot, {"ETH": 0.0201}, POLICY).resting == {market}
    head = snapshot.block.timestamp_s
    book.desk.trail.note(head - 120, {"ETH": 2050.0})
    book.step()
    book.step()
    assert book.births() == 0 and book.delta() == pytest.approx(0)


def test_a_keeper_is_asked_while_prices_run_where_there_is_nobody_else(shared: World, tmp_path: Path) -> None:
    wide = POLICY.model_copy(update={"naked_limit_usd_s": 10_000_000})
    with fresh(shared, tmp_path, policy=wide, firm_most_wad=0) as book:
        head = book.desk.eye.rpc.block("latest").timestamp_s
        book.desk.trail.note(head - 120, {"ETH": 2050.0})
        asked(book)
