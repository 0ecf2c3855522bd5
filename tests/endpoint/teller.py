"""A WebSocket node that tells what it is told to tell, and misbehaves on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import orjson
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

NAME = "0x9ce59a13059e417087c02d3236a0b1cc"


class Teller:
    """``early``: a header that is told before the subscription is confirmed."""

    def __init__(self, chain_id: int, early: Mapping[str, object] | None = None) -> None:
        self.chain_id = chain_id
        self.early = early
        self.has_subscriber = threading.Event()
        self.met = 0
        self._open: list[ServerConnection] = []

    def serve(self, connection: ServerConnection) -> None:
        self.met += 1
        with suppress(ConnectionClosed):
            for message in connection:
                asked = orjson.loads(message)
                if asked["method"] == "eth_subscribe":
                    if self.early is not None:
                        self._send(connection, self.early, NAME)
                    self._open.append(connection)
                result = NAME if asked["method"] == "eth_subscribe" else hex(self.chain_id)
                answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
                connection.send(orjson.dumps(answer).decode())
                if asked["method"] == "eth_chainId":
                    self.has_subscriber.set()

    def tell(self, header: Mapping[str, object], name: str = NAME) -> None:
        """To every subscriber, under a subscription's name."""
        for connection in self._open:
            with suppress(ConnectionClosed):
                self._send(connection, header, name)

    def hang_up(self) -> None:
        """End every connection; new ones are taken."""
        self.has_subscriber.clear()
        gone, self._open = self._open, []
        for connection in gone:
            connection.close()

    @staticmethod
    def _send(connection: ServerConnection, header: Mapping[str, object], name: str) -> None:
        params = {"subscription": name, "result": header}
        message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
        connection.send(orjson.dumps(message).decode())


@contextmanager
def telling(teller: Teller) -> Iterator[str]:
    """The address at which it is served."""
    with serve(teller.serve, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{_port(server)}"
        finally:
            server.shutdown()
            thread.join(5)


def _port(server: Server) -> int:
    return int(server.socket.getsockname()[1])


class Cable:
    """A line to ``url`` that can be cut without either end hearing of it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self._is_cut = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing passes any more, and nothing is closed."""
        self._is_cut.set()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(self._target)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if self._is_cut.is_set():
                    threading.Event().wait(30)
                    return
                sink.sendall(piece)
