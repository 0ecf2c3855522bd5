"""Which calls read an account in Panoptic's pools, and how their answers become its state: four rounds.

First the pools, their vaults and rules, and the hash of the account's positions; then the events that tell
which positions those are; then, with the list that the hash proves, the positions and their premia, and the
Uniswap pools' bitmaps; then the ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from eth_utils.crypto import keccak

from agent.chain.abi import Function, load
from agent.chain.history import unpack
from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, HistoryIncomplete
from agent.pricing.pool import Pool, ticks_in, words_between
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Answer, Call, Reading, Slot
from agent.venues.deployments import PanopticDeployment, PanopticPool
from agent.venues.panoptic import pair
from agent.venues.panoptic.account import Account, held_of
from agent.venues.panoptic.denomination import Denomination
from agent.venues.panoptic.ledger import PANOPTIC, Memory, held, questions
from agent.venues.panoptic.oracle import Tuning
from agent.venues.panoptic.oracle import decode as decode_oracle
from agent.venues.panoptic.requirement import Ratios
from agent.venues.panoptic.state import PanopticState, PoolState
from agent.venues.panoptic.token_id import TokenIdInvalid, decode, positions_hash
from agent.venues.panoptic.tracker import EPOCH_S, Curve, Stake, Tracker
from agent.venues.panoptic.view import Rules, View

POOL, ERC20, UNISWAP = load("uniswap_pool"), load("erc20"), load("uniswap")
HASH_SLOT = 5  # PanopticPool.s_positionsHash
REACH_TICKS = 600  # around the price whose liquidity is read: more than one transaction may move it
CONSTANTS = (
    "CROSS_BUFFER_0",
    "CROSS_BUFFER_1",
    "SELLER_COLLATERAL_RATIO",
    "BUYER_COLLATERAL_RATIO",
    "MAINT_MARGIN_RATE",
    "TARGET_POOL_UTIL",
    "SATURATED_POOL_UTIL",
    "BP_DECREASE_BUFFER",
    "NOTIONAL_FEE",
    "MAX_OPEN_LEGS",
    "MAX_TWAP_DELTA_DISPATCH",
    "MAX_TICKS_DELTA",
    "MAX_CLAMP_DELTA",
    "EMA_PERIODS",
    "CURVE_STEEPNESS",
    "TARGET_UTILIZATION",
    "MIN_RATE_AT_TARGET",
    "MAX_RATE_AT_TARGET",
    "INITIAL_RATE_AT_TARGET",
    "ADJUSTMENT_SPEED",
)
VAULT = (
    "getPoolData",
    "totalSupply",
    "borrowIndex",
    "lastInteractionTimestamp",
    "unrealizedGlobalInterest",
    "rateAtTarget",
)
PREMIUM_PENDING = False  # only what is settled counts when the engine judges

_WORD = Function("panoptic", "storage", (), ("uint256",), ("",), b"")

Key = tuple[str, object, object]
Replies = Mapping[Key, Reply]


class Word(Question):
    """A question for one word of storage: its slot is the one argument."""

    __slots__ = ()

    @property
    def call(self) -> Call:
        (slot,) = cast(tuple[int], self.arguments)
        return Slot(self.target, slot.to_bytes(32, "big"), label="panoptic.positionsHash")


def read(
    panoptic: PanopticDeployment, memory: Memory, account: Address, block: Block
) -> Reading[PanopticState]:
    """The account at ``block``. Raises ReadReverted, DecodeMismatch, ContractMismatch, or HistoryIncomplete
    when the events' list is not the one the pool has the hash of.
    """
    first = yield from ask(
        {key: question for pool in panoptic.pools for key, question in _first(pool, account).items()}
    )
    lists = yield from _lists(panoptic, memory, account, block, first)
    asked: dict[Key, Question] = {}
    for pool in panoptic.pools:
        asked |= _bitmaps(pool, first)
        if lists[pool.address]:
            arguments = (account, PREMIUM_PENDING, lists[pool.address])
            question = Question(Address(pool.address), PANOPTIC["getFullPositionsData"], arguments)
            asked[("positions", pool.address, "")] = question
    second = yield from ask(asked)
    ticks = {pool.address: _ticks(pool, first, second) for pool in panoptic.pools}
    looked: dict[Key, Question] = {
        ("tick", pool.address, tick): Question(Address(pool.uniswap_pool), POOL["ticks"], (tick,))
        for pool in panoptic.pools
        for tick in ticks[pool.address]
    }
    third = yield from ask(looked)
    return PanopticState(
        at_s=block.timestamp_s,
        pools=tuple(
            _state(
                pool, account, block, lists[pool.address], {**first, **second, **third}, ticks[pool.address]
            )
            for pool in panoptic.pools
        ),
    )


def trackers_of(pool: PanopticPool) -> tuple[Address, Address]:
    """The vaults of token0 and token1."""
    return Address(pool.collateral0), Address(pool.collateral1)


def token_questions(pool: PanopticPool) -> dict[Key, Question]:
    """What `denomination_of` needs."""
    amm = Address(pool.uniswap_pool)
    asked: dict[Key, Question] = {
        (name, pool.address, ""): Question(amm, POOL[name]) for name in ("token0", "token1")
    }
    for token in (Address(pool.asset_token), Address(pool.quote_token)):
        asked |= {(name, token, ""): Question(token, ERC20[name]) for name in ("symbol", "decimals")}
    return asked


def denomination_of(pool: PanopticPool, replies: Replies) -> Denomination:
    """The pool in asset and quote. Raises ContractMismatch if it is of other tokens."""
    tokens = [replies[(name, pool.address, "")].address for name in ("token0", "token1")]
    if sorted(tokens) != sorted((pool.asset_token, pool.quote_token)):
        raise ContractMismatch(
            target=pool.uniswap_pool,
            expected=f"a pool of {pool.asset_token} and {pool.quote_token}",
            reason=f"it is of {tokens[0]} and {tokens[1]}",
        )
    return Denomination(
        market=MarketId(f"panoptic:{pool.address}"),
        asset=pool.asset,
        asset_token=_token(pool.asset_token, replies),
        quote_token=_token(pool.quote_token, replies),
        is_asset_first=tokens[0] == pool.asset_token,
    )


def _token(address: str, replies: Replies) -> Token:
    symbol, decimals = (replies[(name, Address(address), "")] for name in ("symbol", "decimals"))
    return Token(Address(address), symbol.text, decimals.integer)


def _first(pool: PanopticPool, account: Address) -> dict[Key, Question]:
    address, amm, engine = Address(pool.address), Address(pool.uniswap_pool), Address(pool.risk_engine)
    asked = token_questions(pool)
    asked |= {
        ("number", address, ""): Question(address, PANOPTIC["poolId"]),
        ("oracle", address, ""): Question(address, PANOPTIC["getOracleTicks"]),
        ("hash", address, ""): Word(address, _WORD, (_slot_of(account),)),
        ("slot", address, ""): Question(amm, POOL["slot0"]),
        ("liquidity", address, ""): Question(amm, POOL["liquidity"]),
        ("spacing", address, ""): Question(amm, POOL["tickSpacing"]),
        ("fee", address, ""): Question(amm, UNISWAP["fee"]),
    }
    asked |= {("engine", address, name): Question(engine, PANOPTIC[name]) for name in CONSTANTS}
    for kind, tracker in enumerate(trackers_of(pool)):
        asked |= {(name, address, kind): Question(tracker, PANOPTIC[name]) for name in VAULT}
        asked |= {
            ("shares", address, kind): Question(tracker, PANOPTIC["balanceOf"], (account,)),
            ("borrowed", address, kind): Question(tracker, PANOPTIC["interestState"], (account,)),
        }
    for token in (Address(pool.asset_token), Address(pool.quote_token)):
        for tracker in trackers_of(pool):
            question = Question(token, ERC20["allowance"], (account, tracker))
            asked[("allowance", token, tracker)] = question
    return asked


def _slot_of(account: Address) -> int:
    key = bytes(12) + bytes.fromhex(account[2:]) + HASH_SLOT.to_bytes(32, "big")
    return int.from_bytes(keccak(key), "big")


def _lists(
    panoptic: PanopticDeployment, memory: Memory, account: Address, block: Block, first: Replies
) -> Reading[dict[str, tuple[int, ...]]]:
    """The account's positions by pool, each list proved by the hash its pool has stored at this block."""
    stored = {pool.address: first[("hash", pool.address, "")].integer for pool in panoptic.pools}
    asked = {
        pool.address: questions(pool, account, block, memory)
        for pool in panoptic.pools
        if stored[pool.address]
    }
    calls = tuple(call for batch in asked.values() for call in batch)
    answers: tuple[Answer, ...] = ()
    if calls:
        answers = yield calls
    told = [unpack(answer.data, call.target) for call, answer in zip(calls, answers, strict=True)]
    lists: dict[str, tuple[int, ...]] = {pool.address: () for pool in panoptic.pools}
    for pool in panoptic.pools:
        count = len(asked.get(pool.address, ()))
        if count == 0:
            continue
        own, told = told[:count], told[count:]
        ids = held(pool, account, block, memory, own)
        if positions_hash(ids) != stored[pool.address]:
            memory.forget(pool, account)
            raise HistoryIncomplete(
                target=pool.address,
                account=account,
                block=block.number,
                reason=f"{len(ids)} positions are told, and another hash is stored",
            )
        lists[pool.address] = ids
    return lists


