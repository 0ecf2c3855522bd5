"""Logs find standard error wherever it is."""

from __future__ import annotations

import io
import sys

import pytest

from agent.runtime import telemetry


def test_a_logger_that_is_kept_speaks_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    telemetry.configure("info", as_json=True)
    log = telemetry.logger("agent")
    log.info("one")
    assert '"event": "one"' in first.getvalue()
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    log.info("two", password="swordfish")
    assert '"event": "two"' in second.getvalue()
    assert "swordfish" not in second.getvalue()
