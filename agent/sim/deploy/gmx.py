"""The stand-in of GMX v2 on a chain of ours: one market of the asset, and the keeper that fills its orders.

It has GMX's interface and its formulas, so that the agent cannot tell it apart, and a keeper who can also do
what one should fear: fill late, fill a part, fill at any price, cancel, freeze, or nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.sim.abi import Abi
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract, Receipt
from agent.values.address import ZERO, Address
from agent.values.fixed import WAD
from agent.venues.deployments import GmxDeployment, GmxMarket, GmxToken

FLOAT = 10**30  # GMX's fixed point: 1.0
YEAR_S = 31_536_000
MARKET_INCREASE, MARKET_DECREASE = 2, 4
EXECUTION_FEE_WEI = 10**17  # most of it comes back
NO_PRICES: tuple[tuple[str, ...], tuple[str, ...], tuple[bytes, ...]] = ((), (), ())

CONTRACTS = {
    "store": "GmxStore",
    "events": "GmxEvents",
    "vault": "GmxVault",
    "router": "GmxRouter",
    "prices": "GmxPriceProvider",
    "book": "GmxMarkets",
    "engine": "GmxEngine",
    "handler": "GmxHandler",
    "exchange": "GmxExchange",
    "reader": "GmxReader",
    "wrapped": "GmxWrapped",
    "market": "MintableToken",
    "dollar": "PriceAggregator",
    "referrals": "GmxReferrals",
}


def key_of(name: str, *parts: object) -> bytes:
    """Where GMX's DataStore keeps ``name``: flags are bool, everything else is an address or 32 bytes."""
    base = keccak(codec.encode(["string"], [name]))
    if not parts:
        return base
    kinds = [
        "bool" if isinstance(p, bool) else "bytes32" if isinstance(p, bytes) else "address" for p in parts
    ]
    return keccak(codec.encode(["bytes32", *kinds], [base, *parts]))


def _percent(value: float) -> int:
    return round(value * 10**6) * FLOAT // 10**8


def global_terms() -> dict[bytes, int]:
    """Numbers that all markets share: what Arbitrum's published configuration says, near enough."""
    return {
        key_of("MIN_COLLATERAL_USD"): FLOAT,
        key_of("MIN_POSITION_SIZE_USD"): FLOAT,
        key_of("REQUEST_EXPIRATION_TIME"): 300,
        key_of("MAX_DATA_LENGTH"): 18,
        key_of("INCREASE_ORDER_GAS_LIMIT"): 3_000_000,
        key_of("DECREASE_ORDER_GAS_LIMIT"): 3_000_000,
        key_of("ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1"): 600_000,
        key_of("ESTIMATED_GAS_FEE_PER_ORACLE_PRICE"): 250_000,
        key_of("ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR"): FLOAT,
    }


def market_terms(market: str) -> dict[bytes, int]:
    """Fees, impact, funding, borrowing and caps of one market. Exponents are 1: all the stand-in has."""
    terms = {
        key_of("MIN_COLLATERAL_FACTOR", market): _percent(1),
        key_of("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", market): _percent(1),
        key_of("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", market): 0,
        key_of("LIQUIDATION_FEE_FACTOR", market): _percent(0.2),
        key_of("FUNDING_EXPONENT_FACTOR", market): FLOAT,
        key_of("FUNDING_INCREASE_FACTOR_PER_SECOND", market): _percent(90) // YEAR_S // (3 * 3_600),
        key_of("FUNDING_DECREASE_FACTOR_PER_SECOND", market): _percent(90) // YEAR_S // (48 * 3_600),
        key_of("THRESHOLD_FOR_STABLE_FUNDING", market): _percent(4),
        key_of("MAX_FUNDING_FACTOR_PER_SECOND", market): _percent(90) // YEAR_S,
    }
    for flag, fee, impact, most in ((True, 0.04, 0.01, 0.4), (False, 0.06, 0.02, 0.5)):
        terms |= {
            key_of("POSITION_FEE_FACTOR", market, flag): _percent(fee),
            key_of("POSITION_IMPACT_FACTOR", market, flag): _percent(impact),
            key_of("POSITION_IMPACT_EXPONENT_FACTOR", market, flag): FLOAT,
            key_of("MAX_POSITION_IMPACT_FACTOR", market, flag): _percent(most),
        }
    for is_long in (True, False):
        terms |= {
            key_of("MAX_OPEN_INTEREST", market, is_long): 20_000_000 * FLOAT,
            key_of("RESERVE_FACTOR", market, is_long): _percent(275),
            key_of("OPEN_INTEREST_RESERVE_FACTOR", market, is_long): _percent(270),
            key_of("OPTIMAL_USAGE_FACTOR", market, is_long): _percent(85),
            key_of("BASE_BORROWING_FACTOR", market, is_long): _percent(45) // YEAR_S,
            key_of("ABOVE_OPTIMAL_USAGE_BORROWING_FACTOR", market, is_long): _percent(90) // YEAR_S,
            key_of("BORROWING_EXPONENT_FACTOR", market, is_long): FLOAT,
            key_of("MAX_PNL_FACTOR", key_of("MAX_PNL_FACTOR_FOR_TRADERS"), market, is_long): _percent(90),
        }
    return terms


