"""Inclusion from whole blocks: the same as asking for every receipt, with one request per block."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.chain.pool import Pool
from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned
from agent.market.intent import Urgency
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx import harvest as module
from agent.tx.errand import NO_INTENT, Attempt, Errand, Purpose, Reply, Sight
from agent.tx.harvest import Harvest
from agent.tx.network import Network
from agent.tx.transaction import Fee
from agent.values.address import ChainId, TxHash, parse_address
from agent.values.block import Block
from tests.endpoint.faulty import Entry, Lie, Proxy, before

SINK = "0x00000000000000000000000000000000000000fe"


@pytest.fixture
def manual(toolchain: Toolchain) -> Iterator[Node]:
    """A chain that mines only when it is told to."""
    with Anvil(toolchain.anvil, AnvilOptions()) as running:
        running.set_automine(on=False)
        yield running


@pytest.fixture
def proxy(manual: Node) -> Iterator[Proxy]:
    with before(manual.url) as running:
        yield running


def _accounts(node: Node, count: int) -> list[str]:
    return [str(one) for one in node.request("eth_accounts")][:count]  # type: ignore[union-attr]


def _sent(node: Node, account: str, nonce: int, value: int) -> TxHash:
    """A transaction in the pool; another value makes another hash at the same nonce."""
    fields = {"from": account, "to": SINK, "value": hex(value), "nonce": hex(nonce), "gas": hex(21_000)}
    fee = 10**11 * (1 + value)
    fields |= {"maxFeePerGas": hex(fee), "maxPriorityFeePerGas": hex(fee)}
    return TxHash(str(node.request("eth_sendTransaction", fields)))


def _errand(account: str, nonce: int, *hashes: TxHash) -> Errand:
    attempts = tuple(
        Attempt(one, Purpose.HEDGE, b"", Fee(1, 1), 21_000, 0, 0, Reply.ACCEPTED) for one in hashes
    )
    owner = parse_address(account)
    return Errand(
        ChainId(31337), owner, nonce, Purpose.HEDGE, NO_INTENT, 0, Urgency.NORMAL, 0, attempts=attempts
    )


def _slow(network: Network, errand: Errand, head: Block) -> Sight:
    """Every attempt asked for, one by one."""
    return network._asked(errand, head.number)


def test_lanes_see_what_asking_for_each_receipt_shows_through_every_reorganisation(manual: Node) -> None:
    """A random walk of sends, blocks, silences and reorganisations; what is seen goes into the errand."""
    dice, rpc = random.Random(5), Rpc(manual.url)
    network = Network(rpc)
    accounts = _accounts(manual, 3)
    errands = {account: _errand(account, 0) for account in accounts}
    snapshots: list[str] = []
    found = lost = 0
    for turn in range(120):
        for account in accounts:
            errand = errands[account]
            if errand.inclusion is None and len(errand.attempts) < 3 and dice.random() < 0.4:
                tx_hash = _sent(manual, account, errand.nonce, len(errand.attempts) + 1)
                errands[account] = replace(
                    errand, attempts=(*errand.attempts, *_errand(account, 0, tx_hash).attempts)
                )
        if dice.random() < 0.15 and snapshots:
            manual.revert(snapshots.pop())
            snapshots.clear()
            manual.set_next_timestamp(manual.now_s() + 1000 + turn)
        elif dice.random() < 0.3 and len(snapshots) < 3:
            snapshots.append(manual.snapshot())
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            manual.mine()
        head = rpc.block("latest")
        for account in accounts:
            errand = errands[account]
            fast, slow = network.sight(errand, head), _slow(network, errand, head)
            assert fast.receipts == slow.receipts
            if not fast.receipts:
                assert fast.nonce == slow.nonce
                lost += errand.inclusion is not None
            found += bool(fast.receipts)
            mined = fast.receipts[0] if fast.receipts else None
            errands[account] = replace(errand, inclusion=mined)
            if mined is not None and not snapshots and dice.random() < 0.3:
                errands[account] = _errand(account, errand.nonce + 1)
    assert found > 50
    assert lost > 3


def test_ten_lanes_cost_one_request_for_receipts_per_block(manual: Node, proxy: Proxy) -> None:
    rpc = Rpc(proxy.url)
    harvest = Harvest(rpc)
    accounts = _accounts(manual, 10)
    networks = {account: Network(rpc, harvest=harvest) for account in accounts}
    errands = {a: _errand(a, 0, *(_sent(manual, a, 0, value) for value in (1, 2, 3))) for a in accounts}
    head = rpc.block("latest")
    for account, network in networks.items():  # nothing is mined: whoever looks first makes all known
        assert network.sight(errands[account], head).receipts == ()
    proxy.forget()
    for count in range(1, 4):
        manual.mine()
        head = rpc.block("latest")
        for account, network in networks.items():
            (receipt,) = network.sight(errands[account], head).receipts
            assert receipt.tx_hash == errands[account].attempts[-1].tx_hash
            errands[account] = replace(errands[account], inclusion=receipt)
        assert proxy.counts["eth_getBlockReceipts"] == 1  # later blocks: headers say that it still stands
        assert proxy.counts["eth_getTransactionReceipt"] == 0
        assert proxy.counts["eth_getTransactionCount"] == 10
        assert proxy.requests == count + 1  # a head each, and all lanes' nonces with the block's receipts
        assert proxy.counts["eth_getBlockByNumber"] == count


def test_blocks_that_were_missed_are_gathered_on_the_way_back(manual: Node, proxy: Proxy) -> None:
    rpc = Rpc(proxy.url)
    network = Network(rpc)
    (account,) = _accounts(manual, 1)
    errand = _errand(account, 0, _sent(manual, account, 0, 1))
    assert network.sight(errand, rpc.block("latest")).receipts == ()
    for _ in range(6):
        manual.mine()
    (receipt,) = network.sight(errand, rpc.block("latest")).receipts
    assert receipt.block_number == rpc.block("latest").number - 5
    assert proxy.counts["eth_getTransactionReceipt"] == 0
    for _ in range(module.REACH + 5):  # a process that was away for long asks for its own
        manual.mine()
    proxy.forget()
    assert Network(rpc).sight(errand, rpc.block("latest")).receipts == (receipt,)
    assert proxy.counts["eth_getTransactionReceipt"] == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32601, "the method eth_getBlockReceipts does not exist/is not available"),
        (-32602, "invalid argument 0: hex string has length 64"),
        (-32000, "unsupported method: eth_getBlockReceipts"),
    ],
)
def test_a_node_without_the_method_is_asked_once_for_it(
    manual: Node, proxy: Proxy, code: int, message: str
) -> None:
    proxy.lie = _refusing(code, message)
    rpc = Rpc(proxy.url)
    network = Network(rpc)
    (account,) = _accounts(manual, 1)
    errand = _errand(account, 0, _sent(manual, account, 0, 1))
    for _ in range(3):
        manual.mine()
        (receipt,) = network.sight(errand, rpc.block("latest")).receipts
        assert receipt.succeeded
    assert proxy.counts["eth_getBlockReceipts"] == 1
    assert proxy.counts["eth_getTransactionReceipt"] == 3


def test_a_node_that_fails_now_and_then_is_given_more_chances(manual: Node, proxy: Proxy) -> None:
    proxy.lie = _refusing(-32000, "response size exceeded")
    rpc = Rpc(proxy.url)
    network = Network(rpc)
    (account,) = _accounts(manual, 1)
    errand = _errand(account, 0, _sent(manual, account, 0, 1))
    for _ in range(6):
        manual.mine()
        assert len(network.sight(errand, rpc.block("latest")).receipts) == 1
    assert proxy.counts["eth_getBlockReceipts"] == module.TRIES


def test_of_two_nodes_the_one_that_has_the_method_is_asked(manual: Node) -> None:
    with before(manual.url) as lacking, before(manual.url) as able:
        lacking.lie = _refusing(-32601, "Method not found")
        pool = Pool([lacking.url, able.url])
        rpc = Rpc(pool)
        harvest = Harvest(rpc)
        network = Network(rpc, harvest=harvest)
        (account,) = _accounts(manual, 1)
        errand = _errand(account, 0, _sent(manual, account, 0, 1))
        for _ in range(12):
            manual.mine()
            assert len(network.sight(errand, rpc.block("latest")).receipts) == 1
        assert harvest.is_able
        assert lacking.counts["eth_getTransactionReceipt"] + able.counts["eth_getTransactionReceipt"] == 0


def test_receipts_of_another_block_than_was_asked_for_are_not_believed(manual: Node, proxy: Proxy) -> None:
    """A node that takes a hash for "latest" would put what was mined into the wrong block."""

    def lie(asked: Entry, answer: Entry) -> None:
        if asked["method"] == "eth_getBlockReceipts":
            for receipt in answer["result"]:  # type: ignore[attr-defined]
                receipt["blockHash"] = "0x" + "ab" * 32

    proxy.lie = lie
    rpc = Rpc(proxy.url)
    (account,) = _accounts(manual, 1)
    errand = _errand(account, 0, _sent(manual, account, 0, 1))
    manual.mine()
    head = rpc.block("latest")
    (receipt,) = Network(rpc).sight(errand, head).receipts
    assert receipt.block_hash == head.hash
    assert proxy.counts["eth_getTransactionReceipt"] == 1


def test_a_head_that_is_gone_says_so(manual: Node) -> None:
    rpc = Rpc(manual.url)
    network = Network(rpc)
    (account,) = _accounts(manual, 1)
    snapshot = manual.snapshot()
    errand = _errand(account, 0, _sent(manual, account, 0, 1))
    manual.mine()
    gone = rpc.block("latest")
    manual.revert(snapshot)
    with pytest.raises(ReadUnpinned):
        network.sight(errand, gone)


def _refusing(code: int, message: str) -> Lie:
    def lie(asked: Entry, answer: Entry) -> None:
        if asked["method"] == "eth_getBlockReceipts":
            answer.pop("result", None)
            answer["error"] = {"code": code, "message": message}

    return lie
