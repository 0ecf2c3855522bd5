"""A line between an agent and its server, on which answers and questions get lost."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

COMMIT = b"COMMIT\0"


class Fault(Enum):
    NONE = "none"
    QUESTION = "question"  # the commit never reaches the server
    ANSWER = "answer"  # the server carries it out, and nobody is told
    HANG = "hang"  # the same, and the line stays open and silent


@dataclass
class Line:
    """TCP on a port of its own, passed on to ``target``. The server's end outlives ours unless `hang_up`."""

    target: int
    fault: Fault = Fault.NONE
    passed: int = 0  # connections so far
    draw: Callable[[], Fault] = lambda: Fault.NONE  # asked at every commit for which `fault` says nothing
    _ends: list[socket.socket] = field(default_factory=list)
    _ours: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Our ends are gone; the server's stay, as behind a router that forgot us."""
        for end in self._ours:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ours.clear()

    def hang_up(self) -> None:
        """The server notices at last."""
        self.cut()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        self._listener.close()
        self.hang_up()

    def _next(self) -> Fault:
        fault, self.fault = self.fault, Fault.NONE
        return self.draw() if fault is Fault.NONE else fault

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self.target))
                self.passed += 1
                self._ours.append(ours)
                self._ends.append(theirs)
                threading.Thread(target=self._carry, args=(ours, theirs), daemon=True).start()

    def _carry(self, ours: socket.socket, theirs: socket.socket) -> None:
        silent = False
        with contextlib.suppress(OSError):
            while True:
                for end in select.select([ours, theirs], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return  # the other end is left as it is
                    if end is theirs:
                        if not silent:
                            ours.sendall(data)
                        continue
                    fault = self._next() if COMMIT in data else Fault.NONE
                    if fault is not Fault.NONE:
                        if fault is not Fault.QUESTION:
                            theirs.sendall(data)
                            theirs.recv(65536)  # it is done
                        if fault is Fault.HANG:
                            silent = True
                            continue
                        ours.shutdown(socket.SHUT_RDWR)
                        return
                    theirs.sendall(data)
