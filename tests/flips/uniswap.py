"""Uniswap's liquidity has nothing to liquidate; its value and delta are held against the real pool instead.

Value: what is read must be what the pool pays to the unit when all of it is taken out (burnt and collected,
in a call and in transactions), priced at the pool. Delta: the change of what burning pays between two prices
of the pool, over the change of the price. In range, value is a quadratic over the root of the price, so that
the slope between roots s - e and s + e is the derivative at s: the difference has no error of its own but the
tokens' last units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import cast

from agent.chain.lens import read_all
from agent.chain.rpc import Rpc
from agent.pricing.tick import sqrt_price_x96 as sqrt_at
from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.deploy import uniswap as uniswap_deploy
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain
from agent.values.address import Address, parse_address
from agent.values.fixed import WAD
from agent.venues.deployments import UniswapDeployment, UniswapPool
from agent.venues.uniswap import Uniswap
from agent.venues.uniswap.state import Holding, UniswapState
from tests.flips.crowd import BLOCK_GAS, CALLS, Crowd, Errand
from tests.flips.tally import RELATIVE, Tally

GENESIS_S = 1_750_000_000
SPOT = 2_000
SMALL_FEE, SMALL_SPACING = 500, 10
EACH = 20  # positions of one holder
SPARE = 1.05  # what is too little for its range is not minted
ROUNDS = 4  # prices at which everything is looked at
REACH_TICKS = 3_000
NUDGE = 2_000  # the root of the price is moved by its 2,000th part to either side
NEVER_S, MOST = 2**63, 2**128 - 1
TOLERANCE = (
    "amounts: equal to the unit; value and delta: 1e-9, or what the tokens' last units come to where that is "
    "more (max_..._error is of the positions where it is not)"
)


@dataclass
class Worth(Tally):
    """``wrong_side`` counts answers of the pool that were not as foretold. Errors are relative."""

    max_value_error: float = 0.0
    max_delta_error: float = 0.0


@dataclass(frozen=True)
class Place:
    """One pool, its tokens, and who holds positions in it."""

    pool: Contract
    asset: Contract
    quote: Contract
    decimals: tuple[int, int]
    holders: tuple[Address, ...]

    @property
    def is_asset_first(self) -> bool:
        return int(self.asset.address, 16) < int(self.quote.address, 16)

    def price(self, sqrt_x96: int) -> Fraction:
        """Whole quote per whole asset."""
        raw = Fraction(sqrt_x96**2, 2**192)
        return (raw if self.is_asset_first else 1 / raw) * Fraction(10) ** (
            self.decimals[0] - self.decimals[1]
        )

    def worth(self, amounts: tuple[int, int], price: Fraction) -> Fraction:
        """Of raw asset and quote, in quote."""
        return Fraction(amounts[0], 10 ** self.decimals[0]) * price + Fraction(
            amounts[1], 10 ** self.decimals[1]
        )

    def unit(self, price: Fraction) -> Fraction:
        """What one last unit of either token comes to, in quote."""
        return self.worth((1, 1), price)


@dataclass(frozen=True)
class World:
    node: Node
    chain: Chain
    crowd: Crowd
    uniswap: uniswap_deploy.Uniswap
    owner: Address
    places: tuple[Place, ...]

    def read(self, place: Place) -> list[UniswapState]:
        """By the agent's own reader."""
        named = UniswapPool(
            address=place.pool.address,
            asset="ETH",
            asset_token=place.asset.address,
            quote_token=place.quote.address,
        )
        venue = Uniswap(
            UniswapDeployment(
                factory=self.uniswap.factory.address,
                position_manager=self.uniswap.position_manager.address,
                swap_router=self.uniswap.swap_router.address,
                pools=(named,),
            )
        )
        rpc = Rpc(self.node.url, 60.0)
        block = rpc.block("latest")
        states: list[UniswapState] = read_all(rpc, block, [venue.read(one, block) for one in place.holders])
        rpc.close()
        return states

    def push(self, place: Place, sqrt_x96: int) -> None:
        """Trade until the pool's price has this root."""
        now = cast(int, place.pool.call("slot0")[0])
        if now == sqrt_x96:
            return
        first, second = (place.asset, place.quote) if place.is_asset_first else (place.quote, place.asset)
        pair = (second, first) if sqrt_x96 > now else (first, second)
        fee = place.pool.integer("fee")
        order = (pair[0].address, pair[1].address, fee, self.owner, NEVER_S, 10**40, 0, sqrt_x96)
        (told,) = self.crowd.mine(
            [Errand(self.owner, self.uniswap.swap_router, "exactInputSingle", (order,))]
        )
        assert told.is_done, f"the pool does not move from {now} to {sqrt_x96}: {self.crowd.why(told)}"

    def pays(
        self, place: Place, held: Sequence[tuple[Address, Holding]], function: str
    ) -> list[tuple[int, int]]:
        """Raw asset and quote that burning alone ("decreaseLiquidity"), or that and collecting ("multicall")
        would pay, asked of the manager in calls of the holders.
        """
        manager, calls = self.uniswap.position_manager, []
        for holder, holding in held:
            data = _taking_out(manager, holder, holding, function)
            call = {"from": holder, "to": manager.address, "data": "0x" + data.hex()}
            calls.append(("eth_call", (call, "latest")))
        answers: list[object] = []
        for start in range(0, len(calls), CALLS):
            answers += self.node.batch(calls[start : start + CALLS])
        pairs = [(int(str(answer)[-128:-64], 16), int(str(answer)[-64:], 16)) for answer in answers]
        return pairs if place.is_asset_first else [(second, first) for first, second in pairs]


