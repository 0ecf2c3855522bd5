"""Whose requests go first where an endpoint allows only so many: carried by the context, not by arguments.

A thread that is started begins without its starter's context; whoever starts one for a rescue's requests runs
it in ``contextvars.copy_context()``, as `agent.chain.pool` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Priority(IntEnum):
    """The lower number goes first."""

    RESCUE = 0
    NORMAL = 1
    SCAN = 2


_CURRENT: ContextVar[Priority] = ContextVar("priority", default=Priority.NORMAL)


@contextmanager
def priority(level: Priority) -> Iterator[None]:
    """Every request made inside is of this priority; the innermost one counts."""
    token = _CURRENT.set(level)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Priority:
    """NORMAL unless somebody said otherwise."""
    return _CURRENT.get()
