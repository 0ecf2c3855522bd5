"""One toolchain and one local chain for the whole run; each test starts from the same chain state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.sim.localnet import Localnet, running
from agent.sim.toolchain import Toolchain, install
from tests.postgres import kept, own_server, server

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
