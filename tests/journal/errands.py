"""Errands as the lane makes them, to put into a journal."""

from __future__ import annotations

from dataclasses import replace

from agent.market.intent import Urgency
from agent.tx.attempt import Stage
from agent.tx.errand import Attempt, Errand, Fault, Purpose, Reply, Route, Verdict
from agent.tx.ledger import Outcome
from agent.tx.transaction import Fee
from agent.values.address import Address, ChainId, IntentId, TxHash

CHAIN = ChainId(31337)
ACCOUNT = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
OTHER = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")


def intent(number: int) -> IntentId:
    return IntentId(f"0x{number:064x}")


def errand(number: int, nonce: int = 7, account: Address = ACCOUNT, **other: object) -> Errand:
    """Of that intent, at that nonce, with nothing signed."""
    made = Errand(CHAIN, account, nonce, Purpose.HEDGE, intent(number), number, Urgency.RESCUE, 2_000)
    return replace(made, **other)  # type: ignore[arg-type]


def attempt(number: int, reason: str = "", fee_wei: int = 10**9) -> Attempt:
    return Attempt(
        TxHash(f"0x{number:064x}"),
        Purpose.HEDGE,
        bytes(range(256)) + bytes([number]),
        Fee(fee_wei, fee_wei // 10),
        180_000,
        41,
        42,
        Reply.UNKNOWN,
        Fault.UNSURE,
        reason,
        Route.PRIVATE,
    )


def outcome(of: Errand, stage: Stage, reason: str = "") -> Outcome:
    return Outcome(
        errand_id=of.id,
        intent_id=of.intent_id,
        epoch=of.epoch,
        purpose=of.purpose,
        nonce=of.nonce,
        stage=stage,
        verdict=Verdict.PENDING,
        tx_hash=TxHash("0x" + 64 * "a"),
        head=43,
        fee_wei=10**30,
        reason=reason,
    )
