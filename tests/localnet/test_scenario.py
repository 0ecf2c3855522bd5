"""The scripted market does on the chain what its path says, and its liquidator what the protocols allow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.sim import tick
from agent.sim.deploy.uniswap import pool_price_wad
from agent.sim.liquidator import Liquidator, liquidations
from agent.sim.localnet import Localnet, LocalnetOptions, running
from agent.sim.node import quantity
from agent.sim.path import GWEI, Path, Shape, Step
from agent.sim.scenario import MAX_MOVE, Scenario
from agent.sim.toolchain import Toolchain
from agent.values.fixed import WAD, from_float

START = 2000 * WAD


@pytest.fixture(scope="module")
def still(toolchain: Toolchain) -> Iterator[Localnet]:
    """A chain that mines only when told."""
    with running(toolchain, LocalnetOptions(block_s=30, automine=False)) as net:
        yield net


@pytest.fixture
def net(still: Localnet) -> Iterator[Localnet]:
    snapshot = still.node.snapshot()
    yield still
    still.node.revert(snapshot)


def play(net: Localnet, prices: list[float], premium: float = 0.0) -> None:
    steps = tuple(Step(from_float(price), premium, GWEI) for price in (2000.0, *prices))
    Scenario(net).play(Path(0, Shape(0, 0, 0), steps), 0.0)


def perpetual_price(net: Localnet) -> float:
    return tick.price_wad(int(str(net.curie.pool.call("slot0")[0]))) / WAD


def spot_pool_price(net: Localnet) -> float:
    first_wad = tick.price_wad(int(str(net.uniswap.pool.call("slot0")[0])))
    return pool_price_wad(net.lyra.base, net.lyra.quote, first_wad) / WAD


def test_every_oracle_and_every_pool_is_at_the_paths_price_after_each_block(net: Localnet) -> None:
    for price in (1990.0, 1900.0, 1950.0, 2040.0):
        play(net, [price])
        assert net.spot_wad() == from_float(price)
        assert net.aggregator.call("latestRoundData")[1] == round(price * 10**8)
        assert perpetual_price(net) == pytest.approx(price, rel=0.0003)
        assert spot_pool_price(net) == pytest.approx(price, rel=0.0003)


def test_the_perpetual_stands_at_the_premium_over_the_oracle(net: Localnet) -> None:
    play(net, [1980.0], premium=0.004)
    assert perpetual_price(net) == pytest.approx(1980.0 * 1.004, rel=0.0003)


def test_a_gap_wider_than_the_protocols_step_takes_the_pool_two_blocks(net: Localnet) -> None:
    play(net, [1700.0])
    assert perpetual_price(net) == pytest.approx(2000.0 / MAX_MOVE, rel=0.002)
    play(net, [1700.0])
    assert perpetual_price(net) == pytest.approx(1700.0, rel=0.0003)


def test_blocks_come_at_the_scripts_pace_and_base_fee(net: Localnet) -> None:
    before = net.node.now_s()
    play(net, [2001.0, 2002.0])
    assert net.node.now_s() == before + 60
    assert quantity(net.node.block()["baseFeePerGas"]) == GWEI


def test_nobody_is_liquidated_while_the_market_stands_still(net: Localnet) -> None:
    first = net.node.block_number()
    play(net, [2000.0] * 3)
    assert liquidations(net, first) == []
    assert Liquidator(net).calls() == ()


def test_the_liquidator_takes_whom_the_protocols_call_liquidatable_one_block_after_the_head(
    net: Localnet,
) -> None:
    first = net.node.block_number() + 1
    play(net, [1860.0])
    assert liquidations(net, first) == []
    victims = {bytes(call.data) for call in Liquidator(net).calls()}
    assert victims, "a fall of seven percent makes the weakest short liquidatable"
    play(net, [1860.0])
    found = liquidations(net, first)
    assert {one.block for one in found} == {first + 1}
    assert len(found) == len(victims)
    token = net.lyra.option_token
    for one in found:
        if one.venue == "lyra":
            position = token.record("getOptionPosition", int(one.what.removeprefix("lyra:")))
            assert position["state"] == 3, "liquidated, says the protocol"


def test_a_crash_liquidates_the_book_when_nobody_looks_after_it(net: Localnet) -> None:
    first = net.node.block_number() + 1
    play(net, [2000.0 * (1 - 0.01 * n) for n in range(1, 26)])
    own = [one for one in liquidations(net, first) if one.owner == net.book.account]
    assert [one.venue for one in own] == ["lyra"]
