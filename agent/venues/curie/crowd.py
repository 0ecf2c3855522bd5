"""All accounts of Curie at once: `agent.venues.curie.margin` over arrays.

What an account holds changes only by transactions that name it in an event; what moves without one is the
market's: marks, collateral prices, and the growth that funding is reckoned from. So an account is read when
it is touched and judged at every block.

Funding is ``size * (growth - growth at the account's last change)``. The growth of now is no getter's: it
follows from what one account owes, the one with the largest position, to two wei for any smaller one.

Accounts with open orders (their size and fees move with the pool) and those with a stake in what is not in
the deployment file are asked of the contract itself at every block: its own equity and requirement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.chain.column import SUBJECT, Column, Table
from agent.chain.question import Question, Reply, ask
from agent.errors import DecodeMismatch, ReadReverted, RpcRejected
from agent.risk.crowd import Flags, Floats
from agent.values.address import Address, parse_address
from agent.values.call import Reading
from agent.values.fixed import DAY_S, Q96, WAD, to_float
from agent.values.log import Filter, Log
from agent.venues.crowd import Sight, Verdict
from agent.venues.curie import identity, roll
from agent.venues.curie.heap import Heap, Market, Stakes, Told, heap
from agent.venues.curie.margin import PPM
from agent.venues.curie.reader import COLLATERAL_TWAP_S, CURIE, ERC20
from agent.venues.deployments import CurieDeployment

Key = tuple[str, object]
LIMBS = 4
# AccountBalance._owedRealizedPnlMap, curie-contract 2.8.4
OWED_SLOT = 157
MANY = 100
SAMPLE = 8  # the largest ones


@dataclass(frozen=True)
class Held:
    """What is kept from block to block. ``anchors``: the growth that ``stakes.since`` is counted from.

    ``is_odd``: what was read does not say it all (orders, unknown tokens, a getter that reverts), so that the
    contract itself is asked at every block, which is ``told``.
    """

    subjects: tuple[int, ...]
    stakes: Stakes
    is_odd: Flags
    anchors: tuple[int, ...]
    market: Market
    told: Told


@dataclass(frozen=True, slots=True)
class CurieCrowd:
    """One deployment's accounts, as `agent.venues.crowd.CrowdVenue`."""

    deployment: CurieDeployment
    name: str = "curie"
    unit: str = "USD"

    @property
    def homes(self) -> tuple[Address, ...]:
        """The contracts whose events tell of accounts."""
        return roll.homes(self.deployment)

    def identify(self) -> Reading[object]:
        """The contracts name each other as configured, or ContractMismatch is raised."""
        return identity.identify(self.deployment)

    def events(self) -> Filter:
        """Every event that brings or changes an account."""
        return roll.events(self.deployment)

    def introduced(self, log: Log) -> tuple[int, ...]:
        """Whoever paid in or traded, or took over what was liquidated."""
        return roll.introduced(log)

    def touched(self, log: Log) -> tuple[int, ...]:
        """Whoever's balance, result or position the event changed."""
        return roll.touched(log)

    def account(self, subject: int) -> str:
        """Its address."""
        return parse_address(f"0x{subject:040x}")

    def take(self, sight: Sight, subjects: Sequence[int], before: Held | None, stale: Flags) -> Held:
        """See `CrowdVenue.take`."""
        known = 0 if before is None else len(before.subjects)
        rows = [int(row) for row in np.flatnonzero(stale | (np.arange(len(subjects)) >= known))]
        market = sight.read(_market(self.deployment))
        asked = [subjects[row] for row in rows]
        table = sight.table(_holding(self.deployment), asked)
        owed = _owed(sight, self.deployment, asked)
        width = (len(self.deployment.markets), len(self.deployment.collaterals))
        anchors = _anchors(table, width[0]) if before is None else before.anchors
        fresh, is_odd = _decoded(table, owed, width, market, anchors)
        stakes = (
            fresh
            if before is None
            else before.stakes.grown(len(subjects)).put(np.array(rows, np.intp), fresh)
        )
        odd = np.zeros(len(subjects), np.bool_)
        odd[:known] = False if before is None else before.is_odd
        odd[rows] = is_odd
        nothing = np.full(len(subjects), np.nan)
        told = Told(np.zeros(len(subjects), np.bool_), stakes.sizes, nothing, nothing)
        held = Held(tuple(subjects), stakes, odd, anchors, market, told)
        return self._told(sight, self._grown(sight, held))

    def differing(self, kept: Held, fresh: Held) -> Flags:
        """Rows that were changed without an event that names them."""
        found: Flags = kept.stakes.differing(fresh.stakes) | (kept.is_odd != fresh.is_odd[: len(kept.is_odd)])
        return found

    def crowd(self, held: Held) -> Heap:
        """As functions of prices."""
        return heap(self.deployment, held.stakes, held.market, held.told)

    def verdicts(self, sight: Sight, subjects: Sequence[int]) -> list[Verdict | None]:
        """``getAccountValue`` and ``getMarginRequirementForLiquidation``, compared as the contract does."""
        table = sight.table(_judging(self.deployment), subjects)
        found: list[Verdict | None] = []
        for row in range(len(subjects)):
            if not table.ok[row].all():
                found.append(None)
                continue
            (equity,), (requirement,) = (table.integers(c, 0, [row], signed=True) for c in (0, 1))
            found.append(Verdict(equity, requirement, equity < requirement))
        return found

    def _grown(self, sight: Sight, held: Held) -> Held:
        """With each market's growth of now, from what its largest holder owes."""
        sizes = np.where(held.is_odd[:, None], 0.0, np.abs(held.stakes.sizes))
        bases = [Address(market.address) for market in self.deployment.markets]
        if not len(sizes) or not sizes.any():
            return held
        rows = sizes.argmax(axis=0)
        table = sight.table(_growing(self.deployment), [held.subjects[row] for row in rows])
        growths = np.zeros(len(bases))
        for index, row in enumerate(rows):
            if not sizes[row, index]:
                continue
            growths[index] = np.nan
            if table.ok[index, [index, len(bases) + index]].all():
                (owed,) = table.integers(index, 0, [index], signed=True)
                size, _, last = (
                    table.integers(len(bases) + index, word, [index], signed=True)[0] for word in range(3)
                )
                growths[index] = (last - held.anchors[index] + owed * DAY_S * Q96 // size) / Q96
        return replace(held, market=replace(held.market, growths=growths))

    def _told(self, sight: Sight, held: Held) -> Held:
        """With the contract's own words on whoever the arrays cannot say."""
        blind = np.isnan(held.market.marks) | np.isnan(held.market.growths)
        poor = np.isnan(held.market.worths)
        flags = held.is_odd | (held.stakes.sizes != 0.0)[:, blind].any(axis=1)
        flags |= (held.stakes.collaterals != 0.0)[:, poor].any(axis=1)
        rows = np.flatnonzero(flags)
        if not len(rows):
            return held
        columns = [*_judging(self.deployment), *_sizing(self.deployment)]
        table = sight.table(columns, [held.subjects[row] for row in rows])
        equity, requirement = np.full(len(flags), np.nan), np.full(len(flags), np.nan)
        sizes = held.stakes.sizes.copy()
        equity[rows] = table.signed(0, 0) / WAD
        requirement[rows] = table.signed(1, 0) / WAD
        for index in range(len(columns) - 2):
            sizes[rows, index] = np.nan_to_num(table.signed(2 + index, 0) / WAD)
        return replace(held, told=Told(flags, sizes, equity, requirement))


# --- what is asked -------------------------------------------------------------------------------------


def _holding(curie: CurieDeployment) -> list[Column]:
    """What an account holds, by getters that read and do not reckon."""
    vault, balance = Address(curie.vault), Address(curie.account_balance)
    columns = [Column(vault, CURIE["getBalance"], (SUBJECT,), 1)]
    columns += [
        Column(balance, CURIE["getAccountInfo"], (SUBJECT, market.address), 3) for market in curie.markets
    ]
    columns += [
        Column(vault, CURIE["getBalanceByToken"], (SUBJECT, other.address), 1) for other in curie.collaterals
    ]
    columns += [
        Column(balance, CURIE["hasOrder"], (SUBJECT,), 1),
        Column(balance, CURIE["getBaseTokens"], (SUBJECT,), 2),
        Column(vault, CURIE["getCollateralTokens"], (SUBJECT,), 2),
    ]
    return columns


def _owed(sight: Sight, curie: CurieDeployment, asked: Sequence[int]) -> Floats:
    """Realised results that wait to be booked; nan where the contract does not say.

    The only getter that tells them reckons everything else too, at six times the cost of the rest together,
    so that those of many are read from storage and held against the getter on some of them.
    """
    balance = Address(curie.account_balance)
    getter = [Column(balance, CURIE["getPnlAndPendingFee"], (SUBJECT,), 1)]
    if len(asked) >= MANY:
        try:
            words = sight.mapping(balance, OWED_SLOT, asked)
        except (RpcRejected, ReadReverted, DecodeMismatch):
            return sight.table(getter, asked).signed(0, 0) / WAD
        found = words.signed(0, 0)
        sample = np.argsort(-np.abs(found), kind="stable")[:SAMPLE]
        rows = [int(row) for row in sample]
        told = sight.table(getter, [asked[row] for row in rows])
        known = [row for row in range(len(rows)) if told.ok[row, 0]]
        stored = words.integers(0, 0, [rows[row] for row in known])
        if any(stored) and stored == told.integers(0, 0, known):  # nothing but noughts would prove nothing
            return found / WAD
    return sight.table(getter, asked).signed(0, 0) / WAD


def _judging(curie: CurieDeployment) -> list[Column]:
    """The two sides of ``ClearingHouse._isLiquidatable``."""
    value = Column(Address(curie.clearing_house), CURIE["getAccountValue"], (SUBJECT,), 1)
    balance = Address(curie.account_balance)
    return [value, Column(balance, CURIE["getMarginRequirementForLiquidation"], (SUBJECT,), 1)]


def _sizing(curie: CurieDeployment) -> list[Column]:
    """Sizes with what stands in orders."""
    balance = Address(curie.account_balance)
    return [
        Column(balance, CURIE["getTotalPositionSize"], (SUBJECT, one.address), 1) for one in curie.markets
    ]


def _growing(curie: CurieDeployment) -> list[Column]:
    """What is owed in each market, then how each stake stands: of the accounts that growth is taken from."""
    exchange, balance = Address(curie.exchange), Address(curie.account_balance)
    owed = [
        Column(exchange, CURIE["getPendingFundingPayment"], (SUBJECT, one.address), 1)
        for one in curie.markets
    ]
    return owed + [
        Column(balance, CURIE["getAccountInfo"], (SUBJECT, one.address), 3) for one in curie.markets
    ]


def _market(curie: CurieDeployment) -> Reading[Market]:
    """What all accounts share. A price that its contract refuses is nan. Raises ReadReverted on the rest."""
    config, vault, token = Address(curie.config), Address(curie.vault), Address(curie.settlement_token)
    asked: dict[Key, Question] = {
        ("maintenance", ""): Question(config, CURIE["getMmRatio"]),
        ("decimals", token): Question(token, ERC20["decimals"]),
        ("manager", ""): Question(vault, CURIE["getCollateralManager"]),
    }
    for market in curie.markets:
        base = Address(market.address)
        asked |= {
            ("open", base): Question(base, CURIE["isOpen"]),
            ("closed", base): Question(base, CURIE["isClosed"]),
            ("paused price", base): Question(base, CURIE["getPausedIndexPrice"]),
            ("closed price", base): Question(base, CURIE["getClosedPrice"]),
            ("mark", base): Question(Address(curie.account_balance), CURIE["getMarkPrice"], (base,)),
        }
    first = yield from ask(asked)
    others = [Address(other.address) for other in curie.collaterals]
    asked = {}
    for other in others:
        manager = first[("manager", "")].address
        asked |= {
            ("price", other): Question(manager, CURIE["getPrice"], (other, COLLATERAL_TWAP_S)),
            ("feed", other): Question(manager, CURIE["getPriceFeedDecimals"], (other,)),
            ("config", other): Question(manager, CURIE["getCollateralConfig"], (other,)),
            ("decimals", other): Question(other, ERC20["decimals"]),
        }
    second = yield from ask(asked)
    return Market(
        marks=np.array([_mark(first, Address(market.address)) for market in curie.markets]),
        growths=np.zeros(len(curie.markets)),
        maintenance=first[("maintenance", "")].integer / PPM,
        decimals=first[("decimals", token)].integer,
        worths=np.array([_worth(second, other) for other in others]),
        units=np.array([10.0 ** second[("decimals", other)].integer for other in others]),
    )


def _mark(replies: dict[Key, Reply], base: Address) -> float:
    """The price margin is judged at: ``AccountBalance._getReferencePrice``."""
    is_open, is_closed = (bool(replies[(name, base)].integer) for name in ("open", "closed"))
    price = replies[("mark" if is_open else "closed price" if is_closed else "paused price", base)]
    return to_float(price.integer) if price.ok else np.nan


def _worth(replies: dict[Key, Reply], token: Address) -> float:
    """Of one whole token, in the settlement token."""
    price = replies[("price", token)]
    if not price.ok:
        return np.nan
    (config,) = replies[("config", token)].outputs
    assert isinstance(config, tuple)
    weight = config[1]
    assert isinstance(weight, int)
    return float(price.integer / 10 ** replies[("feed", token)].integer * (weight / PPM))


# --- what the answers mean -----------------------------------------------------------------------------


def _decoded(
    table: Table, owed: Floats, width: tuple[int, int], market: Market, anchors: tuple[int, ...]
) -> tuple[Stakes, Flags]:
    """The rows of a table, and which of them it does not say all of."""
    markets, others = width
    infos = range(1, 1 + markets)
    sizes = _columns([table.signed(column, 0) / WAD for column in infos], len(table.ok))
    notionals = _columns([table.signed(column, 1) / WAD for column in infos], len(table.ok))
    growths = [
        _beyond(table.words(column)[:, 2], anchor) / Q96
        for column, anchor in zip(infos, anchors, strict=True)
    ]
    since = np.where(sizes != 0.0, _columns(growths, len(table.ok)), 0.0)
    at = 1 + markets
    held = [table.signed(at + index, 0) / market.units[index] for index in range(others)]
    collaterals = _columns(held, len(table.ok))
    order, bases, tokens = range(at + others, at + others + 3)
    is_odd = ~table.ok.all(axis=1) | np.isnan(owed) | (table.unsigned(order, 0) != 0.0)
    is_odd |= table.unsigned(bases, 1) != ((sizes != 0.0) | (notionals != 0.0)).sum(axis=1)
    is_odd |= table.unsigned(tokens, 1) != (collaterals != 0.0).sum(axis=1)
    stakes = Stakes(
        balance=table.signed(0, 0) / 10.0**market.decimals,
        owed=owed,
        sizes=sizes,
        notionals=notionals,
        since=since,
        collaterals=collaterals,
    )
    return stakes.filled(), is_odd


def _anchors(table: Table, markets: int) -> tuple[int, ...]:
    """Of each market somebody's growth: differences from it keep their digits as floats."""
    found = []
    for column in range(1, 1 + markets):
        rows = np.flatnonzero(np.nan_to_num(table.signed(column, 0)))
        found.append(table.integers(column, 2, [int(rows[0])], signed=True)[0] if len(rows) else 0)
    return tuple(found)


def _beyond(words: np.typing.NDArray[np.uint64], anchor: int) -> Floats:
    """Each 256-bit word less ``anchor``, exact until it becomes a float."""
    raw = (anchor % 2**256).to_bytes(32, "big")
    taken = np.frombuffer(raw, ">u8").astype(np.uint64)
    left = np.empty_like(words)
    borrow = np.zeros(len(words), np.bool_)
    for limb in reversed(range(LIMBS)):
        a, b = words[:, limb], taken[limb]
        left[:, limb] = a - b - borrow
        borrow = (a < b) | ((a == b) & borrow)
    return Table(np.ones((len(words), 1), np.bool_), (left[:, None, :],)).signed(0, 0)


def _columns(found: list[Floats], rows: int) -> Floats:
    return np.stack(found, axis=1) if found else np.zeros((rows, 0))
