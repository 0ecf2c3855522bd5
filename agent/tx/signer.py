"""Signing behind small ports. A key never leaves its signer, and no signer is believed unchecked.

What we sign is always keccak of some bytes. Most back-ends sign the hash (``Signer``), some insist on hashing
the bytes themselves (``PreimageSigner``), some on seeing the whole transaction (``TransactionSigner``). Which
one it is matters to nobody outside: ``sign_transaction``, ``sign_authorization`` and ``sign_typed`` take any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeGuard, runtime_checkable

from coincurve import PublicKey

from agent.errors import AddressMalformed, DecodeMismatch, SignatureMismatch, SignerRefused
from agent.tx.transaction import (
    Authorization,
    Signature,
    Signed,
    Transaction,
    authorization_preimage,
    decode,
    encode,
    sign,
)
from agent.values.address import Address, ChainId, parse_address
from agent.values.keccak import keccak

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

Typed = Mapping[str, object]  # EIP-712: types, primaryType, domain, message


@runtime_checkable
class Signer(Protocol):
    """Holds one key and signs digests with it; what is signed is the caller's business.

    Every call may raise SignerUnavailable (try again), SignerRefused (it will not), SignatureMismatch (what
    came back is no signature). The same holds for the other ports.
    """

    @property
    def address(self) -> Address:
        """The account of the key."""
        ...

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s) of an ECDSA signature over 32 bytes; s may be high."""
        ...


class LocalSigner(Signer, Protocol):
    """Holds its key in this process: what it says of a digest needs no search for the parity."""

    def sign_recoverable(self, digest: bytes) -> tuple[int, int, int]:
        """(parity, r, s) of an ECDSA signature over 32 bytes; s is low."""
        ...


@runtime_checkable
class PreimageSigner(Protocol):
    """Hashes by itself, so that it sees what it signs."""

    @property
    def address(self) -> Address:
        """The account of the key."""
        ...

    def sign_preimage(self, preimage: bytes) -> tuple[int, int]:
        """(r, s) of an ECDSA signature over keccak of ``preimage``; s may be high."""
        ...


