"""Curie's accounts: the flip solved for each, and what Curie's contracts say there and one step nearer.

What is solved is the account as the agent's reader reads it. The judge is the comparison that
``ClearingHouse._isLiquidatable`` makes, of ``ClearingHouse.getAccountValue`` with
``AccountBalance.getMarginRequirementForLiquidation``:

- of prices, in calls that see the market closed at the price in question, others held: the four words of the
  market's ``BaseToken`` that its own ``pause`` and ``close(price)`` would write are laid over its storage,
  everything else is the contracts' own state and code. A closed market is valued at the price it was closed
  at by the formulas of an open one, so any price can be had to its last place;
- of time, on the chain itself, warped there: markets open, funding running;
- and ``ClearingHouse.liquidate`` itself, with the pool pushed and the oracle moved by its smallest step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from agent.market.margin import Betas, Prices
from agent.risk.liquidation import (
    DIRECTIONS,
    TOP,
    Direction,
    Flip,
    moved,
    solve_joint,
    solve_lapse,
    solve_price,
)
from agent.sim.contract import Contract
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId
from agent.values.fixed import DAY_S, WAD
from agent.venues.curie.margin import CurieMargin
from tests.flips.crowd import Errand, ask_words
from tests.flips.curie_world import FEED_STEP_WAD, Venue, World, world
from tests.flips.tally import Tally

SAMPLE = 20  # every such account's flips are also searched for on the contract alone
NEVER_RATIOS_PCT = (1, 50, 90, 110, 300, 1600)
HORIZON_S = 60 * DAY_S
SLOTS = 400  # of a BaseToken's storage are looked through for what closing it writes
PUSH_TICKS = 2_600  # about 30 % up or 23 % down
REACH = (0.03, 0.17)  # how far flips are that the pushed pool lets the oracle bring about
BY_TIME = 5  # every such liquidation is by waiting instead of by the oracle
ORACLE_S = 15  # after the last block: the shorter average is then of the pushed pool alone
TOLERANCE = (
    "1e-9, or one step of the venue's price where that is more. By views: 0, the flip is the contract's own "
    "wei (a joint move: its own 1e-18 of the ratio), and its own second. By transaction: one step of the "
    "oracle, 1e-8"
)
HEALTHY = "CH_EAV"


@dataclass(frozen=True)
class Foretold:
    """One answer of the solver: of one market, or of all together, each by its beta."""

    market: MarketId | None
    betas: Betas
    way: Direction
    flip: Flip | None

    @property
    def at(self) -> int:
        """What was solved for: a price, or the ratio of the move. Only of one that was found."""
        assert self.flip is not None
        return self.flip.ratio_wad if self.market is None else self.flip.price_wad

    def now(self, margin: CurieMargin) -> int:
        return WAD if self.market is None else margin.prices[self.market]

    def prices(self, margin: CurieMargin, at: int) -> Prices:
        """The prices that are not the present ones when the market's price or the ratio is ``at``."""
        if self.market is None:
            return moved(margin.prices, at, self.betas)
        return {self.market: at}


@dataclass(frozen=True)
class Case:
    """A healthy account, and the flips solved for it."""

    account: Address
    margin: CurieMargin
    solved: tuple[Foretold, ...]

    @property
    def name(self) -> str:
        legs = ", ".join(f"{leg.asset} {leg.size_wad}" for leg in self.margin.legs if leg.size_wad)
        return f"{self.account} ({legs})"


@dataclass(frozen=True)
class Closing:
    """Which words of each market's BaseToken closing it writes, and with what, at the newest block."""

    bases: Mapping[MarketId, Address]
    slots: Mapping[MarketId, Mapping[str, str]]  # all but the price
    price_slots: Mapping[MarketId, str]

    def at(self, prices: Prices) -> dict[str, object]:
        """State overrides that close these markets at these prices; collateral keeps its feed's."""
        return {
            self.bases[market]: {
                "stateDiff": {**self.slots[market], self.price_slots[market]: f"0x{price:064x}"}
            }
            for market, price in prices.items()
            if market in self.bases
        }


@dataclass
class Bench:
    """Questions to the contracts, asked together, and what they must be answered."""

    world: World
    tally: Tally
    asked: list[tuple[str, Address, dict[str, object] | None, bool]] = field(default_factory=list)

    def expect(
        self, what: str, account: Address, overrides: dict[str, object] | None, *, is_bad: bool
    ) -> None:
        self.asked.append((what, account, overrides, is_bad))

    def close(self) -> None:
        answers = judge(self.world, [(account, overrides) for _, account, overrides, _ in self.asked])
        for (what, _, _, is_bad), (value, requirement) in zip(self.asked, answers, strict=True):
            self.tally.judge(what, is_right=(value < requirement) == is_bad)
        self.asked.clear()


