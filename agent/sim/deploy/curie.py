"""Perpetual Protocol v2 (Curie) on our chain, from its published artifacts, with one market or more.

The order is the one the contracts demand: each ``initialize`` checks that its arguments are contracts, the
quote token's address must lie above the base token's, and the pool must exist before the market is added.
Margin checks revert (``OLD``) until the pool's oracle holds 30 minutes: the caller warps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agent.sim.abi import Abi
from agent.sim.contract import Chain, Contract
from agent.sim.deploy.system import System
from agent.sim.tick import sqrt_price_x96
from agent.sim.toolchain import Toolchain
from agent.values.address import Address
from agent.values.fixed import WAD
from agent.venues.deployments import CurieDeployment, Market

POOL_FEE = 3000  # 0.3 %, in parts per million
MARKET_FEE = 1000  # what a trader pays, 0.1 %
INSURANCE_FEE = 100_000  # share of the fee that goes to the insurance fund, 10 %
MAX_TICKS_PER_BLOCK = 1000  # the protocol's own upper limit; 0 would pause the market
TWAP_INTERVAL_S = 900
FEED_TIMEOUT_S = 10 * 86_400
MAX_UINT = 2**256 - 1
WARM_UP_S = 1801


@dataclass(frozen=True)
class CurieMarket:
    """One market: its virtual token, the pool it trades in and the feed of its index."""

    base: Contract
    pool: Contract
    feed: Contract
    dispatcher: Contract


@dataclass(frozen=True)
class Curie(System):
    """The contracts of one deployment; base, pool, feed and dispatcher are those of its first market."""

    clearing_house: Contract
    account_balance: Contract
    vault: Contract
    exchange: Contract
    config: Contract
    market_registry: Contract
    order_book: Contract
    insurance_fund: Contract
    collateral_manager: Contract
    delegate_approval: Contract
    base: Contract
    quote: Contract
    pool: Contract
    factory: Contract
    feed: Contract
    dispatcher: Contract

    SOURCES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "clearing_house": ("curie", "ClearingHouse"),
        "account_balance": ("curie", "AccountBalance"),
        "vault": ("curie", "Vault"),
        "exchange": ("curie", "Exchange"),
        "config": ("curie", "ClearingHouseConfig"),
        "market_registry": ("curie", "MarketRegistry"),
        "order_book": ("curie", "OrderBook"),
        "insurance_fund": ("curie", "InsuranceFund"),
        "collateral_manager": ("curie", "CollateralManager"),
        "delegate_approval": ("curie", "DelegateApproval"),
        "base": ("curie", "BaseToken"),
        "quote": ("curie", "QuoteToken"),
        "pool": ("uniswap-core", "UniswapV3Pool"),
        "factory": ("uniswap-core", "UniswapV3Factory"),
        "feed": ("perp-oracle", "ChainlinkPriceFeedV3"),
        "dispatcher": ("perp-oracle", "PriceFeedDispatcher"),
    }

    def deployment(self, settlement_token: Address, asset: str) -> CurieDeployment:
        """What the agent needs to know of it."""
        return CurieDeployment(
            clearing_house=self.clearing_house.address,
            account_balance=self.account_balance.address,
            vault=self.vault.address,
            exchange=self.exchange.address,
            config=self.config.address,
            market_registry=self.market_registry.address,
            order_book=self.order_book.address,
            settlement_token=settlement_token,
            markets=(Market(address=self.base.address, asset=asset),),
        )


def deploy(
    chain: Chain, toolchain: Toolchain, owner: str, settlement: Contract, aggregator: Contract, spot_wad: int
) -> Curie:
    """All contracts and one ETH market at ``spot_wad``; liquidity comes later, after the warm-up."""

    def create(name: str, *args: object) -> Contract:
        return Curie.create(chain, toolchain, owner, name, *args)

    factory = create("factory")
    config = create("config")
    config.send(owner, "initialize")
    base = create("base")
    quote = create("quote")
    while int(quote.address, 16) < int(base.address, 16):  # the registry refuses the other order: MR_IB
        quote = create("quote")
    quote.send(owner, "initialize", "vUSD", "vUSD")
    registry, order_book, insurance = (
        create("market_registry"),
        create("order_book"),
        create("insurance_fund"),
    )
    registry.send(owner, "initialize", factory.address, quote.address)
    order_book.send(owner, "initialize", registry.address)
    insurance.send(owner, "initialize", settlement.address)
    exchange = create("exchange")
    exchange.send(owner, "initialize", registry.address, order_book.address, config.address)
    order_book.send(owner, "setExchange", exchange.address)
    balance = create("account_balance")
    balance.send(owner, "initialize", config.address, order_book.address)
    exchange.send(owner, "setAccountBalance", balance.address)
    vault = create("vault")
    vault.send(owner, "initialize", insurance.address, config.address, balance.address, exchange.address)
    insurance.send(owner, "setVault", vault.address)
    balance.send(owner, "setVault", vault.address)
    collateral = create("collateral_manager")
    collateral.send(
        owner,
        "initialize",
        config.address,
        vault.address,
        5,
        750_000,
        500_000,
        2_000,
        30_000,
        10_000 * WAD,
        500 * WAD,
    )
    vault.send(owner, "setCollateralManager", collateral.address)
    house = create("clearing_house")
    house.send(
        owner,
        "initialize",
        config.address,
        vault.address,
        quote.address,
        factory.address,
        exchange.address,
        balance.address,
        insurance.address,
    )
    for contract in (order_book, exchange, balance, registry, vault):
        contract.send(owner, "setClearingHouse", house.address)
    delegate = create("delegate_approval")
    delegate.send(owner, "initialize")
    house.send(owner, "setDelegateApproval", delegate.address)
    config.send(owner, "setSettlementTokenBalanceCap", MAX_UINT)

    quote.send(owner, "mintMaximumTo", house.address)
    quote.send(owner, "addWhitelist", house.address)
    shared = (house, registry, exchange, factory, quote)
    market = _open_market(chain, toolchain, owner, shared, base, aggregator, spot_wad, "vETH")
    return Curie(
        clearing_house=house,
        account_balance=balance,
        vault=vault,
        exchange=exchange,
        config=config,
        market_registry=registry,
        order_book=order_book,
        insurance_fund=insurance,
        collateral_manager=collateral,
        delegate_approval=delegate,
        base=market.base,
        quote=quote,
        pool=market.pool,
        factory=factory,
        feed=market.feed,
        dispatcher=market.dispatcher,
    )


def add_market(
    curie: Curie,
    chain: Chain,
    toolchain: Toolchain,
    owner: str,
    aggregator: Contract,
    spot_wad: int,
    symbol: str,
) -> CurieMarket:
    """Another market of the same exchange; its index is ``aggregator``, its pool starts at ``spot_wad``."""
    base = Curie.create(chain, toolchain, owner, "base")
    while int(base.address, 16) > int(curie.quote.address, 16):
        base = Curie.create(chain, toolchain, owner, "base")
    shared = (curie.clearing_house, curie.market_registry, curie.exchange, curie.factory, curie.quote)
    return _open_market(chain, toolchain, owner, shared, base, aggregator, spot_wad, symbol)


def _open_market(
    chain: Chain,
    toolchain: Toolchain,
    owner: str,
    shared: tuple[Contract, Contract, Contract, Contract, Contract],
    base: Contract,
    aggregator: Contract,
    spot_wad: int,
    symbol: str,
) -> CurieMarket:
    house, registry, exchange, factory, quote = shared
    feed = Curie.create(chain, toolchain, owner, "feed", aggregator.address, FEED_TIMEOUT_S, TWAP_INTERVAL_S)
    dispatcher = Curie.create(chain, toolchain, owner, "dispatcher", feed.address)
    base.send(owner, "initialize", symbol, symbol, dispatcher.address)
    base.send(owner, "mintMaximumTo", house.address)
    factory.send(owner, "createPool", base.address, quote.address, POOL_FEE)
    pool_abi = Abi(toolchain.artifact(*Curie.SOURCES["pool"]).abi)
    pool = chain.at("UniswapV3Pool", factory.at("getPool", base.address, quote.address, POOL_FEE), pool_abi)
    pool.send(owner, "initialize", sqrt_price_x96(spot_wad))
    pool.send(owner, "increaseObservationCardinalityNext", 400)
    base.send(owner, "addWhitelist", house.address)
    base.send(owner, "addWhitelist", pool.address)
    quote.send(owner, "addWhitelist", pool.address)
    registry.send(owner, "addPool", base.address, POOL_FEE)
    registry.send(owner, "setFeeRatio", base.address, MARKET_FEE)
    registry.send(owner, "setInsuranceFundFeeRatio", base.address, INSURANCE_FEE)
    exchange.send(owner, "setMaxTickCrossedWithinBlock", base.address, MAX_TICKS_PER_BLOCK)
    return CurieMarket(base, pool, feed, dispatcher)
