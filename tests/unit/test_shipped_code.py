"""The code that the shipped manifests expect is what the published packages make at those addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.sim.anvil import Anvil
from agent.sim.fingerprint import lengths, recorded
from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO
from agent.venues.deployments import load
from agent.venues.watch import places_of
from scripts.shipped_code import FOLDER, computed, manifest_of

NOTHING = re.compile(r"(?!)")
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


UNPINNED = {  # beside tokens: of which nothing is published that their code could be computed from
    "gmx": re.compile(r"referral_storage|native_token|tokens\[\d+\]\.(address|feed)|markets\[\d+\]\.address"),
}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_address_that_is_shipped_has_a_source_and_every_contract_an_expectation(path: Path) -> None:
    deployment = load(path)
    for venue, record in deployment.venues.items():
        manifest = deployment.manifest(venue)
        for address, place in places_of(record).items():
            known = manifest.contract(address)
            assert known.source, place
            is_free = place.endswith(("_token", ".token")) or UNPINNED.get(venue, NOTHING).fullmatch(place)
            assert known.is_expected or is_free, place
            assert known.is_expected or place.endswith("_token") or "unpinned" in manifest.note, place
            assert known.basis or not known.is_expected, place
        assert dict(manifest.words) == lengths(venue)
