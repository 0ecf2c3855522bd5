"""Packed reads through endpoints and pools that misbehave: typed errors, or another endpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from agent.chain.abi import load
from agent.chain.column import SUBJECT, Column, read_table
from agent.chain.endpoint import Endpoint, EndpointPolicy
from agent.chain.lens import read_calls
from agent.chain.manner import Means
from agent.chain.pool import Pool
from agent.chain.rpc import Rpc
from agent.chain.wire import Request
from agent.errors import (
    DecodeMismatch,
    EvenkeelError,
    RateLimited,
    ReadUnpinned,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
)
from agent.sim.node import Node
from agent.values.address import parse_address
from agent.values.block import Block
from agent.values.call import Call
from tests.endpoint.faulty import Entry, Fault, Proxy, before, fails, is_silent, limits, refuses, resets

IDENTITY = parse_address("0x" + "00" * 19 + "04")  # a precompile that answers what it is asked
ZERO_WAIT = {"backoff_seconds": 0}
SUBJECTS = list(range(2**152, 2**152 + 40))
CALLS = [Call(IDENTITY, bytes([number])) for number in range(9)]


def columns() -> list[Column]:
    """Four bytes of selector, then the subject: the second word is the rest of it."""
    return [Column(IDENTITY, load("erc20")["allowance"], (SUBJECT, SUBJECT), 2)]


@pytest.fixture
def pair(still: Node) -> Iterator[tuple[Proxy, Proxy]]:
    with before(still.url) as first, before(still.url) as second:
        yield first, second


def pool_of(pair: tuple[Proxy, Proxy], timeout_s: float = 2.0) -> Rpc:
    return Rpc(Pool([proxy.url for proxy in pair], timeout_s=timeout_s, max_future_s=None), timeout_s)


def read(rpc: Rpc, block: Block) -> None:
    """Both kinds, and whether they are right."""
    assert read_table(rpc, block, columns(), SUBJECTS).ok.all()
    assert [answer.data for answer in read_calls(rpc, block, CALLS)] == [call.data for call in CALLS]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (fails(503), RpcUnavailable),
        (resets, RpcUnavailable),
        (is_silent, RpcTimeout),
        (limits(), RateLimited),
        (refuses(-32005, "daily request limit exceeded"), RateLimited),
        (refuses(-32000, "header not found"), ReadUnpinned),
        (refuses(-32601, "the method eth_call does not exist"), RpcRejected),
    ],
)
def test_a_fault_is_its_own_error_whether_the_node_is_known_or_not(
    still: Node, fault: Fault, error: type[EvenkeelError]
) -> None:
    with before(still.url) as proxy:
        for is_known in (False, True):
            part = Endpoint(proxy.url, timeout_s=0.5)
            block = part.rpc.block("latest")
            if is_known:
                read(part.rpc, block)
            proxy.fault = fault
            with pytest.raises(error):
                read_table(part.rpc, block, columns(), SUBJECTS)
            with pytest.raises(EvenkeelError):
                read_calls(part.rpc, block, CALLS)
            proxy.fault = None


@pytest.mark.parametrize(
    "fault", [fails(503), resets, is_silent, limits(), refuses(-32000, "header not found")]
)
def test_a_pool_reads_from_the_next_endpoint(pair: tuple[Proxy, Proxy], fault: Fault) -> None:
    rpc = pool_of(pair, timeout_s=1.0)
    block = rpc.block("latest")
    read(rpc, block)
    for bad in pair:
        bad.fault = fault
        read(rpc, block)
        bad.fault = None
        pool_wait(rpc, block)


def pool_wait(rpc: Rpc, block: Block) -> None:
    """Whoever rests is asked by itself, so that it is back."""
    for member in rpc.members:
        with contextlib.suppress(EvenkeelError):
            member.block(block.hash)


def test_when_all_fail_the_pool_says_so(pair: tuple[Proxy, Proxy]) -> None:
    rpc = pool_of(pair)
    block = rpc.block("latest")
    for proxy in pair:
        proxy.fault = refuses(-32000, "header not found")
    with pytest.raises(ReadUnpinned):
        read_table(rpc, block, columns(), SUBJECTS)
    for proxy in pair:
        proxy.fault = fails(503)
    with pytest.raises(RpcUnavailable):
        read_calls(rpc, block, CALLS)


def test_every_endpoint_of_a_pool_is_read_in_its_own_manner(still: Node, pair: tuple[Proxy, Proxy]) -> None:
    first, second = pair

    def refuses_overrides(request: Entry, answer: Entry) -> None:
        params = request["params"]
        assert isinstance(params, list)
        if request["method"] == "eth_call" and len(params) > 2:
            answer.pop("result", None)
            answer["error"] = {"code": -32602, "message": "too many arguments"}

    first.lie = refuses_overrides
    pool = Pool([first.url, second.url], timeout_s=5.0, max_future_s=None)
    rpc = Rpc(pool, 5.0)
    block = rpc.block("latest")
    second.fault = fails(503)
    read(rpc, block)
    second.fault, first.fault = None, fails(503)
    read(rpc, block)
    assert [member.manner.means for member in pool.members] in (
        [Means.DEPLOYLESS, Means.OVERRIDE],
        [None, Means.OVERRIDE],
    )


def test_a_packed_read_counts_as_one_request(still: Node) -> None:
    with before(still.url) as proxy:
        part = Endpoint(proxy.url, EndpointPolicy(requests_per_s=1.0, burst=8), timeout_s=2.0)
        block = part.rpc.block("latest")
        read(part.rpc, block)
        read(part.rpc, block)  # one probe and four reads of 40 and 9 calls
        assert len(proxy.asked) == 6


# --- the raw answer ----------------------------------------------------------------------------------------


def says(body: bytes, status: int = 200) -> Fault:
    return lambda handler: handler.reply(body, status)


GOOD = b'{"jsonrpc":"2.0","id":0,"result":"0x00ff"}'


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        b' { "result" : "0x00FF" , "id" : 0, "jsonrpc" : "2.0" }\n',
        b'{"jsonrpc":"2.0","id":0,"result":"0x00ff","note":"\\"result\\":\\"0x11\\""}',
        b'{"jsonrpc":"2.0","note":{"result":"0x11"},"id":0,"result":"0x00ff"}',
        b'{"jsonrpc":"2.0","id":0,"result":"0x00\\u0066f"}',
        b'{"result":"0x00ff","error":null,"id":0}',
    ],
)
def test_hex_is_found_however_the_answer_is_written(still: Node, body: bytes) -> None:
    with before(still.url) as proxy:
        proxy.fault = says(body)
        request = Request((("eth_call", ()),), is_batch=False, is_hex=True)
        (result,) = Endpoint(proxy.url).ask(request, 2.0)
        assert result.data == b"\x00\xff"


@pytest.mark.parametrize(
    "body",
    [
        GOOD[:-5],
        GOOD[:-1],
        GOOD.replace(b"00ff", b"00f"),
        GOOD.replace(b"00ff", b"00fg"),
        GOOD.replace(b"0x00", b"00"),
        GOOD.replace(b'"0x00ff"', b"17"),
        GOOD.replace(b'"0x00ff"', b"null"),
        GOOD.replace(b'"id":0', b'"id":1'),
        GOOD.replace(b'"id":0', b'"id":[]'),
        b"[" + GOOD + b"]",
        GOOD + b"x",
        b"",
        b"null",
        b'{"jsonrpc":"2.0","id":0}',
    ],
)
def test_what_is_no_hex_answer_is_a_mismatch(still: Node, body: bytes) -> None:
    with before(still.url) as proxy:
        proxy.fault = says(body)
        request = Request((("eth_call", ()),), is_batch=False, is_hex=True)
        with pytest.raises(DecodeMismatch):
            Endpoint(proxy.url).ask(request, 2.0)


def test_an_error_in_a_raw_answer_is_the_nodes_refusal(still: Node) -> None:
    request = Request((("eth_call", ()),), is_batch=False, is_hex=True)
    with before(still.url) as proxy:
        part = Endpoint(proxy.url)
        proxy.fault = refuses(3, 'execution reverted: "result":"0x11"', "0x1234")
        (result,) = part.ask(request, 2.0)
        assert result.error is not None
        assert result.error.fields["data"] == "0x1234"
        proxy.fault = says(b"too long", 413)
        with pytest.raises(RpcRejected, match="413"):
            part.ask(request, 2.0)
        assert part.health().faults == 0
        proxy.fault = refuses(429, "slow down")
        with pytest.raises(RateLimited):
            part.ask(request, 2.0)


def test_a_node_that_limits_parallel_requests_is_read_over_one_connection(still: Node) -> None:
    subjects = list(range(2**152, 2**152 + 4_000))
    with before(still.url) as proxy:
        part = Endpoint(proxy.url, timeout_s=5.0)
        block = part.rpc.block("latest")
        read(part.rpc, block)
        busy: list[int] = []

        def limited(_request: Entry, answer: Entry) -> None:
            busy.append(1)
            time.sleep(0.02)
            if len(busy) > 1:
                answer.pop("result", None)
                answer["error"] = {"code": 429, "message": "one at a time", "data": {"rate": ZERO_WAIT}}
            time.sleep(0.02)
            busy.pop()

        proxy.lie = limited
        for _ in range(8):
            assert read_table(part.rpc, block, columns(), subjects).ok.all()
        assert part.health().limited >= 1
        assert part.manner.pace.width() == 1
