"""Requests to a signing service over HTTP(S). What a service says is never repeated, only its error codes.

httpx is not told of proxies or certificates by the environment, follows no redirect and sends nothing twice.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import orjson

from agent.chain.transport import redacted
from agent.errors import ConfigInvalid, KeyUnreadable, SignerRefused, SignerUnavailable

MOST_BYTES = 1 << 16
PASSING = (408, 425, 429)  # and all from 500 on: the same request may be answered later
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates: whom to trust instead of the system's authorities, and who we are."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of a response."""

    status: int
    content: bytes

    @property
    def json(self) -> object:
        """The body's JSON. Raises ValueError."""
        return cast(object, orjson.loads(self.content))

    @property
    def object(self) -> dict[str, object]:
        """The body's JSON object. Raises ValueError."""
        found = self.json
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        return cast(dict[str, object], found)


class Wire:
    """One service. Threads may share it."""

    __slots__ = ("_client", "_timeout_s", "_url", "signer")

    def __init__(self, name: str, url: str, timeout_s: float, tls: Tls | None = None) -> None:
        """Raises ConfigInvalid for an address that is none, KeyUnreadable for a certificate's file."""
        # It writes whole addresses, path and query included, into its log.
        for chatty in ("httpx", "httpcore"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self.signer = f"{name} at {_place(url)}"
        self._timeout_s = timeout_s
        self._url = url
        self._client = httpx.Client(
            timeout=timeout_s,
            verify=_context(tls or Tls()),
            trust_env=False,
            headers={"User-Agent": "evenkeel"},
        )

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Whatever it answers to a request for ``path`` below its address.

        Raises SignerUnavailable if that is nothing, too late or too long.
        """
        end = time.monotonic() + self._timeout_s
        try:
            url = self._url.rstrip("/") + path if path else self._url
            with self._client.stream(method, url, content=body, headers=dict(headers or {})) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise self.unavailable("its answer is far too long")
                    if time.monotonic() > end:
                        raise self.unavailable(f"no whole answer within {self._timeout_s:g} s")
                return Answer(response.status_code, content)
        except httpx.TimeoutException:
            raise self.unavailable(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self.unavailable(f"the connection failed ({type(error).__name__})") from None

    def expect(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer of success. Raises SignerUnavailable, or SignerRefused for any other answer."""
        answer = self.ask(method, path, body, headers)
        if 200 <= answer.status < 300:
            return answer
        raise self.fault(answer)

    def fault(self, answer: Answer) -> SignerUnavailable | SignerRefused:
        """What an answer that is no success means."""
        reason = f"HTTP {answer.status}{_code(answer)}"
        if answer.status in PASSING or answer.status >= 500:
            return self.unavailable(reason)
        return SignerRefused(signer=self.signer, reason=reason)

    def unavailable(self, reason: str) -> SignerUnavailable:
        """An error of this service."""
        return SignerUnavailable(signer=self.signer, reason=reason)


def require_private(key: str, url: str) -> None:
    """That a secret may travel to ``url``: by https, or within this machine. Raises ConfigInvalid."""
    parts = httpx.URL(url)
    if parts.scheme != "https" and not _is_here(parts.host):
        raise ConfigInvalid(
            key=key, value=redacted(url), reason="a secret travels to it: it must be https://"
        )


def json_bytes(content: object) -> bytes:
    """A request's body."""
    return orjson.dumps(content)


def _place(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo:
        raise ConfigInvalid(
            key="signer.url",
            value="...",
            reason="it must be http:// or https:// and a host, without a user",
        )
    return redacted(url)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _context(tls: Tls) -> ssl.SSLContext:
    key, path = "signer.ca_file", tls.ca_file
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.client_cert is not None:
            key, path = "signer.client_cert", tls.client_cert
            context.load_cert_chain(tls.client_cert, tls.client_key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise KeyUnreadable(key=key, path=path, reason=f"no certificate ({type(error).__name__})") from None
    return context


def _no_password() -> str:
    raise ValueError("an encrypted key would be asked for on the terminal")


def _code(answer: Answer) -> str:
    """The service's own name for its error, if it looks like a name: texts may repeat what they were sent."""
    try:
        found: object = answer.object.get("error")
    except ValueError:
        return ""
    if isinstance(found, dict):
        found = found.get("status") or found.get("code")
    return f" {found}" if isinstance(found, str) and _CODE.fullmatch(found) else ""
