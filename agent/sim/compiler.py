"""Compiles our own contracts with py-solc-x, through the solc-js of the toolchain.

py-solc-x and forge want a program that behaves like solc, and the toolchain has a JavaScript module; the
program is a two-line script that is written to a temporary folder for as long as it is needed.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import orjson
import solcx

from agent.errors import ToolMissing

SOLC_VERSION = "0.8.30"
EVM_VERSION = "prague"
# Without metadata the code depends on the sources and these settings only, not on where they were compiled.
SETTINGS = {
    "evmVersion": EVM_VERSION,
    "optimizer": {"enabled": True, "runs": 1_000},
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
FOLDERS = ("src", "sim")


@dataclass(frozen=True, slots=True)
class Compiled:
    """One contract. Codes are hex with 0x; ``source`` is relative to the contracts folder."""

    name: str
    source: str
    compiler: str
    abi: list[dict[str, object]]
    bytecode: str
    deployed_bytecode: str

    def to_json(self) -> bytes:
        """The file under ``abis/``: the same bytes for the same sources and settings."""
        document = {
            "contractName": self.name,
            "source": self.source,
            "compiler": {"version": self.compiler, "settings": SETTINGS},
            "abi": self.abi,
            "bytecode": self.bytecode,
            "deployedBytecode": self.deployed_bytecode,
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@contextmanager
def solc_program(toolchain_dir: Path) -> Iterator[Path]:
    """A program that answers like solc, for py-solc-x and for ``forge --use``, while the context lasts.

    ``toolchain_dir`` contains ``node_modules``. Raises ToolMissing without node or solc-js.
    """
    modules = toolchain_dir.resolve() / "node_modules"
    node = shutil.which("node")
    if node is None:
        raise ToolMissing(tool="node", reason="it is not on PATH")
    if not (modules / "solc").is_dir():
        raise ToolMissing(tool=f"solc {SOLC_VERSION}", reason=f"{modules} has no solc")
    with (
        as_file(files("agent.sim") / "npm" / "solc.cjs") as script,
        tempfile.TemporaryDirectory(prefix="evenkeel-solc-") as folder,
    ):
        program = Path(folder) / "solc"
        program.write_text(f'#!/bin/sh\nexec {shlex.join([node, str(script), str(modules)])} "$@"\n')
        program.chmod(0o700)
        yield program


def compile_contracts(toolchain_dir: Path, sources: Path) -> dict[str, Compiled]:
    """Compile ``src/`` and ``sim/`` under ``sources``; every deployable contract by name.

    Raises ToolMissing if the toolchain has no solc or one of another version, and py-solc-x's SolcError if
    the sources do not compile.
    """
    paths = sorted(path for folder in FOLDERS for path in (sources / folder).rglob("*.sol"))
    request = {
        "language": "Solidity",
        "sources": {path.relative_to(sources).as_posix(): {"content": path.read_text()} for path in paths},
        "settings": {
            **SETTINGS,
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
        },
    }
    with solc_program(toolchain_dir) as program:
        version = solcx.wrapper.get_solc_version(program, with_commit_hash=True)
        if version.base_version != SOLC_VERSION:
            raise ToolMissing(tool=f"solc {SOLC_VERSION}", reason=f"{toolchain_dir} has {version}")
        answer = solcx.compile_standard(request, solc_binary=program)
    compiled = (
        Compiled(
            name=name,
            source=source,
            compiler=str(version),
            abi=contract["abi"],
            bytecode="0x" + contract["evm"]["bytecode"]["object"],
            deployed_bytecode="0x" + contract["evm"]["deployedBytecode"]["object"],
        )
        for source, contracts in sorted(answer["contracts"].items())
        if "/libraries/" not in source
        for name, contract in sorted(contracts.items())
        if contract["evm"]["bytecode"]["object"]
    )
    return {contract.name: contract for contract in compiled}
