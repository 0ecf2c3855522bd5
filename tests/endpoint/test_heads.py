"""Heads over sockets that die, lie, tell nothing or tell too much: every block once, in order, at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from agent.chain import head as head_module
from agent.chain import listener, subscription
from agent.chain.connection import connected
from agent.chain.head import Heads
from agent.chain.rpc import Rpc
from agent.errors import ChainMismatch, ConfigInvalid
from agent.sim.anvil import free_port
from agent.sim.node import Node
from agent.values.block import Block
from tests.endpoint.faulty import Entry, Proxy, before
from tests.endpoint.teller import Cable, Teller, telling

CHAIN = 31337
NEVER_S = 60.0  # a poll_s so long that what comes cannot have been polled


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class Follower:
    """Reads heads in a thread, as the scheduler does."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.seen: list[Block] = []
        self.times: list[float] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for block in self.heads:
                self.times.append(time.monotonic())
                self.seen.append(block)
        except ChainMismatch as error:
            self.error = error

    def wait(self, count: int, patience_s: float = 5.0) -> list[Block]:
        deadline = time.monotonic() + patience_s
        while len(self.seen) < count:
            assert time.monotonic() < deadline, [block.number for block in self.seen]
            time.sleep(0.002)
        return self.seen

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self.heads.stop()
        self._thread.join(2)
        assert not self._thread.is_alive()


def _is_chain(blocks: list[Block]) -> bool:
    return all(later.parent_hash == one.hash for one, later in pairwise(blocks))


def _subscribed(stack: ExitStack, node: Node, poll_s: float = NEVER_S) -> tuple[Teller, Proxy, Follower]:
    """A socket that tells what the test says, a counted way to the node, and who follows both."""
    teller, proxy = Teller(CHAIN), stack.enter_context(before(node.url))
    url = stack.enter_context(telling(teller))
    follower = stack.enter_context(Follower(Heads(Rpc(proxy.url, 5.0), [url], poll_s=poll_s)))
    assert teller.has_subscriber.wait(5)
    follower.wait(1)
    time.sleep(0.1)  # the look after the socket has opened
    return teller, proxy, follower


def test_a_head_comes_at_once_and_the_node_is_not_asked(stack: ExitStack, node: Node) -> None:
    teller, proxy, follower = _subscribed(stack, node)
    asked = len(proxy.asked)
    for turn in range(5):
        node.mine()
        header, said_at = node.block(), time.monotonic()
        teller.tell(header)
        follower.wait(2 + turn)
        assert follower.times[-1] - said_at < 0.25
    assert _is_chain(follower.seen)
    assert len(proxy.asked) == asked


def test_what_another_subscription_tells_is_not_a_head(stack: ExitStack, node: Node) -> None:
    teller, _, follower = _subscribed(stack, node)
    node.mine()
    teller.tell(node.block(), name="0xsomebody")
    node.mine()
    teller.tell(node.block())
    seen = follower.wait(3)
    assert [block.number for block in seen] == [3, 4, 5]
    assert _is_chain(seen)


def test_a_header_without_a_hash_is_looked_up(stack: ExitStack, node: Node) -> None:
    teller, _, follower = _subscribed(stack, node)
    node.mine()
    teller.tell({**node.block(), "hash": None})
    assert follower.wait(2)[-1].hash == node.block()["hash"]


def test_a_head_that_is_told_before_the_subscription_is_confirmed_counts(
    stack: ExitStack, node: Node
) -> None:
    teller = Teller(CHAIN, early=node.block())
    url = stack.enter_context(telling(teller))
    said = subscription.Subscription(url, 5.0)
    head = said.next(1.0)
    assert head is not None
    assert head.hash == node.block()["hash"]
    assert said.chain_id == CHAIN
    said.close()


def test_a_gap_with_a_reorganisation_in_it_is_filled_with_the_branch_that_won(
    stack: ExitStack, node: Node
) -> None:
    teller, _, follower = _subscribed(stack, node)
    snapshot = node.snapshot()
    for _ in range(2):
        node.mine()
    teller.tell(node.block())
    lost = follower.wait(3)[1:]
    node.revert(snapshot)
    node.set_next_timestamp(lost[-1].timestamp_s + 100)
    for _ in range(5):
        node.mine()
    teller.tell(node.block())
    seen = follower.wait(8)
    branch = [seen[0], *seen[3:]]
    assert [block.number for block in branch] == [3, 4, 5, 6, 7, 8]
    assert _is_chain(branch)
    assert branch[1].hash != lost[0].hash
    assert follower.heads.reorgs == 1


def test_an_old_head_told_late_is_neither_new_nor_a_reorganisation(stack: ExitStack, node: Node) -> None:
    teller, _, follower = _subscribed(stack, node)
    headers = []
    for _ in range(3):
        node.mine()
        headers.append(node.block())
    for header in (headers[2], headers[0], headers[1], headers[2]):
        teller.tell(header)
    node.mine()
    teller.tell(node.block())
    assert [block.number for block in follower.wait(5)] == [3, 4, 5, 6, 7]
    assert follower.heads.reorgs == 0


