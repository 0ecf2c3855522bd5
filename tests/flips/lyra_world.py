"""Lyra's own contracts with a deep pool, boards near and far, and as many shorts as are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import cast

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.contract import Chain, Request
from agent.sim.deploy import lyra as lyra_deploy
from agent.sim.deploy.lyra import BASE_KEY, DAY_S, MAX_UINT
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, parse_address
from agent.values.fixed import WAD
from agent.venues.lyra import Lyra
from agent.venues.lyra.margin import OptionType, ShortOption
from agent.venues.lyra.state import LyraState
from tests.flips.crowd import BLOCK_GAS, Crowd, Errand

GENESIS_S = 1_750_000_000
SPOT_WAD = 2_000 * WAD
DAYS = (3, 9, 16, 25, 40, 60, 90, 180, 330)
LEVELS_PCT = (25, 60, 85, 100, 120, 170, 400)
MOODS_PCT = (55, 70, 85, 118, 140, 175, 100)  # the spot, in turn, at which shorts are opened; it stays last
SHORTS = (OptionType.SHORT_CALL_BASE, OptionType.SHORT_CALL_QUOTE, OptionType.SHORT_PUT_QUOTE)
SIZES = (-6.0, 6.0)  # of the size's decimal logarithm
EACH = 10  # shorts of one owner
POOL_USD = 10**15
PURSE_WAD = 10**15 * WAD


@dataclass(frozen=True)
class Strike:
    strike_id: int
    strike_wad: int
    expiry_s: int


@dataclass(frozen=True)
class World:
    """``owners`` hold the shorts; ``judge`` liquidates."""

    node: Node
    chain: Chain
    crowd: Crowd
    lyra: lyra_deploy.Lyra
    owner: Address
    judge: Address
    owners: tuple[Address, ...]

    @property
    def venue(self) -> Lyra:
        return Lyra(self.lyra.deployment("ETH"))

    def set_spot(self, price_wad: int) -> None:
        self.lyra.exchange_rates.send(self.owner, "setRateAndInvalid", BASE_KEY, price_wad, False)

    def read(self) -> list[ShortOption]:
        """Every short at the newest block, as the agent's own reader sees it."""
        rpc = Rpc(self.node.url, 60.0)
        block = rpc.block("latest")
        states: list[LyraState] = read_all(rpc, block, [self.venue.read(one, block) for one in self.owners])
        rpc.close()
        return [cast(ShortOption, margin) for state in states for margin in state.margins]


