"""Random Panoptic accounts on the real contracts, and what the engine's own views say of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import cast

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.errors import ReadReverted, RpcRejected, TransactionReverted
from agent.pricing.tick import MAX_TICK, MIN_TICK
from agent.sim.contract import Request
from agent.values.address import Address
from agent.venues.deployments import PanopticDeployment, PanopticPool
from agent.venues.panoptic import Panoptic
from agent.venues.panoptic.state import PanopticState, PoolState
from agent.venues.panoptic.token_id import Leg, TokenId, TokenIdInvalid, pool_of
from tests.real.panoptic_world import ENGINE_UNIT, FEE_PPM, World

WIDTHS = (1, 2, 5, 10, 30, 120)
REACH = 20  # strikes are up to so many spacings of the widest leg away
TRIES = 6


def deployment(world: World) -> PanopticDeployment:
    """As the agent loads it."""
    return PanopticDeployment(
        position_manager=world.sfpm.address,
        pools=(
            PanopticPool(
                address=world.pool.address,
                collateral0=world.trackers[0].address,
                collateral1=world.trackers[1].address,
                risk_engine=world.engine.address,
                uniswap_pool=world.amm.address,
                asset="ETH",
                asset_token=world.asset.address,
                quote_token=world.quote.address,
                first_block=world.first_block,
            ),
        ),
    )


def read(world: World, accounts: list[Address]) -> list[PoolState]:
    """The accounts at the newest block, as the agent's own reader sees them."""
    rpc = Rpc(world.node.url, 60.0)
    block = rpc.block("latest")
    venue = Panoptic(deployment(world))
    states: list[PanopticState] = read_all(rpc, block, [venue.read(one, block) for one in accounts])
    rpc.close()
    return [state.pools[0] for state in states]


@dataclass(frozen=True)
class Jury:
    """The engine's views of one account, with what the pool itself says of its premia and positions."""

    world: World
    account: Address
    ids: tuple[int, ...]
    short: int
    long: int
    balances: tuple[int, ...]

    def solvent(self, ticks: list[int], buffer: int = ENGINE_UNIT) -> list[bool]:
        """`isAccountSolvent` at each tick, at the newest block."""
        world = self.world
        trackers = tuple(tracker.address for tracker in world.trackers)
        asked = [
            Request(
                world.engine,
                "isAccountSolvent",
                (
                    list(self.balances),
                    list(self.ids),
                    tick,
                    self.account,
                    self.short,
                    self.long,
                    *trackers,
                    buffer,
                ),
            )
            for tick in ticks
        ]
        return [
            cast(bool, answer[0])
            for start in range(0, len(asked), 400)
            for answer in world.chain.ask(asked[start : start + 400])
        ]

    def margin(self, ticks: list[int]) -> list[tuple[int, int, int]]:
        """`getMargin` at each tick: both words and the utilisations' word."""
        world = self.world
        trackers = tuple(tracker.address for tracker in world.trackers)
        asked = [
            Request(
                world.engine,
                "getMargin",
                (list(self.balances), tick, self.account, list(self.ids), self.short, self.long, *trackers),
            )
            for tick in ticks
        ]
        return [cast(tuple[int, int, int], tuple(answer)) for answer in world.chain.ask(asked)]

    def flip(self, start: int, stop: int) -> int | None:
        """The first tick from ``start`` towards ``stop`` that is insolvent by bisection, None if none of the
        ends is. Only right where there is one flip between.
        """
        (start_ok,), (stop_ok,) = self.solvent([start]), self.solvent([stop])
        if not start_ok:
            return start
        if stop_ok:
            return None
        good, bad = start, stop
        while abs(good - bad) > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self.solvent([middle])[0] else (good, middle)
        return bad


def jury(world: World, account: Address, ids: tuple[int, ...]) -> Jury:
    """What the pool says of that list. Raises ReadReverted if it is not the account's."""
    short, long, balances, _, _ = world.pool.call("getFullPositionsData", account, False, list(ids))
    return Jury(world, account, ids, cast(int, short), cast(int, long), tuple(cast(list[int], balances)))


