"""Structured logs on stderr. Secrets never get here: reprs leave them out, and this drops them again."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from io import TextIOBase
from typing import TextIO, cast

import structlog

Logger = structlog.typing.FilteringBoundLogger

_SECRET = ("password", "private", "secret", "seed", "mnemonic", "keystore")


class _Stderr(TextIOBase):
    """Standard error as it is when something is said: loggers are kept, and whoever runs a command inside a
    longer process may have put another in its place since.
    """

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _redact(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Last line of defence: a field whose name smells of a secret is not printed."""
    for name in event:
        if any(word in name.lower() for word in _SECRET):
            event[name] = "[redacted]"
    return event


def configure(level: str = "info", *, as_json: bool = False) -> None:
    """Set up logging once per process: coloured lines for a terminal, JSON lines for machines."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
        cache_logger_on_first_use=True,
    )


def logger(name: str) -> Logger:
    """A logger bound to the part of the house that speaks."""
    bound: Logger = structlog.get_logger().bind(part=name)
    return bound
