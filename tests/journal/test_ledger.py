"""What the lane writes down is what it reads again, in a file and on a server alike."""

from __future__ import annotations

import enum
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Enum, String, delete, inspect, text, update
from sqlalchemy.exc import DBAPIError

from agent.errors import ConfigInvalid, JournalCorrupt, JournalLocked, JournalUnwritable, LaneBusy
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.record import GENESIS, Record, digest
from agent.proof.schema import METADATA, OBSERVATION, RECORD, VERSION
from agent.tx.attempt import Stage
from agent.tx.errand import Fault, Purpose, Receipt, Reply, Route, State, Verdict
from agent.tx.ladder import Rung
from agent.tx.ledger import Wish
from agent.tx.transaction import Fee
from agent.values.address import TxHash
from tests.journal.errands import ACCOUNT, CHAIN, OTHER, attempt, errand, outcome
from tests.postgres import Kept

NOW_S = 1_795_244_839
ODD = "naïve “text”, ₿, \U0001f6a2 and a ' and %s and :x and a\nline"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal ?#%.db"


@pytest.fixture
def database(kept: Kept, path: Path) -> Database:
    return kept.open(path, lambda: NOW_S + 0.9)


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def test_an_errand_is_read_as_it_was_written(journal: Journal) -> None:
    opened = journal.open(errand(1, budget_wei=10**40))
    full = replace(
        opened, attempts=(attempt(2, ODD), attempt(1, fee_wei=10**28)), reorged=True, foreign_since=9
    )
    journal.save(full)
    assert journal.live(CHAIN, ACCOUNT) == (full,)
    assert journal.errand(opened.id) == (full,)
    assert journal.live(CHAIN, OTHER) == ()
    receipt = Receipt(full.attempts[1].tx_hash, 50, "0x" + 64 * "b", True, True, 99, 10**21)
    mined = replace(full, inclusion=receipt, ending=State.FINAL)
    journal.save(mined)
    assert journal.live(CHAIN, ACCOUNT) == ()
    assert journal.last_final(CHAIN, ACCOUNT) == journal.history(CHAIN, ACCOUNT, 5) == (mined,)
    assert journal.epoch_hint(CHAIN, ACCOUNT) == 2
    assert journal.lanes() == ((CHAIN, ACCOUNT),)


def test_every_word_fits_its_column() -> None:
    words = {
        "purpose": Purpose, "urgency": Urgency, "state": State, "reply": Reply, "fault": Fault,
        "route": Route, "stage": Stage, "verdict": Verdict, "wish": Wish,
    }  # fmt: skip
    seen: set[str] = set()
    for table in METADATA.sorted_tables:
        for column in table.columns:
            kind: type[enum.Enum] | None = words.get(column.name)
            if kind is not None and isinstance(column.type, String) and not isinstance(column.type, Enum):
                seen.add(column.name)
                assert max(len(word.value) for word in kind) <= (column.type.length or 0), column
    assert seen == set(words)


def test_a_nonce_is_leased_to_one_errand_at_a_time(journal: Journal) -> None:
    first = journal.open(errand(1))
    with pytest.raises(LaneBusy):
        journal.open(errand(2))
    assert journal.live(CHAIN, ACCOUNT) == (first,)
    journal.open(errand(2, nonce=8))
    journal.open(errand(1, account=OTHER))
    journal.save(replace(first, ending=State.ABANDONED))
    assert journal.open(errand(2)).id > first.id


def test_the_database_itself_holds_the_lease(database: Database, journal: Journal) -> None:
    first, second = journal.open(errand(1)), journal.open(errand(2, nonce=8))
    with pytest.raises(JournalUnwritable, match=r"(?i)unique"), database.transaction() as connection:
        connection.execute(text(f"UPDATE errand SET nonce = 7 WHERE id = {second.id}"))
    assert journal.live(CHAIN, ACCOUNT) == (first, second)


def test_an_errand_that_is_not_there_is_not_saved(journal: Journal) -> None:
    with pytest.raises(JournalCorrupt, match="errand 77 is not in it"):
        journal.save(errand(1, id=77))


