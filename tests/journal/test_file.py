"""A file may be damaged, cut short, taken away or without room. Nothing is sent then, and nothing is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.errors import JournalCorrupt, JournalLocked, JournalUnwritable, LaneBusy, Refused
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.record import Record
from agent.sim.toolchain import Toolchain
from tests.journal.errands import ACCOUNT, CHAIN, errand
from tests.lane import Agent, Lane, running

PAGE = 4096


def opened(path: Path, **how: bool) -> Database:
    return Database(path, time.time, **how)


def filled(path: Path, entries: int = 40) -> str:
    """A closed journal of some pages; returns the hash at the end of its record."""
    with opened(path) as database:
        Journal(database).open(errand(1))
        for number in range(entries):
            head = Record(database).append("look", {"n": number, "text": "x" * 400})
    return head


def crashed(path: Path, copy: Path, commits: int) -> list[str]:
    """What is on the disk when a process dies after that many commits: nothing checkpointed yet."""
    with opened(path) as database:
        heads = [Record(database).append("look", {"n": number}) for number in range(commits)]
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return heads


# --- damage ------------------------------------------------------------------------------------------


def test_a_page_that_was_overwritten_is_corruption(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path)
    raw = path.read_bytes()
    found = 0
    for page in range(len(raw) // PAGE):
        damaged = bytearray(raw)
        damaged[page * PAGE : (page + 1) * PAGE] = bytes([0xA5]) * PAGE
        path.write_bytes(damaged)
        with pytest.raises(JournalCorrupt), opened(path) as database:
            Record(database).verify()
            Journal(database).live(CHAIN, ACCOUNT)
        with pytest.raises(JournalCorrupt):
            opened(path, read_only=True)
        found += 1
    assert found > 8


@pytest.mark.parametrize("keep", [1, 50, 99, 100, 2_000, PAGE, 3 * PAGE, -PAGE, -100])
def test_a_file_that_was_cut_short_is_corruption(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "j.db"
    filled(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:keep])
    with pytest.raises(JournalCorrupt), opened(path) as database:
        Record(database).verify()
    assert path.read_bytes() == raw[:keep]  # kept as it is, for people to look at


@pytest.mark.parametrize("content", [b"#!/bin/sh\necho no\n" * 300, b"\x89PNG" + bytes(5_000)])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt, match="not a database"):
        opened(path)
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "j.db").mkdir()
    with pytest.raises(JournalUnwritable, match="directory"):
        opened(tmp_path / "j.db")


def test_what_a_crash_left_in_the_write_ahead_log_is_all_there(tmp_path: Path) -> None:
    heads = crashed(tmp_path / "j.db", tmp_path / "copy.db", 5)
    with opened(tmp_path / "copy.db") as database:
        assert Record(database).verify(must_hold=heads[-1]) == 5


def test_a_log_that_was_cut_short_gives_whole_commits_and_whoever_noted_the_end_sees_it(
    tmp_path: Path,
) -> None:
    heads = crashed(tmp_path / "j.db", tmp_path / "copy.db", 12)
    log = tmp_path / "copy.db-wal"
    raw, seen = log.read_bytes(), set()
    for keep in range(len(raw), len(raw) // 2, -1_371):
        for suffix, content in (("", (tmp_path / "copy.db").read_bytes()), ("-wal", raw[:keep])):
            (tmp_path / f"cut.db{suffix}").write_bytes(content)
        with opened(tmp_path / "cut.db") as database:
            count = Record(database).verify()
            assert Record(database).head() == (heads[count - 1] if count else 64 * "0")
            if count < 12:
                with pytest.raises(JournalCorrupt, match="is not in the record"):
                    Record(database).verify(must_hold=heads[-1])
            seen.add(count)
    assert len(seen) > 3


def test_a_flipped_bit_in_the_log_takes_back_whole_commits_only(tmp_path: Path) -> None:
    heads = crashed(tmp_path / "j.db", tmp_path / "copy.db", 6)
    log = tmp_path / "copy.db-wal"
    raw = bytearray(log.read_bytes())
    raw[-PAGE // 2] ^= 1
    log.write_bytes(raw)
    with opened(tmp_path / "copy.db") as database:
        assert Record(database).verify(must_hold=heads[4]) == 5


# --- places ------------------------------------------------------------------------------------------


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere; somebody else may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="evenkeel-closed-"))
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_told(closed_folder: Path) -> None:
    with as_nobody(), pytest.raises(JournalUnwritable, match="Permission denied"):
        opened(closed_folder / "j.db")


def test_a_file_that_may_only_be_read_is_told(closed_folder: Path) -> None:
    path = closed_folder / "j.db"
    closed_folder.chmod(0o777)
    filled(path)
    path.chmod(0o444)
    (closed_folder / "j.db.lock").chmod(0o666)
    with as_nobody(), pytest.raises(JournalUnwritable, match="Permission denied"):
        opened(path)
    with opened(path) as database:
        assert Record(database).verify() == 40


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path / "j.db") as database:
            Record(database).append("look", {})
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("j.db", "j.db-wal", "j.db-shm", "j.db.lock"), 0o600)


@pytest.mark.parametrize("put", [False, True])
def test_a_file_that_is_taken_away_is_noticed_before_anything_is_written(tmp_path: Path, put: bool) -> None:
    path = tmp_path / "j.db"
    with opened(path) as database:
        Record(database).append("look", {})
        path.rename(tmp_path / "moved.db")
        if put:
            path.write_bytes(b"")
        with pytest.raises(JournalUnwritable, match="removed while it was open"):
            Record(database).append("look", {})
        if put:
            path.unlink()
        (tmp_path / "moved.db").rename(path)
        Record(database).append("look", {})
        assert Record(database).verify() == 2


def test_whoever_removes_the_lock_file_stops_the_first_agent_not_both(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with opened(path) as first:
        Record(first).append("look", {})
        (tmp_path / "j.db.lock").unlink()
        with opened(path) as second:
            with pytest.raises(JournalLocked):
                Record(first).append("late", {})
            Record(second).append("look", {})
            assert Record(second).verify() == 2


def test_somebody_elses_transaction_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.proof.sqlite.BUSY_MS", 200)
    path = tmp_path / "j.db"
    with opened(path) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnwritable, match="locked"):
            Record(database).append("look", {})
        other.execute("ROLLBACK")
        Record(database).append("look", {})
        other.close()


# --- no room -----------------------------------------------------------------------------------------


@dataclass
class Disk:
    """A file system of a megabyte, of which as much is free as is said."""

    folder: Path

    def leave(self, free_bytes: int) -> None:
        """Files grow until no more than that is left."""
        ballast = self.folder / "ballast"
        ballast.unlink(missing_ok=True)
        size = shutil.disk_usage(self.folder).free - free_bytes
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))

    def clear(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system; the limit on a file's size is tested instead")
    folder = Path(tempfile.mkdtemp(prefix="evenkeel-disk-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode:
        folder.rmdir()
        pytest.skip("this machine does not let us mount a file system; the limit on a file's size is tested")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def test_a_disk_without_room_for_a_new_journal_is_told_and_it_starts_when_there_is(disk: Disk) -> None:
    path, refused = disk.folder / "j.db", 0
    for free in range(0, 40 * PAGE, 4 * PAGE):
        disk.leave(free)
        try:
            opened(path).close()
        except JournalUnwritable:
            refused += 1
        disk.clear()
        with opened(path) as database:
            assert Record(database).verify() == 0
        for left in disk.folder.iterdir():
            left.unlink()
    assert refused > 5


def test_a_disk_that_fills_up_takes_whole_entries_or_none(disk: Disk) -> None:
    path = disk.folder / "j.db"
    with opened(path) as database:
        disk.leave(30 * PAGE)
        told: list[str] = []
        with pytest.raises(JournalUnwritable, match="full"):
            for number in range(1_000):
                told.append(Record(database).append("look", {"n": number, "text": "x" * 3_000}))
        with pytest.raises(JournalUnwritable, match="full"):
            Record(database).append("look", {"text": "x" * 3_000})
        assert Record(database).verify(must_hold=told[-1]) == len(told)
        disk.clear()
        Record(database).append("look", {})  # the same process goes on
        assert Record(database).verify() == len(told) + 1
    with opened(path) as database:
        assert Record(database).verify() == len(told) + 1


def test_a_limit_on_the_size_of_a_file_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    head = filled(path, 3)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 * PAGE, 20 * PAGE))
        try:
            with opened(path) as database:
                for number in range(1_000):
                    Record(database).append("look", {"n": number, "text": "x" * 3_000})
        except JournalUnwritable:
            os._exit(9)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with opened(path) as database:
        assert Record(database).verify(must_hold=head) > 3


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with running(toolchain, tmp_path_factory.mktemp("lane")) as lane:
        lane.delegate()
        yield lane


@contextmanager
def rolled_back(shared: Lane, folder: Path) -> Iterator[Lane]:
    """A lane with its journal in that folder; the chain is as before when the block ends."""
    snapshot = shared.node.snapshot()
    lane = replace(shared, folder=folder, agents=[])
    try:
        yield lane
    finally:
        for agent in lane.agents:
            agent.close()
        shared.node.request("anvil_dropAllTransactions")
        shared.node.revert(snapshot)


def pooled(lane: Lane) -> set[str]:
    content = lane.node.request("txpool_content")
    assert isinstance(content, dict)
    return {tx["hash"] for queue in content.values() for by in queue.values() for tx in by.values()}


def journalled(lane: Lane) -> set[str]:
    """Every hash in the file, as another process reads it."""
    with opened(lane.folder / "journal.db", read_only=True) as database:
        history = Journal(database).history(CHAIN, lane.account, 1_000)
        return {attempt.tx_hash for one in history for attempt in one.attempts}


def step(lane: Lane, agent: Agent) -> None:
    """What the cycle does with one head."""
    agent.observe()
    if not any(errand.is_open for errand in agent.sender.in_flight()):
        agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())


class Watched(Journal):
    """Notes which kind of write found no room."""

    def __init__(self, database: Database, seen: set[str]) -> None:
        super().__init__(database)
        self._seen = seen

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name not in ("open", "save", "acknowledge", "climb"):
            return found

        def noted(*given: object) -> object:
            try:
                return found(*given)  # type: ignore[operator]
            except JournalUnwritable:
                self._seen.add(name)
                raise

        return noted


def test_whichever_write_finds_the_disk_full_nothing_leaves_that_is_not_written_down(
    shared: Lane, disk: Disk
) -> None:
    seen: set[str] = set()
    for free in range(0, 20 * PAGE, PAGE):
        with rolled_back(shared, disk.folder) as lane:
            agent = lane.agent(ledger=lambda database: Watched(database, seen))
            disk.leave(free)
            refused = 0
            for _ in range(60):
                try:
                    step(lane, agent)
                except JournalUnwritable:
                    refused += 1
                    assert pooled(lane) <= journalled(lane)
                    if refused == 3:
                        break
                lane.node.mine()
            assert refused == 3, "the disk did not fill up"
            before = lane.effects()
            disk.clear()
            goal = before + 2
            for _ in range(30):  # the same process goes on by itself
                if lane.effects() < goal:
                    step(lane, agent)
                else:
                    agent.observe()
                lane.node.mine()
            assert lane.effects() == agent.intent().epoch == goal
            assert agent.sender.in_flight() == ()
            agent.close()
            again = lane.agent()  # and so does the next one
            again.sender.recover(again.head())
            assert again.intent().epoch == again.journal.epoch_hint(CHAIN, lane.account) == goal
        for left in disk.folder.iterdir():
            left.unlink()
    assert seen >= {"open", "save", "acknowledge"}


def test_a_journal_that_lost_its_newest_lines_does_not_do_a_hedge_twice(shared: Lane, tmp_path: Path) -> None:
    for cut in range(1, 12):
        folder = tmp_path / str(cut)
        folder.mkdir()
        with rolled_back(shared, folder) as lane:
            agent = lane.agent()
            agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
            files = {suffix: (folder / f"journal.db{suffix}").read_bytes() for suffix in ("", "-wal")}
            agent.close()
            lost = files["-wal"][: len(files["-wal"]) - cut * PAGE]
            (folder / "journal.db").write_bytes(files[""])
            (folder / "journal.db-wal").write_bytes(lost)
            again = lane.agent()
            again.sender.recover(again.head())
            for _ in range(12):
                try:
                    if lane.effects() == 0:
                        step(lane, again)
                    else:
                        again.observe()
                except (LaneBusy, Refused):
                    pass  # what is in the pool will do it
                lane.node.mine()
            assert lane.effects() == again.intent().epoch == 1
            assert again.sender.in_flight() == ()
