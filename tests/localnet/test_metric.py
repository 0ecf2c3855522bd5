"""The page that Prometheus reads, asked over HTTP, while a real lane works on a real chain."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.errors import ConfigInvalid
from agent.market.intent import Urgency
from agent.runtime.aftermath import Aftermath
from agent.runtime.cycle import Pass
from agent.runtime.metric import Metrics, Page, serving
from agent.sim.toolchain import Toolchain
from agent.tx.fees import FeePolicy
from agent.tx.sender import LanePolicy
from tests.lane import Agent, FaultyNode, Lane, running
from tests.unit.planning.book import judged, snapshot

RESCUE = {"urgency": "rescue"}


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with running(toolchain, tmp_path_factory.mktemp("metric")) as lane:
        lane.delegate()
        yield lane


@pytest.fixture
def lane(shared: Lane, tmp_path: Path) -> Iterator[Lane]:
    before = shared.node.snapshot()
    own = replace(shared, folder=tmp_path, agents=[])
    yield own
    for agent in own.agents:
        agent.close()
    shared.node.request("anvil_dropAllTransactions")
    shared.node.revert(before)


@pytest.fixture
def page() -> Iterator[Page]:
    with serving(0, Metrics()) as served:
        yield served


def read(page: Page, name: str, labels: dict[str, str] | None = None) -> float:
    """One sample off the page; 0.0 if there is none of it yet."""
    answer = httpx.get(page.url, timeout=5)
    assert answer.status_code == 200
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == name and sample.labels == (labels or {}):
                return sample.value
    return 0.0


def look(page: Page, agent: Agent) -> None:
    """What a pass tells the page: outcomes, then what is in flight."""
    head = agent.head()
    seen = snapshot(0, (), ())
    outcomes = tuple(Aftermath(outcome) for outcome in agent.observe())
    page.metrics.note(Pass(head, seen, judged(seen), aftermath=outcomes), agent.sender.in_flight())


def test_a_hedge_is_counted_from_its_sending_to_its_end(lane: Lane, page: Page) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    look(page, agent)
    assert read(page, "evenkeel_tx_in_flight", RESCUE) == 1
    assert read(page, "evenkeel_tx_sent_total", RESCUE) == 1
    assert read(page, "evenkeel_tx_in_flight", {"urgency": "normal"}) == 0
    for _ in range(4):
        lane.node.mine()
        look(page, agent)
    assert read(page, "evenkeel_tx_in_flight", RESCUE) == 0
    assert read(page, "evenkeel_tx_stuck_blocks", RESCUE) == 0
    assert read(page, "evenkeel_tx_inclusion_blocks_count", RESCUE) == 1
    assert read(page, "evenkeel_tx_inclusion_blocks_sum", RESCUE) == 1
    assert read(page, "evenkeel_tx_inclusion_seconds_sum", RESCUE) == 12
    assert read(page, "evenkeel_tx_ended_total", RESCUE | {"verdict": "executed"}) == 1
    assert 0 < read(page, "evenkeel_tx_fee_ether_total", RESCUE) < 0.01
    assert 1 < read(page, "evenkeel_tx_price_over_base_fee_sum", RESCUE) < 5
    assert read(page, "evenkeel_passes_total") == 5
    assert read(page, "evenkeel_head_block") == agent.head().number


def test_what_is_stuck_shows_its_age_its_bumps_and_its_cap(lane: Lane, page: Page) -> None:
    policy = LanePolicy(FeePolicy(max_cost_wei=5 * 10**15), confirm_depth=3)
    agent = lane.agent(policy=policy)
    sent = agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    look(page, agent)
    for _ in range(60):
        lane.node.set_next_base_fee(100 * sent.fee.max_fee_wei)
        lane.node.mine()
        look(page, agent)
        if read(page, "evenkeel_tx_capped_total", RESCUE):
            break
    bumps = read(page, "evenkeel_tx_bumps_total", RESCUE)
    assert bumps >= 1
    assert read(page, "evenkeel_tx_stuck_blocks", RESCUE) == read(page, "evenkeel_passes_total") - 1 > bumps
    assert read(page, "evenkeel_tx_inclusion_blocks_count", RESCUE) == 0


def test_an_inclusion_that_is_taken_back_is_a_reorganisation(lane: Lane, page: Page) -> None:
    agent = lane.agent()
    agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
    look(page, agent)
    lane.node.mine()
    look(page, agent)
    lane.reorg(1)
    look(page, agent)
    assert read(page, "evenkeel_tx_reorgs_total", {"urgency": "normal"}) == 1


def test_an_answer_that_proves_nothing_is_counted_once(lane: Lane, page: Page) -> None:
    node = FaultyNode(lane.node.url)
    node.lost_after.add("eth_sendRawTransaction")
    agent = lane.agent(url=node.url)
    agent.sender.submit(lane.hedge(agent), Urgency.RESCUE, agent.head())
    page.metrics.note_lane(agent.sender.in_flight(), agent.head())
    page.metrics.note_lane(agent.sender.in_flight(), agent.head())
    assert read(page, "evenkeel_tx_unknown_replies_total", RESCUE) == 1
    node.heal()
    lane.node.mine()
    look(page, agent)
    assert read(page, "evenkeel_tx_unknown_replies_total", RESCUE) == 1
    node.close()


def test_what_began_before_this_process_is_told_by_its_age_and_not_by_its_seconds(
    lane: Lane, page: Page
) -> None:
    first = lane.agent()
    first.sender.submit(lane.hedge(first), Urgency.RESCUE, first.head())
    first.close()
    lane.agents.clear()
    lane.node.set_next_base_fee(10**12)
    lane.node.mine()
    second = lane.agent()
    look(page, second)
    lane.node.set_next_base_fee(10**9)
    lane.node.mine()
    look(page, second)
    assert read(page, "evenkeel_tx_inclusion_blocks_sum", RESCUE) >= 2
    assert read(page, "evenkeel_tx_inclusion_seconds_count", RESCUE) == 0


def test_the_page_is_for_this_machine_only_and_ends_with_its_context() -> None:
    with serving(0, Metrics()) as page:
        assert page.url.startswith("http://127.0.0.1:")
        assert read(page, "evenkeel_passes_total") == 0
        for urgency in Urgency:  # there from the start, so that a rate can be taken
            assert f'evenkeel_tx_bumps_total{{urgency="{urgency.value}"}} 0.0' in httpx.get(page.url).text
    with pytest.raises(httpx.ConnectError):
        httpx.get(page.url)


def test_a_port_that_is_taken_is_said_by_its_key() -> None:
    with (
        taken_port() as port,
        pytest.raises(ConfigInvalid, match=r"run\.metrics_port"),
        serving(port, Metrics()),
    ):
        pass


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield int(held.getsockname()[1])
