"""What is on its way, what became of it, and an operator's hand on it."""

from __future__ import annotations

import time

from rich.console import Group
from rich.text import Text

from agent import assembly
from agent.cli.command import show
from agent.cli.view import rows_table
from agent.config import Config
from agent.errors import ConfigInvalid, JournalLocked
from agent.proof.journal import Journal, Line
from agent.runtime import telemetry
from agent.tx.errand import Attempt, Errand
from agent.tx.ledger import Wish

ANSWER_S = 60.0  # how long a running agent is waited for: a few heads
POLL_S = 0.2


def listed(config: Config, *, last: int, live_only: bool, as_json: bool) -> None:
    """The newest errands, newest first."""
    with assembly.record_of(config) as database:
        errands = _errands(Journal(database), last)
    chosen = [errand for errand in errands if errand.ending is None or not live_only]
    show(
        as_json,
        lambda: [errand_json(errand) for errand in chosen],
        lambda: rows_table(
            [_row(errand) for errand in chosen], prose="newest", expendable=("urgency", "bid (gwei)")
        ),
    )


def told(config: Config, errand_id: int, *, as_json: bool) -> None:
    """One errand: everything signed for it, which of them was mined, and what was written down when."""
    with assembly.record_of(config) as database:
        journal = Journal(database)
        errand = _found(journal, errand_id)
        lines = journal.lines(errand.id)
    show(
        as_json,
        lambda: errand_json(errand) | {"history": [_line_json(line) for line in lines]},
        lambda: Group(
            Text(_sentence(errand)),
            rows_table(
                [_attempt_row(errand, a) for a in errand.attempts],
                prose="reason",
                expendable=("signed at", "route"),
            ),
            rows_table([_line_row(line) for line in lines], prose="what", expendable=("at (UTC)",)),
        ),
    )


def asked(config: Config, errand_id: int, wish: Wish, *, live: bool, as_json: bool) -> int:
    """Bump or cancel; a running agent does it on its next head, else this process does. 0 if it was done.

    Without ``live`` it only says what would be asked. Raises ConfigInvalid for a number that is not in the
    journal, and what `assembly.live_desk` raises.
    """
    telemetry.configure("error" if as_json else config.run.log_level, as_json=as_json)
    with assembly.record_of(config) as database:
        errand = _found(Journal(database), errand_id)
    if not live:
        answer = f"would {wish.value}: {_sentence(errand)}. Nothing was sent; add --live."
        show(as_json, lambda: {"errand": errand_id, "wish": wish.value, "answer": answer}, lambda: answer)
        return 0
    try:
        answer = _do(config, errand_id, wish)
    except JournalLocked:
        answer = _leave(config, errand_id, wish)
    show(as_json, lambda: {"errand": errand_id, "wish": wish.value, "answer": answer}, lambda: answer)
    return 0 if answer == "done" or answer.startswith("from the ladder") else 4


def errand_json(errand: Errand) -> dict[str, object]:
    """For programs. ``won``: the hash that was mined; empty while none is."""
    mined = errand.inclusion
    return {
        "id": errand.id,
        "chain_id": errand.chain_id,
        "account": errand.account,
        "nonce": errand.nonce,
        "purpose": errand.purpose.value,
        "intent_id": errand.intent_id,
        "epoch": errand.epoch,
        "urgency": errand.urgency.value,
        "deadline_s": errand.deadline_s,
        "state": errand.state.value,
        "verdict": errand.verdict.value,
        "won": mined.tx_hash if mined else None,
        "block": mined.block_number if mined else None,
        "fee_wei": mined.fee_wei if mined else None,
        "attempts": [_attempt_json(errand, attempt) for attempt in errand.attempts],
    }


def _do(config: Config, errand_id: int, wish: Wish) -> str:
    """The lane is ours: write the wish down like everybody and carry it out at once."""
    with assembly.live_desk(config) as (desk, block), assembly.guest_of(config) as database:
        journal = Journal(database)
        request = journal.request(errand_id, wish)
        if desk.sender is not None:
            desk.sender.observe(block)
        return journal.answer(request) or "not carried out"


