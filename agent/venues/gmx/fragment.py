"""What GMX's contracts are asked, and the names and numbers both sides of the venue share."""

from __future__ import annotations

from collections.abc import Mapping

from agent.chain.abi import load
from agent.chain.question import Reply
from agent.values.address import Address, MarketId

GMX, ERC20 = load("gmx"), load("erc20")

MARKET_INCREASE, LIMIT_INCREASE, MARKET_DECREASE = 2, 3, 4
LIMIT_DECREASE, STOP_LOSS, LIQUIDATION, STOP_INCREASE = 5, 6, 7, 8
INCREASES = frozenset({MARKET_INCREASE, LIMIT_INCREASE, STOP_INCREASE})
MARKET_ORDERS = frozenset({MARKET_INCREASE, MARKET_DECREASE})
MOST_POSITIONS, MOST_ORDERS = 64, 64  # of one account, in one answer

Key = tuple[object, ...]
Replies = Mapping[Key, Reply]


def market_name(market: Address) -> MarketId:
    """ "gmx:0x..." by the market token; the price of its index token goes by this name, too."""
    return MarketId(f"gmx:{market}")


def token_name(token: Address) -> MarketId:
    """The price of a token that is not the index."""
    return MarketId(f"gmx:token:{token}")


def position_name(key: bytes) -> str:
    """ "gmx:position:0x...", of a position and of its margin account."""
    return f"gmx:position:0x{key.hex()}"
