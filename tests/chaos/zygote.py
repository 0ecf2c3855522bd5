"""A process that has imported everything and starts agents by forking: a start costs milliseconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tests.chaos.board import Board
from tests.chaos.worker import Post, work


class Zygote:
    """Make it before any thread is started. ``boards``: shared with the agents by their index."""

    def __init__(self, boards: Sequence[Board]) -> None:
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _serve(theirs, boards)
            os._exit(0)
        theirs.close()
        self._stream = ours.makefile("rw")

    def spawn(self, post: Post, board: int) -> int:
        """Starts an agent; returns its process."""
        return int(self._ask({"spawn": asdict(post), "board": board})["pid"])

    def ended(self) -> dict[int, int]:
        """Processes that ended since the last time, with their exit codes (negative: the signal)."""
        return {int(pid): code for pid, code in self._ask({"ended": True})["ended"].items()}

    def close(self) -> None:
        """Ends it, and every agent with it."""
        self._ask({"close": True})
        self._stream.close()
        os.waitpid(self._pid, 0)

    def _ask(self, question: dict[str, object]) -> dict[str, dict[str, int]]:
        self._stream.write(json.dumps(question) + "\n")
        self._stream.flush()
        answer: dict[str, dict[str, int]] = json.loads(self._stream.readline())
        return answer


def _serve(connection: socket.socket, boards: Sequence[Board]) -> None:
    stream = connection.makefile("rw")
    alive: set[int] = set()
    for line in stream:
        asked = json.loads(line)
        answer: dict[str, object] = {}
        if "spawn" in asked:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    code = work(Post(**asked["spawn"]), boards[asked["board"]])
                finally:
                    os._exit(code)
            alive.add(pid)
            answer = {"pid": pid}
        elif "ended" in asked:
            ended = {}
            for pid in sorted(alive):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    alive.discard(pid)
                    ended[str(pid)] = os.waitstatus_to_exitcode(status)
            answer = {"ended": ended}
        else:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            alive.clear()
        stream.write(json.dumps(answer) + "\n")
        stream.flush()
        if "close" in asked:
            return
