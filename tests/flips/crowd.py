"""Thousands of accounts at once: transactions of addresses without keys, hundreds to a block.

The node plays every sender; the transactions are ordinary ones and what they do is the contracts' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from eth_utils.crypto import keccak

from agent.errors import RpcRejected
from agent.sim.contract import Chain, Contract, Request
from agent.sim.node import quantity
from agent.values.address import Address, parse_address
from agent.values.fixed import WAD

GAS = 40_000_000
BLOCK_GAS = 8_000_000_000
PER_BLOCK = 200
MAX_FEE_WEI = 10**12
TIP_WEI = 10**9
FUNDS_WEI = 10**6 * WAD
CALLS = 500


@dataclass(frozen=True, slots=True)
class Errand:
    """One transaction of somebody."""

    sender: Address
    contract: Contract
    function: str
    args: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a transaction: mined, and succeeded or not."""

    is_done: bool
    tx_hash: str


@dataclass(frozen=True)
class Crowd:
    """The senders of one chain."""

    chain: Chain

    def people(self, name: str, count: int) -> list[Address]:
        """Addresses by name and number, with ether."""
        found = [parse_address("0x" + keccak(text=f"{name} {number}")[12:].hex()) for number in range(count)]
        node = self.chain.node
        node.request("anvil_autoImpersonateAccount", True)
        node.batch([("anvil_setBalance", (one, hex(FUNDS_WEI))) for one in found])
        return found

    def send(self, errands: Sequence[Errand]) -> list[Told]:
        """Mine them all, `PER_BLOCK` to a block, in order."""
        told: list[Told] = []
        for start in range(0, len(errands), PER_BLOCK):
            told += self.mine(errands[start : start + PER_BLOCK])
        return told

    def mine(self, errands: Sequence[Errand], at_s: int | None = None) -> list[Told]:
        """One block of them, in order, at ``at_s`` if that is given."""
        node = self.chain.node
        senders = list(dict.fromkeys(errand.sender for errand in errands))
        counts = node.batch([("eth_getTransactionCount", (one, "latest")) for one in senders])
        nonces = {one: quantity(count) for one, count in zip(senders, counts, strict=True)}
        calls = []
        for place, errand in enumerate(errands):
            # the node takes a batch in any order: nonces and tips keep ours
            order = {"nonce": hex(nonces[errand.sender]), "maxPriorityFeePerGas": hex(TIP_WEI - place)}
            nonces[errand.sender] += 1
            calls.append(("eth_sendTransaction", (_transaction(errand) | order,)))
        node.set_automine(on=False)
        try:
            hashes = [str(answer) for answer in node.batch(calls)]
            if at_s is not None:
                node.set_next_timestamp(at_s)
            node.mine()
        finally:
            node.set_automine(on=True)
        receipts = node.batch([("eth_getTransactionReceipt", (one,)) for one in hashes])
        return [_told(cast(dict[str, object], receipt)) for receipt in receipts]

    def attempt(self, errand: Errand, at_s: int) -> tuple[bool, str, Told]:
        """One transaction in a block of its own at ``at_s``: whether it succeeded, and why not."""
        (told,) = self.mine([errand], at_s)
        return told.is_done, self.why(told), told

    def why(self, told: Told) -> str:
        """Why it failed, from the trace of the transaction itself; "" if it succeeded."""
        if told.is_done:
            return ""
        trace = self.chain.node.request("debug_traceTransaction", told.tx_hash, {"tracer": "callTracer"})
        output = str(cast(dict[str, object], trace).get("output", "0x"))
        refusal = RpcRejected(endpoint="", method="", reason="no reason", rpc_code=3, data=output)
        return self.chain.reason(refusal)


def ask_truths(chain: Chain, requests: Sequence[Request]) -> list[bool]:
    """The flags that many views return at the newest block. Raises RpcRejected."""
    calls = []
    for request in requests:
        data = "0x" + request.contract.encode(request.function, *request.args).hex()
        calls.append(({"to": request.contract.address, "data": data}, None))
    return [word == 1 for word in ask_words(chain, calls)]


def ask_words(chain: Chain, calls: Sequence[tuple[dict[str, object], object]]) -> list[int]:
    """The last word each of many eth_calls at the newest block returns, each with its own state overrides
    (or None). Raises RpcRejected.
    """
    found: list[int] = []
    for start in range(0, len(calls), CALLS):
        batch = [
            ("eth_call", (call, "latest") if overrides is None else (call, "latest", overrides))
            for call, overrides in calls[start : start + CALLS]
        ]
        found += [int(str(answer)[-64:], 16) for answer in chain.node.batch(batch)]
    return found


def _transaction(errand: Errand) -> dict[str, object]:
    return {
        "from": errand.sender,
        "to": errand.contract.address,
        "data": _data(errand),
        "gas": hex(GAS),
        "maxFeePerGas": hex(MAX_FEE_WEI),
        "maxPriorityFeePerGas": hex(TIP_WEI),
    }


def _data(errand: Errand) -> str:
    return "0x" + errand.contract.encode(errand.function, *errand.args).hex()


def _told(receipt: dict[str, object]) -> Told:
    return Told(receipt["status"] == "0x1", str(receipt["transactionHash"]))
