"""A key at an MPC custodian that signs when it has made up its mind: submit, then ask until it is done.

The wire form is Fireblocks' raw signing (API v1): ``POST /v1/transactions`` with ``operation`` RAW, our own
``externalTxId``, and a JSON web token over every request.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import cast

from agent.errors import ConfigInvalid, SignatureMismatch, SignerRefused
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import bytes_of_hex, signature_of_bytes
from agent.tx.custody.token import RsaKey
from agent.tx.custody.veil import veiled
from agent.tx.custody.wire import Answer, Wire, json_bytes, require_private
from agent.values.address import Address

URL = "https://api.fireblocks.io"
REFUSED = frozenset({"REJECTED", "BLOCKED", "CANCELLED", "CANCELLING"})
BROKEN = frozenset({"FAILED", "TIMEOUT"})
MOST_REQUESTS = 8  # for one digest, of which all but the last have ended without a signature
TOKEN_LASTS_S = 25  # "must be less than iat+30sec"

Request = Mapping[str, object]


@veiled
class CustodianSigner:
    """Asks for a signature and waits. Threads may share it.

    What is asked for is named after its digest, so a lost reply, a time-out or a restart never makes a second
    request: the next call finds the first one and waits on.
    """

    __slots__ = ("_api_key", "_asset", "_deadline", "_poll_s", "_rsa", "_vault", "_wire", "address")

    def __init__(
        self,
        account: Address,
        vault: str,
        api_key: str,
        rsa: RsaKey,
        timeout_s: float,
        asset: str = "ETH",
        url: str = URL,
        poll_s: float = 0.5,
    ) -> None:
        """``vault``: the vault account's id; ``poll_s``: between two looks at a request.

        Raises ConfigInvalid if ``account`` is not of that vault, SignerRefused, SignerUnavailable.
        """
        require_private("signer.url", url)
        self._wire = Wire("Custodian", url, timeout_s)
        self._vault, self._asset = vault, asset
        self._api_key, self._rsa = api_key, rsa
        self._poll_s = poll_s
        self._deadline = Deadline(self._wire.signer, timeout_s)
        self.address = account
        self._deadline.run(self._identify)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s). Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        end = time.monotonic() + self._deadline.timeout_s
        return self._deadline.run(lambda: self._sign(digest, end))

    def _sign(self, digest: bytes, end: float) -> tuple[int, int]:
        for number in range(MOST_REQUESTS):
            request, is_new = self._submitted(digest, f"evenkeel-{digest.hex()}-{number}")
            if not is_new and _status(request) in REFUSED | BROKEN:
                continue  # it ended before this call; that name is used up
            return self._awaited(request, digest, end)
        raise SignerRefused(
            signer=self._wire.signer,
            reason=f"{MOST_REQUESTS} requests for one digest ended without a signature",
        )

    def _submitted(self, digest: bytes, name: str) -> tuple[Request, bool]:
        """The request of that name, and whether it was made just now."""
        body: dict[str, object] = {
            "operation": "RAW",
            "source": {"type": "VAULT_ACCOUNT", "id": self._vault},
            "assetId": self._asset,
            "externalTxId": name,
            "note": "evenkeel",
            "extraParameters": {
                "rawMessageData": {
                    "algorithm": "MPC_ECDSA_SECP256K1",
                    "messages": [{"content": digest.hex()}],
                }
            },
        }
        answer = self._ask("POST", "/v1/transactions", json_bytes(body))
        if 200 <= answer.status < 300:
            return self._object(answer), True
        if answer.status in (400, 409):  # the name may be taken
            found = self._ask("GET", f"/v1/transactions/external_tx_id/{name}")
            if found.status == 200:
                return self._object(found), False
        raise self._wire.fault(answer)

    def _awaited(self, request: Request, digest: bytes, end: float) -> tuple[int, int]:
        number, wait_s = _path_part(request.get("id")), self._poll_s
        if number is None:
            raise self._mismatch("the request has no id")
        while (status := _status(request)) != "COMPLETED" or not request.get("signedMessages"):
            if status in REFUSED:
                raise SignerRefused(signer=self._wire.signer, reason=f"the request is {status}")
            if status in BROKEN:
                raise self._wire.unavailable(f"the request is {status}")
            if time.monotonic() + wait_s > end:
                raise self._wire.unavailable(f"the request is still {status}; the next try waits on for it")
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, 5 * self._poll_s)
            answer = self._ask("GET", f"/v1/transactions/{number}")
            if answer.status != 200:
                raise self._wire.fault(answer)
            request = self._object(answer)
        return self._signature(request, digest)

    def _signature(self, request: Request, digest: bytes) -> tuple[int, int]:
        try:
            (message,) = cast(list[Mapping[str, object]], request["signedMessages"])
            if str(message["content"]).lower() != digest.hex():
                raise ValueError("it is over another digest")
            signature = cast(Mapping[str, object], message["signature"])
            return signature_of_bytes(bytes_of_hex(f"0x{signature['r']}{signature['s']}"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, ValueError) else "the answer holds no signature"
            raise self._mismatch(reason) from None

    def _identify(self) -> None:
        answer = self._ask("GET", f"/v1/vault/accounts/{self._vault}/{self._asset}/addresses_paginated")
        if answer.status != 200:
            raise self._wire.fault(answer)
        listed = self._object(answer).get("addresses")
        held = (
            [str(item.get("address")).lower() for item in listed if isinstance(item, dict)]
            if isinstance(listed, list)
            else []
        )
        if self.address.lower() not in held:
            raise ConfigInvalid(
                key="signer.vault",
                value=self._vault,
                reason=f"its {self._asset} address is not {self.address}",
            )

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        now_s = int(time.time())
        claims = {
            "uri": path,
            "nonce": str(uuid.uuid4()),
            "iat": now_s,
            "exp": now_s + TOKEN_LASTS_S,
            "sub": self._api_key,
            "bodyHash": hashlib.sha256(body or b"").hexdigest(),
        }
        headers = {
            "Content-Type": "application/json",
            "X-API-Key": self._api_key,
            "Authorization": f"Bearer {self._rsa.sign(claims)}",
        }
        return self._wire.ask(method, path, body, headers)

    def _object(self, answer: Answer) -> Request:
        try:
            return answer.object
        except ValueError:
            raise self._mismatch("the answer is not JSON") from None

    def _mismatch(self, reason: str) -> SignatureMismatch:
        return SignatureMismatch(address=self.address, reason=reason)


def _status(request: Request) -> str:
    """Anything unknown is a state on the way."""
    found = str(request.get("status"))
    return found if found.replace("_", "").isalnum() and len(found) <= 64 else "unknown"


def _path_part(text: object) -> str | None:
    return text if isinstance(text, str) and text.replace("-", "").isalnum() else None
