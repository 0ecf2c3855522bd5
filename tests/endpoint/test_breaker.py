"""The circuit as a state machine, against a model of what has been said to it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from agent.chain.breaker import Breaker, BreakerPolicy, Permit, State

POLICY = BreakerPolicy(faults=3, wait_s=1.0, max_wait_s=8.0)


class Circuit(RuleBasedStateMachine):
    """Asks, answers, faults, lies and time, in any order, also late."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(POLICY)
        self.now_s = 0.0
        self.probe: Permit | None = None
        self.row = 0
        self.is_cut = False

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(target=permits, urgent=st.booleans())
    def ask(self, urgent: bool) -> Permit | None:
        before, rest_s = self.breaker.state, self.breaker.rest_s(self.now_s)
        permit = self.breaker.admit(self.now_s, is_urgent=urgent)
        expected = before is State.CLOSED or (before is State.OPEN and (urgent or rest_s == 0))
        assert (permit is not None) == expected
        if before is State.OPEN and permit is not None:
            self.probe = permit
            assert self.breaker.admit(self.now_s, is_urgent=True) is None  # exactly one
        return permit

    @rule(permit=permits)
    def answered(self, permit: Permit | None) -> None:
        if permit is None:
            return
        before = self.breaker.state
        self.breaker.succeed(permit)
        if before is State.HALF_OPEN:
            assert (self.breaker.state is State.CLOSED) == (permit is self.probe)
        else:
            assert self.breaker.state is before  # no late answer closes what is open

    @rule(permit=permits)
    def failed(self, permit: Permit | None) -> None:
        if permit is None:
            return
        before, faults = self.breaker.state, self.breaker.faults
        self.breaker.fail(permit, self.now_s)
        if before is State.CLOSED and self.breaker.state is State.OPEN:
            assert faults == POLICY.faults - 1
        if before is State.HALF_OPEN:
            assert (self.breaker.state is State.OPEN) == (permit is self.probe)
        if before in {State.OPEN, State.CUT_OFF}:
            assert self.breaker.state is before

    @rule(permit=permits)
    def abandoned(self, permit: Permit | None) -> None:
        if permit is None:
            return
        before = self.breaker.state
        self.breaker.abandon(permit, self.now_s)
        if before is State.HALF_OPEN and permit is self.probe:
            assert self.breaker.rest_s(self.now_s) == 0

    @rule()
    def lied(self) -> None:
        before = self.breaker.state
        self.breaker.trip(self.now_s)
        assert self.breaker.state is (State.CUT_OFF if before is State.CUT_OFF else State.OPEN)
        assert before is State.CUT_OFF or self.breaker.rest_s(self.now_s) == pytest.approx(8)

    @rule(sure=st.integers(0, 9))
    def is_foreign(self, sure: int) -> None:
        if sure == 0:
            self.breaker.cut_off()
            self.is_cut = True

    @invariant()
    def cut_off_is_for_good_and_no_rest_is_longer_than_the_longest(self) -> None:
        assert (self.breaker.state is State.CUT_OFF) == self.is_cut
        assert self.breaker.rest_s(self.now_s) <= POLICY.max_wait_s + 1e-9


TestCircuit = Circuit.TestCase
TestCircuit.settings = settings(max_examples=60, stateful_step_count=30)


def test_the_rest_doubles_while_probes_fail_and_starts_anew_after_one_that_did_not() -> None:
    breaker, now_s, rests = Breaker(POLICY), 0.0, []
    for _ in range(POLICY.faults):
        permit = breaker.admit(now_s)
        assert permit is not None
        breaker.fail(permit, now_s)
    for _ in range(5):
        rests.append(breaker.rest_s(now_s))
        now_s += rests[-1]
        permit = breaker.admit(now_s)
        assert permit is not None
        breaker.fail(permit, now_s)
    assert rests == [1, 2, 4, 8, 8]
    now_s += 8
    permit = breaker.admit(now_s)
    assert permit is not None
    breaker.succeed(permit)
    assert (breaker.state, breaker.faults) == (State.CLOSED, 0)
    for _ in range(POLICY.faults):
        permit = breaker.admit(now_s)
        assert permit is not None
        breaker.fail(permit, now_s)
    assert breaker.rest_s(now_s) == 1


@pytest.mark.parametrize("good_after", [0, 1, 2])
def test_only_faults_in_a_row_open_it(good_after: int) -> None:
    breaker = Breaker(POLICY)
    for turn in range(10):
        permit = breaker.admit(0.0)
        assert permit is not None
        if turn % (good_after + 1) == good_after:
            breaker.succeed(permit)
        else:
            breaker.fail(permit, 0.0)
    assert breaker.state is State.CLOSED
