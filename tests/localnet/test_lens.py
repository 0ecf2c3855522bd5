"""Packed reads by every means against the slow and obvious way: one eth_call each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import orjson
import pytest

from agent.chain import packing
from agent.chain.abi import Contract, load, parse
from agent.chain.column import SUBJECT, Column, Table, read_table
from agent.chain.endpoint import Endpoint, EndpointPolicy
from agent.chain.lens import read_calls
from agent.chain.manner import Means
from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned, RpcRejected, RpcTimeout
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.compiler import compile_contracts
from agent.sim.localnet import Localnet
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, BlockHash, parse_address
from agent.values.block import Block
from agent.values.call import Answer, Call, Slot
from agent.venues.curie import Curie
from agent.venues.lyra import Lyra
from agent.venues.uniswap import Uniswap
from tests.endpoint.faulty import Entry, Handler, Proxy, before
from tests.means import EVERY, install_multicall, plain_table, reader, same, same_by

CONTRACTS = Path(__file__).parents[2] / "contracts"
MOODY = parse_address("0x" + "00" * 18 + "1234")
NOBODY = parse_address("0x" + "00" * 18 + "5678")
KECCAK = parse_address("0x" + "00" * 19 + "02")  # a precompile: sha256
LENSES = (Means.OVERRIDE, Means.DEPLOYLESS)


@pytest.fixture(scope="module")
def moody(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> tuple[Contract, bytes]:
    """The contract that does everything a view can do, and its code."""
    folder = tmp_path_factory.mktemp("moody")
    (folder / "src").mkdir()
    shutil.copy(CONTRACTS / "test" / "Moody.sol", folder / "src")
    built = compile_contracts(toolchain.root, folder)["Moody"]
    return parse("Moody", built.source, built.abi), bytes.fromhex(built.deployed_bytecode[2:])


@pytest.fixture(scope="module")
def node(toolchain: Toolchain, moody: tuple[Contract, bytes]) -> Iterator[Node]:
    with Anvil(toolchain.anvil, AnvilOptions()) as running:
        running.set_code(MOODY, moody[1])
        running.request("anvil_setStorageAt", MOODY, "0x" + "00" * 32, "0x" + "00" * 31 + "07")
        install_multicall(running)
        yield running


@pytest.fixture(scope="module")
def block(node: Node) -> Block:
    return Rpc(node.url).block("latest")


def columns_of(contract: Contract) -> list[Column]:
    return [
        Column(MOODY, contract["ask"], (SUBJECT,), 3),
        Column(MOODY, contract["ask"], (SUBJECT,), 1),
        Column(MOODY, contract["pair"], (SUBJECT, 77, SUBJECT), 1),
        Column(NOBODY, contract["ask"], (SUBJECT,), 2),  # no code: ok and empty, so too short
        Column(KECCAK, contract["ask"], (SUBJECT,), 1),
    ]


# --- tables ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(node: Node, block: Block, moody: tuple[Contract, bytes]) -> tuple[list[int], Table]:
    """Of accounts in every mood: reverts, gas burners, short, long and empty answers."""
    subjects = [*range(30), 10**40, 2**160 - 1, 0, 5, 5]
    rpc = Rpc(node.url, 30.0)
    table = plain_table(rpc, block, columns_of(moody[0]), subjects)
    rpc.close()
    return subjects, table


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_a_table_equals_the_plain_getters_by_every_means(
    node: Node, block: Block, moody: tuple[Contract, bytes], twin: tuple[list[int], Table], means: Means
) -> None:
    part = reader(node.url, means)
    subjects, expected = twin
    assert not expected.ok.all()
    assert expected.ok.any(axis=0).tolist() == [True, True, True, False, True]
    for _ in range(2):  # the second time it knows the node
        assert same(read_table(part.rpc, block, columns_of(moody[0]), subjects), expected)
    assert part.manner.means is means


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_no_subject_and_no_column_ask_nothing(node: Node, block: Block, means: Means) -> None:
    with before(node.url) as proxy:
        rpc = reader(proxy.url, means).rpc
        erc20 = load("erc20")
        column = Column(MOODY, erc20["balanceOf"], (SUBJECT,), 1)
        table = read_table(rpc, block, [column], [])
        assert table.ok.shape == (0, 1)
        assert table.words(0).shape == (0, 1, 4)
        assert table.unsigned(0, 0).tolist() == table.signed(0, 0).tolist() == table.integers(0, 0) == []
        assert read_table(rpc, block, [], [1, 2]).ok.shape == (2, 0)
        assert proxy.requests == 0


@pytest.mark.parametrize("means", (*LENSES, Means.MULTICALL), ids=lambda means: means.value)
def test_ten_thousand_and_one_subjects_come_in_order_in_many_requests(
    node: Node, block: Block, moody: tuple[Contract, bytes], means: Means
) -> None:
    subjects = [7_919 * number % 2**64 for number in range(10_001)]
    with before(node.url) as proxy:
        part = reader(proxy.url, means)
        columns = [Column(MOODY, moody[0]["pair"], (SUBJECT, 1, SUBJECT), 1)]
        for _ in range(3):
            table = read_table(part.rpc, block, columns, subjects)
            assert table.ok.all()
            assert table.integers(0, 0) == [2 * subject + 1 for subject in subjects]
        assert 3 < proxy.requests < 60


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_a_call_that_lacks_gas_only_beside_others_is_asked_alone(
    node: Node, block: Block, moody: tuple[Contract, bytes], means: Means
) -> None:
    """It never reverts: for want of gas it says something else."""
    rpc = Rpc(node.url, 30.0)
    part = reader(node.url, means)
    columns = [Column(MOODY, moody[0]["hungry"], (SUBJECT,), 1)]
    rounds = [10, 40_000, 3, 60_000, 100_000, 20_000, *range(20)]
    expected = plain_table(rpc, block, columns, rounds)
    assert expected.integers(0, 0)[:5] == [1, 1, 1, 1, 1]
    assert same(read_table(part.rpc, block, columns, rounds), expected)


@pytest.mark.parametrize("means", LENSES, ids=lambda means: means.value)
def test_where_every_call_takes_much_the_cap_is_raised(
    node: Node, block: Block, moody: tuple[Contract, bytes], means: Means
) -> None:
    with before(node.url) as proxy:
        part = reader(proxy.url, means)
        columns = [Column(MOODY, moody[0]["hungry"], (SUBJECT,), 1)]
        rounds = [22_000 + number for number in range(16)]
        assert read_table(part.rpc, block, columns, rounds).integers(0, 0) == [1] * 16
        proxy.forget()
        assert read_table(part.rpc, block, columns, rounds).integers(0, 0) == [1] * 16
        assert proxy.requests < 8  # through the lens again, and not one by one
        assert len(proxy.asked) < 8


def test_subjects_that_are_none_are_refused(node: Node, block: Block, moody: tuple[Contract, bytes]) -> None:
    rpc = Rpc(node.url)
    whole, pair = Column(MOODY, moody[0]["ask"], (SUBJECT,), 1), columns_of(moody[0])[2]
    for column, subject in ((whole, -1), (whole, 2**256), (pair, 2**160)):
        with pytest.raises(ValueError, match="a subject is negative or of more than"):
            read_table(rpc, block, [column], [3, subject])
    assert read_table(rpc, block, [whole], [2**256 - 6]).ok.tolist() == [[True]]
    erc20 = load("erc20")
    with pytest.raises(ValueError, match="0 words"):
        read_table(rpc, block, [replace(whole, words=0)], [3])
    with pytest.raises(TypeError, match="cannot take"):
        read_table(rpc, block, [Column(MOODY, erc20["balanceOf"], ("nobody",), 1)], [3])


# --- lists -------------------------------------------------------------------------------------------------


def calls_of(contract: Contract) -> list[Call]:
    ask = contract["ask"]
    calls = [ask.at(MOODY, subject) for subject in (*range(10), 19, 7, 14)]
    calls += [contract["hungry"].at(MOODY, rounds) for rounds in (5, 60_000, 90_000)]
    calls += [contract["blob"].at(MOODY, size) for size in (0, 1, 31, 40_000)]
    calls += [contract["write"].at(MOODY), contract["written"].at(MOODY), contract["write"].at(MOODY)]
    calls += [Call(NOBODY, b""), Call(NOBODY, b"abc"), Call(KECCAK, b"abc"), Call(MOODY, b"")]
    return [*calls, Slot(MOODY, bytes(32)), Slot(NOBODY, bytes(32)), ask.at(MOODY, 30)]


@pytest.fixture(scope="module")
def told(node: Node, block: Block, moody: tuple[Contract, bytes]) -> list[Answer]:
    """What the plain way says to those calls."""
    rpc = Rpc(node.url, 30.0)
    answers = [rpc.calls([call], block)[0] for call in calls_of(moody[0])]
    rpc.close()
    return answers


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_a_list_of_any_calls_equals_the_plain_answers_by_every_means(
    node: Node, block: Block, moody: tuple[Contract, bytes], told: list[Answer], means: Means
) -> None:
    calls = calls_of(moody[0])
    if means is Means.MULTICALL:  # its calls see each other's traces
        calls = [replace(c, is_direct=True) if c.data == moody[0]["write"].selector else c for c in calls]
    assert {answer.ok for answer in told} == {True, False}
    part = reader(node.url, means)
    for _ in range(2):
        assert read_calls(part.rpc, block, calls) == told
    assert read_calls(part.rpc, block, calls, chunk=9) == told
    assert part.manner.means is means


def test_a_lens_asks_most_of_a_turn_in_one_request(
    node: Node, block: Block, moody: tuple[Contract, bytes]
) -> None:
    calls = [moody[0]["ask"].at(MOODY, 10 * number) for number in range(300)]
    with before(node.url) as proxy:
        part = reader(proxy.url, None)
        read_calls(part.rpc, block, calls)
        proxy.forget()
        read_calls(part.rpc, block, calls)
        assert proxy.asked == ["eth_call"]
        proxy.forget()
        answers = read_calls(part.rpc, block, [*calls, Slot(MOODY, bytes(32))])
        assert proxy.requests == 1
        assert proxy.asked == ["eth_call", "eth_getStorageAt"]
        assert int.from_bytes(answers[-1].data, "big") == 7


def test_what_took_much_gas_once_goes_beside_the_lens_from_then_on(
    node: Node, block: Block, moody: tuple[Contract, bytes]
) -> None:
    calls = [moody[0]["ask"].at(MOODY, 10 * number) for number in range(30)]
    calls.append(moody[0]["hungry"].at(MOODY, 100_000))
    with before(node.url) as proxy:
        part = reader(proxy.url, None)
        first = read_calls(part.rpc, block, calls)
        proxy.forget()
        assert read_calls(part.rpc, block, calls) == first
        assert proxy.requests == 1
        assert len(proxy.asked) == 2


def test_a_call_that_must_be_asked_directly_sees_address_zero(
    node: Node, block: Block, moody: tuple[Contract, bytes]
) -> None:
    asker = moody[0]["asker"]
    calls = [asker.at(MOODY)] * 9 + [replace(asker.at(MOODY), is_direct=True)]
    answers = read_calls(reader(node.url, Means.OVERRIDE).rpc, block, calls)
    assert {asker.address(call, answer) for call, answer in zip(calls[:9], answers, strict=False)} == {
        packing.LENS
    }
    assert int.from_bytes(answers[9].data, "big") == 0


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_a_block_that_is_gone_is_unpinned_by_every_means(
    node: Node, block: Block, moody: tuple[Contract, bytes], means: Means
) -> None:
    gone = replace(block, hash=BlockHash("0x" + "ab" * 32))
    part = reader(node.url, means)
    calls = [moody[0]["ask"].at(MOODY, 0)] * 9
    for is_known in (False, True):
        if is_known:
            read_calls(part.rpc, block, calls)
        with pytest.raises(ReadUnpinned):
            read_calls(part.rpc, gone, calls)
        with pytest.raises(ReadUnpinned):
            read_table(part.rpc, gone, columns_of(moody[0]), [1, 2])


# --- nodes that do not do everything -----------------------------------------------------------------------


class Picky(Proxy):
    """A node that refuses some requests."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.most_body = 1 << 30
        self.most_answer = 1 << 30
        self.most_batch = 1 << 30
        self.overrides = "yes"
        self.deployless = "yes"

    def serve(self, handler: Handler, body: bytes) -> None:
        payload = orjson.loads(body)
        entries: list[Entry] = payload if isinstance(payload, list) else [payload]
        with self._lock:
            self.requests += 1
            self.asked += [str(entry["method"]) for entry in entries]
        if len(body) > self.most_body:
            handler.reply(b"length limit exceeded", 413)
            return
        if isinstance(payload, list) and len(payload) > self.most_batch:
            handler.reply(orjson.dumps({"jsonrpc": "2.0", "id": None, "error": _error("batch too large")}))
            return
        answers = orjson.loads(self._upstream(orjson.dumps([self._passed(entry) for entry in entries])))
        by_id = {answer["id"]: answer for answer in answers}
        told = [self._told(entry, by_id[entry["id"]]) for entry in entries]
        handler.reply(orjson.dumps(told if isinstance(payload, list) else told[0]))

    def _passed(self, entry: Entry) -> Entry:
        ignores = entry["method"] == "eth_call" and self.overrides == "ignored"
        return {**entry, "params": cast(list[object], entry["params"])[:2]} if ignores else entry

    def _told(self, entry: Entry, answer: Entry) -> Entry:
        params = cast(list[dict[str, object]], entry["params"])
        is_call = entry["method"] == "eth_call"
        is_deployless = is_call and "to" not in params[0]
        refusal = ""
        if is_call and len(params) > 2 and self.overrides == "refused":
            refusal = "too many arguments, want at most 2"
        elif is_deployless and self.deployless == "no":
            refusal = "contract creation is not allowed"
        elif is_deployless and self.deployless == "returns" and "error" in answer:
            refusal = "execution reverted"  # without its data
        elif len(orjson.dumps(answer)) > self.most_answer:
            refusal = "response is too large"
        return {"jsonrpc": "2.0", "id": entry["id"], "error": _error(refusal)} if refusal else answer


