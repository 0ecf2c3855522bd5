"""GMX's own bytecode, from its published records, with three markets like the ones it runs.

ETH against USDC, BTC (which is no token) against WBTC and USDC, and ETH of one token on both sides. Numbers
are written into the store as the protocol's own configuration has them; pools are filled directly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from agent.sim.anvil import AnvilOptions
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.deploy.gmx import key_of
from agent.sim.node import Node
from agent.values.address import ZERO, Address, parse_address
from agent.venues.deployments import GmxDeployment, GmxMarket, GmxToken
from tests.gmx import FLOAT, World
from tests.real.published import Published, publish

YEAR_S, DAY_S = 31_536_000, 86_400
BTC = "0x47904963fc8b2340414262125aF798B9655E58Cd"  # GMX's own name of BTC on Arbitrum, no contract
SPREAD_PPM = 300
ALL_ZERO = bytes.fromhex("60a05ff3")  # returns 160 bytes of nothing
ROLES = {
    "CONTROLLER": (
        "DepositHandler",
        "OrderHandler",
        "LiquidationHandler",
        "ExchangeRouter",
        "SwapHandler",
        "IncreaseOrderExecutor",
        "DecreaseOrderExecutor",
        "Oracle",
        "MarketFactory",
    ),
    "ROUTER_PLUGIN": ("ExchangeRouter",),
}


class LargeCode(AnvilOptions):
    """GMX's contracts are larger than the limit that mainnet has."""

    def arguments(self, port: int) -> list[str]:
        return [*super().arguments(port), "--code-size-limit", "200000"]


def options(genesis_s: int) -> AnvilOptions:
    # history of code this large fills a disk by the gigabyte
    return LargeCode(genesis_s=genesis_s, gas_limit=60_000_000, kept_states=8)


def percent(value: float) -> int:
    return round(value * 10**9) * FLOAT // 10**11


def role(name: str) -> bytes:
    return key_of(name)


def terms_of(market: str, *, exponent: float, kink: bool, liquidation_impact: float) -> dict[bytes, int]:
    """One market's numbers: gmx-synthetics config/markets.ts, the base configuration and what ETH has."""
    terms = {
        key_of("MIN_COLLATERAL_FACTOR", market): percent(0.5),
        key_of("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", market): percent(0.5),
        key_of("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", market): percent(liquidation_impact),
        key_of("LIQUIDATION_FEE_FACTOR", market): percent(0.2),
        key_of("FUNDING_EXPONENT_FACTOR", market): FLOAT,
        key_of("FUNDING_FACTOR", market): 2 * FLOAT // 10**8,
        key_of("FUNDING_INCREASE_FACTOR_PER_SECOND", market): percent(75) // YEAR_S // (3 * 3_600),
        key_of("FUNDING_DECREASE_FACTOR_PER_SECOND", market): percent(75) // YEAR_S // (48 * 3_600),
        key_of("THRESHOLD_FOR_STABLE_FUNDING", market): percent(4),
        key_of("THRESHOLD_FOR_DECREASE_FUNDING", market): percent(2),
        key_of("MIN_FUNDING_FACTOR_PER_SECOND", market): percent(1) // YEAR_S,
        key_of("MAX_FUNDING_FACTOR_PER_SECOND", market): percent(75) // YEAR_S,
        key_of("MAX_LENDABLE_IMPACT_FACTOR", market): percent(10),
        key_of("MAX_LENDABLE_IMPACT_USD", market): 1_000_000 * FLOAT,
    }
    for flag, fee, impact, most in ((True, 0.04, 3e-11, 0.4), (False, 0.06, 9e-11, 0.5)):
        power = exponent if not flag else 2.0
        terms |= {
            key_of("POSITION_FEE_FACTOR", market, flag): percent(fee),
            key_of("POSITION_IMPACT_FACTOR", market, flag): round(impact * 10**13) * FLOAT // 10**13,
            key_of("POSITION_IMPACT_EXPONENT_FACTOR", market, flag): round(power * 10) * FLOAT // 10,
            key_of("MAX_POSITION_IMPACT_FACTOR", market, flag): percent(most),
        }
    for is_long in (True, False):
        terms |= {
            key_of("MAX_OPEN_INTEREST", market, is_long): 90_000_000 * FLOAT,
            key_of("RESERVE_FACTOR", market, is_long): percent(275),
            key_of("OPEN_INTEREST_RESERVE_FACTOR", market, is_long): percent(270),
            key_of("BASE_BORROWING_FACTOR", market, is_long): percent(45) // YEAR_S,
            key_of("ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR", market, is_long): percent(90) // YEAR_S,
            key_of("OPTIMAL_USAGE_FACTOR", market, is_long): percent(20) if kink else 0,
            key_of("BORROWING_FACTOR", market, is_long): 625 * FLOAT // 10**11,
            key_of("BORROWING_EXPONENT_FACTOR", market, is_long): FLOAT,
            key_of("MAX_PNL_FACTOR", key_of("MAX_PNL_FACTOR_FOR_TRADERS"), market, is_long): percent(60),
            key_of("MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER", market, is_long): 6
            * FLOAT
            // 10**11
            // 10,
        }
    return terms


