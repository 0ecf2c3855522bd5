"""Stands between an agent and its node and does to its requests what networks do."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from eth_utils.crypto import keccak

from tests.chaos.fault import SEND

Json = dict[str, object]
HALF_OPEN_S = 8.0  # a socket that never answers is given up by then on our side, too
TAGS = ("latest", "pending", "safe", "finalized")
# the place of the block among a method's parameters
PLACE = {
    "eth_getTransactionCount": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_simulateV1": 1,
    "eth_feeHistory": 1,
    "eth_getBlockByNumber": 0,
}


@dataclass
class Rule:
    """What happens to the next request for ``method`` ("" is any), ``times`` times. ``met`` counts."""

    kind: str
    method: str = ""
    words: str = ""
    code: int = -32000
    status: int = 0
    retry_after: str = ""
    delay_s: float = 0.0
    times: int = 1
    met: int = 0


@dataclass
class View:
    """The chain as a node sees it that stopped at block ``number``.

    ``fork``: it does not admit to it, but shows blocks of its own in their place; ``shift`` is how many
    transactions of the account it has there that nobody else has.
    """

    number: int
    head: int
    fork: bool = False
    shift: int = 0
    met: int = 0
    hashes: dict[str, str] = field(default_factory=dict)  # invented -> real


class Proxy:
    """One endpoint in front of the node at ``target``."""

    def __init__(self, target: str, *, is_relay: bool = False) -> None:
        """``is_relay``: what is sent is taken and ``kept`` from the node; somebody may deliver it."""
        parts = urlsplit(target)
        self._is_relay = is_relay
        self.kept: list[str] = []
        self._target = (parts.hostname or "", parts.port or 80)
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self.view: View | None = None
        self.raws: dict[str, str] = {}  # everything that was ever sent through here, by hash
        self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._rules = [other for other in self._rules if other is not rule]

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    # --- one connection ----------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = HTTPConnection(*self._target, timeout=30)
        reader = client.makefile("rb")
        try:
            while (body := _request(reader)) is not None and self._answer(client, upstream, body):
                pass
        except (OSError, HTTPException, ValueError):
            pass  # one side is gone, which is what happens here all the time
        finally:
            upstream.close()
            client.close()

    def _answer(self, client: socket.socket, upstream: HTTPConnection, body: bytes) -> bool:
        """Whether the connection is kept."""
        asked = json.loads(body)
        items: list[Json] = asked if isinstance(asked, list) else [asked]
        self._note(items)
        rule = self._take({str(item["method"]) for item in items})
        if rule is None:
            client.sendall(_http(self._forward(upstream, asked)))
            return True
        return FATES[rule.kind](self, client, upstream, asked, rule)

    def _note(self, items: list[Json]) -> None:
        self.requests += len(items)
        for item in items:
            if item["method"] == SEND:
                raw = str(item["params"][0])  # type: ignore[index]
                self.raws[_hash(raw)] = raw

    def _take(self, methods: set[str]) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if not rule.method or rule.method in methods:
                    rule.met += 1
                    if rule.met >= rule.times:
                        self._rules.remove(rule)
                    return rule
        return None

    def _forward(self, upstream: HTTPConnection, asked: Json | list[Json]) -> bytes:
        view = self.view
        if self._is_relay and isinstance(asked, dict) and asked["method"] == SEND:
            raw = str(asked["params"][0])  # type: ignore[index]
            self.kept.append(raw)
            return json.dumps(_result(asked, _hash(raw))).encode()
        if view is None:
            return _post(upstream, asked)
        items = asked if isinstance(asked, list) else [asked]
        answers = [_seen(view, item, lambda given: json.loads(_post(upstream, given))) for item in items]
        return json.dumps(answers if isinstance(asked, list) else answers[0]).encode()

    # --- fates -------------------------------------------------------------------------------------

    def _lost_before(self, client: socket.socket, _u: HTTPConnection, _a: Json, _r: Rule) -> bool:
        return _reset(client)

    def _lost_after(self, client: socket.socket, upstream: HTTPConnection, asked: Json, _r: Rule) -> bool:
        self._forward(upstream, asked)
        return _reset(client)

    def _delivered_twice(
        self, client: socket.socket, upstream: HTTPConnection, asked: Json, _r: Rule
    ) -> bool:
        self._forward(upstream, asked)
        client.sendall(_http(self._forward(upstream, asked)))
        return True

    def _answered_twice(self, client: socket.socket, upstream: HTTPConnection, asked: Json, _r: Rule) -> bool:
        client.sendall(2 * _http(self._forward(upstream, asked)))
        return True

    def _late(self, client: socket.socket, upstream: HTTPConnection, asked: Json, rule: Rule) -> bool:
        answer = _http(self._forward(upstream, asked))
        threading.Event().wait(rule.delay_s)
        client.sendall(answer)
        return True

    def _status(self, client: socket.socket, _u: HTTPConnection, _a: Json, rule: Rule) -> bool:
        page = f"<html><body><h1>{rule.status}</h1></body></html>".encode()
        extra = f"Retry-After: {rule.retry_after}\r\n" if rule.retry_after else ""
        client.sendall(_http(page, status=rule.status, extra=extra, kind="text/html"))
        return True

    def _half_open(self, client: socket.socket, _u: HTTPConnection, _a: Json, _r: Rule) -> bool:
        client.settimeout(HALF_OPEN_S)
        client.recv(1)  # until the other side has had enough
        return False

    def _truncated(self, client: socket.socket, upstream: HTTPConnection, asked: Json, _r: Rule) -> bool:
        whole = _http(self._forward(upstream, asked))
        client.sendall(whole[: len(whole) - len(whole) // 4])
        return False

    def _garbage(self, client: socket.socket, upstream: HTTPConnection, asked: Json, _r: Rule) -> bool:
        self._forward(upstream, asked)
        client.sendall(_http(b'{"jsonrpc": "2.0", "id": 0, "result": <maintenance>', kind="text/html"))
        return True

    def _said_after(self, client: socket.socket, upstream: HTTPConnection, asked: Json, rule: Rule) -> bool:
        self._forward(upstream, asked)
        return self._refused(client, upstream, asked, rule)

    def _refused(self, client: socket.socket, _u: HTTPConnection, asked: Json, rule: Rule) -> bool:
        client.sendall(_http(_error(asked, rule.code, rule.words)))
        return True

    def _limited(self, client: socket.socket, _u: HTTPConnection, asked: Json, rule: Rule) -> bool:
        client.sendall(_http(_error(asked, -32005, rule.words)))
        return True


Fate = Callable[[Proxy, socket.socket, HTTPConnection, Json, Rule], bool]
FATES: dict[str, Fate] = {
    "reply lost before": Proxy._lost_before,
    "reply lost after": Proxy._lost_after,
    "duplicate delivery": Proxy._delivered_twice,
    "duplicate reply": Proxy._answered_twice,
    "late reply": Proxy._late,
    "reply after the time-out": Proxy._late,
    "429": Proxy._status,
    "5xx": Proxy._status,
    "half-open": Proxy._half_open,
    "truncated": Proxy._truncated,
    "garbage": Proxy._garbage,
    "accepted but 'already known'": Proxy._said_after,
    "accepted but 'nonce too low'": Proxy._said_after,
    "accepted but 'underpriced'": Proxy._said_after,
    "accepted but 'pool full'": Proxy._said_after,
    "accepted, in words nobody knows": Proxy._said_after,
    "refused": Proxy._refused,
    "rate limit in JSON-RPC": Proxy._limited,
}


def _hash(raw: str) -> str:
    return "0x" + keccak(bytes.fromhex(raw[2:])).hex()


# --- HTTP ------------------------------------------------------------------------------------------


def _request(reader: object) -> bytes | None:
    line = reader.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    length = 0
    while (header := reader.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return bytes(reader.read(length))  # type: ignore[attr-defined]


def _http(content: bytes, status: int = 200, extra: str = "", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{extra}\r\n"
    return head.encode() + content


def _post(upstream: HTTPConnection, asked: Json | list[Json]) -> bytes:
    upstream.request("POST", "/", json.dumps(asked), {"Content-Type": "application/json"})
    return upstream.getresponse().read()


def _error(asked: Json | list[Json], code: int, words: str) -> bytes:
    """To a batch as a whole, too: nodes answer one with a single error."""
    number = None if isinstance(asked, list) else asked["id"]
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": words}}).encode()


def _reset(client: socket.socket) -> bool:
    """The other side gets a reset instead of an orderly end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


