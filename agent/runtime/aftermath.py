"""What became of what was sent: receipts, the second snapshot, and whether the promises were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.chain.lens import read_one
from agent.chain.priority import Priority, priority
from agent.errors import ProofBroken, ReadReverted, ReadUnpinned
from agent.runtime.prove import Proof, prove
from agent.runtime.see import Eye
from agent.runtime.summary import Json, snapshot_json
from agent.tx.attempt import Stage
from agent.tx.errand import Purpose, Verdict
from agent.tx.ledger import Outcome
from agent.tx.promise import read_promises
from agent.tx.sender import Sender
from agent.values.address import Address, BlockHash
from agent.values.block import Block
from agent.values.check import Check


class Recorder(Protocol):
    """Where decisions and outcomes are kept for good (``proof.record.Record``)."""

    def append(self, kind: str, payload: Mapping[str, object]) -> str:
        """Commit one entry; returns its hash. Raises JournalUnwritable."""
        ...


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One outcome with the proof of its postconditions (empty where there is nothing to prove)."""

    outcome: Outcome
    proofs: tuple[Proof, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether every postcondition holds at the receipt's block."""
        return all(proof.kept for proof in self.proofs)


def look_back(
    eye: Eye, account: Address, sender: Sender | None, recorder: Recorder | None, block: Block
) -> tuple[Aftermath, ...]:
    """Settle the lane at this head and prove every hedge that was mined since the last time.

    An outcome is acknowledged only after its entry in the record is committed, so a crash in between tells
    it again rather than never. Raises ProofBroken after recording it.
    """
    if sender is None:
        return ()
    return settle(eye, account, sender, recorder, sender.observe(block))


def settle(
    eye: Eye,
    account: Address,
    sender: Sender,
    recorder: Recorder | None,
    outcomes: tuple[Outcome, ...],
) -> tuple[Aftermath, ...]:
    """Prove and record ``outcomes``, then acknowledge them."""
    told = []
    for outcome in outcomes:
        with priority(Priority.SCAN):  # what is done can wait for what is due
            proofs, second = _proved(eye, account, outcome)
        if recorder is not None:
            recorder.append("outcome", _entry(outcome, proofs, second))
        sender.acknowledge((outcome,))
        told.append(Aftermath(outcome, proofs))
        for proof in proofs:
            if not proof.kept:
                raise ProofBroken(
                    number=outcome.block_number,
                    name=proof.name,
                    actual=proof.value,
                    bound=f"[{proof.lower}, {proof.upper}]",
                )
    return tuple(told)


def _proved(eye: Eye, account: Address, outcome: Outcome) -> tuple[tuple[Proof, ...], Json]:
    """The second snapshot and the checks of the mined calldata, both at the receipt's block."""
    mined = outcome.stage is Stage.INCLUDED and outcome.verdict is Verdict.EXECUTED
    if not mined or outcome.purpose is not Purpose.HEDGE:
        return (), {}
    try:
        block = eye.rpc.block(BlockHash(outcome.block_hash))
        checks = read_promises(eye.rpc, outcome.tx_hash)
        native_wei = eye.rpc.balance(account, block.hash)
        proofs = _read_proofs(eye, block, checks, native_wei)
        return proofs, _second(eye, account, block)
    except ReadUnpinned:
        # The block was reorganised away meanwhile: the lane will see that and tell it as an outcome.
        return (), {}


def _read_proofs(eye: Eye, block: Block, checks: Sequence[Check], native_wei: int) -> tuple[Proof, ...]:
    """Raises ProofBroken where a check cannot even be read: the executor could read it in the batch."""
    try:
        return read_one(eye.rpc, block, prove(checks, block, native_wei))
    except ReadReverted as error:
        raise ProofBroken(
            number=block.number, name=error.fields["label"], actual="a revert", bound=error.fields["reason"]
        ) from error


def _second(eye: Eye, account: Address, block: Block) -> Json:
    """The book after the fact. A venue that cannot be read there says so instead of holding us up."""
    try:
        return snapshot_json(eye.see(account, block))
    except ReadReverted as error:
        return {"block": block.number, "unread": error.message}


def _entry(outcome: Outcome, proofs: tuple[Proof, ...], second: Json) -> Json:
    return {
        "intent_id": outcome.intent_id,
        "purpose": outcome.purpose.value,
        "stage": outcome.stage.value,
        "verdict": outcome.verdict.value,
        "tx_hash": outcome.tx_hash,
        "nonce": outcome.nonce,
        "block": outcome.block_number,
        "block_hash": outcome.block_hash,
        "gas_used": outcome.gas_used,
        "fee_wei": outcome.fee_wei,
        "reason": outcome.reason,
        "proof": [
            {
                "name": p.name,
                "value": str(p.value),
                "lower": str(p.lower),
                "upper": str(p.upper),
                "kept": p.kept,
            }
            for p in proofs
        ],
        "snapshot": second,
    }
