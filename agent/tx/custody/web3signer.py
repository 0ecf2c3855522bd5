"""A key in Consensys' Web3Signer, through ``/api/v1/eth1``.

It hashes with keccak itself, so it is given what is hashed: transactions, EIP-7702 authorizations and EIP-712
data alike. (Since 26.7.0 it would take a digest too; what it can see is the better thing to send.)
"""

from __future__ import annotations

from agent.errors import ConfigInvalid, SignatureMismatch
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import bytes_of_hex, key_of_point, signature_of_hex
from agent.tx.custody.veil import veiled
from agent.tx.custody.wire import Tls, Wire, json_bytes, require_private
from agent.tx.signer import address_of
from agent.values.address import Address

JSON = {"Content-Type": "application/json"}
MOST_TEXT = 512


@veiled
class Web3Signer:
    """Signs what it hashes. Threads may share it."""

    __slots__ = ("_deadline", "_headers", "_path", "_wire", "address")

    def __init__(
        self, url: str, account: Address, timeout_s: float, token: str | None = None, tls: Tls | None = None
    ) -> None:
        """``token``: a bearer token, for a proxy that asks for one.

        Raises ConfigInvalid if none of its keys is of ``account``, SignerRefused, SignerUnavailable.
        """
        if token is not None:
            require_private("signer.url", url)
        self._wire = Wire("Web3Signer", url, timeout_s, tls)
        self._headers = JSON | ({} if token is None else {"Authorization": f"Bearer {token}"})
        self._deadline = Deadline(self._wire.signer, timeout_s)
        self.address = account
        self._path = f"/api/v1/eth1/sign/{self._deadline.run(self._identifier)}"

    def sign_preimage(self, preimage: bytes) -> tuple[int, int]:
        """(r, s) over keccak of ``preimage``. Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        return self._deadline.run(lambda: self._sign(preimage))

    def _sign(self, preimage: bytes) -> tuple[int, int]:
        body = json_bytes({"data": "0x" + preimage.hex()})
        answer = self._wire.expect("POST", self._path, body, self._headers)
        try:
            return signature_of_hex(answer.content[:MOST_TEXT].decode("ascii").strip())
        except ValueError:
            raise SignatureMismatch(
                address=self.address, reason="the answer is no signature in hex"
            ) from None

    def _identifier(self) -> str:
        """The name of our key there, which is the public key."""
        answer = self._wire.expect("GET", "/api/v1/eth1/publicKeys", headers=self._headers)
        try:
            names = answer.json
            if not isinstance(names, list):
                raise ValueError("no list")
            for name in names:
                if address_of(key_of_point(bytes_of_hex(name))) == self.address:
                    return str(name)
        except ValueError:
            raise ConfigInvalid(
                key="signer.url", value=self._wire.signer, reason="it does not answer with a list of keys"
            ) from None
        raise ConfigInvalid(
            key="signer.url",
            value=self._wire.signer,
            reason=f"none of its {len(names)} keys is of {self.address}",
        )
