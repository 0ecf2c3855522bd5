"""A JSON-RPC session with a chain we own: it may move the clock, mine, impersonate and roll back.

Only the simulation holds one; the agent sees its chain through `agent.chain.rpc` and nothing else.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

import orjson

from agent.errors import RpcRejected, RpcTimeout, RpcUnavailable

Params = Sequence[object]
CLEARING_S = 0.1


class Node:
    """One kept-alive HTTP connection. Not for two threads at once."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        self.url = url
        self._timeout_s = timeout_s
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=timeout_s
        )

    def request(self, method: str, *params: object) -> object:
        """The ``result`` of one call. Raises RpcRejected, RpcTimeout or RpcUnavailable."""
        return self.batch([(method, params)])[0]

    def batch(self, calls: Sequence[tuple[str, Params]]) -> list[object]:
        """The results of several calls in one round trip, in order. Raises at the first that failed."""
        if not calls:
            return []
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": list(params)}
            for index, (method, params) in enumerate(calls)
        ]
        payload = body[0] if len(body) == 1 else body
        answer = self._post(orjson.dumps(payload, option=orjson.OPT_PASSTHROUGH_SUBCLASS), calls[0][0])
        answers = answer if isinstance(answer, list) else [answer]
        by_id = {item["id"]: item for item in cast(list[dict[str, object]], answers)}
        results = []
        for index, (method, _) in enumerate(calls):
            item = by_id[index]
            if "error" in item:
                error = cast(dict[str, object], item["error"])
                raise RpcRejected(
                    endpoint=self.url,
                    method=method,
                    reason=error.get("message", ""),
                    rpc_code=error.get("code", 0),
                    data=error.get("data"),
                )
            results.append(item["result"])
        return results

    def _post(self, payload: bytes, method: str) -> object:
        try:
            self._connection.request("POST", "/", payload, {"Content-Type": "application/json"})
            return orjson.loads(self._connection.getresponse().read())
        except TimeoutError as error:
            self._connection.close()
            raise RpcTimeout(endpoint=self.url, method=method, timeout_s=self._timeout_s) from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise RpcUnavailable(endpoint=self.url, method=method, reason=str(error)) from error

    def close(self) -> None:
        self._connection.close()

    # --- reading ---------------------------------------------------------------------------------

    def chain_id(self) -> int:
        return quantity(self.request("eth_chainId"))

    def block_number(self) -> int:
        return quantity(self.request("eth_blockNumber"))

    def block(self, tag: str = "latest") -> dict[str, object]:
        """The header at ``tag`` as the node words it."""
        return cast(dict[str, object], self.request("eth_getBlockByNumber", tag, False))

    def now_s(self) -> int:
        """The newest block's timestamp."""
        return quantity(self.block()["timestamp"])

    def receipt(self, tx_hash: str, timeout_s: float = 20.0) -> dict[str, object]:
        """The receipt, waiting for it: automine is asynchronous. Raises RpcTimeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.request("eth_getTransactionReceipt", tx_hash)
            if found is not None:
                return cast(dict[str, object], found)
            if time.monotonic() > deadline:
                raise RpcTimeout(endpoint=self.url, method="eth_getTransactionReceipt", timeout_s=timeout_s)
            time.sleep(0.001)

    # --- what only the owner of a chain may do -----------------------------------------------------

    def mine(self) -> None:
        """One block, now."""
        self.request("evm_mine")

    def set_time(self, timestamp_s: int) -> None:
        """What the node takes for now; the next block's timestamp follows from it."""
        self.request("anvil_setTime", timestamp_s)

    def set_next_timestamp(self, timestamp_s: int) -> None:
        """The timestamp of the next block; later ones follow at the interval."""
        self.request("evm_setNextBlockTimestamp", timestamp_s)

    def warp(self, seconds: int) -> None:
        """Mine one block ``seconds`` after the newest."""
        self.set_next_timestamp(self.now_s() + seconds)
        self.mine()

    def set_interval(self, seconds: int) -> None:
        """Seconds between the timestamps of successive blocks, whatever the wall clock does."""
        self.request("anvil_setBlockTimestampInterval", seconds)

    def set_next_base_fee(self, wei: int) -> None:
        """The base fee of the next block; later ones follow from how full it is."""
        self.request("anvil_setNextBlockBaseFeePerGas", hex(wei))

    def set_automine(self, *, on: bool) -> None:
        self.request("evm_setAutomine", on)

    def set_code(self, address: str, code: bytes) -> None:
        self.request("anvil_setCode", address, "0x" + code.hex())

    def set_balance(self, address: str, wei: int) -> None:
        self.request("anvil_setBalance", address, hex(wei))

    def impersonate(self, address: str) -> None:
        self.request("anvil_impersonateAccount", address)

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to ``snapshot``, which is used up. Raises RpcRejected if the node no longer knows it.

        anvil clears its pool of what was mined a little after it answers; rolled back before that, it would
        drop the sender's next transaction. So the pool is given a moment (what is kept on purpose stays).
        """
        deadline = time.monotonic() + CLEARING_S
        while self._pooled() and time.monotonic() < deadline:
            time.sleep(0.002)
        if self.request("evm_revert", snapshot) is not True:
            raise RpcRejected(
                endpoint=self.url, method="evm_revert", reason=f"no snapshot {snapshot}", rpc_code=0
            )

    def _pooled(self) -> int:
        status = cast(dict[str, object], self.request("txpool_status"))
        return quantity(status["pending"]) + quantity(status["queued"])


def quantity(value: object) -> int:
    """The int in a JSON-RPC quantity ("0x1f")."""
    return int(str(value), 16)
