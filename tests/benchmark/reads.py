"""How fast positions of many real Curie accounts are read at one block, against peers and the floor.

``python -m tests.benchmark.reads``. Everybody reads ``AccountBalance.getAccountInfo`` of each account
in one market, all at one block of a node of its own, and must read the same words. Times are the best of some
runs, those of ours and of the floor in turns.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import cast

import orjson

from agent.chain.abi import parse
from agent.chain.column import SUBJECT, Column, read_table, requests_of
from agent.chain.rpc import Rpc
from agent.chain.transport import Transport
from agent.chain.wire import Line
from agent.sim.node import Node
from agent.values.address import Address
from agent.values.block import Block
from tests.benchmark import peer
from tests.benchmark.floor import Socket
from tests.benchmark.world import Stand, world

MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
INFO = {
    "type": "function",
    "name": "getAccountInfo",
    "inputs": [{"name": "trader", "type": "address"}, {"name": "baseToken", "type": "address"}],
    "outputs": [
        {
            "name": "",
            "type": "tuple",
            "components": [
                {"name": name, "type": "int256"}
                for name in ("takerPositionSize", "takerOpenNotional", "lastTwPremiumGrowthGlobalX96")
            ],
        }
    ],
}
WORDS = 3
FEW = 1_000
RUNS, PEER_RUNS = 15, 3


def measure(accounts: int = 10_000) -> dict[str, object]:
    """The figures; ``accounts`` are read as "10k", whatever their number is."""
    peer.install()
    figures: dict[str, object] = {"peers": peer.versions()}
    with world(accounts) as stand:
        place_multicall(stand.node)
        for label, count in (("1k", FEW), ("10k", accounts)):
            figures |= _measured(stand, stand.accounts[:count], label)
    few = cast(float, figures["reads_1k_us_per_account"])
    figures["reads_cost_10k_vs_1k"] = cast(float, figures["reads_10k_us_per_account"]) / few
    return figures


def place_multicall(node: Node) -> None:
    """Multicall3 where it is on every chain; its code is what the peer brings along."""
    code = str(peer.ask("multicall_py", "code")["value"])
    node.set_code(MULTICALL3, bytes.fromhex(code.removeprefix("0x")))
    node.mine()


def column(stand: Stand) -> Column:
    """What everybody reads of every account."""
    curie = stand.deployment.curie
    if curie is None:
        raise ValueError("the world has no Curie")
    function = parse("curie", "the benchmark", [INFO])["getAccountInfo"]
    market = Address(curie.markets[0].address)
    return Column(Address(curie.account_balance), function, (SUBJECT, market), WORDS)


def _measured(stand: Stand, accounts: Sequence[Address], label: str) -> dict[str, object]:
    line = Line(Transport(stand.url, 120.0))
    rpc, asked = Rpc(line, 120.0), column(stand)
    block = rpc.block("latest")
    subjects = [int(account, 16) for account in accounts]
    table = read_table(rpc, block, [asked], subjects)
    digest = hashlib.sha256(table.words(0).astype(">u8").tobytes()).hexdigest()
    for _ in range(5):  # each way to go on is tried before the best is known
        read_table(rpc, block, [asked], subjects)
    means = line.manner.means
    if means is None:
        raise ValueError("the endpoint offers no lens")
    calls = list(requests_of(line, means, block, [asked], subjects))
    bodies = [
        orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        for method, params in calls
    ]
    with_floor = Socket(stand.url)
    requests = with_floor.requests(bodies)
    ours, floor = _in_turns(
        lambda: read_table(rpc, block, [asked], subjects), lambda: with_floor.send(requests), RUNS
    )
    with_floor.close()
    rpc.close()
    figures: dict[str, object] = {
        f"reads_{label}_means": means.value,
        f"reads_{label}_ms": 1e3 * ours,
        f"reads_{label}_us_per_account": 1e6 * ours / len(accounts),
        f"reads_{label}_per_s": len(accounts) / ours,
        f"reads_{label}_floor_per_s": len(accounts) / floor,
        f"reads_{label}_times_floor": ours / floor,
    }
    for name in peer.NAMES:
        theirs = _peer(name, stand, asked, block, accounts, digest)
        figures[f"reads_{label}_{name}_per_s"] = len(accounts) / theirs
        figures[f"reads_{label}_vs_{name}"] = theirs / ours
    return figures


def _peer(
    name: str, stand: Stand, asked: Column, block: Block, accounts: Sequence[Address], digest: str
) -> float:
    """Its best time. Raises ValueError if it read other words than we."""
    task = {
        "rpc_url": stand.url,
        "chain_id": stand.node.chain_id(),
        "multicall": MULTICALL3,
        "target": asked.target,
        "base": asked.arguments[1],
        "block": block.number,
        "accounts": list(accounts),
        "runs": PEER_RUNS,
    }
    told = peer.ask(name, task)
    if told["digest"] != digest:
        raise ValueError(f"{name} read something else than the lens")
    return min(cast(list[float], told["seconds"]))


def _in_turns(one: Callable[[], object], other: Callable[[], object], runs: int) -> tuple[float, float]:
    best = [float("inf"), float("inf")]
    for _ in range(runs):
        for index, work in enumerate((one, other)):
            began = time.perf_counter()
            work()
            best[index] = min(best[index], time.perf_counter() - began)
    return best[0], best[1]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000), indent=2))
