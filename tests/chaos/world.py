"""The chain of the storm, what is done to it, and what is true in the end, from the chain alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast

from eth_utils.crypto import keccak

from agent.chain.rpc import Rpc
from agent.tx.executor import HEDGE_EXECUTED
from tests.chaos.worker import GATE, POLICY, balance_call, sink
from tests.lane import Lane

GWEI = 10**9
SPIKE_WEI = 1_000 * GWEI  # beyond every budget of the storm
TRANSFER = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
OTHER = "0x" + "f0e19".zfill(40)


@dataclass
class World:
    """``lane.node`` is the real node, without the proxy."""

    lane: Lane
    spiking: int = 0

    def __post_init__(self) -> None:
        self.rpc = Rpc(self.lane.node.url, 20)
        accounts = cast(list[str], self.lane.node.request("eth_accounts"))
        self._stranger = accounts[1]

    @property
    def head(self) -> int:
        return self.lane.node.block_number()

    def seen_as(self) -> int:
        """The head as the board names it."""
        return int(str(self.lane.node.block()["hash"])[2:16], 16)

    def mine(self) -> None:
        if self.spiking > 0:
            self.spiking -= 1
            self._base_fee(SPIKE_WEI)
        else:
            self._base_fee(GWEI)
        self.lane.node.mine()

    def _base_fee(self, wei: int) -> None:
        self.lane.node.request("anvil_setNextBlockBaseFeePerGas", hex(wei))

    # --- faults: whether each could be done now -------------------------------------------------------

    def spike(self) -> bool:
        if self.spiking:
            return False
        self.spiking = 3
        return True

    def evict(self) -> bool:
        if not self.pooled():
            return False
        self.lane.node.request("anvil_dropAllTransactions")
        return True

    def jump(self) -> bool:
        """Every plan in flight expires."""
        self.lane.node.set_next_timestamp(self.lane.node.now_s() + 700)
        return True

    def take_nonce(self) -> bool:
        """The same key, from elsewhere, outbids whatever is there and is mined."""
        fee = hex(20 * SPIKE_WEI)
        self.lane.node.request(
            "eth_sendTransaction",
            {
                "from": self.lane.account,
                "to": OTHER,
                "value": "0x1",
                "gas": hex(60_000),
                "maxFeePerGas": fee,
                "maxPriorityFeePerGas": fee,
                "nonce": hex(self.lane.nonce()),
            },
        )
        self.mine()
        return True

    def move_gate(self) -> bool:
        """Somebody moves the world between plan and block: what is in the pool reverts on chain."""
        if not self.pooled():
            return False
        data = self.lane.token.encode("mint", GATE, 1)
        fee = hex(20 * SPIKE_WEI)
        self.lane.node.request(
            "eth_sendTransaction",
            {
                "from": self._stranger,
                "to": self.lane.token.address,
                "data": "0x" + data.hex(),
                "gas": hex(100_000),
                "maxFeePerGas": fee,
                "maxPriorityFeePerGas": fee,
            },
        )
        self.mine()
        return any(not ok for _, ok in self._ours(1))

    def reorg(self, *, of_success: bool) -> bool:
        """The last one to three blocks go away, if something of ours that went so is in them."""
        for depth in (1, 2, 3):
            if depth < min(POLICY.confirm_depth, self.head) and any(
                ok is of_success for _, ok in self._ours(depth)
            ):
                self.lane.reorg(depth)
                return True
        return False

    def pooled(self) -> int:
        status = cast(dict[str, str], self.lane.node.request("txpool_status"))
        return int(status["pending"], 16) + int(status["queued"], 16)

    # --- the truth ------------------------------------------------------------------------------------

    def held(self, orders: range) -> list[int]:
        """What reached each order's address."""
        calls = [balance_call(self.lane.token.address, sink(order)) for order in orders]
        return [int.from_bytes(a.data, "big") for a in self.rpc.calls(calls, "latest")] if calls else []

    def executed(self) -> Counter[str]:
        """How often each intent was executed, from the account's own events."""
        logs = self.lane.node.request(
            "eth_getLogs",
            {
                "fromBlock": "0x0",
                "toBlock": "latest",
                "address": self.lane.account,
                "topics": [HEDGE_EXECUTED],
            },
        )
        return Counter(str(log["topics"][1]) for log in cast(list[dict[str, list[str]]], logs))

    def _ours(self, depth: int) -> list[tuple[str, bool]]:
        """The account's calls to itself in the last blocks, and whether each held."""
        found = []
        for number in range(self.head, self.head - depth, -1):
            block = cast(
                dict[str, list[dict[str, str]]],
                self.lane.node.request("eth_getBlockByNumber", hex(number), True),
            )
            account = self.lane.account.lower()
            for transaction in block["transactions"]:
                is_own = transaction["from"].lower() == account == (transaction["to"] or "").lower()
                if is_own and len(transaction["input"]) > 2:
                    receipt = self.lane.node.receipt(transaction["hash"])
                    found.append((transaction["hash"], int(str(receipt["status"]), 16) == 1))
        return found
