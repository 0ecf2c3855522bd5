"""What the protocols' own contracts refuse is said in their words; and no limit is guessed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from agent.chain.abi import load
from agent.chain.rpc import Rpc
from agent.chain.vocabulary import vocabulary
from agent.errors import RpcRejected, SimulationReverted
from agent.sim.localnet import Localnet
from agent.tx.executor import Hedge, Intent
from agent.tx.revert import sentence
from agent.tx.simulation import Simulated, Simulator
from agent.values.address import ZERO, Address
from agent.values.call import Call
from agent.values.fixed import WAD
from tests.lane import FaultyNode

LYRA, CURIE, ERC20 = load("lyra"), load("curie"), load("erc20")
SIMULATE = "eth_simulateV1"
STRANGER = Address("0x00000000000000000000000000000000000000bB")  # has margin nowhere


@dataclass(frozen=True)
class Nodes:
    """The chain's own node, and the same without eth_simulateV1, as older ones are."""

    own: str
    older: str


@pytest.fixture(scope="module")
def nodes(localnet: Localnet) -> Iterator[Nodes]:
    older = FaultyNode(localnet.url)
    older.refused[SIMULATE] = (-32601, "the method eth_simulateV1 does not exist")
    yield Nodes(localnet.url, older.url)
    older.close()


def simulated(net: Localnet, url: str, call: Call, account: Address = ZERO) -> Simulated:
    rpc = Rpc(url)
    try:
        intent = Intent(net.node.chain_id(), net.book.account if account == ZERO else account, 0)
        hedge = Hedge(intent, 2**40, (call,), (), ())
        simulator = Simulator(rpc, net.executor.address)
        return simulator.simulate(hedge, "latest", 30_000_000, assume_delegated=True)
    finally:
        rpc.close()


def refusal(net: Localnet, url: str, call: Call, account: Address = ZERO) -> str:
    with pytest.raises(SimulationReverted) as caught:
        simulated(net, url, call, account)
    return str(caught.value.fields["reason"])


def option_trade(net: Localnet, **changes: int) -> Call:
    """One of the strike of the book's first option, refused or not by what is changed."""
    positions = cast(
        list[dict[str, int]], net.lyra.option_token.records("getOwnerPositions", net.book.account)
    )
    held = next(p for p in positions if p["positionId"] == net.book.option_ids[0])
    terms = {
        "strikeId": held["strikeId"],
        "positionId": 0,
        "iterations": 1,
        "optionType": 0,
        "amount": WAD,
        "setCollateralTo": 0,
        "minTotalCost": 0,
        "maxTotalCost": 10**6 * WAD,
    } | changes
    return LYRA["openPosition"].at(net.lyra.option_market.address, tuple(terms.values()))