def test_outcomes_are_told_until_they_are_acknowledged(journal: Journal) -> None:
    opened = journal.open(errand(1))
    journal.save(opened, [outcome(opened, Stage.BUMPED, ODD), outcome(opened, Stage.CAPPED)])
    told = journal.unreported(CHAIN, ACCOUNT)
    assert [(one.stage, one.reason, one.fee_wei) for one in told] == [
        (Stage.BUMPED, ODD, 10**30),
        (Stage.CAPPED, "", 10**30),
    ]
    journal.acknowledge(told[:1])
    assert journal.unreported(CHAIN, ACCOUNT) == told[1:]
    journal.acknowledge(told)
    journal.acknowledge([])
    assert journal.unreported(CHAIN, ACCOUNT) == ()
    lines = journal.lines(opened.id)
    assert [line.at_s for line in lines] == [NOW_S] * 3
    assert [line.outcome.stage if line.outcome else None for line in lines] == [
        None,
        Stage.BUMPED,
        Stage.CAPPED,
    ]


def test_rungs_are_kept_until_the_errand_ends(journal: Journal) -> None:
    opened = journal.open(errand(1))
    low, high = (Rung(TxHash(f"0x{n:064x}"), Fee(n, 1), 9, 2_000, bytes(range(256))) for n in (9, 10**25))
    journal.climb(opened, [high, low])
    assert journal.rungs(opened) == (low, high)
    journal.climb(opened, [high])
    assert journal.rungs(opened) == (high,)
    journal.save(replace(opened, ending=State.ABANDONED))
    assert journal.rungs(opened) == ()


def test_a_wish_is_left_beside_the_owner_and_answered_once(kept: Kept, path: Path, journal: Journal) -> None:
    opened = journal.open(errand(1))
    with kept.open(path, guest=True) as beside:
        number = Journal(beside).request(opened.id, Wish.CANCEL)
        assert Journal(beside).answer(number) is None
        (wish,) = journal.requests(CHAIN, ACCOUNT)
        assert (wish.id, wish.errand_id, wish.wish) == (number, opened.id, Wish.CANCEL)
        journal.close_request(wish, "done")
        assert Journal(beside).answer(number) == "done"
    assert journal.requests(CHAIN, ACCOUNT) == ()
    assert journal.open(errand(2, nonce=8)).id > opened.id  # the owner went on


def test_what_fails_in_the_middle_leaves_nothing(database: Database, journal: Journal) -> None:
    opened = journal.open(errand(1))
    broken = replace(opened, attempts=(attempt(1), replace(attempt(2), gas=None)))  # type: ignore[arg-type]
    with pytest.raises(JournalUnwritable, match=r"(?i)not.null"):
        journal.save(broken, [outcome(opened, Stage.BUMPED)])
    assert journal.live(CHAIN, ACCOUNT) == (opened,)
    assert journal.unreported(CHAIN, ACCOUNT) == ()
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(delete(OBSERVATION))
        raise ZeroDivisionError
    assert len(journal.lines(opened.id)) == 1


def test_a_failure_that_was_overlooked_is_not_committed(database: Database, kept: Kept) -> None:
    def overlook() -> None:
        with database.transaction() as connection:
            connection.execute(VERSION.insert().values(version=70, since_s=1))
            with suppress(DBAPIError):
                connection.execute(VERSION.insert().values(version=70, since_s=1))

    if kept.is_file:
        overlook()
        count = 2
    else:
        with pytest.raises(JournalUnwritable, match="a statement of it failed"):
            overlook()
        count = 1
    with database.transaction() as connection:
        assert len(connection.execute(VERSION.select()).all()) == count


@pytest.mark.parametrize("value", [2**63, -(2**80)])
def test_a_number_that_no_column_holds_is_refused_in_our_words(journal: Journal, value: int) -> None:
    opened = journal.open(errand(1))
    with pytest.raises(JournalUnwritable, match=r"out of range|does not fit"):
        journal.save(replace(opened, foreign_since=value))
    assert journal.live(CHAIN, ACCOUNT) == (opened,)


