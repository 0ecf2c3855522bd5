"""Curie's own contracts with three markets, and as many accounts as are asked for, traded through hours.

The settlement token has 6 decimals; ether (18 decimals) and bitcoin (8) are taken as collateral too. Accounts
open at once, then the pools drift away from the index so that funding runs, and some trade again: they have
realised results, reversed positions or open orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import cast

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.deploy import curie as curie_deploy
from agent.sim.deploy.curie import MAX_UINT, CurieMarket
from agent.sim.node import Node
from agent.sim.tick import tick_range
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, MarketId, parse_address
from agent.values.fixed import WAD
from agent.venues.curie import Curie
from agent.venues.curie.state import CurieState
from agent.venues.deployments import Market
from tests.flips.crowd import BLOCK_GAS, Crowd, Errand

GENESIS_S = 1_750_000_000
USDC = 10**6
FEED_STEP_WAD = 10**10  # the oracles have 8 decimals
ASSETS = ("ETH", "SOL", "BTC")
SPOTS_WAD = (2_000 * WAD, 40 * WAD, 60_000 * WAD)
HAIRCUT_PPM = 700_000
POOL_USD = 10**14
DEEP_USD = 10**16  # what makers and the like have
SIZES = (-6.0, 6.0)  # of the size's decimal logarithm
MARGINS = (0.12, 4.0)  # collateral over the positions' value
NEAR_MARGINS = (0.12, 0.24)  # of a third of the accounts
DRIFT_TICKS = 250  # how far the pools go from the index
SETTLED_S = 3_600  # after that every average stands still
SPARE = 2  # and a 20th: accounts whose order is refused, or that are liquidatable once all has settled
READ = 100  # accounts read together


@dataclass(frozen=True)
class Venue:
    """One market with its oracle."""

    asset: str
    spot_wad: int
    contracts: CurieMarket
    aggregator: Contract

    @property
    def market(self) -> MarketId:
        return MarketId(f"curie:{self.contracts.base.address}")


@dataclass(frozen=True)
class World:
    """``people`` have the accounts; ``whale`` moves the pools and liquidates."""

    node: Node
    chain: Chain
    crowd: Crowd
    curie: curie_deploy.Curie
    usdc: Contract
    others: tuple[Contract, ...]
    venues: tuple[Venue, ...]
    owner: Address
    maker: Address
    whale: Address
    people: tuple[Address, ...]

    def read(self, accounts: Sequence[Address]) -> list[CurieState]:
        """At the newest block, by the agent's own reader."""
        deployment = self.curie.deployment(self.usdc.address, ASSETS[0])
        markets = tuple(Market(address=v.contracts.base.address, asset=v.asset) for v in self.venues)
        venue = Curie(deployment.model_copy(update={"markets": markets}))
        rpc = Rpc(self.node.url, 60.0)
        block = rpc.block("latest")
        states: list[CurieState] = []
        for start in range(0, len(accounts), READ):
            readings = [venue.read(one, block) for one in accounts[start : start + READ]]
            states += read_all(rpc, block, readings)
        rpc.close()
        return states

    def set_oracle(self, venue: Venue, price_wad: int) -> None:
        venue.aggregator.send(self.owner, "setAnswer", price_wad // FEED_STEP_WAD)

    def trade(self, account: Address, venue: Venue, size_wad: int, limit_x96: int = 0) -> Errand:
        """Buy (> 0) or sell at the market, up to a square-root price if one is given."""
        is_sale = size_wad < 0
        order = (
            venue.contracts.base.address,
            is_sale,
            is_sale,
            abs(size_wad),
            0 if is_sale or limit_x96 == 0 else MAX_UINT,
            MAX_UINT,
            limit_x96,
            bytes(32),
        )
        return Errand(account, self.curie.clearing_house, "openPosition", (order,))

    def push(self, ticks: Sequence[int], pause_s: int = 20) -> None:
        """Move each pool by so many ticks, in steps that the exchange allows, ``pause_s`` apart."""
        left = list(ticks)
        while any(left):
            errands = []
            for index, venue in enumerate(self.venues):
                step = max(-900, min(900, left[index]))
                left[index] -= step
                if step:
                    sqrt_x96 = cast(int, venue.contracts.pool.call("slot0")[0])
                    limit_x96 = int(sqrt_x96 * math.exp(step * math.log(1.0001) / 2))
                    size_wad = POOL_USD * WAD * WAD // venue.spot_wad
                    errands.append(
                        self.trade(self.whale, venue, size_wad if step > 0 else -size_wad, limit_x96)
                    )
            self.all_done(errands)
            self.node.warp(pause_s)

    def all_done(self, errands: Sequence[Errand]) -> None:
        for errand, told in zip(errands, self.crowd.send(errands), strict=True):
            if not told.is_done:
                errand.contract.send(errand.sender, errand.function, *errand.args)
                raise AssertionError(f"{errand.function} {errand.args} failed")


@contextmanager
def world(toolchain: Toolchain, seed: int, accounts: int) -> Iterator[World]:
    """``accounts`` accounts in one to three markets; every average has settled."""
    options = AnvilOptions(genesis_s=GENESIS_S, interval_s=1, gas_limit=BLOCK_GAS)
    with Anvil(toolchain.anvil, options) as node:
        one = _deploy(node, toolchain, seed, accounts)
        rng = Random(f"curie {seed}")
        _seed(one, rng)
        yield one


def _deploy(node: Node, toolchain: Toolchain, seed: int, accounts: int) -> World:
    chain = Chain(node)
    crowd = Crowd(chain)
    owner, maker, whale = (parse_address(text) for text in cast(list[str], node.request("eth_accounts"))[:3])
    usdc = chain.deploy(owner, own_artifact("MintableToken"), "USD Coin", "USDC", 6)
    aggregators = [chain.deploy(owner, own_artifact("PriceAggregator"), name, 8, owner) for name in ASSETS]
    for aggregator, spot_wad in zip(aggregators, SPOTS_WAD, strict=True):
        aggregator.send(owner, "setAnswer", spot_wad // FEED_STEP_WAD)
    curie = curie_deploy.deploy(chain, toolchain, owner, usdc, aggregators[0], SPOTS_WAD[0])
    markets = [CurieMarket(curie.base, curie.pool, curie.feed, curie.dispatcher)]
    for asset, aggregator, spot_wad in zip(ASSETS[1:], aggregators[1:], SPOTS_WAD[1:], strict=True):
        markets.append(
            curie_deploy.add_market(curie, chain, toolchain, owner, aggregator, spot_wad, f"v{asset}")
        )
    others = []
    for asset, decimals, index in (("WETH", 18, 0), ("WBTC", 8, 2)):
        token = chain.deploy(owner, own_artifact("MintableToken"), asset, asset, decimals)
        oracle = chain.deploy(
            owner, own_artifact("PriceAggregator"), asset, 8, owner
        )  # held while marks move
        oracle.send(owner, "setAnswer", SPOTS_WAD[index] // FEED_STEP_WAD)
        feed = chain.deploy(
            owner, toolchain.artifact("perp-oracle", "ChainlinkPriceFeedV2"), oracle.address, 900
        )
        config = (feed.address, HAIRCUT_PPM, 100_000, 10**40)
        curie.collateral_manager.send(owner, "addCollateral", token.address, config)
        others.append(token)
    for token in (usdc, *others):
        token.send(owner, "mint", owner, 10**40)
        token.send(owner, "approve", curie.vault.address, MAX_UINT)
    usdc.send(owner, "mint", curie.insurance_fund.address, DEEP_USD * USDC)
    node.warp(curie_deploy.WARM_UP_S)
    people = crowd.people(f"curie {seed}", accounts + SPARE + accounts // 20)
    one = World(
        node=node,
        chain=chain,
        crowd=crowd,
        curie=curie,
        usdc=usdc,
        others=tuple(others),
        venues=tuple(Venue(*parts) for parts in zip(ASSETS, SPOTS_WAD, markets, aggregators, strict=True)),
        owner=owner,
        maker=maker,
        whale=whale,
        people=tuple(people),
    )
    for rich in (maker, whale):
        curie.vault.send(owner, "depositFor", rich, usdc.address, DEEP_USD * USDC)
    for venue in one.venues:
        curie.market_registry.send(
            owner, "setMarketMaxPriceSpreadRatio", venue.contracts.base.address, 900_000
        )
        one.all_done([_liquidity(one, maker, venue, POOL_USD * WAD, 0.4, 1.7)])
    node.warp(60)
    return one


def _liquidity(one: World, maker: Address, venue: Venue, quote_wad: int, low: float, high: float) -> Errand:
    lower, upper = tick_range(venue.spot_wad / WAD, low, high, 60)
    base_wad = quote_wad * WAD // venue.spot_wad
    order = (venue.contracts.base.address, base_wad, quote_wad, lower, upper, 0, 0, False, MAX_UINT)
    return Errand(maker, one.curie.clearing_house, "addLiquidity", (order,))


def _seed(one: World, rng: Random) -> None:
    deposits, trades, more = [], [], []
    for person in one.people:
        venues = rng.sample(one.venues, rng.choice((1, 1, 2, 2, 3)))
        sizes = [rng.choice((-1, 1)) * _size(rng) for _ in venues]
        worth = sum(abs(size) * venue.spot_wad // WAD for size, venue in zip(sizes, venues, strict=True))
        least, most = MARGINS if rng.random() < 0.65 else NEAR_MARGINS
        margin = math.exp(rng.uniform(math.log(least), math.log(most)))
        deposits += _deposits(one, rng, person, int(worth * margin))
        if rng.random() < 0.04:
            low, high = rng.uniform(0.6, 0.95), rng.uniform(1.05, 1.5)
            trades.append(_liquidity(one, person, venues[0], max(WAD // 100, worth // 4), low, high))
            continue
        trades += [one.trade(person, venue, size) for venue, size in zip(venues, sizes, strict=True)]
        if rng.random() < 0.3:
            index = rng.randrange(len(venues))
            share = rng.choice((-0.3, -0.7, -1.5, 0.05))
            more.append(one.trade(person, venues[index], int(sizes[index] * share)))
    one.all_done(deposits)
    one.crowd.send(
        trades
    )  # some are refused: what is asked of margin when opening is not what is judged here
    one.push([rng.choice((-1, 1)) * rng.randrange(50, DRIFT_TICKS) for _ in one.venues])
    one.node.warp(rng.randrange(3_600, 6 * 3_600))
    one.crowd.send(more)
    one.push([rng.randrange(-DRIFT_TICKS, DRIFT_TICKS) for _ in one.venues])
    one.node.warp(rng.randrange(SETTLED_S, 4 * SETTLED_S))


def _deposits(one: World, rng: Random, person: Address, worth_wad: int) -> list[Errand]:
    """The settlement token, another, or both."""
    share = rng.choice((0, 0, 0, 0.3, 0.6, 0.9))
    raw = max(1, int(worth_wad * (1 - share)) // 10**12)
    found = [(one.usdc, raw)]
    if share:
        index = rng.randrange(2)
        unit, spot_wad = (WAD, SPOTS_WAD[0]) if index == 0 else (10**8, SPOTS_WAD[2])
        raw = int(worth_wad * share) * unit // spot_wad * 10**6 // HAIRCUT_PPM
        if raw:
            found.append((one.others[index], raw))
    return [
        Errand(one.owner, one.curie.vault, "depositFor", (person, token.address, raw)) for token, raw in found
    ]


def _size(rng: Random) -> int:
    """Between a millionth and a million, those two as well."""
    if rng.random() < 0.04:
        return int(10 ** (18 + rng.choice(SIZES)))
    return int(10 ** (18 + rng.uniform(*SIZES)))
