"""Whose turn it is: never more than the rate, rescues first, nobody left out. The clock is ours."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chain.bucket import PASSED_SHARE, PATIENCE_S, Bucket, Ticket
from agent.chain.limiter import MAX_HOLD_S, Limiter
from agent.chain.priority import Priority, current, priority

RESCUE, NORMAL, SCAN = Priority.RESCUE, Priority.NORMAL, Priority.SCAN
ARRIVALS = st.lists(
    st.tuples(st.sampled_from(Priority), st.integers(1, 30), st.floats(0, 3)), min_size=1, max_size=40
)


def run_dry(bucket: Bucket, now_s: float, step_s: float = 0.1, span_s: float = 60.0) -> list[Ticket]:
    """Let time pass; who went, in order."""
    went: list[Ticket] = []
    for turn in range(int(span_s / step_s)):
        went += bucket.admit(now_s + turn * step_s)
    return went


@given(rate=st.floats(0.5, 200), burst=st.integers(1, 30), arrivals=ARRIVALS, holds=st.floats(0, 5))
def test_no_span_of_time_has_more_than_its_rate_and_one_burst(
    rate: float, burst: int, arrivals: list[tuple[Priority, int, float]], holds: float
) -> None:
    bucket, now_s = Bucket(rate, burst, 0.0), 0.0
    taken: list[tuple[float, int]] = []
    for turn, (level, cost, pause_s) in enumerate(arrivals):
        now_s += pause_s
        bucket.join(level, min(cost, bucket.largest(level)), now_s)
        if turn == 3:
            bucket.hold(now_s + holds)
        taken += [(now_s, ticket.cost) for ticket in bucket.admit(now_s)]
    waits = 0
    while (wait_s := bucket.next_s(now_s)) < float("inf"):
        now_s += wait_s
        taken += [(now_s, ticket.cost) for ticket in bucket.admit(now_s)]
        waits += 1
        assert waits < 10 * len(arrivals) + 10  # the wait it names is the one that helps
    assert len(taken) == len(arrivals)
    for first, (from_s, _) in enumerate(taken):
        total = 0
        for until_s, cost in taken[first:]:
            total += cost
            assert total <= burst + rate * (until_s - from_s) + 1e-3


@given(arrivals=st.lists(st.tuples(st.sampled_from(Priority), st.integers(1, 4)), min_size=2, max_size=12))
def test_who_waits_goes_by_priority_and_then_by_arrival(arrivals: list[tuple[Priority, int]]) -> None:
    bucket = Bucket(1000.0, 8, 0.0)
    bucket.join(RESCUE, 8, 0.0)
    bucket.admit(0.0)  # empty: everybody has to wait
    tickets = [bucket.join(level, cost, 0.0) for level, cost in arrivals]
    went = run_dry(bucket, 0.0, 0.002, 0.2)  # all within PATIENCE_S
    assert went == sorted(tickets, key=lambda ticket: ticket.priority)


def test_a_rescue_passes_a_scans_queue() -> None:
    bucket = Bucket(10.0, 10, 0.0)
    scans = [bucket.join(SCAN, 5, 0.0) for _ in range(10)]
    assert bucket.admit(0.0) == scans[:1]  # the other half of the burst is not for scans
    rescue = bucket.join(RESCUE, 4, 0.01)
    assert bucket.admit(0.01) == [rescue]
    assert run_dry(bucket, 0.01, span_s=120) == scans[1:]


def test_under_a_flood_of_rescues_a_scan_waits_but_not_for_ever_and_takes_no_more_than_a_tenth() -> None:
    bucket, now_s, went, scanned = Bucket(10.0, 10, 0.0), 0.0, 0, 0
    bucket.join(RESCUE, 10, now_s)
    bucket.admit(now_s)
    scan = bucket.join(SCAN, 2, now_s)
    for _ in range(600):
        now_s += 0.1
        for _ in range(2):  # twice what may go
            bucket.join(RESCUE, 1, now_s)
        for ticket in bucket.admit(now_s):
            went += 1
            if ticket is scan:
                assert now_s - ticket.born_s >= PATIENCE_S
                assert ticket.passed >= PASSED_SHARE * ticket.cost
                scanned += 1
                scan = bucket.join(SCAN, 2, now_s)
    assert scanned >= 5
    assert scanned * 2 <= went / 9


def test_a_hold_stops_all_but_rescues() -> None:
    bucket = Bucket(10.0, 10, 0.0)
    bucket.hold(5.0)
    normal, rescue = bucket.join(NORMAL, 1, 0.0), bucket.join(RESCUE, 1, 0.0)
    assert bucket.admit(0.0) == [rescue]
    assert bucket.soonest_s(normal, 1.0) == pytest.approx(4.0)
    assert bucket.admit(4.99) == []
    assert bucket.admit(5.0) == [normal]


@pytest.mark.parametrize("cost", [0, 6, 11])
def test_a_ticket_that_could_never_go_is_refused(cost: int) -> None:
    with pytest.raises(ValueError, match="1 to 5 tokens"):
        Bucket(10.0, 10, 0.0).join(SCAN, cost, 0.0)


class Clock:
    """Time that stands still unless told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_what_cannot_come_in_time_is_not_waited_for() -> None:
    limiter = Limiter(1.0, 2, Clock())
    assert limiter.enter(RESCUE, 2, 0.0001)
    began = time.monotonic()
    assert not limiter.enter(RESCUE, 2, 1.9)
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(("asked_s", "held_s"), [(7, 7), (0, 0), (-5, 0), (10**9, MAX_HOLD_S), (None, 1.0)])
def test_a_node_is_held_back_for_as_long_as_it_asks_within_bounds(
    asked_s: float | None, held_s: float
) -> None:
    limiter = Limiter(0.0, 1, Clock())
    limiter.refused(asked_s)
    assert limiter.held_s() == pytest.approx(held_s)


def test_a_node_that_does_not_say_how_long_is_held_back_longer_each_time_until_it_answers() -> None:
    clock = Clock()
    limiter = Limiter(0.0, 1, clock)
    holds = []
    for _ in range(7):
        limiter.refused(None)
        holds.append(limiter.held_s())
        clock.now_s += 100
    assert holds == [1, 2, 4, 8, 16, 16, 16]
    limiter.served()
    limiter.refused(None)
    assert limiter.held_s() == 1


def test_threads_get_in_by_priority_and_at_the_rate() -> None:
    limiter, order, lock = Limiter(100.0, 4), [], threading.Lock()
    assert limiter.enter(RESCUE, 4, 1.0)

    def enter(level: Priority) -> None:
        assert limiter.enter(level, 2, 5.0)
        with lock:
            order.append(level)

    threads = [threading.Thread(target=enter, args=(level,)) for level in [SCAN] * 5]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    late = threading.Thread(target=enter, args=(RESCUE,))
    late.start()
    for thread in [*threads, late]:
        thread.join(10)
    assert time.monotonic() - began >= 12 / 100 - 0.005
    assert RESCUE in order[:2]
    assert sorted(order) == [RESCUE, *[SCAN] * 5]


def test_a_priority_is_of_its_context_and_the_innermost_counts() -> None:
    seen = []
    with priority(RESCUE):
        with priority(SCAN):
            seen.append(current())
        seen.append(current())
        other = threading.Thread(target=lambda: seen.append(current()))
        other.start()
        other.join()
    assert [*seen, current()] == [SCAN, RESCUE, NORMAL, NORMAL]
