"""The warm road against the cold one, on the real contracts, over blocks of a moving market.

Warm: states made of the answers that changed, options as columns, no flip solved, no search. Cold: everything
read anew, every account by its exact model, the whole search.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pytest

from agent.market.snapshot import Massed, Snapshot, is_massed
from agent.planning.ask import curves_of
from agent.planning.plan import plan, search
from agent.planning.policy import Policy
from agent.planning.swift import swift
from agent.pricing import black
from agent.risk.assessment import assess
from agent.risk.calm import is_calm
from agent.risk.greeks import by_asset
from agent.risk.liquidation import solve_joint, solve_lapse
from agent.runtime.cycle import writers
from agent.runtime.summary import assessment_json, snapshot_json
from agent.sim.toolchain import Toolchain
from agent.values.fixed import WAD, to_float
from agent.venues.lyra.state import LyraState
from tests.benchmark.book import Recording, record
from tests.benchmark.decision import Replay

BLOCKS, OPTIONS, SHORTS = 10, 30, 15
POLICY = Policy(band={"ETH": Decimal("0.05")}, min_trade=Decimal("0.001"))


@pytest.fixture(scope="module")
def recording(toolchain: Toolchain) -> Recording:
    del toolchain  # it is what the recording needs to be there
    return record(BLOCKS, OPTIONS, SHORTS)


def warm(recording: Recording) -> Iterator[tuple[Replay, Snapshot, Replay, Snapshot]]:
    """Every block seen by one who has seen all before, and by one who sees it first."""
    old = Replay(recording, POLICY)
    for number in range(BLOCKS):
        fresh = Replay(recording, POLICY)
        for _ in range(number + 1):
            block = fresh.echo.next()
        known = old.desk.eye.see(recording.account, old.echo.next())
        yield old, known, fresh, fresh.desk.eye.see(recording.account, block)


def test_what_is_seen_warm_is_what_is_seen_cold(recording: Recording) -> None:
    prices = set()
    for _, known, _, seen in warm(recording):
        assert snapshot_json(known) == snapshot_json(seen)
        assert known.margins == seen.margins
        assert known.positions == seen.positions
        prices.add(known.venue("lyra").quotes[0].index_wad)
    assert len(prices) == BLOCKS


def test_what_all_options_say_at_once_is_what_their_list_says(recording: Recording) -> None:
    for _, known, _, _ in warm(recording):
        totals = by_asset(known.positions)["ETH"]
        for greek in ("delta", "gamma", "vega"):
            assert math.fsum(known.exposures(greek)["ETH"]) == getattr(totals, greek)
        listed = {(m.collateral_kind, m.asset, m.collateral_token.address) for m in known.margins}
        assert set(known.postings) == listed


def test_greeks_in_columns_are_those_of_each_option_by_the_full_formula(recording: Recording) -> None:
    for _, known, _, _ in warm(recording):
        state = known.venue("lyra")
        assert isinstance(state, LyraState)
        market = state.standing
        by_key = {p.key: p for p in state.positions}
        for held in state.holdings:
            _, unit = black.greeks(
                held.option_type.kind,
                to_float(market.spot_wad),
                to_float(held.strike_wad),
                float(max(0, held.expiry_s - market.at_s)),
                to_float(held.vol_wad),
                market.collateral_terms.rate_wad / WAD,
            )
            size = to_float(held.amount_wad) * (-1 if held.option_type.is_short else 1)
            mine, slow = by_key[held.key].greeks, unit.scaled(size)
            for name in slow.__dataclass_fields__:
                np.testing.assert_allclose(getattr(mine, name), getattr(slow, name), rtol=1e-9, atol=1e-12)


def test_a_short_that_is_not_suspected_is_calm_by_the_exact_model(recording: Recording) -> None:
    """And the exact model's flips are where that says they are not."""
    calm = suspected = 0
    for _, known, _, _ in warm(recording):
        state = known.venue("lyra")
        assert isinstance(state, LyraState) and is_massed(state) and isinstance(state, Massed)
        market, margins = state.standing, {m.key: m for m in state.margins}
        for distance in (0.05, 0.18, 0.4, 0.6, 0.8):
            rows = state.table.suspects(
                market.collateral_terms, to_float(market.spot_wad), market.at_s, distance, 14_400.0
            )
            suspects = {state.holdings[row].key for row in rows}
            suspected += len(suspects)
            for key, account in margins.items():
                if key in suspects:
                    continue
                calm += 1
                assert is_calm(account, distance, 14_400.0), (key, distance)
            if not suspects:
                assert all(is_calm(m, distance, 14_400.0) for m in state.margins)
                assert state.is_calm(distance, 14_400.0)
        for account in list(margins.values())[:3]:
            if is_calm(account, 0.4, 14_400.0):
                flips = (solve_joint(account, "down"), solve_joint(account, "up"))
                assert all(flip is None or flip.distance >= 0.4 for flip in flips)
                lapse = solve_lapse(account)
                assert lapse is None or lapse.seconds > 14_400
    assert calm >= 300
    assert suspected >= 10


def test_the_warm_decision_is_the_cold_one_to_the_last_byte(recording: Recording) -> None:
    hedged = 0
    for old, known, fresh, seen in warm(recording):
        judged = assess(known, old.bounds)
        assert swift(known, judged, POLICY, curves_of(POLICY, None), {}) is not None
        intent = old.intent.id
        quick = plan(known, judged, POLICY, writers(old.desk, known), intent, {}, None, time.monotonic)
        cold = assess(seen, fresh.bounds)
        slow = search(
            seen, cold, POLICY, writers(fresh.desk, seen), intent, {}, curves_of(POLICY, None), time.monotonic
        )
        assert quick == slow
        hedged += bool(quick)
    assert assessment_json(judged) == assessment_json(cold)
    assert hedged >= BLOCKS // 2
