"""`make fork`: `evenkeel fork` on every live chain for which an archive node is given.

ARBITRUM_RPC_URL, ETHEREUM_RPC_URL, OPTIMISM_RPC_URL: the nodes. FORK_ACCOUNT: whom the dry run looks at.
Writes out/fork/summary.json and one folder per chain. 0: the agent kept the account on every fork; 2: no node
is given, or one keeps no old state; else the code of the first that failed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from agent.cli.command import run

CHAINS = {"arbitrum": "ARBITRUM_RPC_URL", "ethereum": "ETHEREUM_RPC_URL", "optimism": "OPTIMISM_RPC_URL"}
OUT = Path("out/fork")
NOTHING_GIVEN = 2


def main(environment: Mapping[str, str], out: Path = OUT) -> int:
    """The exit code of all."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    given = {chain: environment[name] for chain, name in CHAINS.items() if environment.get(name)}
    codes = {chain: _fork(chain, url, environment, out) for chain, url in given.items()}
    if not given:
        print(
            "make fork needs an archive node of a live chain: set "
            f"{' or '.join(CHAINS.values())} to its address. Nothing was run.",
            file=sys.stderr,
        )
    code = next((code for code in codes.values() if code), 0) if given else NOTHING_GIVEN
    summary = {
        "name": "fork",
        "passed": code == 0,
        "exit_code": code,
        "seconds": round(time.monotonic() - began, 1),
        "needs": [] if given else list(CHAINS.values()),
        "chains": {chain: {"exit_code": codes[chain], **_told(out / chain)} for chain in given},
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return code


def _fork(chain: str, url: str, environment: Mapping[str, str], out: Path) -> int:
    (out / chain / "summary.json").unlink(missing_ok=True)
    argv = ["fork", "--rpc", url, "--out", str(out / chain)]
    for option, name in (
        ("--account", "FORK_ACCOUNT"),
        ("--deployment", "FORK_DEPLOYMENT"),
        ("--depth", "FORK_DEPTH"),
    ):
        if environment.get(name):
            argv += [option, environment[name]]
    return run(argv)


def _told(folder: Path) -> dict[str, object]:
    path = folder / "summary.json"
    found: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main(os.environ))
