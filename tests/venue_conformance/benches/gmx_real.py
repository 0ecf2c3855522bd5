"""GMX's own bytecode from its published records: a long of ether backed by dollars, a short of bitcoin backed
by bitcoin.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.sim.anvil import Anvil
from agent.values.address import Address
from agent.values.fixed import WAD
from tests.gmx import FLOAT, GENESIS_S
from tests.real.gmx import options, real_world
from tests.venue_conformance.bench import Street
from tests.venue_conformance.benches.gmx import GmxBench

VARIABLE = "GMX_DEPLOYMENTS"
FOLDER = os.environ.get(VARIABLE, "")
NEEDS = "" if FOLDER else f"set {VARIABLE} to a folder of GMX's published deployment records of one chain"


@contextmanager
def bench(street: Street) -> Iterator[GmxBench]:
    with Anvil(street.toolchain.anvil, options(GENESIS_S)) as node:
        world = real_world(node, Path(FOLDER))
        ether, bitcoin = (Address(market.address) for market in world.deployment.markets[:2])
        for token, amount in (("USDC", 500_000 * 10**6), ("WETH", 100 * WAD), ("WBTC", 5 * 10**8)):
            world.give(world.user, token, amount)
        crowd = [Address(str(a)) for a in node.request("eth_accounts")[5:9]]  # type: ignore[index]
        for index, account in enumerate(crowd):
            market, is_long = (ether, bitcoin)[index // 2], index % 2 == 0
            dollars = 700_000 if is_long else 400_000
            world.open(account, market, "USDC", 200_000 * 10**6, dollars * FLOAT, is_long=is_long)
        world.open(world.user, ether, "USDC", 12_000 * 10**6, 40_000 * FLOAT, is_long=True)
        world.open(world.user, bitcoin, "WBTC", 5 * 10**7, 60_000 * FLOAT, is_long=False)
        node.warp(3_600 * 7 + 11)
        yield GmxBench(world)
