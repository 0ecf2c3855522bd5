"""One kept-alive HTTP connection whose every byte, from connect to the last of the body, is under a deadline.

A socket's own time-out starts anew with each byte: an answer, or a header line, could drip for ever. Here
each wait gets what is left until the deadline. The system's look-up of a name cannot be told when to end: it
is left behind then.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import SplitResult

Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]

CHUNK = 1 << 20
MAX_BODY = 1 << 28  # 256 MiB: more than any node answers, less than a machine has


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. ``is_last``: the peer ends the connection after it."""

    status: int
    reason: str
    retry_after: str
    body: bytes
    is_last: bool


class Connection:
    """To one host, for one thread at a time. Times are of ``time.monotonic``.

    ``head`` is the request's line and headers, each with its line end, but for the length. With ``tls`` it
    speaks https.
    """

    def __init__(self, parts: SplitResult, head: bytes, tls: ssl.SSLContext | None, deadline: float) -> None:
        """Connects. Raises OSError, TimeoutError among them."""
        port = parts.port or (80 if tls is None else 443)
        self._socket = connected(parts.hostname or "", port, tls, deadline)
        self._head = head

    def post(self, body: bytes, deadline: float) -> HttpAnswer:
        """Once. Raises OSError (TimeoutError at the deadline) or HTTPException; then only `close` is left."""
        self._socket.settimeout(left(deadline))
        self._socket.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body))
        # It asks a socket for nothing but a file to read from.
        source = cast(socket.socket, _Source(self._socket, deadline))
        response = http.client.HTTPResponse(source, method="POST")
        response.begin()
        raw = _body(response)
        wait = response.getheader("Retry-After", "")
        return HttpAnswer(response.status, response.reason, wait, raw, response.will_close)

    def is_dropped(self) -> bool:
        """Whether the idle connection has anything to read, which can only be its end."""
        try:
            return bool(select.select([self._socket], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def close(self) -> None:
        """End it."""
        self._socket.close()


class _Source(io.RawIOBase):
    """What a socket receives until the deadline."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._plain = plain
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._plain.settimeout(left(self._deadline))
        return self._plain.recv_into(buffer)


def left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError if there are none."""
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    return remaining_s


def connected(host: str, port: int, tls: ssl.SSLContext | None, deadline: float) -> socket.socket:
    """By the first address that answers; each has its part of the time, so one black hole costs not all.

    Raises OSError, TimeoutError among them.
    """
    found = _addresses(host, port, deadline)
    failure: OSError = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(found):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(left(deadline) / (len(found) - index))
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                return plain
            plain.settimeout(left(deadline))
            return tls.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            failure = error
    raise failure


def _addresses(host: str, port: int, deadline: float) -> Addresses:
    with suppress(ValueError):
        ip_address(host)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # nobody is asked
    answer: Future[Addresses] = Future()

    def look_up() -> None:
        try:
            answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.set_exception(OSError(str(error)))

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return answer.result(left(deadline))


def _body(response: http.client.HTTPResponse) -> bytes:
    expected, chunks, size = response.length, [], 0  # None: it is chunked or ends with the connection
    while expected is None or size < expected:
        chunk = response.read1(CHUNK)
        if not chunk:
            if expected is not None:
                raise http.client.IncompleteRead(b"", expected - size)
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise http.client.HTTPException(f"an answer of more than {MAX_BODY} bytes")
    response.close()
    return b"".join(chunks)