def test_the_node_may_know_a_block_later_than_the_socket(
    stack: ExitStack, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller, proxy, follower = _subscribed(stack, node)
    hidden = [4]

    def behind(asked: Entry, answer: Entry) -> None:
        if asked["method"] == "eth_getBlockByHash" and hidden[0] > 0:
            hidden[0] -= 1
            answer["result"] = None

    proxy.lie = behind
    for _ in range(2):
        node.mine()
    teller.tell(node.block())
    assert [block.number for block in follower.wait(3)] == [3, 4, 5]
    monkeypatch.setattr(head_module, "LAG_S", 0.1)
    hidden[0] = 10**6  # and if it never does, nobody waits for ever
    for _ in range(2):
        node.mine()
    teller.tell(node.block())
    assert [block.number for block in follower.wait(4)] == [3, 4, 5, 7]


def test_a_hundred_missing_blocks_are_asked_for_in_one_request(stack: ExitStack, node: Node) -> None:
    teller, proxy, follower = _subscribed(stack, node)
    for _ in range(100):
        node.mine()
    asked = len(proxy.asked)
    teller.tell(node.block())
    seen = follower.wait(101)
    assert _is_chain(seen)
    assert [name for name in proxy.asked[asked:] if name == "eth_getBlockByHash"] == []


def test_the_next_socket_takes_over_when_one_dies(stack: ExitStack, node: Node) -> None:
    first, second = Teller(CHAIN), Teller(CHAIN)
    urls = [f"ws://127.0.0.1:{free_port()}"]
    urls += [stack.enter_context(telling(teller)) for teller in (first, second)]
    follower = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), urls, poll_s=NEVER_S)))
    assert first.has_subscriber.wait(5)
    follower.wait(1)
    node.mine()
    first.tell(node.block())
    follower.wait(2)
    first.hang_up()
    assert second.has_subscriber.wait(5)
    for _ in range(3):
        node.mine()
        second.tell(node.block())
    assert [block.number for block in follower.wait(5)] == [3, 4, 5, 6, 7]


def test_a_socket_that_lives_and_tells_nothing_is_given_up(
    stack: ExitStack, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "STALL_S", 0.2)
    monkeypatch.setattr(listener, "SLICE_S", 0.05)
    deaf, other = Teller(CHAIN), Teller(CHAIN)
    urls = [stack.enter_context(telling(teller)) for teller in (deaf, other)]
    follower = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), urls, poll_s=NEVER_S)))
    assert deaf.has_subscriber.wait(5)
    follower.wait(1)
    time.sleep(0.6)  # a quiet chain is no reason to leave
    assert not other.has_subscriber.is_set()
    node.mine()
    assert other.has_subscriber.wait(5)
    assert [block.number for block in follower.wait(2)] == [3, 4]


def test_a_socket_that_is_open_on_one_side_only_is_found_by_its_silence(
    stack: ExitStack, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PING_S", 0.2)
    cable = Cable(node.url)
    stack.callback(cable.close)
    follower = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), [cable.url], poll_s=0.1)))
    follower.wait(1)
    time.sleep(0.3)
    node.mine()
    follower.wait(2)
    cable.cut()
    node.mine()
    assert [block.number for block in follower.wait(3)] == [3, 4, 5]


def test_heads_are_polled_while_a_socket_takes_long_to_open(stack: ExitStack, node: Node) -> None:
    black_hole = socket.create_server(("127.0.0.1", 0))
    stack.callback(black_hole.close)
    url = f"ws://127.0.0.1:{black_hole.getsockname()[1]}"
    follower = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), [url], poll_s=0.05)))
    follower.wait(1)
    for turn in range(3):
        node.mine()
        follower.wait(2 + turn, patience_s=1.0)
    assert _is_chain(follower.seen)


def test_sockets_of_another_chain_are_refused(stack: ExitStack, node: Node) -> None:
    foreign, ours = Teller(1), Teller(CHAIN)
    urls = [stack.enter_context(telling(teller)) for teller in (foreign, ours)]
    follower = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), urls, poll_s=NEVER_S)))
    assert ours.has_subscriber.wait(5)
    ours.hang_up()
    assert ours.has_subscriber.wait(5)
    assert foreign.met == 1  # it is not asked again
    alone = stack.enter_context(Follower(Heads(Rpc(node.url, 5.0), urls[:1], poll_s=NEVER_S)))
    deadline = time.monotonic() + 5
    while alone.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "serves chain 1" in str(alone.error)
    assert follower.error is None


@pytest.mark.parametrize(
    "url", ["http://a.example", "ws://", "ws://a.example:99999", "a.example", "ws://a:0"]
)
def test_what_is_no_address_of_a_socket_is_refused_at_once(url: str, node: Node) -> None:
    with pytest.raises(ConfigInvalid, match=r"rpc\.ws_url"):
        Heads(Rpc(node.url, 5.0), [url])


def test_stopping_waits_for_nothing(node: Node) -> None:
    heads = Heads(Rpc(node.url, 5.0), poll_s=NEVER_S)
    with Follower(heads) as follower:
        follower.wait(1)
        began = time.monotonic()
    assert time.monotonic() - began < 0.5


def test_a_name_that_nobody_answers_for_is_left_behind_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> list[object]:
        time.sleep(3)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connected("node.example", 80, None, began + 0.2)
    assert time.monotonic() - began < 1.5
