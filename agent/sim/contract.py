"""A contract of our own chain: encode, call, send, and read events, by its published ABI.

Numbers stay ints and structs become dicts by field name. Sending goes through the node's own dev keys (or an
impersonated address), one transaction per block and awaited, so that a script's order is the chain's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from eth_abi import abi as codec

from agent.errors import ReadReverted, RpcRejected, TransactionReverted
from agent.sim.abi import Abi, Event, Function, decode, encode
from agent.sim.artifact import Artifact
from agent.sim.node import Node, quantity
from agent.values.address import Address, parse_address

GAS_LIMIT = 15_000_000
# Named, because what anvil would choose depends on how far its fee history task has come: the same script
# would not give the same chain.
MAX_FEE_WEI = 1_000 * 10**9
TIP_WEI = 10**9
ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. ``logs`` as the node words them."""

    tx_hash: str
    block_number: int
    gas_used: int
    logs: list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Request:
    """One call of many in a batch."""

    contract: Contract
    function: str
    args: tuple[object, ...] = ()


@dataclass
class Chain:
    """Our chain and every custom error known on it, so that a revert has a name."""

    node: Node
    errors: dict[bytes, Function] = field(default_factory=dict)

    def at(self, name: str, address: str, abi: Abi) -> Contract:
        """An existing contract."""
        self.errors.update(abi.errors)
        return Contract(self, name, parse_address(address), abi)

    def deploy(
        self, sender: str, artifact: Artifact, *args: object, libraries: Mapping[str, str] | None = None
    ) -> Contract:
        """Create a contract from its artifact. Raises TransactionReverted."""
        abi = Abi(artifact.abi)
        data = artifact.linked(libraries or {}) + encode(abi.constructor, args)
        receipt = self._send(sender, None, data, f"new {artifact.name}", 0)
        return self.at(artifact.name, str(receipt["contractAddress"]), abi)

    def send(self, sender: str, target: str, data: bytes, label: str, value_wei: int = 0) -> Receipt:
        """Send and await success; needs automine. Raises TransactionReverted with the reason."""
        raw = self._send(sender, target, data, label, value_wei)
        return Receipt(
            str(raw["transactionHash"]),
            quantity(raw["blockNumber"]),
            quantity(raw["gasUsed"]),
            cast(list[dict[str, object]], raw["logs"]),
        )

    def ask(self, requests: Sequence[Request]) -> list[list[object]]:
        """All outputs of many eth_calls at the newest block, in one round trip. Raises RpcRejected."""
        calls = []
        for request in requests:
            data = request.contract.encode(request.function, *request.args)
            tx = {"to": request.contract.address, "data": "0x" + data.hex(), "gas": hex(GAS_LIMIT)}
            calls.append(("eth_call", (tx, "latest")))
        answers = []
        for request, raw in zip(requests, self.node.batch(calls), strict=True):
            contract = request.contract
            outputs = contract.abi.function(request.function, len(request.args)).outputs
            label = f"{contract.name}.{request.function}"
            answers.append(decode(outputs, bytes.fromhex(str(raw)[2:]), contract.address, label))
        return answers

    def submit(
        self,
        sender: str,
        target: str,
        data: bytes,
        *,
        tip_wei: int = 0,
        gas: int = GAS_LIMIT,
        base_fee_wei: int | None = None,
    ) -> str:
        """Put a transaction into the pool and do not wait: its hash. The way to send when blocks are mined
        by hand; ``tip_wei`` (per gas) decides its place in the block, ``base_fee_wei`` is what the block is
        expected to ask (the newest block's by default; twice that is allowed for). Raises RpcRejected.
        """
        if base_fee_wei is None:
            base_fee_wei = quantity(self.node.block()["baseFeePerGas"])
        tx = {
            "from": sender,
            "to": target,
            "data": "0x" + data.hex(),
            "gas": hex(gas),
            "maxPriorityFeePerGas": hex(tip_wei),
            "maxFeePerGas": hex(2 * base_fee_wei + tip_wei),
        }
        return str(self.node.request("eth_sendTransaction", tx))

    def _send(
        self, sender: str, target: str | None, data: bytes, label: str, value_wei: int
    ) -> dict[str, object]:
        tx: dict[str, object] = {
            "from": sender,
            "data": "0x" + data.hex(),
            "gas": hex(GAS_LIMIT),
            "maxFeePerGas": hex(MAX_FEE_WEI),
            "maxPriorityFeePerGas": hex(TIP_WEI),
        }
        if target is not None:
            tx["to"] = target
        if value_wei:
            tx["value"] = hex(value_wei)
        receipt = cast(dict[str, object], self.node.request("eth_sendTransactionSync", tx))
        if receipt["status"] != "0x1":
            before = hex(quantity(receipt["blockNumber"]) - 1)
            raise TransactionReverted(
                tx_hash=receipt["transactionHash"], intent_id=label, reason=self._why(tx, before)
            )
        return receipt

    def _why(self, tx: dict[str, object], tag: str) -> str:
        try:
            self.node.request("eth_call", tx, tag)
        except RpcRejected as error:
            return self.reason(error)
        return "it does not revert when called again"

    def reason(self, error: RpcRejected) -> str:
        """The revert in words: the require string, or the custom error with its values."""
        data = error.fields.get("data")
        if not isinstance(data, str) or len(data) < 10:
            return str(error.fields.get("reason", ""))
        raw = bytes.fromhex(data.removeprefix("0x"))
        if raw[:4] == ERROR_STRING:
            return str(codec.decode(["string"], raw[4:])[0])
        if raw[:4] == PANIC:
            return f"Panic({codec.decode(['uint256'], raw[4:])[0]:#x})"
        known = self.errors.get(raw[:4])
        if known is None:
            return f"unknown error {data}"
        values = decode(known.inputs, raw[4:], "", known.name)
        return f"{known.name}({', '.join(str(value) for value in values)})"