def _taking_out(manager: Contract, holder: Address, holding: Holding, function: str) -> bytes:
    burn = manager.encode("decreaseLiquidity", (holding.token_id, holding.range.liquidity, 0, 0, NEVER_S))
    if function == "decreaseLiquidity":
        return burn
    return manager.encode(
        "multicall", [burn, manager.encode("collect", (holding.token_id, holder, MOST, MOST))]
    )


def worth(
    toolchain: Toolchain, seed: int, accounts: int, by_transaction: int, told: Callable[[int], None]
) -> Worth:
    """``accounts`` random ranges in two pools, each at `ROUNDS` prices; ``told`` hears how many are done."""
    rng = Random(f"uniswap flips {seed}")
    tally = Worth(tolerance=TOLERANCE)
    seen: set[tuple[str, int]] = set()
    with _world(toolchain, seed, accounts) as one:
        for _ in range(ROUNDS):
            for place in one.places:
                seen |= _round(one, place, tally, rng)
            told(len(seen))
        tally.accounts = len(seen)
        for place in one.places:
            _take_out(one, place, tally, rng, by_transaction)
    tally.max_relative_error = max(tally.max_value_error, tally.max_delta_error)
    return tally


def _round(one: World, place: Place, tally: Worth, rng: Random) -> set[tuple[str, int]]:
    """One price: all that is read there, what the pool pays there, and at a price on either side."""
    start = sqrt_at(rng.randrange(-REACH_TICKS, REACH_TICKS) + _tick_of_spot(place))
    middle = start + rng.randrange(start // 10**5)
    one.push(place, middle)
    held = [
        (holder, holding)
        for holder, state in zip(place.holders, one.read(place), strict=True)
        for holding in state.holdings
    ]
    paid = one.pays(place, held, "multicall")
    nudge = middle // NUDGE
    slopes = []
    for sqrt_x96 in (middle + nudge, middle - nudge):
        one.push(place, sqrt_x96)
        slopes.append(one.pays(place, held, "decreaseLiquidity"))
    price = place.price(middle)
    for (_, holding), amounts, up, down in zip(held, paid, *slopes, strict=True):
        name = f"{holding.key} {holding.range} at {middle}"
        told = tuple(own + fee for own, fee in zip(holding.amounts, holding.fees, strict=True))
        tally.judge(f"paid out: {name}: {told} {amounts}", is_right=told == amounts)
        exact = place.worth(amounts, price)
        value = Fraction(holding.position.value_wad, WAD)
        _compare(tally, "value", name, value, exact, Fraction(2, WAD) + exact / 10**15)
        edges = (sqrt_at(holding.range.lower_tick), sqrt_at(holding.range.upper_tick))
        if any(middle - nudge < edge < middle + nudge for edge in edges):
            tally.count("delta: an edge lies between")
            continue
        high, low = place.price(middle + nudge), place.price(middle - nudge)
        slope = (place.worth(up, high) - place.worth(down, low)) / (high - low)
        slope += Fraction(holding.fees[0], 10 ** place.decimals[0])
        units = 2 * place.unit(max(high, low)) / abs(high - low)
        _compare(tally, "delta", name, Fraction(holding.position.greeks.delta), slope, units)
    return {(place.pool.address, holding.token_id) for _, holding in held}


def _compare(tally: Worth, what: str, name: str, ours: Fraction, pools: Fraction, units: Fraction) -> None:
    error = abs(ours - pools)
    allowed = max(abs(pools) * Fraction(RELATIVE), units)
    tally.judge(f"{what}: {name}: {float(ours)} {float(pools)}", is_right=error <= allowed)
    if pools and units <= abs(pools) * Fraction(RELATIVE):
        relative = float(error / abs(pools))
        field = f"max_{what}_error"
        setattr(tally, field, max(getattr(tally, field), relative))


def _take_out(one: World, place: Place, tally: Worth, rng: Random, wanted: int) -> None:
    """Burn and collect in transactions: what arrives is what was read."""
    held = [
        (holder, holding)
        for holder, state in zip(place.holders, one.read(place), strict=True)
        for holding in state.holdings
    ]
    snapshot = one.node.snapshot()
    for holder, holding in rng.sample(held, min(len(held), -(-wanted // len(one.places)))):
        before = [token.integer("balanceOf", holder) for token in (place.asset, place.quote)]
        manager = one.uniswap.position_manager
        calls = _taking_out(manager, holder, holding, "multicall")
        one.chain.send(holder, manager.address, calls, "take out")
        after = [token.integer("balanceOf", holder) for token in (place.asset, place.quote)]
        got = tuple(late - early for late, early in zip(after, before, strict=True))
        told = tuple(own + fee for own, fee in zip(holding.amounts, holding.fees, strict=True))
        tally.judge(f"taken out: {holding.key} {holding.range}: {told} {got}", is_right=told == got)
        tally.by_transaction += 1
    one.node.revert(snapshot)


def _tick_of_spot(place: Place) -> int:
    """Of the price the pool begins at; all ranges are around it."""
    raw = Fraction(SPOT) * Fraction(10) ** (place.decimals[1] - place.decimals[0])
    ratio = raw if place.is_asset_first else 1 / raw
    low, high = -887_272, 887_272
    while high - low > 1:
        middle = (low + high) // 2
        if Fraction(sqrt_at(middle) ** 2, 2**192) <= ratio:
            low = middle
        else:
            high = middle
    return low


@contextmanager
def _world(toolchain: Toolchain, seed: int, accounts: int) -> Iterator[World]:
    options = AnvilOptions(genesis_s=GENESIS_S, interval_s=1, gas_limit=BLOCK_GAS)
    with Anvil(toolchain.anvil, options) as node:
        chain = Chain(node)
        crowd = Crowd(chain)
        (owner,) = (parse_address(text) for text in cast(list[str], node.request("eth_accounts"))[:1])
        asset, quote, usdc = (
            chain.deploy(owner, own_artifact("MintableToken"), name, name, decimals)
            for name, decimals in (("WETH", 18), ("DAI", 18), ("USDC", 6))
        )
        uniswap = uniswap_deploy.deploy(chain, toolchain, owner, asset, quote, SPOT * WAD)
        uniswap.factory.send(owner, "createPool", asset.address, usdc.address, SMALL_FEE)
        small = chain.at(
            "UniswapV3Pool",
            uniswap.factory.at("getPool", asset.address, usdc.address, SMALL_FEE),
            uniswap.pool.abi,
        )
        for token in (asset, quote, usdc):
            token.send(owner, "mint", owner, 10**50)
            for spender in (uniswap.position_manager, uniswap.swap_router):
                token.send(owner, "approve", spender.address, 2**256 - 1)
        each = -(-int(accounts * SPARE + 2) // 2)
        holders = [crowd.people(f"uniswap {seed} {part}", -(-each // EACH)) for part in range(2)]
        places = (
            Place(uniswap.pool, asset, quote, (18, 18), tuple(holders[0])),
            Place(small, asset, usdc, (18, 6), tuple(holders[1])),
        )
        small.send(owner, "initialize", sqrt_at(_tick_of_spot(places[1])))
        one = World(node, chain, crowd, uniswap, owner, places)
        rng = Random(f"uniswap {seed}")
        for place in places:
            _mint(one, place, rng, each)
        yield one


def _mint(one: World, place: Place, rng: Random, count: int) -> None:
    """A deep range for everybody, and ``count`` of any width, place and size."""
    spacing, fee, home = place.pool.integer("tickSpacing"), place.pool.integer("fee"), _tick_of_spot(place)
    tokens = (place.asset, place.quote) if place.is_asset_first else (place.quote, place.asset)
    errands = []
    for number in range(count + 1):
        width = 2 * REACH_TICKS if number == 0 else int(10 ** rng.uniform(0.5, 5.5))
        centre = home + (0 if number == 0 else rng.randrange(-REACH_TICKS, REACH_TICKS))
        limit = 887_272 // spacing * spacing
        lower = max(-limit, (centre - width) // spacing * spacing)
        upper = min(limit, max(lower + spacing, (centre + width) // spacing * spacing))
        size = 10.0**9 if number == 0 else 10 ** rng.uniform(-6, 6)
        amounts = {
            place.asset.address: int(size * 10 ** place.decimals[0]) + 1,
            place.quote.address: int(size * SPOT * 10 ** place.decimals[1]) + 1,
        }
        holder = one.owner if number == 0 else place.holders[(number - 1) // EACH]
        order = (
            *(token.address for token in tokens),
            fee,
            lower,
            upper,
            *(amounts[token.address] for token in tokens),
            0,
            0,
            holder,
            NEVER_S,
        )
        errands.append(Errand(one.owner, one.uniswap.position_manager, "mint", (order,)))
    one.crowd.send(errands)
