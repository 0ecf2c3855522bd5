"""Which calls read an account's liquidity, and how their answers become its state: four rounds of them.

First the pools and how many liquidity tokens the account has; then which ones, and the pools' bitmaps around
the price; then the tokens' positions and the pools' ticks; then the fees inside the positions' ranges.
Liquidity in a pool that is not configured is not part of the book: anybody can send such a token to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from eth_utils.crypto import keccak

from agent.chain.abi import load
from agent.chain.question import Question, Reply, Round, ask_again
from agent.chain.question import Replies as LastingReplies
from agent.chain.shelf import Shelf
from agent.errors import ContractMismatch
from agent.pricing.pool import Pool, ticks_in, words_between
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.deployments import UniswapDeployment, UniswapPool
from agent.venues.uniswap.margin import Claim, Range, growth_inside_x128
from agent.venues.uniswap.offer import REACH_TICKS, Terms
from agent.venues.uniswap.state import Holding, PoolView, UniswapState

UNISWAP, POOL, ERC20 = load("uniswap"), load("uniswap_pool"), load("erc20")
MANAGER_POSITION, POOL_POSITION = UNISWAP["positions(uint256)"], UNISWAP["positions(bytes32)"]
DECIMALS_MOST = 18

Key = tuple[str, object, object]
Replies = Mapping[Key, Reply]


@dataclass(frozen=True, slots=True)
class _Token:
    """A liquidity token as the manager books it."""

    token_id: int
    pool: Address
    range: Range
    claims: tuple[Claim, Claim]


def read(uniswap: UniswapDeployment, account: Address, block: Block, shelf: Shelf) -> Reading[UniswapState]:
    """The account at ``block``. Raises ReadReverted, DecodeMismatch or ContractMismatch.

    What is asked is mostly what was asked of the block before: it is on the ``shelf``.
    """
    del block  # nothing here depends on the time
    manager = Address(uniswap.position_manager)
    first = yield from ask_again(shelf.get("first", account, lambda: Round(_first(uniswap, account))))
    slots = {Address(pool.address): _slot(pool, first) for pool in uniswap.pools}
    count = first[("count", "", "")].integer
    words = _words(slots, first)
    asked = shelf.get(
        "second", (account, count, words), lambda: Round(_second(manager, account, count, words))
    )
    second = yield from ask_again(asked)
    ticks = _ticks(words, first, second)
    ids = tuple(second[("token", "", index)].integer for index in range(count))
    asked = shelf.get("third", (ids, ticks), lambda: Round(_third(manager, ids, ticks)))
    third = yield from ask_again(asked)
    found = {_identity(pool, first): Address(pool.address) for pool in uniswap.pools}
    tokens = [
        token
        for token_id in ids
        if (token := _token(token_id, found, third[("position", "", token_id)])) is not None
    ]
    ranges = tuple((token.pool, token.range) for token in tokens)
    fourth = yield from ask_again(shelf.get("fourth", ranges, lambda: Round(_growth(tokens, manager))))
    views = {
        Address(pool.address): _view(pool, first, third, ticks[Address(pool.address)], shelf)
        for pool in uniswap.pools
    }
    holdings = tuple(_holding(token, views[token.pool], manager, first, fourth) for token in tokens)
    return UniswapState(
        pools=tuple(views.values()),
        holdings=tuple(held for held in holdings if held.range.liquidity or any(held.owed)),
    )


def _second(
    manager: Address, account: Address, count: int, words: Mapping[Address, range]
) -> dict[Key, Question]:
    asked: dict[Key, Question] = {
        ("token", "", index): Question(manager, UNISWAP["tokenOfOwnerByIndex"], (account, index))
        for index in range(count)
    }
    return asked | {
        ("bitmap", pool, word): Question(pool, POOL["tickBitmap"], (word,))
        for pool, own in words.items()
        for word in own
    }


def _third(
    manager: Address, ids: Sequence[int], ticks: Mapping[Address, tuple[int, ...]]
) -> dict[Key, Question]:
    asked: dict[Key, Question] = {
        ("position", "", token_id): Question(manager, MANAGER_POSITION, (token_id,)) for token_id in ids
    }
    return asked | {
        ("tick", pool, tick): Question(pool, POOL["ticks"], (tick,))
        for pool, own in ticks.items()
        for tick in own
    }


def pool_questions(pool: UniswapPool) -> dict[Key, Question]:
    """What `terms_of` needs."""
    address = Address(pool.address)
    asked: dict[Key, Question] = {
        ("token0", address, ""): Question(address, POOL["token0"]),
        ("token1", address, ""): Question(address, POOL["token1"]),
        ("fee", address, ""): Question(address, UNISWAP["fee"]),
    }
    for token in (Address(pool.asset_token), Address(pool.quote_token)):
        asked |= {
            ("symbol", token, ""): Question(token, ERC20["symbol"]),
            ("decimals", token, ""): Question(token, ERC20["decimals"]),
        }
    return asked


def terms_of(pool: UniswapPool, replies: Replies) -> Terms:
    """The pool in asset and quote. Raises ContractMismatch if it is of other tokens."""
    address = Address(pool.address)
    tokens = [replies[(name, address, "")].address for name in ("token0", "token1")]
    if sorted(tokens) != sorted((pool.asset_token, pool.quote_token)):
        raise ContractMismatch(
            target=address,
            expected=f"a pool of {pool.asset_token} and {pool.quote_token}",
            reason=f"it is of {tokens[0]} and {tokens[1]}",
        )
    return Terms(
        market=MarketId(f"uniswap:{address}"),
        asset=pool.asset,
        asset_token=_erc20(Address(pool.asset_token), replies),
        quote_token=_erc20(Address(pool.quote_token), replies),
        is_asset_first=tokens[0] == pool.asset_token,
        fee_ppm=replies[("fee", address, "")].integer,
    )


def _erc20(address: Address, replies: Replies) -> Token:
    decimals = replies[("decimals", address, "")].integer
    if decimals > DECIMALS_MOST:
        raise ContractMismatch(
            target=address,
            expected=f"a token of at most {DECIMALS_MOST} decimals",
            reason=f"it has {decimals}",
        )
    return Token(address, replies[("symbol", address, "")].text, decimals)


def _first(uniswap: UniswapDeployment, account: Address) -> dict[Key, Question]:
    manager, router = Address(uniswap.position_manager), Address(uniswap.swap_router)
    asked: dict[Key, Question] = {("count", "", ""): Question(manager, UNISWAP["balanceOf"], (account,))}
    for pool in uniswap.pools:
        address = Address(pool.address)
        asked |= {
            ("slot", address, ""): Question(address, POOL["slot0"]),
            ("liquidity", address, ""): Question(address, POOL["liquidity"]),
            ("spacing", address, ""): Question(address, POOL["tickSpacing"]),
            ("growth", address, 0): Question(address, UNISWAP["feeGrowthGlobal0X128"]),
            ("growth", address, 1): Question(address, UNISWAP["feeGrowthGlobal1X128"]),
            **pool_questions(pool),
        }
        for token in (Address(pool.asset_token), Address(pool.quote_token)):
            asked[("allowance", token, "")] = Question(token, ERC20["allowance"], (account, router))
    return asked


def _slot(pool: UniswapPool, first: Replies) -> tuple[int, int]:
    """Square-root price and tick. Raises ContractMismatch for a pool without a price."""
    sqrt_x96, tick = first[("slot", Address(pool.address), "")].integers[:2]
    if sqrt_x96 == 0:
        raise ContractMismatch(
            target=pool.address, expected="a pool with a price", reason="it was never initialised"
        )
    return sqrt_x96, tick


def _words(slots: Mapping[Address, tuple[int, int]], first: Replies) -> dict[Address, range]:
    """The words of each pool's bitmap around its price."""
    return {
        pool: words_between(tick - REACH_TICKS, tick + REACH_TICKS, first[("spacing", pool, "")].integer)
        for pool, (_, tick) in slots.items()
    }


