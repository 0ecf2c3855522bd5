"""A key in AWS KMS: KeySpec ECC_SECG_P256K1, signed as ECDSA_SHA_256 over our own 32 bytes (DIGEST).

Whose account asks is found by boto3 in its usual places: environment, profile, role of the machine.
"""

from __future__ import annotations

import logging
from typing import Protocol, cast

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from agent.errors import ConfigInvalid, SignatureMismatch, SignerRefused, SignerUnavailable
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import key_of_spki, signature_of_der
from agent.tx.custody.veil import veiled
from agent.tx.signer import address_of
from agent.values.address import Address

ALGORITHM = "ECDSA_SHA_256"
# Codes whose HTTP status is 400 although they pass; from 429 and 500 on they say so themselves.
PASSING = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "LimitExceededException",
        "RequestLimitExceeded",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "RequestTimeout",
        "RequestExpired",
    }
)


class _Kms(Protocol):
    def get_public_key(self, *, KeyId: str) -> dict[str, object]: ...

    def sign(
        self, *, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str
    ) -> dict[str, object]: ...


@veiled
class AwsSigner:
    """Signs in KMS. Threads may share it."""

    __slots__ = ("_deadline", "_key", "_kms", "address")

    def __init__(self, key: str, timeout_s: float, region: str | None = None, url: str | None = None) -> None:
        """``key``: id, ARN or alias; what an alias means is settled here, once. ``url``: another endpoint.

        Raises ConfigInvalid for a key that cannot sign for an account, SignerRefused, SignerUnavailable.
        """
        # Their debug lines carry signed headers, session tokens among them.
        for chatty in ("boto3", "botocore", "urllib3"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        patience = ClientConfig(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        self._deadline = Deadline(f"AWS KMS{f' in {region}' if region else ''}", timeout_s)
        try:
            client = boto3.session.Session().client(
                "kms", region_name=region, endpoint_url=url, config=patience
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigInvalid(
                key="signer.region", value=region, reason=f"no client ({type(error).__name__})"
            ) from None
        self._kms = cast(_Kms, client)
        self._key, self.address = self._deadline.run(lambda: self._identified(key))

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s). Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        answer = self._deadline.run(lambda: self._sign(digest))
        try:
            return signature_of_der(_bytes(answer, "Signature"))
        except ValueError as error:
            raise SignatureMismatch(address=self.address, reason=str(error)) from None

    def _sign(self, digest: bytes) -> dict[str, object]:
        try:
            return self._kms.sign(
                KeyId=self._key, Message=digest, MessageType="DIGEST", SigningAlgorithm=ALGORITHM
            )
        except (ClientError, BotoCoreError) as error:
            raise self._fault(error) from None
        except (AttributeError, TypeError, KeyError, ValueError):  # how botocore stumbles over other JSON
            raise SignatureMismatch(address=self.address, reason="the answer is not KMS's") from None

    def _identified(self, key: str) -> tuple[str, Address]:
        try:
            answer = self._kms.get_public_key(KeyId=key)
        except (ClientError, BotoCoreError) as error:
            raise self._fault(error) from None
        algorithms = answer.get("SigningAlgorithms")
        try:
            if answer.get("KeyUsage") != "SIGN_VERIFY" or ALGORITHM not in cast(list[str], algorithms or []):
                raise ValueError("it is no key for ECDSA_SHA_256 signatures")
            return str(answer["KeyId"]), address_of(key_of_spki(_bytes(answer, "PublicKey")))
        except (ValueError, KeyError) as error:
            raise ConfigInvalid(key="signer.key", value=key, reason=str(error)) from None

    def _fault(self, error: ClientError | BotoCoreError) -> SignerUnavailable | SignerRefused:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return SignerRefused(signer=self._deadline.signer, reason="boto3 finds no credentials")
        if not isinstance(error, ClientError):
            return SignerUnavailable(signer=self._deadline.signer, reason=type(error).__name__)
        code = str(error.response.get("Error", {}).get("Code", "unknown"))[:64]
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in PASSING or status == 429 or status >= 500:
            return SignerUnavailable(signer=self._deadline.signer, reason=code)
        return SignerRefused(signer=self._deadline.signer, reason=code)


def _bytes(answer: dict[str, object], name: str) -> bytes:
    found = answer.get(name)
    if not isinstance(found, bytes):
        raise ValueError(f"the answer has no {name}")
    return found