GLOBAL = {
    "MIN_COLLATERAL_USD": FLOAT,
    "MIN_POSITION_SIZE_USD": FLOAT,
    "REQUEST_EXPIRATION_TIME": 300,
    "MAX_DATA_LENGTH": 18,
    "ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1": 600_000,
    "ESTIMATED_GAS_FEE_PER_ORACLE_PRICE": 250_000,
    "ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR": FLOAT,
    "EXECUTION_GAS_FEE_BASE_AMOUNT_V2_1": 600_000,
    "EXECUTION_GAS_FEE_PER_ORACLE_PRICE": 250_000,
    "EXECUTION_GAS_FEE_MULTIPLIER_FACTOR": FLOAT,
    "INCREASE_ORDER_GAS_LIMIT": 3_000_000,
    "DECREASE_ORDER_GAS_LIMIT": 3_000_000,
    "MIN_HANDLE_EXECUTION_ERROR_GAS": 1_200_000,
    "MIN_HANDLE_EXECUTION_ERROR_GAS_TO_FORWARD": 1_000_000,
    "MIN_ADDITIONAL_GAS_FOR_EXECUTION": 1_000_000,
    "REFUND_EXECUTION_FEE_GAS_LIMIT": 200_000,
    "NATIVE_TOKEN_TRANSFER_GAS_LIMIT": 50_000,
    "CLAIMABLE_COLLATERAL_TIME_DIVISOR": 3_600,
    "MAX_ORACLE_PRICE_AGE": 10**9,
    "MAX_ORACLE_TIMESTAMP_RANGE": 10**9,
}


def real_world(node: Node, records: Path) -> World:
    """Everything deployed, set up and stocked; nobody trades yet."""
    chain = Chain(node)
    accounts = [parse_address(a) for a in cast(list[str], node.request("eth_accounts"))]
    owner, keeper, user = accounts[:3]
    published = publish(chain, owner, records)
    store, roles = published.contract("DataStore"), published.contract("RoleStore")
    for name, members in ROLES.items():
        for member in members:
            roles.send(owner, "grantRole", published.contract(member).address, role(name))
    for name in ("CONTROLLER", "MARKET_KEEPER", "CONFIG_KEEPER"):
        roles.send(owner, "grantRole", owner, role(name))
    for name in ("ORDER_KEEPER", "LIQUIDATION_KEEPER", "FROZEN_ORDER_KEEPER"):
        roles.send(owner, "grantRole", keeper, role(name))
    weth = chain.deploy(owner, own_artifact("GmxWrapped"))
    usdc = chain.deploy(owner, own_artifact("MintableToken"), "USD Coin", "USDC", 6)
    wbtc = chain.deploy(owner, own_artifact("MintableToken"), "Wrapped BTC", "WBTC", 8)
    feeds, provider = _oracle(chain, owner, published, {"ETH": weth, "USDC": usdc, "WBTC": wbtc})
    referrals = chain.deploy(owner, own_artifact("GmxReferrals"))
    recorded = published.contract("OrderHandler").at("referralStorage")
    node.set_code(recorded, bytes.fromhex(str(node.request("eth_getCode", referrals.address, "latest"))[2:]))
    store.send(owner, "setAddress", key_of("WNT"), weth.address)
    store.send(owner, "setAddress", key_of("HOLDING_ADDRESS"), accounts[19])
    store.send(owner, "setBool", key_of("SKIP_BORROWING_FEE_FOR_SMALLER_SIDE"), True)
    _write(store, owner, {key_of(name): value for name, value in GLOBAL.items()})
    for token in (weth, usdc, wbtc):
        _write(store, owner, {key_of("TOKEN_TRANSFER_GAS_LIMIT", token.address): 200_000})
    markets = _markets(chain, owner, published, weth, usdc, wbtc)
    names = ("DataStore", "Reader", "ExchangeRouter", "Router", "OrderVault", "EventEmitter", "OrderHandler")
    at = {name: published.contract(name).address for name in names}
    tokens = (
        GmxToken(address=weth.address, decimals=18, asset="ETH", feed=feeds["ETH"].address),
        GmxToken(address=usdc.address, decimals=6, feed=feeds["USDC"].address),
        GmxToken(address=wbtc.address, decimals=8, asset="BTC", feed=feeds["BTC"].address),
        GmxToken(address=BTC, decimals=8, asset="BTC", feed=feeds["BTC"].address),
    )
    world = World(
        node=node,
        chain=chain,
        owner=owner,
        keeper=keeper,
        user=user,
        store=store,
        exchange=published.contract("ExchangeRouter"),
        vault=published.contract("OrderVault"),
        router=published.contract("Router"),
        emitter=published.contract("EventEmitter"),
        order_handler=published.contract("OrderHandler"),
        liquidator=published.contract("LiquidationHandler"),
        reader=published.contract("Reader"),
        provider=provider,
        tokens={"WETH": weth, "USDC": usdc, "WBTC": wbtc},
        feeds=feeds,
        deployment=GmxDeployment(
            data_store=at["DataStore"],
            reader=at["Reader"],
            exchange_router=at["ExchangeRouter"],
            router=at["Router"],
            order_vault=at["OrderVault"],
            event_emitter=at["EventEmitter"],
            order_handler=at["OrderHandler"],
            referral_storage=recorded,
            native_token=weth.address,
            tokens=tokens,
            markets=markets,
            max_feed_age_s=10**9,
            feed_spread_ppm=SPREAD_PPM,
            execution_tip_wei=2 * 10**9,
        ),
    )
    world.spare["published"] = published
    world.spare["referrals"] = replace(referrals, address=recorded)
    world.delegate(chain.deploy(owner, own_artifact("HedgeExecutor"), ZERO).address)
    return world


