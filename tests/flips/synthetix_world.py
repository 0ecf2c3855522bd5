"""A perps market of Synthetix V3 full of accounts: long and short, tiny and huge, in one market or both,
margined in dollars, synths or both, some in debt, with funding and interest that have run for days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.market.margin import Prices
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.contract import Chain, Contract
from agent.sim.deploy.synthetix import (
    PERPS_ID,
    SETTLE_AFTER_S,
    STRATEGY,
    USD_ID,
    Keepers,
    MarketTerms,
    Synthetix,
    deploy,
)
from agent.sim.node import Node, quantity
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO, Address, MarketId, parse_address
from agent.values.fixed import DAY_S, WAD, mul_down
from agent.venues.synthetix import Synthetix as Venue
from agent.venues.synthetix.margin import SynthetixMargin
from tests.flips.crowd import BLOCK_GAS, Crowd, Errand

GENESIS_S = 1_750_000_000
OWNERS = 20
CREDIT_WAD = 10**13 * WAD
RICH_WAD = 10**12 * WAD
MAX_PRICE = 2**127
TIERS = ((60, 900), (1_000, 40_000), (40_000, 2_000_000), (50_000_000, 250_000_000))  # dollars of notional
HUGE = TIERS[-1][0]
TIER_WEIGHTS = (3, 5, 4, 1)
LATEST_ROUND_SLOT, ROUNDS_SLOT = 1, 2  # of our PriceAggregator
CALLS = 300


@dataclass(frozen=True)
class Plan:
    """What one account is to do: dollars and synths to post, a trade in each wave."""

    id: int
    owner: Address
    usd_wad: int
    synths: dict[int, int]
    trades: tuple[tuple[int, int], ...]  # market and size, one after the other

    @property
    def waves(self) -> int:
        return len(self.trades)


@dataclass
class World:
    """The chain with everything on it."""

    node: Node
    chain: Chain
    synthetix: Synthetix
    crowd: Crowd
    owners: Sequence[Address]
    keeper: Address

    @property
    def venue(self) -> Venue:
        return Venue(self.synthetix.deployment())

    def read(self) -> list[SynthetixMargin]:
        """Every account at the newest block, as the agent reads it."""
        rpc = Rpc(self.node.url, timeout_s=60)
        block = rpc.block("latest")
        states = read_all(rpc, block, [self.venue.read(owner, block) for owner in self.owners])
        rpc.close()
        return [margin for state in states for margin in state.margins]

    def feed(self, market: MarketId) -> Contract:
        """The feed behind one of the account's prices."""
        _, kind, number = market.split(":")
        if kind == "market":
            return self.synthetix.feeds[int(number)]
        return self.synthetix.synths[int(number)].feed

    def overrides(self, prices: Prices) -> dict[str, object]:
        """State overrides that make the feeds say these prices."""
        found: dict[str, object] = {}
        for market, price in prices.items():
            feed = self.feed(market)
            found[feed.address] = {"stateDiff": {self.answer_slot(feed): f"0x{price:064x}"}}
        return found

    def answer_slot(self, feed: Contract) -> str:
        """Where the newest answer stands."""
        newest = quantity(
            self.node.request("eth_getStorageAt", feed.address, hex(LATEST_ROUND_SLOT), "latest")
        )
        return "0x" + keccak(codec.encode(["uint80", "uint256"], [newest, ROUNDS_SLOT])).hex()

    def words(self, asked: Sequence[tuple[str, int, dict[str, object], int]]) -> list[list[int]]:
        """All words that the perps market's views of accounts return: function, account, overrides, time."""
        perps = self.synthetix.perps
        found = []
        for start in range(0, len(asked), CALLS):
            batch = []
            for function, account, overrides, at_s in asked[start : start + CALLS]:
                call = {"to": perps.address, "data": "0x" + perps.encode(function, account).hex()}
                batch.append(("eth_call", (call, "latest", overrides, {"time": hex(at_s)})))
            for answer in self.node.batch(batch):
                raw = str(answer)[2:]
                found.append([int(raw[at : at + 64], 16) for at in range(0, len(raw), 64)])
        return found

    def set_price(self, prices: Prices) -> None:
        """Move the feeds themselves."""
        for market, price in prices.items():
            self.feed(market).send(self.synthetix.owner, "setAnswer", price)


@contextmanager
def world(toolchain: Toolchain, seed: int, accounts: int) -> Iterator[World]:
    """A chain with that many accounts, of which nearly all have positions."""
    rng = Random(f"synthetix world {seed}")
    options = AnvilOptions(genesis_s=GENESIS_S, gas_limit=BLOCK_GAS)
    with Anvil(toolchain.anvil, options) as node:
        chain = Chain(node)
        accounts_of_node = node.request("eth_accounts")
        assert isinstance(accounts_of_node, list)
        owner = parse_address(accounts_of_node[0])
        synthetix = deploy(chain, toolchain, owner, keepers=_keepers(rng))
        crowd = Crowd(chain)
        people = crowd.people(f"synthetix {seed}", OWNERS + 1)
        one = World(node, chain, synthetix, crowd, people[:OWNERS], people[OWNERS])
        _fill(one, rng, _plans(one, rng, accounts))
        yield one


def _keepers(rng: Random) -> Keepers:
    """Such that each rule of the reward is some account's."""
    return Keepers(
        collateral_ratio=int(rng.uniform(0.0003, 0.004) * 10**9) * 10**9,
        maximum_ratio=int(rng.uniform(0.02, 0.1) * 10**9) * 10**9,
        maximum_reward=int(rng.uniform(100, 900) * 10**9) * 10**9,
        minimum_reward=int(rng.uniform(1, 9) * 10**9) * 10**9,
    )


