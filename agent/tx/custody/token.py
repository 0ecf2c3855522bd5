"""Proofs of who asks: bearer tokens that expire, and RS256 JSON web tokens (RFC 7515, 7519)."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

EARLY_S = 60.0  # a token is renewed this long before its end


class Bearer:
    """A token, kept until shortly before it expires. Threads may share it."""

    __slots__ = ("_end", "_fetch", "_lock", "_token")

    def __init__(self, fetch: Callable[[], tuple[str, float]]) -> None:
        """``fetch`` gives a token and the seconds it is good for."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token = ""
        self._end = float("-inf")

    def header(self) -> dict[str, str]:
        """For a request. Raises what fetching raises."""
        with self._lock:
            if time.monotonic() >= self._end:
                self._token, lasts_s = self._fetch()
                self._end = time.monotonic() + max(0.0, lasts_s - EARLY_S)
            return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """The other side does not take it any more."""
        with self._lock:
            self._end = float("-inf")

    def __repr__(self) -> str:
        return "Bearer(...)"


class RsaKey:
    """Signs claims. Shows nothing of itself."""

    __slots__ = ("_key",)

    def __init__(self, pem: str) -> None:
        """Raises ValueError unless ``pem`` is an RSA private key."""
        try:
            self._key = RSA.import_key(pem)
        except (ValueError, IndexError, TypeError):
            raise ValueError("it holds no RSA private key in PEM") from None
        if not self._key.has_private():
            raise ValueError("it holds a public key where a private one is needed")

    def sign(self, claims: Mapping[str, object], key_id: str = "") -> str:
        """A compact token over ``claims``, signed RS256."""
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
        message = f"{_part(header)}.{_part(claims)}"
        signature = pkcs1_15.new(self._key).sign(SHA256.new(message.encode()))
        return f"{message}.{_base64url(signature)}"

    def __repr__(self) -> str:
        return "RsaKey(...)"


def _part(content: Mapping[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