def _write(store: Contract, owner: str, numbers: dict[bytes, int]) -> None:
    for key, value in numbers.items():
        if value:
            store.send(owner, "setUint", key, value)


def _oracle(
    chain: Chain, owner: Address, published: Published, tokens: dict[str, Contract]
) -> tuple[dict[str, Contract], Contract]:
    store, oracle = published.contract("DataStore"), published.contract("Oracle")
    # the sequencer's feed has no record: it answers that all is well since ever
    chain.node.set_code(oracle.at("sequencerUptimeFeed"), ALL_ZERO)
    provider = chain.deploy(owner, own_artifact("GmxPriceProvider"))
    store.send(owner, "setBool", key_of("IS_ORACLE_PROVIDER_ENABLED", provider.address), True)
    feeds = {}
    for symbol, price in (("ETH", 2_000), ("USDC", 1), ("BTC", 60_000)):
        feeds[symbol] = chain.deploy(owner, own_artifact("PriceAggregator"), symbol, 8, owner)
        feeds[symbol].send(owner, "setAnswer", price * 10**8)
    sources = (
        (tokens["ETH"].address, feeds["ETH"], 18),
        (tokens["USDC"].address, feeds["USDC"], 6),
        (tokens["WBTC"].address, feeds["BTC"], 8),
        (BTC, feeds["BTC"], 8),
    )
    for address, feed, decimals in sources:
        provider.send(owner, "setSource", address, (feed.address, decimals, SPREAD_PPM, 0))
        key = key_of("ORACLE_PROVIDER_FOR_TOKEN", oracle.address, address)
        store.send(owner, "setAddress", key, provider.address)
    return feeds, provider


def _markets(
    chain: Chain, owner: Address, published: Published, weth: Contract, usdc: Contract, wbtc: Contract
) -> tuple[GmxMarket, ...]:
    factory, reader, store = (published.contract(n) for n in ("MarketFactory", "Reader", "DataStore"))
    shapes = (
        ("ETH", weth.address, weth, usdc, 2.0, True, 0.0),
        ("BTC", BTC, wbtc, usdc, 2.2, True, 0.3),
        ("ETH", weth.address, weth, weth, 2.0, False, 0.5),
    )
    kind = key_of("basic-v1")
    for _, index, long, short, *_ in shapes:
        factory.send(owner, "createMarket", index, long.address, short.address, kind)
    made = reader.records("getMarkets", store.address, 0, 10)
    found = []
    for asset, index, long, short, exponent, kink, impact in shapes:
        market = next(
            str(m["marketToken"])
            for m in made
            if (m["indexToken"], m["longToken"], m["shortToken"]) == (index, long.address, short.address)
        )
        terms = terms_of(market, exponent=exponent, kink=kink, liquidation_impact=impact)
        for token, amount in _stock(long, short, weth, wbtc):
            for is_long in (True, False):
                terms[key_of("MAX_COLLATERAL_SUM", market, token.address, is_long)] = 10**40
            terms[key_of("POOL_AMOUNT", market, token.address)] = amount
            _fill(chain, owner, token, market, 3 * amount)
        _write(store, owner, terms)
        found.append(
            GmxMarket(
                address=market,
                index_token=index,
                long_token=long.address,
                short_token=short.address,
                asset=asset,
            )
        )
    return tuple(found)


def _stock(
    long: Contract, short: Contract, weth: Contract, wbtc: Contract
) -> tuple[tuple[Contract, int], ...]:
    if long is short:
        return ((weth, 6_000 * 10**18),)
    base = (weth, 3_000 * 10**18) if long is weth else (wbtc, 100 * 10**8)
    return (base, (short, 6_000_000 * 10**6))


def _fill(chain: Chain, owner: Address, token: Contract, market: str, amount: int) -> None:
    """Into the market's own hands: more than the pool, for what closes at extreme prices may take."""
    if token.name == "GmxWrapped":
        chain.send(owner, token.address, token.encode("deposit"), "wrap", amount)
        token.send(owner, "transfer", market, amount)
    else:
        token.send(owner, "mint", market, amount)
