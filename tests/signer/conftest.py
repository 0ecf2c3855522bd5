"""One token for the session: a driver reads its settings once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.signer.bench import KINDS, Bench, Hsm, bench, softhsm


@pytest.fixture(scope="session")
def lazy_hsm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Hsm]:
    made: list[Hsm] = []

    def get() -> Hsm:
        if not made:
            made.append(softhsm(tmp_path_factory.mktemp("hsm")))
        return made[0]

    return get


@pytest.fixture(scope="session")
def hsm(lazy_hsm: Callable[[], Hsm]) -> Hsm:
    return lazy_hsm()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.replace(" ", "-"))
def any_bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lazy_hsm: Callable[[], Hsm]
) -> Iterator[Bench]:
    with bench(request.param, tmp_path_factory.mktemp("bench"), lazy_hsm) as found:
        yield found
