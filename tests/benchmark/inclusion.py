"""How soon inclusion is noticed: `python -m tests.benchmark.inclusion`. Fails on nothing.

Ten lanes wait for one transaction each; a block with all of them is mined at a random moment. From the moment
at which the node is told to mine, the time until the receipts of all ten are known: by a head over WebSocket
and one ``eth_getBlockReceipts``. In the same run and for one of the transactions, web3.py in a process of its
own waits as it does by default, asking every 0.1 s.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from statistics import median, quantiles

from agent.chain.head import Heads
from agent.chain.rpc import Rpc
from agent.market.intent import Urgency
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.node import Node
from agent.sim.toolchain import install
from agent.tx.errand import NO_INTENT, Attempt, Errand, Purpose, Reply
from agent.tx.harvest import Harvest
from agent.tx.network import Network
from agent.tx.transaction import Fee
from agent.values.address import ChainId, TxHash, parse_address

ROUNDS, LANES = 60, 10
SINK = "0x00000000000000000000000000000000000000fe"
PEER = """
import sys, time
from web3 import Web3
w3 = Web3(Web3.HTTPProvider(sys.argv[1]))
print("ready", w3.eth.block_number, flush=True)
for line in sys.stdin:
    w3.eth.wait_for_transaction_receipt(line.strip())
    print(time.monotonic(), flush=True)
"""


@dataclass
class Lanes:
    """Waits for all lanes' receipts at every head, in a thread of its own."""

    rpc: Rpc
    accounts: list[str]
    waiting: dict[str, Errand] = field(default_factory=dict)
    known: threading.Event = field(default_factory=threading.Event)
    known_at: float = 0.0

    def follow(self, heads: Heads) -> None:
        harvest = Harvest(self.rpc)
        networks = {account: Network(self.rpc, harvest=harvest) for account in self.accounts}
        for head in heads:
            for account in list(self.waiting):
                if networks[account].sight(self.waiting[account], head).receipts:
                    del self.waiting[account]
            if not self.waiting and not self.known.is_set():
                self.known_at = time.monotonic()
                self.known.set()


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds from the order to mine until the receipts are known, and how many times sooner."""
    toolchain = install()
    with Anvil(toolchain.anvil, AnvilOptions()) as node:
        node.set_automine(on=False)
        rpc = Rpc(node.url)
        heads = Heads(rpc, [node.url.replace("http", "ws", 1)], poll_s=60.0)
        lanes = Lanes(rpc, [str(one) for one in node.request("eth_accounts")][:LANES])  # type: ignore[union-attr]
        lanes.known.set()
        threading.Thread(target=lanes.follow, args=(heads,), daemon=True).start()
        words = [sys.executable, "-c", PEER, node.url]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            try:
                found = _measured(node, lanes, peer, rounds)
            finally:
                heads.stop()
                peer.kill()
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Prints the figures as JSON."""
    print(json.dumps(measure(), indent=2))


def _measured(node: Node, lanes: Lanes, peer: subprocess.Popen[str], rounds: int) -> dict[str, float]:
    dice, ours, theirs, own = random.Random(1), [], [], []
    if peer.stdin is None or peer.stdout is None:
        raise ValueError("the peer has no pipes")
    peer.stdout.readline()  # web3 is imported
    for turn in range(-3, rounds):
        nonce = turn + 3
        lanes.waiting = {
            account: _errand(account, nonce, _send(node, account, nonce)) for account in lanes.accounts
        }
        first = lanes.waiting[lanes.accounts[0]].attempts[0].tx_hash
        lanes.known.clear()
        peer.stdin.write(first + "\n")
        peer.stdin.flush()
        time.sleep(dice.uniform(0.15, 0.35))
        began = time.monotonic()
        node.mine()
        took = time.monotonic() - began
        if not lanes.known.wait(30):
            raise ValueError("inclusion was never noticed")
        seen = float(peer.stdout.readline())
        if turn >= 0:  # the first warm up
            ours.append(1e3 * (lanes.known_at - began))
            theirs.append(1e3 * (seen - began))
            own.append(1e3 * took)
    return {
        "inclusion_notice_ms": median(ours),
        "inclusion_notice_p99_ms": quantiles(ours, n=100)[-1],
        "inclusion_web3_ms": median(theirs),
        "inclusion_web3_p99_ms": quantiles(theirs, n=100)[-1],
        "inclusion_vs_web3": median(theirs) / median(ours),
        "inclusion_mining_ms": median(own),  # of the above, the node's own
        "inclusion_lanes": float(LANES),
    }


def _send(node: Node, account: str, nonce: int) -> TxHash:
    fields = {"from": account, "to": SINK, "value": "0x1", "nonce": hex(nonce), "gas": hex(21_000)}
    return TxHash(str(node.request("eth_sendTransaction", fields)))


def _errand(account: str, nonce: int, tx_hash: TxHash) -> Errand:
    attempt = Attempt(tx_hash, Purpose.HEDGE, b"", Fee(1, 1), 21_000, 0, 0, Reply.ACCEPTED)
    return Errand(
        ChainId(31337),
        parse_address(account),
        nonce,
        Purpose.HEDGE,
        NO_INTENT,
        0,
        Urgency.NORMAL,
        0,
        attempts=(attempt,),
    )


if __name__ == "__main__":
    main()
