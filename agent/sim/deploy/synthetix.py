"""Synthetix V3's perps market on a chain of ours, compiled from its sources, with a stand-in of the core.

Two markets and two synths as collateral by default. Each market has a price feed of ours behind a Chainlink
node of the real oracle manager; keepers' costs come from an external node. Orders are settled at the feed's
price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from eth_abi import abi as codec

from agent.sim.abi import Abi, bytes32
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract
from agent.sim.source import PROTOCOL
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.fixed import WAD, from_decimal
from agent.venues.deployments import SynthetixCollateral, SynthetixDeployment, SynthetixMarket

USD_ID = 0  # the collateral that is the dollar token itself
EXTERNAL_NODE, CHAINLINK_NODE = 2, 3  # NodeDefinition.NodeType
FEED_DECIMALS = 18
SETTLE_AFTER_S, SETTLE_WITHIN_S = 2, 3_600
TOLERANCE_S = 10 * 365 * 86_400
MAX_UINT128 = 2**128 - 1
POOL_ID = 1
CREDIT_WAD = 1_000_000_000 * WAD
STRATEGY = 0
PERPS_ID = 1  # the first market that the core is asked to register

PERPS_MODULES = (
    "CoreModule",
    "AssociatedSystemsModule",
    "FeatureFlagModule",
    "PerpsMarketFactoryModule",
    "PerpsMarketModule",
    "PerpsAccountModule",
    "AsyncOrderModule",
    "AsyncOrderSettlementPythModule",
    "AsyncOrderCancelModule",
    "GlobalPerpsMarketModule",
    "CollateralConfigurationModule",
    "LiquidationModule",
    "MarketConfigurationModule",
    "AccountModule",
)
SPOT_MODULES = ("FeatureFlagModule", "SpotMarketFactoryModule", "SpotMarketConfigurationModule")


def _wad(text: str) -> int:
    return from_decimal(text)


@dataclass(frozen=True)
class MarketTerms:
    """One perps market as it is set up. Ratios and prices are wads."""

    id: int
    asset: str
    price_wad: int
    skew_scale: int
    maker_fee: int = _wad("0.0002")
    taker_fee: int = _wad("0.0006")
    max_funding_velocity: int = 9 * WAD
    initial_ratio: int = 2 * WAD
    minimum_initial_ratio: int = _wad("0.02")
    maintenance_scalar: int = _wad("0.5")
    flag_ratio: int = _wad("0.0003")
    minimum_margin: int = 50 * WAD
    locked_oi_ratio: int = _wad("0.5")
    limit_multiplier: int = _wad("1.7")
    limit_window_s: int = 30
    max_size: int = 10_000_000 * WAD


@dataclass(frozen=True)
class CollateralTerms:
    """One synth that is taken as margin, valued at the price of its own feed less a discount."""

    asset: str
    skew_scale: int
    upper_discount: int = _wad("0.12")
    lower_discount: int = _wad("0.01")
    discount_scalar: int = 5 * WAD


MARKETS = (
    MarketTerms(100, "ETH", 2_000 * WAD, 1_000_000 * WAD),
    MarketTerms(
        200,
        "BTC",
        60_000 * WAD,
        40_000 * WAD,
        taker_fee=_wad("0.0005"),
        max_funding_velocity=_wad("7.3"),
        initial_ratio=_wad("1.37"),
        minimum_initial_ratio=_wad("0.015"),
        maintenance_scalar=_wad("0.65"),
        flag_ratio=_wad("0.00021"),
        minimum_margin=_wad("33.3"),
        locked_oi_ratio=_wad("0.4"),
    ),
)
COLLATERALS = (CollateralTerms("ETH", 10_000 * WAD), CollateralTerms("BTC", 700 * WAD))


@dataclass(frozen=True)
class Keepers:
    """What keepers are paid. Costs in dollars, wad; ratios wad."""

    settlement_cost: int = _wad("1.23")
    flag_cost: int = _wad("0.77")
    liquidation_cost: int = _wad("1.91")
    minimum_reward: int = 5 * WAD
    minimum_profit_ratio: int = _wad("0.3")
    maximum_reward: int = 500 * WAD
    maximum_ratio: int = _wad("0.2")
    collateral_ratio: int = _wad("0.0001")


@dataclass(frozen=True)
class Synth:
    """A synth that is taken as margin, and the feed of its price."""

    asset: str
    token: Contract
    feed: Contract


@dataclass(frozen=True)
class Synthetix:
    """The contracts of one deployment. ``perps`` and ``spot`` answer for all of their modules."""

    owner: str
    perps: Contract
    spot: Contract
    core: Contract
    oracle: Contract
    usd: Contract
    accounts: Contract
    costs: Contract
    feeds: Mapping[int, Contract]  # by market id
    benchmarks: Mapping[int, Contract]  # by market id: the price that orders are settled at
    markets: tuple[MarketTerms, ...]
    synths: Mapping[int, Synth]  # by collateral id

    @property
    def chain(self) -> Chain:
        return self.perps.chain

    def deployment(self) -> SynthetixDeployment:
        """What the agent needs to know of it."""
        return SynthetixDeployment(
            perps_market=self.perps.address,
            spot_market=self.spot.address,
            core=self.core.address,
            oracle_manager=self.oracle.address,
            account_token=self.accounts.address,
            usd_token=self.usd.address,
            markets=tuple(SynthetixMarket(id=market.id, asset=market.asset) for market in self.markets),
            collaterals=tuple(
                SynthetixCollateral(id=key, asset=synth.asset) for key, synth in self.synths.items()
            ),
        )

    def set_price(self, asset: str, price_wad: int) -> None:
        """Move every market and synth of ``asset``, and what its orders are settled at."""
        for market in self.markets:
            if market.asset == asset:
                self.set_market_price(market.id, price_wad)
        for synth in self.synths.values():
            if synth.asset == asset:
                synth.feed.send(self.owner, "setAnswer", price_wad)

    def set_market_price(self, market_id: int, price_wad: int) -> None:
        """Move one market alone."""
        self.feeds[market_id].send(self.owner, "setAnswer", price_wad)
        self.benchmarks[market_id].send(self.owner, "setBenchmarkPrice", price_wad)

    def give_synth(self, collateral_id: int, to: str, amount_wad: int) -> None:
        """Mint a synth, as the spot market that owns it."""
        node, minter = self.chain.node, self.spot.address
        node.impersonate(minter)
        node.set_balance(minter, 10**21)
        self.synths[collateral_id].token.send(minter, "mint", to, amount_wad)

    def create_account(self, sender: str, account_id: int) -> None:
        self.perps.send(sender, "createAccount", account_id)

    def deposit(self, sender: str, account_id: int, amount_wad: int, collateral_id: int = USD_ID) -> None:
        """Mint what is needed to the sender and post it as margin."""
        if collateral_id == USD_ID:
            token = self.usd
            self.core.send(self.owner, "mintUsd", sender, amount_wad)
        else:
            token = self.synths[collateral_id].token
            self.give_synth(collateral_id, sender, amount_wad)
        token.send(sender, "approve", self.perps.address, amount_wad)
        self.perps.send(sender, "modifyCollateral", account_id, collateral_id, amount_wad)

    def commitment(self, account_id: int, market_id: int, size_wad: int) -> tuple[object, ...]:
        """An order at any price."""
        acceptable = MAX_UINT128 if size_wad > 0 else 0
        return (market_id, account_id, size_wad, STRATEGY, acceptable, bytes(32), self.owner)

    def trade(self, sender: str, account_id: int, market_id: int, size_wad: int) -> None:
        """Commit an order, wait, and settle it as a keeper would."""
        self.perps.send(sender, "commitOrder", self.commitment(account_id, market_id, size_wad))
        self.chain.node.warp(SETTLE_AFTER_S)
        self.perps.send(self.owner, "settleOrder", account_id)


def deploy(
    chain: Chain,
    toolchain: Toolchain,
    owner: str,
    markets: tuple[MarketTerms, ...] = MARKETS,
    collaterals: tuple[CollateralTerms, ...] = COLLATERALS,
    keepers: Keepers | None = None,
) -> Synthetix:
    """All contracts, markets and synths. Needs automine."""
    keepers = keepers or Keepers()

    def create(name: str, *args: object) -> Contract:
        return chain.deploy(owner, toolchain.artifact(PROTOCOL, name), *args)

    def abi(name: str) -> Abi:
        return Abi(toolchain.artifact(PROTOCOL, name).abi)

    oracle = create("NodeModule")
    core = create("Core", owner, oracle.address)
    token_code = create("TokenModule").address
    core.send(owner, "initOrUpgradeToken", bytes32("USDToken"), "Synthetic USD", "snxUSD", 18, token_code)
    usd = chain.at("snxUSD", core.at("getUsdToken"), abi("TokenModule"))
    perps = _router(chain, toolchain, owner, "PerpsMarket", PERPS_MODULES)
    spot = _router(chain, toolchain, owner, "SpotMarket", SPOT_MODULES)
    accounts = _accounts(chain, perps, owner, create("NftModule"), abi("NftModule"))

    spot.send(owner, "setSynthetix", core.address)
    spot.send(owner, "setSynthImplementation", create("SynthTokenModule").address)
    spot.send(owner, "setFeatureFlagAllowAll", bytes32("createSynth"), True)
    perps.send(owner, "initializeFactory", core.address, spot.address)
    core.send(owner, "setCredit", PERPS_ID, CREDIT_WAD)
    for flag in ("perpsSystem", "createMarket"):
        perps.send(owner, "setFeatureFlagAllowAll", bytes32(flag), True)
    perps.send(owner, "setPerAccountCaps", 100, 100)
    costs = create("MockGasPriceNode")
    _keepers(costs, oracle, perps, owner, keepers)
    perps.send(owner, "setInterestRateParameters", _wad("0.003"), _wad("0.65"), _wad("0.05"))
    perps.send(owner, "setCollateralConfiguration", USD_ID, MAX_UINT128, 0, 0, 0)

    def feed(label: str, price_wad: int) -> tuple[Contract, bytes]:
        made = chain.deploy(owner, own_artifact("PriceAggregator"), label, FEED_DECIMALS, owner)
        made.send(owner, "setAnswer", price_wad)
        parameters = (made.address, 0, FEED_DECIMALS)
        return made, _node(oracle, owner, CHAINLINK_NODE, ["address", "uint256", "uint8"], parameters)

    feeds, benchmarks = {}, {}
    for market in markets:
        feeds[market.id], node = feed(f"{market.asset} / USD", market.price_wad)
        benchmarks[market.id] = create("MockPythERC7412Wrapper")
        benchmarks[market.id].send(owner, "setBenchmarkPrice", market.price_wad)
        _market(perps, owner, market, node, benchmarks[market.id])
    prices = {market.asset: market.price_wad for market in markets}
    synths = {}
    for terms in collaterals:
        own_feed, node = feed(f"s{terms.asset} / USD", prices[terms.asset])
        key, address = _synth(spot, owner, terms, node)
        token = chain.at(f"s{terms.asset}", address, abi("SynthTokenModule"))
        synths[key] = Synth(terms.asset, token, own_feed)
        core.send(owner, "setCollateralNode", address, node)
        discounts = (terms.upper_discount, terms.lower_discount, terms.discount_scalar)
        perps.send(owner, "setCollateralConfiguration", key, MAX_UINT128, *discounts)
        distributor = create("RewardsDistributor", POOL_ID, address)
        perps.send(owner, "registerDistributor", address, distributor.address, key, [usd.address])
    return Synthetix(
        owner=owner,
        perps=perps,
        spot=spot,
        core=core,
        oracle=oracle,
        usd=usd,
        accounts=accounts,
        costs=costs,
        feeds=feeds,
        benchmarks=benchmarks,
        markets=markets,
        synths=synths,
    )


def _router(chain: Chain, toolchain: Toolchain, owner: str, name: str, modules: Iterable[str]) -> Contract:
    """A router before freshly deployed modules; a function that two of them have is the first one's."""
    addresses, counts, selectors, entries = [], [], [], []
    seen: set[bytes] = set()
    for module in modules:
        artifact = toolchain.artifact(PROTOCOL, module)
        own = [
            function.selector
            for signature, found in Abi(artifact.abi).functions.items()
            if "(" in signature
            for function in found
            if function.selector not in seen
        ]
        seen.update(own)
        selectors += own
        counts.append(len(own))
        addresses.append(chain.deploy(owner, artifact).address)
        entries += artifact.abi
    router = toolchain.artifact(PROTOCOL, "Router")
    deployed = chain.deploy(owner, router, owner, addresses, counts, selectors)
    return chain.at(name, deployed.address, Abi(_unique(entries)))


