"""A server may be down, full, frozen, killed or somebody else's. The agent says so."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import ConfigInvalid, EvenkeelError, JournalCorrupt, JournalLocked, JournalUnwritable
from agent.proof import postgres, session
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.postgres import Postgres
from agent.proof.record import Record
from agent.proof.schema import VERSION
from tests.journal.errands import ACCOUNT, CHAIN, errand
from tests.journal.line import Fault, Line
from tests.postgres import PASSWORD, QUOTED, Server, later, token


@contextmanager
def opened(url: str, **how: bool) -> Iterator[Database]:
    with Database(Postgres(url), time.time, **how) as database:
        yield database


@pytest.fixture
def schema() -> str:
    return token()


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    line = Line(server.port)
    yield line
    line.close()


@pytest.fixture
def remote(server: Server, schema: str, line: Line) -> Iterator[Database]:
    """An agent's journal at the other end of the line."""
    with opened(server.url(schema, port=line.port)) as database:
        yield database


def said(error: pytest.ExceptionInfo[EvenkeelError]) -> str:
    """Everything that could be printed of it, its causes included."""
    words, cause = "", error.value.__cause__ or error.value.__context__
    while cause is not None:
        words += f"{cause!r} {cause} "
        cause = cause.__cause__ or cause.__context__
    return f"{error.value!r} {error.value} {words}"


# --- addresses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///x",
        "postgresql://u:pa55word@host",
        "postgresql://u:pa55word@host:port/db",
        "postgresql://u:pa55word@host/db?sslmod=require",
        "postgresql://u:pa55word@host/db?schema=",
        "postgresql://u:pa55word@host/db?schema=Robert'); DROP",
        "postgresql://u:pa55word@host/db?schema=pg_mine",
        "host=x password=pa55word dbname=y",
        "postgresql://u:pa55word@[host/db",
        "postgresql://u:h@rd/pa55word@host/db",
        "postgresql://u:h@pa55word@host/db",
        "postgresql://u:pa55word/db",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"run\.journal_url") as caught:
        Postgres(url)
    assert "pa55word" not in said(caught)


def test_an_address_is_shown_without_its_secrets() -> None:
    store = Postgres(
        "postgresql://us3r:pa55word@db.example:6432/hedge?schema=one&password=0ther&sslmode=disable"
    )
    assert store.place == "postgresql://db.example:6432/hedge (schema one)"
    assert not any(word in repr(store) + str(store) for word in ("pa55word", "0ther", "us3r"))
    with pytest.raises(TypeError, match="password"):
        pickle.dumps(store)
    assert (
        Postgres("postgres:///hedge?host=/run/pg").place
        == "postgresql:///run/pg:5432/hedge (schema evenkeel)"
    )


@pytest.mark.parametrize(
    ("host", "sslmode"),
    [("db.example", "require"), ("localhost", None), ("127.0.0.1", None), ("%2Frun%2Fpg", None)],
)
def test_what_leaves_the_machine_is_encrypted_unless_the_address_says_otherwise(
    host: str, sslmode: str | None
) -> None:
    assert Postgres(f"postgresql://{host}/x")._parameters.get("sslmode") == sslmode
    assert Postgres(f"postgresql://{host}/x?sslmode=disable")._parameters["sslmode"] == "disable"


# --- starting ----------------------------------------------------------------------------------------


