"""A small chain for the lane's tests: one account, its executor, and a token that counts what happened."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from eth_keyfile.keyfile import create_keyfile_json
from eth_utils.crypto import keccak

from agent.chain.rpc import Rpc
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx.attempt import Stage
from agent.tx.channel import Channel
from agent.tx.errand import Verdict
from agent.tx.executor import Hedge, Intent, delegation_code, find_intent
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Seal
from agent.tx.lane import LanePolicy
from agent.tx.ledger import Outcome
from agent.tx.sender import Sender
from agent.tx.signer import KeystoreSigner, Signer
from agent.values.address import ZERO, Address, ChainId
from agent.values.block import Block
from agent.values.call import Call
from agent.values.check import Check, Term

# anvil's first development account; everybody knows this key
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
PASSWORD = "correct horse"
CHAIN = ChainId(31337)
SINK = Address("0x00000000000000000000000000000000000051eE")
ETHER = 10**18
POLICY = LanePolicy(FeePolicy(max_cost_wei=ETHER), confirm_depth=3)


def write_keystore(path: Path, key: bytes = KEY, password: str = PASSWORD) -> Path:
    """A v3 file with few rounds, readable by its owner only."""
    content = create_keyfile_json(key, password.encode(), kdf="pbkdf2", iterations=10)
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


@dataclass
class Agent:
    """One process's view: a sender on a journal on a node."""

    rpc: Rpc
    database: Database
    journal: Journal
    sender: Sender

    def head(self) -> Block:
        return self.rpc.block("latest")

    def intent(self) -> Intent:
        """Planned at the newest block, as the cycle does it."""
        reading = find_intent(CHAIN, self.sender.account, self.sender.epoch_hint())
        calls = next(reading)
        while True:
            answers = tuple(self.rpc.calls(calls, "latest"))
            try:
                calls = reading.send(answers)
            except StopIteration as done:
                return done.value

    def observe(self) -> tuple[Outcome, ...]:
        """One look, and everything it told is acknowledged."""
        outcomes = self.sender.observe(self.head())
        self.sender.acknowledge(outcomes)
        return outcomes

    def close(self) -> None:
        self.database.close()
        self.rpc.close()


@dataclass
class Lane:
    """The chain and where its parts are."""

    node: Node
    executor: Contract
    token: Contract
    account: Address
    keystore: Path
    folder: Path
    agents: list[Agent] = field(default_factory=list)
    keep: Callable[[Path], Database] = lambda path: Database(path, time.time)

    def agent(
        self,
        journal: str = "journal.db",
        url: str = "",
        policy: LanePolicy = POLICY,
        ledger: Callable[[Database], Journal] = Journal,
        wire: Callable[[str, float], Rpc] = Rpc,
        channels: Sequence[Channel] = (),
        seal: Seal | None = None,
        signer: Signer | None = None,
    ) -> Agent:
        """Another process, as far as anybody can tell."""
        rpc = wire(url or self.node.url, 5)
        database = self.keep(self.folder / journal)
        kept = ledger(database)
        key = signer or KeystoreSigner(self.keystore, PASSWORD)
        sender = Sender(rpc, key, kept, CHAIN, self.executor.address, policy, channels, seal)
        made = Agent(rpc, database, kept, sender)
        self.agents.append(made)
        return made

    def hedge(self, agent: Agent, life_s: int = 600, amount: int = 1) -> Hedge:
        """Mints ``amount`` to the sink: the effect that is counted."""
        mint = Call(self.token.address, self.token.encode("mint", SINK, amount), label="token.mint")
        return Hedge(agent.intent(), agent.head().timestamp_s + life_s, (mint,), (), ())

    def effects(self) -> int:
        """How much reached the sink, from the chain itself."""
        return self.token.integer("balanceOf", SINK)

    def nonce(self) -> int:
        return int(str(self.node.request("eth_getTransactionCount", self.account, "latest")), 16)

    def delegate(self) -> None:
        self.node.set_code(self.account, delegation_code(self.executor.address))

    def reorg(self, depth: int) -> None:
        """The last ``depth`` blocks are replaced by empty ones; their transactions are in no pool."""
        self.node.request("anvil_reorg", depth, [])

    def drop(self, tx_hash: str) -> None:
        """The pool forgets it."""
        self.node.request("anvil_dropTransaction", tx_hash)


