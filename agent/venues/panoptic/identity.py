"""Are the configured contracts Panoptic's, and do they name each other? The pool names its vaults, its
engine, its position manager and its Uniswap pool; each vault names the pool and its token; the position
manager knows the Uniswap pool by the pool's number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, DecodeMismatch, ReadReverted
from agent.values.address import ZERO, Address
from agent.values.amount import Token
from agent.values.call import Reading
from agent.venues.deployments import PanopticDeployment, PanopticPool
from agent.venues.panoptic.ledger import PANOPTIC
from agent.venues.panoptic.reader import (
    CONSTANTS,
    POOL,
    Key,
    Replies,
    denomination_of,
    token_questions,
    trackers_of,
)
from agent.venues.panoptic.token_id import pool_of

T = TypeVar("T")

LINKS = (
    ("collateral0", "collateralToken0"),
    ("collateral1", "collateralToken1"),
    ("risk_engine", "riskEngine"),
)
WORD = 32


def identify(panoptic: PanopticDeployment) -> Reading[tuple[Token, ...]]:
    """Quote and asset token of every pool, each once. Raises ContractMismatch naming the address that is
    wrong.
    """
    first: dict[Key, Reply] = yield from ask(
        {key: question for pool in panoptic.pools for key, question in _first(pool).items()}
    )
    lookups: dict[Key, Question] = {}
    for pool in panoptic.pools:
        _check(panoptic, pool, first)
        number = first[("number", pool.address, "")].integer
        lookups[("amm", pool.address, "")] = Question(
            Address(panoptic.position_manager), PANOPTIC["getUniswapV3PoolFromId"], (number,)
        )
    second: dict[Key, Reply] = yield from ask(lookups)
    tokens: dict[Address, Token] = {}
    for pool in panoptic.pools:
        found = _answered(
            second[("amm", pool.address, "")], "Panoptic's position manager", lambda a: a.address
        )
        if found != pool.uniswap_pool:
            raise ContractMismatch(
                target=pool.uniswap_pool,
                expected=f"the Uniswap pool of the Panoptic pool {pool.address}",
                reason=f"the position manager names {found}",
            )
        terms = denomination_of(pool, first)
        tokens |= {token.address: token for token in (terms.quote_token, terms.asset_token)}
    return tuple(tokens.values())


def _first(pool: PanopticPool) -> dict[Key, Question]:
    address = Address(pool.address)
    asked = token_questions(pool)
    asked |= {(name, address, ""): Question(address, PANOPTIC[view]) for name, view in LINKS}
    asked |= {
        ("number", address, ""): Question(address, PANOPTIC["poolId"]),
        ("manager", address, ""): Question(address, PANOPTIC["poolManager"]),
        ("key", address, ""): Question(address, PANOPTIC["poolKey"]),
        ("positions", address, ""): Question(address, PANOPTIC["SFPM"]),
        ("spacing", address, ""): Question(Address(pool.uniswap_pool), POOL["tickSpacing"]),
    }
    asked |= {
        ("engine", address, name): Question(Address(pool.risk_engine), PANOPTIC[name]) for name in CONSTANTS
    }
    for kind, tracker in enumerate(trackers_of(pool)):
        asked |= {
            (name, address, kind): Question(tracker, PANOPTIC[name])
            for name in ("panopticPool", "underlyingToken", "underlyingIsToken0")
        }
    return asked


def _check(panoptic: PanopticDeployment, pool: PanopticPool, replies: Replies) -> None:
    address = Address(pool.address)
    for name, view in LINKS:
        named = _answered(replies[(name, address, "")], "a Panoptic pool", lambda a: a.address)
        if named != getattr(pool, name):
            raise _wrong(getattr(pool, name), f"what {address} calls its {view}", f"it names {named}")
    if _answered(replies[("manager", address, "")], "a Panoptic pool", lambda a: a.address) != ZERO:
        raise _wrong(address, "a Panoptic pool over Uniswap v3", "it stands on Uniswap v4, which is not read")
    manager = _answered(replies[("positions", address, "")], "a Panoptic pool", lambda a: a.address)
    if manager != panoptic.position_manager:
        raise _wrong(panoptic.position_manager, f"the position manager of {address}", f"it names {manager}")
    key = _answered(replies[("key", address, "")], "a Panoptic pool", lambda a: cast(bytes, a.outputs[0]))
    if key[:WORD] != bytes(12) + bytes.fromhex(pool.uniswap_pool[2:]):
        raise _wrong(pool.uniswap_pool, f"the Uniswap pool of {address}", f"its key is 0x{key.hex()}")
    for name in CONSTANTS:
        _answered(replies[("engine", address, name)], "Panoptic's risk engine", lambda a: a.integer)
    spacing = _answered(replies[("spacing", address, "")], "a Uniswap v3 pool", lambda a: a.integer)
    number = _answered(replies[("number", address, "")], "a Panoptic pool", lambda a: a.integer)
    if pool_of(number).spacing != spacing:
        raise _wrong(address, f"a pool of tick spacing {spacing}", f"its number is {number:#x}")
    for key_of_token in token_questions(pool):
        _answered(replies[key_of_token], "a token of a Panoptic pool", lambda a: a.outputs)
    terms = denomination_of(pool, replies)
    for kind, tracker in enumerate(trackers_of(pool)):
        owner = _answered(replies[("panopticPool", address, kind)], "a vault", lambda a: a.address)
        token = _answered(replies[("underlyingToken", address, kind)], "a vault", lambda a: a.address)
        is_first = _answered(replies[("underlyingIsToken0", address, kind)], "a vault", lambda a: a.integer)
        if owner != address:
            raise _wrong(tracker, f"a vault of {address}", f"it is one of {owner}")
        if token != terms.tokens[kind].address or bool(is_first) != (kind == 0):
            raise _wrong(tracker, f"the vault of {terms.tokens[kind].address}", f"it is of {token}")


def _wrong(target: str, expected: str, reason: str) -> ContractMismatch:
    return ContractMismatch(target=target, expected=expected, reason=reason)


def _answered(reply: Reply, expected: str, decode: Callable[[Reply], T]) -> T:
    """The decoded reply; without one the contract is another. Raises ContractMismatch."""
    try:
        return decode(reply)
    except (ReadReverted, DecodeMismatch) as error:
        raise ContractMismatch(
            target=reply.question.target, expected=expected, reason=error.sentence.removesuffix(".")
        ) from error
