"""The journal's tables, and how an older file becomes the present one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    inspect,
    select,
)

from agent.errors import JournalCorrupt
from agent.proof.seal import seal


class Wei(TypeDecorator[int]):
    """An int of any size, kept as decimal text: 64 bits hold only nine ether."""

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: object, dialect: Dialect) -> int | None:
        return None if value is None else int(str(value))


METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER

VERSION = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True),
    Column("since_s", BigInteger, nullable=False),
)

INTENT = Table(
    "intent",
    METADATA,
    Column("id", String(66), primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("account", String(42), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("opened_s", BigInteger, nullable=False),
)

ERRAND = Table(
    "errand",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("account", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("intent_id", String(66), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("urgency", String(16), nullable=False),
    Column("deadline_s", BigInteger, nullable=False),
    Column("budget_wei", Wei),  # empty: only the policy's cap counts
    Column("pressure_bps", Integer, nullable=False, server_default="0"),
    Column("state", String(16), nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("reorged", Boolean, nullable=False),
    Column("foreign_since", BigInteger, nullable=False),
    Column("replaced", Boolean, nullable=False),
    Column("mined_hash", String(66)),
    Column("mined_block", BigInteger),
    Column("mined_block_hash", String(66)),
    Column("mined_succeeded", Boolean),
    Column("mined_executed", Boolean),
    Column("mined_gas_used", BigInteger),
    Column("mined_gas_price_wei", Wei),
    Column("opened_s", BigInteger, nullable=False),
    Column("changed_s", BigInteger, nullable=False),
)
# A nonce is leased to one errand at a time: the lane's rule, held by the database as well.
Index(
    "errand_lease",
    ERRAND.c.chain_id,
    ERRAND.c.account,
    ERRAND.c.nonce,
    unique=True,
    sqlite_where=ERRAND.c.is_live,
    postgresql_where=ERRAND.c.is_live,
)

ATTEMPT = Table(
    "attempt",
    METADATA,
    # Signatures are deterministic: an errand that was abandoned and planned again may sign the same bytes.
    Column("errand_id", _ID, ForeignKey("errand.id"), primary_key=True),
    Column("tx_hash", String(66), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("max_fee_wei", Wei, nullable=False),
    Column("tip_wei", Wei, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("reply", String(16), nullable=False),
    Column("fault", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("route", String(16), nullable=False, server_default="public"),
)

RUNG = Table(
    "rung",
    METADATA,
    Column("errand_id", _ID, ForeignKey("errand.id"), primary_key=True),
    Column("tx_hash", String(66), primary_key=True),
    Column("max_fee_wei", Wei, nullable=False),
    Column("tip_wei", Wei, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

REQUEST = Table(
    "request",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("errand_id", _ID, ForeignKey("errand.id"), nullable=False),
    Column("wish", String(16), nullable=False),
    Column("at_s", BigInteger, nullable=False),
    Column("answer", Text),  # empty: nobody has looked at it yet
)

OBSERVATION = Table(
    "observation",
    METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("errand_id", _ID, ForeignKey("errand.id"), nullable=False, index=True),
    Column("at_s", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),  # empty: a change of state that nobody waits for
    Column("verdict", String(16)),
    Column("tx_hash", String(66)),
    Column("head", BigInteger),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("gas_used", BigInteger),
    Column("fee_wei", Wei),
    Column("reason", Text),
    Column("is_reported", Boolean, nullable=False, index=True),
)

RECORD = Table(
    "record",
    METADATA,
    Column("seq", _ID, primary_key=True, autoincrement=False),
    Column("at_s", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("payload", Text, nullable=False),
    Column("before", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
Migration = Callable[[Connection], None]


def _to_2(connection: Connection) -> None:
    """Routes, budgets, ladders and an operator's requests."""
    connection.exec_driver_sql("ALTER TABLE attempt ADD COLUMN route VARCHAR(16) DEFAULT 'public' NOT NULL")
    connection.exec_driver_sql("ALTER TABLE errand ADD COLUMN budget_wei VARCHAR(80)")
    connection.exec_driver_sql("ALTER TABLE errand ADD COLUMN pressure_bps INTEGER DEFAULT 0 NOT NULL")
    for table in (RUNG, REQUEST):
        table.create(connection)


# MIGRATIONS[n] turns a file of schema n + 1 into schema n + 2. Never change one that was released.
MIGRATIONS: tuple[Migration, ...] = (_to_2,)


def prepare(connection: Connection, path: str, now_s: int, migrations: Sequence[Migration]) -> None:
    """Bring an empty file or one of an older schema to the present one, inside the caller's transaction.

    Raises JournalCorrupt for a file of something else or of a newer schema.
    """
    present = len(migrations) + 1
    tables = set(inspect(connection).get_table_names())
    if not tables:
        METADATA.create_all(connection)
        seal(connection)
        connection.execute(VERSION.insert().values(version=present, since_s=now_s))
        return
    found = read_version(connection, path, tables)
    if found > present:
        raise JournalCorrupt(path=path, reason=f"its schema {found} is newer than this program's {present}")
    for version in range(found, present):
        migrations[version - 1](connection)
        connection.execute(VERSION.insert().values(version=version + 1, since_s=now_s))


def read_version(connection: Connection, path: str, tables: set[str]) -> int:
    """The schema of the file. Raises JournalCorrupt if it is none of ours."""
    if VERSION.name not in tables:
        raise JournalCorrupt(path=path, reason=f"it is a database of something else ({sorted(tables)})")
    versions = connection.execute(select(VERSION.c.version)).scalars().all()
    if not versions:
        raise JournalCorrupt(path=path, reason="it says no schema version")
    return int(max(versions))
