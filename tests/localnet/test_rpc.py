"""The access floor against a node of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from eth_account import Account
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic

from agent.chain import lens, wallet
from agent.chain.abi import load
from agent.chain.error_table import SendFault, send_fault
from agent.chain.head import Heads, latest
from agent.chain.rpc import Rpc, revert
from agent.errors import (
    ContractMismatch,
    DecodeMismatch,
    HeadStale,
    ReadReverted,
    ReadUnpinned,
    RpcRejected,
    RpcUnavailable,
)
from agent.sim.anvil import MNEMONIC, Anvil, AnvilOptions, free_port
from agent.sim.artifact import own_artifact
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, BlockHash, parse_address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Answer, Call, Reading

GENESIS_S = 1_750_000_000
GWEI = 10**9
KEY = key_from_seed(seed_from_mnemonic(MNEMONIC, ""), "m/44'/60'/0'/0/0")
SENDER = parse_address(Account.from_key(KEY).address)
OTHER = parse_address("0x00000000000000000000000000000000000000aa")
ERC20 = load("erc20")


@pytest.fixture(scope="module")
def node(toolchain: Toolchain) -> Iterator[Node]:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=GENESIS_S)) as running:
        yield running


@pytest.fixture(scope="module")
def rpc(node: Node) -> Rpc:
    return Rpc(node.url)


@pytest.fixture(scope="module")
def token(node: Node, rpc: Rpc) -> Token:
    """A 6-decimal token of which SENDER holds 5 units."""
    artifact = own_artifact("MintableToken")
    from eth_abi import abi

    arguments = abi.encode(["string", "string", "uint8", "address"], ["USD Coin", "USDC", 6, SENDER])
    code = bytes.fromhex(artifact.bytecode.removeprefix("0x")) + arguments
    sent = rpc.send_raw(signed(rpc, to=None, data=code, gas=3_000_000))
    address = parse_address(str(node.receipt(sent)["contractAddress"]))
    mint = bytes.fromhex("40c10f19") + abi.encode(["address", "uint256"], [SENDER, 5_000_000])
    node.receipt(rpc.send_raw(signed(rpc, to=address, data=mint, gas=200_000)))
    return Token(address, "USDC", 6)


def signed(
    rpc: Rpc,
    to: Address | None = OTHER,
    data: bytes = b"",
    gas: int = 21_000,
    nonce: int | None = None,
    **more: int,
) -> bytes:
    """A signed type-2 transaction of SENDER."""
    fields = {
        "type": 2,
        "chainId": rpc.chain_id(),
        "nonce": rpc.nonce(SENDER) if nonce is None else nonce,
        "gas": gas,
        "maxFeePerGas": 100 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        "value": 0,
        "data": data,
        **more,
    }
    if to is not None:
        fields["to"] = to
    return bytes(Account.sign_transaction(fields, KEY).raw_transaction)


def test_the_header_is_the_nodes(node: Node, rpc: Rpc) -> None:
    block = rpc.block("latest")
    raw = node.block()
    assert (hex(block.number), block.hash, block.parent_hash) == (
        raw["number"],
        raw["hash"],
        raw["parentHash"],
    )
    assert rpc.block(block.number) == rpc.block(block.hash) == block
    assert rpc.chain_id() == 31337


def test_a_block_that_is_not_there_is_unpinned(rpc: Rpc) -> None:
    with pytest.raises(ReadUnpinned):
        rpc.block(10**9)
    with pytest.raises(ReadUnpinned):
        rpc.block("0x" + "ab" * 32)


def test_a_read_at_a_hash_the_node_does_not_know_is_unpinned(rpc: Rpc, token: Token) -> None:
    gone = Block(7, BlockHash("0x" + "ab" * 32), BlockHash("0x" + "00" * 32), 0, 0, 0)
    call = ERC20["balanceOf"].at(token.address, SENDER)
    for ask in (
        lambda: rpc.call(call, gone),
        lambda: rpc.calls([call, call], gone),
        lambda: rpc.balance(SENDER, gone),
        lambda: rpc.nonce(SENDER, gone),
        lambda: rpc.code(token.address, gone),
    ):
        with pytest.raises(ReadUnpinned, match="no longer knows block 7"):
            ask()


def test_a_read_after_a_rollback_is_unpinned(node: Node, rpc: Rpc, token: Token) -> None:
    snapshot = node.snapshot()
    node.mine()
    block = rpc.block("latest")
    call = ERC20["balanceOf"].at(token.address, SENDER)
    assert rpc.call(call, block).ok
    node.revert(snapshot)
    with pytest.raises(ReadUnpinned):
        rpc.call(call, block)


def test_state_is_of_the_pinned_block_and_not_of_the_newest(node: Node, rpc: Rpc, token: Token) -> None:
    before = rpc.block("latest")
    transfer = ERC20["transfer"].encode(OTHER, 1_000_000)
    node.receipt(rpc.send_raw(signed(rpc, to=token.address, data=transfer, gas=100_000)))
    after = rpc.block("latest")
    reading = [wallet.read_balances(OTHER, [token]), wallet.read_balances(SENDER, [token])]
    assert [r[0].raw for r in lens.read_all(rpc, after, reading)] == [1_000_000, 4_000_000]
    assert lens.read_one(rpc, before, wallet.read_balances(OTHER, [token]))[0].raw == 0
    assert rpc.nonce(SENDER, before) + 1 == rpc.nonce(SENDER, after)
    assert rpc.balance(SENDER, before) > rpc.balance(SENDER, after)


def test_a_token_says_what_it_is_and_what_is_none_is_refused(rpc: Rpc, token: Token) -> None:
    block = rpc.block("latest")
    assert lens.read_one(rpc, block, wallet.read_tokens([token.address])) == (token,)
    with pytest.raises(ContractMismatch, match="an ERC-20 token"):
        lens.read_one(rpc, block, wallet.read_tokens([OTHER]))


def test_an_allowance_is_read(node: Node, rpc: Rpc, token: Token) -> None:
    approve = ERC20["approve"].encode(OTHER, 77)
    node.receipt(rpc.send_raw(signed(rpc, to=token.address, data=approve, gas=100_000)))
    (amount,) = lens.read_one(rpc, rpc.block("latest"), wallet.read_allowances(SENDER, OTHER, [token]))
    assert amount.raw == 77


def test_a_revert_is_an_answer_with_its_data(rpc: Rpc, token: Token) -> None:
    call = ERC20["transfer"].at(token.address, OTHER, 10**30)
    answer = rpc.call(call, "latest")
    assert not answer.ok
    with pytest.raises(ReadReverted):
        ERC20["transfer"].read(call, answer)
    with pytest.raises(RpcRejected) as refused:
        rpc.estimate_gas({"to": token.address, "data": "0x" + call.data.hex(), "from": OTHER})
    found = revert(refused.value)
    assert found is not None
    assert found[:4] == answer.data[:4]


def test_an_answer_from_an_account_without_code_does_not_decode(rpc: Rpc) -> None:
    call = ERC20["balanceOf"].at(OTHER, SENDER)
    answer = rpc.call(call, "latest")
    with pytest.raises(DecodeMismatch, match="there is no code"):
        ERC20["balanceOf"].read(call, answer)


def test_readings_share_round_trips_and_may_differ_in_length(
    rpc: Rpc, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turns(count: int) -> Reading[int]:
        total = 0
        for _ in range(count):
            call = ERC20["decimals"].at(token.address)
            (answer,) = yield (call,)
            total += ERC20["decimals"].integer(call, answer)
        return total

    trips: list[int] = []
    ask = rpc.calls

    def counted(calls: list[Call], at: Block) -> list[Answer]:
        trips.append(len(calls))
        return ask(calls, at)

    monkeypatch.setattr(rpc, "calls", counted)
    block = rpc.block("latest")
    assert lens.read_all(rpc, block, [turns(2), turns(0), turns(3)]) == [12, 0, 18]
    assert trips == [2, 2, 1]
    trips.clear()
    assert lens.read_all(rpc, block, [turns(1) for _ in range(5)], chunk=2) == [6] * 5
    assert trips == [2, 2, 1]


def test_a_reading_that_raises_ends_the_others(rpc: Rpc, token: Token) -> None:
    closed: list[bool] = []

    def waits() -> Reading[int]:
        try:
            while True:
                yield (ERC20["decimals"].at(token.address),)
        finally:
            closed.append(True)

    def fails() -> Reading[int]:
        yield (ERC20["decimals"].at(token.address),)
        raise ContractMismatch(target=token.address, expected="another", reason="a test")

    with pytest.raises(ContractMismatch):
        lens.read_all(rpc, rpc.block("latest"), [waits(), fails()])
    assert closed == [True]


def test_code_can_be_injected_for_one_call(rpc: Rpc) -> None:
    answers_42 = "0x602a60005260206000f3"
    answer = rpc.call(Call(OTHER, b""), "latest", overrides={OTHER: {"code": answers_42}})
    assert int.from_bytes(answer.data, "big") == 42


def test_fees_and_gas_are_read(rpc: Rpc, token: Token) -> None:
    history = rpc.fee_history(2, (10, 50))
    assert len(history.base_fees_wei) == 3
    assert all(len(row) == 2 for row in history.rewards_wei)
    assert rpc.estimate_gas({"to": OTHER, "from": SENDER, "value": "0x1"}) == 21_000


def test_a_block_can_be_simulated(rpc: Rpc, token: Token) -> None:
    call = {"from": SENDER, "to": token.address, "data": "0x" + ERC20["transfer"].encode(OTHER, 1).hex()}
    (block,) = rpc.simulate_v1({"blockStateCalls": [{"calls": [call]}], "validation": False}, "latest")
    assert isinstance(block, dict)
    (result,) = block["calls"]  # type: ignore[union-attr,misc]
    assert result["status"] == "0x1"  # type: ignore[call-overload,index]


def test_a_receipt_is_none_until_it_is_mined(node: Node, rpc: Rpc) -> None:
    node.set_automine(on=False)
    tx = rpc.send_raw(signed(rpc))
    assert rpc.receipt(tx) is None
    assert rpc.nonce(SENDER, "pending") == rpc.nonce(SENDER) + 1
    node.mine()
    node.set_automine(on=True)
    receipt = rpc.receipt(tx)
    assert receipt is not None
    assert receipt["status"] == "0x1"


def test_what_the_node_says_to_bad_transactions_is_understood(node: Node, rpc: Rpc) -> None:
    node.set_automine(on=False)
    nonce = rpc.nonce(SENDER)
    rpc.send_raw(signed(rpc, nonce=nonce))
    cases = {
        SendFault.ALREADY_KNOWN: signed(rpc, nonce=nonce),
        SendFault.REPLACEMENT_UNDERPRICED: signed(rpc, nonce=nonce, value=1),
        SendFault.NONCE_TOO_LOW: signed(rpc, nonce=nonce - 1),
        SendFault.INSUFFICIENT_FUNDS: signed(rpc, nonce=nonce + 1, value=10**30),
        SendFault.FEE_TOO_LOW: signed(rpc, nonce=nonce + 1, maxFeePerGas=1, maxPriorityFeePerGas=1),
        SendFault.GAS_TOO_LOW: signed(rpc, nonce=nonce + 1, gas=20_000),
        SendFault.EXCEEDS_BLOCK_GAS: signed(rpc, nonce=nonce + 1, gas=40_000_000),
    }
    said = {}
    for fault, raw in cases.items():
        with pytest.raises(RpcRejected) as refused:
            rpc.send_raw(raw)
        said[fault] = str(refused.value.fields["reason"])
    node.mine()
    node.set_automine(on=True)
    assert {fault: send_fault(text) for fault, text in said.items()} == {fault: fault for fault in said}


def test_a_node_that_is_gone_is_unavailable_and_its_key_is_not_told() -> None:
    rpc = Rpc(f"http://user:secret@127.0.0.1:{free_port()}/v3/secret?key=secret")
    with pytest.raises(RpcUnavailable) as caught:
        rpc.chain_id()
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value) + repr(caught.value) + str(caught.value.fields)


def test_threads_may_share_one_rpc(rpc: Rpc, token: Token) -> None:
    call = ERC20["balanceOf"].at(token.address, SENDER)
    expected = rpc.call(call, "latest")
    seen: list[Answer] = []

    def work() -> None:
        seen.extend(rpc.call(call, "latest") for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 200


def test_a_head_is_stale_only_where_the_chain_keeps_wall_time(rpc: Rpc) -> None:
    block = rpc.block("latest")
    assert latest(rpc, 60, block.timestamp_s + 60) == block
    assert latest(rpc, None, block.timestamp_s + 10**9) == block
    with pytest.raises(HeadStale, match="61 s old"):
        latest(rpc, 60, block.timestamp_s + 61)


@pytest.mark.parametrize("has_socket", [True, False], ids=["websocket", "polling"])
def test_heads_come_without_gaps_and_reorganisations_are_noticed(
    node: Node, rpc: Rpc, has_socket: bool
) -> None:
    heads = Heads(rpc, [node.url.replace("http", "ws")] if has_socket else [], poll_s=0.05)
    stream = iter(heads)
    first = next(stream)
    assert first == rpc.block("latest")
    snapshot = node.snapshot()
    for _ in range(3):
        node.mine()
    seen = [next(stream) for _ in range(3)]
    assert [block.number - first.number for block in seen] == [1, 2, 3]
    assert all(b.parent_hash == a.hash for a, b in zip([first, *seen], seen, strict=False))
    assert heads.reorgs == 0
    node.revert(snapshot)
    node.set_next_timestamp(seen[-1].timestamp_s + 5)
    node.mine()
    after = next(stream)
    assert (after.number, heads.reorgs) == (seen[0].number, 1)
    heads.stop()
    assert list(stream) == []


def test_heads_fall_back_to_polling_where_the_socket_is_dead(node: Node, rpc: Rpc) -> None:
    stream = iter(Heads(rpc, [f"ws://127.0.0.1:{free_port()}"], poll_s=0.02))
    first = next(stream)
    node.mine()
    assert next(stream).number == first.number + 1
