"""What is told of requests does not depend on how a node words it, and the record is all that is needed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.chain.rpc import Rpc
from agent.errors import ReadUnpinned
from agent.market.request import Phase, Request
from agent.runtime.docket import DEPTH, TOLD, Docket, request_of
from agent.runtime.metric import Metrics
from agent.runtime.summary import request_json
from agent.sim.toolchain import Toolchain
from agent.values.address import BlockHash, MarketId, TxHash
from agent.values.fixed import WAD
from agent.values.log import Filter, Log
from tests.keeper.world import World, fresh, world


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(toolchain, tmp_path_factory.mktemp("docket")) as made:
        yield made


@pytest.fixture
def book(shared: World, tmp_path: Path) -> Iterator[World]:
    with fresh(shared, tmp_path) as own:
        yield own


class Stammering(Rpc):
    """Tells every event several times and in any order."""

    def logs(self, wanted: Filter, first: int, last: int) -> list[Log]:
        told = super().logs(wanted, first, last) * 3
        random.Random(len(told)).shuffle(told)
        return told


def test_events_that_come_twice_and_in_any_order_are_told_once(book: World) -> None:
    book.step()
    rpc = Stammering(book.node.url)
    desk = book.desk
    object.__setattr__(desk.eye, "rpc", rpc)
    book.step()
    for share in (0.25, 0.5):
        (key,) = book.waiting()
        size_wad = int(str(book.late.call("orders", key)[1]))
        book.do("execute", key, int(size_wad * share), 2000 * WAD, False)
        book.step()
    book.do("cancel", book.waiting()[0], "enough")
    book.step()
    entries = desk.recorder.entries(kinds=(TOLD,))  # type: ignore[union-attr]
    told = [(entry.payload["phase"], entry.payload["filled"]) for entry in entries]
    assert told == [
        ("requested", "0"),
        ("requested", "-0.05"),
        ("requested", "-0.15"),
        ("partly", "-0.15"),
    ]
    rpc.close()


class Forked(Rpc):
    """Has moved to another fork since the head was read."""

    def logs(self, wanted: Filter, first: int, last: int) -> list[Log]:
        other = BlockHash("0x" + "ff" * 32)
        return [
            replace(log, block_number=last, block_hash=other) for log in super().logs(wanted, first, last)
        ]


def test_events_of_another_fork_are_not_read(book: World) -> None:
    book.step()
    seen = book.desk.eye.see(book.account, book.desk.eye.rpc.block("latest"))
    rpc = Forked(book.node.url)
    with pytest.raises(ReadUnpinned):
        Docket().look(rpc, book.desk.eye.venues, seen, book.policy, None, is_quiet=True)
    rpc.close()


def test_a_request_survives_the_record() -> None:
    told = Request(
        "v", "0x12", MarketId("v:m"), "ETH", -3 * WAD + 1, 2001 * WAD + 7, 5, 10, 20, Phase.FROZEN,
        -WAD, 1999 * WAD, "cold", "v:margin", 77, TxHash("0x" + "ab" * 32),
    )  # fmt: skip
    assert request_of(request_json(told)) == told


def test_the_metrics_tell_what_waits_and_what_came_of_it(book: World) -> None:
    metrics = Metrics()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    book.step()
    metrics.note(book.step(), ())
    assert value("evenkeel_requests_open", venue="late", phase="requested") == 1
    assert value("evenkeel_requests_total", venue="late", phase="requested") == 1
    naked = value("evenkeel_naked_usd_seconds")
    assert naked is not None and 0 < naked <= 2000 * 120
    for done in book.settled():
        metrics.note(done, ())
    assert value("evenkeel_requests_total", venue="late", phase="expired") == 1
    assert value("evenkeel_requests_open", venue="late", phase="requested") is None
    assert value("evenkeel_naked_usd_seconds") == 0


def test_what_ended_beside_a_request_that_waits_long_is_told_once(book: World) -> None:
    """Its birth is looked at for as long as the older one is open: it is no news then."""
    docket, rpc = Docket(), Rpc(book.node.url)
    venue = next(one for one in book.desk.eye.venues if one.name == "late")

    def look() -> list[tuple[str, str]]:
        snapshot = book.desk.eye.see(book.account, rpc.block("latest"))
        turns = docket.look(rpc, (venue,), snapshot, book.policy, None, is_quiet=False)
        return [(turn.request.key, turn.request.phase.value) for turn in turns]

    for units in (1, 2):
        data = "0x" + book.late.encode("request", -units * WAD, 1900 * WAD).hex()
        order = {"from": book.account, "to": book.late.address, "data": data, "value": hex(WAD)}
        book.node.request("eth_sendTransaction", order)
        book.node.mine()
    first, second = book.waiting()
    assert len(look()) == 2
    book.do("cancel", second, "no")
    assert look() == [("0x" + second.hex(), "cancelled")]
    for _ in range(2):
        book.node.request("anvil_mine", hex(DEPTH))
        assert ("0x" + second.hex(), "cancelled") not in look()
    book.do("execute", first, -WAD, 2000 * WAD, False)
    assert look() == [("0x" + first.hex(), "executed")]
    rpc.close()