def _error(message: str) -> Entry:
    return {"code": -32602, "message": message}


@pytest.fixture
def picky(node: Node) -> Iterator[Picky]:
    proxy = Picky(node.url)
    yield proxy
    proxy.die()


def check(proxy: Picky, block: Block, contract: Contract, part: Endpoint) -> None:
    """Tables and lists are right whatever it refuses."""
    columns = [Column(MOODY, contract["ask"], (SUBJECT,), 3), columns_of(contract)[2]]
    subjects = [number * 10 + (2 if number == 43 else 0) for number in range(90)]
    table = read_table(part.rpc, block, columns, subjects)
    assert table.ok[:, 0].tolist() == [subject % 10 == 0 for subject in subjects]
    assert table.ok[:, 1].all()
    rows = np.flatnonzero(table.ok[:, 0]).tolist()
    assert table.integers(0, 2, rows, signed=True) == [-subjects[row] for row in rows]
    assert table.integers(1, 0) == [2 * subject + 77 for subject in subjects]
    ask = contract["ask"]
    calls = [ask.at(MOODY, 10 * number) for number in range(60)] + [ask.at(MOODY, 2), Slot(MOODY, bytes(32))]
    answers = read_calls(part.rpc, block, calls)
    found = [ask.integers(call, answer)[0] for call, answer in zip(calls[:60], answers, strict=False)]
    assert found == [10 * number for number in range(60)]
    assert [answer.ok for answer in answers[59:]] == [True, False, True]


