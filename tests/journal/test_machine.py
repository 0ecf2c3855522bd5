"""The lane's promises, found to hold on files by thousands of runs, hold on a server as well."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from agent.proof.database import Database
from agent.proof.postgres import Postgres
from tests.postgres import Server, token
from tests.property.test_attempt import LaneMachine


def test_no_intent_happens_twice_and_none_is_forgotten_on_a_server(server: Server) -> None:
    class Machine(LaneMachine):
        def _database(self, name: str) -> Database:
            return Database(Postgres(server.url(token())), self._now_s)

    how = settings(
        max_examples=5,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Machine, settings=how)