@dataclass(frozen=True)
class Gmx:
    """The contracts of one deployment. ``asset`` and ``quote`` are tokens of the chain, not ours."""

    store: Contract
    events: Contract
    vault: Contract
    router: Contract
    prices: Contract
    book: Contract
    engine: Contract
    handler: Contract
    exchange: Contract
    reader: Contract
    wrapped: Contract
    market: Contract
    dollar: Contract
    referrals: Contract

    @classmethod
    def attach(cls, chain: Chain, addresses: Mapping[str, str]) -> Gmx:
        """The system at known addresses. Raises KeyError naming a contract that is missing."""
        return cls(
            **{
                name: chain.at(artifact, addresses[name], Abi(own_artifact(artifact).abi))
                for name, artifact in CONTRACTS.items()
            }
        )

    def addresses(self) -> dict[str, Address]:
        """Address by field name, for the manifest."""
        return {part.name: getattr(self, part.name).address for part in fields(self)}

    def deployment(self, tokens: Sequence[GmxToken], asset: str) -> GmxDeployment:
        """What the agent needs to know of it; of ``tokens`` the first is the asset, the second quote."""
        asset_token, quote_token = tokens
        if quote_token.feed is None:
            quote_token = quote_token.model_copy(update={"feed": self.dollar.address})
        return GmxDeployment(
            data_store=self.store.address,
            reader=self.reader.address,
            exchange_router=self.exchange.address,
            router=self.router.address,
            order_vault=self.vault.address,
            event_emitter=self.events.address,
            referral_storage=self.referrals.address,
            order_handler=self.handler.address,
            native_token=asset_token.address,  # the chain's own coin is held to be worth as much
            tokens=(asset_token, quote_token),
            markets=(
                GmxMarket(
                    address=self.market.address,
                    index_token=asset_token.address,
                    long_token=asset_token.address,
                    short_token=quote_token.address,
                    asset=asset,
                ),
            ),
            max_feed_age_s=10**9,  # a script sets prices when it pleases
            execution_tip_wei=2 * 10**9,
            feed_spread_ppm=SPREAD_PPM,
        )

    def set_terms(self, owner: str, terms: Mapping[bytes, int]) -> None:
        """Write numbers into the store, under the keys GMX has them under."""
        self.store.send(owner, "setUints", list(terms), list(terms.values()))

    def orders(self, account: str) -> list[bytes]:
        """The keys of the account's orders that wait."""
        key = key_of("ACCOUNT_ORDER_LIST", account)
        return cast(list[bytes], self.store.call("getBytes32ValuesAt", key, 0, 1_000)[0])

    def ask_for(self, account: str, token: Contract, amount: int, size_usd: int, *, is_long: bool) -> bytes:
        """Leave an order that opens or adds at any price; its key. ``amount`` in the token's unit, the size
        in dollars at 30 decimals.
        """
        token.send(account, "approve", self.router.address, amount)
        parameters: tuple[object, ...] = (
            (account, account, ZERO, ZERO, self.market.address, token.address, []),
            (size_usd, 0, 0, 2**256 - 1 if is_long else 0, EXECUTION_FEE_WEI, 0, 0, 0),
            MARKET_INCREASE,
            0,
            is_long,
            False,
            False,
            bytes(32),
            [],
        )
        calls = [
            self.exchange.encode("sendWnt", self.vault.address, EXECUTION_FEE_WEI),
            self.exchange.encode("sendTokens", token.address, self.vault.address, amount),
            self.exchange.encode("createOrder", parameters),
        ]
        before = set(self.orders(account))
        self.exchange.send(account, "multicall", calls, value_wei=EXECUTION_FEE_WEI)
        (key,) = set(self.orders(account)) - before
        return key

    def execute(self, keeper: str, key: bytes) -> Receipt:
        """The keeper fills the order at the feeds' prices (or cancels it, if it cannot be filled)."""
        return self.handler.send(keeper, "executeOrder", key, NO_PRICES)


