"""The agent's processes, seen from outside: started through the zygote, woken, killed, listened to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from types import TracebackType

from tests.chaos.worker import Place

Json = dict[str, object]
GONE_S = 5.0
HUNG_S = 60.0  # no cycle takes as long, whatever the network does


class Life:
    """One process of an agent."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        self._reader = channel.makefile("r")
        self._channel.settimeout(HUNG_S)
        self.is_over = False
        self.woken = False

    def wake(self, order: Json) -> None:
        """Start one cycle; `answer` tells how it went."""
        self.woken = True
        try:
            self._channel.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            self.is_over = True

    def answer(self) -> Json:
        """What it said at the end of the cycle, or how far it came: "killed" names the order that killed it,
        "died" says that it said nothing, "hung" that it never ended."""
        told: Json = {}
        try:
            for line in self._reader:
                told |= json.loads(line)
                if told.get("done"):
                    self.is_over = bool(told.get("ended") or told.get("locked"))
                    return told
        except TimeoutError:
            self.kill()
            return told | {"hung": True}
        except OSError:
            pass
        self.is_over = True
        return told | {"died": True}

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.is_over = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Gone for good: what it had locked is free then."""
        self.kill()
        deadline = time.monotonic() + GONE_S
        while _exists(self.pid) and time.monotonic() < deadline:
            time.sleep(0.001)
        self._reader.close()
        self._channel.close()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Fleet:
    """A zygote, and everybody it forked."""

    def __enter__(self) -> Fleet:
        ours, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        command = [sys.executable, "-m", "tests.chaos.zygote", str(theirs.fileno())]
        quiet = None if os.environ.get("CHAOS_LOG") else subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=quiet, stderr=quiet, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._control = ours
        self._lives: list[Life] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for life in self._lives:
            life.close()
        self._control.close()
        self._process.wait(timeout=20)

    def start(self, place: Place) -> Life:
        """A new process, which does nothing until it is woken."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self._control, [json.dumps(asdict(place)).encode()], [theirs.fileno()])
        theirs.close()
        (pid,) = struct.unpack("I", self._control.recv(4))
        life = Life(pid, ours)
        self._lives = [other for other in self._lives if not other.is_over] + [life]
        return life
