"""Flips of random Panoptic accounts before the real contracts, by their views and by real liquidations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cache
from random import Random

from agent.errors import TransactionReverted
from agent.market.margin import Prices
from agent.pricing.tick import MAX_TICK, MIN_TICK, sqrt_price_x96
from agent.risk.liquidation import DIRECTIONS, Flip, solve_joint
from agent.values.address import Address
from agent.venues.panoptic import pair
from agent.venues.panoptic.account import FULL
from agent.venues.panoptic.margin import PanopticMargin
from agent.venues.panoptic.state import PoolState
from tests.real.panoptic_crowd import Crowd, Jury, jury, read
from tests.real.panoptic_world import World

SOLVENT_WORDS = ("NotMarginCalled", "NoLegsExercisable", "StaleOracle", "InputListFail", "AccountInsolvent")


@dataclass
class Tally:
    """``error_ticks``: the largest distance of a flip from the contract's own, by bisection."""

    accounts: int = 0
    flips: int = 0
    unflippable: int = 0
    views: int = 0
    wrong_side: int = 0
    error_ticks: int = 0
    error_units: int = 0
    missed: int = 0
    with_premia: int = 0
    by_transaction: int = 0
    liquidated: int = 0
    refused_otherwise: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    utilisations: list[int] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def wrong(self, what: str) -> None:
        self.wrong_side += 1
        self.troubles.append(what)

    def __add__(self, other: Tally) -> Tally:
        largest = {"error_ticks", "error_units"}
        merged: dict[str, object] = {}
        for part in fields(self):
            mine, theirs = getattr(self, part.name), getattr(other, part.name)
            if isinstance(mine, dict):
                names = {*mine, *theirs}
                merged[part.name] = {name: mine.get(name, 0) + theirs.get(name, 0) for name in names}
            else:
                merged[part.name] = max(mine, theirs) if part.name in largest else mine + theirs
        return replace(self, **merged)  # type: ignore[arg-type]