def test_half_a_character_is_refused_in_our_words(journal: Journal) -> None:
    opened = journal.open(errand(1))
    with pytest.raises(JournalUnwritable, match="surrogates not allowed"):
        journal.save(replace(opened, attempts=(attempt(1, "\ud800"),)))
    assert journal.live(CHAIN, ACCOUNT) == (opened,)


def test_a_node_may_say_what_a_text_cannot_hold(journal: Journal) -> None:
    opened = journal.open(errand(1))
    journal.save(replace(opened, attempts=(attempt(1, "nonce\0too low"),)))
    ((found,),) = (one.attempts for one in journal.live(CHAIN, ACCOUNT))
    assert found.reason in ("nonce\0too low", "nonce\N{REPLACEMENT CHARACTER}too low")


def test_a_word_of_nobody_is_corruption(database: Database, journal: Journal) -> None:
    journal.open(errand(1))
    with database.transaction() as connection:
        connection.execute(text("UPDATE errand SET state = 'dreaming'"))
    with pytest.raises(JournalCorrupt, match="dreaming"):
        journal.live(CHAIN, ACCOUNT)


# --- the record --------------------------------------------------------------------------------------


def test_the_record_is_a_chain_that_can_be_checked(database: Database) -> None:
    record = Record(database)
    assert (record.head(), record.verify()) == (GENESIS, 0)
    noted = record.append("look", {"b": ODD, "a": [1, 2.5, None, "\0"]})
    with database.transaction() as connection:  # more than a page of them, at once
        before = noted
        for seq in range(2, 1_102):
            own = digest(seq, 5, "tick", "{}", before)
            row = {"seq": seq, "at_s": 5, "kind": "tick", "payload": "{}", "before": before, "hash": own}
            connection.execute(RECORD.insert().values(row))
            before = own
    assert record.verify(must_hold=noted) == 1_101
    assert record.entries(0, 1)[0].payload == {"a": [1, 2.5, None, "\0"], "b": ODD}
    assert record.entries(1_100)[0].hash == record.head()
    with pytest.raises(JournalCorrupt, match="not in the record of 1101"):
        record.verify(must_hold="f" * 64)


@pytest.mark.parametrize(
    "statement",
    [update(RECORD).values(payload="{}"), delete(RECORD).where(RECORD.c.seq == 1)],
    ids=["changed", "deleted"],
)
def test_the_record_only_grows(database: Database, statement: object) -> None:
    record = Record(database)
    record.append("look", {})
    with pytest.raises(JournalUnwritable, match="append-only"), database.transaction() as connection:
        connection.execute(statement)  # type: ignore[call-overload]
    assert record.verify() == 1


def test_the_record_cannot_be_emptied_at_once(kept: Kept, database: Database) -> None:
    record = Record(database)
    record.append("look", {})
    emptied = "DELETE FROM record" if kept.is_file else "TRUNCATE record"
    with pytest.raises(JournalUnwritable, match="append-only"), database.transaction() as connection:
        connection.execute(text(emptied))
    assert record.verify() == 1


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE record SET payload = '{}' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE record SET at_s = 5 WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM record WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE record SET before = hash WHERE seq = 2", "entry 2 does not follow"),
    ],
)
def test_whoever_takes_the_seal_off_is_found_out(
    database: Database, kept: Kept, tampering: str, finding: str
) -> None:
    record = Record(database)
    for number in range(3):
        record.append("look", {"n": number})
    with database.transaction() as connection:
        if kept.is_file:
            connection.execute(text("DROP TRIGGER record_no_update"))
            connection.execute(text("DROP TRIGGER record_no_delete"))
        else:
            connection.execute(text("ALTER TABLE record DISABLE TRIGGER ALL"))
        connection.execute(text(tampering))
    with pytest.raises(JournalCorrupt, match=finding):
        record.verify()


