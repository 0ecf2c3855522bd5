"""A node (or a pool of them), asked over JSON-RPC; every fault is a typed error.

Over one endpoint nothing is ever repeated. A pool may ask a second node what is only read; it never writes.

Reads name their block by hash (EIP-1898, ``requireCanonical``), so a snapshot is of one block or an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.chain import history, shape
from agent.chain.error_table import is_unpinned, revert_data
from agent.chain.transport import Json, Transport
from agent.chain.wire import Errand, Line, Params, Request, RpcCall, RpcResult, T, Wire, single
from agent.errors import ReadUnpinned, RpcRejected
from agent.values.address import Address, BlockHash, ChainId, TxHash
from agent.values.block import Block
from agent.values.call import Answer, Call, Code, Codes, Past, Slot
from agent.values.log import Filter, Log

Tag = str  # "latest", "pending", "safe", "finalized", "earliest"
At = Block | Tag


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """``eth_feeHistory``: base fees in wei per gas of the blocks and of the one after them, oldest first.

    ``rewards_wei`` has, per block, the tip at each asked percentile.
    """

    oldest_block: int
    base_fees_wei: tuple[int, ...]
    gas_used_ratios: tuple[float, ...]
    rewards_wei: tuple[tuple[int, ...], ...]


class Rpc:
    """One endpoint or a pool. Threads may share it. ``endpoint`` is shown without path, query and user part.

    ``source`` is an http(s) address, or a wire: `agent.chain.endpoint.Endpoint`, `agent.chain.pool.Pool`.
    ``timeout_s`` is for a whole request, whatever is tried in it. Every method raises RpcUnavailable,
    RpcTimeout, RateLimited or RpcRejected (with ``rpc_code``, ``reason`` and ``data`` in its fields), and
    DecodeMismatch if the answer has not the expected shape; over a wire with limits also Throttled and
    EndpointResting (nothing was sent), over a pool HeadBehind and ChainMismatch.
    """

    def __init__(self, source: str | Wire, timeout_s: float = 10.0) -> None:
        self._wire = Line(Transport(source, timeout_s)) if isinstance(source, str) else source
        self.timeout_s = timeout_s
        self.endpoint = self._wire.endpoint

    @property
    def members(self) -> tuple[Rpc, ...]:
        """Each endpoint alone: the only way to write through a pool."""
        parts = self._wire.parts
        return (
            (self,)
            if len(parts) == 1 and parts[0] is self._wire
            else tuple(Rpc(part, self.timeout_s) for part in parts)
        )

    def request(self, method: str, params: Params = ()) -> Json:
        """The ``result`` of one call."""
        return self._single(method, params).unwrap()

    def batch(self, calls: Sequence[RpcCall]) -> list[RpcResult]:
        """Answers of several calls in one round trip, in order; a refusal stays in its own result."""
        return self._wire.ask(Request(tuple(calls), is_batch=True), self.timeout_s) if calls else []

    def carry(self, errand: Errand[T]) -> T:
        """What an errand brings, done at one endpoint: of a pool the best, or else the next."""
        return self._wire.carry(errand, self.timeout_s)

    def close(self) -> None:
        """Drop the connections that are not in use."""
        self._wire.close()

    # --- state, at a block ---------------------------------------------------------------------------

    def call(
        self,
        call: Call,
        at: At,
        sender: Address | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Answer:
        """``eth_call``; a revert is an answer with ``ok`` False. Raises ReadUnpinned if ``at`` is gone."""
        params = call_params(call, at, sender, overrides)
        return answer_of(self._single("eth_call", params), at)

    def calls(self, calls: Sequence[Call], at: At) -> list[Answer]:
        """The same for several calls in one round trip, and for words of storage among them."""
        results = self.batch([read_call(call, at) for call in calls])
        return [answer_of(result, at) for result in results]

    def balance(self, address: Address, at: At = "latest") -> int:
        """Native balance, wei."""
        return shape.quantity(self._pinned("eth_getBalance", address, at), "eth_getBalance")

    def nonce(self, address: Address, at: At = "latest") -> int:
        """Number of transactions sent; at "pending" those in the node's pool are counted."""
        return shape.quantity(self._pinned("eth_getTransactionCount", address, at), "eth_getTransactionCount")

    def code(self, address: Address, at: At = "latest") -> bytes:
        """The code at an address; empty if there is none."""
        return shape.hex_bytes(self._pinned("eth_getCode", address, at), "eth_getCode")

    # --- chain -----------------------------------------------------------------------------------------

    def chain_id(self) -> ChainId:
        """The chain the node serves."""
        return ChainId(shape.quantity(self.request("eth_chainId"), "eth_chainId"))

    def block(self, at: int | Tag | BlockHash = "latest") -> Block:
        """The header of a block by number, tag or hash. Raises ReadUnpinned if the node has none."""
        is_hash = isinstance(at, str) and at.startswith("0x")
        method = "eth_getBlockByHash" if is_hash else "eth_getBlockByNumber"
        value = self.request(method, (hex(at) if isinstance(at, int) else at, False))
        if value is None:
            raise ReadUnpinned(block=at, reason="block not found")
        return shape.header(value, method)

    def receipt(self, tx: TxHash) -> dict[str, Json] | None:
        """The receipt as the node words it, or None while the transaction is in no block."""
        value = self.request("eth_getTransactionReceipt", (tx,))
        return None if value is None else shape.record(value, "eth_getTransactionReceipt")

    def logs(self, wanted: Filter, first: int, last: int) -> list[Log]:
        """Events of the blocks ``first`` to ``last``, both included, oldest first: ``eth_getLogs``.

        RpcRejected if the node thinks the range too wide. What was removed by a reorganisation is left out.
        """
        return self._logs(wanted, {"fromBlock": hex(first), "toBlock": hex(last)})

    def logs_of(self, wanted: Filter, block: Block) -> list[Log]:
        """Events of exactly this block, named by its hash. Raises ReadUnpinned if the node has it not."""
        return self._logs(wanted, {"blockHash": block.hash}, block)

    def _logs(self, wanted: Filter, where: Mapping[str, object], at: At = "latest") -> list[Log]:
        label = "eth_getLogs"
        topics = [["0x" + topic.hex() for topic in place] or None for place in wanted.topics]
        query = {"address": list(wanted.addresses), "topics": topics, **where}
        value = self._pinned_value(self._single(label, (query,)), at)
        entries = [shape.record(entry, label) for entry in shape.items(value, label)]
        found = [shape.log(entry, label) for entry in entries if entry.get("removed") is not True]
        return sorted(found, key=lambda log: (log.block_number, log.index))

    def fee_history(
        self, blocks: int, percentiles: Sequence[float], newest: str | int = "latest"
    ) -> FeeHistory:
        """Fees of the last ``blocks`` blocks, with the tips at ``percentiles`` (0 to 100, rising)."""
        label = "eth_feeHistory"
        end = hex(newest) if isinstance(newest, int) else newest
        fields = shape.record(self.request(label, (hex(blocks), end, list(percentiles))), label)
        rewards = fields.get("reward") or []
        return FeeHistory(
            oldest_block=shape.quantity(fields.get("oldestBlock"), label),
            base_fees_wei=_quantities(fields.get("baseFeePerGas"), label),
            gas_used_ratios=tuple(_ratio(x, label) for x in shape.items(fields.get("gasUsedRatio"), label)),
            rewards_wei=tuple(_quantities(row, label) for row in shape.items(rewards, label)),
        )

    # --- transactions ------------------------------------------------------------------------------------

    def send_raw(self, raw: bytes) -> TxHash:
        """Hand a signed transaction to the node, once.

        RpcRejected means that the node refused it (see ``error_table.send_fault``); RpcTimeout and
        RpcUnavailable mean that nobody knows whether it has it.
        """
        return shape.tx_hash(
            self.request("eth_sendRawTransaction", ("0x" + raw.hex(),)), "eth_sendRawTransaction"
        )

    def send_raw_sync(self, raw: bytes) -> TxHash:
        """The same, answered with the receipt once it is in a block (EIP-7966).

        The node's own time-out is an RpcRejected that proves nothing.
        """
        label = "eth_sendRawTransactionSync"
        receipt = shape.record(self.request(label, ("0x" + raw.hex(),)), label)
        return shape.tx_hash(receipt.get("transactionHash"), label)

    def send_private(self, raw: bytes, max_block: int) -> TxHash:
        """Hand it to a relay that shows it to block builders only, up to ``max_block``."""
        label = "eth_sendPrivateTransaction"
        params = {"tx": "0x" + raw.hex(), "maxBlockNumber": hex(max_block)}
        return shape.tx_hash(self.request(label, (params,)), label)

    def estimate_gas(
        self,
        transaction: Mapping[str, object],
        at: At = "pending",
        overrides: Mapping[str, object] | None = None,
    ) -> int:
        """Gas the transaction needs. Raises RpcRejected if it would revert (``revert`` reads its data)."""
        params: list[object] = [dict(transaction), block_param(at)]
        if overrides is not None:
            params.append(dict(overrides))
        return shape.quantity(
            self._pinned_value(self._single("eth_estimateGas", params), at), "eth_estimateGas"
        )

    def simulate_v1(self, payload: Mapping[str, object], at: At = "pending") -> list[Json]:
        """``eth_simulateV1``: the simulated blocks as the node words them."""
        value = self._single("eth_simulateV1", (dict(payload), block_param(at)))
        return shape.items(self._pinned_value(value, at), "eth_simulateV1")

    # --- inside --------------------------------------------------------------------------------------------

    def _single(self, method: str, params: Params) -> RpcResult:
        return self._wire.ask(single(method, params), self.timeout_s)[0]

    def _pinned(self, method: str, address: Address, at: At) -> Json:
        return self._pinned_value(self._single(method, (address, block_param(at))), at)

    def _pinned_value(self, result: RpcResult, at: At) -> Json:
        if result.error is not None and is_unpinned(str(result.error.fields["reason"])):
            raise unpinned(result.error, at)
        return result.unwrap()