@pytest.mark.parametrize("older", [False, True], ids=["simulated", "called"])
class TestRefusals:
    def url(self, nodes: Nodes, older: bool) -> str:
        return nodes.older if older else nodes.own

    def test_a_withdrawal_beyond_the_free_collateral(
        self, localnet: Localnet, nodes: Nodes, older: bool
    ) -> None:
        token = localnet.lyra.quote.address
        call = CURIE["withdraw"].at(localnet.curie.vault.address, token, 10**30)
        said = refusal(localnet, self.url(nodes, older), call)
        assert "V_NEFC: not enough free collateral to withdraw" in said
        assert said.endswith("[curie.withdraw]")

    def test_a_trade_without_margin(self, localnet: Localnet, nodes: Nodes, older: bool) -> None:
        order = (localnet.curie.base.address, False, True, 1_000 * WAD, 0, 2**40, 0, bytes(32))
        call = CURIE["openPosition"].at(localnet.curie.clearing_house.address, order)
        said = refusal(localnet, self.url(nodes, older), call, STRANGER)
        assert "CH_NEFCI: not enough free collateral for the initial margin" in said

    def test_a_trade_past_its_bound(self, localnet: Localnet, nodes: Nodes, older: bool) -> None:
        order = (localnet.curie.base.address, False, True, 10 * WAD, 10**9 * WAD, 2**40, 0, bytes(32))
        call = CURIE["openPosition"].at(localnet.curie.clearing_house.address, order)
        assert "CH_TLRL: a buy would bring less than its bound" in refusal(
            localnet, self.url(nodes, older), call
        )

    def test_an_option_past_its_price(self, localnet: Localnet, nodes: Nodes, older: bool) -> None:
        said = refusal(localnet, self.url(nodes, older), option_trade(localnet, maxTotalCost=1))
        market = localnet.lyra.option_market.address
        assert f"TotalCostOutsideOfSpecifiedBounds(thrower={market.lower()}, totalCost=" in said
        assert "minCost=0, maxCost=1)" in said
        assert "[lyra.openPosition]" in said

    def test_an_option_of_a_strike_that_is_not_there(
        self, localnet: Localnet, nodes: Nodes, older: bool
    ) -> None:
        said = refusal(localnet, self.url(nodes, older), option_trade(localnet, strikeId=9999))
        assert "InvalidStrikeId(thrower=" in said
        assert "strikeId=9999" in said

    def test_a_short_with_too_little_collateral(self, localnet: Localnet, nodes: Nodes, older: bool) -> None:
        call = option_trade(localnet, optionType=4, setCollateralTo=1)
        said = refusal(localnet, self.url(nodes, older), call)
        assert "AdjustmentResultsInMinimumCollateralNotBeingMet(thrower=" in said

    def test_a_token_that_is_not_there(self, localnet: Localnet, nodes: Nodes, older: bool) -> None:
        call = ERC20["transfer"].at(localnet.lyra.quote.address, localnet.roles["owner"], 10**30)
        assert "exceeds balance" in refusal(localnet, self.url(nodes, older), call)


def test_an_estimate_that_fails_is_no_reason_to_guess_a_limit(localnet: Localnet) -> None:
    """The call holds, the estimate does not: then there is no limit to send with."""
    node = FaultyNode(localnet.url)
    node.refused[SIMULATE] = (-32601, "the method eth_simulateV1 does not exist")
    held = ERC20["approve"].at(localnet.lyra.quote.address, localnet.roles["owner"], 1)
    assert simulated(localnet, node.url, held).gas > 21_000
    node.refused["eth_estimateGas"] = (3, "execution reverted: gas required exceeds allowance")
    with pytest.raises(SimulationReverted):
        simulated(localnet, node.url, held)
    node.refused["eth_estimateGas"] = (-32000, "the estimator is on holiday")
    with pytest.raises(RpcRejected):
        simulated(localnet, node.url, held)
    node.close()


def test_a_simulation_that_fails_for_the_nodes_own_reasons_is_no_limit_either(localnet: Localnet) -> None:
    node = FaultyNode(localnet.url)
    node.refused[SIMULATE] = (-38026, "client limit exceeded")
    held = ERC20["approve"].at(localnet.lyra.quote.address, localnet.roles["owner"], 1)
    with pytest.raises(RpcRejected):
        simulated(localnet, node.url, held)
    node.close()


def test_every_error_of_the_abis_is_known_by_its_name() -> None:
    errors = vocabulary().errors
    assert len(errors) >= 90
    for selector, (name, kinds, fields) in errors.items():
        assert len(kinds) == len(fields)
        assert sentence(selector + bytes(32 * 40)).startswith((name, f"malformed {name}"))
    assert {code.partition("_")[0] for code in vocabulary().codes} >= {"CH", "EX", "V"}


def test_an_error_nobody_knows_keeps_its_selector_and_its_data() -> None:
    assert sentence(bytes.fromhex("deadbeef") + bytes(31) + b"\x07") == f"error 0xdeadbeef(data=0x{7:064x})"
    assert cast(str, sentence(b"")).startswith("reverted without data")
