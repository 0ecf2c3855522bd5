"""Compile our contracts and write their artifacts to ``abis/``.

    python scripts/build_contracts.py [TOOLCHAIN_DIR]

TOOLCHAIN_DIR contains ``node_modules`` with solc; without it the toolchain is installed first if need be.
"""

from __future__ import annotations

import sys
from pathlib import Path

from solcx.exceptions import SolcError

from agent.sim import toolchain
from agent.sim.compiler import compile_contracts

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else toolchain.install().root
    target = ROOT / "abis"
    target.mkdir(exist_ok=True)
    try:
        compiled = compile_contracts(folder, ROOT / "contracts")
    except SolcError as error:
        sys.exit(error.message)
    for name, contract in compiled.items():
        (target / f"{name}.json").write_bytes(contract.to_json())
        print(f"{name}: {len(contract.deployed_bytecode) // 2 - 1} bytes of code")


if __name__ == "__main__":
    main()
