"""The command line for tests: asked in this process or as a process of its own, and what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from agent.cli.command import run
from agent.sim.localnet import Localnet

DUE = ("--set", "policy.floor_distance=0.19")  # the seeded book's accounts are 0.18 away
LIVE = ("run", "--live", "--delegate", "--once")


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        return cast(dict[str, object], json.loads(self.out))

    @property
    def error(self) -> dict[str, object]:
        """The one object on stderr that is an error; it is the last line."""
        lines = [json.loads(line) for line in self.err.splitlines()]
        assert [line for line in lines if "error" in line and "message" in line] == lines[-1:], self.err
        return cast(dict[str, object], lines[-1])


Ask = Callable[..., Told]


def asker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Ask:
    """The command in this process, in an empty folder, on a terminal of 80 columns."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")

    def asked(*argv: object) -> Told:
        capsys.readouterr()
        code = run([str(word) for word in argv])
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return asked


def real(*argv: object, folder: Path | None = None, environment: dict[str, str] | None = None) -> Told:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "agent.cli", *(str(word) for word in argv)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env=os.environ | (environment or {}),
    )
    return Told(done.returncode, done.stdout, done.stderr)


def standing(net: Localnet) -> tuple[object, ...]:
    """Everything about the account that sending would change."""
    asked = [
        (name, (net.book.account, tag))
        for tag in ("latest", "pending")
        for name in ("eth_getTransactionCount", "eth_getBalance", "eth_getCode")
    ]
    return (*net.node.batch(asked), net.node.block_number())


@contextmanager
def nothing_sent(net: Localnet) -> Iterator[None]:
    before = standing(net)
    yield
    assert standing(net) == before
