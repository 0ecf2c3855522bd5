"""Calls that may never come back."""

from __future__ import annotations

import threading
import time

import pytest

from agent.errors import SignerRefused, SignerUnavailable
from agent.tx.custody.deadline import MOST_WAITING, Deadline


def test_what_a_call_returns_or_raises_is_the_callers() -> None:
    deadline = Deadline("test", 10.0)
    assert deadline.run(lambda: 5) == 5

    def refuse() -> int:
        raise SignerRefused(signer="test", reason="no")

    with pytest.raises(SignerRefused):
        deadline.run(refuse)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_a_call_is_raised_where_it_was_called() -> None:
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        Deadline("test", 10.0).run(lambda: 1 // 0)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_calls_that_hang_take_a_bounded_number_of_threads_and_give_them_back() -> None:
    deadline, freed = Deadline("test", 0.05), threading.Event()
    before = threading.active_count()
    for _ in range(MOST_WAITING):
        with pytest.raises(SignerUnavailable, match="no answer within"):
            deadline.run(lambda: freed.wait(30))
    for _ in range(3):
        with pytest.raises(SignerUnavailable, match="have not come back"):
            deadline.run(lambda: True)
    assert threading.active_count() - before <= MOST_WAITING
    freed.set()
    deadline.timeout_s = 10.0
    assert [deadline.run(lambda: True) for _ in range(2 * MOST_WAITING)] == [True] * (2 * MOST_WAITING)


def test_the_wait_for_a_place_counts() -> None:
    deadline = Deadline("test", 0.3)
    begun = time.monotonic()
    with pytest.raises(SignerUnavailable):
        deadline.run(lambda: time.sleep(2))
    assert time.monotonic() - begun < 1.0