@dataclass(frozen=True)
class Contract:
    """One address with its ABI."""

    chain: Chain
    name: str
    address: Address
    abi: Abi

    def encode(self, function: str, *args: object) -> bytes:
        """Calldata. Structs may be tuples in ABI order or dicts by field name."""
        found = self.abi.function(function, len(args))
        return found.selector + encode(found.inputs, args)

    def call(
        self, function: str, *args: object, sender: str | None = None, block: str = "latest"
    ) -> list[object]:
        """All outputs of an eth_call. Raises ReadReverted with the contract's reason."""
        found = self.abi.function(function, len(args))
        data = found.selector + encode(found.inputs, args)
        tx: dict[str, object] = {"to": self.address, "data": "0x" + data.hex(), "gas": hex(GAS_LIMIT)}
        if sender is not None:
            tx["from"] = sender
        try:
            answer = str(self.chain.node.request("eth_call", tx, block))
        except RpcRejected as error:
            raise ReadReverted(
                label=f"{self.name}.{function}", target=self.address, reason=self.chain.reason(error)
            ) from error
        return decode(found.outputs, bytes.fromhex(answer[2:]), self.address, f"{self.name}.{function}")

    def integer(self, function: str, *args: object, sender: str | None = None, block: str = "latest") -> int:
        """The first output, an int."""
        return cast(int, self.call(function, *args, sender=sender, block=block)[0])

    def at(self, function: str, *args: object) -> Address:
        """The first output, an address."""
        return parse_address(str(self.call(function, *args)[0]))

    def truth(self, function: str, *args: object) -> bool:
        """The first output, a bool."""
        return self.call(function, *args)[0] is True

    def record(self, function: str, *args: object) -> dict[str, object]:
        """The first output if it is a struct, else all named outputs."""
        values = self.call(function, *args)
        if len(values) == 1 and isinstance(values[0], dict):
            return values[0]
        outputs = self.abi.function(function, len(args)).outputs
        return {str(part["name"]): value for part, value in zip(outputs, values, strict=True)}

    def records(self, function: str, *args: object) -> list[dict[str, object]]:
        """The first output, a list of structs."""
        return cast(list[dict[str, object]], self.call(function, *args)[0])

    def send(self, sender: str, function: str, *args: object, value_wei: int = 0) -> Receipt:
        """Send and await success; needs automine. Raises TransactionReverted with the contract's reason."""
        data = self.encode(function, *args)
        return self.chain.send(sender, self.address, data, f"{self.name}.{function}", value_wei)

    def submit(
        self, sender: str, function: str, *args: object, tip_wei: int = 0, gas: int = GAS_LIMIT
    ) -> str:
        """Put a transaction into the pool and do not wait: its hash."""
        data = self.encode(function, *args)
        return self.chain.submit(sender, self.address, data, tip_wei=tip_wei, gas=gas)

    def events(self, logs: Iterable[Mapping[str, object]], name: str) -> list[dict[str, object]]:
        """This contract's events ``name`` among ``logs``, as dicts by field name."""
        event = self.abi.events[name]
        found = []
        for log in logs:
            topics = cast(list[str], log["topics"])
            if str(log["address"]).lower() != self.address.lower() or not topics or topics[0] != event.topic:
                continue
            found.append(self._event(event, topics[1:], str(log["data"])))
        return found

    def _event(self, event: Event, topics: list[str], data: str) -> dict[str, object]:
        indexed = [part for part in event.inputs if part["indexed"] is True]
        plain = [part for part in event.inputs if part["indexed"] is not True]
        words = bytes.fromhex("".join(topic[2:] for topic in topics))
        values = dict(
            zip((p["name"] for p in indexed), decode(indexed, words, self.address, event.name), strict=True)
        )
        body = bytes.fromhex(data[2:])
        values |= dict(
            zip((p["name"] for p in plain), decode(plain, body, self.address, event.name), strict=True)
        )
        return {str(part["name"]): values[part["name"]] for part in event.inputs}

    def logs(self, name: str, from_block: int, to_block: int | None = None) -> list[dict[str, object]]:
        """This contract's events ``name`` in a range of blocks, by eth_getLogs."""
        return [event for _, event in self.placed_logs(name, from_block, to_block)]

    def placed_logs(
        self, name: str, from_block: int, to_block: int | None = None
    ) -> list[tuple[int, dict[str, object]]]:
        """As ``logs``, each with its block's number."""
        query = {
            "address": self.address,
            "topics": [self.abi.events[name].topic],
            "fromBlock": hex(from_block),
            "toBlock": hex(to_block) if to_block is not None else "latest",
        }
        raw = cast(list[dict[str, object]], self.chain.node.request("eth_getLogs", query))
        numbers = [quantity(log["blockNumber"]) for log in raw]
        return list(zip(numbers, self.events(raw, name), strict=True))
