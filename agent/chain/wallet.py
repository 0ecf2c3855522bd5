"""Readings of what an account itself holds."""

from __future__ import annotations

from collections.abc import Sequence

from agent.chain.abi import load
from agent.errors import ContractMismatch
from agent.values.address import Address
from agent.values.amount import Amount, Token
from agent.values.call import Reading

MAX_DECIMALS = 36


def read_tokens(addresses: Sequence[Address]) -> Reading[tuple[Token, ...]]:
    """The ERC-20 tokens at ``addresses``. Raises ContractMismatch on a contract that is none."""
    erc20 = load("erc20")
    calls = [erc20["decimals"].at(a) for a in addresses] + [erc20["symbol"].at(a) for a in addresses]
    answers = yield tuple(calls)
    tokens = []
    for index, address in enumerate(addresses):
        at = index + len(addresses)
        if not answers[index].ok or not answers[index].data:
            raise ContractMismatch(target=address, expected="an ERC-20 token", reason="it has no decimals()")
        decimals = erc20["decimals"].integer(calls[index], answers[index])
        if decimals > MAX_DECIMALS:
            raise ContractMismatch(
                target=address, expected="an ERC-20 token", reason=f"it says {decimals} decimals"
            )
        tokens.append(Token(address, erc20["symbol"].text(calls[at], answers[at]), decimals))
    return tuple(tokens)


def read_balances(account: Address, tokens: Sequence[Token]) -> Reading[tuple[Amount, ...]]:
    """What ``account`` holds of each token, in their order."""
    balance_of = load("erc20")["balanceOf"]
    calls = tuple(balance_of.at(token.address, account) for token in tokens)
    answers = yield calls
    return tuple(
        Amount(token, balance_of.integer(call, answer))
        for token, call, answer in zip(tokens, calls, answers, strict=True)
    )


def read_allowances(owner: Address, spender: Address, tokens: Sequence[Token]) -> Reading[tuple[Amount, ...]]:
    """How much of each of ``owner``'s tokens ``spender`` may take."""
    allowance = load("erc20")["allowance"]
    calls = tuple(allowance.at(token.address, owner, spender) for token in tokens)
    answers = yield calls
    return tuple(
        Amount(token, allowance.integer(call, answer))
        for token, call, answer in zip(tokens, calls, answers, strict=True)
    )