SPREAD_PPM = 200
FEED_DECIMALS = 8


def deploy(
    chain: Chain,
    owner: Address,
    keeper: Address,
    asset: Contract,
    quote: Contract,
    aggregator: Contract,
) -> Gmx:
    """All contracts and one market: the asset against quote, priced by the aggregator; quote is one dollar.

    The pool is empty: `stock` fills it.
    """

    def create(name: str, *args: object) -> Contract:
        return chain.deploy(owner, own_artifact(CONTRACTS[name]), *args)

    store, events, vault = create("store"), create("events"), create("vault")
    router, prices, wrapped = create("router"), create("prices"), create("wrapped")
    book = create("book", store.address)
    engine = create("engine", store.address, events.address, prices.address, book.address, keeper)
    handler = create("handler", store.address, events.address, vault.address, engine.address, keeper)
    exchange = create("exchange", router.address, store.address, events.address, handler.address)
    reader = create("reader", handler.address)
    market = create("market", "GMX Market", "GM", 18)
    dollar = create("dollar", "USD / USD", FEED_DECIMALS, owner)
    dollar.send(owner, "setAnswer", 10**FEED_DECIMALS)
    for writer in (engine, handler):
        store.send(owner, "allow", writer.address)
        events.send(owner, "allow", writer.address)
    vault.send(owner, "serve", handler.address)
    engine.send(owner, "serve", handler.address)
    referrals = create("referrals")
    handler.send(owner, "serve", exchange.address, referrals.address)
    router.send(owner, "serve", exchange.address)
    asset_decimals, quote_decimals = asset.integer("decimals"), quote.integer("decimals")
    prices.send(owner, "setSource", asset.address, (aggregator.address, asset_decimals, SPREAD_PPM, 0))
    prices.send(owner, "setSource", quote.address, (dollar.address, quote_decimals, SPREAD_PPM, 0))
    system = Gmx(
        store,
        events,
        vault,
        router,
        prices,
        book,
        engine,
        handler,
        exchange,
        reader,
        wrapped,
        market,
        dollar,
        referrals,
    )
    store.send(owner, "setAddress", key_of("WNT"), wrapped.address)
    store.send(owner, "setBool", key_of("SKIP_BORROWING_FEE_FOR_SMALLER_SIDE"), True)
    system.set_terms(owner, global_terms() | market_terms(market.address))
    engine.send(owner, "addMarket", (market.address, asset.address, asset.address, quote.address))
    return system


def stock(gmx: Gmx, owner: str, asset: Contract, quote: Contract, asset_units: int, quote_units: int) -> None:
    """Fill the pool with the owner's tokens, which the owner may mint."""
    for token, amount in ((asset, asset_units), (quote, quote_units)):
        token.send(owner, "mint", owner, amount)
        token.send(owner, "approve", gmx.engine.address, amount)
        gmx.engine.send(owner, "fund", gmx.market.address, token.address, amount)


def tokens(
    asset: Contract, quote: Contract, aggregator: Contract, name: str, quote_feed: Address | None = None
) -> tuple[GmxToken, ...]:
    """How the agent prices the market's two tokens. Quote is a dollar by a feed of its own."""
    return (
        GmxToken(
            address=asset.address,
            decimals=asset.integer("decimals"),
            asset=name,
            feed=aggregator.address,
        ),
        GmxToken(address=quote.address, decimals=quote.integer("decimals"), feed=quote_feed),
    )


def seed_traders(
    gmx: Gmx, owner: str, keeper: str, traders: Sequence[str], asset: Contract, quote: Contract, spot_wad: int
) -> None:
    """Open interest on both sides, in both collaterals: funding and borrowing run, longs weigh more."""
    spot = spot_wad / WAD
    units, ones = 10 ** asset.integer("decimals"), 10 ** quote.integer("decimals")
    for trader, is_long, in_asset, size in zip(
        traders, (True, False, True, False), (True, False, False, True), (900, 500, 300, 200), strict=False
    ):
        size_usd = size * 1_000 * FLOAT
        token = asset if in_asset else quote
        amount = round(size * 250 / spot) * units if in_asset else size * 250 * ones
        token.send(owner, "mint", trader, amount)
        gmx.execute(keeper, gmx.ask_for(trader, token, amount, size_usd, is_long=is_long))