def _plans(one: World, rng: Random, count: int) -> list[Plan]:
    plans: list[Plan] = []
    skews: dict[int, int] = {}
    for number in range(count):
        markets = list(one.synthetix.markets)
        rng.shuffle(markets)
        trades, need, is_huge = [], 0, False
        for terms in markets[: rng.choice((1, 2))]:
            low, high = rng.choices(TIERS, TIER_WEIGHTS)[0]
            worth = int(low * (high / low) ** rng.random() * 10**6) * 10**12
            size = worth * WAD // terms.price_wad
            side = 1 if rng.random() < 0.5 else -1
            is_huge |= low >= HUGE
            if low >= HUGE:  # against the others of its kind: a market far out of balance ruins everybody
                side = -1 if skews.get(terms.id, 0) > 0 else 1
                skews[terms.id] = skews.get(terms.id, 0) + side * size
            trades.append((terms.id, side * size))
            need += _need(terms, size, worth)
        share = rng.choice((0.0, 0.0, 0.0, 0.5, 0.2, 1.0))
        if rng.random() < 0.3 and not is_huge:  # the first becomes smaller or larger, turns over, or closes
            market, size = trades[0]
            is_left = share == 1.0 and len(trades) == 1  # without dollars to pay for it: in debt
            trades.append((market, size * (-100 if is_left else rng.choice((-100, -40, -150, 5))) // 100))
        need = int(need * rng.uniform(1.25, 1.3 + 4 * rng.random()))
        plans.append(
            Plan(
                id=1_000 + number,
                owner=one.owners[number % OWNERS],
                usd_wad=int(need * (1 - share)),
                synths=_synths(one, rng, int(need * share * 1.15)),
                trades=tuple(trades),
            )
        )
    return plans


def _need(terms: MarketTerms, size_wad: int, worth_wad: int) -> int:
    """Roughly the initial margin, with what an order costs."""
    ratio = mul_down(size_wad * WAD // terms.skew_scale, terms.initial_ratio) + terms.minimum_initial_ratio
    impact = size_wad * WAD // terms.skew_scale
    return (
        mul_down(worth_wad, ratio + impact + WAD // 500) + terms.minimum_margin + 30 * WAD + worth_wad // 2000
    )


def _synths(one: World, rng: Random, worth_wad: int) -> dict[int, int]:
    if worth_wad == 0:
        return {}
    prices = {terms.asset: terms.price_wad for terms in one.synthetix.markets}
    keys = list(one.synthetix.synths)
    chosen = keys if rng.random() < 0.3 else [rng.choice(keys)]
    return {
        key: worth_wad // len(chosen) * WAD // prices[one.synthetix.synths[key].asset]
        + rng.randrange(1, 10**9)
        for key in chosen
    }


def _fill(one: World, rng: Random, plans: Sequence[Plan]) -> None:
    synthetix, perps = one.synthetix, one.synthetix.perps
    owner = parse_address(synthetix.owner)
    synthetix.core.send(owner, "setCredit", PERPS_ID, CREDIT_WAD)
    errands = []
    tokens = [synthetix.usd, *(synth.token for synth in synthetix.synths.values())]
    for person in one.owners:
        errands.append(Errand(owner, synthetix.core, "mintUsd", (person, RICH_WAD)))
        errands += [Errand(person, token, "approve", (perps.address, RICH_WAD)) for token in tokens]
        for key in synthetix.synths:
            minter = parse_address(synthetix.spot.address)
            errands.append(Errand(minter, synthetix.synths[key].token, "mint", (person, RICH_WAD)))
    one.node.set_balance(synthetix.spot.address, 10**24)
    _all_done(one, errands)
    _all_done(one, [Errand(plan.owner, perps, "createAccount", (plan.id,)) for plan in plans])
    errands = []
    for plan in plans:
        posted = {USD_ID: plan.usd_wad, **plan.synths}
        errands += [
            Errand(plan.owner, perps, "modifyCollateral", (plan.id, key, amount))
            for key, amount in posted.items()
            if amount
        ]
    _all_done(one, errands)
    for wave in range(max(plan.waves for plan in plans)):
        if wave:
            for terms in synthetix.markets:
                synthetix.set_market_price(terms.id, int(terms.price_wad * rng.uniform(0.992, 1.008)))
            one.node.warp(rng.randrange(300, 2_400))
        busy = [plan for plan in plans if plan.waves > wave]
        one.crowd.send([_commitment(one, plan, *plan.trades[wave]) for plan in busy])
        one.node.warp(SETTLE_AFTER_S)
        one.crowd.send([Errand(one.keeper, perps, "settleOrder", (plan.id,)) for plan in busy])
    locked = perps.call("utilizationRate")[2]
    assert isinstance(locked, int)
    held = perps.integer("totalGlobalCollateralValue")
    synthetix.core.send(owner, "setCredit", PERPS_ID, locked * 13 // 10 + held)
    perps.send(owner, "updateInterestRate")
    one.node.warp(rng.randrange(DAY_S // 12, DAY_S // 4))


def _all_done(one: World, errands: Sequence[Errand]) -> None:
    told = one.crowd.send(errands)
    failed = [errand.function for errand, result in zip(errands, told, strict=True) if not result.is_done]
    if failed:
        raise AssertionError(f"{len(failed)} of {len(errands)} transactions failed: {set(failed)}")


def _commitment(one: World, plan: Plan, market: int, size_wad: int) -> Errand:
    acceptable = MAX_PRICE if size_wad > 0 else 0
    request = (market, plan.id, size_wad, STRATEGY, acceptable, bytes(32), ZERO)
    return Errand(plan.owner, one.synthetix.perps, "commitOrder", (request,))
