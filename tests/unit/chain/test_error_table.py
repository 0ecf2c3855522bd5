"""What nodes say, recorded, and what we take it to mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.chain.error_table import (
    SEND_FAULTS,
    SendFault,
    is_rate_limit,
    is_unpinned,
    revert_data,
    send_fault,
)

RECORDED = Path(__file__).parents[2] / "recorded"
SENDS = json.loads((RECORDED / "send_faults.json").read_text())
CALLS = json.loads((RECORDED / "call_errors.json").read_text())


@pytest.mark.parametrize("said", SENDS, ids=lambda s: f"{s['client']}: {s['message'][:40]}")
def test_a_refused_transaction_is_understood(said: dict[str, str]) -> None:
    assert send_fault(said["message"]) == SendFault[said["fault"]]
    assert not is_rate_limit(int(said["code"]), said["message"])


def test_every_rule_is_exercised_by_a_recorded_answer() -> None:
    texts = [said["message"].lower() for said in SENDS]
    first = {next((words for words, _ in SEND_FAULTS if words in text), "") for text in texts}
    never = [words for words, _ in SEND_FAULTS if words not in first]
    # spelled differently by old versions of which no text was at hand
    assert set(never) <= {
        "cannot be delegated",
        "insufficient gas for floor",
        "callgascostmorethangaslimit",
        "gasfloormorethangaslimit",
        "gas limit is too high",
    }


@pytest.mark.parametrize("said", CALLS, ids=lambda s: f"{s['source'][:12]}: {s['error']['message'][:40]}")
def test_a_refused_read_is_understood(said: dict[str, object]) -> None:
    error = said["error"]
    assert isinstance(error, dict)
    code, message, data = error["code"], error["message"], error.get("data")
    found = revert_data(code, message, data)
    means = {
        "limited": is_rate_limit(code, message),
        "unpinned": is_unpinned(message),
        "reverted": found is not None,
    }
    assert [name for name, holds in means.items() if holds] == [said["means"]] * (said["means"] != "refused")
    if found is not None:
        assert "0x" + found.hex() == said["data"]
