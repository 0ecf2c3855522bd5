"""What the chain shows of an errand, in the words of those who wait for it."""

from __future__ import annotations

from agent.errors import DelegationMismatch
from agent.tx import attempt as life
from agent.tx.attempt import Pace, Stage
from agent.tx.errand import Errand, Purpose, Verdict
from agent.tx.executor import delegate_of, delegation_code
from agent.tx.ledger import Outcome
from agent.tx.network import Network
from agent.tx.transaction import decode
from agent.values.address import Address, TxHash
from agent.values.block import Block


class Witness:
    """Looks, and tells what it saw. It changes nothing."""

    def __init__(self, network: Network, executor: Address) -> None:
        self._network = network
        self._executor = executor

    def look(self, before: Errand, head: Block, pace: Pace) -> tuple[Errand, tuple[Outcome, ...]]:
        """The errand as the chain shows it at ``head``, and what is new about it."""
        sight = self._network.sight(life.resumed(before), head)
        errand, stages = life.observed(life.resumed(before), sight, pace)
        return errand, tuple(self.outcome(errand, stage, head) for stage in stages)

    def is_delegated(self, account: Address) -> bool:
        """Whether the account runs our executor. Raises DelegationMismatch if it runs something else."""
        code = self._network.code(account)
        if code and code != delegation_code(self._executor):
            actual = delegate_of(code) if len(code) == 23 else f"{len(code)} bytes"
            raise self.mismatch(account, f"a delegation to {actual}")
        return bool(code)

    def mismatch(self, account: Address, actual: str) -> DelegationMismatch:
        """The refusal of an account that runs ``actual``."""
        return DelegationMismatch(address=account, actual=actual, executor=self._executor)

    def outcome(self, errand: Errand, stage: Stage, head: Block, reason: str = "") -> Outcome:
        """The stage with everything known about it; a revert is replayed for its reason."""
        mined = errand.inclusion
        verdict = errand.verdict
        if stage is Stage.INCLUDED and mined is not None and verdict is Verdict.REVERTED:
            gas = errand.attempt(mined.tx_hash).gas
            transaction, _ = decode(errand.attempt(mined.tx_hash).raw)
            replay = self._network.why(errand.account, transaction.data, mined.block_number - 1)
            reason = "it ran out of gas" if mined.gas_used >= gas else replay
        if errand.purpose is Purpose.DELEGATION and verdict is Verdict.EXECUTED:
            verdict = Verdict.EXECUTED if self.is_delegated(errand.account) else Verdict.VOID
        if verdict is Verdict.VOID and not reason:
            reason = "it was mined and nothing happened: the account did not run the executor"
        newest = errand.attempts[-1].tx_hash if errand.attempts else TxHash("")
        return Outcome(
            errand_id=errand.id,
            intent_id=errand.intent_id,
            epoch=errand.epoch,
            purpose=errand.purpose,
            nonce=errand.nonce,
            stage=stage,
            verdict=verdict,
            tx_hash=mined.tx_hash if mined else newest,
            head=head.number,
            block_number=mined.block_number if mined else 0,
            block_hash=mined.block_hash if mined else "",
            gas_used=mined.gas_used if mined else 0,
            fee_wei=mined.fee_wei if mined else 0,
            reason=reason,
        )
