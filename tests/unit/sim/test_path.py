"""Every seed gives a market with a crash and a gap, and the same one each time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sim.path import BASE_FEE_STEP, HOUR_S, path
from agent.values.fixed import WAD

START = 2000 * WAD


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    blocks=st.integers(60, 600),
    block_s=st.integers(5, 60),
    start=st.integers(100, 100_000),
)
def test_every_path_falls_a_quarter_within_an_hour_with_one_gap(
    seed: int, blocks: int, block_s: int, start: int
) -> None:
    script = path(seed, blocks, block_s, start * WAD)
    assert len(script.steps) == blocks + 1
    assert script.steps[0].price_wad == start * WAD
    assert script.crash >= 0.25
    assert (script.shape.end - script.shape.start) * block_s <= HOUR_S
    assert script.gap >= 0.06
    assert 0 < script.shape.start < script.shape.gap < script.shape.end < blocks
    assert all(step.price_wad % 10**10 == 0 for step in script.steps)


@pytest.mark.parametrize("seed", range(200))
def test_besides_the_gap_no_block_of_the_demo_moves_far(seed: int) -> None:
    script = path(seed, 300, 30, START)
    prices = [step.price_wad for step in script.steps]
    for n in range(1, len(prices)):
        if n != script.shape.gap:
            assert abs(prices[n] / prices[n - 1] - 1) <= 0.012


def test_the_same_seed_gives_the_same_path_and_another_seed_another() -> None:
    assert path(7, 300, 30, START) == path(7, 300, 30, START)
    assert path(7, 300, 30, START) != path(8, 300, 30, START)


@given(seed=st.integers(0, 2**32))
def test_the_base_fee_never_moves_faster_than_the_protocol_lets_it(seed: int) -> None:
    fees = [step.base_fee_wei for step in path(seed, 300, 30, START).steps]
    for before, after in pairwise(fees):
        assert abs(after - before) <= before * BASE_FEE_STEP + 1


def test_funding_changes_sign_in_the_crash() -> None:
    script = path(7, 300, 30, START)
    assert script.steps[script.shape.start].premium > 0
    assert script.steps[script.shape.end].premium < 0


def test_a_path_too_short_for_a_crash_is_refused() -> None:
    with pytest.raises(ValueError, match="60"):
        path(1, 59, 30, START)