@dataclass
class Crowd:
    """Accounts with random positions; a seller of every chunk goes before the buyers."""

    world: World
    rng: Random
    kinds: dict[str, int]
    chunks: list[TokenId] = field(default_factory=list)  # what was minted
    seller_wealth: int = 400  # of a seller, in units of one asset's worth in each token

    def crowd_out(self, kind: int, wealth: int, share_bps: int) -> None:
        """Lend token ``kind`` to one account that holds the other until ``share_bps`` of the vault is lent
        out.
        """
        world = self.world
        hog = world.crowd.people(f"hog {self.rng.random()}", 1)[0]
        units = self._units()
        amounts = [0, 0]
        amounts[1 - kind] = units[1 - kind] * wealth * 2
        world.fund(hog, (amounts[0], amounts[1]))
        leg = Leg(kind, 1, False, kind, 0, world.tick() // 60 * 60, 0)
        loan = TokenId(pool_of(world.pool_id), (leg,)).number
        world.dispatch(hog, [loan], [loan], [units[kind] * wealth])
        tracker = world.trackers[kind]
        deposited, in_amm, _, _ = cast(list[int], tracker.call("getPoolData"))
        short = in_amm * 10_000 // share_bps - deposited - in_amm
        if short > 0:
            amounts = [0, 0]
            amounts[kind] = short
            world.fund(world.provider, (amounts[0], amounts[1]))

    def touch(self, count: int) -> None:
        """Let others sell a little in the chunks of some positions: that collects the fees which their
        sellers earned, and only collected ones count as premium.
        """
        for token_id in self.rng.sample(self.chunks, min(count, len(self.chunks))):
            for leg in token_id.legs:
                if leg.width:
                    self._sell(TokenId(token_id.pool, (replace(leg, is_long=True, partner=0),)), 10**6)

    def people(self, count: int, name: str) -> list[Address]:
        """So many accounts that hold something."""
        found: list[Address] = []
        for account in self.world.crowd.people(f"{name} {self.rng.random()}", count * 4):
            if len(found) < count and self._settle(account):
                found.append(account)
        return found

    def _settle(self, account: Address) -> bool:
        world, rng = self.world, self.rng
        unit0, unit1 = self._units()
        wealth = rng.choice([(1, 1), (1, 0.02), (0.02, 1), (3, 3), (0.4, 0.4)])
        world.fund(account, (int(unit0 * wealth[0] * 10), int(unit1 * wealth[1] * 10)))
        ids: list[int] = []
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            for _ in range(TRIES):
                token_id = self._position()
                if token_id.number in ids:
                    continue
                size = self._size(token_id)
                if self._mint(account, ids, token_id, size):
                    break
        if ids and rng.random() < 0.85:
            self._lean(account, ids)
        return bool(ids)

    def _lean(self, account: Address, ids: list[int]) -> None:
        """Take out what the engine lets out, in coarse steps."""
        trackers = list(self.world.trackers)
        self.rng.shuffle(trackers)
        for tracker in trackers:
            for share in (0.9, 0.6, 0.5, 0.3, 0.2):
                assets = int(tracker.integer("assetsOf", account) * share)
                arguments = (assets, account, account, ids, True)
                try:
                    tracker.send(account, "withdraw(uint256,address,address,uint256[],bool)", *arguments)
                except (TransactionReverted, RpcRejected, ReadReverted):
                    continue

    def _mint(self, account: Address, ids: list[int], token_id: TokenId, size: int) -> bool:
        """Mint it, sold by somebody else before it is bought; smaller if the engine refuses the size."""
        world, rng = self.world, self.rng
        swap = rng.random() < 0.4 or any(leg.width == 0 for leg in token_id.legs)
        for _ in range(TRIES):
            self._sell(token_id, size)
            try:
                world.dispatch(account, [token_id.number], [*ids, token_id.number], [size], swap=swap)
            except (TransactionReverted, RpcRejected, ReadReverted):
                size = size * 2 // 5
                if size == 0:
                    return False
                continue
            ids.append(token_id.number)
            self.chunks.append(token_id)
            for name in _names(token_id):
                self.kinds[name] = self.kinds.get(name, 0) + 1
            return True
        return False

    def _sell(self, token_id: TokenId, size: int) -> None:
        """Liquidity for the long legs: a rich account sells twice of each."""
        world = self.world
        for leg in token_id.legs:
            if not leg.is_long or leg.width == 0:
                continue
            seller = world.crowd.people(f"seller {self.rng.random()}", 1)[0]
            unit0, unit1 = self._units()
            world.fund(seller, (int(unit0 * self.seller_wealth), int(unit1 * self.seller_wealth)))
            sold = TokenId(token_id.pool, (replace(leg, is_long=False, partner=0),))
            try:
                world.dispatch(seller, [sold.number], [sold.number], [size * 2])
            except TransactionReverted:
                return

    def _units(self) -> tuple[int, int]:
        """Raw amounts of token0 and token1 worth one asset."""
        world = self.world
        asset = 10 ** world.asset.integer("decimals")
        quote = 2_000 * 10 ** world.quote.integer("decimals")
        return (asset, quote) if world.is_asset_first else (quote, asset)

    def _size(self, token_id: TokenId) -> int:
        unit = self._units()[token_id.legs[0].asset]
        return max(
            1,
            int(unit * self.rng.choice([0.3, 1, 3, 8, 20]) * self.rng.uniform(0.5, 2))
            // token_id.legs[0].ratio,
        )

    def _position(self) -> TokenId:
        rng = self.rng
        pool = pool_of(self.world.pool_id)
        while True:
            count = rng.choice([1, 1, 2, 2, 2, 3, 4])
            partners = list(range(count))
            if count >= 2 and rng.random() < 0.75:
                partners[0], partners[1] = 1, 0
            if count == 4 and rng.random() < 0.6:
                partners[2], partners[3] = 3, 2
            legs: list[Leg] = []
            asset = rng.randrange(2)
            for index in range(count):
                legs.append(self._leg(partners[index], asset, legs, pool.spacing))
            try:
                return TokenId(pool, tuple(legs)).validate()
            except TokenIdInvalid:
                continue

    def _leg(self, partner: int, asset: int, before: list[Leg], spacing: int) -> Leg:
        rng = self.rng
        width = 0 if rng.random() < 0.2 else rng.choice(WIDTHS)
        reach = max(REACH, 2 * width)
        strike = self.world.tick() // spacing * spacing + rng.randint(-reach, reach) * spacing
        if partner < len(before) and rng.random() < 0.4:
            strike = before[partner].strike
        if width % 2 and spacing % 2 == 0:
            strike += spacing // 2
        strike = min(max(strike, MIN_TICK + 90_000), MAX_TICK - 90_000)
        return Leg(asset, 1, rng.random() < 0.35, rng.randrange(2), partner, strike, width)


def _names(token_id: TokenId) -> list[str]:
    from agent.venues.panoptic.requirement import terms

    return [name for name, _ in terms(token_id, 10**6, token_id.legs[0].strike, (0, 0))]


__all__ = ["FEE_PPM", "Crowd", "Jury", "deployment", "jury", "read"]
