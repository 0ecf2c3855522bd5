"""Every short of Lyra's own contracts, judged together."""

from __future__ import annotations

import numpy as np
import pytest

from agent.chain.rpc import Rpc
from agent.risk.liquidation import solve_joint
from agent.runtime.register import Register
from agent.runtime.scan import Scan, Sighting
from agent.sim.toolchain import Toolchain
from agent.values.fixed import WAD, to_float
from agent.venues.lyra.crowd import LyraCrowd
from tests.flips.lyra_world import SPOT_WAD, World, world

SHORTS = 60
EXACT = 1e-9


def _agrees(one: World, seen: Sighting) -> int:
    """How many flips were compared with the scalar solver's; every verdict is the contract's."""
    margins = {margin.position_id: margin for margin in one.read()}
    compared = 0
    assert set(seen.subjects) == set(margins)
    for row, subject in enumerate(seen.subjects):
        margin = margins[subject]
        requirement = margin.requirement_wad(margin.prices, margin.at_s)
        assert abs(to_float(requirement) - seen.requirement[row]) <= seen.crowd.slack[row]
        assert abs(to_float(margin.collateral_wad) - seen.equity[row]) <= seen.crowd.slack[row]
        assert (seen.distance[row] == 0.0) == margin.is_liquidatable(margin.prices, margin.at_s)
        for found, way in ((seen.joint.down[row], "down"), (seen.joint.up[row], "up")):
            wanted = solve_joint(margin, way)  # type: ignore[arg-type]
            assert np.isnan(found) == (wanted is None)
            if wanted is not None:
                assert abs(found - wanted.ratio_wad / WAD) <= EXACT
                compared += 1
        if seen.order[:5].tolist().count(row):
            ratio = float(seen.joint.nearer[row])
            prices = {margin.market: int(margin.prices[margin.market] * ratio)}
            assert seen.crowd.binding(row, ratio) == margin.binding(prices, margin.at_s)
    return compared


def test_every_short_is_judged_as_the_scalar_model_and_the_contract_do(toolchain: Toolchain) -> None:
    with world(toolchain, 41, SHORTS) as one:
        rpc = Rpc(one.node.url, 60.0)
        venue = LyraCrowd(one.lyra.deployment("ETH"))
        watcher = Scan(rpc, venue, Register(rpc, venue, 31337))
        seen = watcher.look(rpc.block())
        assert _agrees(one, seen) > SHORTS // 4
        one.set_spot(SPOT_WAD * 83 // 100)
        later = watcher.look(rpc.block())
        assert later.changed == 0  # nobody's position; the price alone
        assert len(later.due) > 0
        assert not len(later.mistaken)
        assert _agrees(one, later) > SHORTS // 4
        victim = int(later.due[-1])
        key = later.subjects[victim]
        one.lyra.option_market.send(one.judge, "liquidatePosition", key, one.judge)
        after = watcher.look(rpc.block())
        assert after.changed == 1
        assert after.subjects.index(key) not in after.order
        assert set(after.due) == set(later.due) - {victim}
        rpc.close()


@pytest.mark.parametrize("seed", [42])
def test_nothing_is_missed_when_everybody_is_read_again(toolchain: Toolchain, seed: int) -> None:
    with world(toolchain, seed, 12) as one:
        rpc = Rpc(one.node.url, 60.0)
        venue = LyraCrowd(one.lyra.deployment("ETH"))
        watcher = Scan(rpc, venue, Register(rpc, venue, 31337), judged_every=1)
        watcher.look(rpc.block())
        one.node.warp(3_600)
        assert watcher.look(rpc.block()).missed == 0
        rpc.close()
