"""A real HTTP server in front of a real node that misbehaves on purpose, as it is told."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import orjson

Entry = dict[str, object]
Fault = Callable[["Handler"], None]
Lie = Callable[[Entry, Entry], None]  # the request's entry, the answer's entry to be changed


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for 40 ms
    proxy: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.proxy.serve(self, body)

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # broken connections are what this is about


class Proxy:
    """Passes on to ``upstream`` (a url) unless a fault is set; counts every call it was asked, in order."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.fault: Fault | None = None
        self.lie: Lie | None = None
        self.asked: list[str] = []
        self.requests = 0
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._http: Server | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)

    def start(self) -> None:
        """On the same port as before."""
        handler = type("OwnHandler", (Handler,), {"proxy": self})
        self._http = Server(("127.0.0.1", self._port), handler)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """As a process that was killed: nobody listens, every connection is gone."""
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()
        with self._lock:
            dead, self._sockets = self._sockets, set()
        for connection in dead:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        with self._lock:
            self.asked.clear()
            self.requests = 0

    def serve(self, handler: Handler, body: bytes) -> None:
        payload = orjson.loads(body)
        entries: list[Entry] = payload if isinstance(payload, list) else [payload]
        with self._lock:
            self._sockets.add(handler.connection)
            self.requests += 1
            self.asked += [str(entry["method"]) for entry in entries]
        if self.fault is not None:
            self.fault(handler)
            return
        answer = orjson.loads(self._upstream(body))
        if self.lie is not None:
            answers = {a["id"]: a for a in (answer if isinstance(answer, list) else [answer])}
            for entry in entries:
                self.lie(entry, answers[entry["id"]])
        handler.reply(orjson.dumps(answer))

    def _upstream(self, body: bytes) -> bytes:
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port or 80)
        with contextlib.closing(connection):
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            return connection.getresponse().read()


@contextmanager
def before(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.die()


# --- faults ------------------------------------------------------------------------------------------------


def limits(**headers: str) -> Fault:
    return lambda handler: handler.reply(b"slow down", 429, **headers)


def refuses(code: int, message: str, data: object = None) -> Fault:
    error = {"code": code, "message": message, "data": data}
    return lambda handler: handler.reply(orjson.dumps({"jsonrpc": "2.0", "id": 0, "error": error}))


def fails(status: int) -> Fault:
    return lambda handler: handler.reply(b"<html>oh no</html>", status)


def babbles(handler: Handler) -> None:
    handler.reply(b"<html>welcome</html>")


def is_silent(handler: Handler) -> None:
    """Accepted, read, and never answered; the peer may be dead for all we know."""
    time.sleep(3)
    handler.close_connection = True


def resets(handler: Handler) -> None:
    """RST in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"jsonrpc"')
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def drips_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    _drip(handler, b" ")


def drips_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(handler, b"x")


def _drip(handler: Handler, drop: bytes) -> None:
    with contextlib.suppress(OSError):
        for _ in range(60):
            handler.wfile.write(drop)
            handler.wfile.flush()
            time.sleep(0.05)
    handler.close_connection = True


# --- lies --------------------------------------------------------------------------------------------------


def changes(method: str, **fields: str) -> Lie:
    """The answer's fields, or ``result=`` for all of it."""

    def lie(request: Entry, answer: Entry) -> None:
        if request["method"] != method:
            return
        if "result" in fields:
            answer["result"] = fields["result"]
        else:
            result = answer["result"]
            assert isinstance(result, dict)
            result.update(fields)

    return lie


def waits(seconds: float) -> Lie:
    """The truth, late."""
    return lambda _request, _answer: time.sleep(seconds)
