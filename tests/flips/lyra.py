"""Lyra's shorts: the flip that is solved for each, and what Lyra's contracts say there and one wei nearer.

What is solved is the account as the agent's reader reads it. The judge of prices is the view
``OptionToken.canLiquidate`` of the position as the contract holds it, at any price and at the block's time;
of time the same view on a chain that is warped there; and ``OptionMarket.liquidatePosition`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from agent.risk.liquidation import DIRECTIONS, TOP, Direction, Flip, solve_lapse, solve_price
from agent.sim.contract import Request
from agent.sim.toolchain import Toolchain
from agent.values.fixed import DAY_S, WAD
from agent.venues.lyra.margin import OptionType, ShortOption
from tests.flips.crowd import Errand, ask_truths
from tests.flips.lyra_world import SPOT_WAD, World, world
from tests.flips.tally import Tally

STEP_WAD = 1
FAR = 8  # the oracle is moved so many times away to see an account that is under now while it is healthy
SAMPLE = 10  # every such account's flip is also searched for on the contract alone
NEVER_RATIOS_PCT = (2, 20, 60, 95, 105, 150, 300, 700, 1500)
HORIZON_S = 365 * DAY_S
BY_TIME = 5  # every such liquidation is by waiting instead of by the oracle
TOLERANCE = (
    "1e-9. The flip is a wei at which the contract flips (the oracle steps by 1e-18), and the contract's "
    "own second; the last digits of its premium are such that it may flip at a few neighbouring wei as well"
)
NOT_YET = "PositionNotLiquidatable"


@dataclass(frozen=True)
class Case:
    """A healthy account and its flips; the contract's own record of its position."""

    short: ShortOption
    record: Mapping[str, object]
    flips: tuple[Flip, ...]
    missing: tuple[Direction, ...]

    def at(self, price_wad: int) -> tuple[object, ...]:
        """What ``canLiquidate`` takes."""
        return self.record, self.short.expiry_s, self.short.strike_wad, price_wad

    @property
    def name(self) -> str:
        return f"{self.short.key} {self.short.option_type.name} of {self.short.amount_wad}"


@dataclass
class Bench:
    """Questions to the contract, asked together, and what they must be answered."""

    world: World
    tally: Tally
    asked: list[tuple[str, Request, bool]] = field(default_factory=list)

    def expect(self, what: str, case: Case, price_wad: int, *, is_bad: bool) -> None:
        request = Request(self.world.lyra.option_token, "canLiquidate", case.at(price_wad))
        self.asked.append((what, request, is_bad))

    def close(self) -> None:
        answers = ask_truths(self.world.chain, [request for _, request, _ in self.asked])
        for (what, _, is_bad), answer in zip(self.asked, answers, strict=True):
            self.tally.judge(what, is_right=answer == is_bad)
        self.asked.clear()


