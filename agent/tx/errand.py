"""One intent at one nonce with everything ever signed for it: the facts, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from agent.market.intent import Urgency
from agent.tx.transaction import Fee
from agent.values.address import Address, ChainId, IntentId, TxHash

NO_INTENT = IntentId("0x" + 64 * "0")
NEVER = -1


class Purpose(Enum):
    """What a transaction is for."""

    HEDGE = "hedge"
    DELEGATION = "delegation"
    CANCEL = "cancel"  # does nothing but use the nonce


class Reply(Enum):
    """What we know of a broadcast."""

    NONE = "none"  # signed and journalled; whether it left, only the process that died knows
    ACCEPTED = "accepted"
    REJECTED = "rejected"  # refused for a reason that proves it is in no pool
    UNKNOWN = "unknown"  # no answer, or one that proves nothing


class Fault(Enum):
    """Why a broadcast was refused, as far as it decides what to do next."""

    NONE = "none"
    UNDERPRICED = "underpriced"  # bid more
    CROWDED = "crowded"  # the pool takes no more from this account now; the same again later
    INVALID = "invalid"  # it can never be mined as it is
    UNSURE = "unsure"  # nothing follows from it


class Route(Enum):
    """Who was shown an attempt. A door that opens one way: what was public never becomes private."""

    PRIVATE = "private"  # block builders that keep it to themselves
    PUBLIC = "public"  # every node we know


class State(Enum):
    """Where an errand stands."""

    PLANNED = "planned"
    SIGNED = "signed"
    SENT = "sent"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    INCLUDED = "included"
    REORGED = "reorged"
    REPLACED = "replaced"
    OVERTAKEN = "overtaken"
    FINAL = "final"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class Verdict(Enum):
    """What an errand came to."""

    PENDING = "pending"
    EXECUTED = "executed"  # status 1 and the executor's event, or the delegation
    REVERTED = "reverted"
    VOID = "void"  # status 1, yet nothing happened: the account does not run our executor
    CANCELLED = "cancelled"
    NOTHING = "nothing"  # not mined


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of an errand. Blocks are head numbers when it happened."""

    tx_hash: TxHash
    purpose: Purpose
    raw: bytes = field(repr=False)
    fee: Fee
    gas: int
    signed_at: int
    sent_at: int = NEVER  # the last time
    reply: Reply = Reply.NONE
    fault: Fault = Fault.NONE  # of the last answer
    reason: str = ""
    route: Route = Route.PUBLIC

    @property
    def may_live(self) -> bool:
        """Whether it can be in a pool, as far as we can know."""
        return self.reply is not Reply.REJECTED


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined attempt. ``executed``: the executor's event for this intent is among its logs."""

    tx_hash: TxHash
    block_number: int
    block_hash: str
    succeeded: bool
    executed: bool
    gas_used: int
    gas_price_wei: int

    @property
    def fee_wei(self) -> int:
        return self.gas_used * self.gas_price_wei


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the chain. The nonce must have been read before the receipts."""

    head: int
    nonce: int  # the account's next unused one
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """One intent at one nonce, with everything signed for it.

    ``deadline_s`` 0 means none; ``budget_wei`` is the most one transaction of it may cost, if the plan said.
    """

    chain_id: ChainId
    account: Address
    nonce: int
    purpose: Purpose
    intent_id: IntentId
    epoch: int
    urgency: Urgency
    deadline_s: int
    budget_wei: int | None = None
    pressure_bps: int = 0  # grades the bid inside the urgency
    id: int = 0
    attempts: tuple[Attempt, ...] = ()
    inclusion: Receipt | None = None
    reorged: bool = False  # was mined once, and nothing was sent since
    foreign_since: int = NEVER  # head at which the nonce was first seen used, with none of our receipts
    replaced: bool = False
    ending: State | None = None

    @property
    def state(self) -> State:
        """Follows from the facts."""
        if self.ending is not None:
            return self.ending
        if self.inclusion is not None:
            return State.INCLUDED
        if self.replaced:
            return State.REPLACED
        if not self.attempts:
            return State.PLANNED
        if self.reorged:
            return State.REORGED
        if not self.may_live:
            return State.REJECTED
        newest = next(a for a in reversed(self.attempts) if a.may_live)
        return _STATES[newest.reply]

    @property
    def may_live(self) -> bool:
        """Whether anything of it can be in a pool."""
        return any(attempt.may_live for attempt in self.attempts)

    @property
    def is_open(self) -> bool:
        """Whether it holds the lane: its nonce may still be used by it."""
        return self.ending is None and self.inclusion is None and not self.replaced

    @property
    def is_cancelling(self) -> bool:
        """Whether its newest attempt only uses the nonce up."""
        return bool(self.attempts) and self.attempts[-1].purpose is Purpose.CANCEL

    @property
    def is_public(self) -> bool:
        """Whether everybody has been shown something of it."""
        return any(attempt.route is Route.PUBLIC for attempt in self.attempts)

    @property
    def began_at(self) -> int:
        """Head at which its first transaction was signed; NEVER before that."""
        return self.attempts[0].signed_at if self.attempts else NEVER

    @property
    def max_cost_wei(self) -> int:
        """The most that any one of its transactions can take; only one of them is mined."""
        return max((a.gas * a.fee.max_fee_wei for a in self.attempts if a.may_live), default=0)

    @property
    def base(self) -> Attempt:
        """The attempt that the next one has to outbid."""
        priced = [a for a in self.attempts if a.may_live or a.fault is Fault.UNDERPRICED]
        return max(priced or self.attempts, key=lambda a: (a.fee.max_fee_wei, a.fee.tip_wei))

    @property
    def verdict(self) -> Verdict:
        """What it came to, as far as it is known now."""
        if self.inclusion is None:
            settled = self.ending is not None or self.replaced
            return Verdict.NOTHING if settled else Verdict.PENDING
        winner = self.attempt(self.inclusion.tx_hash)
        if winner.purpose is Purpose.CANCEL:
            return Verdict.CANCELLED
        if not self.inclusion.succeeded:
            return Verdict.REVERTED
        if winner.purpose is Purpose.DELEGATION or self.inclusion.executed:
            return Verdict.EXECUTED
        return Verdict.VOID

    def attempt(self, tx_hash: TxHash) -> Attempt:
        """The attempt of that hash. Raises KeyError."""
        for attempt in self.attempts:
            if attempt.tx_hash == tx_hash:
                return attempt
        raise KeyError(tx_hash)

    def is_expired(self, now_s: int) -> bool:
        """Whether no block after the one of time ``now_s`` can execute it."""
        return 0 < self.deadline_s <= now_s


_STATES = {
    Reply.NONE: State.SIGNED,
    Reply.ACCEPTED: State.SENT,
    Reply.UNKNOWN: State.UNKNOWN,
    Reply.REJECTED: State.REJECTED,
}
