"""Several nodes as one: what fails over, what never does, and that time does not run backwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.chain.breaker import BreakerPolicy, State
from agent.chain.endpoint import EndpointPolicy
from agent.chain.head import Heads
from agent.chain.pool import Pool
from agent.chain.priority import Priority, priority
from agent.chain.rpc import Rpc
from agent.errors import (
    ChainMismatch,
    ConfigInvalid,
    EndpointResting,
    HeadBehind,
    HeadImplausible,
    RateLimited,
    ReadUnpinned,
    RpcRejected,
    RpcTimeout,
    RpcUnavailable,
)
from agent.sim.node import Node
from agent.values.address import Address, ChainId
from tests.endpoint.faulty import (
    Fault,
    Proxy,
    babbles,
    before,
    changes,
    fails,
    is_silent,
    limits,
    refuses,
    resets,
    waits,
)

CHAIN = ChainId(31337)
ACCOUNT = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
QUICK = EndpointPolicy(breaker=BreakerPolicy(faults=2, wait_s=0.2, max_wait_s=0.4))


@pytest.fixture
def pair(still: Node) -> Iterator[tuple[Proxy, Proxy]]:
    """Two ways to one chain, to which nothing is added."""
    with two_ways(still) as proxies:
        yield proxies


@contextmanager
def two_ways(node: Node) -> Iterator[tuple[Proxy, Proxy]]:
    with before(node.url) as first, before(node.url) as second:
        yield first, second


def pool_of(*places: Proxy | Node, timeout_s: float = 2.0, chain_id: ChainId = CHAIN) -> Pool:
    """``max_future_s=None``: anvil's clock is its own."""
    return Pool([place.url for place in places], QUICK, chain_id, timeout_s, max_future_s=None)


def rpc_of(pool: Pool, timeout_s: float = 2.0) -> Rpc:
    return Rpc(pool, timeout_s)


def warm(pool: Pool, first: Proxy, second: Proxy) -> None:
    """Both known, and the first the faster."""
    second.lie = waits(0.02)
    for _ in range(3):
        rpc_of(pool).block()
        for member in pool.members:
            member.rpc.block()
    second.lie = None
    first.forget()
    second.forget()


@pytest.mark.parametrize(
    "fault", [is_silent, resets, fails(502), babbles, limits(Retry_After="30"), refuses(429, "slow down")]
)
def test_a_read_that_fails_at_one_is_answered_by_the_next_in_the_callers_time(
    pair: tuple[Proxy, Proxy], fault: Fault
) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    pair[0].fault = fault
    began = time.monotonic()
    assert rpc_of(pool, 1.0).balance(ACCOUNT) > 0
    assert time.monotonic() - began < 1.0
    assert pair[0].counts["eth_getBalance"] == pair[1].counts["eth_getBalance"] == 1


