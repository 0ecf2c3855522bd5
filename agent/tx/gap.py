"""Errands whose nonce the chain has not come to, and when they may be let go. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.tx.attempt import Pace
from agent.tx.errand import NO_INTENT, Errand, Purpose, Verdict


def is_gapped(errand: Errand, nonce: int, head: int, pace: Pace) -> bool:
    """Whether nonces below the errand's are free and stay so.

    A reorganisation may take somebody else's transactions off the chain for good, and ours then waits
    behind nonces that nobody will use. What was reorganised away is usually back within the depth.
    """
    return errand.is_open and nonce < errand.nonce and head >= errand.began_at + pace.confirm_depth


def has_twin(errand: Errand, live: Sequence[Errand]) -> bool:
    """Whether the same intent is on its way at a lower nonce, or was mined there."""
    return errand.intent_id != NO_INTENT and any(
        other.intent_id == errand.intent_id and other.nonce < errand.nonce and other.ending is None
        for other in live
    )


def is_spent(errand: Errand, final: Sequence[Errand]) -> bool:
    """Whether its intent is final at another nonce, so that the chain refuses it for good."""
    return errand.purpose is Purpose.HEDGE and any(
        done.purpose is Purpose.HEDGE
        and done.verdict is Verdict.EXECUTED
        and done.epoch >= errand.epoch
        and done.nonce != errand.nonce
        for done in final
    )


def is_void(errand: Errand, head: int, now_s: int, confirm_depth: int, *, is_delegated: bool) -> bool:
    """Whether it can have no effect, whenever the account's nonce should come to it.

    A hedge must have been expired for as long as a block may still be reorganised away.
    """
    if errand.purpose is Purpose.DELEGATION:
        return is_delegated
    if all(attempt.purpose is Purpose.CANCEL for attempt in errand.attempts):
        return True
    seen_for = head - max(attempt.sent_at for attempt in errand.attempts)
    return errand.is_expired(now_s) and seen_for >= confirm_depth
