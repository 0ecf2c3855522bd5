"""Gives an account of a chain of our own any token, by writing the token's own storage."""

from __future__ import annotations

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.errors import RpcRejected, ToolMissing
from agent.sim.node import Node, quantity
from agent.values.address import Address

BALANCE_OF, DECIMALS = bytes.fromhex("70a08231"), bytes.fromhex("313ce567")
SLOTS = 120  # of a mapping of balances: how far proxies with gaps push it
# ERC-7201's place of OpenZeppelin's upgradeable ERC-20
NAMESPACED = 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00


def decimals_of(node: Node, token: Address) -> int:
    """Of the token."""
    return quantity(node.request("eth_call", {"to": token, "data": "0x" + DECIMALS.hex()}, "latest"))


def balance_of(node: Node, token: Address, account: Address) -> int:
    """The raw balance."""
    data = BALANCE_OF + codec.encode(["address"], [account])
    return quantity(node.request("eth_call", {"to": token, "data": "0x" + data.hex()}, "latest"))


def grant(node: Node, token: Address, account: Address, raw: int) -> None:
    """Set the account's balance. Raises ToolMissing where the token keeps balances in no known way."""
    try:
        balance_of(node, token, account)
    except RpcRejected as error:
        raise ToolMissing(tool=f"a way to give {token}", reason="it is no token") from error
    word = f"0x{raw:064x}"
    for slot in (*range(SLOTS), NAMESPACED):
        for kinds, values in (
            (["address", "uint256"], [account, slot]),  # Solidity
            (["uint256", "address"], [slot, account]),  # Vyper
        ):
            place = "0x" + keccak(codec.encode(kinds, values)).hex()
            before = node.request("eth_getStorageAt", token, place, "latest")
            node.request("anvil_setStorageAt", token, place, word)
            if balance_of(node, token, account) == raw:
                return
            node.request("anvil_setStorageAt", token, place, before)
    raise ToolMissing(tool=f"a way to give {token}", reason="its balances are in no mapping we know")
