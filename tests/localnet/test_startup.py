"""What a command has loaded when it is done, in a process of its own: nothing that it did not use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import __version__
from agent.cli.local import write_files
from agent.sim.localnet import Localnet

HEAVY = {  # of which a look at a book needs none
    "web3", "eth_account", "eth_keyfile", "py_ecc", "solcx", "plotly", "scipy.optimize", "sqlalchemy",
    "apscheduler",
    "prometheus_client", "httpx", "boto3", "psycopg", "QuantLib", "pandas", "aiohttp",
}  # fmt: skip
USED = {  # by whoever looks at a book, and by nobody who asks for help
    "numpy", "eth_abi", "eth_utils", "orjson", "websockets", "coincurve", "rlp", "stamina", "structlog",
    "rich",
}  # fmt: skip


def _loaded(*words: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """The command's answer, and the packages and modules it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agent.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    names = re.findall(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", done.stderr, re.MULTILINE)
    assert "agent.cli.command" in names, done.stderr[-2000:]
    return done, {name.split(".")[0] for name in names} | set(names)


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--help",), "Commands:"), (("--version",), __version__), (("watch", "--help"), "--rpc")],
)
def test_help_and_version_load_nothing_that_works_on_a_book(words: tuple[str, ...], says: str) -> None:
    done, packages = _loaded(*words)
    assert (done.returncode, says in done.stdout) == (0, True)
    assert packages & (HEAVY | USED) == set()
    assert "typer" in packages


def test_watching_loads_neither_keys_nor_journals_nor_solvers(localnet: Localnet, tmp_path: Path) -> None:
    deployment = write_files(localnet, tmp_path / "net").with_name("deployment.json")
    words = ["watch", localnet.book.account, "--rpc", localnet.url, "--deployment", str(deployment)]
    done, packages = _loaded(*words, "--once", "--set", "rpc.max_head_age_s=0")
    assert (done.returncode, "equity" in done.stdout) == (0, True)
    assert packages & HEAVY == set()
    assert packages >= {"numpy", "eth_abi"}  # so that the names are those that would be found


def test_a_plan_is_made_without_keys_journals_and_pages(localnet: Localnet, tmp_path: Path) -> None:
    done, packages = _loaded("plan", "-c", str(write_files(localnet, tmp_path / "net")))
    assert done.returncode == 0
    assert packages & (HEAVY - {"scipy.optimize"}) == set()
