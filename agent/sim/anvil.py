"""A running anvil, as a context: started on a free loopback port, always ended.

The chain's clock is not the wall clock: it starts at ``genesis_s`` and every block is ``interval_s`` later
than the one before, whatever time passes outside. That makes a run repeatable.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from agent.errors import RpcUnavailable, ToolMissing
from agent.sim.node import Node

MNEMONIC = "test test test test test test test test test test test junk"  # anvil's own, public
PR_SET_PDEATHSIG = 1
START_ATTEMPTS = 3
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
READY_WORDS = "Listening on"  # anvil prints it once it has the port


@dataclass(frozen=True, slots=True)
class AnvilOptions:
    """How the chain behaves. ``fork_url`` makes it a fork, which then needs a ``chain_id`` of its own."""

    chain_id: int = 31337
    port: int = 0  # 0: any free one
    accounts: int = 20
    balance_eth: int = 1_000_000
    gas_limit: int = 30_000_000
    genesis_s: int | None = None
    interval_s: int | None = 1
    automine: bool = True
    hardfork: str = "prague"
    load_state: Path | None = None
    fork_url: str | None = None
    fork_block: int | None = None
    slots_in_an_epoch: int = 32
    kept_states: int = 128  # on disk, beside those in memory: of a large chain each is tens of megabytes

    def arguments(self, port: int) -> list[str]:
        """The command line after the program's name."""
        words: list[object] = ["--host", "127.0.0.1", "--port", port, "--chain-id", self.chain_id]
        words += ["--accounts", self.accounts, "--balance", self.balance_eth, "--mnemonic", MNEMONIC]
        words += ["--hardfork", self.hardfork, "--gas-limit", self.gas_limit, "--order", "fees"]
        words += [
            "--slots-in-an-epoch",
            self.slots_in_an_epoch,
            "--no-request-size-limit",
            "--color",
            "never",
        ]
        words += ["--max-persisted-states", self.kept_states]
        if self.genesis_s is not None:
            words += ["--timestamp", self.genesis_s]
        if not self.automine:
            words += ["--no-mining"]
        if self.load_state is not None:
            words += ["--load-state", self.load_state]
        if self.fork_url is not None:
            words += ["--fork-url", self.fork_url, "--no-storage-caching", "--retries", 1]
            if urlsplit(self.fork_url).hostname in LOOPBACK:  # a node of our own has no quota to keep
                words.append("--no-rate-limit")
            if self.fork_block is not None:
                words += ["--fork-block-number", self.fork_block]
        return [str(word) for word in words]


class Anvil:
    """``with Anvil(program) as node:`` gives a `Node`; leaving ends the process."""

    def __init__(self, program: Path, options: AnvilOptions | None = None, ready_s: float = 20.0) -> None:
        self._program = program
        self._options = options or AnvilOptions()
        self._ready_s = ready_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._states: tempfile.TemporaryDirectory[str] | None = None
        self.url = ""

    def __enter__(self) -> Node:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Node:
        """Start and wait until it answers. Raises ToolMissing or RpcUnavailable with anvil's last words."""
        failure: RpcUnavailable | None = None
        for _ in range(START_ATTEMPTS):  # a port found free may be taken before anvil binds it
            try:
                return self._start_once()
            except RpcUnavailable as error:
                failure = error
                self.stop()
        raise (
            failure
            if failure is not None
            else RpcUnavailable(endpoint=self.url, method="start", reason="never tried")
        )

    def _start_once(self) -> Node:
        port = self._options.port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log.seek(0)
        self._log.truncate()
        # in its own place it would leave them behind whenever it is killed
        self._states = tempfile.TemporaryDirectory(prefix="evenkeel-anvil-", ignore_cleanup_errors=True)
        command = [str(self._program), *self._options.arguments(port), "--cache-path", self._states.name]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                preexec_fn=_DIE_WITH_PARENT,  # noqa: PLW1509 - one C call, bound beforehand
            )
        except OSError as error:
            raise ToolMissing(tool=str(self._program), reason=str(error)) from error
        self._await_listening()
        node = Node(self.url)
        node.request("anvil_setLoggingEnabled", False)  # it would log every request
        if self._options.interval_s is not None:
            node.set_time(node.now_s())  # a loaded chain would go on from genesis, a fork from today
            node.set_interval(self._options.interval_s)
        return node

    def _await_listening(self) -> None:
        """Until it says so itself: on a port that was taken meanwhile somebody else would answer."""
        deadline = time.monotonic() + self._ready_s
        while True:
            has_ended = self._process is None or self._process.poll() is not None
            words = self._words()
            if READY_WORDS in words:
                return
            if has_ended or time.monotonic() > deadline:
                lines = words.strip().splitlines() or ["it said nothing"]
                reason = lines[-1] if has_ended else f"not ready after {self._ready_s} s"
                raise RpcUnavailable(endpoint=self.url, method="start", reason=reason)
            time.sleep(0.005)

    def _words(self) -> str:
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        """The process id, 0 when it is not running."""
        return self._process.pid if self._process is not None else 0

    def stop(self) -> None:
        """End the process; again is harmless."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=5)
        states, self._states = self._states, None
        if states is not None:
            states.cleanup()


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: the kernel ends the child when the thread that started it ends, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: not safe between fork and exec

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask_kernel


_DIE_WITH_PARENT = _die_with_parent()
