"""A sample of the storm, and proof that the storm would notice what it must never find."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from agent.sim.toolchain import Toolchain
from tests.chaos.conductor import act
from tests.chaos.fault import COMMITS, KINDS, SIDES, acts, digest, plan
from tests.chaos.proxy import FATES
from tests.chaos.script import SCRIPTS

FAULTS = 150


def test_a_plan_follows_from_its_seed_and_has_every_kind() -> None:
    assert list(islice(plan(7, 0), FAULTS)) == list(islice(plan(7, 0), FAULTS))
    assert digest(7, acts(2_000, 200)) == digest(7, acts(2_000, 200)) != digest(8, acts(2_000, 200))
    assert sum(acts(2_000, 300)) == 2_000
    for number in range(3):
        assert {fault.kind for fault in islice(plan(7, number), len(KINDS))} == set(KINDS)


def test_every_commit_is_a_place_to_be_killed_at() -> None:
    kills = [f for n in range(10) for f in islice(plan(7, n), 200) if f.kind == "kill at a commit"]
    assert {(f.detail["at"], f.detail["side"]) for f in kills} == {
        (at, side) for at in COMMITS for side in SIDES
    }


def test_every_kind_has_its_script() -> None:
    assert set(FATES) | set(SCRIPTS) == set(KINDS)
    assert not set(FATES) & set(SCRIPTS)


@pytest.mark.slow
def test_a_storm_of_every_kind_loses_doubles_and_strands_nothing(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    tally = act(toolchain.anvil, tmp_path, 3, 0, FAULTS)
    assert tally.is_clean, tally
    assert tally.faults >= FAULTS
    assert tally.intents >= 10
    missing = set(KINDS) - set(tally.by_kind)
    assert len(missing) <= 4, f"what needs luck in so short a storm: {missing}"


@pytest.mark.slow
def test_an_agent_that_drops_work_is_noticed(toolchain: Toolchain, tmp_path: Path) -> None:
    tally = act(toolchain.anvil, tmp_path, 5, 0, 20, sabotage="drops")
    assert tally.lost > 0


@pytest.mark.slow
def test_an_agent_that_forgets_its_journal_and_its_intents_is_noticed(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    tally = act(toolchain.anvil, tmp_path, 5, 0, 20, sabotage="forgets")
    assert tally.doubled > 0