def _unique(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    found: dict[object, dict[str, object]] = {}
    for entry in entries:
        inputs = cast(list[dict[str, object]], entry.get("inputs", []))
        key = (entry["type"], entry.get("name"), tuple(str(part["type"]) for part in inputs))
        if entry["type"] != "constructor":
            found.setdefault(key, entry)
    return list(found.values())


def _accounts(chain: Chain, perps: Contract, owner: str, implementation: Contract, abi: Abi) -> Contract:
    perps.send(
        owner,
        "initOrUpgradeNft",
        bytes32("accountNft"),
        "Perps account",
        "ACCOUNT",
        "",
        implementation.address,
    )
    return chain.at("Accounts", perps.at("getAccountTokenAddress"), abi)


def _node(oracle: Contract, owner: str, kind: int, types: list[str], values: tuple[object, ...]) -> bytes:
    parameters = codec.encode(types, values)
    node = oracle.call("getNodeId", kind, parameters, [])[0]
    oracle.send(owner, "registerNode", kind, parameters, [])
    return cast(bytes, node)


def _keepers(costs: Contract, oracle: Contract, perps: Contract, owner: str, keepers: Keepers) -> None:
    costs.send(owner, "setCosts", keepers.settlement_cost, keepers.flag_cost, keepers.liquidation_cost)
    node = _node(oracle, owner, EXTERNAL_NODE, ["address"], (costs.address,))
    perps.send(owner, "updateKeeperCostNodeId", node)
    perps.send(
        owner,
        "setKeeperRewardGuards",
        keepers.minimum_reward,
        keepers.minimum_profit_ratio,
        keepers.maximum_reward,
        keepers.maximum_ratio,
    )
    perps.send(owner, "setCollateralLiquidateRewardRatio", keepers.collateral_ratio)


def _market(perps: Contract, owner: str, terms: MarketTerms, node: bytes, wrapper: Contract) -> None:
    key = terms.id
    strategy = (0, SETTLE_AFTER_S, SETTLE_WITHIN_S, wrapper.address, bytes(32), WAD, False, 0)
    for function, *args in (
        ("createMarket", terms.asset, terms.asset),
        ("updatePriceData", node, TOLERANCE_S),
        ("addSettlementStrategy", strategy),
        ("setOrderFees", terms.maker_fee, terms.taker_fee),
        ("setMaxMarketSize", terms.max_size),
        ("setFundingParameters", terms.skew_scale, terms.max_funding_velocity),
        ("setMaxLiquidationParameters", terms.limit_multiplier, terms.limit_window_s, 0, owner),
        (
            "setLiquidationParameters",
            terms.initial_ratio,
            terms.minimum_initial_ratio,
            terms.maintenance_scalar,
            terms.flag_ratio,
            terms.minimum_margin,
        ),
        ("setLockedOiRatio", terms.locked_oi_ratio),
    ):
        perps.send(owner, str(function), key, *args)


def _synth(spot: Contract, owner: str, terms: CollateralTerms, node: bytes) -> tuple[int, Address]:
    receipt = spot.send(owner, "createSynth", f"Synthetic {terms.asset}", f"s{terms.asset}", owner)
    (made,) = spot.events(receipt.logs, "SynthRegistered")
    key = cast(int, made["synthMarketId"])
    spot.send(owner, "updatePriceData", key, node, node, TOLERANCE_S)
    spot.send(owner, "setMarketSkewScale", key, terms.skew_scale)
    return key, spot.at("getSynth", key)