@pytest.mark.parametrize(
    ("overrides", "deployless", "expected"),
    [
        ("yes", "yes", Means.OVERRIDE),
        ("refused", "yes", Means.DEPLOYLESS),
        ("ignored", "yes", Means.DEPLOYLESS),
        ("refused", "returns", Means.DEPLOYLESS),
        ("refused", "no", Means.MULTICALL),
    ],
)
def test_the_best_that_a_node_offers_is_found_and_remembered(
    picky: Picky,
    block: Block,
    moody: tuple[Contract, bytes],
    overrides: str,
    deployless: str,
    expected: Means,
) -> None:
    picky.overrides, picky.deployless = overrides, deployless
    part = reader(picky.url, None)
    check(picky, block, moody[0], part)
    assert part.manner.means is None or part.manner.means is expected
    if expected is Means.DEPLOYLESS:
        assert part.manner.reverts is (deployless == "yes")
    picky.forget()
    read_table(part.rpc, block, columns_of(moody[0])[2:3], range(50))
    assert len(picky.asked) == 1  # nothing is probed again


def test_without_multicall_it_is_plain_calls(toolchain: Toolchain, moody: tuple[Contract, bytes]) -> None:
    with Anvil(toolchain.anvil, AnvilOptions()) as bare:
        bare.set_code(MOODY, moody[1])
        bare.mine()
        picky = Picky(bare.url)
        picky.overrides, picky.deployless = "refused", "no"
        part = reader(picky.url, None)
        check(picky, Rpc(bare.url).block("latest"), moody[0], part)
        assert part.manner.means is Means.PLAIN
        picky.die()


