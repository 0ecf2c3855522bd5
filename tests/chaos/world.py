"""The chain of the storm: what happens to it, and what is true on it. Nothing here asks the agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from eth_keyfile.keyfile import create_keyfile_json

from agent.errors import RpcRejected
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.node import Node, quantity
from agent.tx.executor import HEDGE_EXECUTED
from agent.values.address import ZERO
from tests.chaos.worker import PASSWORD, sink

# anvil's first development account; everybody knows this key
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
CHAIN_ID = 31337
BLOCK_S = 12
GWEI = 10**9
CALM_FEE_WEI = GWEI
HIGH_TIP_WEI = 50 * GWEI
DEEP = 10  # blocks after which nothing of the storm can come back


@dataclass(frozen=True, slots=True)
class Mined:
    """One transaction of the account in a block."""

    tx_hash: str
    succeeded: bool
    executed: bool


@dataclass
class World:
    """anvil, which mines only when it is told to, and three contracts."""

    node: Node
    chain: Chain
    executor: Contract
    token: Contract
    gate: Contract
    account: str
    keeper: str
    keystore: Path
    fee_wei: int = CALM_FEE_WEI
    jump_s: int = 0
    blocks: dict[str, tuple[Mined, ...]] = field(default_factory=dict)  # by hash

    # --- moving --------------------------------------------------------------------------------------

    def mine(self) -> None:
        """One block at the present base fee."""
        now_s = self.node.now_s() + BLOCK_S + self.jump_s
        self.jump_s = 0
        self.node.batch(
            [
                ("anvil_setNextBlockBaseFeePerGas", (hex(self.fee_wei),)),
                ("evm_setNextBlockTimestamp", (now_s,)),
                ("evm_mine", ()),
            ]
        )

    def reorganise(self, depth: int, fate: str, raws: Mapping[str, str]) -> None:
        """The newest ``depth`` blocks are replaced; their transactions are gone, back in the pool, or mined
        again in the first of the new blocks."""
        head = self.node.block_number()
        old = [m.tx_hash for number in range(head - depth + 1, head + 1) for m in self.mined(number)]
        known = [raws[tx_hash] for tx_hash in old if tx_hash in raws]
        pairs = [[raw, 0] for raw in known] if fate == "elsewhere" else []
        self.node.request("anvil_reorg", depth, pairs)
        if fate == "back":
            self.offer(known)

    def evict(self) -> list[str]:
        """Take the account's transactions out of the pool; their hashes."""
        hashes = self.pool()
        self.forget(hashes)
        return hashes

    def forget(self, hashes: Iterable[str]) -> None:
        """The pool has never seen these."""
        for tx_hash in hashes:
            self.node.request("anvil_dropTransaction", tx_hash)

    def offer(self, raws: Sequence[str]) -> None:
        """Somebody hands these to the node; it may refuse them."""
        for raw in raws:
            try:
                self.node.request("eth_sendRawTransaction", raw)
            except RpcRejected:
                continue  # used up, or outbid, or too cheap by now

    def use_nonce(self) -> bool:
        """Somebody else with the key sends a transaction at the account's next nonce; whether he could."""
        nonce = self.nonce()
        fields = {"from": self.account, "to": self.keeper, "value": "0x1", "gas": hex(60_000)}
        fields |= {"nonce": hex(nonce), "maxPriorityFeePerGas": hex(HIGH_TIP_WEI)}
        base = max(self.fee_wei, quantity(self.node.block()["baseFeePerGas"]))
        fields |= {"maxFeePerGas": hex(4 * HIGH_TIP_WEI + 2 * base)}
        try:
            self.node.request("eth_sendTransaction", fields)
        except RpcRejected:
            return False
        return True

    def shut_gate(self) -> None:
        """Ahead of the account's hedge in the next block, so that it reverts there."""
        self._keeper_sends(self.gate.encode("mint", self.keeper, 1))

    def open_gate(self) -> None:
        if self.is_shut() and not self._waiting(self.keeper):
            self._keeper_sends(
                self.gate.encode("transfer", sink(0), self.gate.integer("balanceOf", self.keeper))
            )

    def is_shut(self) -> bool:
        return self.gate.integer("balanceOf", self.keeper) > 0

    def _keeper_sends(self, data: bytes) -> None:
        base = max(self.fee_wei, quantity(self.node.block()["baseFeePerGas"]))
        self.chain.submit(
            self.keeper, self.gate.address, data, tip_wei=2 * HIGH_TIP_WEI, gas=200_000, base_fee_wei=2 * base
        )

    # --- looking -------------------------------------------------------------------------------------

    def pool(self) -> list[str]:
        """Hashes of the account's transactions that wait."""
        return self._waiting(self.account)

    def nonce(self) -> int:
        """The account's next one."""
        return quantity(self.node.request("eth_getTransactionCount", self.account, "latest"))

    def _waiting(self, account: str) -> list[str]:
        content = cast(dict[str, dict[str, dict[str, dict[str, str]]]], self.node.request("txpool_content"))
        found = []
        for part in ("pending", "queued"):
            for sender, by_nonce in content[part].items():
                if sender.lower() == account.lower():
                    found += [item["hash"] for item in by_nonce.values()]
        return found

    def mined(self, number: int) -> tuple[Mined, ...]:
        """The account's transactions in a block."""
        block = cast(dict[str, object], self.node.request("eth_getBlockByNumber", hex(number), False))
        key = str(block["hash"])
        if key not in self.blocks:
            hashes = cast(list[str], block["transactions"])
            answers = self.node.batch([("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes])
            receipts = [cast(dict[str, object], answer) for answer in answers]
            mine = [r for r in receipts if str(r["from"]).lower() == self.account.lower()]
            self.blocks[key] = tuple(
                Mined(str(r["transactionHash"]), quantity(r["status"]) == 1, bool(_executions([r])))
                for r in mine
            )
        return self.blocks[key]

    def recent(self, depth: int) -> tuple[Mined, ...]:
        """The account's transactions in the newest ``depth`` blocks."""
        head = self.node.block_number()
        return tuple(m for n in range(max(head - depth + 1, 0), head + 1) for m in self.mined(n))

    def marks(self, items: Sequence[int]) -> dict[int, int]:
        """How often each item was done, by the token's own balances."""
        answers = self.node.batch(
            [
                ("eth_call", ({"to": self.token.address, "data": _hex(self.token, item)}, "latest"))
                for item in items
            ]
        )
        return {item: quantity(answer) for item, answer in zip(items, answers, strict=True)}

    def executions(self) -> Counter[str]:
        """How often each intent was executed: the executor's events on the canonical chain."""
        query = {"fromBlock": "0x0", "toBlock": "latest", "address": self.account}
        logs = cast(list[dict[str, object]], self.node.request("eth_getLogs", query))
        return _executions([{"logs": logs}])


def _executions(receipts: Sequence[Mapping[str, object]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for receipt in receipts:
        for log in cast(list[dict[str, list[str]]], receipt["logs"]):
            if log["topics"][0].lower() == HEDGE_EXECUTED:
                found[log["topics"][1]] += 1
    return found


def _hex(token: Contract, item: int) -> str:
    return "0x" + token.encode("balanceOf", sink(item)).hex()


@contextmanager
def running(anvil: Path, folder: Path) -> Iterator[World]:
    """A fresh chain; the account is not delegated yet."""
    options = AnvilOptions(chain_id=CHAIN_ID, automine=True, interval_s=BLOCK_S, accounts=3)
    with Anvil(anvil, options) as node:
        chain = Chain(node)
        account, keeper, other = (str(a) for a in cast(list[object], node.request("eth_accounts")))
        executor = chain.deploy(other, own_artifact("HedgeExecutor"), ZERO)
        token = chain.deploy(account, own_artifact("MintableToken"), "Mark", "MRK", 0)
        gate = chain.deploy(keeper, own_artifact("MintableToken"), "Gate", "GTE", 0)
        node.set_automine(on=False)
        keystore = folder / "key.json"
        if not keystore.exists():
            from json import dumps

            keystore.write_text(
                dumps(create_keyfile_json(KEY, PASSWORD.encode(), kdf="pbkdf2", iterations=10))
            )
            keystore.chmod(0o600)
        yield World(node, chain, executor, token, gate, account.lower(), keeper.lower(), keystore)