def _bitmaps(pool: PanopticPool, first: Replies) -> dict[Key, Question]:
    tick, spacing = _tick(pool, first), first[("spacing", pool.address, "")].integer
    return {
        ("bitmap", pool.address, word): Question(Address(pool.uniswap_pool), POOL["tickBitmap"], (word,))
        for word in words_between(tick - REACH_TICKS, tick + REACH_TICKS, spacing)
    }


def _tick(pool: PanopticPool, first: Replies) -> int:
    return first[("slot", pool.address, "")].integers[1]


def _ticks(pool: PanopticPool, first: Replies, second: Replies) -> tuple[int, ...]:
    """The initialised ticks within reach of the price."""
    tick, spacing = _tick(pool, first), first[("spacing", pool.address, "")].integer
    return tuple(
        found
        for word in words_between(tick - REACH_TICKS, tick + REACH_TICKS, spacing)
        for found in ticks_in(word, second[("bitmap", pool.address, word)].integer, spacing)
        if abs(found - tick) <= REACH_TICKS
    )


def _state(
    pool: PanopticPool,
    account: Address,
    block: Block,
    ids: tuple[int, ...],
    replies: Replies,
    ticks: tuple[int, ...],
) -> PoolState:
    view = _view(pool, replies, ticks)
    stakes = []
    for kind in (0, 1):
        index_wad, borrowed = replies[("borrowed", pool.address, kind)].integers
        shares = replies[("shares", pool.address, kind)].integer
        stakes.append(Stake(view.trackers[kind], shares, borrowed, index_wad))
    short, long = 0, 0
    balances: tuple[int, ...] = ()
    if ids:
        outputs = replies[("positions", pool.address, "")].outputs
        short, long, balances = cast(tuple[int, int, tuple[int, ...]], outputs[:3])
    try:
        held = tuple(held_of(decode(number), balance) for number, balance in zip(ids, balances, strict=True))
    except TokenIdInvalid as error:
        raise replies[("positions", pool.address, "")].mismatch("positions", str(error)) from error
    return PoolState(
        view=view,
        account=Account(
            held=held,
            stakes=(stakes[0], stakes[1]),
            short_premia=pair.unsigned(short),
            long_premia=pair.unsigned(long),
            cross_buffers=view.rules.cross_buffers,
            ratios=view.rules.ratios,
        ),
        at_s=block.timestamp_s,
        allowances=_allowances(pool, view.denomination, replies),
    )


