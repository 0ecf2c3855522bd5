"""The only way out: nothing leaves before its row is committed, and every answer is written down.

Order, always: the errand with its nonce, the signed bytes, the broadcast, what was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.errors import (
    SignatureMismatch,
    SignerRefused,
    SignerUnavailable,
    TransactionRejected,
)
from agent.tx import attempt as life
from agent.tx.attempt import Stage
from agent.tx.errand import Attempt, Errand, Fault, Purpose, Route
from agent.tx.fees import raised
from agent.tx.ladder import Rung, Seal, reach, rung_fees
from agent.tx.ledger import Ledger
from agent.tx.network import Network
from agent.tx.price import Priced
from agent.tx.signer import AnySigner, confirm, sign_authorization, sign_transaction
from agent.tx.transaction import Authorization, Fee, Signed, Transaction, decode
from agent.tx.witness import Witness
from agent.values.address import Address, ChainId, TxHash
from agent.values.block import Block
from agent.values.keccak import keccak

SIGNER_FAULTS = (SignerUnavailable, SignerRefused)


def nothing() -> None:
    """To be done."""


class Dispatch:
    """Signs, journals and broadcasts for one account."""

    def __init__(
        self, network: Network, signer: AnySigner, ledger: Ledger, witness: Witness, seal: Seal, rungs: int
    ) -> None:
        self._network = network
        self._signer = signer
        self._ledger = ledger
        self._witness = witness
        self._seal = seal
        self._rungs = rungs

    def launch(
        self,
        errand: Errand,
        purpose: Purpose,
        priced: Priced,
        head: Block,
        before: Callable[[], None] = nothing,
    ) -> Errand:
        """The first transaction, or another plan's at the same nonce.

        ``before`` is called when it is signed, and before that is committed or anything leaves.
        Raises TransactionRejected when it is provably nowhere, and what the signer raises: the errand is
        closed then, unless something else of it is on its way.
        """
        try:
            errand, attempt = self._sign(errand, purpose, priced.transaction, head)
        except SIGNER_FAULTS as error:
            if not errand.may_live:
                self.abandon(errand, head, error.message)
            raise
        before()
        self._ledger.save(errand)
        errand = self._broadcast(errand, attempt, head)
        sent = errand.attempts[-1]
        if errand.may_live or sent.fault in (Fault.UNDERPRICED, Fault.CROWDED):
            self._ledger.save(errand)
            self._climb(errand, priced.transaction, priced.cap_wei)
            return errand
        self.abandon(errand, head, sent.reason)
        raise TransactionRejected(endpoint=self._network.endpoint, reason=sent.reason)

    def replace(
        self, errand: Errand, purpose: Purpose, transaction: Transaction, head: Block
    ) -> tuple[Errand, str]:
        """A replacement at the same nonce; a rung of the ladder stands in while the signer is out.

        Also says how: empty, or why a rung was taken. Raises what the signer raises when no rung reaches.
        """
        stage = Stage.CANCELLING if purpose is Purpose.CANCEL else Stage.BUMPED
        reason = ""
        try:
            errand, attempt = self._sign(errand, purpose, transaction, head)
        except SIGNER_FAULTS as error:
            found = self._rung(errand, purpose, transaction.fee, head)
            if found is None:
                raise
            attempt, reason = found, f"from the ladder: {error.message}"
            errand = life.signed(errand, attempt)
        self._ledger.save(errand, [self._witness.outcome(errand, stage, head, reason)])
        errand = self._broadcast(errand, attempt, head)
        self._ledger.save(errand)
        return errand, reason

    def again(self, errand: Errand, head: Block) -> None:
        """The same bytes once more."""
        newest = next((a for a in reversed(errand.attempts) if a.may_live), errand.attempts[-1])
        if not newest.may_live:
            errand = life.resending(errand, newest.tx_hash)
            self._ledger.save(errand)
        errand = self._broadcast(errand, newest, head)
        self._ledger.save(errand, [self._witness.outcome(errand, Stage.RESENT, head)])

    def publish(self, errand: Errand, head: Block) -> None:
        """The same bytes to everybody. Which door they went through is committed first."""
        errand = life.published(errand)
        self._ledger.save(errand, [self._witness.outcome(errand, Stage.PUBLISHED, head)])
        self._ledger.save(self._broadcast(errand, errand.attempts[-1], head))

    def abandon(self, errand: Errand, head: Block, reason: str) -> None:
        """Close what is nowhere."""
        errand = life.abandoned(errand)
        self._ledger.save(errand, [self._witness.outcome(errand, Stage.ABANDONED, head, reason)])

    def authorize(self, chain_id: ChainId, delegate: Address, nonce: int) -> Authorization:
        """Leave for the account to run ``delegate``'s code. Raises what the signer raises."""
        try:
            return sign_authorization(self._signer, chain_id, delegate, nonce)
        except SignatureMismatch as error:
            raise SignerUnavailable(signer=self._signer.address, reason=error.message) from error

    # --- inside ------------------------------------------------------------------------------------

    def _sign(
        self, errand: Errand, purpose: Purpose, transaction: Transaction, head: Block
    ) -> tuple[Errand, Attempt]:
        done = self._signed(transaction)
        attempt = Attempt(
            done.hash,
            purpose,
            done.raw,
            transaction.fee,
            transaction.gas,
            head.number,
            route=self._route(errand),
        )
        return life.signed(errand, attempt), attempt

    def _signed(self, transaction: Transaction) -> Signed:
        """A wrong signature never leaves; the next head asks again, for halting would protect nobody."""
        try:
            done = sign_transaction(self._signer, transaction)
            confirm(self._signer, done)
        except SignatureMismatch as error:
            raise SignerUnavailable(signer=self._signer.address, reason=error.message) from error
        return done

    def _route(self, errand: Errand) -> Route:
        return Route.PUBLIC if errand.is_public else self._network.first_route

    def _broadcast(self, errand: Errand, attempt: Attempt, head: Block) -> Errand:
        """Once. The attempt has been committed by the caller."""
        answer = self._network.send(attempt.raw, attempt.tx_hash, attempt.route, head.number)
        return life.replied(errand, attempt.tx_hash, answer.reply, answer.fault, answer.reason, head.number)

    def _climb(self, errand: Errand, transaction: Transaction, cap_wei: int) -> None:
        """Sign the ladder now, while the signer answers. One that does not costs nothing but the ladder."""
        if self._rungs == 0 or errand.deadline_s == 0:
            return
        rungs = []
        fees = rung_fees(transaction.fee, self._rungs, transaction.gas, cap_wei, transaction.value_wei)
        for fee in fees:
            try:
                done = self._signed(replace(transaction, fee=fee))
            except SIGNER_FAULTS:
                break
            sealed = self._seal.close(done.raw, done.hash)
            rungs.append(Rung(done.hash, fee, transaction.gas, errand.deadline_s, sealed))
        self._ledger.climb(errand, rungs)

    def _rung(self, errand: Errand, purpose: Purpose, wanted: Fee, head: Block) -> Attempt | None:
        """A signed replacement of the present plan, opened and checked; None if there is none."""
        if purpose is Purpose.CANCEL or not errand.attempts:
            return None
        last, _ = decode(errand.attempts[-1].raw)
        base, known = errand.base.fee, {attempt.tx_hash for attempt in errand.attempts}
        least = Fee(raised(base.max_fee_wei), raised(base.tip_wei))
        for rung in reach(self._ledger.rungs(errand), least, wanted, head.timestamp_s):
            raw = self._seal.open(rung.sealed, rung.tx_hash)
            if raw is None or rung.tx_hash in known or keccak(raw) != bytes.fromhex(rung.tx_hash[2:]):
                continue
            transaction, _ = decode(raw)
            if replace(transaction, fee=last.fee) == last:  # the same in all but the bid
                return Attempt(
                    TxHash(rung.tx_hash),
                    purpose,
                    raw,
                    rung.fee,
                    rung.gas,
                    head.number,
                    route=self._route(errand),
                )
        return None