def _leave(config: Config, errand_id: int, wish: Wish) -> str:
    """Somebody else has the lane: leave the wish and wait for the answer."""
    with assembly.guest_of(config) as database:
        journal = Journal(database)
        request = journal.request(errand_id, wish)
        deadline = time.monotonic() + ANSWER_S
        while (answer := journal.answer(request)) is None:
            if time.monotonic() > deadline:
                return f"left for the running agent, which has not answered in {ANSWER_S:.0f} s"
            time.sleep(POLL_S)
        return answer


def _errands(journal: Journal, last: int) -> list[Errand]:
    found = [e for chain_id, account in journal.lanes() for e in journal.history(chain_id, account, last)]
    return sorted(found, key=lambda errand: -errand.id)[:last]


def _found(journal: Journal, errand_id: int) -> Errand:
    for errand in journal.errand(errand_id):
        return errand
    raise ConfigInvalid(
        key="ID", value=errand_id, reason="the journal has no such errand; see evenkeel tx list"
    )


def _sentence(errand: Errand) -> str:
    """Who won, in words."""
    what = f"errand {errand.id}, {errand.purpose.value} at nonce {errand.nonce}, {errand.state.value}"
    if errand.inclusion is None:
        return what
    position = [attempt.tx_hash for attempt in errand.attempts].index(errand.inclusion.tx_hash) + 1
    winner = errand.attempt(errand.inclusion.tx_hash)
    return (
        f"{what}: attempt {position} of {len(errand.attempts)} ({winner.purpose.value}) won "
        f"in block {errand.inclusion.block_number} and {errand.verdict.value}"
    )


def _row(errand: Errand) -> dict[str, object]:
    newest = errand.attempts[-1] if errand.attempts else None
    return {
        "id": errand.id,
        "nonce": errand.nonce,
        "purpose": errand.purpose.value,
        "urgency": errand.urgency.value,
        "state": errand.state.value,
        "verdict": errand.verdict.value,
        "attempts": len(errand.attempts),
        "bid (gwei)": _gwei(newest.fee.max_fee_wei) if newest else "-",
        "newest": errand.inclusion.tx_hash if errand.inclusion else newest.tx_hash if newest else "-",
    }


def _attempt_row(errand: Errand, attempt: Attempt) -> dict[str, object]:
    won = errand.inclusion is not None and errand.inclusion.tx_hash == attempt.tx_hash
    return {
        "won": "won" if won else "",
        "hash": attempt.tx_hash,
        "purpose": attempt.purpose.value,
        "route": attempt.route.value,
        "cap (gwei)": _gwei(attempt.fee.max_fee_wei),
        "tip (gwei)": _gwei(attempt.fee.tip_wei),
        "signed at": attempt.signed_at,
        "reply": attempt.reply.value,
        "reason": attempt.reason,
    }


def _attempt_json(errand: Errand, attempt: Attempt) -> dict[str, object]:
    return {
        "tx_hash": attempt.tx_hash,
        "won": errand.inclusion is not None and errand.inclusion.tx_hash == attempt.tx_hash,
        "purpose": attempt.purpose.value,
        "route": attempt.route.value,
        "max_fee_wei": attempt.fee.max_fee_wei,
        "tip_wei": attempt.fee.tip_wei,
        "gas": attempt.gas,
        "signed_at": attempt.signed_at,
        "sent_at": attempt.sent_at,
        "reply": attempt.reply.value,
        "reason": attempt.reason,
    }


def _line_row(line: Line) -> dict[str, object]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(line.at_s))
    stage = line.outcome.stage.value if line.outcome else ""
    reason = line.outcome.reason if line.outcome else ""
    return {"at (UTC)": at, "state": line.state.value, "stage": stage, "what": reason}


def _line_json(line: Line) -> dict[str, object]:
    return {
        "at_s": line.at_s,
        "state": line.state.value,
        "stage": line.outcome.stage.value if line.outcome else None,
        "tx_hash": line.outcome.tx_hash if line.outcome else None,
        "reason": line.outcome.reason if line.outcome else "",
    }


def _gwei(wei: int) -> str:
    return f"{wei / 10**9:,.3f}"
