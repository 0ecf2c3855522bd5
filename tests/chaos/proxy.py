"""Between the agent and its node: an HTTP proxy that does to requests what the network and nodes do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.chaos.worker import RPC_TIMEOUT_S

SEND = "eth_sendRawTransaction"
STICKY = 6  # requests that a lagging or a lying node serves before the good one is back
LATE_S = RPC_TIMEOUT_S + 0.1
MAX_ARMED = 10


class Proxy:
    """Arm it with kinds of faults; each hits the next request it fits, and is counted then."""

    def __init__(self, target: str) -> None:
        self.hit: Counter[str] = Counter()
        self._armed: list[str] = []
        self._sticky: list[str] = []
        self._lock = threading.Lock()
        self._node = urlsplit(target)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30
            disable_nagle_algorithm = True  # head and body leave apart, and the peer would wait with its ACK

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.handle(self, raw)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Peers that were killed in the middle of a request are the point of all this."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def arm(self, kind: str) -> bool:
        """Whether there was room; what waits too long to be met says nothing about the agent."""
        with self._lock:
            if len(self._armed) >= MAX_ARMED or self._armed.count(kind) >= 2:
                return False
            self._armed.append(kind)
            return True

    def heal(self) -> None:
        with self._lock:
            self._armed.clear()
            self._sticky.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- a request -----------------------------------------------------------------------------------

    def handle(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        body = json.loads(raw)
        methods = {item["method"] for item in (body if isinstance(body, list) else [body])}
        kind = self._take(methods)
        act = ACTS.get(kind)
        if act is not None:
            act(self, handler, raw, body)
            return
        lag, lie, fork = self._stuck(kind)
        if lag and SEND not in methods:
            raw = self._lagged(body)
        content = self.forward(raw)
        if SEND not in methods and (lie or fork):
            content = _bent(content, body, lie=lie, fork=fork)
        answer(handler, 200, content)

    def forward(self, raw: bytes) -> bytes:
        connection = HTTPConnection(self._node.hostname or "", self._node.port or 80, timeout=20)
        try:
            connection.request("POST", "/", raw, {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def _take(self, methods: set[str]) -> str:
        with self._lock:
            for kind in self._armed:
                fits = SEND in methods if kind.startswith("send") else SEND not in methods
                if kind == "read: node with another nonce":
                    fits = "eth_getTransactionCount" in methods
                if kind == "read: answers twice":
                    fits = fits and len(methods) > 1
                if fits:
                    self._armed.remove(kind)
                    self.hit[kind] += 1
                    if kind in ("read: lagging node", "read: node of another fork"):
                        self._sticky = [kind] * STICKY
                    return kind
        return ""

    def _stuck(self, kind: str) -> tuple[bool, bool, bool]:
        with self._lock:
            sticky = self._sticky.pop() if self._sticky else ""
        lag, fork = sticky == "read: lagging node", sticky == "read: node of another fork"
        return lag, kind == "read: node with another nonce", fork

    def _lagged(self, body: object) -> bytes:
        """The same question to a node that is two blocks behind."""
        number = json.loads(self.forward(b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'))
        behind = hex(max(0, int(number["result"], 16) - 2))
        text = json.dumps(body).replace('"latest"', f'"{behind}"').replace('"pending"', f'"{behind}"')
        return text.encode()


def answer(handler: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def refusal(body: object, code: int, message: str) -> bytes:
    """A JSON-RPC error; a batch is answered by one object, as nodes do."""
    number = body.get("id") if isinstance(body, dict) else None
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}).encode()


def _bent(content: bytes, body: object, *, lie: bool, fork: bool) -> bytes:
    """What a node says that is on another fork, or that counts an account's transactions otherwise."""
    asked = body if isinstance(body, list) else [body]
    told = json.loads(content)
    entries = told if isinstance(told, list) else [told]
    by_id = {entry.get("id"): entry for entry in entries}
    for item in asked:
        entry = by_id.get(item["id"], {})
        result = entry.get("result")
        if lie and item["method"] == "eth_getTransactionCount" and isinstance(result, str):
            entry["result"] = hex(int(result, 16) + 7)
        if fork and item["method"].startswith("eth_getBlockBy") and isinstance(result, dict):
            result["hash"] = "0x" + result["hash"][:1:-1]
    return json.dumps(told).encode()


Act = Callable[[Proxy, BaseHTTPRequestHandler, bytes, object], None]


def _lost(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    hang_up(handler)


def _answer_lost(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    proxy.forward(raw)
    hang_up(handler)


def _twice(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    proxy.forward(raw)
    answer(handler, 200, proxy.forward(raw))


def _taken_but(words: str) -> Act:
    def act(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
        proxy.forward(raw)
        answer(handler, 200, refusal(body, -32000, words))

    return act


def _half_open(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    time.sleep(LATE_S)
    hang_up(handler)


def _cut(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    content = proxy.forward(raw)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    hang_up(handler)


def _status(status: int, content: bytes, **headers: str) -> Act:
    def act(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
        answer(handler, status, content, **headers)

    return act


def _limited(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    answer(handler, 200, refusal(body, -32005, "daily request count exceeded, request rate limited"))


def _slow(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    time.sleep(RPC_TIMEOUT_S / 2)
    answer(handler, 200, proxy.forward(raw))


def _answers_twice(proxy: Proxy, handler: BaseHTTPRequestHandler, raw: bytes, body: object) -> None:
    """A batch with every entry of it twice."""
    told = json.loads(proxy.forward(raw))
    answer(handler, 200, json.dumps([*told, *told] if isinstance(told, list) else told).encode())


ACTS: dict[str, Act] = {
    "send: lost before the node": _lost,
    "send: answer lost after acceptance": _answer_lost,
    "send: delivered twice": _twice,
    "send: taken, answered already known": _taken_but("already known"),
    "send: taken, answered nonce too low": _taken_but("nonce too low: next nonce 7, tx nonce 6"),
    "send: taken, answered in words nobody knows": _taken_but("transaction was not propagated"),
    "send: half-open socket": _half_open,
    "send: 429": _status(429, b"{}"),
    "read: lost before the node": _lost,
    "read: answer lost": _answer_lost,
    "read: cut off in the middle": _cut,
    "read: HTTP 500": _status(500, b"internal error"),
    "read: 502 in HTML": _status(502, b"<html><h1>502 Bad Gateway</h1></html>"),
    "read: no JSON": _status(200, b"<html>maintenance</html>"),
    "read: 429": _status(429, b"slow down"),
    "read: 429 with Retry-After": _status(429, b"slow down", Retry_After="1"),
    "read: rate limit in JSON-RPC": _limited,
    "read: half-open socket": _half_open,
    "read: slow": _slow,
    "read: answers twice": _answers_twice,
}
