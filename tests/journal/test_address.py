"""Where the journal is comes from the config; the secret in it goes nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import assembly
from agent.cli import keep
from agent.config import Config, load
from agent.errors import ConfigInvalid, KeyUnreadable
from agent.proof.database import Database
from agent.proof.postgres import Postgres
from agent.proof.record import Record
from tests.postgres import PASSWORD, QUOTED, Server, token

URL = "postgresql://us3r:pa55word@db.example:6432/hedge?schema=one"
NEEDED = [
    "chain.deployment=d.json",
    "chain.account=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "rpc.url=http://x",
]


def config(*settings: str, **environment: str) -> Config:
    return load(None, [*NEEDED, *settings], environment)


def test_without_one_it_is_a_file() -> None:
    assert assembly.store_of(config("run.journal=j.db")) == Path.cwd() / "j.db"


def test_it_comes_from_the_config_the_environment_or_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(URL + "\n")
    secret.chmod(0o600)
    for found in (
        config(f"run.journal_url={URL}"),
        config(EVENKEEL_JOURNAL_URL=URL),
        config(EVENKEEL_JOURNAL_URL_FILE=str(secret)),
    ):
        store = assembly.store_of(found)
        assert isinstance(store, Postgres)
        assert store.place == "postgresql://db.example:6432/hedge (schema one)"
        shown = json.dumps(found.effective()) + repr(found)
        assert not any(word in shown for word in ("pa55word", "us3r", "hedge"))
        assert "postgresql://db.example:6432/..." in shown
    secret.chmod(0o644)
    with pytest.raises(KeyUnreadable, match="others may use it"):
        config(EVENKEEL_JOURNAL_URL_FILE=str(secret))


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_journal_is_in_one_place(how: str) -> None:
    with pytest.raises(ConfigInvalid, match="both given") as caught:
        if how == "setting":
            config("run.journal=j.db", f"run.journal_url={URL}")
        else:
            config("run.journal=j.db", EVENKEEL_JOURNAL_URL=URL)
    assert "pa55word" not in str(caught.value)


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agent.proof.postgres", None)
    with pytest.raises(ConfigInvalid, match=r"pip install .evenkeel\[postgres\]."):
        assembly.store_of(config(EVENKEEL_JOURNAL_URL=URL))
    assert assembly.store_of(config()) == Path("evenkeel.sqlite")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = [part for one in NEEDED for part in ("--set", one)]
    command = [sys.executable, "-m", "agent.cli", "journal", *words, *settings]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EVENKEEL_")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**clean, **environment}
    )


def test_the_command_checks_a_record_on_a_server_while_an_agent_runs_on_it(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url(token())
    there = config(EVENKEEL_JOURNAL_URL=url)
    with pytest.raises(ConfigInvalid, match="there is no journal yet"):
        keep.journal(there, verify=True, last=5, as_json=True)
    with Database(Postgres(url), time.time) as database:
        head = Record(database).append("look", {})
        keep.journal(there, verify=True, last=5, as_json=True)
        assert json.loads(capsys.readouterr().out) == {"entries": 1, "head": head, "verified": True}


def test_the_command_says_what_is_wrong_and_shows_no_secret(server: Server) -> None:
    url = server.url(database="gone")
    done = run("--verify", EVENKEEL_JOURNAL_URL=url)
    assert done.returncode == 3
    assert f"postgresql://127.0.0.1:{server.port}/gone (schema evenkeel)" in " ".join(done.stderr.split())
    assert PASSWORD not in done.stdout + done.stderr
    assert QUOTED not in done.stdout + done.stderr
