"""The usual hedge without the search: over random books, what it decides is what the whole search decides."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from decimal import Decimal

from agent.errors import PlanInfeasible
from agent.market.intent import Trade
from agent.market.margin import Betas, Prices
from agent.market.offer import Offer
from agent.market.position import Greeks, Position
from agent.market.request import Request
from agent.market.snapshot import Quote, Snapshot, Wallet
from agent.planning.ask import curves_of
from agent.planning.pending import NOTHING, Pending
from agent.planning.plan import Plan, plan, search
from agent.planning.policy import Policy
from agent.planning.stake import Moves
from agent.planning.swift import swift
from agent.risk.assessment import Assessment, assess
from agent.risk.limits import Bounds
from agent.risk.liquidation import solve_joint, solve_lapse
from agent.values.address import ChainId, IntentId, MarketId
from agent.values.amount import Amount, Token
from agent.values.fixed import WAD, from_float
from tests.unit.planning.book import ME, PRICE, QUOTE, State, spot, write
from tests.unit.planning.market import GAS_BLOCK, Cross, held

BOOKS, SEARCHED = 500, 120
BASE = Token(MarketId("0x00000000000000000000000000000000000000Cc"), "ETH", 18)  # type: ignore[arg-type]
POLICY = Policy(band={"ETH": Decimal(1)}, solver_ms=10_000)
BOUNDS = Bounds({"ETH": 1.0}, float(POLICY.floor_distance))
INTENT = IntentId("0x" + "ab" * 32)


@dataclass(frozen=True)
class Shaped(Cross):
    """A straight line both ways; funding by the second."""

    drain_wad_s: int = 0

    def equity_wad(self, prices: Prices, at_s: int) -> int:
        return super().equity_wad(prices, at_s) - self.drain_wad_s * (at_s - self.at_s)

    def bends(self, betas: Betas) -> tuple[int, ...]:
        return ()

    def foresight_s(self, prices: Prices, at_s: int) -> int:
        return 10**10


@dataclass(frozen=True)
class Smooth:
    """A fee, and an impact that grows with the square; any size."""

    venue: str
    fee_bps: int = 10
    impact: float = 0.0
    most_wad: int = 100 * WAD
    carry_per_day: float = 0.0
    asset: str = "ETH"
    price_wad: int = PRICE
    cash_token: Token | None = None
    need_ppm: int = 0
    is_convex: bool = True

    @property
    def market(self) -> MarketId:
        return MarketId(f"{self.venue}:0")

    @property
    def max_buy_wad(self) -> int:
        return self.most_wad

    @property
    def max_sell_wad(self) -> int:
        return self.most_wad

    def cost_wad(self, size_wad: int) -> int:
        fee = abs(size_wad) * self.price_wad // WAD * self.fee_bps // 10_000
        return fee + from_float(self.impact * (size_wad / 1e18) ** 2)

    def cash_need_wad(self, size_wad: int) -> int:
        return size_wad * self.price_wad // WAD if self.cash_token else 0

    def margin_need_wad(self, size_wad: int) -> int:
        return abs(size_wad) * self.price_wad // WAD * self.need_ppm // 10**6 + 1 if self.need_ppm else 0


@dataclass(frozen=True)
class Late(Smooth):
    """The same, filled later by a keeper."""

    wait_s: int = 60
    request_cost_wad: int = WAD // 2


@dataclass(frozen=True)
class Asking(State):
    """A venue that knows what was asked of it."""

    requests: tuple[Request, ...] = ()


def late_book(seed: int) -> tuple[Snapshot, Moves, Pending]:
    """The same books with one or two keepers among the venues; some rest, some were asked before."""
    seen, moves = book(seed)
    draw = random.Random(f"late {seed}")
    states: list[Asking] = []
    for number in range(draw.randint(1, 2)):
        name = f"late{number}"
        offer = Late(
            name,
            fee_bps=draw.choice([draw.randint(1, 40), draw.randint(30, 90)]),
            impact=draw.choice([0.0, draw.uniform(0.01, 2)]),
            most_wad=draw.choice([100 * WAD, draw.randint(1, 6) * WAD]),
            carry_per_day=draw.choice([0.0, 0.0, draw.uniform(-8, 8)]),
            is_convex=draw.random() < 0.95,
            wait_s=draw.choice([30, 300, 10**6]),
            request_cost_wad=draw.choice([0, WAD // 2, 5 * WAD]),
        )
        asked: tuple[Request, ...] = ()
        if draw.random() < 0.25:
            at_s = GAS_BLOCK.timestamp_s
            size_wad = draw.choice([-2, -1, 1, 2]) * WAD
            asked = (Request(name, "k", offer.market, "ETH", size_wad, PRICE, 0, at_s - 5, at_s + 60),)
        states.append(Asking(name, (), (), (offer,), (), requests=asked))
    requests = tuple(request for state in states for request in state.requests)
    resting = frozenset(state.offers[0].market for state in states if draw.random() < 0.2)
    pending = Pending(requests, resting=resting)
    return replace(seen, venues=(*seen.venues, *states)), moves, pending


def book(seed: int) -> tuple[Snapshot, Moves]:
    """One to four venues, safe accounts mostly, a delta inside or outside of its band."""
    draw = random.Random(seed)
    states: list[State] = []
    for number in range(draw.randint(1, 4)):
        name = f"v{number}"
        size_wad = draw.choice([0, draw.randint(-20, 20) * WAD])
        is_spot = draw.random() < 0.25
        offer: Offer = Smooth(
            name,
            fee_bps=draw.randint(1, 40),
            impact=draw.choice([0.0, draw.uniform(0.01, 1), draw.uniform(1, 8)]),
            most_wad=draw.choice([100 * WAD, 100 * WAD, draw.randint(1, 6) * WAD]),
            carry_per_day=0.0 if is_spot else draw.choice([0.0, 0.0, draw.uniform(-8, 8)]),
            cash_token=QUOTE if is_spot else None,
            need_ppm=0 if is_spot else draw.choice([0, 100_000]),
            is_convex=draw.random() < 0.95,
        )
        margin = Shaped(
            name,
            draw.choice([200_000, 20_000, 3_000]) * WAD,
            size_wad,
            -size_wad * PRICE // WAD,
            removable_wad=draw.choice([0, 50_000]) * WAD,
            drain_wad_s=draw.choice([0, 0, 10**17]),
        )
        margins = () if is_spot else (margin,)
        states.append(State(name, () if is_spot else held(name, size_wad), margins, (offer,), ()))
    quote = Quote("oracle", MarketId("oracle"), "ETH", PRICE, PRICE)
    wanted = draw.choice([draw.uniform(-6, 6), draw.uniform(-0.4, 0.4), draw.uniform(-1.2, 1.2)])
    already = sum(p.greeks.delta for state in states for p in state.positions)
    wallet = Wallet(
        10**18,
        (Amount(QUOTE, draw.choice([0, 30_000, 10**6]) * WAD), Amount(BASE, draw.choice([0, 50]) * WAD)),
    )
    rest = replace(spot(wanted - already), key=f"wallet:{BASE.address}")
    venues = (State("oracle", quotes=(quote,)), *states)
    seen = Snapshot(ChainId(1), ME, GAS_BLOCK, wallet, venues, (rest,))
    return seen, draw.choice([{}, {"ETH": draw.uniform(0, 0.05)}])


def searched(
    seen: Snapshot, judged: Assessment, moves: Moves, pending: Pending = NOTHING
) -> tuple[Plan, ...] | None:
    """The slow twin; None where it finds that nothing can be done."""
    writers = {state.venue: write for state in seen.venues}
    curves = curves_of(POLICY, None)
    try:
        return search(seen, judged, POLICY, writers, INTENT, moves, curves, time.monotonic, pending)
    except PlanInfeasible:
        return None


def test_what_is_decided_without_the_search_is_what_the_search_decides() -> None:
    decided = idle = outside = 0
    for seed in range(BOOKS):
        seen, moves = book(seed)
        judged = assess(seen, BOUNDS)
        if swift(seen, judged, POLICY, curves_of(POLICY, None), moves) is None:
            continue
        writers = {state.venue: write for state in seen.venues}
        quick = plan(seen, judged, POLICY, writers, INTENT, moves, None, time.monotonic)
        slow = searched(seen, judged, moves)
        assert quick == slow, seed
        decided += bool(quick)
        idle += not quick
        outside += bool(quick) and quick[0].pressure_bps > 0
    assert decided >= 60
    assert idle >= 40
    assert outside >= 20


def test_keepers_among_the_offers_change_nothing_of_that() -> None:
    decided = idle = 0
    for seed in range(BOOKS):
        seen, moves, pending = late_book(seed)
        judged = assess(seen, BOUNDS)
        made = swift(seen, judged, POLICY, curves_of(POLICY, None), moves, pending)
        if made is None:
            continue
        assert not pending.requests, seed
        writers = {state.venue: write for state in seen.venues}
        quick = plan(seen, judged, POLICY, writers, INTENT, moves, None, time.monotonic, pending)
        assert quick == searched(seen, judged, moves, pending), seed
        assert not any(p.naked for p in quick), seed
        decided += bool(quick)
        idle += not quick
    assert decided >= 30
    assert idle >= 30


def test_it_is_undecided_while_a_keeper_is_asked() -> None:
    asked = 0
    for seed in range(BOOKS):
        seen, moves, pending = late_book(seed)
        if not pending.requests:
            continue
        asked += 1
        judged = assess(seen, BOUNDS)
        assert swift(seen, judged, POLICY, curves_of(POLICY, None), moves, pending) is None, seed
    assert asked >= 100


def test_it_is_undecided_where_something_else_than_a_delta_is_due() -> None:
    """Every book in which the search does anything but one trade, or bids for an account's sake."""
    other = 0
    for seed in range(SEARCHED):
        seen, moves = book(seed)
        judged = assess(seen, BOUNDS)
        slow = searched(seen, judged, moves)
        if slow is not None and all(
            len(p.actions) == 1 and isinstance(p.actions[0], Trade) and p.budget_wei is None for p in slow
        ):
            continue
        other += 1
        assert swift(seen, judged, POLICY, curves_of(POLICY, None), moves) is None, seed
    assert other >= 20


