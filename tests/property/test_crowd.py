"""Thousands of accounts in one pass against the scalar models, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from agent.risk.crowd import Flips, Floats, Rows, Way, solve
from agent.risk.liquidation import Direction, Flip, solve_joint, solve_price
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.fixed import DAY_S, Q96, WAD, mul_div_trunc, to_float
from agent.venues.curie.heap import Market, Stakes, Told, heap
from agent.venues.curie.margin import Collateral, CurieMargin, Leg, frozen
from agent.venues.deployments import CurieDeployment
from agent.venues.deployments import Market as Listed

ACCOUNTS = 500
CLOSE = 1e-9
USDC = Token(Address("0x" + "0a" * 20), "USDC", 6)
WETH = Token(Address("0x" + "0b" * 20), "WETH", 18)
BASES = tuple(Address("0x" + f"{number:02x}" * 20) for number in (1, 2, 3))
ASSETS = ("ETH", "SOL", "BTC")
MARKS = (2_013_456_789_012_345_678_901, 41_987_654_321_098_765_432, 60_123 * WAD)
WEIGHT_PPM, FEED_DECIMALS, MAINTENANCE_PPM = 700_000, 8, 62_500


def _deployment() -> CurieDeployment:
    names = (
        "clearing_house",
        "account_balance",
        "vault",
        "exchange",
        "config",
        "market_registry",
        "order_book",
    )
    return CurieDeployment(
        **dict.fromkeys(names, "0x" + "0c" * 20),
        settlement_token=USDC.address,
        markets=tuple(Listed(address=base, asset=asset) for base, asset in zip(BASES, ASSETS, strict=True)),
        collaterals=(Listed(address=WETH.address, asset="ETH"),),
    )


@dataclass(frozen=True)
class Drawn:
    """A scalar account, and the growth at which it was last changed."""

    margin: CurieMargin
    since: tuple[int, ...]


def _drawn(rng: Random, growths: tuple[int, ...]) -> Drawn:
    sizes = [rng.choice((0, 0, -1, 1, 1)) * int(10 ** rng.uniform(12, 22)) for _ in BASES]
    worth = sum(abs(size) * mark // WAD for size, mark in zip(sizes, MARKS, strict=True))
    legs, since = [], []
    for base, asset, size, mark, growth in zip(BASES, ASSETS, sizes, MARKS, growths, strict=True):
        last = growth + int(rng.uniform(-1, 1) * 10**5 * Q96) if size else 0
        owed = mul_div_trunc(mul_div_trunc(size, growth - last, Q96), 1, DAY_S) if size else 0
        notional = -mul_div_trunc(size, int(mark * rng.uniform(0.8, 1.2)), WAD)
        legs.append(Leg(MarketId(f"curie:{base}"), asset, size, notional, owed, 0))
        since.append(last)
    held = int(10 ** rng.uniform(14, 20)) if rng.random() < 0.4 else 0
    collateral = Collateral(WETH, "ETH", held, FEED_DECIMALS, WEIGHT_PPM)
    balance = int((worth * math.exp(rng.uniform(-4, 1))) // 10**12) * 10**12
    marks = {leg.market: mark for leg, mark in zip(legs, MARKS, strict=True)}
    margin = CurieMargin(
        collateral_token=USDC,
        balance_wad=balance,
        owed_wad=int(rng.uniform(-0.05, 0.05) * worth),
        pending_fee_wad=0,
        free_wad=0,
        legs=tuple(legs),
        maintenance_ppm=MAINTENANCE_PPM,
        initial_ppm=100_000,
        penalty_ppm=25_000,
        at_s=1_750_000_000,
        marks=frozen(marks | {collateral.market: 2_010_12345678 * 10**10}),
        collaterals=(collateral,),
    )
    return Drawn(margin, tuple(since))


def _stakes(drawn: list[Drawn], anchors: tuple[int, ...]) -> Stakes:
    margins = [one.margin for one in drawn]
    sizes = np.array([[to_float(leg.size_wad) for leg in one.legs] for one in margins])
    since = [[(last - a) / Q96 for last, a in zip(one.since, anchors, strict=True)] for one in drawn]
    return Stakes(
        balance=np.array([to_float(one.balance_wad) for one in margins]),
        owed=np.array([to_float(one.owed_wad) for one in margins]),
        sizes=sizes,
        notionals=np.array([[to_float(leg.open_notional_wad) for leg in one.legs] for one in margins]),
        since=np.where(sizes != 0.0, np.array(since), 0.0),
        collaterals=np.array([[to_float(one.collaterals[0].held)] for one in margins]),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_curies_accounts_in_one_pass_are_its_scalar_accounts(seed: int) -> None:
    rng = Random(f"crowd {seed}")
    growths = tuple(int(rng.uniform(-1, 1) * 10**9 * Q96) for _ in BASES)
    anchors = tuple(growth + int(rng.uniform(-1, 1) * 10**5 * Q96) for growth in growths)
    drawn = [_drawn(rng, growths) for _ in range(ACCOUNTS)]
    market = Market(
        marks=np.array([to_float(mark) for mark in MARKS]),
        growths=np.array([(growth - a) / Q96 for growth, a in zip(growths, anchors, strict=True)]),
        maintenance=MAINTENANCE_PPM / 1e6,
        decimals=6,
        worths=np.array([2010.12345678 * WEIGHT_PPM / 1e6]),
        units=np.array([1e18]),
    )
    nothing = np.full(ACCOUNTS, np.nan)
    stakes = _stakes(drawn, anchors)
    crowd = heap(
        _deployment(), stakes, market, Told(np.zeros(ACCOUNTS, np.bool_), stakes.sizes, nothing, nothing)
    )
    joint, leading = solve(crowd, "joint"), solve(crowd, "leading")
    flipped = 0
    for row, one in enumerate(drawn):
        margin, slack = one.margin, float(crowd.slack[row])
        equity, requirement = (
            margin.equity_wad(margin.marks, margin.at_s),
            margin.requirement_wad(margin.marks, margin.at_s),
        )
        assert abs(to_float(equity) - crowd.equity[row]) <= slack
        assert abs(to_float(requirement) - crowd.requirement[row]) <= slack
        if abs(to_float(equity - requirement)) <= slack:
            continue  # whom a float cannot judge is asked exactly
        assert (crowd.equity[row] < crowd.requirement[row]) == (equity < requirement)
        slopes = abs(crowd.moving[row]), abs(crowd.lead[row])
        market_id = crowd.markets[crowd.leading[row]] if crowd.leading[row] >= 0 else None
        for way in ("down", "up"):
            flipped += _same(joint, row, way, solve_joint(margin, way), slack, slopes[0])
            if market_id is not None:
                _same(leading, row, way, solve_price(margin, market_id, way), slack, slopes[1])
    assert flipped > ACCOUNTS / 2


def _same(flips: Flips, row: int, way: Direction, wanted: Flip | None, slack: float, slope: float) -> bool:
    """As near as the error of the headroom, over its slope, lets it be."""
    found = float((flips.down if way == "down" else flips.up)[row])
    loose = CLOSE + 4 * slack / slope if slope else math.inf
    if math.isnan(found) or wanted is None:
        ends = (
            0.0,
            16.0,
        )  # a flip at the very end of the reach may be missed by the one and not by the other
        at = found if wanted is None else wanted.ratio_wad / WAD
        assert math.isnan(at) or loose > CLOSE * 1e3 or min(abs(at - end) for end in ends) <= loose
        return False
    assert abs(found - wanted.ratio_wad / WAD) <= loose * max(1.0, found)
    return True


@dataclass(frozen=True)
class Bent:
    """Headroom of straight pieces between knots: ``levels`` at ``knots``, per row."""

    knots: Floats
    levels: Floats

    @property
    def equity(self) -> Floats:
        return self.headroom(np.ones(len(self.levels)), np.arange(len(self.levels)), "joint")

    @property
    def requirement(self) -> Floats:
        return np.zeros(len(self.levels))

    @property
    def bends(self) -> Floats:
        return np.broadcast_to(self.knots[1:-1], (len(self.levels), len(self.knots) - 2))

    def headroom(self, ratios: Floats, rows: Rows, way: Way) -> Floats:
        return np.array(
            [np.interp(ratio, self.knots, self.levels[row]) for ratio, row in zip(ratios, rows, strict=True)]
        )


@pytest.mark.parametrize("seed", [3, 4])
def test_the_first_flip_is_found_behind_any_bends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    knots = np.array([0.0, 0.3, 0.55, 0.9, 1.0, 1.02, 1.3, 2.5, 9.0, 16.0])
    levels = rng.normal(0.6, 1.0, (400, len(knots)))
    bent = Bent(knots, levels)
    flips = solve(bent, "joint")  # type: ignore[arg-type]
    here = 4
    for row in range(len(levels)):
        for found, order in (
            (flips.down[row], range(here, 0, -1)),
            (flips.up[row], range(here, len(knots) - 1)),
        ):
            step = -1 if order.step < 0 else 1
            wanted = math.nan
            for at in order:
                a, b = levels[row, at], levels[row, at + step]
                if a < 0:
                    wanted = knots[at]
                    break
                if b < 0:
                    wanted = knots[at] + (knots[at + step] - knots[at]) * a / (a - b)
                    break
            assert math.isnan(found) == math.isnan(wanted)
            assert math.isnan(wanted) or abs(found - wanted) < 1e-12 * max(1.0, wanted)
