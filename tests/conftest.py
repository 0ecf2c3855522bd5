"""One toolchain and one local chain for the whole run; each test starts from the same chain state."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from agent.sim.localnet import Localnet, running
from agent.sim.toolchain import Toolchain, install
from tests.postgres import kept, own_server, server

# The suite says the same of the same code every time; HYPOTHESIS_PROFILE=explore looks for what nobody met.
settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=1_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

__all__ = ["kept", "own_server", "server"]


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """anvil, forge, solc and the protocols' artifacts; installed at first use."""
    return install()


@pytest.fixture(scope="session")
def localnet(toolchain: Toolchain) -> Iterator[Localnet]:
    """The seeded chain. Use `chain` in a test that changes anything."""
    with running(toolchain) as net:
        yield net


@pytest.fixture
def chain(localnet: Localnet) -> Iterator[Localnet]:
    """The seeded chain, rolled back when the test ends."""
    snapshot = localnet.node.snapshot()
    yield localnet
    localnet.node.set_automine(on=True)
    localnet.node.revert(snapshot)
