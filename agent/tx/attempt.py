"""The life of one errand on chain, as a pure state machine.

An errand is one intent at one nonce. Everything that was ever signed for it is an attempt: they share the
nonce, so at most one of them is mined, and they share the intent, so the chain would refuse a second.

    PLANNED -> SIGNED -> SENT | UNKNOWN | REJECTED        what we did, each committed before the next
                 SENT, UNKNOWN -> INCLUDED -> FINAL | CANCELLED     at depth; which attempt won says which
                              INCLUDED -> REORGED -> INCLUDED ...   a block that went away
                 SENT, UNKNOWN -> REPLACED                          somebody else used the nonce
                 SENT, UNKNOWN -> OVERTAKEN                         behind a gap, and it can only revert now
                 PLANNED, REJECTED -> ABANDONED                     nothing of it can be in any pool

An attempt that was ever accepted, or whose answer we did not get, stays possible until its nonce is used
or the chain itself would refuse it for good: only then is it let go. Nothing here sleeps, asks or knows
the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from agent.tx.errand import (
    NEVER,
    Attempt,
    Errand,
    Fault,
    Purpose,
    Receipt,
    Reply,
    Route,
    Sight,
    State,
    Verdict,
)
from agent.values.address import TxHash


class Decision(Enum):
    """What to do now."""

    WAIT = "wait"
    RESEND = "resend"  # the same bytes again: the same hash, so it can do no harm
    PUBLISH = "publish"  # the same bytes to everybody: those who kept them to themselves did not deliver
    BUMP = "bump"  # the same thing for more
    CANCEL = "cancel"  # it can only revert now: use its nonce for nothing
    GIVE_UP = "give up"  # nothing of it is anywhere: close it and free the nonce
    DONE = "done"


class Stage(Enum):
    """What happened to an errand, for those who wait for it."""

    RESENT = "resent"
    PUBLISHED = "published"
    BUMPED = "bumped"
    CAPPED = "capped"  # the market asks more than the budget or the balance; the last attempt stays
    UNSIGNED = "unsigned"  # the signer is out and no rung of the ladder reaches; the last attempt stays
    REISSUED = "reissued"  # its nonce lies behind a gap: the same hedge went out at the nonce the chain has
    CANCELLING = "cancelling"
    INCLUDED = "included"
    REORGED = "reorged"
    REPLACED = "replaced"
    OVERTAKEN = "overtaken"
    FINAL = "final"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient we are, in blocks. ``confirm_depth`` 1: the block that holds it is enough.

    ``private_for``: how long only builders know of it.
    """

    confirm_depth: int
    bump_after: int
    private_for: int = 0


def signed(errand: Errand, attempt: Attempt) -> Errand:
    """Another attempt was signed; nothing has left yet."""
    return replace(errand, attempts=(*errand.attempts, attempt))


def resending(errand: Errand, tx_hash: TxHash) -> Errand:
    """The same bytes are about to leave again: from here on they may be in a pool, whatever was answered."""
    attempts = tuple(
        replace(a, reply=Reply.NONE) if a.tx_hash == tx_hash and not a.may_live else a
        for a in errand.attempts
    )
    return replace(errand, attempts=attempts)


def replied(errand: Errand, tx_hash: TxHash, reply: Reply, fault: Fault, reason: str, head: int) -> Errand:
    """A broadcast was answered, or was not. What may live goes on living whatever a later answer says."""
    old = errand.attempt(tx_hash)
    first = old.sent_at == NEVER and old.reply is Reply.NONE
    if reply is Reply.REJECTED and not first:
        reply = Reply.UNKNOWN
    new = replace(old, reply=reply, fault=fault, reason=reason, sent_at=head)
    attempts = tuple(new if attempt is old else attempt for attempt in errand.attempts)
    return replace(errand, attempts=attempts, reorged=False)


def resumed(errand: Errand) -> Errand:
    """After a restart: what was signed and not answered may have left."""
    attempts = tuple(
        replace(a, reply=Reply.UNKNOWN, fault=Fault.UNSURE, reason="the process ended before the answer")
        if a.reply is Reply.NONE
        else a
        for a in errand.attempts
    )
    return replace(errand, attempts=attempts)


