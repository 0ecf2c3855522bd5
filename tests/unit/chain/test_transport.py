"""Faults of the wire, against a server that misbehaves on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from agent.chain.rpc import Rpc
from agent.chain.transport import redacted
from agent.errors import (
    ConfigInvalid,
    DecodeMismatch,
    EvenkeelError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
)

Reply = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """An HTTP server that answers each POST with the next reply and counts what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.connections: set[int] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append(body)
                outer.headers.append(dict(self.headers))
                outer.connections.add(self.client_address[1])
                outer.replies.pop(0)(self, body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def says(body: bytes | object, status: int = 200, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)

    def reply(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return reply


def hangs_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def stops_halfway(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"jsonrpc"')
    hangs_up(handler, b"")


def sleeps(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    time.sleep(0.5)


def drips(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _turn in range(100):
            handler.wfile.write(b"1\r\n \r\n")
            time.sleep(0.05)
    handler.close_connection = True


OK = says({"jsonrpc": "2.0", "id": 0, "result": "0x7a69"})


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (hangs_up, RpcUnavailable),
        (stops_halfway, RpcUnavailable),
        (sleeps, RpcTimeout),
        (drips, RpcTimeout),
        (says(b"<html>bad gateway</html>", status=502), RpcUnavailable),
        (says(b"", status=401), RpcUnavailable),
        (says({"message": "no such key"}, status=403), RpcUnavailable),
        (says(b"slow down", status=429, Retry_After="7"), RateLimited),
        (says({"id": 0, "error": {"code": -32005, "message": "rate limit exceeded"}}), RateLimited),
        (says(b"<html>hello</html>"), DecodeMismatch),
        (says([]), DecodeMismatch),
        (says({"jsonrpc": "2.0", "id": 0}), DecodeMismatch),
        (says({"id": 0, "result": 31337}), DecodeMismatch),
        (says({"id": 0, "result": "0x"}), DecodeMismatch),
        (says({"id": 0, "error": {"code": -32601, "message": "the method does not exist"}}), RpcRejected),
        (says({"id": 0, "error": {"code": -32000, "message": "x"}}, status=400), RpcRejected),
    ],
)
def test_each_fault_has_its_own_error_and_nothing_is_sent_twice(
    server: Server, reply: Reply, error: type[EvenkeelError]
) -> None:
    server.replies = [reply, OK]
    rpc = Rpc(server.url, timeout_s=0.2)
    began = time.monotonic()
    with pytest.raises(error):
        rpc.chain_id()
    assert time.monotonic() - began < 1
    assert len(server.bodies) == 1
    assert rpc.chain_id() == 31337  # and the session goes on


def test_a_rate_limit_says_how_long_to_wait(server: Server) -> None:
    server.replies = [says(b"", status=429, Retry_After="7")]
    with pytest.raises(RateLimited, match="wait 7 s"):
        Rpc(server.url).chain_id()


def test_the_connection_is_kept_and_renewed_when_the_server_ended_it(server: Server) -> None:
    server.replies = [OK, OK, says({"id": 0, "result": "0x1"}, Connection="close"), OK]
    rpc = Rpc(server.url)
    assert [rpc.chain_id(), rpc.chain_id()] == [31337] * 2
    assert len(server.connections) == 1
    rpc.chain_id()
    time.sleep(0.05)
    assert rpc.chain_id() == 31337
    assert len(server.connections) == 2


def test_a_batch_is_matched_by_id_and_keeps_refusals_apart(server: Server) -> None:
    answers = [
        {"id": 1, "error": {"code": 3, "message": "execution reverted", "data": "0x"}},
        {"id": 0, "result": "0x1"},
    ]
    server.replies = [says(answers)]
    first, second = Rpc(server.url).batch([("a", ()), ("b", ())])
    assert first.unwrap() == "0x1"
    with pytest.raises(RpcRejected, match="refused b"):
        second.unwrap()


@pytest.mark.parametrize(
    "answers",
    [
        [{"id": 0, "result": "0x1"}],
        [{"id": 0, "result": "0x1"}, {"id": 0, "result": "0x1"}],
        [{"id": 0, "result": "0x1"}, {"id": 7, "result": "0x1"}],
        [{"id": 0, "result": "0x1"}, "what"],
    ],
)
def test_a_batch_with_missing_or_foreign_answers_is_refused(server: Server, answers: list[object]) -> None:
    server.replies = [says(answers)]
    with pytest.raises(DecodeMismatch):
        Rpc(server.url).batch([("a", ()), ("b", ())])


def test_a_batch_that_is_refused_as_a_whole_is_one_error(server: Server) -> None:
    server.replies = [says({"id": None, "error": {"code": -32600, "message": "batch too large"}})]
    with pytest.raises(RpcRejected, match="batch too large"):
        Rpc(server.url).batch([("a", ()), ("b", ())])


def test_an_empty_batch_asks_nothing(server: Server) -> None:
    assert Rpc(server.url).batch([]) == []
    assert server.bodies == []


def test_userinfo_becomes_a_header_and_path_and_query_are_kept(server: Server) -> None:
    server.replies = [OK]
    url = server.url.replace("http://", "http://me:p%40ss@") + "/v3/key?x=1"
    rpc = Rpc(url)
    rpc.chain_id()
    assert server.headers[0]["Authorization"] == "Basic bWU6cEBzcw=="
    assert rpc.endpoint == server.url


@pytest.mark.parametrize("url", ["", "localhost:8545", "ftp://x", "http://", "http://x:y", "http://x:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"rpc\.url"):
        Rpc(url)


def test_an_endpoint_is_shown_without_its_secrets() -> None:
    assert redacted("https://user:pw@node.example:8443/v3/KEY?token=T#f") == "https://node.example:8443"
    assert redacted("wss://node.example/KEY") == "wss://node.example"
