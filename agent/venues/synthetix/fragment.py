"""What the perps market, its spot market, oracle and account token are asked, and in which numbers."""

from __future__ import annotations

from collections.abc import Mapping

from agent.chain.abi import load
from agent.chain.question import Reply
from agent.values.address import MarketId

SYNTHETIX, ERC20 = load("synthetix"), load("erc20")
PERPS_PRICE, SPOT_PRICE = "indexPrice(uint128)", "indexPrice(uint128,uint128,uint8)"

USD_ID = 0  # the collateral that is the dollar token itself
STRATEGY_ID = 0  # the settlement strategy that our orders name
SELL, DEFAULT_TOLERANCE = 2, 0  # how available margin prices a synth
SETTLEMENT, FLAG, LIQUIDATE = range(3)  # KeeperCosts: kinds of a keeper's transaction

Key = tuple[str, object]
Replies = Mapping[Key, Reply]


def market_name(market_id: int) -> MarketId:
    """ "synthetix:market:100"."""
    return MarketId(f"synthetix:market:{market_id}")


def synth_name(collateral_id: int) -> MarketId:
    """The price of a synth, which moves the margin as a market's does."""
    return MarketId(f"synthetix:synth:{collateral_id}")
