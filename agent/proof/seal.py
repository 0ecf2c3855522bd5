"""The record is append-only in the database itself, whoever else has a client for it."""

from __future__ import annotations

from sqlalchemy import Connection

_SQLITE = tuple(
    f"CREATE TRIGGER record_no_{verb} BEFORE {verb} ON record "
    "BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END"
    for verb in ("update", "delete")
)
_POSTGRESQL = (
    "CREATE FUNCTION record_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the record is append-only'; END $$",
    "CREATE TRIGGER record_no_change BEFORE UPDATE OR DELETE ON record "
    "FOR EACH ROW EXECUTE FUNCTION record_is_append_only()",
    "CREATE TRIGGER record_no_truncate BEFORE TRUNCATE ON record "
    "FOR EACH STATEMENT EXECUTE FUNCTION record_is_append_only()",
)


def seal(connection: Connection) -> None:
    """Make the database refuse to change, delete or truncate what stands in the table `record`."""
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        connection.exec_driver_sql(statement)