def _ticks(words: Mapping[Address, range], first: Replies, second: Replies) -> dict[Address, tuple[int, ...]]:
    """The initialised ticks of each pool around its price, rising."""
    found: dict[Address, tuple[int, ...]] = {}
    for pool, own in words.items():
        spacing = first[("spacing", pool, "")].integer
        found[pool] = tuple(
            initialised
            for word in own
            for initialised in ticks_in(word, second[("bitmap", pool, word)].integer, spacing)
        )
    return found


def _identity(pool: UniswapPool, first: Replies) -> tuple[object, object, object]:
    """Token0, token1 and fee, by which the manager names a pool."""
    address = Address(pool.address)
    return (
        first[("token0", address, "")].address,
        first[("token1", address, "")].address,
        first[("fee", address, "")].integer,
    )


def _token(
    token_id: int, pools: Mapping[tuple[object, object, object], Address], position: Reply
) -> _Token | None:
    """The liquidity token, None if it is of a pool that is not configured."""
    outputs = position.outputs
    pool = pools.get((outputs[2], outputs[3], outputs[4]))
    if pool is None:
        return None
    lower, upper, liquidity, growth0, growth1, owed0, owed1 = cast(tuple[int, ...], outputs[5:])
    return _Token(
        token_id=token_id,
        pool=pool,
        range=Range(lower, upper, liquidity),
        claims=(Claim(liquidity, growth0, owed0), Claim(liquidity, growth1, owed1)),
    )