# --- opening -----------------------------------------------------------------------------------------


def test_it_is_all_there_after_it_was_closed(kept: Kept, path: Path, database: Database) -> None:
    opened = Journal(database).open(errand(1))
    head = Record(database).append("look", {})
    database.close()
    database.close()
    with pytest.raises(JournalUnwritable, match="it was closed"):
        Record(database).head()
    again = kept.open(path)
    assert Journal(again).live(CHAIN, ACCOUNT) == (opened,)
    assert Record(again).head() == head


def test_one_agent_at_a_time(kept: Kept, path: Path, database: Database) -> None:
    with pytest.raises(JournalLocked, match=f"in use by process {os.getpid()}"):
        kept.open(path)
    Journal(database).open(errand(1))  # it goes on
    database.close()
    kept.open(path)


def test_a_reader_sees_and_changes_nothing(kept: Kept, path: Path, database: Database) -> None:
    Record(database).append("look", {})
    with kept.open(path, read_only=True) as reader:
        assert Record(reader).verify() == 1
        Record(database).append("look", {})
        assert Record(reader).verify() == 2
        with pytest.raises(JournalUnwritable, match=r"read.?only"):
            Record(reader).append("look", {})
    database.close()
    with kept.open(path, read_only=True) as reader:  # nobody runs on it
        assert Record(reader).verify() == 2


@pytest.mark.parametrize("how", [{"read_only": True}, {"guest": True}])
def test_where_nothing_is_there_is_nothing_to_look_at(kept: Kept, path: Path, how: dict[str, bool]) -> None:
    with pytest.raises(ConfigInvalid, match="there is no journal yet; run --live first"):
        kept.open(path, **how)
    if kept.is_file:
        assert not path.exists()


def test_a_database_of_something_else_is_left_alone(kept: Kept, path: Path) -> None:
    database = kept.open(path)
    with database.transaction() as connection:
        METADATA.drop_all(connection)
        connection.execute(text("CREATE TABLE recipe (name TEXT)"))
        connection.execute(text("INSERT INTO recipe VALUES ('bread')"))
    database.close()
    with pytest.raises(JournalCorrupt, match="a database of something else"):
        kept.open(path)
    with pytest.raises(JournalCorrupt, match="a database of something else"):
        kept.open(path, read_only=True)


def test_a_newer_schema_is_refused_by_everybody(kept: Kept, path: Path, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(VERSION.insert().values(version=99, since_s=1))
    database.close()
    with pytest.raises(JournalCorrupt, match="schema 99 is newer"):
        kept.open(path)
    with pytest.raises(JournalCorrupt, match="its schema is 99"):
        kept.open(path, read_only=True)
    with pytest.raises(JournalCorrupt, match="its schema is 99"):
        kept.open(path, guest=True)


def test_a_schema_without_its_number_is_refused(kept: Kept, path: Path, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(delete(VERSION))
    database.close()
    with pytest.raises(JournalCorrupt, match="says no schema version"):
        kept.open(path)


def test_a_table_that_is_missing_is_corruption(database: Database, journal: Journal) -> None:
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE request"))
    with pytest.raises(JournalCorrupt, match="request"):
        journal.requests(CHAIN, ACCOUNT)


def test_a_process_that_is_killed_lets_go_and_loses_what_was_not_committed(kept: Kept, path: Path) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        database = Database(kept.place(path), time.time)
        Record(database).append("look", {})
        with database.transaction() as connection:
            connection.execute(VERSION.insert().values(version=99, since_s=1))
            os.write(told, b"!")
            time.sleep(60)
        os._exit(3)
    os.read(ready, 1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    database = kept.open(path)
    assert Record(database).verify() == 1
    with database.transaction() as connection:
        assert 99 not in connection.execute(VERSION.select()).scalars().all()


def test_both_engines_are_asked_for_the_same_tables(kept: Kept, database: Database) -> None:
    with database.transaction() as connection:
        names = set(inspect(connection).get_table_names())
    assert names - {"opening"} == set(METADATA.tables)
