"""New heads as one node tells them over a WebSocket."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from urllib.parse import urlsplit

import orjson
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from agent.chain import shape
from agent.chain.connection import connected, left
from agent.chain.transport import Json, redacted
from agent.chain.wire import RpcCall
from agent.errors import DecodeMismatch, RpcUnavailable
from agent.values.address import ChainId
from agent.values.block import Block

PING_S = 5.0  # how often, and how long the answer may take: a socket that is open on our side only ends so
MAX_BYTES = 2**22  # of one message; a header has one KiB
FAULTS = (OSError, WebSocketException, orjson.JSONDecodeError, DecodeMismatch, RpcUnavailable)

_SUBSCRIBE, _CHAIN = 1, 2


class Subscription:
    """A socket that was told to tell. For one thread; `close` is for any.

    Everything up to the node's first answer, the look-up of its name included, is within ``timeout_s``.
    Raises one of FAULTS, as every method does. ``chain_id`` is the chain that the node serves.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        deadline, parts = time.monotonic() + timeout_s, urlsplit(url)
        is_secret = parts.scheme == "wss"
        port = parts.port or (443 if is_secret else 80)
        self.endpoint = redacted(url)
        self._early: deque[dict[str, Json]] = deque()  # what it told before it said under which name
        with ExitStack() as opened:
            plain = opened.enter_context(connected(parts.hostname or "", port, None, deadline))
            socket = connect(
                url,
                sock=plain,
                ssl=ssl.create_default_context() if is_secret else None,
                proxy=None,
                open_timeout=left(deadline),
                close_timeout=1,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MAX_BYTES,
            )
            self._socket = opened.enter_context(socket)
            calls: dict[int, RpcCall] = {
                _SUBSCRIBE: ("eth_subscribe", ["newHeads"]),
                _CHAIN: ("eth_chainId", []),
            }
            answers = self._asked(calls, deadline)
            self._name = answers[_SUBSCRIBE]
            self.chain_id = ChainId(shape.quantity(answers[_CHAIN], "eth_chainId"))
            self._open = opened.pop_all()

    def next(self, timeout_s: float) -> Block | None:
        """The next head; None for one without a hash, of which nothing can be read. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._early.popleft() if self._early else self._message(deadline)
            if message.get("method") != "eth_subscription":
                continue
            fields = shape.record(message.get("params"), "newHeads")
            if fields.get("subscription") != self._name:
                continue
            header = shape.record(fields.get("result"), "newHeads")
            return None if header.get("hash") is None else shape.header(header, "newHeads")

    def close(self) -> None:
        """End it."""
        self._open.close()

    def _asked(self, calls: Mapping[int, RpcCall], deadline: float) -> dict[int, Json]:
        """The results by the number of the call."""
        for number, (method, params) in calls.items():
            request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            self._socket.send(orjson.dumps(request).decode())
        answers: dict[int, Json] = {}
        while len(answers) < len(calls):
            message = self._message(deadline)
            answered = message.get("id")
            if "method" in message:
                self._early.append(message)
            elif isinstance(answered, int) and answered in calls:
                if message.get("result") is None:
                    reason = str(message.get("error"))
                    raise RpcUnavailable(endpoint=self.endpoint, method=calls[answered][0], reason=reason)
                answers[answered] = message["result"]
        return answers

    def _message(self, deadline: float) -> dict[str, Json]:
        return shape.record(orjson.loads(self._socket.recv(timeout=left(deadline))), "WebSocket")
