"""Whom to believe about a nonce: the highest block, if the others tell the same chain."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chain.breaker import BreakerPolicy, State
from agent.chain.endpoint import EndpointPolicy
from agent.chain.pool import Pool
from agent.chain.survey import Reading, differences, majority, ranked
from agent.errors import HeadBehind, NodesDisagree, RpcTimeout, RpcUnavailable
from agent.sim.node import Node
from agent.values.address import Address, BlockHash, ChainId
from agent.values.block import Block
from tests.endpoint.faulty import Proxy, before, changes, fails, is_silent

CHAIN = ChainId(31337)
ACCOUNT = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
OTHER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
QUICK = EndpointPolicy(breaker=BreakerPolicy(faults=2, wait_s=0.2, max_wait_s=5))


def pool_of(*places: Proxy | Node) -> Pool:
    return Pool([place.url for place in places], QUICK, CHAIN, 2.0, max_future_s=None)


def send(node: Node) -> None:
    """One transaction of the account, mined."""
    tx = node.request("eth_sendTransaction", {"from": ACCOUNT, "to": OTHER, "value": "0x1"})
    node.receipt(str(tx))


def test_the_highest_head_is_the_authority_and_a_node_a_block_behind_still_counts(
    node: Node, fork: Node
) -> None:
    send(node)
    survey = pool_of(fork, node).survey(ACCOUNT)
    assert (survey.head.number, survey.nonce, survey.authority.endpoint) == (4, 1, node.url)
    assert [(reading.endpoint, reading.nonce) for reading in survey.readings] == [
        (node.url, 1),
        (fork.url, 0),
    ]
    assert survey.left_out == ()


def test_a_node_that_lags_is_left_out_and_told(node: Node, fork: Node) -> None:
    for _ in range(4):
        node.mine()
    survey = pool_of(fork, node).survey(ACCOUNT)
    assert [reading.endpoint for reading in survey.readings] == [node.url]
    assert [(left.endpoint, left.reason) for left in survey.left_out] == [(fork.url, "it is 4 blocks behind")]


def test_one_endpoint_is_simply_believed(node: Node) -> None:
    send(node)
    survey = pool_of(node).survey(ACCOUNT)
    assert (survey.nonce, survey.head.number, survey.left_out) == (1, 4, ())


def test_two_blocks_of_one_number_are_no_authority(node: Node, fork: Node) -> None:
    send(node)
    fork.mine()
    pool = pool_of(node, fork)
    with pytest.raises(NodesDisagree, match="different blocks 4"):
        pool.survey(ACCOUNT, reask_s=0.3)
    assert [health.state for health in pool.health()] == [State.CLOSED] * 2  # who lies, nobody knows


def test_a_fork_below_the_authority_is_noticed_too(node: Node, fork: Node) -> None:
    node.mine()
    node.mine()
    fork.mine()
    with pytest.raises(NodesDisagree, match="different blocks 4"):
        pool_of(node, fork).survey(ACCOUNT, reask_s=0.3)


def test_a_difference_of_a_moment_is_asked_about_again_at_the_next_block(node: Node, fork: Node) -> None:
    with before(node.url) as first, before(node.url) as second:
        second.lie = changes("eth_getTransactionCount", result="0x7")
        pool = pool_of(first, second)

        def heal() -> None:
            time.sleep(0.5)
            second.lie = None
            node.mine()

        healer = threading.Thread(target=heal)
        healer.start()
        began = time.monotonic()
        survey = pool.survey(ACCOUNT, reask_s=10)
        assert 0.4 < time.monotonic() - began < 5
        assert (survey.head.number, survey.nonce) == (4, 0)
        healer.join()


def test_different_nonces_of_one_block_are_no_authority(node: Node) -> None:
    with before(node.url) as first, before(node.url) as second:
        second.lie = changes("eth_getTransactionCount", result="0x7")
        with pytest.raises(NodesDisagree, match="different nonces at block 3"):
            pool_of(first, second).survey(ACCOUNT, reask_s=0)


def test_what_most_say_counts_and_the_liar_is_distrusted(node: Node) -> None:
    with before(node.url) as first, before(node.url) as second, before(node.url) as liar:
        liar.lie = changes("eth_getTransactionCount", result="0x7")
        pool = pool_of(liar, first, second)
        survey = pool.survey(ACCOUNT, reask_s=0)
        assert (survey.nonce, len(survey.readings)) == (0, 2)
        assert [left.endpoint for left in survey.left_out] == [liar.url]
        assert [health.state for health in pool.health()] == [State.OPEN, State.CLOSED, State.CLOSED]
        assert pool.survey(ACCOUNT, reask_s=0).nonce == 0  # at once: the liar is not asked


def test_two_of_four_are_no_majority(node: Node) -> None:
    with before(node.url) as first, before(node.url) as second, before(node.url) as liar:
        liar.lie = changes("eth_getTransactionCount", result="0x7")
        with before(node.url) as dead:
            dead.fault = fails(500)
            with pytest.raises(NodesDisagree):
                pool_of(liar, first, second, dead).survey(ACCOUNT, reask_s=0)


def test_a_silent_node_costs_the_deadline_and_no_more(node: Node) -> None:
    with before(node.url) as silent:
        silent.fault = is_silent
        began = time.monotonic()
        survey = pool_of(node, silent).survey(ACCOUNT, timeout_s=0.4)
        assert time.monotonic() - began < 0.9
        assert [left.endpoint for left in survey.left_out] == [silent.url]
        with pytest.raises((RpcTimeout, RpcUnavailable)):
            pool_of(silent).survey(ACCOUNT, timeout_s=0.4)


def test_a_survey_never_goes_backwards(node: Node, fork: Node) -> None:
    with before(node.url) as ahead:
        pool = pool_of(ahead, fork)
        send(node)
        assert pool.survey(ACCOUNT).nonce == 1
        ahead.die()
        with pytest.raises(HeadBehind):
            pool.survey(ACCOUNT)


def block(number: int, branch: int = 0) -> Block:
    def name(height: int) -> BlockHash:
        return BlockHash(f"0x{branch:032x}{height:032x}")

    return Block(number, name(number), name(number - 1), 12 * number, 1, 30_000_000)


READINGS = st.lists(
    st.builds(
        lambda number, branch, nonce: (block(number, branch), nonce),
        st.integers(10, 15),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=5,
)


@given(READINGS)
def test_readings_without_a_difference_tell_one_nonce_per_block_and_never_a_falling_one(
    facts: list[tuple[Block, int]],
) -> None:
    given_ = [Reading(f"node{index}", head, nonce) for index, (head, nonce) in enumerate(facts)]
    near, far = ranked(given_, 3)
    assert len(near) + len(far) == len(given_)
    top = near[0].head
    branch = int(top.hash[2:34], 16)
    chain = {number: block(number, branch).hash for number in range(10, 16)}
    if differences(near, chain):
        return
    assert {reading.head.hash for reading in near} <= set(chain.values())
    by_height = sorted(near, key=lambda reading: reading.head.number)
    assert all(reading.nonce <= near[0].nonce for reading in by_height)
    at_top = {reading.nonce for reading in near if reading.head.number == top.number}
    assert len(at_top) == 1


@given(READINGS, st.integers(1, 6))
def test_a_majority_is_more_than_half_of_all_and_of_one_mind(
    facts: list[tuple[Block, int]], silent: int
) -> None:
    readings = [Reading(f"node{index}", head, nonce) for index, (head, nonce) in enumerate(facts)]
    members = len(readings) + silent - 1
    believed, others = majority(readings, members)
    assert len(believed) + len(others) == len(readings)
    if believed:
        assert len(believed) * 2 > members
        assert len(believed) >= 2
        assert len({(reading.head.hash, reading.nonce) for reading in believed}) == 1
