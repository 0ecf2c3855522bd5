"""Garbage is looked for between passes and never during one, and Python has its own way back afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from agent.runtime.collector import WHOLE_EVERY, Collector


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me = self


def knot() -> weakref.ref[Knot]:
    return weakref.ref(Knot())


def test_nothing_is_collected_in_a_pass_and_all_of_it_in_the_rest_after() -> None:
    with Collector() as collector:
        seen = [knot() for _ in range(5_000)]  # many times what would set it off
        assert all(ref() is not None for ref in seen)
        collector.rest()
        assert all(ref() is None for ref in seen)


def test_what_grows_old_before_it_is_garbage_is_found_by_a_whole_look() -> None:
    with Collector() as collector:
        thing = Knot()
        seen = weakref.ref(thing)
        for _ in range(3):
            collector.rest()
        del thing
        for _ in range(WHOLE_EVERY):
            collector.rest()
        assert seen() is None


def test_what_was_there_before_is_not_looked_at() -> None:
    with Collector():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("was_on", [True, False])
def test_afterwards_it_is_as_it_was_also_after_an_error(was_on: bool) -> None:
    try:
        if not was_on:
            gc.disable()
        with pytest.raises(RuntimeError), Collector():
            assert not gc.isenabled()
            raise RuntimeError("halt")
        assert gc.isenabled() is was_on
    finally:
        gc.enable()
