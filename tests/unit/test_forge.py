"""The tests of the contracts, run by forge: one test here for every file under ``contracts/test/``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.sim.compiler import solc_program
from agent.sim.toolchain import Toolchain

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
SUITES = sorted(path.name for path in (CONTRACTS / "test").glob("*.t.sol"))

Suite = dict[str, str | None]  # test name -> None, or why it did not pass


@pytest.fixture(scope="module")
def suites(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    """Every suite by the name of its file. Nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("forge")
    paths = {
        "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": folder / "fuzz",
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": folder / "invariant",
    }
    with solc_program(toolchain.root) as solc:
        command = [toolchain.forge, "test", "--offline", "--use", solc, "--json"]
        done = subprocess.run(
            [*command, "--out", folder / "out", "--cache-path", folder / "cache"],
            cwd=CONTRACTS,
            env={**os.environ, **{name: str(path) for name, path in paths.items()}},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    # forge answers 1 when a test fails and still prints the results; without any it could not compile.
    start = done.stdout.find("{")
    assert start >= 0, done.stdout + done.stderr
    results = json.loads(done.stdout[start:])
    found: dict[str, Suite] = {}
    for name, suite in results.items():
        file = name.partition(":")[0].rpartition("/")[2]
        found.setdefault(file, {}).update(
            {
                test: None if result["status"] == "Success" else f"{result['status']}: {result['reason']}"
                for test, result in suite["test_results"].items()
            }
        )
    return found


@pytest.mark.parametrize("file", SUITES)
def test_every_forge_test_of_the_suite_passes(
    suites: dict[str, Suite], file: str, record_property: Callable[[str, object], None]
) -> None:
    suite = suites[file]
    record_property("forge_tests", len(suite))
    print(f"{file}: {len(suite)} forge tests")
    assert suite, "forge found no test in this file"
    assert {test: reason for test, reason in suite.items() if reason is not None} == {}


def test_forge_ran_the_files_that_are_there_and_no_other(suites: dict[str, Suite]) -> None:
    assert SUITES
    assert sorted(suites) == SUITES