def test_after_one_fault_the_next_read_goes_elsewhere_first(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    pair[0].fault = is_silent
    rpc_of(pool, 1.0).balance(ACCOUNT)
    began = time.monotonic()
    rpc_of(pool, 1.0).balance(ACCOUNT)
    assert time.monotonic() - began < 0.4
    assert pool.health()[0].state is State.CLOSED  # one fault does not open it


def test_both_failing_is_the_error_of_the_second_within_the_callers_time(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    pair[0].fault, pair[1].fault = is_silent, is_silent
    began = time.monotonic()
    with pytest.raises(RpcTimeout):
        rpc_of(pool, 0.8).balance(ACCOUNT)
    assert 0.7 < time.monotonic() - began < 1.1
    pair[0].fault, pair[1].fault = fails(500), limits()
    with pytest.raises((RateLimited, RpcUnavailable)):
        rpc_of(pool, 0.8).balance(ACCOUNT)


def test_a_refusal_is_an_answer_and_is_not_asked_for_twice(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    with pytest.raises(RpcRejected):
        rpc_of(pool).request("eth_getBalance", ("not an address", "latest"))
    assert pair[0].counts["eth_getBalance"] + pair[1].counts["eth_getBalance"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "eth_sendRawTransaction",
        "eth_sendRawTransactionSync",
        "eth_sendRawTransactionConditional",
        "eth_sendPrivateTransaction",
        "eth_cancelPrivateTransaction",
        "eth_sendBundle",
        "mev_sendBundle",
        "eth_sendTransaction",
        "eth_sign",
        "eth_newFilter",
        "eth_getFilterChanges",
        "anvil_mine",
        "evm_revert",
        "admin_addPeer",
        "eth_somethingNew",
    ],
)
@pytest.mark.parametrize("members", [1, 2])
def test_the_front_takes_no_writes_alone_or_in_a_batch(name: str, members: int) -> None:
    nowhere = ["http://127.0.0.1:1", "http://127.0.0.1:2"]  # who is asked there raises RpcUnavailable
    rpc = Rpc(Pool(nowhere[:members]))
    with pytest.raises(TypeError, match="members"):
        rpc.request(name, ("0x",))
    with pytest.raises(TypeError, match="members"):
        rpc.batch([("eth_chainId", ()), (name, ("0x",))])
    with pytest.raises(TypeError, match="members"):
        rpc.send_raw(b"\x02")


def test_a_write_goes_through_one_member_once_even_if_its_answer_is_lost(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    first, second = rpc_of(pool).members
    pair[0].fault = resets
    with pytest.raises(RpcUnavailable):
        first.send_raw(b"\x02\x01")
    with pytest.raises(RpcRejected):  # no transaction at all, but the node was asked
        second.send_raw(b"\x02\x01")
    assert [place.counts["eth_sendRawTransaction"] for place in pair] == [1, 1]


def test_a_bare_line_is_its_own_member() -> None:
    rpc = Rpc("http://127.0.0.1:1")
    assert rpc.members == (rpc,)


def test_the_faster_node_is_asked_and_a_limited_one_is_not(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    warm(pool, *pair)
    for _ in range(5):
        rpc_of(pool).balance(ACCOUNT)
    assert [place.counts["eth_getBalance"] for place in pair] == [5, 0]
    pair[0].fault = limits(Retry_After="30")
    for level in (Priority.RESCUE, Priority.NORMAL):
        with priority(level):
            rpc_of(pool).balance(ACCOUNT)
    assert [place.counts["eth_getBalance"] for place in pair] == [6, 2]


def test_reads_of_now_never_go_backwards(node: Node, fork: Node) -> None:
    with before(node.url) as ahead, before(fork.url) as behind:
        pool = pool_of(ahead, behind)
        rpc = rpc_of(pool)
        assert rpc.block().number == 3
        node.mine()
        assert rpc.block().number == 4
        ahead.die()
        for read in (
            lambda: rpc.balance(ACCOUNT),
            lambda: rpc.nonce(ACCOUNT),
            rpc.block,
            lambda: rpc.request("eth_blockNumber"),
            lambda: rpc.batch([("eth_getTransactionCount", (ACCOUNT, "latest"))]),
        ):
            with pytest.raises(HeadBehind, match="block 4 was seen"):
                read()
        assert behind.counts["eth_getBalance"] == behind.counts["eth_getTransactionCount"] == 0
        fork.mine()  # it caught up
        assert rpc.balance(ACCOUNT) > 0


def test_a_read_pinned_to_a_block_comes_from_whoever_has_it(node: Node, fork: Node) -> None:
    with before(node.url) as ahead, before(fork.url) as behind:
        pool = pool_of(behind, ahead)
        rpc = rpc_of(pool)
        old = rpc.block()
        node.mine()
        new = rpc.block()
        assert (old.number, new.number) == (3, 4)
        for _ in range(4):
            assert rpc.balance(ACCOUNT, new) > 0
        assert behind.counts["eth_getBalance"] == 0  # it is known not to have it
        strange = Rpc(ahead.url).block(2)
        assert rpc.balance(ACCOUNT, strange) > 0
        ahead.die()
        assert rpc.balance(ACCOUNT, old) > 0  # may be served by one that is behind
        with pytest.raises((ReadUnpinned, RpcUnavailable)):
            rpc.balance(ACCOUNT, new)


def test_a_block_that_one_node_does_not_know_is_asked_of_the_next(node: Node, fork: Node) -> None:
    with before(node.url) as ahead, before(fork.url) as behind:
        node.mine()
        unseen = Rpc(node.url).block()
        rpc = rpc_of(pool_of(behind, ahead))
        ahead.lie = waits(0.02)  # so that the other is asked first
        for member in rpc.members:
            member.chain_id()
        assert rpc.balance(ACCOUNT, unseen) > 0
        assert rpc.block(unseen.hash) == unseen


def test_a_wrong_chain_is_cut_off_and_all_wrong_is_a_mismatch(pair: tuple[Proxy, Proxy]) -> None:
    pair[0].lie = changes("eth_chainId", result="0x1")
    pool = pool_of(*pair)
    rpc = rpc_of(pool)
    assert rpc.block().number == 3
    assert rpc.balance(ACCOUNT) > 0
    assert [health.state for health in pool.health()] == [State.CUT_OFF, State.CLOSED]
    assert set(pair[0].asked) == {"eth_chainId"}
    foreign = rpc_of(pool_of(*pair, chain_id=ChainId(1)))
    for read in (foreign.block, lambda: foreign.balance(ACCOUNT)):
        pair[0].lie = None
        with pytest.raises(ChainMismatch):
            read()


def test_a_dead_node_rests_comes_back_by_itself_and_heads_never_stop(node: Node) -> None:
    seen: list[int] = []
    with two_ways(node) as (first, second):
        pool = pool_of(first, second)
        heads = Heads(rpc_of(pool, 1.0), poll_s=0.02, patience_s=1.0)

        def follow() -> None:
            for head in heads:
                seen.append(head.number)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        until(lambda: seen == [3])
        for turn in range(30):
            if turn == 5:
                first.die()
            if turn == 15:
                assert pool.health()[0].state in {State.OPEN, State.HALF_OPEN}
                first.start()
                second.fault = is_silent
            node.mine()
            time.sleep(0.05)
        until(lambda: seen[-1] == 33)
        until(lambda: pool.health()[0].state is State.CLOSED)
        until(lambda: pool.health()[1].state is not State.CLOSED)
        heads.stop()
        thread.join(3)
    assert seen == list(range(3, 34))


def until(holds: Callable[[], bool], patience_s: float = 5.0) -> None:
    """Raises AssertionError if it does not come true."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_half_open_recovery_takes_less_than_a_second(pair: tuple[Proxy, Proxy]) -> None:
    pool = pool_of(*pair)
    rpc = rpc_of(pool, 1.0)
    rpc.block()
    pair[0].die()
    for _ in range(5):
        rpc.block()
    assert pool.health()[0].state in {State.OPEN, State.HALF_OPEN}
    time.sleep(1.0)
    pair[0].start()
    began = time.monotonic()
    while pool.health()[0].state is not State.CLOSED:
        rpc.block()
        time.sleep(0.01)
        assert time.monotonic() - began < 1.0


def test_all_resting_is_told_without_asking_and_a_rescue_asks_anyway(pair: tuple[Proxy, Proxy]) -> None:
    slow = EndpointPolicy(breaker=BreakerPolicy(faults=1, wait_s=100, max_wait_s=100))
    pool = Pool([place.url for place in pair], slow, CHAIN, 1.0, max_future_s=None)
    rpc = rpc_of(pool, 1.0)
    for place in pair:
        place.fault = fails(500)
    with pytest.raises(RpcUnavailable):
        rpc.block()
    for place in pair:
        place.fault = None
        place.forget()
    with pytest.raises(EndpointResting):
        rpc.block()
    assert pair[0].asked == pair[1].asked == []
    with priority(Priority.RESCUE):
        assert rpc.block().number == 3


def test_the_newest_head_comes_from_whoever_has_it_first(node: Node, fork: Node) -> None:
    with before(node.url) as ahead, before(fork.url) as behind:
        rpc = rpc_of(pool_of(behind, ahead))
        rpc.block()
        behind.lie = waits(1.0)
        node.mine()
        began = time.monotonic()
        assert rpc.block().number == 4
        assert time.monotonic() - began < 0.5


def test_a_head_from_the_future_is_distrusted_where_the_clock_is_the_wall_clock(
    still: Node, pair: tuple[Proxy, Proxy]
) -> None:
    now_s = still.now_s()
    pool = Pool([place.url for place in pair], QUICK, CHAIN, 1.0, wall=lambda: float(now_s))
    rpc = rpc_of(pool, 1.0)
    rpc.block()
    pair[0].lie = changes("eth_getBlockByNumber", number=hex(10**9), timestamp=hex(now_s + 1000))
    for _ in range(3):
        assert rpc.block().number == 3
    liar = pool.health()[0]
    assert liar.state in {State.OPEN, State.HALF_OPEN}
    assert "in the future" in liar.reason
    pair[0].lie = changes("eth_getBlockByNumber", number=hex(10**9))  # and one that is only too high
    time.sleep(0.45)
    for _ in range(3):
        assert rpc.block().number == 3
    assert "no chain makes" in pool.health()[0].reason


def test_if_every_node_is_in_the_future_our_clock_is_wrong_and_nobody_is_distrusted(
    still: Node, pair: tuple[Proxy, Proxy]
) -> None:
    past_s = still.now_s() - 1000.0
    pool = Pool([place.url for place in pair], QUICK, CHAIN, 1.0, wall=lambda: past_s)
    with pytest.raises(HeadImplausible, match="this machine's clock"):
        rpc_of(pool, 1.0).block()
    assert [health.state for health in pool.health()] == [State.CLOSED] * 2


def test_after_a_deep_rollback_reads_go_on_within_a_bounded_time(node: Node, fork: Node) -> None:
    class Clock:
        now_s = 1000.0

    clock = Clock()
    pool = Pool([node.url, fork.url], QUICK, CHAIN, 2.0, max_future_s=None, clock=lambda: clock.now_s)
    rpc = rpc_of(pool)
    snapshot = node.snapshot()
    for _ in range(5):
        node.mine()
    assert rpc.block().number == 8
    node.revert(snapshot)
    with pytest.raises(HeadBehind):
        rpc.block()
    clock.now_s += 31
    with pytest.raises(HeadBehind):  # the best may only be late
        rpc.block()
    node.mine()
    assert rpc.block().number == 4
    assert rpc.balance(ACCOUNT) > 0


def test_names_stay_apart_where_only_the_key_differs() -> None:
    pool = Pool(["https://node.example/KEYONEKEYONE", "https://node.example/KEYTWOKEYTWO"])
    names = [health.endpoint for health in pool.health()]
    assert names == ["https://node.example#1", "https://node.example#2"]
    assert "KEY" not in pool.endpoint + repr(pool.health())


def test_a_pool_of_none_or_with_a_bad_address_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="at least one"):
        Pool([])
    with pytest.raises(ConfigInvalid, match=r"rpc\.more_urls"):
        Pool(["http://x", "ftp://x"])
