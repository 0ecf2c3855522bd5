"""`make fork`: the agent on a fork of a chain it did not make, and what is refused before it begins."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.chain.rpc import Rpc
from agent.errors import Misconfigured, StateMissing, ToolMissing
from agent.sim.archive import require_archive
from agent.sim.grant import balance_of, grant
from agent.sim.localnet import Localnet
from scripts.fork import CHAINS, NOTHING_GIVEN, main
from tests.told import Ask, asker

DEPTH = 20


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    return asker(capsys, monkeypatch, tmp_path)


def test_the_agent_keeps_a_new_account_on_a_fork_of_a_live_chain(chain: Localnet, tmp_path: Path) -> None:
    chain.write(tmp_path / "net")
    for _ in range(DEPTH + 1):
        chain.node.mine()
    head = chain.node.block_number()
    environment = {
        "ETHEREUM_RPC_URL": chain.url,
        "FORK_DEPLOYMENT": str(tmp_path / "net" / "deployment.json"),
        "FORK_DEPTH": str(DEPTH),
    }
    assert main(environment, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["passed"], summary["exit_code"], summary["needs"]) == (True, 0, [])
    told = summary["chains"]["ethereum"]
    assert (told["chain_id"], told["fork_block"]) == (31337, head)
    assert all(venue["sound"] and venue["access"] == "open" for venue in told["venues"])
    assert told["dry"]["simulated_gas"] > 100_000
    live = told["live"]
    assert live["status"] == 1
    assert live["delta_before"] > 3
    assert abs(live["delta_after"]) < 0.3
    assert chain.node.block_number() == head  # the chain itself saw nothing of it
    assert chain.node.request("eth_getCode", told["account"], "latest") == "0x"


def test_without_a_node_it_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main({}, tmp_path) == NOTHING_GIVEN == Misconfigured.exit_code
    told = capsys.readouterr().err
    assert [name for name in CHAINS.values() if name not in told] == []
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["passed"], summary["needs"]) == (False, list(CHAINS.values()))


def test_a_node_that_has_forgotten_old_state_is_refused(localnet: Localnet, ask: Ask, tmp_path: Path) -> None:
    """The kept chain was loaded: it has its newest state and none before."""
    localnet.write(tmp_path / "net")
    argv = ("--rpc", localnet.url, "--deployment", tmp_path / "net" / "deployment.json", "--depth", DEPTH)
    told = ask("fork", *argv, "--out", tmp_path / "out", "--json")
    assert (told.code, told.error["error"]) == (2, "StateMissing")
    assert localnet.url in str(told.error["message"])
    assert "archive" in str(told.error["message"])


@pytest.mark.parametrize(
    "words",
    [
        "missing trie node 1f2c (path ) state 0x1f2c is not available, not found",
        "state already discarded",
        "project ID does not have access to archive state",
    ],
)
def test_every_way_to_say_that_state_is_gone_is_heard(chain: Localnet, words: str) -> None:
    for _ in range(DEPTH + 1):
        chain.node.mine()
    with forgetful(chain.url, words) as url:
        rpc = Rpc(url)
        assert rpc.balance(chain.book.account) > 0
        with pytest.raises(StateMissing, match=words[:20]):
            require_archive(rpc, depth=DEPTH)
        rpc.close()


def test_a_node_with_all_its_state_passes(chain: Localnet) -> None:
    for _ in range(DEPTH + 1):
        chain.node.mine()
    rpc = Rpc(chain.url)
    assert require_archive(rpc, chain.book.account, DEPTH) == rpc.block("latest")
    rpc.close()


def test_a_chain_without_a_manifest_needs_one(localnet: Localnet, ask: Ask) -> None:
    told = ask("fork", "--rpc", localnet.url, "--json")
    assert (told.code, told.error["error"]) == (2, "ConfigInvalid")


def test_any_token_is_given_by_its_storage(chain: Localnet) -> None:
    account = chain.roles["keeper"]
    for token in (chain.lyra.quote.address, chain.curie.quote.address):
        grant(chain.node, token, account, 12_345)
        assert balance_of(chain.node, token, account) == 12_345
    with pytest.raises(ToolMissing, match="no token"):
        grant(chain.node, chain.executor.address, account, 1)


@contextmanager
def forgetful(url: str, words: str) -> Iterator[str]:
    """The node at ``url``, which knows nothing of accounts but at the newest block."""
    host = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(body)
            is_old = asked["method"] == "eth_getBalance" and asked["params"][1] != "latest"
            if is_old:
                error = {"code": -32000, "message": words}
                answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
            else:
                upstream = http.client.HTTPConnection(str(host.hostname), host.port)
                upstream.request("POST", "/", body, {"Content-Type": "application/json"})
                answer = upstream.getresponse().read()
                upstream.close()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
