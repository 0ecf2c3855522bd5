"""Every bench in `benches/`, one after the other; each test finds its chain as it was built."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest

from agent.sim.localnet import Localnet
from agent.sim.toolchain import Toolchain
from tests.venue_conformance import benches
from tests.venue_conformance.bench import Bench, Street
from tests.venue_conformance.scene import Scene

NAMES = sorted(module.name for module in pkgutil.iter_modules(benches.__path__))


@pytest.fixture(scope="module", params=NAMES)
def bench(request: pytest.FixtureRequest, toolchain: Toolchain) -> Iterator[Bench]:
    module = import_module(f"{benches.__name__}.{request.param}")
    if module.NEEDS:
        pytest.skip(f"{request.param}: {module.NEEDS}")

    def find_localnet() -> Localnet:
        found = request.getfixturevalue("localnet")
        assert isinstance(found, Localnet)
        return found

    with module.bench(Street(toolchain, find_localnet)) as built:
        snapshot = built.node.snapshot()
        yield built
        built.node.revert(snapshot)


@pytest.fixture
def scene(bench: Bench) -> Iterator[Scene]:
    snapshot = bench.node.snapshot()
    one = Scene.of(bench)
    yield one
    one.rpc.close()
    bench.node.revert(snapshot)
