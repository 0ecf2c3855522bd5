"""Sockets that tell of new heads, one after the other in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from enum import Enum
from itertools import cycle
from queue import SimpleQueue
from urllib.parse import urlsplit

from agent.chain.rpc import Rpc
from agent.chain.subscription import FAULTS, Subscription
from agent.errors import ChainMismatch, ConfigInvalid, RpcRejected, Transient
from agent.values.block import Block

CONNECT_S = 5.0  # for the name, the connection and the node's first answer
RETRY_S = 1.0  # after every socket was tried in vain
STALL_S = 15.0  # a socket that brings nothing for so long: ask whether there was nothing
SLICE_S = 0.5  # how soon a socket's thread notices that it is not wanted any more


class Word(Enum):
    """What a socket's thread says beside heads."""

    LOOK = "ask the node: something may have been missed"
    QUIET = "nothing came for STALL_S"
    END = "stop"


class Listener:
    """Puts what the sockets bring into ``inbox``: heads, words, or the ChainMismatch of the last socket left.

    ``is_live``: one is open. ``is_deaf`` is set by who knows that the open one tells of nothing; ``stopped``
    by who wants no more. Raises ConfigInvalid for what is no ws(s) address.
    """

    def __init__(self, rpc: Rpc, urls: Sequence[str]) -> None:
        self._rpc = rpc
        self._urls = tuple(_checked(url) for url in urls)
        self.inbox: SimpleQueue[Block | Word | ChainMismatch] = SimpleQueue()
        self.is_live = False
        self.is_deaf = threading.Event()
        self.stopped = threading.Event()

    def start(self) -> None:
        """Begin, if there is a socket to listen at."""
        if self._urls:
            threading.Thread(target=self._listen, name="newHeads", daemon=True).start()

    def _listen(self) -> None:
        """Until stopped: one socket after the other, each as long as it lives."""
        foreign: dict[str, ChainMismatch] = {}
        failed = 0
        for url in cycle(self._urls):
            if self.stopped.is_set():
                return
            if url not in foreign:
                mismatch, brought = self._followed(url)
                failed = 0 if brought else failed + 1
                if mismatch is not None:
                    foreign[url] = mismatch
                    if len(foreign) == len(set(self._urls)):
                        self.inbox.put(mismatch)
                        return
            if failed >= len(self._urls):
                failed = 0
                self.stopped.wait(RETRY_S)

    def _followed(self, url: str) -> tuple[ChainMismatch | None, bool]:
        """Follows one socket to its end: whether it was of another chain, and whether it brought anything."""
        brought = False
        try:
            socket = Subscription(url, CONNECT_S)
            try:
                expected = self._rpc.chain_id()
                if socket.chain_id != expected:
                    mismatch = ChainMismatch(
                        endpoint=socket.endpoint, actual=socket.chain_id, expected=expected
                    )
                    return mismatch, False
                self.is_deaf.clear()
                self.is_live = True
                self.inbox.put(Word.LOOK)  # what came before it was open
                quiet_since = time.monotonic()
                while not self.stopped.is_set() and not self.is_deaf.is_set():
                    try:
                        head = socket.next(SLICE_S)
                    except TimeoutError:
                        if time.monotonic() - quiet_since >= STALL_S:
                            quiet_since = time.monotonic()
                            self.inbox.put(Word.QUIET)
                        continue
                    brought, quiet_since = True, time.monotonic()
                    self.inbox.put(Word.LOOK if head is None else head)
            finally:
                socket.close()
        except ChainMismatch as error:
            return error, brought
        except (*FAULTS, Transient, RpcRejected):
            return None, brought  # the next socket, and asking meanwhile, take over
        finally:
            if self.is_live:
                self.is_live = False
                self.inbox.put(Word.LOOK)
        return None, brought


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"ws", "wss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        is_address = False
    if not is_address:
        reason = "it must begin with ws:// or wss:// and a host"
        raise ConfigInvalid(key="rpc.ws_url", value="?", reason=reason)
    return url
