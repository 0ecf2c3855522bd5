"""An encrypted key file (v3), opened once; the key then lives in this process."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import cast

from coincurve import PrivateKey
from eth_keyfile.keyfile import decode_keyfile_json

from agent.errors import KeyUnreadable
from agent.tx.custody.veil import veiled
from agent.tx.signer import GROUP_ORDER, address_of
from agent.values.address import Address

KEY = "signer.keystore"  # what the owner calls the file
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@veiled
class KeystoreSigner:
    """A key from an encrypted v3 file, decrypted once. Shows its address and nothing else."""

    __slots__ = ("_key", "address")

    def __init__(self, path: Path, password: str) -> None:
        """Raises KeyUnreadable: missing, readable by others, malformed, or another password."""
        self._key = PrivateKey(_decrypted(path, password))
        self.address: Address = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s), deterministic (RFC 6979)."""
        _, r, s = self.sign_recoverable(digest)
        return r, s

    def sign_recoverable(self, digest: bytes) -> tuple[int, int, int]:
        """(parity, r, s), deterministic (RFC 6979), s low."""
        compact = self._key.sign_recoverable(digest, hasher=None)
        return compact[64], int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")


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
