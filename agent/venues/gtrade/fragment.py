"""What gTrade's diamond is asked, and the names and scales both sides of the venue share."""

from __future__ import annotations

from collections.abc import Mapping

from agent.chain.abi import load
from agent.chain.question import Reply
from agent.values.address import Address, MarketId
from agent.values.fixed import rescale_down

GTRADE, ERC20 = load("gtrade"), load("erc20")

PRICE_DECIMALS = 10
UNIT_WAD = 10**8  # the last place of a price
P_10 = 10**10  # prices, and percents: 1 % is 1e10
PERCENT = 100 * P_10  # 100 %
LEVERAGE = 1_000  # 1.0
YEAR_S = 365 * 86_400

# ITradingStorage.PendingOrderType
MARKET_OPEN, MARKET_CLOSE = 0, 1
UPDATE_LEVERAGE, PARTIAL_OPEN, PARTIAL_CLOSE = 7, 8, 9
TRADE = 0  # ITradingStorage.TradeType: the others wait for their price
V9_2, V10 = 1, 2  # ITradingStorage.ContractsVersion
ACTIVATED, CLOSE_ONLY = 0, 1  # ITradingStorage.TradingActivated
TRADES, PENDING_ORDERS = 0, 1  # ITradingStorage.CounterType
DEFAULT_SLIPPAGE = 1_000  # of a close, where the trade has none of its own: 1 % at 1e3
SLIPPAGE = 100_000  # 100 % at 1e3

Key = tuple[object, ...]
Replies = Mapping[Key, Reply]


def market_name(pair: int) -> MarketId:
    """ "gtrade:1" by the pair's number in the contract."""
    return MarketId(f"gtrade:{pair}")


def trade_name(index: int) -> str:
    """ "gtrade:trade:0", of a position and of its margin account."""
    return f"gtrade:trade:{index}"


def order_name(owner: Address, index: int) -> str:
    """The key of a request: whose order, and its number among theirs."""
    return f"{owner}:{index}"


def order_of(key: str) -> tuple[Address, int]:
    """And back."""
    owner, _, index = key.rpartition(":")
    return Address(owner), int(index)


def wad_of(price: int) -> int:
    """A price of the contract's ten decimals, exactly."""
    return price * UNIT_WAD


def unit_of(price_wad: int) -> int:
    """And back, rounded down."""
    return rescale_down(price_wad, 18, PRICE_DECIMALS)
