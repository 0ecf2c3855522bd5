"""Lyra v1 (Avalon) on our chain, from its published artifacts, with one ETH option market.

Everything named Lyra is real; the Synthetix side (rates, exchanger, short collateral, the sUSD and sETH
tokens) is the package's own test contracts. The liquidity pool's deposit must come before the first board,
or it queues for a week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agent.sim.abi import bytes32
from agent.sim.contract import Chain, Contract
from agent.sim.deploy.system import System
from agent.sim.toolchain import Toolchain
from agent.values.address import ZERO, Address
from agent.values.fixed import DAY_S, WAD
from agent.venues.deployments import LyraDeployment

QUOTE_KEY = bytes32("sUSD")
BASE_KEY = bytes32("sETH")
SECURITY_MODULE = Address("0xEFeEfEefeEfeEFEeFEefeEFEefEefEEfEEfEEfEE")
MAX_UINT = 2**256 - 1
HOUR_S = 3600


def _pct(hundredths: int) -> int:
    return hundredths * WAD // 100


@dataclass(frozen=True)
class Lyra(System):
    """The contracts of one deployment. ``quote`` and ``base`` are the sUSD and sETH test tokens."""

    option_market: Contract
    option_token: Contract
    greek_cache: Contract
    short_collateral: Contract
    viewer: Contract
    liquidity_pool: Contract
    liquidity_token: Contract
    pricer: Contract
    pool_hedger: Contract
    synthetix_adapter: Contract
    gwav_oracle: Contract
    keeper_helper: Contract
    registry: Contract
    exchange_rates: Contract
    exchanger: Contract
    synthetix: Contract
    collateral_short: Contract
    delegate_approvals: Contract
    address_resolver: Contract
    quote: Contract
    base: Contract

    SOURCES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "option_market": ("lyra", "OptionMarket"),
        "option_token": ("lyra", "OptionToken"),
        "greek_cache": ("lyra", "OptionGreekCache"),
        "short_collateral": ("lyra", "ShortCollateral"),
        "viewer": ("lyra", "OptionMarketViewer"),
        "liquidity_pool": ("lyra", "LiquidityPool"),
        "liquidity_token": ("lyra", "LiquidityToken"),
        "pricer": ("lyra", "OptionMarketPricer"),
        "pool_hedger": ("lyra", "ShortPoolHedger"),
        "synthetix_adapter": ("lyra", "SynthetixAdapter"),
        "gwav_oracle": ("lyra", "GWAVOracle"),
        "keeper_helper": ("lyra", "KeeperHelper"),
        "registry": ("lyra", "LyraRegistry"),
        "exchange_rates": ("lyra", "TestExchangeRates"),
        "exchanger": ("lyra", "TestExchanger"),
        "synthetix": ("lyra", "TestSynthetixReturnZero"),
        "collateral_short": ("lyra", "TestCollateralShort"),
        "delegate_approvals": ("lyra", "TestDelegateApprovals"),
        "address_resolver": ("lyra", "TestAddressResolver"),
        "quote": ("lyra", "TestERC20Fail"),
        "base": ("lyra", "TestERC20Fail"),
    }

    def deployment(self, asset: str) -> LyraDeployment:
        """What the agent needs to know of it."""
        return LyraDeployment(
            option_market=self.option_market.address,
            option_token=self.option_token.address,
            greek_cache=self.greek_cache.address,
            short_collateral=self.short_collateral.address,
            viewer=self.viewer.address,
            liquidity_pool=self.liquidity_pool.address,
            pricer=self.pricer.address,
            synthetix_adapter=self.synthetix_adapter.address,
            quote_token=self.quote.address,
            base_token=self.base.address,
            asset=asset,
        )


def deploy(chain: Chain, toolchain: Toolchain, owner: str, spot_wad: int) -> Lyra:
    """All contracts, wired and with parameters; no liquidity and no board yet."""

    def create(name: str, *args: object) -> Contract:
        return Lyra.create(chain, toolchain, owner, name, *args)

    gwav = chain.deploy(owner, toolchain.artifact("lyra", "GWAV"))
    black_scholes = chain.deploy(owner, toolchain.artifact("lyra", "BlackScholes"))
    libraries = {"GWAV": gwav.address, "BlackScholes": black_scholes.address}

    def create_linked(name: str) -> Contract:
        return chain.deploy(owner, toolchain.artifact(*Lyra.SOURCES[name]), libraries=libraries)

    base = create("base", "Synthetic ETH", "sETH")
    quote = create("quote", "Synthetic USD", "sUSD")
    adapter = create("synthetix_adapter")
    adapter.send(owner, "initialize")
    lyra = Lyra(
        option_market=create("option_market"),
        option_token=create("option_token", "sUSD/sETH Option Tokens", "LyraEOT"),
        greek_cache=create_linked("greek_cache"),
        short_collateral=create("short_collateral"),
        viewer=create("viewer"),
        liquidity_pool=create("liquidity_pool"),
        liquidity_token=create("liquidity_token", "sUSD/sETH Pool Tokens", "LyraELPT"),
        pricer=create("pricer"),
        pool_hedger=create("pool_hedger"),
        synthetix_adapter=adapter,
        gwav_oracle=create_linked("gwav_oracle"),
        keeper_helper=create("keeper_helper"),
        registry=create("registry"),
        exchange_rates=create("exchange_rates"),
        exchanger=create("exchanger"),
        synthetix=create("synthetix"),
        collateral_short=create("collateral_short"),
        delegate_approvals=create("delegate_approvals"),
        address_resolver=create("address_resolver"),
        quote=quote,
        base=base,
    )
    _wire_synthetix(lyra, owner)
    lyra.exchange_rates.send(owner, "setRateAndInvalid", BASE_KEY, spot_wad, False)
    _wire_market(lyra, owner)
    _set_parameters(lyra, owner)
    _register(lyra, owner, gwav, black_scholes)
    return lyra


def _wire_synthetix(lyra: Lyra, owner: str) -> None:
    adapter, quote, base = lyra.synthetix_adapter, lyra.quote, lyra.base
    lyra.synthetix.send(owner, "init", adapter.address, quote.address, lyra.address_resolver.address)
    lyra.collateral_short.send(owner, "init", adapter.address, quote.address)
    resolved = {
        "ProxySynthetix": lyra.synthetix,
        "Exchanger": lyra.exchanger,
        "ExchangeRates": lyra.exchange_rates,
        "CollateralShort": lyra.collateral_short,
        "DelegateApprovals": lyra.delegate_approvals,
    }
    names = [bytes32(name) for name in resolved]
    lyra.address_resolver.send(owner, "setAddresses", names, [c.address for c in resolved.values()])
    for minter in (lyra.synthetix, lyra.collateral_short):
        quote.send(owner, "permitMint", minter.address, True)
        base.send(owner, "permitMint", minter.address, True)
        minter.send(owner, "addBaseAsset", BASE_KEY, base.address, lyra.option_market.address)
    adapter.send(owner, "setAddressResolver", lyra.address_resolver.address)
    adapter.send(owner, "updateSynthetixAddresses")
    globals_of_market = (lyra.option_market.address, QUOTE_KEY, BASE_KEY, SECURITY_MODULE, bytes(32))
    adapter.send(owner, "setGlobalsForContract", *globals_of_market)
    lyra.exchanger.send(owner, "setFeeRateForExchange", BASE_KEY, QUOTE_KEY, _pct(75) // 100)
    lyra.exchanger.send(owner, "setFeeRateForExchange", QUOTE_KEY, BASE_KEY, _pct(50) // 100)


def _wire_market(lyra: Lyra, owner: str) -> None:
    adapter, market, pricer = lyra.synthetix_adapter, lyra.option_market, lyra.pricer
    pool, cache, token, shorts = (
        lyra.liquidity_pool,
        lyra.greek_cache,
        lyra.option_token,
        lyra.short_collateral,
    )
    hedger = lyra.pool_hedger
    assets = (lyra.quote, lyra.base)
    wiring: list[tuple[Contract, tuple[Contract, ...]]] = [
        (market, (adapter, pool, pricer, cache, shorts, token, *assets)),
        (pricer, (market, cache)),
        (cache, (adapter, market, pricer)),
        (pool, (adapter, market, lyra.liquidity_token, cache, hedger, shorts, *assets)),
        (lyra.liquidity_token, (pool,)),
        (hedger, (adapter, market, cache, pool, *assets)),
        (shorts, (market, pool, token, adapter, *assets)),
        (token, (market, cache, shorts, adapter)),
        (lyra.gwav_oracle, (market, cache, adapter)),
        (lyra.viewer, (adapter,)),
        (lyra.keeper_helper, (market, shorts, cache)),
    ]
    for contract, arguments in wiring:
        contract.send(owner, "init", *(argument.address for argument in arguments))


def _set_parameters(lyra: Lyra, owner: str) -> None:
    """The package's default parameters, with a deeper market: ten times the standard size."""
    lyra.option_market.send(
        owner,
        "setOptionMarketParams",
        {
            "maxBoardExpiry": 365 * DAY_S,
            "securityModule": SECURITY_MODULE,
            "feePortionReserved": _pct(10),
            "staticBaseSettlementFee": _pct(75) // 100,
        },
    )
    lyra.liquidity_pool.send(
        owner,
        "setLiquidityPoolParameters",
        {
            "minDepositWithdraw": WAD,
            "depositDelay": 7 * DAY_S,
            "withdrawalDelay": 7 * DAY_S,
            "withdrawalFee": _pct(1),
            "liquidityCBThreshold": _pct(1),
            "liquidityCBTimeout": 3 * DAY_S,
            "ivVarianceCBThreshold": _pct(10),
            "skewVarianceCBThreshold": _pct(35),
            "ivVarianceCBTimeout": 12 * HOUR_S,
            "skewVarianceCBTimeout": 12 * HOUR_S,
            "guardianMultisig": ZERO,
            "guardianDelay": 14 * DAY_S,
            "boardSettlementCBTimeout": 6 * HOUR_S,
            "maxFeePaid": _pct(1),
        },
    )
    lyra.pool_hedger.send(
        owner, "setPoolHedgerParams", {"interactionDelay": 24 * HOUR_S, "hedgeCap": MAX_UINT}
    )
    lyra.pool_hedger.send(owner, "setShortBuffer", 2 * WAD)
    lyra.greek_cache.send(
        owner,
        "setGreekCacheParameters",
        {
            "maxStrikesPerBoard": 30,
            "acceptableSpotPricePercentMove": _pct(5),
            "staleUpdateDuration": 3 * HOUR_S,
            "varianceIvGWAVPeriod": DAY_S,
            "varianceSkewGWAVPeriod": 3 * DAY_S,
            "optionValueIvGWAVPeriod": DAY_S,
            "optionValueSkewGWAVPeriod": 3 * DAY_S,
            "gwavSkewFloor": _pct(50),
            "gwavSkewCap": 2 * WAD,
            "rateAndCarry": _pct(5),
        },
    )
    lyra.greek_cache.send(
        owner,
        "setMinCollateralParameters",
        {
            "minStaticQuoteCollateral": 200 * WAD,
            "minStaticBaseCollateral": _pct(20),
            "shockVolA": _pct(250),
            "shockVolPointA": 14 * DAY_S,
            "shockVolB": _pct(180),
            "shockVolPointB": 56 * DAY_S,
            "callSpotPriceShock": _pct(120),
            "putSpotPriceShock": _pct(80),
        },
    )
    lyra.greek_cache.send(
        owner,
        "setForceCloseParameters",
        {
            "ivGWAVPeriod": 12 * HOUR_S,
            "skewGWAVPeriod": DAY_S,
            "shortVolShock": _pct(120),
            "shortPostCutoffVolShock": _pct(140),
            "longVolShock": _pct(80),
            "longPostCutoffVolShock": _pct(50),
            "liquidateVolShock": _pct(130),
            "liquidatePostCutoffVolShock": _pct(160),
            "shortSpotMin": _pct(1),
            "liquidateSpotMin": _pct(2),
        },
    )
    lyra.pricer.send(
        owner,
        "setPricingParams",
        {
            "optionPriceFeeCoefficient": _pct(1),
            "optionPriceFee1xPoint": 42 * DAY_S,
            "optionPriceFee2xPoint": 112 * DAY_S,
            "spotPriceFeeCoefficient": _pct(1) // 10,
            "spotPriceFee1xPoint": 42 * DAY_S,
            "spotPriceFee2xPoint": 84 * DAY_S,
            "vegaFeeCoefficient": 100 * WAD,
            "standardSize": 50 * WAD,
            "skewAdjustmentFactor": _pct(75),
        },
    )
    lyra.pricer.send(
        owner,
        "setTradeLimitParams",
        {
            "minDelta": _pct(15),
            "minForceCloseDelta": _pct(25),
            "tradingCutoff": 12 * HOUR_S,
            "minBaseIV": _pct(35),
            "maxBaseIV": _pct(200),
            "minSkew": _pct(50),
            "maxSkew": _pct(150),
            "minVol": _pct(55),
            "maxVol": _pct(300),
            "absMinSkew": _pct(15),
            "absMaxSkew": _pct(500),
            "capSkewsToAbs": False,
        },
    )
    lyra.pricer.send(
        owner,
        "setVarianceFeeParams",
        {
            "defaultVarianceFeeCoefficient": _pct(25),
            "forceCloseVarianceFeeCoefficient": _pct(25),
            "skewAdjustmentCoefficient": 3 * WAD,
            "referenceSkew": WAD,
            "minimumStaticSkewAdjustment": WAD,
            "vegaCoefficient": _pct(1),
            "minimumStaticVega": 0,
            "ivVarianceCoefficient": _pct(150),
            "minimumStaticIvVariance": WAD,
        },
    )
    lyra.option_token.send(
        owner,
        "setPartialCollateralParams",
        {
            "penaltyRatio": _pct(20),
            "liquidatorFeeRatio": _pct(40),
            "smFeeRatio": _pct(30),
            "minLiquidationFee": 15 * WAD,
        },
    )


def _register(lyra: Lyra, owner: str, gwav: Contract, black_scholes: Contract) -> None:
    market = {
        "liquidityPool": lyra.liquidity_pool.address,
        "liquidityToken": lyra.liquidity_token.address,
        "greekCache": lyra.greek_cache.address,
        "optionMarket": lyra.option_market.address,
        "optionMarketPricer": lyra.pricer.address,
        "optionToken": lyra.option_token.address,
        "poolHedger": lyra.pool_hedger.address,
        "shortCollateral": lyra.short_collateral.address,
        "baseAsset": lyra.base.address,
        "quoteAsset": lyra.quote.address,
    }
    lyra.viewer.send(owner, "addMarket", market)
    lyra.registry.send(owner, "addMarket", market | {"gwavOracle": lyra.gwav_oracle.address})
    named = {
        "SYNTHETIX_ADAPTER": lyra.synthetix_adapter,
        "MARKET_VIEWER": lyra.viewer,
        "GWAV": gwav,
        "BLACK_SCHOLES": black_scholes,
    }
    names = [bytes32(name) for name in named]
    lyra.registry.send(owner, "updateGlobalAddresses", names, [c.address for c in named.values()])