def _allowances(pool: PanopticPool, denomination: Denomination, replies: Replies) -> tuple[int, int]:
    """What each vault may take of the account's tokens."""
    first, second = (
        replies[("allowance", token.address, tracker)].integer
        for token, tracker in zip(denomination.tokens, trackers_of(pool), strict=True)
    )
    return first, second


def _view(pool: PanopticPool, replies: Replies, ticks: tuple[int, ...]) -> View:
    address = pool.address
    constants = {name: replies[("engine", address, name)].integer for name in CONSTANTS}
    slot = replies[("slot", address, "")].integers
    return View(
        denomination=denomination_of(pool, replies),
        number=replies[("number", address, "")].integer,
        fee_ppm=replies[("fee", address, "")].integer,
        pool=Pool(
            sqrt_x96=slot[0],
            tick=slot[1],
            liquidity=replies[("liquidity", address, "")].integer,
            spacing=replies[("spacing", address, "")].integer,
            ticks=ticks,
            nets=tuple(replies[("tick", address, tick)].integers[1] for tick in ticks),
        ),
        oracle=decode_oracle(replies[("oracle", address, "")].integers[4]),
        trackers=(_tracker(address, 0, constants, replies), _tracker(address, 1, constants, replies)),
        rules=_rules(constants),
    )


