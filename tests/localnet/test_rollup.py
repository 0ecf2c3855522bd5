"""What an OP-stack chain takes for bytes, asked of its publisher's own contracts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from eth_abi import abi as codec

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import FeeCapExceeded, ReadReverted
from agent.market.intent import Urgency
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.tx.fees import FeePolicy, History, bid, bump
from agent.tx.rollup import NO_DATA_FEE, ORACLE, DataFee, Rollup, max_cost_wei, read_l1_gas
from agent.tx.transaction import Fee, Signature, Transaction, encode
from agent.values.address import ChainId, parse_address
from tests.optimism import ISTHMUS, SET_ECOTONE, SET_FJORD, Stack, predeploy

ME = parse_address("0x00000000000000000000000000000000000000aa")
GWEI = 10**9
RANDOM = random.Random(3)
HEDGE = bytes(700) + RANDOM.randbytes(500)  # calldata: words that are mostly zeros, and some that are not


def transaction(data: bytes = HEDGE, gas: int = 500_000) -> Transaction:
    return Transaction(ChainId(10), 7, Fee(2_000_000, 1_000), gas, ME, 0, data)


@pytest.fixture(scope="module")
def node(toolchain: Toolchain) -> Iterator[Node]:
    with Anvil(toolchain.anvil, AnvilOptions(chain_id=10)) as running:
        yield running


@pytest.fixture
def stack(node: Node, toolchain: Toolchain) -> Iterator[Stack]:
    snapshot = node.snapshot()
    yield predeploy(node, toolchain.root)
    node.revert(snapshot)


@pytest.fixture
def rpc(node: Node) -> Iterator[Rpc]:
    made = Rpc(node.url)
    yield made
    made.close()


def fjord(stack: Stack, basefee_wei: int = 20 * GWEI) -> None:
    stack.fork(SET_ECOTONE)
    stack.fork(SET_FJORD)
    stack.ecotone(basefee_wei, 3 * GWEI, 5_227, 1_014_213)  # OP mainnet's scalars of 2024


def told(node: Node, data: bytes) -> int:
    """The contract's own answer, asked past our own reading."""
    call = {"to": ORACLE, "data": "0x49948e0e" + codec.encode(["bytes"], [data]).hex()}
    return int(str(node.request("eth_call", call, "latest")), 16)


def calldata_gas(data: bytes) -> int:
    return sum(16 if byte else 4 for byte in data) + 68 * 16


def test_before_ecotone_the_fee_is_what_the_bedrock_formula_says(stack: Stack, rpc: Rpc) -> None:
    stack.bedrock(20 * GWEI, 188, 684_000)
    fee = Rollup(rpc).data_fee(transaction(), rpc.block("latest"))
    expected = (calldata_gas(transaction().unsigned) + 188) * 20 * GWEI * 684_000 // 10**6
    assert fee == DataFee(expected, 0)


def test_on_ecotone_blobs_are_in_the_price(stack: Stack, rpc: Rpc) -> None:
    stack.fork(SET_ECOTONE)
    stack.ecotone(20 * GWEI, 3 * GWEI, 5_227, 1_014_213)
    fee = Rollup(rpc).data_fee(transaction(), rpc.block("latest"))
    scaled = 5_227 * 16 * 20 * GWEI + 1_014_213 * 3 * GWEI
    assert fee.l1_wei == calldata_gas(transaction().unsigned) * scaled // (16 * 10**6)


def test_on_fjord_our_number_is_the_contracts_and_its_bound_by_size_is_near_enough(
    stack: Stack, rpc: Rpc, node: Node
) -> None:
    fjord(stack)
    rollup, head = Rollup(rpc), rpc.block("latest")
    for data in (b"", HEDGE, RANDOM.randbytes(1_500), bytes(4_000)):
        sent = transaction(data)
        fee = rollup.data_fee(sent, head)
        assert fee.l1_wei == told(node, sent.unsigned)
        size = len(sent.unsigned).to_bytes(32, "big").hex()
        call = {"to": ORACLE, "data": "0xf1c7a58b" + size}
        bound = DataFee(int(str(node.request("eth_call", call, "latest")), 16))
        # Bytes that do not compress cost a little more than the oracle's "upper bound" for their size:
        # the margin has to hold that, too, where the bound is all that the oracle tells.
        assert fee.l1_wei <= bound.l1_wei * 102 // 100 < bound.most_wei
        assert fee.operator_wei == 0  # Fjord's oracle does not know of an operator


def test_the_signed_transaction_costs_no_more_than_we_reckon_with(stack: Stack, rpc: Rpc, node: Node) -> None:
    """The chain prices the signed bytes, which are known only afterwards, as they compress; the contract
    adds 68 bytes for a signature, which here are taken off again."""
    fjord(stack)
    rollup, head = Rollup(rpc), rpc.block("latest")
    scaled = 5_227 * 16 * 20 * GWEI + 1_014_213 * 3 * GWEI
    for size in (200, 700, 3_000):
        sent = transaction(RANDOM.randbytes(size))
        raw = encode(sent, Signature(1, RANDOM.getrandbits(256), RANDOM.getrandbits(255))).raw
        paid_wei = told(node, raw) - 68 * 836_500 * scaled // 10**12
        fee = rollup.data_fee(sent, head)
        assert paid_wei <= fee.most_wei
        assert abs(paid_wei - fee.l1_wei) < fee.l1_wei // 20  # and the oracle is near