def test_a_node_that_refuses_later_is_probed_again(
    picky: Picky, block: Block, moody: tuple[Contract, bytes]
) -> None:
    now_s = [0.0]
    part = Endpoint(picky.url, timeout_s=30.0, clock=lambda: now_s[0])
    for overrides, deployless, expected in (
        ("yes", "yes", Means.OVERRIDE),
        ("ignored", "yes", Means.DEPLOYLESS),
        ("ignored", "no", Means.MULTICALL),
    ):
        picky.overrides, picky.deployless = overrides, deployless
        check(picky, block, moody[0], part)
        assert part.manner.means is expected
    picky.overrides = "yes"
    check(picky, block, moody[0], part)
    assert part.manner.means is Means.MULTICALL  # nobody looks yet
    now_s[0] = 601.0
    check(picky, block, moody[0], part)
    assert part.manner.means is Means.OVERRIDE


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
@pytest.mark.parametrize("limit", ["body", "answer", "batch"])
def test_limits_of_a_node_are_found_out_and_remembered(
    picky: Picky, block: Block, moody: tuple[Contract, bytes], means: Means, limit: str
) -> None:
    if limit == "body":
        picky.most_body = 12_000
    elif limit == "answer":
        picky.most_answer = 6_000
    else:
        picky.most_batch = 23
    part = reader(picky.url, means)
    check(picky, block, moody[0], part)
    first = picky.requests
    picky.forget()
    check(picky, block, moody[0], part)
    assert picky.requests <= first


