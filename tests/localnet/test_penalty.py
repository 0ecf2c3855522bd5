"""What a liquidation keeps, by our reckoning and by the protocols' own contracts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.market.margin import PenalisedAccount
from agent.sim.localnet import Localnet
from agent.values.address import Address
from agent.values.fixed import WAD, mul_up, ratio_down, ratio_up
from agent.venues.curie import Curie
from agent.venues.lyra import Lyra
from agent.venues.lyra.margin import OptionType, ShortOption

PPM = 10**6


@pytest.fixture
def rpc(localnet: Localnet) -> Iterator[Rpc]:
    connection = Rpc(localnet.url)
    yield connection
    connection.close()


def shorts(net: Localnet, rpc: Rpc) -> list[ShortOption]:
    deployment = net.deployment().lyra
    assert deployment is not None
    block = rpc.block("latest")
    state = read_one(rpc, block, Lyra(deployment).read(Address(net.book.account), block))
    return [cast(ShortOption, margin) for margin in state.margins]


def test_a_shorts_loss_is_what_the_contract_would_keep(localnet: Localnet, rpc: Rpc) -> None:
    """`getLiquidationFees` splits a liquidation; all but premium and what comes back is our loss."""
    held = shorts(localnet, rpc)
    assert len({short.option_type for short in held}) == 3
    for short in held:
        spot_wad = short.prices[short.market]
        is_base = short.option_type is OptionType.SHORT_CALL_BASE
        premium_wad, fee_wad = mul_up(short.mark_wad, short.amount_wad), short.penalty.min_fee_wad
        if is_base:
            premium_wad, fee_wad = ratio_up(premium_wad, spot_wad), ratio_down(fee_wad, spot_wad)
        fees = localnet.lyra.option_token.record(
            "getLiquidationFees", premium_wad, short.collateral_wad, fee_wad, WAD
        )
        kept = short.collateral_wad - cast(int, fees["returnCollateral"]) - premium_wad
        assert isinstance(short, PenalisedAccount)
        assert 0 < short.liquidation_loss_wad <= kept
        assert kept - short.liquidation_loss_wad <= 1


def test_a_perpetual_accounts_loss_is_the_penalty_on_its_positions(localnet: Localnet, rpc: Rpc) -> None:
    deployment = localnet.deployment().curie
    assert deployment is not None
    block, account = rpc.block("latest"), localnet.book.account
    (margin,) = read_one(rpc, block, Curie(deployment).read(Address(account), block)).margins
    penalty_ppm = localnet.curie.config.integer("getLiquidationPenaltyRatio")
    value_wad = localnet.curie.account_balance.integer("getTotalAbsPositionValue", account)
    assert isinstance(margin, PenalisedAccount)
    assert penalty_ppm > 0
    assert margin.liquidation_loss_wad == value_wad * penalty_ppm // PPM > 0
