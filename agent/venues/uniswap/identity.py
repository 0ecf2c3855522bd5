"""Are the configured contracts Uniswap's, and of one deployment? Router and manager name their factory, and
the factory names its pools.

A pool names the factory too, and so do router and manager both: each is also asked for what only it has. The
manager counts tokens. The router has no view of its own, so it is asked for a swap that is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from agent.chain.abi import decode_error
from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import UniswapDeployment
from agent.venues.uniswap.reader import POOL, UNISWAP, Key, pool_questions, terms_of

T = TypeVar("T")

SWAP_LONG_OVER = (ZERO, ZERO, 0, ZERO, 0, 0, 0, 0)  # exactInputSingle with a deadline of 0
TOO_LATE = "Transaction too old"  # PeripheryValidation.checkDeadline, asked before anything else


def identify(uniswap: UniswapDeployment) -> Reading[tuple[Token, ...]]:
    """Quote and asset token of every pool, each once. Raises ContractMismatch naming the address that is
    wrong.
    """
    factory = Address(uniswap.factory)
    askers = {"position manager": uniswap.position_manager, "router": uniswap.swap_router}
    asked: dict[Key, Question] = {
        ("factory", name, ""): Question(Address(address), UNISWAP["factory"])
        for name, address in askers.items()
    }
    manager, router = Address(uniswap.position_manager), Address(uniswap.swap_router)
    asked[("manager", "", "")] = Question(manager, UNISWAP["balanceOf"], (manager,))
    asked[("router", "", "")] = Question(router, UNISWAP["exactInputSingle"], (SWAP_LONG_OVER,))
    for pool in uniswap.pools:
        asked |= pool_questions(pool)
        asked[("price", pool.address, "")] = Question(Address(pool.address), POOL["slot0"])
    replies = yield from ask(asked)
    named = {
        name: _answered(replies[("factory", name, "")], f"Uniswap's {name}", lambda found: found.address)
        for name in askers
    }
    _answered(replies[("manager", "", "")], "Uniswap's position manager", lambda found: found.integer)
    late = replies[("router", "", "")]
    if late.ok or TOO_LATE not in decode_error(late.answer.data):
        raise ContractMismatch(
            target=router, expected="Uniswap's router", reason="it does not refuse a swap for being late"
        )
    if factory not in named.values() and len(set(named.values())) == 1:
        raise ContractMismatch(
            target=factory,
            expected="the factory of Uniswap's position manager and router",
            reason=f"they name {named['router']}",
        )
    for name, address in askers.items():
        if named[name] != factory:
            raise ContractMismatch(
                target=address,
                expected=f"the {name} of Uniswap's factory {factory}",
                reason=f"it names {named[name]}",
            )
    tokens: dict[Address, Token] = {}
    lookups: dict[Key, Question] = {}
    for pool in uniswap.pools:
        for key in pool_questions(pool):
            is_token = key[0] in {"symbol", "decimals"}
            expected = "a token of Uniswap's pool" if is_token else "a Uniswap v3 pool"
            _answered(replies[key], expected, lambda found: found.outputs)
        terms = terms_of(pool, replies)
        tokens |= {token.address: token for token in (terms.quote_token, terms.asset_token)}
        price = _answered(
            replies[("price", pool.address, "")], "a Uniswap v3 pool", lambda found: found.integers
        )
        if price[0] == 0:
            raise ContractMismatch(
                target=pool.address, expected="a pool with a price", reason="it was never initialised"
            )
        lookups[("pool", pool.address, "")] = Question(
            factory, UNISWAP["getPool"], (pool.asset_token, pool.quote_token, terms.fee_ppm)
        )
    known = yield from ask(lookups)
    for (_, pool_address, _), reply in known.items():
        found = _answered(reply, "Uniswap's factory", lambda answer: answer.address)
        if found != pool_address:
            raise ContractMismatch(
                target=pool_address,
                expected=f"a pool of Uniswap's factory {factory}",
                reason=f"that names {found} for its tokens and fee",
            )
    return tuple(tokens.values())


def _answered(reply: Reply, expected: str, decode: Callable[[Reply], T]) -> T:
    """The decoded reply; without one the contract is another. Raises ContractMismatch."""
    try:
        return decode(reply)
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=reply.question.target, expected=expected, reason=error.sentence.removesuffix(".")
        ) from error