def prepared(world: World, crowd: Crowd, count: int) -> list[Address]:
    """Accounts, fees earned by their ranges since, a moved price and days of interest."""
    people = crowd.people(count, "holder")
    now = sqrt_price_x96(world.tick())
    for factor in (1.01, 0.985, 1.006, crowd.rng.uniform(0.99, 1.01)):
        world.swap_to(int(now * factor))
        world.poke(2)
    crowd.touch(max(2, count // 2))
    world.poke(crowd.rng.choice([0, 3, 30]))
    world.node.warp(crowd.rng.randrange(3_600, 30 * 86_400))
    world.pool.send(world.provider, "pokeOracle")
    return people


def by_view(world: World, crowd: Crowd, people: list[Address], tally: Tally) -> list[PoolState]:
    """Margin to the unit and solvency at many ticks, and every flip on both its sides."""
    states = read(world, people)
    for account, state in zip(people, states, strict=True):
        tally.accounts += 1
        tally.utilisations.append(max(state.account.utilisations))
        tally.with_premia += any(state.account.short_premia)
        judge = jury(world, account, tuple(held.number for held in state.account.held))
        _margins(state, judge, crowd.rng, tally)
        for direction in DIRECTIONS:
            flip = solve_joint(state.margin, direction)
            _flip(state.margin, judge, flip, direction, tally)
    return states


def _margins(state: PoolState, judge: Jury, rng: Random, tally: Tally) -> None:
    tick = state.margin.tick
    ticks = [tick + away for away in (0, 1, -1)]
    ticks += [tick + rng.randrange(-3_000, 3_000) for _ in range(12)]
    ticks += [tick + rng.randrange(-40_000, 40_000) for _ in range(12)]
    for one, words in zip(ticks, judge.margin(ticks), strict=True):
        found = state.account.standing(one, state.at_s)
        (balance0, required0), (balance1, required1) = pair.unsigned(words[0]), pair.unsigned(words[1])
        away = max(
            abs(mine - theirs)
            for mine, theirs in zip(
                (*found.balances, *found.required), (balance0, balance1, required0, required1), strict=True
            )
        )
        tally.error_units = max(tally.error_units, away)
        tally.views += 1
        if away:
            tally.wrong(f"margin of {judge.account} at {one} is {away} units off")
    for one, is_solvent in zip(ticks, judge.solvent(ticks), strict=True):
        tally.views += 1
        if is_solvent != state.account.is_solvent(one, state.at_s):
            tally.wrong(f"{judge.account} solvent at {one}: {is_solvent} on chain")
    buffered = state.margin.leave_buffer
    for one, is_solvent in zip(ticks, judge.solvent(ticks, buffered), strict=True):
        tally.views += 1
        if is_solvent != state.account.is_solvent(one, state.at_s, buffered):
            tally.wrong(f"{judge.account} solvent at {one} with the buffer: {is_solvent} on chain")


def _flip(margin: PanopticMargin, judge: Jury, flip: Flip | None, direction: str, tally: Tally) -> None:
    """The contract's word on both sides of the flip, and its own flip by bisection between them and now."""
    if flip is None:
        tally.unflippable += 1
        for ratio in (0.5, 0.1, 0.001) if direction == "down" else (1.5, 4, 15.9):
            if _is_bad(margin, judge, _at(margin, int(margin.price_wad * ratio)), tally):
                tally.wrong(f"{judge.account} never flips {direction}, and does at {ratio}")
        return
    tally.flips += 1
    there = _at(margin, flip.price_wad)
    if not _is_bad(margin, judge, there, tally):
        tally.wrong(f"{judge.account} {direction}: not insolvent at its flip")
    if flip.tolerance_wad == 0:
        return
    sign = 1 if direction == "down" else -1
    before = _at(margin, flip.price_wad + sign * flip.tolerance_wad)
    if _is_bad(margin, judge, before, tally):
        tally.wrong(f"{judge.account} {direction}: already insolvent {flip.tolerance_wad} before its flip")
    tick = margin.ticks(there, margin.at_s)[3]
    own = _bisected(margin, judge, tick, tally)
    tally.error_ticks = max(tally.error_ticks, abs(own - tick))
    # The first flip, and not a later one: the model (which the views have just confirmed) at every tick
    # between.
    step = 1 if tick > margin.tick else -1
    stands = cache(lambda one: margin.account.is_solvent(one, margin.at_s))
    for one in range(margin.tick, tick, step):
        if not any(stands(shifted) for shifted in _shifted(margin, one)):
            tally.missed += 1
            tally.wrong(f"{judge.account} {direction}: flips at {one}, solved {tick}")
            break


def _at(margin: PanopticMargin, price_wad: int) -> Prices:
    return {margin.denomination.market: price_wad}


def _is_bad(margin: PanopticMargin, judge: Jury, prices: Prices, tally: Tally) -> bool:
    ticks = list(margin.ticks(prices, margin.at_s))
    tally.views += len(ticks)
    return not any(judge.solvent(ticks))


def _shifted(margin: PanopticMargin, tick: int) -> list[int]:
    now = margin.oracle.liquidation_ticks(margin.tick)
    return [min(max(one + tick - margin.tick, MIN_TICK), MAX_TICK) for one in now]


def _bisected(margin: PanopticMargin, judge: Jury, bad: int, tally: Tally) -> int:
    """The contract's own flip, between now (not liquidatable) and a tick at which it is; the oracle comes
    along.
    """
    good = margin.tick
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        tally.views += 4
        good, bad = (good, middle) if not any(judge.solvent(_shifted(margin, middle))) else (middle, bad)
    return bad


def by_transaction(
    world: World, people: list[Address], states: list[PoolState], most: int, tally: Tally
) -> None:
    """Real prices, real pokes, and `dispatchFrom` on both sides of the flip; ``most`` accounts of them."""
    liquidator = world.crowd.people("liquidator", 1)[0]
    asset, quote = 10 ** world.asset.integer("decimals"), 10 ** world.quote.integer("decimals")
    rich = (asset * 10**6, 2_000 * quote * 10**6)
    world.fund(liquidator, rich if world.is_asset_first else rich[::-1])
    for token, tracker in zip(world.tokens, world.trackers, strict=True):
        token.send(world.owner, "mint", liquidator, 10**33)
        token.send(liquidator, "approve", tracker.address, 2**255)
    done = 0
    for account, state in zip(people, states, strict=True):
        if done == most:
            return
        flips = [solve_joint(state.margin, direction) for direction in DIRECTIONS]
        near = [flip for flip in flips if flip is not None and 0 < flip.distance < 0.6]
        if not near:
            continue
        flip = min(near, key=lambda one: one.distance)
        target = state.margin.ticks(_at(state.margin, flip.price_wad), state.at_s)[3]
        snapshot = world.node.snapshot()
        side = 1 if target > state.margin.tick else -1
        for away in (-40, -8, -1, 2, 12, 60):
            _settle_at(world, target + side * away)
            _try(world, liquidator, account, tally)
        done += 1
        world.node.revert(snapshot)


def _settle_at(world: World, tick: int) -> None:
    """The pool in the middle of that tick, and the oracle as near to it as it comes."""
    low, high = sqrt_price_x96(tick), sqrt_price_x96(tick + 1)
    world.swap_to((low + high) // 2)
    latest = world.pool.call("getOracleTicks")[3]
    assert isinstance(latest, int)
    world.poke(math.ceil(abs(latest - tick) / 149) + 24)


def _try(world: World, liquidator: Address, account: Address, tally: Tally) -> None:
    """One look at the newest block and one call of the liquidation at it; a real one where that passes."""
    (state,) = read(world, [account])
    margin, ids = state.margin, [held.number for held in state.account.held]
    expected = margin.is_liquidatable(margin.prices, margin.at_s)
    arguments = ([], account, ids, [], 0)
    snapshot, reason, is_liquidation = world.node.snapshot(), "", False
    try:
        receipt = world.pool.send(liquidator, "dispatchFrom", *arguments)
        # the same call on a solvent account that holds one position with a bought leg is a forced exercise
        is_liquidation = bool(world.pool.events(receipt.logs, "AccountLiquidated"))
        (after,) = read(world, [account])
        if after.account.held:
            tally.wrong(f"{account} still holds positions afterwards, or the reader thinks so")
    except TransactionReverted as error:
        reason = str(error.fields["reason"])
    world.node.revert(snapshot)
    tally.by_transaction += 1
    tally.liquidated += is_liquidation
    if reason and not any(word in reason for word in SOLVENT_WORDS):
        name = reason.split("(")[0]
        tally.refused_otherwise[name] = tally.refused_otherwise.get(name, 0) + 1
    elif expected != is_liquidation:
        tally.wrong(f"{account} at {margin.tick}: model {expected}, chain {is_liquidation} {reason}")


__all__ = ["FULL", "Tally", "by_transaction", "by_view", "prepared"]
