"""The code that the shipped manifests expect is what the published packages make at those addresses."""

from __future__ import annotations

import pytest

from agent.sim.anvil import Anvil
from agent.sim.fingerprint import recorded
from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO
from agent.venues.deployments import load
from agent.venues.watch import places_of
from scripts.shipped_code import FOLDER, computed, manifest_of

MANIFESTS = sorted(FOLDER.glob("*.json"))


def test_what_is_shipped_is_what_is_computed(toolchain: Toolchain) -> None:
    found = computed(toolchain)
    assert {path: load(path).manifest("uniswap") for path in found} == found


def test_what_is_computed_is_what_a_chain_makes(localnet: Localnet, toolchain: Toolchain) -> None:
    deployment = recorded(localnet.node, localnet.deployment())
    assert deployment.uniswap is not None
    with Anvil(toolchain.anvil) as node:
        weth, tier = localnet.uniswap.weth.address, (3_000, 60)
        made = manifest_of(deployment.uniswap, node, toolchain, weth, ZERO, tier)
    there = {one.address: one.code_hash for one in deployment.manifest("uniswap").contracts}
    expected = {one.address: one.code_hash for one in made.contracts if one.code_hash}
    assert len(expected) == 4
    assert {address: there[address] for address in expected} == expected


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_contract_that_is_shipped_has_a_source_and_but_for_tokens_an_expectation(path: object) -> None:
    deployment = load(path)  # type: ignore[arg-type]
    for venue, record in deployment.venues.items():
        manifest = deployment.manifest(venue)
        for address, place in places_of(record).items():
            known = manifest.contract(address)
            assert known.source, place
            # what nothing is expected of says why
            assert known.is_expected or known.basis or place.endswith(("_token", ".token")), place
            assert known.basis or not known.is_expected, place
