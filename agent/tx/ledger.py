"""The port of the journal: what the lane writes down before it acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from agent.tx.attempt import Stage
from agent.tx.errand import Errand, Purpose, Verdict
from agent.tx.ladder import Rung
from agent.values.address import Address, ChainId, IntentId, TxHash


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something that happened to an errand. Told again after a restart until it is acknowledged.

    ``tx_hash`` is the mined attempt, or the newest one while none is. ``reason`` is empty or says why, in
    words. Block fields are 0 and "" when nothing was mined.
    """

    errand_id: int
    intent_id: IntentId
    epoch: int
    purpose: Purpose
    nonce: int
    stage: Stage
    verdict: Verdict
    tx_hash: TxHash
    head: int  # the block number at which we noticed
    block_number: int = 0
    block_hash: str = ""
    gas_used: int = 0
    fee_wei: int = 0
    reason: str = ""
    id: int = 0


class Wish(Enum):
    """What an operator may ask of an errand that is on its way."""

    BUMP = "bump"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Request:
    """An operator's wish, written down by one process and carried out by the one that holds the lane."""

    id: int
    errand_id: int
    wish: Wish


class Ledger(Protocol):
    """Every method commits before it returns. All raise JournalUnwritable or JournalCorrupt."""

    def open(self, errand: Errand) -> Errand:
        """Lease the nonce to the errand; returns it with its id. Raises LaneBusy if the nonce is leased."""
        ...

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        """The errand as it stands now, with what happened to it, in one transaction."""
        ...

    def live(self, chain_id: ChainId, account: Address) -> tuple[Errand, ...]:
        """Errands that have not ended, lowest nonce first."""
        ...

    def last_final(self, chain_id: ChainId, account: Address) -> tuple[Errand, ...]:
        """The errand with the highest nonce that was mined for good, if there is one."""
        ...

    def climb(self, errand: Errand, rungs: Sequence[Rung]) -> None:
        """Keep these rungs, instead of any older ones, until the errand ends."""
        ...

    def rungs(self, errand: Errand) -> tuple[Rung, ...]:
        """What was kept for it."""
        ...

    def requests(self, chain_id: ChainId, account: Address) -> tuple[Request, ...]:
        """Wishes nobody has carried out yet, oldest first."""
        ...

    def close_request(self, request: Request, answer: str) -> None:
        """It was carried out, or why it was not."""
        ...

    def epoch_hint(self, chain_id: ChainId, account: Address) -> int:
        """The epoch after the highest that was executed, as far as we noticed."""
        ...

    def unreported(self, chain_id: ChainId, account: Address) -> tuple[Outcome, ...]:
        """Outcomes nobody has acknowledged, oldest first."""
        ...

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        """These were recorded; do not tell them again."""
        ...
