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
from agent.tx.errand import Fault, Reply
from agent.tx.fault import MEANING, classify

RECORDED = Path(__file__).parents[2] / "recorded"
RECORD = json.loads((RECORDED / "send_faults.json").read_text())
SENDS, ABSENT, VERSIONS = RECORD["answers"], RECORD["absent"], RECORD["versions"]
CALLS = json.loads((RECORDED / "call_errors.json").read_text())

CLIENTS = ("geth", "nethermind", "erigon", "besu", "reth", "anvil", "nitro", "op-geth", "op-reth", "relay")
# What each must be asked about, and what the answer may mean. Only the first of a pair of replies that
# stand for "no" and "perhaps" can free a nonce, so they must never be mixed up.
CELLS = {
    "already known": {"ALREADY_KNOWN"},
    "nonce too low": {"NONCE_TOO_LOW", "OTHER"},
    "nonce gap": {"NONCE_TOO_HIGH"},
    "replacement underpriced": {"REPLACEMENT_UNDERPRICED"},
    "underpriced": {"UNDERPRICED"},
    "insufficient funds": {"INSUFFICIENT_FUNDS"},
    "intrinsic gas": {"GAS_TOO_LOW"},
    "block gas limit": {"EXCEEDS_BLOCK_GAS"},
    "fee below base fee": {"FEE_TOO_LOW"},
    "pool full": {"POOL_FULL", "ACCOUNT_LIMIT"},
    "delegated in flight": {"DELEGATED_IN_FLIGHT"},
    "evicted": {"DROPPED", "OTHER", "POOL_FULL"},
    "sender refused": {"SENDER_REFUSED", "MALFORMED", "OTHER"},
    "type not supported": {"TYPE_UNSUPPORTED"},
    "chain mismatch": {"CHAIN_MISMATCH"},
    "sequencer refusal": {"OTHER"},
    "synchronous time-out": {"AWAITED"},
}
LOOSE = {"malformed": {"MALFORMED", "NODE_CAP", "OTHER"}, "other": {"OTHER"}}  # asked of nobody in particular
NEVER_REJECTED = {"already known", "nonce too low", "sequencer refusal", "synchronous time-out", "other"}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_has_an_answer_to_everything_or_a_reason_for_none(client: str, cell: str) -> None:
    said = [row for row in SENDS if (row["client"], row["cell"]) == (client, cell)]
    why = [row["why"] for row in ABSENT if (row["client"], row["cell"]) == (client, cell)]
    assert bool(said) != bool(why), "either an answer, or why there is none"
    assert all(len(reason) > 10 for reason in why)
    assert {row["fault"] for row in said} <= CELLS[cell]


@pytest.mark.parametrize("said", SENDS, ids=lambda s: f"{s['client']}: {s['message'][:40]}")
def test_a_refused_transaction_is_understood(said: dict[str, str]) -> None:
    code = int(said["code"])
    assert send_fault(said["message"], code) == SendFault[said["fault"]]
    assert not is_rate_limit(code, said["message"])
    assert said["file"]
    assert said["fault"] in {**CELLS, **LOOSE}[said["cell"]]


@pytest.mark.parametrize("said", SENDS, ids=lambda s: f"{s['client']}: {s['message'][:40]}")
def test_only_what_was_never_in_a_pool_frees_its_nonce(said: dict[str, str]) -> None:
    reply, fault = classify(said["message"], int(said["code"]))
    if said["cell"] in NEVER_REJECTED:
        assert reply is not Reply.REJECTED
    if said["cell"] == "pool full":
        assert fault is Fault.CROWDED
        assert (reply is Reply.REJECTED) == (said["fault"] == "ACCOUNT_LIMIT")
    assert (reply is Reply.ACCEPTED) == (said["cell"] == "already known")


def test_the_record_names_the_version_of_every_client() -> None:
    assert tuple(VERSIONS) == CLIENTS
    assert {row["client"] for row in (*SENDS, *ABSENT)} == set(CLIENTS)


@pytest.mark.parametrize("text", ["", "no", "Internal error", "unknown transaction type 4", "EOF", "timeout"])
def test_what_no_rule_knows_proves_nothing(text: str) -> None:
    assert classify(text) == (Reply.UNKNOWN, Fault.UNSURE)


def test_a_synchronous_time_out_is_told_by_its_code_whatever_its_words() -> None:
    assert classify("nonce too high", 4) == (Reply.UNKNOWN, Fault.UNSURE)


def test_every_meaning_is_decided_and_every_rule_is_in_lower_case() -> None:
    assert set(MEANING) == set(SendFault)
    assert [words for words, _ in SEND_FAULTS if words != words.lower()] == []


def test_every_rule_is_exercised_by_a_recorded_answer() -> None:
    texts = [said["message"].lower() for said in SENDS]
    first = {next((words for words, _ in SEND_FAULTS if words in text), "") for text in texts}
    never = [words for words, _ in SEND_FAULTS if words not in first]
    # "unknown transaction" only keeps "known transaction" from matching; the rest were spelled differently
    # by versions of which no text was at hand
    assert set(never) <= {
        "unknown transaction",
        "cannot be delegated",
        "delegated account",
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
