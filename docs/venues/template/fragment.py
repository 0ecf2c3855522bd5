"""The fragments of the ABIs that are called, and the names of things."""

from __future__ import annotations

from agent.chain import abi
from agent.values.address import Address, MarketId

EXAMPLE = abi.load("example")
ERC20 = abi.load("erc20")
NAME = "example"


def market_of(perps: Address) -> MarketId:
    """From the contract's address, never from a symbol. It is the position's and the account's key, too."""
    return MarketId(f"{NAME}:{perps}")
