"""How long it takes to know of 10,000 real Curie accounts how far each is from liquidation.

``python -m tests.benchmark.scan``. ``scan_10k_ms`` is one whole look: logs of the block, everything of every
account read anew at its hash, margined, solved both ways, the near ones asked of the contract; the node's own
time included. ``scan_block_ms`` is a look that reads only what changed. Peak memory is of processes of their
own, one for each number of accounts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.chain.rpc import Rpc
from agent.runtime.register import Register
from agent.runtime.scan import Scan, Sighting
from agent.values.address import Address
from agent.venues.curie.crowd import CurieCrowd
from agent.venues.deployments import Deployment, load
from tests.benchmark.world import world

FEW = 1_000
RUNS = 5
TIMEOUT_S = 120.0
KIB = 1024


def measure(accounts: int = 10_000) -> dict[str, float]:
    """The figures; ``accounts`` are called "10k", whatever their number is."""
    with world(accounts) as stand, TemporaryDirectory() as folder:
        place = Path(folder) / "deployment.json"
        place.write_text(stand.deployment.model_dump_json())
        names = Path(folder) / "accounts.json"
        names.write_text(json.dumps(stand.accounts))
        given = ["--url", stand.url, "--deployment", str(place)]
        few, many = (
            _alone([*given, "--known", str(names), "--accounts", str(count)]) for count in (FEW, accounts)
        )
        found = _alone(given)
    figures = {f"scan_1k_{name}": value for name, value in few.items()}
    figures |= {f"scan_10k_{name}": value for name, value in many.items()}
    figures |= {f"discovery_{name}": value for name, value in found.items()}
    spread = (many["rss_mb"] - few["rss_mb"]) * KIB
    figures["scan_rss_kb_per_account"] = spread / (many["accounts"] - few["accounts"])
    figures["scan_cost_10k_vs_1k"] = (many["ms"] / many["accounts"]) / (few["ms"] / few["accounts"])
    return figures


def discovered(url: str, deployment: Deployment) -> dict[str, float]:
    """Everybody, from the chain's events alone, by this process."""
    rpc, venue = Rpc(url, TIMEOUT_S), _venue(deployment)
    block = rpc.block()
    began = time.perf_counter()
    register = Register(rpc, venue, deployment.chain_id)
    register.follow(block)
    ms = (time.perf_counter() - began) * 1e3
    rpc.close()
    return {"accounts": float(len(register)), "ms": ms, "rss_mb": _peak_mb()}


def looked(url: str, deployment: Deployment, accounts: Sequence[Address]) -> dict[str, float]:
    """These accounts block by block, by this process."""
    rpc, venue = Rpc(url, TIMEOUT_S), _venue(deployment)
    block = rpc.block()
    register = Register(rpc, venue, deployment.chain_id, first=block.number, done=block.number - 1)
    register.found = dict.fromkeys((int(one, 16) for one in accounts), 0)
    scan = Scan(rpc, venue, register, judged_every=1)
    cold = scan.look(block)
    whole = min((_again(rpc, scan) for _ in range(RUNS)), key=lambda seen: seen.times.total_s)
    scan.judged_every = 10**9
    change = min((_again(rpc, scan) for _ in range(RUNS)), key=lambda seen: seen.times.total_s)
    rpc.close()
    if len(whole.mistaken) or whole.missed or not len(whole.order):
        raise ValueError(f"{len(whole.mistaken)} mistaken, {whole.missed} missed")
    times = whole.times
    return {
        "accounts": float(len(whole.subjects)),
        "ms": times.total_s * 1e3,
        "node_and_decode_ms": times.read_s * 1e3,
        "solve_ms": times.solve_s * 1e3,
        "verdicts_ms": times.verdicts_s * 1e3,
        "events_ms": times.events_s * 1e3,
        "block_ms": change.times.total_s * 1e3,
        "first_ms": cold.times.total_s * 1e3,
        "rss_mb": _peak_mb(),
    }


def _venue(deployment: Deployment) -> CurieCrowd:
    if deployment.curie is None:
        raise ValueError("the deployment has no Curie")
    return CurieCrowd(deployment.curie)


def _peak_mb() -> float:
    # not of getrusage, which a child begins with its parent's peak
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / KIB


def _again(rpc: Rpc, scan: Scan[object]) -> Sighting:
    """A look at the next block."""
    rpc.request("evm_mine")
    return scan.look(rpc.block())


def _alone(given: Sequence[str]) -> dict[str, float]:
    """In a process of its own."""
    words = [sys.executable, "-m", "tests.benchmark.scan", *given]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.scan", description=__doc__)
    parser.add_argument("--url", help="a node; without it a world is built")
    parser.add_argument("--deployment", type=Path)
    parser.add_argument("--known", type=Path, help="the accounts; without it they are looked for")
    parser.add_argument("--accounts", type=int, default=10_000)
    given = parser.parse_args(argv)
    if given.url is None:
        print(json.dumps(measure(given.accounts), indent=2))
    elif given.known is None:
        print(json.dumps(discovered(given.url, load(given.deployment))))
    else:
        known = json.loads(given.known.read_text())[: given.accounts]
        print(json.dumps(looked(given.url, load(given.deployment), known)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
