"""The fragments of Lyra's and a token's ABI that we call."""

from __future__ import annotations

from agent.chain.abi import load

LYRA = load("lyra")
ERC20 = load("erc20")