def test_a_budget_refuses_what_only_the_execution_would_fit_into(stack: Stack, rpc: Rpc) -> None:
    fjord(stack)
    sent = transaction()
    fee = Rollup(rpc).data_fee(sent, rpc.block("latest"))
    history = History(1_000_000, ((1, 1, 1, 1, 1, 1),))  # 0.001 gwei, as on the chain itself
    execution_wei = 1_000_001 * sent.gas
    policy = FeePolicy(max_cost_wei=2 * execution_wei)
    assert fee.most_wei > 2 * execution_wei
    assert bid(history, Urgency.NORMAL, policy, sent.gas).max_fee_wei * sent.gas <= policy.max_cost_wei
    with pytest.raises(FeeCapExceeded) as caught:
        bid(history, Urgency.NORMAL, policy, sent.gas, data_fee_wei=fee.most_wei)
    assert caught.value.fields["cost_wei"] == execution_wei + fee.most_wei
    with pytest.raises(FeeCapExceeded):
        bump(Fee(1_000_000, 1), history, Urgency.NORMAL, policy, sent.gas, data_fee_wei=fee.most_wei)
    roomy = FeePolicy(max_cost_wei=execution_wei + fee.most_wei)
    fitted = bid(history, Urgency.NORMAL, roomy, sent.gas, data_fee_wei=fee.most_wei)
    assert max_cost_wei(replace(sent, fee=fitted), fee) <= roomy.max_cost_wei


def test_the_margin_covers_four_l1_blocks_of_rising_base_fees(stack: Stack, rpc: Rpc) -> None:
    fjord(stack, basefee_wei=20 * GWEI)
    sent, rollup = transaction(), Rollup(rpc)
    now = rollup.data_fee(sent, rpc.block("latest"))
    stack.ecotone(20 * GWEI * 9**4 // 8**4, 3 * GWEI * 9**4 // 8**4, 5_227, 1_014_213)
    later = rollup.data_fee(sent, rpc.block("latest"))
    assert now.l1_wei < later.l1_wei <= now.most_wei


def test_the_operator_is_paid_for_all_of_the_gas_limit_since_isthmus(node: Node, rpc: Rpc) -> None:
    snapshot = node.snapshot()
    node.set_code(ORACLE, ISTHMUS)
    node.mine()
    fee = Rollup(rpc).data_fee(transaction(gas=500_000), rpc.block("latest"))
    assert fee == DataFee(5, 1_500_000)
    assert fee.most_wei == 9 + 1_500_000
    node.revert(snapshot)


def test_a_chain_without_the_oracle_is_asked_once_and_takes_nothing(node: Node) -> None:
    seen: list[str] = []

    class Counting(Rpc):
        def batch(self, calls, *rest):  # type: ignore[no-untyped-def]
            seen.append("batch")
            return super().batch(calls, *rest)

        def code(self, address, at="latest"):  # type: ignore[no-untyped-def]
            seen.append("code")
            return super().code(address, at)

    rpc = Counting(node.url)
    rollup = Rollup(rpc)
    for _ in range(3):
        assert rollup.data_fee(transaction(), rpc.block("latest")) == NO_DATA_FEE
    assert seen == ["code"]
    assert max_cost_wei(transaction()) == transaction().max_cost_wei
    rpc.close()


def test_the_oracle_is_asked_once_per_head_and_size(stack: Stack, node: Node) -> None:
    fjord(stack)
    asked: list[int] = []

    class Counting(Rpc):
        def calls(self, calls, at):  # type: ignore[no-untyped-def]
            asked.append(len(calls))
            return super().calls(calls, at)

    rpc = Counting(node.url)
    rollup, head = Rollup(rpc), rpc.block("latest")
    dearer = replace(transaction(), fee=Fee(2_200_000, 1_100))
    assert rollup.data_fee(transaction(), head) == rollup.data_fee(dearer, head)
    assert asked == [4]
    node.mine()
    rollup.data_fee(dearer, rpc.block("latest"))
    assert asked == [4, 4]
    rpc.close()


def test_an_oracle_that_refuses_is_no_fee_of_nothing(node: Node, rpc: Rpc) -> None:
    snapshot = node.snapshot()
    node.set_code(ORACLE, bytes.fromhex("5f5ffd"))
    node.mine()
    with pytest.raises(ReadReverted):
        Rollup(rpc).data_fee(transaction(), rpc.block("latest"))
    node.revert(snapshot)


def test_on_other_chains_no_gas_is_for_l1_bytes(rpc: Rpc) -> None:
    assert read_one(rpc, rpc.block("latest"), read_l1_gas(ME, HEDGE)) == 0