def answer_of(result: RpcResult, at: At) -> Answer:
    """What a read brought; a revert is an answer. Raises ReadUnpinned, RpcRejected or DecodeMismatch."""
    if result.error is None and isinstance(result.value, list):
        return Answer(ok=True, data=history.pack(result.value))
    if result.error is None:
        data = shape.hex_bytes(result.value, "eth_call") if result.data is None else result.data
        return Answer(ok=True, data=data)
    if is_unpinned(str(result.error.fields["reason"])):
        raise unpinned(result.error, at)
    reason = revert(result.error)
    if reason is None:
        raise result.error
    return Answer(ok=False, data=reason)


def block_param(at: At) -> object:
    """How a request names its block: by hash if it is a Block, which must still be canonical."""
    return {"blockHash": at.hash, "requireCanonical": True} if isinstance(at, Block) else at


def read_call(call: Call, at: At) -> RpcCall:
    """The request of one read."""
    if isinstance(call, Codes):
        return "eth_call", ({"data": "0x" + call.data.hex()}, block_param(at))
    if isinstance(call, Code):
        return "eth_getCode", (call.target, block_param(at))
    if isinstance(call, Past):
        return history.asked(call, at)
    if isinstance(call, Slot):
        return "eth_getStorageAt", (call.target, "0x" + call.data.hex(), block_param(at))
    return "eth_call", call_params(call, at)


def call_params(
    call: Call,
    at: At,
    sender: Address | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[object]:
    """The parameters of ``eth_call``."""
    fields: dict[str, object] = {"to": call.target, "data": "0x" + call.data.hex()}
    if sender is not None:
        fields["from"] = sender
    if call.value_wei:
        fields["value"] = hex(call.value_wei)
    params: list[object] = [fields, block_param(at)]
    if overrides is not None:
        params.append(dict(overrides))
    return params


def revert(error: RpcRejected) -> bytes | None:
    """The revert data of a refused call or estimate; None if it was refused for another reason."""
    code = error.fields["rpc_code"]
    return revert_data(
        code if isinstance(code, int) else 0, str(error.fields["reason"]), error.fields["data"]
    )


def unpinned(error: RpcRejected, at: At) -> ReadUnpinned:
    """The error for a node that says that it has no state of that block."""
    where = f"{at.number} ({at.hash})" if isinstance(at, Block) else at
    return ReadUnpinned(block=where, reason=error.fields["reason"])


def _quantities(value: Json, label: str) -> tuple[int, ...]:
    return tuple(shape.quantity(item, label) for item in shape.items(value, label))


def _ratio(value: Json, label: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise shape.mismatch(label, "a number", value)
    return float(value)
