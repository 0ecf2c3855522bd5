"""A key in Azure Key Vault or Managed HSM: curve P-256K, algorithm ES256K over our own 32 bytes, REST 7.4."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode, urlsplit

from agent.errors import ConfigInvalid, SignatureMismatch
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import key_of_point, signature_of_bytes
from agent.tx.custody.token import Bearer
from agent.tx.custody.veil import veiled
from agent.tx.custody.wire import Wire, json_bytes, require_private
from agent.tx.signer import address_of
from agent.values.address import Address

AUTHORITY = "https://login.microsoftonline.com"
MACHINE_URL = "http://169.254.169.254"  # of the machine itself: plain by design
VERSION = "?api-version=7.4"
JSON = {"Content-Type": "application/json"}


def machine_identity(
    vault: str, timeout_s: float, client_id: str | None = None, url: str = MACHINE_URL
) -> Bearer:
    """The managed identity of the machine; ``client_id`` where it has several."""
    wire = Wire("Azure instance metadata", url, timeout_s)
    asked = {"api-version": "2018-02-01", "resource": _resource(vault)}
    asked |= {} if client_id is None else {"client_id": client_id}
    path = f"/metadata/identity/oauth2/token?{urlencode(asked)}"

    def fetch() -> tuple[str, float]:
        return _token(wire, wire.expect("GET", path, headers={"Metadata": "true"}).content)

    return Bearer(fetch)


def application(
    vault: str, tenant: str, client_id: str, secret: str, timeout_s: float, authority: str = AUTHORITY
) -> Bearer:
    """An application registered in Entra, by its secret (OAuth 2 client credentials)."""
    require_private("signer.authority", authority)
    wire = Wire("Entra", authority, timeout_s)
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        "scope": f"{_resource(vault)}/.default",
    }

    def fetch() -> tuple[str, float]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        path = f"/{tenant}/oauth2/v2.0/token"
        return _token(wire, wire.expect("POST", path, urlencode(form).encode(), headers).content)

    return Bearer(fetch)


@veiled
class AzureSigner:
    """Signs in Key Vault. Threads may share it."""

    __slots__ = ("_bearer", "_deadline", "_kid", "_path", "_wire", "address")

    def __init__(self, vault: str, key: str, bearer: Bearer, timeout_s: float) -> None:
        """``vault``: its https address; ``key``: name or name/version. The version is settled here, once.

        Raises ConfigInvalid for a key that cannot sign for an account, SignerRefused, SignerUnavailable.
        """
        require_private("signer.url", vault)
        if not re.fullmatch(r"[0-9A-Za-z-]+(/[0-9A-Za-z]+)?", key):
            raise ConfigInvalid(key="signer.key", value=key, reason="it must be name or name/version")
        self._wire = Wire("Azure Key Vault", vault, timeout_s)
        self._bearer = bearer
        self._deadline = Deadline(self._wire.signer, timeout_s)
        self._kid, self.address = self._deadline.run(lambda: self._identified(key))
        self._path = urlsplit(self._kid).path

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s). Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        return self._deadline.run(lambda: self._sign(digest))

    def _sign(self, digest: bytes) -> tuple[int, int]:
        value = urlsafe_b64encode(digest).rstrip(b"=").decode()
        try:
            answer = self._ask("POST", f"{self._path}/sign", json_bytes({"alg": "ES256K", "value": value}))
            if answer.get("kid") != self._kid:
                raise ValueError("the answer is of another key")
            raw = _bytes(answer.get("value"))
            if len(raw) != 64:
                raise ValueError(f"{len(raw)} bytes are no r and s")
            return signature_of_bytes(raw)
        except ValueError as error:
            raise SignatureMismatch(address=self.address, reason=str(error)) from None

    def _identified(self, key: str) -> tuple[str, Address]:
        try:
            found = self._ask("GET", f"/keys/{key}").get("key")
            if not isinstance(found, dict):
                raise ValueError("the answer holds no key")
            jwk = cast(Mapping[str, object], found)
            if jwk.get("crv") != "P-256K" or jwk.get("kty") not in ("EC", "EC-HSM"):
                raise ValueError("it is no key of the curve P-256K")
            kid = str(jwk.get("kid"))
            if not re.fullmatch(rf"/keys/{key.partition('/')[0]}/[0-9A-Za-z]+", urlsplit(kid).path):
                raise ValueError("the answer is of another key")
            point = _bytes(jwk.get("x")).rjust(32, b"\0") + _bytes(jwk.get("y")).rjust(32, b"\0")
            return kid, address_of(key_of_point(point))
        except ValueError as error:
            raise ConfigInvalid(key="signer.key", value=key, reason=str(error)) from None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, object]:
        answer = self._wire.ask(method, path + VERSION, body, JSON | self._bearer.header())
        if answer.status == 401:  # withdrawn before its time: another one may be taken
            self._bearer.forget()
            answer = self._wire.ask(method, path + VERSION, body, JSON | self._bearer.header())
        if answer.status != 200:
            raise self._wire.fault(answer)
        return answer.object


def _resource(vault: str) -> str:
    """Whom the token is for: the cloud's Key Vault (vault.azure.net, managedhsm.azure.net, ...)."""
    return f"https://{(urlsplit(vault).hostname or '').partition('.')[2]}"


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("a number of the answer is no base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _token(wire: Wire, content: bytes) -> tuple[str, float]:
    try:
        found = json.loads(content)
        return str(found["access_token"]), float(found["expires_in"])
    except (ValueError, KeyError, TypeError):
        raise wire.unavailable("its answer holds no token") from None