def kinds(outcomes: tuple[Outcome, ...]) -> list[tuple[Stage, Verdict]]:
    return [(outcome.stage, outcome.verdict) for outcome in outcomes]


def settle(lane: Lane, agent: Agent, blocks: int = 8) -> list[tuple[Stage, Verdict]]:
    """Mine and look until nothing is in flight; what happened on the way."""
    seen: list[tuple[Stage, Verdict]] = []
    for _ in range(blocks):
        lane.node.mine()
        seen += kinds(agent.observe())
        if not agent.sender.in_flight():
            return seen
    raise AssertionError(f"still in flight: {agent.sender.in_flight()}")


def minted(lane: Lane, lower: int, upper: int) -> Check:
    """A bound on what the sink holds."""
    term = Term(lane.token.address, lane.token.encode("balanceOf", SINK))
    return Check("sink holds", (term,), lower, upper)


@contextmanager
def running(toolchain: Toolchain, folder: Path) -> Iterator[Lane]:
    """A fresh chain that mines only when told to."""
    options = AnvilOptions(automine=True, interval_s=12, accounts=3)
    with Anvil(toolchain.anvil, options) as node:
        chain = Chain(node)
        keystore = write_keystore(folder / "key.json")
        account = KeystoreSigner(keystore, PASSWORD).address
        other = str(node.request("eth_accounts")[1])  # type: ignore[index]
        executor = chain.deploy(other, own_artifact("HedgeExecutor"), ZERO)
        token = chain.deploy(account, own_artifact("MintableToken"), "Effect", "EFF", 0)
        node.set_automine(on=False)
        yield Lane(node, executor, token, account, keystore, folder)


class FaultyNode:
    """Stands between an agent and its node, and loses, refuses or repeats what it is told to."""

    def __init__(self, target: str) -> None:
        self.lost_before: set[str] = set()  # methods that never reach the node
        self.lost_after: set[str] = set()  # methods whose answer is lost
        self.refused: dict[str, tuple[int, str]] = {}  # methods refused with a code and a text
        self.repeated: set[str] = set()  # methods that reach the node twice
        self.seen: list[str] = []
        parts = urlsplit(target)
        faults = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                methods = {item["method"] for item in (body if isinstance(body, list) else [body])}
                faults.seen += sorted(methods)
                if methods & faults.lost_before:
                    self.close_connection = True
                    return
                refused = methods & faults.refused.keys()
                if refused:
                    code, text = faults.refused[refused.pop()]
                    error = {"jsonrpc": "2.0", "id": body["id"], "error": {"code": code, "message": text}}
                    self._answer(json.dumps(error).encode())
                    return
                for _ in range(2 if methods & faults.repeated else 1):
                    connection = HTTPConnection(parts.hostname or "", parts.port or 80)
                    connection.request("POST", "/", raw, {"Content-Type": "application/json"})
                    answer = connection.getresponse().read()
                    connection.close()
                if methods & faults.lost_after:
                    self.close_connection = True
                    return
                self._answer(answer)

            def _answer(self, content: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def heal(self) -> None:
        for faults in (self.lost_before, self.lost_after, self.refused, self.repeated):
            faults.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Relay:
    """Takes private transactions over HTTP and keeps them to itself until it is told to deliver."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.methods: list[str] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                (given,) = body["params"]
                raw = given["tx"] if isinstance(given, dict) else given
                relay.methods.append(body["method"])
                relay.kept.append(raw)
                result = "0x" + keccak(bytes.fromhex(raw[2:])).hex()
                content = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def deliver(self, node: Node) -> None:
        """A builder puts the newest of them into the block that is mined next."""
        node.request("eth_sendRawTransaction", self.kept[-1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