def test_a_calm_book_has_no_flip_within_the_distance_and_no_lapse_within_the_time() -> None:
    calm = 0
    for seed in range(BOOKS):
        seen, _ = book(seed)
        for account in seen.margins:
            for distance, within_s in ((0.18, 14_400.0), (0.3, 3_600.0)):
                one = replace(seen, venues=(State(account.venue, (), (account,), (), ()),))
                if not assess(one, BOUNDS).is_calm(distance, within_s):
                    continue
                calm += 1
                lapse = solve_lapse(account)
                assert lapse is None or lapse.seconds > within_s
                flips = (solve_joint(account, "down"), solve_joint(account, "up"))
                assert all(flip is None or flip.distance >= distance for flip in flips)
    assert calm >= 200


def test_greeks_out_of_their_bands_are_left_to_the_search() -> None:
    policy = POLICY.model_copy(update={"gamma_band": {"ETH": Decimal("0.5")}})
    seen, moves = next(
        (seen, moves)
        for seed in range(BOOKS)
        for seen, moves in [book(seed)]
        if swift(seen, assess(seen, BOUNDS), POLICY, curves_of(POLICY, None), moves) is not None
    )
    thing = seen.wallet_positions[0]
    bent = Position(
        **{
            **{n: getattr(thing, n) for n in thing.__dataclass_fields__},
            "greeks": Greeks(thing.greeks.delta, 0.6),
        }
    )
    for own, expected in ((seen, True), (replace(seen, wallet_positions=(bent,)), False)):
        found = swift(own, assess(own, BOUNDS), policy, curves_of(policy, None), moves)
        assert (found is not None) is expected
