"""One connection to PostgreSQL that never waits for ever and never takes a doubtful commit for one."""

from __future__ import annotations

from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import Buffer, PQGen
from psycopg.types.string import StrDumperUnknown

Result = TypeVar("Result")

ANSWER_S = 15.0  # longest wait for any answer, the commit's included; the server's own limits are shorter
_POLL_S = 0.1


class Session(psycopg.Connection[tuple[object, ...]]):
    """Closed for good as soon as an answer is overdue: what was asked may still happen."""

    def wait(self, gen: PQGen[Result], interval: float = _POLL_S, timeout: float | None = None) -> Result:
        """Raises OperationalError when the server does not answer in time, as a frozen one does not."""
        limit_s = ANSWER_S if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.Error as error:
            if self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {limit_s:g} s") from error

    def commit(self) -> None:
        """Raises OperationalError for one that the server carried out but warns of: a standby that has to
        have it may not.
        """
        if self.info.transaction_status == pq.TransactionStatus.INERROR:
            raise psycopg.errors.InFailedSqlTransaction(
                "a statement of it failed"
            )  # COMMIT would say nothing
        warnings: list[str] = []

        def listen(notice: psycopg.errors.Diagnostic) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.message_primary or "")

        self.add_notice_handler(listen)
        try:
            super().commit()
        finally:
            self.remove_notice_handler(listen)
        if warnings:
            raise psycopg.OperationalError(warnings[0])


class Text(StrDumperUnknown):
    """Without the one character that PostgreSQL cannot keep; a node's message may have it."""

    def dump(self, obj: str) -> Buffer | None:
        """The text for the server."""
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))