def observed(errand: Errand, sight: Sight, pace: Pace) -> tuple[Errand, tuple[Stage, ...]]:
    """What the chain shows, and what is new about it."""
    ours = {attempt.tx_hash for attempt in errand.attempts}
    found = [receipt for receipt in sight.receipts if receipt.tx_hash in ours]
    if errand.ending is not None:
        return errand, ()
    if found:
        return _mined(errand, found[0], sight, pace)
    stages: tuple[Stage, ...] = ()
    if errand.inclusion is not None:
        errand = replace(errand, inclusion=None, reorged=True)
        stages = (Stage.REORGED,)
    if sight.nonce <= errand.nonce:
        if errand.replaced:
            stages = (Stage.REORGED,)
        return replace(errand, foreign_since=NEVER, replaced=False), stages
    if errand.foreign_since == NEVER:  # a node may know the nonce before it finds the receipt: look twice
        return replace(errand, foreign_since=sight.head), stages
    if sight.head > errand.foreign_since and not errand.replaced:
        errand, stages = replace(errand, replaced=True), (*stages, Stage.REPLACED)
    if errand.replaced and sight.head - errand.foreign_since >= pace.confirm_depth:
        errand = replace(errand, ending=State.REPLACED)
    return errand, stages


def _mined(errand: Errand, receipt: Receipt, sight: Sight, pace: Pace) -> tuple[Errand, tuple[Stage, ...]]:
    stages: tuple[Stage, ...] = ()
    before = errand.inclusion
    if before is None or (before.tx_hash, before.block_hash) != (receipt.tx_hash, receipt.block_hash):
        stages = (Stage.INCLUDED,) if before is None else (Stage.REORGED, Stage.INCLUDED)
    errand = replace(errand, inclusion=receipt, reorged=False, foreign_since=NEVER, replaced=False)
    if sight.head - receipt.block_number + 1 >= pace.confirm_depth:
        cancelled = errand.verdict is Verdict.CANCELLED
        errand = replace(errand, ending=State.CANCELLED if cancelled else State.FINAL)
        stages = (*stages, Stage.FINAL)
    return errand, stages


def published(errand: Errand) -> Errand:
    """The newest attempt is about to be shown to everybody; nothing has left yet."""
    newest = replace(errand.attempts[-1], route=Route.PUBLIC)
    return replace(errand, attempts=(*errand.attempts[:-1], newest))


def overtaken(errand: Errand) -> Errand:
    """Closed behind a gap: the caller knows that all it could still do on chain is revert or nothing."""
    return replace(errand, ending=State.OVERTAKEN)


def abandoned(errand: Errand) -> Errand:
    """Closed without a transaction. Raises ValueError if anything of it may still be mined."""
    if errand.may_live or errand.inclusion is not None:
        raise ValueError(f"errand {errand.id} may still be mined")
    return replace(errand, ending=State.ABANDONED)


def decide(errand: Errand, head: int, now_s: int, pace: Pace) -> Decision:
    """What to do at this head (its number and time)."""
    if errand.ending is not None:
        return Decision.DONE
    if errand.inclusion is not None or errand.foreign_since != NEVER:
        return Decision.WAIT
    if not errand.may_live:
        return _decide_dead(errand, head, now_s)
    if errand.is_expired(now_s) and errand.purpose is Purpose.HEDGE and not errand.is_cancelling:
        return Decision.CANCEL
    newest = errand.attempts[-1]
    if newest.fault is Fault.UNDERPRICED and head > newest.sent_at:
        return Decision.BUMP
    if newest.reply is Reply.NONE or (errand.reorged and newest.route is Route.PUBLIC):
        return Decision.RESEND
    if errand.reorged:  # its block is gone, and with it whatever secret there was
        return Decision.PUBLISH
    if newest.route is Route.PRIVATE and head - errand.began_at >= pace.private_for:
        return Decision.PUBLISH
    if newest.reply is Reply.UNKNOWN and head > newest.sent_at:
        # A full pool says nothing certain and is cured by bidding more.
        return Decision.BUMP if head - newest.signed_at >= pace.bump_after else Decision.RESEND
    return Decision.BUMP if head - newest.sent_at >= pace.bump_after else Decision.WAIT


def _decide_dead(errand: Errand, head: int, now_s: int) -> Decision:
    """Every attempt was refused, so the nonce is free whenever we want."""
    if not errand.attempts or errand.is_expired(now_s):
        return Decision.GIVE_UP
    newest = errand.attempts[-1]
    waited = head > newest.sent_at
    if newest.fault is Fault.UNDERPRICED:
        return Decision.BUMP if waited else Decision.WAIT
    if newest.fault is Fault.CROWDED:
        return Decision.RESEND if waited else Decision.WAIT
    return Decision.GIVE_UP
