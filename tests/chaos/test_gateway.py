"""What the storm found about gateways, as small as it can be made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.market.intent import Urgency
from agent.sim.toolchain import Toolchain
from agent.tx.errand import Verdict
from tests.chaos.fault import SEND
from tests.chaos.proxy import Proxy, Rule
from tests.lane import POLICY, Lane, kinds, running, settle

GAS = 150_000  # about what the hedge is allowed
UNDERPRICED = "replacement transaction underpriced"


@pytest.fixture
def lane(toolchain: Toolchain, tmp_path: Path) -> Iterator[Lane]:
    with running(toolchain, tmp_path) as made:
        made.delegate()
        yield made


def test_what_was_taken_and_called_underpriced_is_not_forgotten_at_the_cap(lane: Lane) -> None:
    """A gateway gives it to two nodes, or to one twice, and passes the worse answer on, when the bid cannot
    be raised any more. The hedge that was taken all the same must be recognised when it is mined."""
    proxy = Proxy(lane.node.url)
    try:
        agent = lane.agent(url=proxy.url)
        dear = (
            POLICY.fees.max_cost_wei * 7 // 10 // GAS
        )  # what is asked for leaves no room for ten percent more
        lane.node.set_next_base_fee(dear)
        lane.node.mine()
        gateway = Rule("accepted but 'underpriced'", SEND, words=UNDERPRICED)
        proxy.add(gateway)
        sent = agent.sender.submit(lane.hedge(agent), Urgency.NORMAL, agent.head())
        assert gateway.met == 1
        lane.drop(sent.tx_hash)  # in no block yet
        lane.node.set_next_base_fee(dear)
        lane.node.mine()
        seen = kinds(agent.observe())
        lane.node.set_next_base_fee(1)
        lane.node.mine()
        if lane.effects() == 0:  # the node has had it all along
            lane.node.request("eth_sendRawTransaction", proxy.raws[sent.tx_hash])
        seen += settle(lane, agent)
        assert lane.effects() == 1
        assert Verdict.EXECUTED in {verdict for _, verdict in seen}, seen
    finally:
        proxy.close()
        for other in lane.agents:
            other.close()
