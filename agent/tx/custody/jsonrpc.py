"""A key behind JSON-RPC that signs whole transactions: Clef (``account_``), or a node's or proxy's ``eth_``.

Transactions of type 2 and EIP-712 data only: neither interface has a word for an EIP-7702 authorization.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, cast

from agent.errors import SignatureMismatch, SignerRefused
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import bytes_of_hex, signature_of_hex
from agent.tx.custody.veil import veiled
from agent.tx.custody.wire import Tls, Wire, json_bytes, require_private
from agent.tx.signer import Typed
from agent.tx.transaction import Transaction
from agent.values.address import Address

Namespace = Literal["account", "eth"]
JSON = {"Content-Type": "application/json"}


@veiled
class JsonRpcSigner:
    """Signs transactions. Threads may share it. Its first signature proves its account."""

    __slots__ = ("_deadline", "_headers", "_ids", "_namespace", "_wire", "address")

    def __init__(
        self,
        url: str,
        account: Address,
        timeout_s: float,
        namespace: Namespace = "account",
        token: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Asks nothing yet: Clef would ask its owner even for a list of accounts. Raises ConfigInvalid."""
        if token is not None:
            require_private("signer.url", url)
        self._wire = Wire("JSON-RPC signer", url, timeout_s, tls)
        self._headers = JSON | ({} if token is None else {"Authorization": f"Bearer {token}"})
        self._namespace = namespace
        self._ids = itertools.count(1)
        self._deadline = Deadline(self._wire.signer, timeout_s)
        self.address = account

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The raw transaction. Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        if transaction.authorizations:
            reason = "it signs transactions of type 2 only, none with an EIP-7702 authorization"
            raise SignerRefused(signer=self._wire.signer, reason=reason)
        asked: dict[str, object] = {
            "from": self.address,
            "to": transaction.to,
            "gas": hex(transaction.gas),
            "maxFeePerGas": hex(transaction.fee.max_fee_wei),
            "maxPriorityFeePerGas": hex(transaction.fee.tip_wei),
            "value": hex(transaction.value_wei),
            "nonce": hex(transaction.nonce),
            "data": "0x" + transaction.data.hex(),
            "chainId": hex(transaction.chain_id),
        }
        if transaction.access:
            asked["accessList"] = [
                {"address": account, "storageKeys": ["0x" + key.hex() for key in keys]}
                for account, keys in transaction.access
            ]
        result = self._deadline.run(lambda: self._call("signTransaction", [asked]))
        raw = cast(Mapping[str, object], result).get("raw") if isinstance(result, dict) else result
        try:
            return bytes_of_hex(raw)
        except ValueError as error:
            raise self._mismatch(f"no raw transaction: {error}") from None

    def sign_typed(self, typed: Typed) -> tuple[int, int]:
        """(r, s) of EIP-712 data. Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        asked: list[object] = [self.address, dict(typed)]
        result = self._deadline.run(lambda: self._call("signTypedData", asked))
        try:
            return signature_of_hex(str(result))
        except ValueError as error:
            raise self._mismatch(str(error)) from None

    def _call(self, verb: str, params: list[object]) -> object:
        number = next(self._ids)
        body = {"jsonrpc": "2.0", "id": number, "method": f"{self._namespace}_{verb}", "params": params}
        answer = self._wire.expect("POST", "", json_bytes(body), self._headers)
        try:
            content = answer.object
        except ValueError:
            raise self._mismatch("the answer is not JSON-RPC") from None
        if content.get("id") != number:
            raise self._mismatch("the answer is to another question")
        if content.get("error") is not None:
            code = (
                cast(Mapping[str, object], content["error"]).get("code")
                if isinstance(content["error"], dict)
                else None
            )
            reason = f"JSON-RPC error {code if isinstance(code, int) else 'without a code'}"
            raise SignerRefused(signer=self._wire.signer, reason=reason)
        return content.get("result")

    def _mismatch(self, reason: str) -> SignatureMismatch:
        return SignatureMismatch(address=self.address, reason=reason)