@runtime_checkable
class TransactionSigner(Protocol):
    """Signs transactions and typed data as such, and nothing else."""

    @property
    def address(self) -> Address:
        """The account of the key."""
        ...

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw transaction."""
        ...

    def sign_typed(self, typed: Typed) -> tuple[int, int]:
        """(r, s) over the EIP-712 hash of ``typed``; s may be high."""
        ...


AnySigner = Signer | PreimageSigner | TransactionSigner


def address_of(key: PublicKey) -> Address:
    """The account that a public key speaks for."""
    return parse_address("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())


def sign_transaction(signer: AnySigner, transaction: Transaction) -> Signed:
    """The raw transaction. Raises SignatureMismatch.

    What another process made of it is read back and compared field by field. What a key in this one signed is
    our own encoding: only whether the signature is the account's is left to ask, which is `confirm`'s.
    """
    if is_local(signer):
        return sign(transaction, lambda digest: Signature(*signer.sign_recoverable(digest)))
    if isinstance(signer, TransactionSigner):
        raw = signer.sign_transaction(transaction)
        found = _read(raw, transaction, signer.address)
        signature = _canonical(signer.address, transaction.digest, (found.r, found.s))
    else:
        signature = sign_preimage(signer, transaction.unsigned)
    signed = encode(transaction, signature)
    verify(signed.raw, transaction, signer.address)
    return signed


def is_local(signer: AnySigner) -> TypeGuard[LocalSigner]:
    """Whether its key is in this process. As isinstance says, which is slow for a protocol."""
    return hasattr(type(signer), "sign_recoverable")


def confirm(signer: AnySigner, signed: Signed) -> None:
    """That the signer's account sent ``signed``: a key in this process is not believed either.

    Takes longer than signing, so it is asked when the bytes are there and before they leave. Others were
    asked by `sign_transaction`. Raises SignatureMismatch.
    """
    if not is_local(signer):
        return
    verify(signed.raw, signed.transaction, signer.address)


def sign_authorization(signer: AnySigner, chain_id: ChainId, delegate: Address, nonce: int) -> Authorization:
    """Lets the signer's account take the code of ``delegate``. Raises SignatureMismatch.

    When the account sends the transaction itself, ``nonce`` is the transaction's nonce plus one.
    Raises SignerRefused for a back-end that signs whole transactions only.
    """
    if isinstance(signer, TransactionSigner):
        reason = "it signs transactions and typed data only, no EIP-7702 authorization"
        raise SignerRefused(signer=signer.address, reason=reason)
    signature = sign_preimage(signer, authorization_preimage(chain_id, delegate, nonce))
    return Authorization(chain_id, delegate, nonce, signature)


def sign_typed(signer: AnySigner, typed: Typed) -> Signature:
    """An EIP-712 signature of ``typed``, in full: types, primaryType, domain, message.

    Raises SignatureMismatch.
    """
    preimage = typed_preimage(typed)
    if isinstance(signer, TransactionSigner):
        return _canonical(signer.address, keccak(preimage), signer.sign_typed(typed))
    return sign_preimage(signer, preimage)


def typed_preimage(typed: Typed) -> bytes:
    """What is hashed (keccak) and then signed for ``typed``."""
    from eth_account.messages import encode_typed_data  # slow to import, seldom needed

    message = encode_typed_data(full_message=dict(typed))
    return b"\x19" + message.version + message.header + message.body


def sign_preimage(signer: Signer | PreimageSigner, preimage: bytes) -> Signature:
    """A canonical signature over keccak of ``preimage``: low s, parity found against the signer's address.

    Raises SignatureMismatch when the answer is not a signature of that account.
    """
    digest = keccak(preimage)
    answer = signer.sign_digest(digest) if isinstance(signer, Signer) else signer.sign_preimage(preimage)
    return _canonical(signer.address, digest, answer)


def _canonical(address: Address, digest: bytes, answer: tuple[int, int]) -> Signature:
    r, s = answer
    if not (0 < r < GROUP_ORDER and 0 < s < GROUP_ORDER):
        raise SignatureMismatch(address=address, reason="r or s is out of range")
    s = min(s, GROUP_ORDER - s)
    for parity in (0, 1):
        try:
            if recover(digest, Signature(parity, r, s)) == address:
                return Signature(parity, r, s)
        except SignatureMismatch:
            continue  # r is the coordinate of no point: then no parity has a key
    raise SignatureMismatch(address=address, reason="it recovers to another account")


def recover(digest: bytes, signature: Signature) -> Address:
    """Who signed ``digest``. Raises SignatureMismatch if the numbers are no signature at all."""
    compact = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes([signature.parity])
    try:
        return address_of(PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except (ValueError, OverflowError) as error:
        raise SignatureMismatch(address="anybody", reason=str(error)) from error


def verify(raw: bytes, expected: Transaction, sender: Address) -> None:
    """That ``raw`` is ``expected``, signed by ``sender``. Raises SignatureMismatch naming what differs."""
    signature = _read(raw, expected, sender)
    if signature.s > GROUP_ORDER // 2 or recover(expected.digest, signature) != sender:
        raise SignatureMismatch(address=sender, reason="the raw transaction's sender is another account")


def _read(raw: bytes, expected: Transaction, sender: Address) -> Signature:
    """The signature under a raw transaction that is ``expected`` in every field."""
    try:
        actual, signature = decode(raw)
    except (DecodeMismatch, AddressMalformed) as error:
        raise SignatureMismatch(address=sender, reason=str(error)) from error
    names = ("chain_id", "nonce", "fee", "gas", "to", "value_wei", "data", "authorizations", "access")
    differing = [name for name in names if getattr(actual, name) != getattr(expected, name)]
    if differing:
        raise SignatureMismatch(address=sender, reason=f"the raw transaction differs in {differing}")
    return signature
