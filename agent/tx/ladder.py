"""Replacements signed in advance, so that a hedge can still be outbid while its signer is out.

The rungs of a ladder share nonce, calldata and deadline and differ only in what they bid: at most one of them
is ever mined, and after the deadline none of them can do anything. They are kept sealed, for whoever holds a
signed transaction can broadcast it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from Crypto.Cipher import AES

from agent.tx.fees import raised
from agent.tx.transaction import Fee
from agent.values.address import TxHash

STEP = 2  # each rung bids this many times the one below
DOMAIN = b"evenkeel.ladder.v1"
_NONCE = 12
_TAG = 16


@dataclass(frozen=True, slots=True)
class Rung:
    """One signed replacement. ``expires_s``: block time from which it is no longer used."""

    tx_hash: TxHash
    fee: Fee
    gas: int
    expires_s: int
    sealed: bytes = field(repr=False)


class Seal:
    """AES-256-GCM under a key of the owner's, or under one that dies with the process."""

    __slots__ = ("_key",)

    def __init__(self, secret: str | None = None) -> None:
        self._key = (
            os.urandom(32) if secret is None else sha256(b"evenkeel.ladder.v1" + secret.encode()).digest()
        )

    def close(self, raw: bytes, tx_hash: TxHash) -> bytes:
        """``raw`` sealed for this hash only."""
        nonce = os.urandom(_NONCE)
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        cipher.update(tx_hash.encode())
        text, tag = cipher.encrypt_and_digest(raw)
        return nonce + tag + text

    def open(self, sealed: bytes, tx_hash: TxHash) -> bytes | None:
        """What was sealed; None if it was sealed under another key or is damaged."""
        nonce, tag, text = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce or b"\0")
        cipher.update(tx_hash.encode())
        try:
            return cipher.decrypt_and_verify(text, tag)
        except ValueError:
            return None

    def __repr__(self) -> str:
        return "Seal()"

    def __reduce__(self) -> str:
        raise TypeError("a seal is not copied or stored")


def rung_fees(first: Fee, count: int, gas: int, cap_wei: int, value_wei: int = 0) -> tuple[Fee, ...]:
    """What ``count`` rungs above ``first`` bid: each twice the one below, the last at the cap at most.

    Every one could replace the one below it (10 % on both fees); there are fewer where the cap is near.
    """
    most_wei = (cap_wei - value_wei) // gas
    fees: list[Fee] = []
    last = first
    for _ in range(count):
        least = Fee(raised(last.max_fee_wei), raised(last.tip_wei))
        if least.max_fee_wei > most_wei:
            break
        max_fee_wei = min(max(least.max_fee_wei, last.max_fee_wei * STEP), most_wei)
        tip_wei = min(max(least.tip_wei, last.tip_wei * STEP), max_fee_wei)
        if tip_wei < least.tip_wei:
            break
        last = Fee(max_fee_wei, tip_wei)
        fees.append(last)
    return tuple(fees)


def reach(rungs: Sequence[Rung], least: Fee, wanted: Fee, now_s: int) -> tuple[Rung, ...]:
    """The rungs that may stand in for a replacement, the best first.

    All of them bid at least ``least`` and have not expired; the cheapest that reaches ``wanted`` comes first,
    then, where none does, the dearest.
    """
    usable = [
        rung
        for rung in rungs
        if now_s < rung.expires_s
        and rung.fee.max_fee_wei >= least.max_fee_wei
        and rung.fee.tip_wei >= least.tip_wei
    ]
    usable.sort(key=lambda rung: rung.fee.max_fee_wei)
    enough = [rung for rung in usable if rung.fee.max_fee_wei >= wanted.max_fee_wei]
    return tuple(enough or reversed(usable))