def _growth(tokens: list[_Token], manager: Address) -> dict[Key, Question]:
    """The range's ticks, and what the pool owes the manager there for everybody's liquidity together."""
    asked: dict[Key, Question] = {}
    for token in tokens:
        for tick in (token.range.lower_tick, token.range.upper_tick):
            asked[("tick", token.pool, tick)] = Question(token.pool, POOL["ticks"], (tick,))
        key = _pool_key(manager, token.range)
        asked[("owed", token.pool, key)] = Question(token.pool, POOL_POSITION, (key,))
    return asked


@lru_cache(maxsize=256)
def _pool_key(manager: Address, held: Range) -> bytes:
    """The name of the manager's liquidity in a range: keccak(owner, lower, upper), tightly packed."""
    ticks = b"".join(tick.to_bytes(3, "big", signed=True) for tick in (held.lower_tick, held.upper_tick))
    return keccak(bytes.fromhex(manager[2:]) + ticks)


def _view(
    pool: UniswapPool, first: LastingReplies[Key], third: Replies, ticks: tuple[int, ...], shelf: Shelf
) -> PoolView:
    address = Address(pool.address)
    names = shelf.get(f"names {address}", pool, lambda: tuple(pool_questions(pool)))
    sqrt_x96, tick = _slot(pool, first)
    return PoolView(
        terms=shelf.get(f"terms {address}", first.data(names), lambda: terms_of(pool, first)),
        pool=Pool(
            sqrt_x96=sqrt_x96,
            tick=tick,
            liquidity=first[("liquidity", address, "")].integer,
            spacing=first[("spacing", address, "")].integer,
            ticks=ticks,
            nets=tuple(third[("tick", address, at)].integers[1] for at in ticks),
        ),
        asset_allowance_raw=first[("allowance", Address(pool.asset_token), "")].integer,
        quote_allowance_raw=first[("allowance", Address(pool.quote_token), "")].integer,
    )


def _holding(token: _Token, view: PoolView, manager: Address, first: Replies, replies: Replies) -> Holding:
    """With the fees as ``collect`` would pay them: what the manager books for the token, but never more
    than the pool has booked for the manager, which rounds on its own.
    """
    lower = replies[("tick", token.pool, token.range.lower_tick)].integers
    upper = replies[("tick", token.pool, token.range.upper_tick)].integers
    booked = replies[("owed", token.pool, _pool_key(manager, token.range))].integers
    owed = []
    for side, claim in enumerate(token.claims):
        inside = growth_inside_x128(
            token.range,
            view.pool.tick,
            first[("growth", token.pool, side)].integer,
            lower[2 + side],
            upper[2 + side],
        )
        of_all = Claim(booked[0], booked[1 + side], booked[3 + side])
        # without liquidity the contracts book nothing new for the token, nor touch the pool
        owed.append(min(claim.now(inside), of_all.now(inside) if claim.liquidity else of_all.owed))
    return Holding(token.token_id, view, token.range, (owed[0], owed[1]))
