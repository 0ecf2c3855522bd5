"""The newest block: once, or as it comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import orjson
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from agent.chain import shape
from agent.chain.rpc import Rpc
from agent.chain.transport import redacted
from agent.errors import DecodeMismatch, HeadStale, ReadUnpinned, RpcRejected, RpcUnavailable, Transient
from agent.values.block import Block

STALL_S = 15.0  # a socket that brings nothing for so long may be open only half: ask, and open another
MAX_GAP = 128  # blocks filled in after a silence; older ones are nobody's business any more


def latest(rpc: Rpc, max_age_s: float | None, now_s: float) -> Block:
    """The newest block, at most ``max_age_s`` older than the wall clock ``now_s``. Raises HeadStale.

    ``max_age_s=None``: the chain's clock is not the wall clock (a simulation), so age says nothing.
    """
    block = rpc.block("latest")
    age_s = now_s - block.timestamp_s
    if max_age_s is not None and age_s > max_age_s:
        raise HeadStale(number=block.number, age_s=round(age_s), max_age_s=max_age_s)
    return block


def is_reorg(before: Block, after: Block) -> bool:
    """Whether ``after``, seen after ``before``, shows that ``before`` is no longer canonical."""
    if after.number <= before.number:
        return after.hash != before.hash
    return after.number == before.number + 1 and after.parent_hash != before.hash


class Heads:
    """Every new head from now on, the present one first; ends after `stop`.

    Heads come by WebSocket if ``ws_url`` is given, else (and while the socket is down) by asking every
    ``poll_s`` seconds. Numbers that were skipped are fetched, so that between reorganisations the yielded
    blocks have no gap (of at most MAX_GAP blocks). After a reorganisation the new head is yielded although
    its number is not above the last one's; ``reorgs`` counts them. A node that does not answer is asked
    again for ``patience_s``, one that answers nonsense too; then the error is raised.
    """

    def __init__(
        self, rpc: Rpc, ws_url: str | None = None, poll_s: float = 1.0, patience_s: float = 60.0
    ) -> None:
        self._rpc = rpc
        self._ws_url = ws_url
        self._poll_s = poll_s
        self._patience_s = patience_s
        self._stopped = threading.Event()
        self._last: Block | None = None
        self.reorgs = 0

    def stop(self) -> None:
        """End the iteration at the next wake-up, at most ``poll_s`` from now. Any thread may call it."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Block]:
        while not self._stopped.is_set():
            if self._ws_url is not None:
                yield from self._subscribed(self._ws_url)
            yield from self._polled()

    def _polled(self) -> Iterator[Block]:
        """Until stopped; with a WebSocket configured only once, so that it is tried again."""
        silent_s = 0.0
        while not self._stopped.is_set():
            try:
                yield from self._advance(self._rpc.block("latest"))
                silent_s = 0.0
            except (Transient, RpcRejected, DecodeMismatch):
                if silent_s >= self._patience_s:
                    raise
                silent_s += self._poll_s
            if self._stopped.wait(self._poll_s) or (self._ws_url is not None and silent_s == 0.0):
                return

    def _subscribed(self, url: str) -> Iterator[Block]:
        """Until stopped or the socket fails, which is not an error: polling takes over."""
        try:
            with connect(url, open_timeout=self._poll_s + 5, max_size=2**22) as socket:
                _subscribe(socket, redacted(url))
                yield from self._advance(self._rpc.block("latest"))
                silent_s = 0.0
                while not self._stopped.is_set() and silent_s < STALL_S:
                    try:
                        message = orjson.loads(socket.recv(timeout=self._poll_s))
                    except TimeoutError:
                        silent_s += self._poll_s
                        continue
                    silent_s = 0.0
                    if isinstance(message, dict) and message.get("method") == "eth_subscription":
                        fields = shape.record(message.get("params"), "newHeads")
                        yield from self._advance(shape.header(fields.get("result"), "newHeads"))
        except (OSError, WebSocketException, orjson.JSONDecodeError, RpcRejected, DecodeMismatch, Transient):
            return

    def _advance(self, head: Block) -> Iterator[Block]:
        """The blocks from the last one to ``head``."""
        last = self._last
        if last is not None and head.hash == last.hash:
            return
        first = head.number if last is None else last.number + 1
        for number in range(max(first, head.number - MAX_GAP), head.number):
            try:
                block = self._rpc.block(number)
            except ReadUnpinned:  # a reorganisation meanwhile: the head tells
                break
            yield self._accepted(block)
        yield self._accepted(head)

    def _accepted(self, block: Block) -> Block:
        if self._last is not None and is_reorg(self._last, block):
            self.reorgs += 1
        self._last = block
        return block


def _subscribe(socket: ClientConnection, endpoint: str) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    socket.send(orjson.dumps(request).decode())
    answer = shape.record(orjson.loads(socket.recv(timeout=10)), "eth_subscribe")
    if "result" not in answer:
        raise RpcUnavailable(endpoint=endpoint, method="eth_subscribe", reason=str(answer.get("error")))
