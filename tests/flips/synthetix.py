"""Synthetix' accounts: the flip solved for each, and what the perps market says there and one unit nearer.

What is solved is the account as the agent's reader reads it. The judge is the contract's ``canLiquidate``
(and ``canLiquidateMarginOnly`` of an account in debt without positions):

- of prices, in calls in which the newest answer of a price feed is laid over its storage and the block has
  the time in question; everything else is the contracts' own state and code, from the oracle's node on;
- and ``liquidate`` itself, with the feed moved by a transaction or the chain warped: refused a unit (or a
  second) before the flip, done at it.

Beside the flips, available and required margin must be the model's to the last unit at prices and times drawn
at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from agent.market.margin import Prices
from agent.risk.liquidation import DIRECTIONS, Direction, moved, solve_joint, solve_lapse, solve_price
from agent.sim.toolchain import Toolchain
from agent.values.address import MarketId
from agent.values.fixed import DAY_S, WAD
from agent.venues.synthetix.margin import (
    COLLATERAL_REWARD,
    DEBT,
    FLAG_REWARD,
    MINIMUM_REWARD,
    REWARD_CAP,
    WINDOWS,
    SynthetixMargin,
)
from tests.flips.crowd import Errand
from tests.flips.synthetix_world import World, world
from tests.flips.tally import Tally

SPARE = 1.5  # some accounts are liquidatable from the start, or have no flip
SAMPLE = 25  # every such flip is also searched for on the contract alone
BY_TIME = 4  # every such liquidation is by waiting instead of by a feed
REWARD_RULES = (
    MINIMUM_REWARD,
    FLAG_REWARD,
    COLLATERAL_REWARD,
    REWARD_CAP,
    DEBT,
)  # each must be some account's
HORIZON_S = 120 * DAY_S
SOON_S = 600
TOLERANCE = (
    "1e-9, or one unit of the oracle's price (1e-18 dollars) where that is more; of a joint move 1e-18 of "
    "the ratio, of time one second"
)


@dataclass(frozen=True)
class Case:
    """A flip that was solved: ``bad`` is liquidatable by the model, ``safe`` a unit nearer is not."""

    margin: SynthetixMargin
    what: str
    solved: int  # the price, the ratio, or the second
    safe: Prices
    bad: Prices
    beyond: Prices
    safe_s: int
    bad_s: int

    @property
    def name(self) -> str:
        legs = ", ".join(f"{leg.asset} {leg.size_wad}" for leg in self.margin.open_legs)
        return f"{self.margin.key} ({legs}): {self.what}"


def flips(
    toolchain: Toolchain, seed: int, accounts: int, by_transaction: int, told: Callable[[int], None]
) -> Tally:
    """``accounts`` accounts on a chain of their own; ``told`` hears how many have been judged."""
    rng = Random(f"synthetix flips {seed}")
    tally = Tally(tolerance=TOLERANCE)
    with world(toolchain, seed, int(accounts * SPARE) + 5) as one:
        margins = one.read()
        judged: list[list[Case]] = []
        for start in range(0, len(margins), 100):
            some = margins[start : start + 100]
            _agree(one, tally, rng, some)
            found = [cases for margin in some if (cases := _cases(margin, rng))]
            found = found[: accounts - len(judged)]
            _judge(one, tally, [case for cases in found for case in cases])
            judged += found
            told(len(judged))
            if len(judged) == accounts:
                break
        tally.accounts = len(judged)
        if len(judged) < accounts:
            tally.troubles.append(f"only {len(judged)} of {len(margins)} accounts have a flip to judge")
        flat = [case for cases in judged for case in cases]
        for case in flat[::SAMPLE]:
            _bisect(one, tally, case)
        _by_transaction(one, tally, rng, margins, by_transaction)
    return tally


def _cases(margin: SynthetixMargin, rng: Random) -> list[Case]:
    """Every flip of a healthy account: each of its prices and all of them together, either way, and of time.

    Half of them as seen from some time ahead.
    """
    if margin.is_liquidatable(margin.prices, margin.at_s):
        return []
    found = []
    own = [leg.market for leg in margin.open_legs] + [item.market for item in margin.collaterals]
    for direction in DIRECTIONS:
        for market in (*own, None):
            at_s = margin.at_s + (rng.randrange(2 * DAY_S) if rng.random() < 0.5 else 0)
            case = _price_case(margin, market, direction, at_s)
            if case is not None:
                found.append(case)
    lapse = solve_lapse(margin, HORIZON_S)
    if lapse is not None and lapse.seconds > 0:
        bad_s, now = margin.at_s + lapse.seconds, margin.prices
        found.append(Case(margin, "time", lapse.seconds, now, now, now, bad_s - 1, bad_s))
    return found


def _price_case(
    margin: SynthetixMargin, market: MarketId | None, direction: Direction, at_s: int
) -> Case | None:
    """None if there is no flip there, or the account is liquidatable by then without any move."""
    if margin.is_liquidatable(margin.prices, at_s):
        return None
    back = 1 if direction == "down" else -1
    what = f"{market or 'joint'} {direction} at {at_s - margin.at_s} s"
    if market is None:
        betas = dict.fromkeys(margin.prices, WAD)
        flip = solve_joint(margin, direction, at_s, betas)
        if flip is None:
            return None
        safe, bad, beyond = (
            moved(margin.prices, max(0, flip.ratio_wad + step), betas) for step in (back, 0, -back)
        )
        return Case(margin, what, flip.ratio_wad, safe, bad, beyond, at_s, at_s)
    flip = solve_price(margin, market, direction, at_s)
    if flip is None:
        return None
    near, here, far = ({**margin.prices, market: max(0, flip.price_wad + step)} for step in (back, 0, -back))
    return Case(margin, what, flip.price_wad, near, here, far, at_s, at_s)


def _judge(one: World, tally: Tally, cases: Sequence[Case]) -> None:
    """The contract at the solved flip and one unit nearer, and where it is not the price that decides but how
    the terms are cut: one unit beyond it may be healthy again, and the model has to know.
    """
    asked, expected = [], []
    for case in cases:
        for prices, at_s, is_bad in (
            (case.safe, case.safe_s, False),
            (case.bad, case.bad_s, True),
            (case.beyond, case.bad_s, case.margin.is_liquidatable(case.beyond, case.bad_s)),
        ):
            asked.append((case.margin, prices, at_s))
            expected.append((case, is_bad))
    for case in cases:
        parts = case.margin.parts(case.bad)
        for rule in REWARD_RULES:
            tally.count(rule, rule in parts)
        tally.count(WINDOWS, parts.get(WINDOWS, 0) > 0)
    for (case, is_bad), answer in zip(expected, _liquidatable(one, asked), strict=True):
        side = "liquidatable" if is_bad else "not liquidatable"
        tally.judge(f"views: {case.name} should be {side}", is_right=answer == is_bad)


def _liquidatable(one: World, asked: Sequence[tuple[SynthetixMargin, Prices, int]]) -> list[bool]:
    questions = [
        (function, margin.account_id, one.overrides(prices), at_s)
        for margin, prices, at_s in asked
        for function in ("canLiquidate", "canLiquidateMarginOnly")
    ]
    words = one.words(questions)
    return [bool(whole[0] or margin[0]) for whole, margin in zip(words[::2], words[1::2], strict=True)]


def _agree(one: World, tally: Tally, rng: Random, margins: Sequence[SynthetixMargin]) -> None:
    """Available and required margin at random prices and times are the model's, to the last unit."""
    asked, models = [], []
    for margin in margins:
        spread = rng.choice((0.02, 0.3, 0.9))
        prices = {
            market: int(price * rng.uniform(1 - spread, 1 + spread)) + rng.randrange(10**6)
            for market, price in margin.prices.items()
        }
        at_s = margin.at_s + rng.choice((0, 1, rng.randrange(DAY_S), rng.randrange(300 * DAY_S)))
        overrides = one.overrides(prices)
        asked += [
            (name, margin.account_id, overrides, at_s)
            for name in ("getAvailableMargin", "getRequiredMargins")
        ]
        required = margin.requirement_wad(prices, at_s) if margin.open_legs else 0
        initial = margin.initial_wad(prices) if margin.open_legs else 0
        models.append((margin.key, margin.equity_wad(prices, at_s), initial, required))
    words = one.words(asked)
    for (name, equity, initial, required), available, margins_of in zip(
        models, words[::2], words[1::2], strict=True
    ):
        said = (_signed(available[0]), margins_of[0], margins_of[1])
        tally.judge(
            f"margins: {name} has {said} where the model has {(equity, initial, required)}",
            is_right=said == (equity, initial, required),
        )