def _tracker(address: str, kind: int, constants: Mapping[str, int], replies: Replies) -> Tracker:
    deposited, in_amm, credited, _ = replies[("getPoolData", address, kind)].integers
    return Tracker(
        deposited=deposited,
        in_amm=in_amm,
        credited_shares=credited,
        supply=replies[("totalSupply", address, kind)].integer,
        index_wad=replies[("borrowIndex", address, kind)].integer,
        epoch=replies[("lastInteractionTimestamp", address, kind)].integer // EPOCH_S,
        unrealised=replies[("unrealizedGlobalInterest", address, kind)].integer,
        rate_at_target=replies[("rateAtTarget", address, kind)].integer,
        curve=Curve(
            steepness=constants["CURVE_STEEPNESS"],
            target=constants["TARGET_UTILIZATION"],
            least=constants["MIN_RATE_AT_TARGET"],
            most=constants["MAX_RATE_AT_TARGET"],
            initial=constants["INITIAL_RATE_AT_TARGET"],
            speed=constants["ADJUSTMENT_SPEED"],
        ),
    )


def _rules(constants: Mapping[str, int]) -> Rules:
    periods = [constants["EMA_PERIODS"] >> 24 * i & 0xFFFFFF for i in range(4)]
    return Rules(
        cross_buffers=(constants["CROSS_BUFFER_0"], constants["CROSS_BUFFER_1"]),
        ratios=Ratios(
            seller=constants["SELLER_COLLATERAL_RATIO"],
            buyer=constants["BUYER_COLLATERAL_RATIO"],
            loan=constants["MAINT_MARGIN_RATE"],
            target=constants["TARGET_POOL_UTIL"],
            saturated=constants["SATURATED_POOL_UTIL"],
        ),
        tuning=Tuning(
            periods_s=(periods[0], periods[1], periods[2], periods[3]),
            clamp=constants["MAX_CLAMP_DELTA"],
            ticks_delta=constants["MAX_TICKS_DELTA"],
        ),
        leave_buffer=constants["BP_DECREASE_BUFFER"],
        fee_bps=constants["NOTIONAL_FEE"],
        legs_most=constants["MAX_OPEN_LEGS"],
        ticks_most=2 * constants["MAX_TWAP_DELTA_DISPATCH"],
    )