# --- another node's view ---------------------------------------------------------------------------


def _seen(view: View, item: Json, ask: Callable[[Json], Json]) -> Json:
    """The answer to ``item`` from a node whose chain is ``view``."""
    method, params = str(item["method"]), list(item.get("params", []))  # type: ignore[call-overload]
    if method in ("eth_getBlockByNumber", "eth_getTransactionCount", "eth_getTransactionReceipt"):
        view.met += 1
    if method == "eth_blockNumber":
        return _result(item, hex(view.head if view.fork else view.number))
    place = PLACE.get(method)
    if place is not None and place < len(params):
        at = params[place]
        if isinstance(at, str) and (at in TAGS or int(at, 16) > view.number):
            if method == "eth_getBlockByNumber" and at not in TAGS and int(at, 16) > view.head:
                return _result(item, None)
            params[place] = hex(view.number)
        elif isinstance(at, dict):
            params[place] = at | {"blockHash": view.hashes.get(str(at.get("blockHash")), at.get("blockHash"))}
    elif method == "eth_getBlockByHash":
        params[0] = view.hashes.get(str(params[0]), params[0])
    answer = ask(item | {"params": params})
    result = answer.get("result")
    if method.startswith("eth_getBlockBy") and isinstance(result, dict):
        return _result(item, _header(view, result))
    if method == "eth_getTransactionReceipt" and isinstance(result, dict):
        return answer if int(str(result["blockNumber"]), 16) <= view.number else _result(item, None)
    if method == "eth_getTransactionCount" and view.shift and isinstance(result, str):
        return _result(item, hex(int(result, 16) + view.shift))
    return answer


def _header(view: View, real: Json) -> object:
    number = int(str(real["number"]), 16)
    if number > view.number:
        return None
    if not view.fork or number < view.number:
        return real
    invented = "0x" + keccak(text=f"{real['hash']}.{view.head}").hex()
    view.hashes[invented] = str(real["hash"])
    parent = "0x" + keccak(text=f"{real['hash']}.{view.head - 1}").hex()
    return real | {"hash": invented, "parentHash": parent, "number": hex(view.head)}


def _result(item: Json, value: object) -> Json:
    return {"jsonrpc": "2.0", "id": item["id"], "result": value}