def _bisect(one: World, tally: Tally, case: Case) -> None:
    """The contract's own flip between the present and what is certainly beyond the solved one."""
    margin = case.margin
    if case.what == "time":
        return
    market = case.what.split(" ")[0]

    def ask(value: int) -> bool:
        if market == "joint":
            prices = moved(margin.prices, value, dict.fromkeys(margin.prices, WAD))
        else:
            prices = {**margin.prices, MarketId(market): value}
        return _liquidatable(one, [(margin, prices, case.bad_s)])[0]

    safe = WAD if market == "joint" else margin.prices[MarketId(market)]
    bad = max(0, case.solved + (case.solved - safe) // 100)
    if not ask(bad):
        return
    while abs(bad - safe) > 1:
        middle = (bad + safe) // 2
        if ask(middle):
            bad = middle
        else:
            safe = middle
    tally.measure(case.name, case.solved, bad, 1)


def _by_transaction(
    one: World, tally: Tally, rng: Random, margins: Sequence[SynthetixMargin], wanted: int
) -> None:
    """Liquidations themselves, refused and done."""
    order = list(margins)
    rng.shuffle(order)
    waiting = wanted // BY_TIME
    for margin in order:
        if tally.by_transaction >= wanted:
            return
        if margin.is_liquidatable(margin.prices, margin.at_s):
            continue
        case = _case_for_transaction(margin, rng, by_time=waiting > 0)
        if case is None:
            continue
        waiting -= case.what == "time"
        _liquidate(one, tally, case)
        tally.by_transaction += 1


def _case_for_transaction(margin: SynthetixMargin, rng: Random, *, by_time: bool) -> Case | None:
    if by_time:
        lapse = solve_lapse(margin, HORIZON_S)
        if lapse is None or lapse.seconds < SOON_S:
            return None
        bad_s, now = margin.at_s + lapse.seconds, margin.prices
        return Case(margin, "time", lapse.seconds, now, now, now, bad_s - 1, bad_s)
    own: list[MarketId | None] = [leg.market for leg in margin.open_legs]
    own += [item.market for item in margin.collaterals]
    market = rng.choice([*own, None])
    at_s = margin.at_s + SOON_S + (rng.randrange(DAY_S) if rng.random() < 0.5 else 0)
    found = [_price_case(margin, market, direction, at_s) for direction in rng.sample(DIRECTIONS, 2)]
    return next((case for case in found if case is not None), None)


def _liquidate(one: World, tally: Tally, case: Case) -> None:
    perps, margin = one.synthetix.perps, case.margin
    function = "liquidate" if margin.open_legs else "liquidateMarginOnly"
    errand = Errand(one.keeper, perps, function, (margin.account_id,))
    refusal = "NotEligibleForLiquidation" if margin.open_legs else "NotEligibleForMarginLiquidation"
    for prices, at_s, is_bad in ((case.safe, case.safe_s, False), (case.bad, case.bad_s, True)):
        snapshot = one.node.snapshot()
        one.set_price({name: price for name, price in prices.items() if price != margin.prices[name]})
        done, reason, _ = one.crowd.attempt(errand, at_s)
        is_right = done if is_bad else not done and reason.startswith(refusal)
        tally.judge(f"transactions: {case.name}: done is {done}, {reason}", is_right=is_right)
        one.node.revert(snapshot)


def _signed(word: int) -> int:
    return word - 2**256 if word >> 255 else word