@contextmanager
def world(toolchain: Toolchain, seed: int, accounts: int) -> Iterator[World]:
    """``accounts`` shorts, opened at seven different prices over two days; the spot is then back."""
    options = AnvilOptions(genesis_s=GENESIS_S, interval_s=1, gas_limit=BLOCK_GAS)
    with Anvil(toolchain.anvil, options) as node:
        chain = Chain(node)
        crowd = Crowd(chain)
        owner, provider, judge = (
            parse_address(text) for text in cast(list[str], node.request("eth_accounts"))[:3]
        )
        lyra = lyra_deploy.deploy(chain, toolchain, owner, SPOT_WAD)
        _loosen(lyra, owner)
        lyra.quote.send(owner, "mint", provider, POOL_USD * WAD)
        lyra.quote.send(provider, "approve", lyra.liquidity_pool.address, MAX_UINT)
        lyra.liquidity_pool.send(provider, "initiateDeposit", provider, POOL_USD * WAD)
        lyra.pool_hedger.send(owner, "openShortAccount")
        for _ in range(2):
            lyra.pool_hedger.send(owner, "hedgeDelta")
        rng = Random(f"lyra {seed}")
        strikes = _boards(lyra, owner, rng, node.now_s())
        owners = tuple(crowd.people(f"lyra {seed}", -(-accounts // EACH)))
        one = World(node, chain, crowd, lyra, owner, judge, owners)
        _seed(one, rng, strikes, accounts)
        one.set_spot(SPOT_WAD)
        node.warp(rng.randrange(60, DAY_S))
        yield one


def _loosen(lyra: lyra_deploy.Lyra, owner: str) -> None:
    """Any strike and any size can be opened: what margin looks at stays as it is by default."""
    limits = {
        "minDelta": 0,
        "minForceCloseDelta": 0,
        "tradingCutoff": 1,
        "minBaseIV": 0,
        "maxBaseIV": 9 * WAD,
        "minSkew": 0,
        "maxSkew": 9 * WAD,
        "minVol": 0,
        "maxVol": 9 * WAD,
        "absMinSkew": 0,
        "absMaxSkew": 9 * WAD,
        "capSkewsToAbs": False,
    }
    lyra.pricer.send(owner, "setTradeLimitParams", limits)
    pricing = lyra.pricer.record("getPricingParams")
    lyra.pricer.send(
        owner, "setPricingParams", pricing | {"standardSize": 10**12 * WAD, "vegaFeeCoefficient": 0}
    )


def _boards(lyra: lyra_deploy.Lyra, owner: str, rng: Random, now_s: int) -> list[Strike]:
    strikes = []
    for days in DAYS:
        expiry_s = now_s + days * DAY_S + rng.randrange(DAY_S)
        prices = sorted({SPOT_WAD * level * rng.randrange(9_000, 11_000) // 10**6 for level in LEVELS_PCT})
        iv, skews = rng.randrange(40, 150) * WAD // 100, [WAD] * len(prices)
        receipt = lyra.option_market.send(owner, "createOptionBoard", expiry_s, iv, prices, skews, False)
        board_id = cast(int, lyra.option_market.events(receipt.logs, "BoardCreated")[0]["boardId"])
        ids = cast(list[int], lyra.option_market.call("getBoardStrikes", board_id)[0])
        strikes += [Strike(*both, expiry_s) for both in zip(ids, prices, strict=True)]
    return strikes


def _seed(one: World, rng: Random, strikes: list[Strike], accounts: int) -> None:
    lyra, chain = one.lyra, one.chain
    errands = [
        Errand(holder, token, "approve", (lyra.option_market.address, MAX_UINT))
        for holder in one.owners
        for token in (lyra.quote, lyra.base)
    ]
    errands += [
        Errand(one.owner, token, "mint", (holder, PURSE_WAD))
        for holder in one.owners
        for token in (lyra.quote, lyra.base)
    ]
    _all_done(one, errands)
    per_mood = -(-accounts // len(MOODS_PCT))
    opened = 0
    for mood in MOODS_PCT:
        is_last = mood == MOODS_PCT[-1]
        spot_wad = SPOT_WAD if is_last else SPOT_WAD * mood * rng.randrange(9_500, 10_500) // 10**6
        one.set_spot(spot_wad)
        wanted = []
        for _ in range(min(per_mood, accounts - opened)):
            wanted.append((one.owners[opened // EACH], *_pick(rng, strikes, is_last=is_last)))
            opened += 1
        minima = chain.ask(
            [
                Request(
                    lyra.greek_cache,
                    "getMinCollateral",
                    (kind, strike.strike_wad, strike.expiry_s, spot_wad, size),
                )
                for _, kind, strike, size in wanted
            ]
        )
        errands = []
        for (holder, kind, strike, size), (least,) in zip(wanted, minima, strict=True):
            collateral = _collateral(rng, kind, strike, size, cast(int, least))
            trade = (strike.strike_id, 0, 1, kind, size, collateral, 0, MAX_UINT)
            errands.append(Errand(holder, lyra.option_market, "openPosition", (trade,)))
        _all_done(one, errands)
        one.node.warp(rng.randrange(600, 6 * 3_600))


def _pick(rng: Random, strikes: list[Strike], *, is_last: bool) -> tuple[OptionType, Strike, int]:
    """Any kind, strike and size. Of the last, half are puts so deep in the money that time makes them dearer:
    what is paid at expiry is discounted less and less.
    """
    if is_last and rng.random() < 0.5:
        deep = [strike for strike in strikes if strike.strike_wad > 3 * SPOT_WAD]
        return OptionType.SHORT_PUT_QUOTE, rng.choice(deep), int(10 ** (18 + rng.uniform(0, SIZES[1])))
    kind, strike, size = rng.choice(SHORTS), rng.choice(strikes), _size(rng)
    if (
        kind is not OptionType.SHORT_CALL_QUOTE and size < WAD // 5
    ):  # most of those have all they can ever owe
        size = _size(rng)
    return kind, strike, size


def _collateral(rng: Random, kind: OptionType, strike: Strike, size_wad: int, least: int) -> int:
    """From just above the minimum, which may rise by some 1e-6 of itself until it is mined, to far above it,
    or to all that the option can ever owe.
    """
    spare = math.exp(rng.uniform(math.log(3e-5), math.log(8)))
    if kind is OptionType.SHORT_CALL_QUOTE:
        return least * (WAD + int(spare * WAD)) // WAD
    most = size_wad if kind is OptionType.SHORT_CALL_BASE else size_wad * strike.strike_wad // WAD
    return max(least, min(most, least + (most - least) * int(spare * WAD) // WAD))


def _size(rng: Random) -> int:
    """Between a millionth and a million, those two as well."""
    if rng.random() < 0.04:
        return int(10 ** (18 + rng.choice(SIZES)))
    return int(10 ** (18 + rng.uniform(*SIZES)))


def _all_done(one: World, errands: list[Errand]) -> None:
    for errand, told in zip(errands, one.crowd.send(errands), strict=True):
        if not told.is_done:
            data = errand.contract.encode(errand.function, *errand.args)
            one.chain.send(errand.sender, errand.contract.address, data, f"{errand.function} {errand.args}")
            raise AssertionError(f"{errand.function} {errand.args} failed")
