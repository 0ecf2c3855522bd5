"""A journal of an older program is brought up to date in one transaction, the hedge on its way included."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, inspect, text

from agent.errors import JournalCorrupt, JournalUnwritable
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.record import Record
from agent.proof.schema import METADATA, MIGRATIONS
from agent.sim.toolchain import Toolchain
from agent.tx.attempt import Stage
from agent.tx.errand import Route, State
from tests.journal.errands import ACCOUNT, CHAIN
from tests.lane import Lane, running, settle
from tests.postgres import Kept, schema_of

RECORDED = Path(__file__).parents[1] / "recorded"
HEAD = "6d4399e25cabf33cbee13f8c9a13be6875309aa1f9e7293df6cd935dba5d1178"


@dataclass
class Old:
    """A journal of schema 1 as its program left it: a hedge sent, dropped by the pool and outbid once."""

    kept: Kept
    path: Path

    def tables(self) -> set[str]:
        if self.kept.server is None:
            with sqlite3.connect(self.path) as connection:
                rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {str(row[0]) for row in rows}
        schema = schema_of(self.path)
        rows = self.kept.server.do(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        return {str(row[0]) for row in rows}


@pytest.fixture
def old(kept: Kept, tmp_path: Path) -> Old:
    path = tmp_path / "old.db"
    if kept.server is None:
        with sqlite3.connect(path) as connection:
            connection.executescript((RECORDED / "journal_schema_1.sqlite.sql").read_text())
        connection.close()
    else:
        schema = schema_of(path)
        recorded = (RECORDED / "journal_schema_1.postgresql.sql").read_text()
        with psycopg.connect(kept.server.url(schema="")) as connection:
            connection.execute(f"CREATE SCHEMA {schema}".encode())
            connection.execute(f"SET search_path = {schema}".encode())
            connection.execute(recorded.encode())
    return Old(kept, path)


def test_everything_in_it_is_still_there(old: Old) -> None:
    with old.kept.open(old.path) as database:
        (errand,) = Journal(database).live(CHAIN, ACCOUNT)
        assert (errand.nonce, errand.state, errand.budget_wei) == (1, State.SENT, None)
        assert [attempt.route for attempt in errand.attempts] == [Route.PUBLIC, Route.PUBLIC]
        assert [len(attempt.raw) for attempt in errand.attempts] == [823, 823]
        assert [told.stage for told in Journal(database).unreported(CHAIN, ACCOUNT)] == [Stage.BUMPED]
        assert Record(database).verify(must_hold=HEAD) == 3
        Record(database).append("look", {})
        with pytest.raises(JournalUnwritable, match="append-only"), database.transaction() as connection:
            connection.execute(text("DELETE FROM record"))


def test_it_becomes_what_a_new_one_is(old: Old, tmp_path: Path) -> None:
    def shape(database: Database) -> dict[str, object]:
        with database.transaction() as connection:
            found = inspect(connection)
            return {
                table: (
                    sorted((c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)),
                    sorted((i["name"], i["column_names"], i["unique"]) for i in found.get_indexes(table)),
                    found.get_pk_constraint(table)["constrained_columns"],
                    [key["referred_table"] for key in found.get_foreign_keys(table)],
                )
                for table in sorted(METADATA.tables)
            }

    with old.kept.open(old.path) as migrated, old.kept.open(tmp_path / "new.db") as new:
        assert shape(migrated) == shape(new)
        with migrated.transaction() as connection:
            versions = (
                connection.execute(text("SELECT version FROM schema_version ORDER BY 1")).scalars().all()
            )
        assert versions == list(range(1, len(MIGRATIONS) + 2))


def test_a_reader_does_not_migrate_it(old: Old) -> None:
    before = old.tables()
    with pytest.raises(JournalCorrupt, match=f"its schema is 1; this program reads {len(MIGRATIONS) + 1}"):
        old.kept.open(old.path, read_only=True)
    assert old.tables() == before


class Broken(Exception):
    """What a migration of ours never raises."""


def half(connection: Connection) -> None:
    """The real one, and then it breaks."""
    MIGRATIONS[0](connection)
    connection.execute(text("UPDATE errand SET nonce = 99"))
    raise Broken


def refused(connection: Connection) -> None:
    """The database itself refuses the second half."""
    MIGRATIONS[0](connection)
    connection.execute(text("INSERT INTO observation SELECT * FROM observation"))


@pytest.mark.parametrize(("migration", "error"), [(half, Broken), (refused, JournalUnwritable)])
def test_a_migration_that_fails_leaves_it_as_it_was(
    old: Old, migration: object, error: type[Exception]
) -> None:
    before = old.tables()
    with pytest.raises(error):
        old.kept.open(old.path, migrations=(migration, *MIGRATIONS[1:]))
    assert old.tables() == before
    with old.kept.open(old.path) as database:  # the lock was let go of, and all is as it was
        assert [errand.nonce for errand in Journal(database).live(CHAIN, ACCOUNT)] == [1]


def test_a_migration_is_not_begun_by_a_process_that_is_killed_in_it(old: Old) -> None:
    before = old.tables()
    child = os.fork()
    if child == 0:

        def die(connection: Connection) -> None:
            MIGRATIONS[0](connection)
            os._exit(9)

        Database(old.kept.place(old.path), time.time, (die, *MIGRATIONS[1:]))
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert old.tables() == before
    with old.kept.open(old.path) as database:
        assert Record(database).verify(must_hold=HEAD) == 3


@pytest.fixture
def lane(toolchain: Toolchain, tmp_path: Path) -> Iterator[Lane]:
    """A chain as the old program knew it: the same contracts, the same key, the nonce not used yet."""
    with running(toolchain, tmp_path) as lane:
        lane.delegate()
        yield lane
        for agent in lane.agents:
            agent.close()


def test_the_hedge_on_its_way_happens_once_and_the_next_one_too(old: Old, lane: Lane) -> None:
    lane.keep = old.kept.open
    agent = lane.agent(journal=old.path.name)
    (errand,) = agent.sender.in_flight()
    agent.sender.acknowledge(agent.sender.recover(agent.head()))
    settle(lane, agent, blocks=16)
    assert lane.effects() == 1
    (final,) = agent.journal.last_final(CHAIN, ACCOUNT)
    assert (final.id, final.intent_id) == (errand.id, errand.intent_id)
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    settle(lane, agent)
    assert lane.effects() == agent.intent().epoch == 2
