"""A sample of the storm, and proof that the storm would notice what it must never find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import plan
from tests.chaos.__main__ import storm
from tests.chaos.plan import KINDS, WEIGHTS
from tests.chaos.proxy import ACTS
from tests.chaos.worker import BOUNDARIES

FAULTS = 150


def test_a_plan_follows_from_its_seed_and_has_every_kind() -> None:
    for faults in (1, FAULTS, 2_000):
        kinds = plan.storm(11, faults)
        assert kinds == plan.storm(11, faults)
        assert plan.digest(kinds) != plan.digest(plan.storm(12, faults))
        assert len(kinds) >= faults
        assert set(kinds) == set(WEIGHTS) == set(KINDS)
    assert {kind.removeprefix("kill -9: ") for kind in KINDS if kind.startswith("kill")} >= set(BOUNDARIES)
    assert set(ACTS) < set(KINDS)


@pytest.mark.slow
def test_a_storm_of_every_kind_loses_doubles_and_strands_nothing(tmp_path: Path) -> None:
    result = storm(3, FAULTS, tmp_path)
    assert result.kept, result.as_json()
    assert result.faults >= FAULTS
    assert result.intents > 0
    missing = set(KINDS) - set(result.by_kind)
    # what depends on luck within so few rounds: something of ours in the last blocks, a boundary crossed
    assert len(missing) <= 8, missing


@pytest.mark.slow
def test_an_agent_that_drops_work_is_noticed(tmp_path: Path) -> None:
    result = storm(5, 20, tmp_path, sabotage=2)
    assert result.lost > 0


@pytest.mark.slow
def test_an_agent_that_does_its_work_twice_is_noticed(tmp_path: Path) -> None:
    result = storm(5, 20, tmp_path, sabotage=1)
    assert result.doubled > 0
