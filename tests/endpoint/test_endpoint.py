"""One endpoint against a server that misbehaves: every fault ends in time, counts, and heals by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from agent.chain.breaker import BreakerPolicy, State
from agent.chain.endpoint import Endpoint, EndpointPolicy
from agent.chain.priority import Priority, priority
from agent.chain.transport import retry_after_s
from agent.errors import (
    ChainMismatch,
    ConfigInvalid,
    DecodeMismatch,
    EndpointResting,
    EvenkeelError,
    RateLimited,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
    Throttled,
)
from agent.sim.node import Node
from agent.values.address import ChainId
from tests.endpoint.faulty import (
    Fault,
    Proxy,
    babbles,
    before,
    changes,
    drips_body,
    drips_headers,
    fails,
    is_silent,
    limits,
    refuses,
    resets,
)

CHAIN = ChainId(31337)
QUICK = EndpointPolicy(breaker=BreakerPolicy(faults=2, wait_s=0.2, max_wait_s=0.4))


@pytest.fixture
def proxy(still: Node) -> Iterator[Proxy]:
    with before(still.url) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (is_silent, RpcTimeout),
        (drips_body, RpcTimeout),
        (drips_headers, RpcTimeout),
        (resets, RpcUnavailable),
        (fails(500), RpcUnavailable),
        (fails(503), RpcUnavailable),
        (babbles, DecodeMismatch),
    ],
)
def test_a_fault_ends_by_the_deadline_and_opens_the_circuit_which_heals_with_one_probe(
    proxy: Proxy, fault: Fault, error: type[EvenkeelError]
) -> None:
    endpoint = Endpoint(proxy.url, QUICK, timeout_s=0.3)
    proxy.fault = fault
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(error):
            endpoint.rpc.chain_id()
        assert time.monotonic() - began < 0.6
    assert endpoint.health().state is State.OPEN
    asked = proxy.requests
    with pytest.raises(EndpointResting, match="was not sent"):
        endpoint.rpc.chain_id()
    assert proxy.requests == asked
    proxy.fault = None
    time.sleep(0.21)
    assert endpoint.rpc.chain_id() == CHAIN
    health = endpoint.health()
    assert (health.state, health.faults, health.reason) == (State.CLOSED, 2, "")


def test_a_peer_that_dies_between_requests_is_a_fault_and_its_return_is_noticed(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, CHAIN, timeout_s=0.5)
    endpoint.rpc.block()
    proxy.die()
    for _ in range(2):
        with pytest.raises(RpcUnavailable):
            endpoint.rpc.block()
    proxy.start()
    back = time.monotonic()
    while True:
        try:
            endpoint.rpc.block()
            break
        except EndpointResting:
            time.sleep(0.01)
    assert time.monotonic() - back < 0.5


def test_half_open_lets_exactly_one_of_many_pass(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, timeout_s=0.3)
    proxy.fault = fails(500)
    for _ in range(2):
        with pytest.raises(RpcUnavailable):
            endpoint.rpc.chain_id()
    time.sleep(0.21)
    proxy.fault = is_silent
    proxy.forget()
    outcomes: list[str] = []

    def ask() -> None:
        try:
            endpoint.rpc.chain_id()
        except EvenkeelError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(outcomes) == [*["EndpointResting"] * 7, "RpcTimeout"]
    assert proxy.requests == 1


def test_a_rescue_is_the_probe_before_its_time(proxy: Proxy) -> None:
    slow = EndpointPolicy(breaker=BreakerPolicy(faults=1, wait_s=100, max_wait_s=100))
    endpoint = Endpoint(proxy.url, slow, CHAIN, timeout_s=0.5)
    proxy.fault = fails(500)
    with pytest.raises(RpcUnavailable):
        endpoint.rpc.block()
    proxy.fault = None
    with pytest.raises(EndpointResting):
        endpoint.rpc.block()
    with priority(Priority.RESCUE):
        assert endpoint.rpc.block().number == 3
    assert endpoint.rpc.block().number == 3


def test_another_chain_is_cut_off_for_good_before_anything_else_is_asked(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, ChainId(1), timeout_s=0.5)
    for _ in range(2):
        with pytest.raises(ChainMismatch, match="serves chain 31337"):
            endpoint.rpc.send_raw(b"\x02")
    assert proxy.asked == ["eth_chainId"]
    with priority(Priority.RESCUE), pytest.raises(ChainMismatch):
        endpoint.rpc.block()
    health = endpoint.health()
    assert health.state is State.CUT_OFF
    assert "31337" in health.reason


def test_what_comes_back_after_a_failure_is_asked_for_its_chain_again(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, CHAIN, timeout_s=0.5)
    endpoint.rpc.block()
    proxy.die()
    for _ in range(2):
        with pytest.raises(RpcUnavailable):
            endpoint.rpc.block()
    proxy.lie = changes("eth_chainId", result="0x1")
    proxy.start()
    time.sleep(0.25)
    with pytest.raises(ChainMismatch):
        endpoint.rpc.block()


@pytest.mark.parametrize("fault", [limits(Retry_After="1"), refuses(-32005, "limit exceeded")])
def test_a_rate_limit_holds_back_all_but_rescues_and_is_no_fault(proxy: Proxy, fault: Fault) -> None:
    endpoint = Endpoint(proxy.url, QUICK, timeout_s=5)
    proxy.fault = fault
    with pytest.raises(RateLimited):
        endpoint.rpc.chain_id()
    proxy.fault = None
    began = time.monotonic()
    with priority(Priority.RESCUE):
        assert endpoint.rpc.chain_id() == CHAIN
    assert time.monotonic() - began < 0.5
    with priority(Priority.SCAN):
        assert endpoint.rpc.chain_id() == CHAIN
    assert 0.7 < time.monotonic() - began < 2
    health = endpoint.health()
    assert (health.state, health.faults, health.limited) == (State.CLOSED, 0, 1)


def test_a_wait_that_is_longer_than_the_time_out_is_told_at_once_and_nothing_is_sent(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, timeout_s=1)
    proxy.fault = limits(Retry_After=formatdate(time.time() + 30, usegmt=True))
    with pytest.raises(RateLimited, match=r"wait (29|30|31) s"):
        endpoint.rpc.chain_id()
    began, asked = time.monotonic(), proxy.requests
    with pytest.raises(Throttled, match="it was not sent"):
        endpoint.rpc.chain_id()
    assert time.monotonic() - began < 0.2
    assert proxy.requests == asked


def test_infuras_backoff_is_understood(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, QUICK, timeout_s=1)
    proxy.fault = refuses(
        -32005, "daily request count exceeded, request rate limited", {"rate": {"backoff_seconds": 29.2}}
    )
    with pytest.raises(RateLimited, match="wait 30 s"):
        endpoint.rpc.chain_id()
    assert 28 < endpoint.held_s() <= 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 0),
        ("Thursday, 01-Jan-70 00:20:00 GMT", 200),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("9" * 5000, 999_999_999),
        ("Thu, 99 Foo 1970 99:99:99 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    assert retry_after_s(value, now_s=1000.0) == seconds


def test_requests_keep_to_the_rate_and_a_batch_counts_as_its_calls(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, EndpointPolicy(requests_per_s=50, burst=10), timeout_s=5)
    with priority(Priority.RESCUE):
        endpoint.rpc.batch([("eth_chainId", ())] * 10)
        began = time.monotonic()
        assert len(endpoint.rpc.batch([("eth_chainId", ())] * 25)) == 25
    assert 25 / 50 - 0.02 <= time.monotonic() - began < 2
    assert proxy.requests == 4  # more than the burst goes in pieces


def test_a_batch_may_count_as_one(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, EndpointPolicy(requests_per_s=1, burst=4, batch_counts="one"))
    results = endpoint.rpc.batch([("eth_chainId", ()), ("eth_nonsense", ())] * 50)
    assert (len(results), proxy.requests) == (100, 1)
    assert results[98].unwrap() == hex(CHAIN)
    with pytest.raises(RpcRejected):
        results[99].unwrap()


def test_a_rescue_passes_the_scans_that_wait_at_a_real_endpoint(proxy: Proxy) -> None:
    endpoint = Endpoint(proxy.url, EndpointPolicy(requests_per_s=20, burst=4), timeout_s=10)
    order: list[str] = []

    def ask(level: Priority, calls: int) -> None:
        with priority(level):
            endpoint.rpc.batch([("eth_chainId", ())] * calls)
        order.append(level.name)

    ask(Priority.RESCUE, 4)
    scans = [threading.Thread(target=ask, args=(Priority.SCAN, 2)) for _ in range(5)]
    for thread in scans:
        thread.start()
    time.sleep(0.05)
    began = time.monotonic()
    ask(Priority.RESCUE, 2)
    took_s = time.monotonic() - began
    for thread in scans:
        thread.join(10)
    assert took_s < 0.4
    assert order.count("SCAN") == 5
    assert "RESCUE" in order[1:3]


def test_a_nodes_words_and_ours_are_told_without_the_key_in_the_address(proxy: Proxy) -> None:
    url = f"http://user:hunter2hunter2@{proxy.url[7:]}/v3/K3YK3YK3Y?token=T0KENT0KEN"
    endpoint = Endpoint(url, QUICK, timeout_s=0.5, name="http://node#2")
    faults = [
        refuses(-32000, "project K3YK3YK3Y with T0KENT0KEN of hunter2hunter2 is not allowed"),
        lambda handler: handler.reply(b"no such path /v3/K3YK3YK3Y?token=T0KENT0KEN"),
        fails(502),
    ]
    for fault in faults:
        proxy.fault = fault
        with pytest.raises(EvenkeelError) as caught:
            endpoint.rpc.block()
        for text in (str(caught.value), repr(caught.value.fields), repr(endpoint.health())):
            assert not any(word in text for word in ("K3Y", "T0KEN", "hunter2"))
        assert "http://node#2" in str(caught.value)


@pytest.mark.parametrize("url", ["http://x/a b", "http://x/\x00", "http://x/ü", "http://x/?q=a b"])
def test_an_address_with_a_letter_that_none_may_have_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"rpc\.more_urls"):
        Endpoint(url, key="rpc.more_urls")