def flips(
    toolchain: Toolchain, seed: int, accounts: int, by_transaction: int, told: Callable[[int], None]
) -> Tally:
    """``accounts`` accounts on a chain of their own; ``told`` hears how many have been judged."""
    rng = Random(f"curie flips {seed}")
    tally = Tally(tolerance=TOLERANCE)
    with world(toolchain, seed, accounts) as one:
        closing = closing_of(
            one.node, one.owner, {venue.market: venue.contracts.base for venue in one.venues}
        )
        cases: list[Case] = []
        for start in range(0, len(one.people), 100):
            people = one.people[start : start + 100]
            found = _healthy(one, tally, rng, people, closing)[: accounts - len(cases)]
            _judge_prices(one, tally, rng, found, closing)
            cases += found
            told(len(cases))
        tally.accounts = len(cases)
        snapshot = one.node.snapshot()
        _judge_times(one, tally, cases)
        one.node.revert(snapshot)
        order = list(cases)
        rng.shuffle(order)
        _liquidate_in_time(one, tally, order, by_transaction // BY_TIME)
        half = (by_transaction + tally.by_transaction) // 2
        _liquidate_at_prices(one, tally, order, "down", half)
        _liquidate_at_prices(one, tally, order, "up", by_transaction)
    return tally


def judge(one: World, questions: Sequence[tuple[Address, dict[str, object] | None]]) -> list[tuple[int, int]]:
    """Account value and requirement, as the contracts say, at the newest block with those overrides."""
    house, balance = one.curie.clearing_house, one.curie.account_balance
    calls = []
    for account, overrides in questions:
        for contract, function in (
            (house, "getAccountValue"),
            (balance, "getMarginRequirementForLiquidation"),
        ):
            data = "0x" + contract.encode(function, account).hex()
            calls.append(({"to": contract.address, "data": data}, overrides))
    words = [word - 2**256 if word >> 255 else word for word in ask_words(one.chain, calls)]
    return list(zip(words[::2], words[1::2], strict=True))


def closing_of(node: Node, owner: Address, markets: Mapping[MarketId, Contract]) -> Closing:
    """Found by closing each market's BaseToken once, at the present second, and rolling that back."""
    magic = 0x1234_5678_9ABC_DEF0_1234_5678
    bases, slots, prices = {}, {}, {}
    for market, base in markets.items():
        before = _storage(node, base.address)
        now_s, snapshot = node.now_s(), node.snapshot()
        index_wad = base.integer("getIndexPrice", 900)
        node.set_next_timestamp(now_s + 1)
        base.send(owner, "pause")
        base.send(owner, "close", magic)
        paused_s, paused_wad = base.integer("getPausedTimestamp"), base.integer("getPausedIndexPrice")
        written = {
            slot: word
            for slot, (word, old) in enumerate(zip(_storage(node, base.address), before, strict=True))
            if word != old
        }
        node.revert(snapshot)
        now = {paused_s: now_s, paused_wad: index_wad}  # as if paused in the newest block
        rest = {slot: now.get(word, word) for slot, word in written.items() if word != magic}
        bases[market] = base.address
        prices[market] = next(f"0x{slot:064x}" for slot, word in written.items() if word == magic)
        slots[market] = {f"0x{slot:064x}": f"0x{word:064x}" for slot, word in rest.items()}
    return Closing(bases, slots, prices)


def _storage(node: Node, address: Address) -> list[int]:
    calls = [("eth_getStorageAt", (address, hex(slot), "latest")) for slot in range(SLOTS)]
    return [int(str(word), 16) for word in node.batch(calls)]


def _healthy(
    one: World, tally: Tally, rng: Random, people: Sequence[Address], closing: Closing
) -> list[Case]:
    """Those that have a position and are healthy, solved; of all, whether the contracts agree to the last
    digit, with the markets open and with the markets closed at the present marks.
    """
    cases, asked, states = [], [], one.read(people)
    for person, state in zip(people, states, strict=True):
        margin = state.margin
        asked += [(person, None), (person, closing.at(margin.prices))]
        held = [leg.market for leg in margin.legs if leg.size_wad]
        if not held or margin.is_liquidatable(margin.prices, margin.at_s):
            continue
        found = [
            Foretold(market, {}, way, solve_price(margin, market, way))
            for market in held
            for way in DIRECTIONS
        ]
        if len(held) > 1:
            for betas in (dict.fromkeys((leg.market for leg in margin.legs), WAD), _betas(rng, margin)):
                found += [
                    Foretold(None, betas, way, solve_joint(margin, way, None, betas)) for way in DIRECTIONS
                ]
        cases.append(Case(person, margin, tuple(found)))
    answers = judge(one, asked)
    for index, (person, state) in enumerate(zip(people, states, strict=True)):
        margin = state.margin
        says = (
            margin.equity_wad(margin.prices, margin.at_s),
            margin.requirement_wad(margin.prices, margin.at_s),
        )
        for answer in answers[2 * index : 2 * index + 2]:
            tally.judge(f"now: {person} {says} {answer}", is_right=answer == says)
    return cases


def _judge_prices(one: World, tally: Tally, rng: Random, cases: Sequence[Case], closing: Closing) -> None:
    bench = Bench(one, tally)
    for case in cases:
        for said in case.solved:
            now, down = said.now(case.margin), said.way == "down"
            kind = "price" if said.market is not None else "joint"
            if said.flip is None:
                probes = [
                    (f"{kind}, no flip", now * ratio // 100, False)
                    for ratio in NEVER_RATIOS_PCT
                    if (ratio < 100) == down
                ]
            else:
                nearer = said.at + (1 if down else -1)
                probes = [
                    (f"{kind}, at the flip", said.at, True),
                    (f"{kind}, a step nearer", nearer, False),
                    (f"{kind}, on the way", rng.randrange(min(now, nearer), max(now, nearer) + 1), False),
                ]
            for what, at, is_bad in probes:
                overrides = closing.at(said.prices(case.margin, at))
                bench.expect(f"{what}: {case.name} at {at} {said}", case.account, overrides, is_bad=is_bad)
    bench.close()
    sample = [(case, said) for case in cases[::SAMPLE] for said in case.solved if said.flip is not None]
    for (case, said), contracts in zip(sample, _bisect(one, sample, closing), strict=True):
        tally.measure(f"{case.name} {said}", said.at, contracts, 1)


def _betas(rng: Random, margin: CurieMargin) -> Betas:
    choices = (-WAD // 4, 0, WAD // 2, 3 * WAD // 2, 2 * WAD)
    return {leg.market: rng.choice(choices) for leg in margin.legs}


def _bisect(one: World, sample: Sequence[tuple[Case, Foretold]], closing: Closing) -> list[int]:
    """The contracts' flips by their views alone, all at once: nothing of what was solved goes in."""
    safe = [said.now(case.margin) for case, said in sample]
    bad = [0 if said.way == "down" else now * TOP // WAD for now, (_, said) in zip(safe, sample, strict=True)]
    while any(abs(low - high) > 1 for low, high in zip(safe, bad, strict=True)):
        middles = [(low + high) // 2 for low, high in zip(safe, bad, strict=True)]
        asked = [
            (case.account, closing.at(said.prices(case.margin, middle)))
            for (case, said), middle in zip(sample, middles, strict=True)
        ]
        for index, (value, requirement) in enumerate(judge(one, asked)):
            if abs(safe[index] - bad[index]) > 1:
                (bad if value < requirement else safe)[index] = middles[index]
    return bad


def _judge_times(one: World, tally: Tally, cases: Sequence[Case]) -> None:
    """Nobody trades, oracles stand still: the chain is warped from one foretold second to the next."""
    moments: dict[int, list[tuple[Case, bool, str]]] = {}
    start_s = one.node.now_s()
    for case in cases:
        lapse = solve_lapse(case.margin, HORIZON_S)
        at_s = case.margin.at_s + (HORIZON_S if lapse is None else lapse.seconds)
        if lapse is None:
            moments.setdefault(at_s, []).append((case, False, "never in time"))
            continue
        moments.setdefault(at_s, []).append((case, True, "at the second"))
        if at_s - 1 > start_s:
            moments.setdefault(at_s - 1, []).append((case, False, "a second before"))
    for at_s, asked in sorted(moments.items()):
        one.node.set_next_timestamp(at_s)
        one.node.mine()
        bench = Bench(one, tally)
        for case, is_bad, what in asked:
            bench.expect(f"{what}: {case.name} at {at_s}", case.account, None, is_bad=is_bad)
        bench.close()


# --- by transactions ----------------------------------------------------------------------------------


def _liquidation(one: World, case: Case) -> Errand:
    """Where the account has most at stake, as liquidators do: in a market with less than a 34th of its
    positions' value the protocol reverts (``getLiquidatablePositionSize`` casts the share to 24 bits).
    """
    margin = case.margin
    largest = max(margin.legs, key=lambda leg: abs(leg.value_wad(margin.prices[leg.market])))
    base = next(v.contracts.base.address for v in one.venues if v.market == largest.market)
    return Errand(one.whale, one.curie.clearing_house, "liquidate", (case.account, base, 0))


def _liquidate_in_time(one: World, tally: Tally, cases: Sequence[Case], wanted: int) -> None:
    """Funding alone: a second before it is refused, and then it is not."""
    for case in cases:
        if tally.by_transaction >= wanted:
            return
        lapse = solve_lapse(case.margin, HORIZON_S)
        if lapse is None or _has_orders(case):
            continue
        at_s = case.margin.at_s + lapse.seconds
        if at_s - 1 <= one.node.now_s():
            continue
        snapshot = one.node.snapshot()
        for then_s, refusal in ((at_s - 1, HEALTHY), (at_s, "")):
            _, reason, _ = one.crowd.attempt(_liquidation(one, case), then_s)
            tally.judge(f"liquidate in time: {case.name} at {then_s}: {reason}", is_right=reason == refusal)
        one.node.revert(snapshot)
        tally.by_transaction += 1


def _has_orders(case: Case) -> bool:
    """Nobody can be liquidated who has liquidity in a pool; that earns fees at once."""
    return case.margin.pending_fee_wad > 0


def _liquidate_at_prices(
    one: World, tally: Tally, cases: Sequence[Case], way: Direction, wanted: int
) -> None:
    """The pools are pushed ``way``; a mark is then the index and its premium, and follows the oracle.

    Everything happens in one second of which only the oracle's price is not known: the flip is solved for the
    account at that second, and the oracle moves by as much as the mark must.
    """
    before = one.node.snapshot()
    one.push([PUSH_TICKS if way == "up" else -PUSH_TICKS] * len(one.venues))
    then_s = one.node.now_s() + ORACLE_S
    near = [
        (case, venue)
        for case in cases
        for venue in one.venues
        if not _has_orders(case)
        and any(
            (said.market, said.way) == (venue.market, way)
            and said.flip is not None
            and REACH[0] <= said.flip.distance <= REACH[1]
            for said in case.solved
        )
    ][: 2 * wanted]
    snapshot = one.node.snapshot()
    one.node.set_next_timestamp(then_s)
    one.node.mine()
    margins = [state.margin for state in one.read([case.account for case, _ in near])]
    one.node.revert(snapshot)
    for (case, venue), margin in zip(near, margins, strict=True):
        if tally.by_transaction >= wanted:
            break
        flip = solve_price(margin, venue.market, way)
        if flip is not None and flip.distance > 0:
            _liquidate_at_price(one, tally, case, venue, margin.prices[venue.market], flip, then_s)
    one.node.revert(before)


def _liquidate_at_price(
    one: World, tally: Tally, case: Case, venue: Venue, mark_wad: int, flip: Flip, then_s: int
) -> None:
    """One block: the oracle a step before the flip, a liquidation that is refused, the oracle a step on, and
    the liquidation.
    """
    step = FEED_STEP_WAD if flip.direction == "up" else -FEED_STEP_WAD
    needed = -((mark_wad - flip.price_wad) // step)  # whole steps, the last of them reaches the flip
    answer = venue.aggregator.integer("latestAnswer") + needed * step // FEED_STEP_WAD
    errands = []
    for at in (answer - step // FEED_STEP_WAD, answer):
        errands.append(Errand(one.owner, venue.aggregator, "setAnswer", (at,)))
        errands.append(_liquidation(one, case))
    snapshot = one.node.snapshot()
    told = one.crowd.mine(errands, then_s)
    seen_wad = one.curie.account_balance.integer("getMarkPrice", venue.contracts.base.address)
    if seen_wad == mark_wad + needed * step:  # else another average ruled the mark
        tally.measure(f"{case.name} by transaction", flip.price_wad, seen_wad, FEED_STEP_WAD)
        for one_told, refusal in zip(told[1::2], (HEALTHY, ""), strict=True):
            reason = one.crowd.why(one_told)
            what = f"liquidate: {case.name}, mark {seen_wad}, {flip}: {reason}"
            tally.judge(what, is_right=reason == refusal)
        tally.by_transaction += 1
    one.node.revert(snapshot)
