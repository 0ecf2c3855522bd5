"""A key in Google Cloud KMS (EC_SIGN_SECP256K1_SHA256), through its REST interface, v1.

The digest travels in the field for SHA-256: KMS signs 32 bytes and does not know what hashed them. Both
directions carry CRC-32C, as Google's guide on data integrity asks.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from urllib.parse import urlencode

from agent.errors import ConfigInvalid, KeyUnreadable, SignatureMismatch
from agent.tx.custody.checksum import crc32c
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import key_of_pem, signature_of_der
from agent.tx.custody.token import Bearer, RsaKey
from agent.tx.custody.veil import veiled
from agent.tx.custody.wire import Wire, json_bytes, require_private
from agent.tx.signer import address_of
from agent.values.address import Address

URL = "https://cloudkms.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloudkms"
METADATA_URL = "http://metadata.google.internal"  # of the machine itself: plain by design
ALGORITHM = "EC_SIGN_SECP256K1_SHA256"
CHECKSUM_TRIES = 3  # "perform a limited number of retries"
JSON = {"Content-Type": "application/json"}


def machine_identity(timeout_s: float, url: str = METADATA_URL) -> Bearer:
    """The service account of the machine, VM or pod we run on."""
    wire = Wire("Google metadata server", url, timeout_s)
    path = "/computeMetadata/v1/instance/service-accounts/default/token"

    def fetch() -> tuple[str, float]:
        return _token(wire, wire.expect("GET", path, headers={"Metadata-Flavor": "Google"}).content)

    return Bearer(fetch)


def service_account(document: str, timeout_s: float) -> Bearer:
    """A service account by its key file's content (RFC 7523). Raises KeyUnreadable, ConfigInvalid."""
    key = "signer.credentials_file"
    try:
        content = json.loads(document)
        email, url, key_id = content["client_email"], content["token_uri"], content["private_key_id"]
        rsa = RsaKey(content["private_key"])
    except (ValueError, KeyError, TypeError):
        raise KeyUnreadable(key=key, path="...", reason="it is no key of a service account") from None
    require_private(key, url)
    wire = Wire("Google token server", url, timeout_s)

    def fetch() -> tuple[str, float]:
        now_s = int(time.time())
        claims = {"iss": email, "scope": SCOPE, "aud": url, "iat": now_s, "exp": now_s + 3600}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": rsa.sign(claims, key_id),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return _token(wire, wire.expect("POST", "", urlencode(form).encode(), headers).content)

    return Bearer(fetch)


@veiled
class GoogleSigner:
    """Signs in Cloud KMS. Threads may share it."""

    __slots__ = ("_bearer", "_deadline", "_path", "_wire", "address")

    def __init__(self, key: str, bearer: Bearer, timeout_s: float, url: str = URL) -> None:
        """``key``: the resource name of a key version, projects/.../cryptoKeyVersions/1.

        Raises ConfigInvalid for a key that cannot sign for an account, SignerRefused, SignerUnavailable.
        """
        require_private("signer.url", url)
        self._wire = Wire("Google Cloud KMS", url, timeout_s)
        self._bearer = bearer
        self._path = f"/v1/{key}"
        self._deadline = Deadline(self._wire.signer, timeout_s)
        self.address: Address = self._deadline.run(lambda: self._identified(key))

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s). Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        return self._deadline.run(lambda: self._sign(digest))

    def _sign(self, digest: bytes) -> tuple[int, int]:
        body = json_bytes(
            {"digest": {"sha256": b64encode(digest).decode()}, "digestCrc32c": str(crc32c(digest))}
        )
        for _ in range(CHECKSUM_TRIES):
            try:
                answer = self._ask("POST", ":asymmetricSign", body)
                if f"/v1/{answer.get('name')}" != self._path:
                    raise ValueError("the answer is of another key")
                der = b64decode(str(answer.get("signature")), validate=True)
                if answer.get("verifiedDigestCrc32c") is True and _agrees(der, answer.get("signatureCrc32c")):
                    return signature_of_der(der)
            except ValueError as error:
                raise SignatureMismatch(address=self.address, reason=str(error)) from None
        raise self._wire.unavailable(f"checksums were wrong {CHECKSUM_TRIES} times in a row")

    def _identified(self, key: str) -> Address:
        for _ in range(CHECKSUM_TRIES):
            try:
                answer = self._ask("GET", "/publicKey")
                pem = str(answer.get("pem"))
                if not _agrees(pem.encode(), answer.get("pemCrc32c")):
                    continue
                if answer.get("algorithm") != ALGORITHM or answer.get("name") != key:
                    raise ValueError(f"it is no key version with the algorithm {ALGORITHM}")
                return address_of(key_of_pem(pem))
            except ValueError as error:
                raise ConfigInvalid(key="signer.key", value=key, reason=str(error)) from None
        raise self._wire.unavailable(f"checksums were wrong {CHECKSUM_TRIES} times in a row")

    def _ask(self, method: str, verb: str, body: bytes | None = None) -> dict[str, object]:
        answer = self._wire.ask(method, self._path + verb, body, JSON | self._bearer.header())
        if answer.status == 401:  # withdrawn before its time: another one may be taken
            self._bearer.forget()
            answer = self._wire.ask(method, self._path + verb, body, JSON | self._bearer.header())
        if answer.status != 200:
            raise self._wire.fault(answer)
        return answer.object


def _agrees(data: bytes, said: object) -> bool:
    """An int64 is a string in Google's JSON."""
    return str(said) == str(crc32c(data))


def _token(wire: Wire, content: bytes) -> tuple[str, float]:
    try:
        found = json.loads(content)
        return str(found["access_token"]), float(found["expires_in"])
    except (ValueError, KeyError, TypeError):
        raise wire.unavailable("its answer holds no token") from None