def flips(
    toolchain: Toolchain, seed: int, accounts: int, by_transaction: int, told: Callable[[int], None]
) -> Tally:
    """``accounts`` shorts on a chain of their own; ``told`` hears how many have been judged."""
    rng = Random(f"lyra flips {seed}")
    tally = Tally(tolerance=TOLERANCE)
    with world(toolchain, seed, accounts) as one:
        cases: list[Case] = []
        snapshot = one.node.snapshot()
        for price_wad in (SPOT_WAD, SPOT_WAD // FAR, SPOT_WAD * FAR):
            one.set_spot(price_wad)
            found = _healthy(one, tally, {case.short.position_id for case in cases}, price_wad)
            _judge_prices(one, tally, rng, found)
            if price_wad == SPOT_WAD:
                _judge_times(one, tally, found)
            cases += found
            one.node.revert(snapshot)
            snapshot = one.node.snapshot()
            told(len(cases))
        tally.accounts = len(cases)
        _liquidate(one, tally, rng, cases, by_transaction)
    return tally


def _healthy(one: World, tally: Tally, known: set[int], price_wad: int) -> list[Case]:
    """The accounts that are healthy at this block and have not been judged; of all, whether the contract
    agrees that they are.
    """
    shorts = [short for short in one.read() if short.position_id not in known]
    records = one.chain.ask(
        [Request(one.lyra.option_token, "getOptionPosition", (short.position_id,)) for short in shorts]
    )
    bench, cases = Bench(one, tally), []
    for short, (record,) in zip(shorts, records, strict=True):
        is_bad = short.is_liquidatable(short.prices, short.at_s)
        ways = () if is_bad else DIRECTIONS
        solved = {way: solve_price(short, short.market, way) for way in ways}
        case = Case(
            short,
            record,  # type: ignore[arg-type]
            tuple(flip for flip in solved.values() if flip is not None),
            tuple(way for way, flip in solved.items() if flip is None),
        )
        bench.expect(f"now: {case.name}", case, price_wad, is_bad=is_bad)
        if not is_bad:
            cases.append(case)
    bench.close()
    return cases


def _judge_prices(one: World, tally: Tally, rng: Random, cases: Sequence[Case]) -> None:
    bench = Bench(one, tally)
    for case in cases:
        now = case.short.prices[case.short.market]
        for flip in case.flips:
            nearer = _nearer(flip)
            bench.expect(f"at the flip: {case.name} {flip}", case, flip.price_wad, is_bad=True)
            bench.expect(f"a step nearer: {case.name} {flip}", case, nearer, is_bad=False)
            for _ in range(2):
                between = rng.randrange(min(now, nearer), max(now, nearer) + 1)
                bench.expect(f"on the way: {case.name} at {between} {flip}", case, between, is_bad=False)
        for way in case.missing:
            for ratio in NEVER_RATIOS_PCT:
                if (ratio < 100) == (way == "down"):
                    price = now * ratio // 100
                    bench.expect(f"no flip {way}: {case.name} at {price}", case, price, is_bad=False)
    bench.close()
    sample = [(case, flip) for case in cases[::SAMPLE] for flip in case.flips]
    for (case, flip), contracts in zip(sample, _bisect(one, sample), strict=True):
        tally.measure(f"{case.name} {flip.direction}", flip.price_wad, contracts, STEP_WAD)


def _nearer(flip: Flip) -> int:
    return flip.price_wad + (STEP_WAD if flip.direction == "down" else -STEP_WAD)


def _bisect(one: World, sample: Sequence[tuple[Case, Flip]]) -> list[int]:
    """The contract's flips by its view alone, all at once: nothing of what was solved goes in."""
    token = one.lyra.option_token
    safe = [case.short.prices[case.short.market] for case, _ in sample]
    bad = [
        now // 10**6 if flip.direction == "down" else now * TOP // WAD
        for now, (_, flip) in zip(safe, sample, strict=True)
    ]
    while any(abs(high - low) > STEP_WAD for low, high in zip(safe, bad, strict=True)):
        middles = [(low + high) // 2 for low, high in zip(safe, bad, strict=True)]
        requests = [
            Request(token, "canLiquidate", case.at(middle))
            for (case, _), middle in zip(sample, middles, strict=True)
        ]
        for index, answer in enumerate(ask_truths(one.chain, requests)):
            if abs(safe[index] - bad[index]) > STEP_WAD:
                (bad if answer else safe)[index] = middles[index]
    return bad


def _judge_times(one: World, tally: Tally, cases: Iterable[Case]) -> None:
    """Nobody trades, the oracle stands still: the chain is warped from one foretold second to the next."""
    moments: dict[int, list[tuple[Case, bool, str]]] = {}

    def expect(at_s: int, case: Case, what: str, *, is_bad: bool) -> None:
        moments.setdefault(at_s, []).append((case, is_bad, what))

    start_s = one.node.now_s()
    for case in cases:
        expiry_s = case.short.expiry_s
        lapse = solve_lapse(case.short, HORIZON_S)
        if lapse is None:
            for at_s in {start_s + (expiry_s - 1 - start_s) * part // 6 for part in range(1, 7)}:
                expect(at_s, case, "never in time", is_bad=False)
            for days in (14, 56):  # where the volatility that is asked for bends
                if expiry_s - days * DAY_S > start_s:
                    expect(expiry_s - days * DAY_S, case, "never in time", is_bad=False)
            continue
        at_s = case.short.at_s + lapse.seconds
        expect(at_s, case, "at the second", is_bad=True)
        if at_s - 1 > start_s:
            expect(at_s - 1, case, "a second before", is_bad=False)
    for at_s, asked in sorted(moments.items()):
        one.node.set_next_timestamp(at_s)
        one.node.mine()
        bench = Bench(one, tally)
        for case, is_bad, what in asked:
            spot_wad = case.short.prices[case.short.market]
            bench.expect(f"{what}: {case.name} at {at_s}", case, spot_wad, is_bad=is_bad)
        bench.close()


def _liquidate(one: World, tally: Tally, rng: Random, cases: Sequence[Case], wanted: int) -> None:
    """By transactions, on both sides, each from the same state of the chain."""
    then_s = one.node.now_s() + 2
    order = list(cases)
    rng.shuffle(order)
    for case in order:
        if tally.by_transaction >= wanted:
            return
        sides = _sides(case, then_s, is_by_time=tally.by_transaction % BY_TIME == BY_TIME - 1)
        if sides is None:
            continue
        market, position_id = one.lyra.option_market, case.short.position_id
        errand = Errand(one.judge, market, "liquidatePosition", (position_id, one.judge))
        for (price_wad, at_s), refusal in zip(sides, (NOT_YET, ""), strict=True):
            snapshot = one.node.snapshot()
            one.node.set_next_timestamp(at_s - 1)
            one.set_spot(price_wad)
            _, reason, _ = one.crowd.attempt(errand, at_s)
            is_right = reason.split("(")[0] == refusal
            tally.judge(f"liquidatePosition: {case.name} at {price_wad}, {at_s}: {reason}", is_right=is_right)
            one.node.revert(snapshot)
        tally.by_transaction += 1


def _sides(case: Case, then_s: int, *, is_by_time: bool) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Price and time of the last healthy moment, and of the first that is not."""
    short = case.short
    lapse = solve_lapse(short, HORIZON_S) if is_by_time else None
    if lapse is not None:
        spot_wad, at_s = short.prices[short.market], short.at_s + lapse.seconds
        if at_s > then_s + 1:
            return (spot_wad, at_s - 1), (spot_wad, at_s)
    way: Direction = "down" if short.option_type is OptionType.SHORT_PUT_QUOTE else "up"
    flip = solve_price(short, short.market, way, then_s)
    if flip is None or flip.distance == 0.0:
        return None
    return (_nearer(flip), then_s), (flip.price_wad, then_s)
