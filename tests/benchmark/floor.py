"""The floor: prebuilt bodies through one raw socket, the answers received and left alone."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

RECEIVE = 1 << 20


class Socket:
    """One kept-alive connection to a node."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(64 << 20)

    def requests(self, bodies: Sequence[bytes]) -> list[bytes]:
        """The bodies with their heads, ready to leave."""
        head = f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\nContent-Length: "
        return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]

    def send(self, requests: Sequence[bytes]) -> int:
        """One after the other; the bytes of all answers."""
        return sum(self._one(request) for request in requests)

    def _one(self, request: bytes) -> int:
        self._socket.sendall(request)
        view, have, wanted = memoryview(self._buffer), 0, -1
        while wanted < 0 or have < wanted:
            got = self._socket.recv_into(view[have : have + RECEIVE])
            if got == 0:
                raise ConnectionError("the node closed the connection")
            have += got
            if wanted < 0 and (end := self._buffer.find(b"\r\n\r\n", 0, have)) >= 0:
                head = bytes(view[:end]).lower()
                at = head.index(b"content-length:") + 15
                wanted = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if b'"error"' in bytes(view[: min(have, 400)]):
            raise ConnectionError(bytes(view[: min(have, 400)]).decode(errors="replace"))
        return have

    def close(self) -> None:
        self._socket.close()