def test_a_node_that_takes_no_batches_is_read_by_a_lens(
    picky: Picky, block: Block, moody: tuple[Contract, bytes]
) -> None:
    picky.most_batch = 0
    check(picky, block, moody[0], reader(picky.url, None))


def test_a_node_with_little_gas_is_read_in_many_requests(
    toolchain: Toolchain, moody: tuple[Contract, bytes]
) -> None:
    with Anvil(toolchain.anvil, AnvilOptions(gas_limit=1_000_000)) as small:
        small.set_code(MOODY, moody[1])
        small.mine()
        block = Rpc(small.url).block("latest")
        for means in LENSES:
            part = reader(small.url, means)
            table = read_table(part.rpc, block, columns_of(moody[0])[2:3], range(1_000))
            assert table.integers(0, 0) == [2 * subject + 77 for subject in range(1_000)]
            calls = [moody[0]["ask"].at(MOODY, 10 * number) for number in range(300)]
            answers = read_calls(part.rpc, block, calls)
            assert [int.from_bytes(answer.data[:32], "big") for answer in answers] == list(
                range(0, 3_000, 10)
            )
            assert part.manner.means is means


def test_a_node_that_refuses_everything_says_so(
    picky: Picky, block: Block, moody: tuple[Contract, bytes]
) -> None:
    picky.most_body = 10
    part = reader(picky.url, None)
    with pytest.raises(RpcRejected, match="413"):
        read_table(part.rpc, block, columns_of(moody[0]), [1, 2, 3])
    with pytest.raises(RpcRejected, match="413"):
        read_calls(part.rpc, block, calls_of(moody[0]))


def test_a_table_that_takes_too_long_is_asked_in_halves_once(
    node: Node, block: Block, moody: tuple[Contract, bytes]
) -> None:
    slow = {"most": 2_000}

    class Slow(Picky):
        def serve(self, handler: Handler, body: bytes) -> None:
            if len(body) > slow["most"] * 64:
                handler.close_connection = True
                import time

                time.sleep(1.0)
                return
            super().serve(handler, body)

    proxy = Slow(node.url)
    part = Endpoint(proxy.url, EndpointPolicy(means=Means.OVERRIDE), timeout_s=0.6)
    columns = [columns_of(moody[0])[2]]
    subjects = [2**150 + number for number in range(3_000)]
    assert read_table(part.rpc, block, columns, subjects).ok.all()
    slow["most"] = 1
    with pytest.raises(RpcTimeout):
        read_table(part.rpc, block, columns, subjects)
    proxy.die()


# --- venues ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("means", EVERY, ids=lambda means: means.value)
def test_every_venues_state_is_the_same_by_every_means(localnet: Localnet, means: Means) -> None:
    deployment = localnet.deployment()
    assert deployment.curie is not None
    assert deployment.lyra is not None
    assert deployment.uniswap is not None
    venues = (Curie(deployment.curie), Lyra(deployment.lyra), Uniswap(deployment.uniswap))
    snapshot = localnet.node.snapshot()
    install_multicall(localnet.node)
    part = reader(localnet.url, means)
    block = part.rpc.block("latest")
    accounts = [localnet.roles[name] for name in ("curie_trader_1", "curie_maker", "lyra_trader_1")]
    accounts += [Address(localnet.book.account), NOBODY]
    readings = [(venue.identify(), venue.identify()) for venue in venues]
    readings += [(venue.read(one, block), venue.read(one, block)) for venue in venues for one in accounts]
    assert same_by(part, block, readings)
    assert part.manner.means is means
    localnet.node.revert(snapshot)
