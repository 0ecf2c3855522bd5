"""Random positions on GMX, and whether the contract liquidates them where our model says.

    GMX_DEPLOYMENTS=<published records of one chain> python -m tests.real.flips [accounts] [seed]

Of every account: the check's own numbers at prices where it stands (the contract's refusal tells them), the
first flips down and up with all its prices moving together, judged by ``executeLiquidation`` on both sides,
and prices in between. A wrong side is an account that the contract liquidates where the model does not, or
not where the model does.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from eth_utils.crypto import keccak

from agent.errors import ReadReverted
from agent.risk.liquidation import Flip, betas_of, moved, solve_joint, solve_price
from agent.sim.anvil import Anvil
from agent.sim.deploy.gmx import key_of
from agent.sim.node import quantity
from agent.sim.toolchain import locate
from agent.values.address import Address, parse_address
from agent.values.fixed import WAD
from agent.venues.gmx.margin import GmxMargin, Priced
from agent.venues.gmx.price import Price
from tests.gmx import FLOAT, GENESIS_S, NOT_LIQUIDATABLE, World
from tests.real.gmx import options, percent, real_world

VARIABLE = "GMX_DEPLOYMENTS"
SPREADS_PPM = (0, 50, 300, 2_000)
NUMBERS = re.compile(r"PositionShouldNotBeLiquidated\((.*), (-?\d+), (-?\d+), (-?\d+)\)")


@dataclass
class Tally:
    """What a campaign found."""

    accounts: int = 0
    refused: int = 0
    flips: int = 0
    probes: int = 0
    numbers: int = 0
    wrong_sides: list[str] = field(default_factory=list)
    wrong_numbers: list[str] = field(default_factory=list)
    widest_wad: int = 0
    never: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        yield f"accounts {self.accounts} (orders the protocol refused: {self.refused})"
        yield f"flips {self.flips}, without one in a direction {self.never}, other prices {self.probes}"
        yield f"wrong side {len(self.wrong_sides)}"
        yield f"remaining collateral compared {self.numbers} times, unequal {len(self.wrong_numbers)}"
        yield f"widest gap between the two sides of a flip: {self.widest_wad} wad of the price"
        yield ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))


def campaign(world: World, count: int, seed: int) -> Tally:
    """Open ``count`` random positions while prices and time move, then judge them all."""
    draw, tally = random.Random(seed), Tally()
    world.node.request("anvil_autoImpersonateAccount", True)
    _configure(world, draw)
    accounts = []
    for index in range(count):
        account = parse_address("0x" + keccak(text=f"{seed} {index}").hex()[-40:])
        world.node.set_balance(account, 10**24)
        if _open(world, draw, account):
            accounts.append(account)
        else:
            tally.refused += 1
        _age(world, draw)
    world.node.warp(draw.randrange(3_600, 20 * 86_400))
    for account in accounts:
        if draw.random() < 0.1:
            _age(world, draw)
        _judge(world, draw, account, tally)
    return tally


def _configure(world: World, draw: random.Random) -> None:
    """What differs between deployments: both ways of counting imbalances, shared ones, discounts."""
    store = world.store
    store.send(world.owner, "setBool", key_of("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE"), draw.random() < 0.5)
    for market in world.deployment.markets[:2]:
        shared = keccak(text=f"PERP:{market.asset}/USD")
        store.send(world.owner, "setBytes32", key_of("VIRTUAL_TOKEN_ID", market.index_token), shared)
    plain = world.deployment.markets[draw.randrange(3)]
    store.send(world.owner, "setUint", key_of("FUNDING_INCREASE_FACTOR_PER_SECOND", plain.address), 0)
    store.send(world.owner, "setUint", key_of("PRO_DISCOUNT_FACTOR", (1).to_bytes(32)), percent(7))


def _open(world: World, draw: random.Random, account: Address) -> bool:
    market = draw.choice(world.deployment.markets)
    symbols = {contract.address: symbol for symbol, contract in world.tokens.items()}
    token = symbols[draw.choice((market.long_token, market.short_token))]
    decimals = {"WETH": 18, "USDC": 6, "WBTC": 8}[token]
    symbol = {"WETH": "ETH", "WBTC": "BTC"}.get(token, token)
    price = world.feeds[symbol].integer("latestAnswer")
    dollars = draw.choice((300, 3_000, 20_000, 60_000)) * draw.uniform(0.5, 1.5)
    leverage = draw.choice((1.2, 3, 8, 20, 45, 90)) * draw.uniform(0.9, 1.1)
    amount = round(dollars * 10**8 * 10**decimals / price)
    if draw.random() < 0.15:
        world.store.send(world.owner, "setUint", key_of("PRO_TRADER_TIER", account), 1)
    if draw.random() < 0.15:
        referrals = world.spare["referrals"]
        world.chain.send(
            world.owner, referrals.address, referrals.encode("refer", account, 1_000, 5_000), "refer"
        )
    size_usd = round(dollars * leverage) * FLOAT + draw.randrange(FLOAT)
    spread = draw.choice(SPREADS_PPM)
    prices = {Address(item.address): _spread(world, item.address, spread) for item in world.deployment.tokens}
    is_long = draw.random() < 0.5
    world.open(account, Address(market.address), token, amount, size_usd, is_long=is_long, prices=prices)
    return world.store.integer("getBytes32Count", key_of("ACCOUNT_POSITION_LIST", account)) == 1


def _spread(world: World, token: str, ppm: int) -> tuple[int, int]:
    low, high = (int(str(word)) for word in world.provider.call("price", token))
    middle = (low + high) // 2
    return middle * (10**6 - ppm) // 10**6, middle * (10**6 + ppm) // 10**6


def _age(world: World, draw: random.Random) -> None:
    if draw.random() < 0.3:
        world.node.warp(draw.choice((60, 3_600, 86_400)) + draw.randrange(3_600))
    if draw.random() < 0.3:
        for symbol, low, high in (("ETH", 1_700, 2_300), ("BTC", 52_000, 68_000)):
            cents = draw.randrange(low * 10**8, high * 10**8)
            world.feeds[symbol].send(world.owner, "setAnswer", cents)


def _judge(world: World, draw: random.Random, account: Address, tally: Tally) -> None:
    (margin,) = world.read(account).margins
    spread = draw.choice(SPREADS_PPM)
    margin = replace(margin, tokens=tuple(_respread(item, spread) for item in margin.tokens))
    tag = hex(quantity(world.node.block()["number"]))
    tally.accounts += 1
    for kind in _kinds(margin):
        tally.kinds[kind] = tally.kinds.get(kind, 0) + 1
    _ask(world, account, margin, dict(margin.prices), tag, tally)
    for direction in ("down", "up"):
        flip = solve_joint(margin, direction)
        if flip is None:
            tally.never += 1
            continue
        if flip.ratio_wad == WAD:
            continue  # liquidatable as it stands
        tally.flips += 1
        away = 1 if direction == "down" else -1
        for ratio in (flip.ratio_wad, flip.ratio_wad + away * max(1, flip.tolerance_wad and 1)):
            _ask(world, account, margin, moved(margin.prices, ratio, betas_of(margin)), tag, tally)
        between = WAD + (flip.ratio_wad - WAD) * draw.randrange(1, 1_300) // 1_000
        tally.probes += 1
        _ask(world, account, margin, moved(margin.prices, between, betas_of(margin)), tag, tally)
        _alone(world, account, margin, direction, tag, tally)


def _kinds(margin: GmxMargin) -> Iterator[str]:
    """What the account is an example of."""
    held, market = margin.held, margin.market
    prices = margin.market_prices(margin.prices)
    side = market.side(is_long=held.is_long)
    yield f"{'long' if held.is_long else 'short'}/{margin.token.symbol}"
    usable = market.pool_usd(prices, is_long=held.is_long) * side.interest_reserve // FLOAT
    if side.optimal_usage and market.reserved_usd(prices, is_long=held.is_long) * FLOAT > (
        side.optimal_usage * usable
    ):
        yield "past the kink"
    found = margin.standing(margin.prices, margin.at_s)
    if found.funding:
        yield "funding owed"
    if found.borrowing_usd:
        yield "borrowing owed"
    if max(held.discounts):
        yield "discounted"
    if held.pending_impact:
        yield "impact pending"
    if market.divisor == 2:
        yield "one-token market"
    if market.impact.most_in_liquidation:
        yield "impact in liquidation"


def _alone(world: World, account: Address, margin: GmxMargin, direction: str, tag: str, tally: Tally) -> None:
    """The index alone, others held: to its last unit."""
    name = margin.tokens[0].market
    flip: Flip | None = solve_price(margin, name, "down" if direction == "down" else "up")
    if flip is None or flip.price_wad == margin.prices[name]:
        return
    tally.flips += 1
    tally.widest_wad = max(tally.widest_wad, flip.tolerance_wad)
    back = flip.tolerance_wad if direction == "down" else -flip.tolerance_wad
    for price in (flip.price_wad, flip.price_wad + back):
        _ask(world, account, margin, {**margin.prices, name: price}, tag, tally)


def _ask(
    world: World, account: Address, margin: GmxMargin, prices: dict[object, int], tag: str, tally: Tally
) -> None:
    """The contract's verdict against ours, and its numbers where it tells them."""
    ours = margin.is_liquidatable(prices, margin.at_s)
    words = world.words(margin, margin.market_prices(prices))
    place = f"{margin.key[:24]} at {list(prices.values())}"
    try:
        world.liquidator.call(
            "executeLiquidation",
            account,
            margin.market.token,
            margin.token.address,
            margin.held.is_long,
            world.parameters(words),
            sender=world.keeper,
            block=tag,
        )
        theirs = True
    except ReadReverted as error:
        if NOT_LIQUIDATABLE not in str(error):
            raise
        theirs = False
        told = NUMBERS.search(str(error))
        if told is not None:
            tally.numbers += 1
            remaining = margin.standing(prices, margin.at_s).remaining_usd
            if remaining != int(told.group(2)):
                tally.wrong_numbers.append(f"{place}: {remaining} and {told.group(2)}")
    if ours is not theirs:
        tally.wrong_sides.append(f"{place}: we say {ours}")


def _respread(item: Priced, ppm: int) -> Priced:
    middle = item.price.middle
    price = Price(middle * (10**6 - ppm) // 10**6, middle * (10**6 + ppm) // 10**6)
    return replace(item, price=price)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder = os.environ.get(VARIABLE)
    if not folder:
        sys.exit(f"{VARIABLE} names no folder of published records")
    began = time.monotonic()
    with Anvil(locate().anvil, options(GENESIS_S)) as node:
        world = real_world(node, Path(folder))
        sys.stdout.write(f"built in {time.monotonic() - began:.1f} s\n")
        tally = campaign(world, count, seed)
    for line in (*tally.lines(), *tally.wrong_sides[:10], *tally.wrong_numbers[:10]):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{time.monotonic() - began:.1f} s\n")
    sys.exit(bool(tally.wrong_sides or tally.wrong_numbers))


if __name__ == "__main__":
    main()