def test_several_agents_share_a_database_each_in_a_schema_of_its_own(server: Server) -> None:
    one, other = token(), token()
    with opened(server.url(one)) as first, opened(server.url(other)) as second:
        Journal(first).open(errand(1))
        Record(second).append("look", {})
        assert Journal(second).live(CHAIN, ACCOUNT) == ()
        assert Record(first).verify() == 0
    held = server.do(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{one}'")
    assert held[0][0] == 9


def test_the_session_is_what_a_journal_needs_whatever_the_role_says(server: Server, schema: str) -> None:
    server.do("CREATE ROLE careless LOGIN PASSWORD 'x' SUPERUSER")
    server.do("ALTER ROLE careless SET synchronous_commit = off")
    server.do("ALTER ROLE careless SET default_transaction_isolation = 'read uncommitted'")
    server.do("ALTER ROLE careless SET search_path = pg_temp, public")
    with opened(server.url(schema, user="careless", password="x")) as database:
        with database.transaction() as connection:
            found = {
                name: connection.exec_driver_sql(f"SHOW {name}").scalar()
                for name in (
                    "synchronous_commit", "transaction_isolation", "search_path", "statement_timeout",
                    "lock_timeout", "client_encoding", "tcp_keepalives_idle",
                )
            }  # fmt: skip
        assert found == {
            "synchronous_commit": "on",
            "transaction_isolation": "serializable",
            "search_path": schema,
            "statement_timeout": "10s",
            "lock_timeout": "5s",
            "client_encoding": "UTF8",
            "tcp_keepalives_idle": "10",
        }
        with opened(server.url(schema), read_only=True) as reader, reader.transaction() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "repeatable read"
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"


def test_a_server_that_is_down_is_named_and_nothing_of_the_address_is_told(schema: str) -> None:
    url = f"postgresql://us3r:pa55word@127.0.0.1:1/hedge?schema={schema}"
    with (
        pytest.raises(JournalUnwritable, match=r"refused.*check that the server runs") as caught,
        opened(url),
    ):
        pass
    assert f"postgresql://127.0.0.1:1/hedge (schema {schema})" in str(caught.value)
    assert "pa55word" not in said(caught)


def test_a_wrong_password_is_told_and_not_shown(server: Server, schema: str) -> None:
    with (
        pytest.raises(JournalUnwritable, match="password authentication failed") as caught,
        opened(server.url(schema, password="wr0ng")),
    ):
        pass
    assert "wr0ng" not in said(caught)


def test_a_database_that_is_not_there_is_told(server: Server, schema: str) -> None:
    with (
        pytest.raises(JournalUnwritable, match='database "nowhere" does not exist') as caught,
        opened(server.url(schema, database="nowhere")),
    ):
        pass
    assert PASSWORD not in said(caught)
    assert QUOTED not in said(caught)


def test_a_role_that_may_not_make_its_schema_is_told_what_to_grant(server: Server, schema: str) -> None:
    server.do("CREATE ROLE humble LOGIN PASSWORD 'x'")
    url = server.url(schema, user="humble", password="x")
    with pytest.raises(JournalUnwritable, match=r"permission denied.*grant the role CREATE"), opened(url):
        pass
    server.do(f"CREATE SCHEMA {schema} AUTHORIZATION humble")
    with opened(url) as database:
        Record(database).append("look", {})


def test_a_server_that_answers_nothing_is_not_waited_for(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CONNECT_S", 2)
    with Server.silent() as port:
        url = f"postgresql://u:p@127.0.0.1:{port}/x?schema={schema}"
        began = time.monotonic()
        with pytest.raises(JournalUnwritable, match="timeout"), opened(url):
            pass
        assert time.monotonic() - began < 6


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_what_it_promised_is_refused(
    own_server: Server, schema: str, setting: str
) -> None:
    own_server.stop()
    own_server.start(f"{setting}=off")
    try:
        with (
            pytest.raises(ConfigInvalid, match=f"the server's {setting} is off"),
            opened(own_server.url(schema)),
        ):
            pass
    finally:
        own_server.stop()
        own_server.start()


def test_a_database_that_cannot_say_every_text_is_refused(server: Server, schema: str) -> None:
    server.do("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with (
        pytest.raises(ConfigInvalid, match="server_encoding is LATIN1"),
        opened(server.url(schema, database="latin")),
    ):
        pass


def test_a_database_set_to_read_only_is_unwritable_until_it_is_not(server: Server, schema: str) -> None:
    server.do("CREATE DATABASE still")
    server.do("ALTER DATABASE still SET default_transaction_read_only = on")
    url = server.url(schema, database="still")
    with pytest.raises(JournalUnwritable, match=r"read-only.*address of the primary"), opened(url):
        pass
    server.do("ALTER DATABASE still RESET default_transaction_read_only")
    with opened(url) as database:
        assert Record(database).verify() == 0


# --- the lock ----------------------------------------------------------------------------------------


def test_a_second_process_is_refused_by_name_and_may_come_when_the_first_was_killed(
    server: Server, schema: str
) -> None:
    other = _process(server.url(schema))
    try:
        with (
            pytest.raises(JournalLocked, match=f"in use by process {other.pid} on "),
            opened(server.url(schema)),
        ):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with opened(server.url(schema)) as database:
            assert Record(database).verify() == 1
    finally:
        other.kill()
        other.wait()


def test_a_dead_process_whose_line_the_server_still_holds_is_waited_for(
    server: Server, schema: str, line: Line
) -> None:
    other = _process(server.url(schema, port=line.port))
    other.kill()
    other.wait()
    began = time.monotonic()
    signal.signal(signal.SIGALRM, lambda *_: line.hang_up())
    signal.setitimer(signal.ITIMER_REAL, 2.5)
    with opened(server.url(schema)) as database:
        assert Record(database).verify() == 1
    assert time.monotonic() - began > 2


def test_a_lost_line_is_taken_up_again_with_its_lock(remote: Database, line: Line, server: Server) -> None:
    Record(remote).append("look", {})
    line.hang_up()
    Record(remote).append("look", {})
    assert Record(remote).verify() == 2
    assert line.passed == 2


def test_a_lock_that_the_server_still_holds_for_our_lost_line_is_taken_over(
    remote: Database, line: Line
) -> None:
    Record(remote).append("look", {})
    line.cut()
    Record(remote).append("look", {})
    assert Record(remote).verify() == 2


def test_who_lost_the_lock_to_another_writes_no_more(
    remote: Database, line: Line, server: Server, schema: str
) -> None:
    line.hang_up()
    with opened(server.url(schema)) as other:
        with pytest.raises(JournalLocked, match="in use by process"):
            Record(remote).append("late", {})
        Record(other).append("look", {})
    with pytest.raises(JournalLocked):  # the other has gone, but it was there
        Record(remote).append("late", {})
    with opened(server.url(schema)) as third:
        assert [entry.kind for entry in Record(third).entries()] == ["look"]


def test_a_lock_that_was_let_go_behind_our_back_is_noticed(server: Server, schema: str) -> None:
    """As a connection pool does that shares its server sessions out."""
    with opened(server.url(schema)) as database:
        with database.transaction() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
        with pytest.raises(JournalLocked):
            Record(database).append("late", {})


# --- while it runs -----------------------------------------------------------------------------------


def test_a_connection_that_somebody_ends_is_taken_up_again(server: Server, schema: str) -> None:
    with opened(server.url(schema)) as database:
        for pid in server.sessions():
            server.do(f"SELECT pg_terminate_backend({pid}, 5000)")
        Record(database).append("look", {})
        with (
            pytest.raises(JournalUnwritable, match=r"administrator command.*somebody ended"),
            database.transaction() as connection,
        ):
            connection.execute(VERSION.insert().values(version=99, since_s=1))
            (pid,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
            server.do(f"SELECT pg_terminate_backend({pid}, 5000)")
            connection.exec_driver_sql("SELECT 1")
        with database.transaction() as connection:
            assert 99 not in connection.execute(VERSION.select()).scalars().all()
        assert Record(database).verify() == 1


@pytest.mark.parametrize("fault", [Fault.QUESTION, Fault.ANSWER])
def test_a_commit_whose_answer_is_lost_is_an_error_and_the_next_look_tells(
    remote: Database, line: Line, fault: Fault
) -> None:
    line.fault = fault
    with pytest.raises(JournalUnwritable):
        Record(remote).append("look", {})
    assert Record(remote).verify() == (1 if fault is Fault.ANSWER else 0)
    Record(remote).append("look", {})


def test_a_commit_without_any_answer_is_not_waited_for(
    remote: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 1.0)
    line.fault = Fault.HANG
    began = time.monotonic()
    with pytest.raises(JournalUnwritable, match="no answer within 1 s"):
        Record(remote).append("look", {})
    assert 0.9 < time.monotonic() - began < 4
    assert Record(remote).verify() == 1


def test_a_frozen_server_is_not_waited_for(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 1.0)
    with opened(server.url(schema)) as database:
        with database.transaction() as connection:
            pid = int(str(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()))
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(JournalUnwritable, match="does not let go"):
                Record(database).append("look", {})
        finally:
            os.kill(pid, signal.SIGCONT)
        Record(database).append("look", {})
        assert Record(database).verify() == 1


def test_a_standby_that_has_to_have_it_and_does_not_is_an_error(
    own_server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(own_server.url(schema)) as database:
        own_server.do("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        own_server.do("SELECT pg_reload_conf()")
        monkeypatch.setattr(session, "ANSWER_S", 1.5)
        try:
            with pytest.raises(JournalUnwritable, match="no answer within"):
                for _ in range(50):  # the server takes a moment to read its settings again
                    Record(database).append("look", {})
            written = Record(database).verify()
            # Somebody loses patience and lets the commit through without the standby.
            cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            child = later(0.7, lambda: own_server.do(cancel))
            with pytest.raises(JournalUnwritable, match="canceling wait for synchronous replication"):
                Record(database).append("look", {})
            os.waitpid(child, 0)
        finally:
            own_server.do("ALTER SYSTEM RESET synchronous_standby_names")
            own_server.do("SELECT pg_reload_conf()")
        assert Record(database).verify() == written + 1  # it was carried out here


def test_a_table_that_somebody_locks_is_not_waited_for(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres._SETTINGS, "lock_timeout", "300")
    with opened(server.url(schema)) as database, opened(server.url(schema), guest=True) as other:
        with (
            other.transaction() as connection,
            pytest.raises(JournalUnwritable, match="lock timeout; something else locks its tables"),
        ):
            connection.exec_driver_sql("LOCK TABLE record")
            Record(database).append("look", {})
        Record(database).append("look", {})


def test_a_table_that_somebody_dropped_is_corruption(server: Server, schema: str) -> None:
    with opened(server.url(schema)) as database:
        server.do(f"DROP SCHEMA {schema} CASCADE")
        with pytest.raises(JournalCorrupt, match="opening"):
            Record(database).append("look", {})


def test_a_server_killed_in_mid_transaction_keeps_what_was_committed_and_nothing_else(
    own_server: Server, schema: str
) -> None:
    with opened(own_server.url(schema)) as database:
        for number in range(5):
            Record(database).append("look", {"n": number})
        with pytest.raises(JournalUnwritable), database.transaction() as connection:
            connection.execute(VERSION.insert().values(version=99, since_s=1))
            own_server.kill()
        with pytest.raises(JournalUnwritable, match="check that the server runs"):
            Record(database).append("look", {})
        own_server.revive()
        assert Record(database).verify() == 5
        Record(database).append("look", {})
        with database.transaction() as connection:
            assert 99 not in connection.execute(VERSION.select()).scalars().all()


def test_a_server_killed_while_an_agent_writes_loses_nothing_it_acknowledged(
    own_server: Server, schema: str
) -> None:
    with opened(own_server.url(schema)) as database:
        Record(database).append("look", {})
        for delay_s in (0.03, 0.08, 0.15):
            killer = later(delay_s, own_server.kill)
            head = Record(database).head()
            with pytest.raises(JournalUnwritable):
                for number in range(10_000):
                    head = Record(database).append("look", {"n": number})
            os.waitpid(killer, 0)
            own_server.revive()
            assert Record(database).verify(must_hold=head) >= 1


def test_a_damaged_page_is_corruption(own_server: Server, schema: str) -> None:
    with opened(own_server.url(schema)) as database:
        for number in range(5):
            Record(database).append("look", {"n": number})
    ((path,),) = own_server.do(f"SELECT pg_relation_filepath('{schema}.record')")
    own_server.stop()
    page = own_server.folder / "data" / str(path)
    raw = bytearray(page.read_bytes())
    raw[8_000] ^= 0xFF
    page.write_bytes(raw)
    own_server.start()
    with opened(own_server.url(schema)) as database, pytest.raises(JournalCorrupt, match="invalid page"):
        Record(database).append("look", {})


def test_a_full_disk_of_the_server_is_told_and_over_when_there_is_room(server: Server, schema: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="evenkeel-full-", dir=server.folder))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        shutil.chown(folder, server.owner, None)
        folder.chmod(0o700)
        server.do(f"CREATE TABLESPACE small_{schema} LOCATION '{folder}'")
        server.do(f"CREATE DATABASE tight_{schema}")
        server.do(f"CREATE ROLE tight_{schema} LOGIN SUPERUSER PASSWORD 'x'")
        server.do(f"ALTER ROLE tight_{schema} SET default_tablespace = small_{schema}")
        url = server.url(schema, user=f"tight_{schema}", password="x")
        with opened(url) as database:
            ballast = folder / "ballast"
            ballast.write_bytes(bytes(1 << 20))
            written = 0
            with pytest.raises(
                JournalUnwritable, match="No space left on device; free space on the server's disk"
            ):
                for _ in range(100):
                    Record(database).append("look", {"text": os.urandom(20_000).hex()})
                    written += 1
            assert Record(database).verify() == written
            ballast.unlink()
            Record(database).append("look", {"text": os.urandom(20_000).hex()})
            assert Record(database).verify() == written + 1
        server.do(f"DROP SCHEMA {schema} CASCADE")
        server.do(f"DROP TABLESPACE small_{schema}")
    finally:
        subprocess.run(["umount", folder], check=True)


def _process(url: str) -> subprocess.Popen[str]:
    """Another agent that has the journal open when this returns."""
    program = (
        "import sys, time\n"
        "from agent.proof.database import Database\n"
        "from agent.proof.postgres import Postgres\n"
        "from agent.proof.record import Record\n"
        "database = Database(Postgres(sys.argv[1]), time.time)\n"
        "Record(database).append('look', {})\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process
