"""Signing behind one small port. A key never leaves its signer, and no signer is believed unchecked."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Protocol, cast

from coincurve import PrivateKey, PublicKey
from eth_keyfile.keyfile import decode_keyfile_json
from eth_utils.crypto import keccak

from agent.errors import AddressMalformed, DecodeMismatch, KeyUnreadable, SignatureMismatch
from agent.tx.transaction import (
    Authorization,
    Signature,
    Signed,
    Transaction,
    authorization_digest,
    decode,
    encode,
)
from agent.values.address import Address, ChainId, parse_address

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = "signer.keystore"  # what the owner calls the file
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Signer(Protocol):
    """Holds one key and signs digests with it; what is signed is the caller's business."""

    @property
    def address(self) -> Address:
        """The account of the key."""
        ...

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s) of an ECDSA signature over 32 bytes; s may be high."""
        ...


class KeystoreSigner:
    """A key from an encrypted v3 file, decrypted once. Shows its address and nothing else."""

    __slots__ = ("_key", "address")

    def __init__(self, path: Path, password: str) -> None:
        """Raises KeyUnreadable: missing, readable by others, malformed, or another password."""
        self._key = PrivateKey(_decrypted(path, password))
        self.address: Address = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s), deterministic (RFC 6979)."""
        compact = self._key.sign_recoverable(digest, hasher=None)
        return int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")

    def __repr__(self) -> str:
        return f"KeystoreSigner({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a signer is not copied or stored")


def address_of(key: PublicKey) -> Address:
    """The account that a public key speaks for."""
    return parse_address("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())


def sign(signer: Signer, digest: bytes) -> Signature:
    """A canonical signature: low s, parity found against the signer's address.

    Raises SignatureMismatch when the answer is not a signature of that account over ``digest``.
    """
    r, s = signer.sign_digest(digest)
    if not (0 < r < GROUP_ORDER and 0 < s < GROUP_ORDER):
        raise SignatureMismatch(address=signer.address, reason="r or s is out of range")
    s = min(s, GROUP_ORDER - s)
    for parity in (0, 1):
        if recover(digest, Signature(parity, r, s)) == signer.address:
            return Signature(parity, r, s)
    raise SignatureMismatch(address=signer.address, reason="it recovers to another account")


def recover(digest: bytes, signature: Signature) -> Address:
    """Who signed ``digest``. Raises SignatureMismatch if the numbers are no signature at all."""
    compact = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big") + bytes([signature.parity])
    try:
        return address_of(PublicKey.from_signature_and_message(compact, digest, hasher=None))
    except (ValueError, OverflowError) as error:
        raise SignatureMismatch(address="anybody", reason=str(error)) from error


def sign_transaction(signer: Signer, transaction: Transaction) -> Signed:
    """The raw transaction, read back and compared field by field. Raises SignatureMismatch."""
    signed = encode(transaction, sign(signer, transaction.digest))
    verify(signed.raw, transaction, signer.address)
    return signed


def verify(raw: bytes, expected: Transaction, sender: Address) -> None:
    """That ``raw`` is ``expected``, signed by ``sender``. Raises SignatureMismatch naming what differs."""
    try:
        actual, signature = decode(raw)
    except (DecodeMismatch, AddressMalformed) as error:
        raise SignatureMismatch(address=sender, reason=str(error)) from error
    names = ("chain_id", "nonce", "fee", "gas", "to", "value_wei", "data", "authorizations")
    differing = [name for name in names if getattr(actual, name) != getattr(expected, name)]
    if differing:
        raise SignatureMismatch(address=sender, reason=f"the raw transaction differs in {differing}")
    if signature.s > GROUP_ORDER // 2 or recover(actual.digest, signature) != sender:
        raise SignatureMismatch(address=sender, reason="the raw transaction's sender is another account")


def sign_authorization(signer: Signer, chain_id: ChainId, delegate: Address, nonce: int) -> Authorization:
    """Lets the signer's account take the code of ``delegate``. Raises SignatureMismatch.

    When the account sends the transaction itself, ``nonce`` is the transaction's nonce plus one.
    """
    signature = sign(signer, authorization_digest(chain_id, delegate, nonce))
    return Authorization(chain_id, delegate, nonce, signature)


def _decrypted(path: Path, password: str) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise KeyUnreadable(key=KEY, path=path, reason="it does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(key=KEY, path=path, reason=f"it cannot be read ({_kind(error)})") from error
    if mode & _OTHERS:
        raise KeyUnreadable(
            key=KEY,
            path=path,
            reason=f"others may use it (mode {stat.S_IMODE(mode):04o}; run chmod 600 on it)",
        )
    try:
        content = cast(object, json.loads(text))
    except json.JSONDecodeError as error:
        raise KeyUnreadable(key=KEY, path=path, reason="it is not JSON, so no v3 keystore") from error
    if not isinstance(content, dict) or content.get("version") != 3 or not _has_crypto(content):
        raise KeyUnreadable(key=KEY, path=path, reason="it is not a v3 keystore")
    # The library's messages may quote what it was given, so none of them is passed on or chained.
    try:
        key = bytes(decode_keyfile_json(content, password.encode()))
    except ValueError as error:
        wrong = "MAC mismatch" in str(error)
        reason = (
            "the password is wrong; check `signer.password_file` or EVENKEEL_KEY_PASSWORD"
            if wrong
            else "its content is damaged"
        )
        raise KeyUnreadable(key=KEY, path=path, reason=reason) from None
    except (KeyError, TypeError, NotImplementedError):
        raise KeyUnreadable(
            key=KEY, path=path, reason="its content is damaged or of an unknown kind"
        ) from None
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < GROUP_ORDER:
        raise KeyUnreadable(key=KEY, path=path, reason="it holds no secp256k1 key")
    return key


def _has_crypto(content: dict[object, object]) -> bool:
    return any(str(name).lower() == "crypto" and isinstance(part, dict) for name, part in content.items())


def _kind(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not UTF-8"
