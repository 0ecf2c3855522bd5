"""The program that stands in for solc, and what happens when something is missing or wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import orjson
import pytest
from solcx.exceptions import SolcError

from agent.errors import ToolMissing
from agent.sim import compiler
from agent.sim.compiler import SOLC_VERSION, compile_contracts, solc_program
from agent.sim.toolchain import Toolchain


def write(root: Path, text: str) -> Path:
    (root / "src").mkdir()
    (root / "src" / "One.sol").write_text(text)
    return root


def test_the_program_answers_its_version_as_solc_does(toolchain: Toolchain) -> None:
    with solc_program(toolchain.root) as program:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1].startswith(f"Version: {SOLC_VERSION}+commit.")


def test_the_program_is_gone_after_use(toolchain: Toolchain) -> None:
    with solc_program(toolchain.root) as program:
        assert program.is_file()
    assert not program.parent.exists()


def test_the_program_answers_standard_json_and_nothing_else(toolchain: Toolchain) -> None:
    with solc_program(toolchain.root) as program:
        done = subprocess.run(
            [program, "--standard-json", "--allow-paths", "x"],
            input=b'{"language":"Solidity","sources":{}}',
            capture_output=True,
            check=True,
        )
        assert set(orjson.loads(done.stdout)) >= {"errors"}
        refused = subprocess.run([program, "--bin"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "--bin" in refused.stderr


def test_a_folder_without_solc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=SOLC_VERSION), solc_program(tmp_path):
        pass


def test_another_version_of_solc_is_refused(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "SOLC_VERSION", "0.8.29")
    with pytest.raises(ToolMissing, match=r"0\.8\.29"):
        compile_contracts(toolchain.root, write(tmp_path, "contract One {}"))


def test_a_source_that_does_not_compile_is_named(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(SolcError, match=r"src/One\.sol"):
        compile_contracts(toolchain.root, write(tmp_path, "contract One { oops }"))


def test_interfaces_and_libraries_are_no_artifacts(toolchain: Toolchain, tmp_path: Path) -> None:
    write(tmp_path, "interface Two {} abstract contract Three {} contract One {}")
    (tmp_path / "src" / "libraries").mkdir()
    (tmp_path / "src" / "libraries" / "Four.sol").write_text("library Four {}")
    assert list(compile_contracts(toolchain.root, tmp_path)) == ["One"]
