"""The stand-in of gTrade's diamond on a chain of ours: one pair, and the keeper whose answers fill orders.

It has the diamond's interface and its published formulas, so that the agent cannot tell it apart, and a
keeper who can also do what one should fear: answer late, at any price, in part, with a refusal, or never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from agent.sim.abi import Abi
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract, Receipt
from agent.values.address import Address
from agent.values.fixed import WAD
from agent.venues.deployments import GtradeDeployment, GtradePair

P_10 = 10**10
FEED_DECIMALS = 8
FEED_UNIT = 100  # of a feed's answer, at the diamond's ten decimals
COLLATERAL = 3  # what USDC is on Arbitrum
PAIR = 1  # what ETH is everywhere
TIMEOUT_BLOCKS = 200


@dataclass(frozen=True)
class PairTerms:
    """A pair's numbers as the stand-in takes them: percents at 10 decimals, leverages at 3, dollars at 18."""

    asset: str = "ETH"
    spread: int = 4 * P_10 // 100
    fee: int = 6 * P_10 // 100
    min_size_usd: int = 1_500 * WAD
    leverages: tuple[int, int] = (1_100, 150_000)
    counter_multiplier: int = 1_000
    max_interest: int = 50_000_000 * 10**6
    max_skew: int = 0
    volume_depth_usd: int = 40_000_000 * WAD
    skew_depth: int = 40_000 * WAD
    old_fee_per_block: int = 0
    # loss and leverage from which on a trade is closed: 90 % up to 20, falling to 75 % at 100
    liquidation: tuple[int, int, int, int, int] = (5 * P_10 // 100, 90 * P_10, 75 * P_10, 20_000, 100_000)
    # skew coefficient, caps of velocity and of rate, threshold, enabled, multiplier for the smaller side
    funding: tuple[int, int, int, int, bool, bool] = (15 * 10**22, 16_000_000, 31_700, 10_000, True, True)
    borrowing: int = 3_170

    @property
    def words(self) -> tuple[object, ...]:
        return (
            self.asset,
            self.spread,
            self.fee,
            self.min_size_usd,
            *self.leverages,
            self.counter_multiplier,
            self.max_interest,
            self.max_skew,
            self.volume_depth_usd,
            self.skew_depth,
            self.old_fee_per_block,
            self.liquidation,
            (*self.funding, 0),
            (self.borrowing, 0),
        )


@dataclass(frozen=True)
class Gtrade:
    """One deployment. ``feed`` prices the pair for the agent, ``dollar`` the collateral for everybody."""

    diamond: Contract
    token: Contract
    feed: Contract
    dollar: Contract
    owner: Address
    keeper: Address
    terms: PairTerms

    def deployment(self) -> GtradeDeployment:
        """What the agent needs to know of it."""
        return GtradeDeployment(
            diamond=self.diamond.address,
            collateral_token=self.token.address,
            collateral_index=COLLATERAL,
            collateral_decimals=self.token.integer("decimals"),
            pairs=(GtradePair(index=PAIR, asset=self.terms.asset, feed=self.feed.address),),
            max_feed_age_s=10**9,  # a script sets prices when it pleases
            timeout_blocks=TIMEOUT_BLOCKS,
            block_ms=1_000,
        )

    @property
    def price(self) -> int:
        """The feed's, at 10 decimals."""
        return cast(int, self.feed.call("latestRoundData")[1]) * FEED_UNIT

    def set_price(self, price: int) -> None:
        """Of 10 decimals, cut to the feed's eight."""
        self.feed.send(self.owner, "setAnswer", price // FEED_UNIT)

    def set_terms(self, terms: PairTerms) -> Gtrade:
        """Other numbers for the pair; what has accrued is written down first."""
        self.diamond.send(self.owner, "setTerms", PAIR, terms.words, self.price)
        return replace(self, terms=terms)

    def orders(self, account: str) -> list[int]:
        """The numbers of the account's orders that wait."""
        found = cast(list[dict[str, object]], self.diamond.call("getPendingOrders", account)[0])
        return [cast(int, order["index"]) for order in found]

    def fulfill(self, account: str, index: int, price: int | None = None) -> Receipt:
        """The keeper answers the order, at the feed's price or another."""
        return self.diamond.send(self.keeper, "fulfill", account, index, price or self.price)

    def open(self, account: str, amount: int, leverage: int, *, is_long: bool) -> Receipt:
        """Open a trade and have it filled at once. ``amount`` in the token's unit."""
        self.token.send(self.owner, "mint", account, amount)
        self.token.send(account, "approve", self.diamond.address, amount)
        trade = (
            account,
            0,
            PAIR,
            leverage,
            is_long,
            True,
            COLLATERAL,
            0,
            amount,
            self.price,
            0,
            0,
            False,
            0,
            0,
        )
        self.diamond.send(account, "openTrade", trade, 5_000, "0x" + 40 * "0")
        (*_, index) = self.orders(account)
        return self.fulfill(account, index)


def deploy(
    chain: Chain, owner: Address, keeper: Address, terms: PairTerms | None = None, price: int = 2_000 * P_10
) -> Gtrade:
    """The diamond, its collateral of six decimals and two feeds, with money to pay winners from."""
    terms = terms or PairTerms()
    token = chain.deploy(owner, own_artifact("MintableToken"), "USD Coin", "USDC", 6)
    feed = chain.deploy(owner, own_artifact("PriceAggregator"), "ETH / USD", FEED_DECIMALS, owner)
    dollar = chain.deploy(owner, own_artifact("PriceAggregator"), "USDC / USD", FEED_DECIMALS, owner)
    dollar.send(owner, "setAnswer", 10**FEED_DECIMALS)
    diamond = _diamond(chain, owner, keeper, COLLATERAL, token.address, 6, dollar.address)
    token.send(owner, "mint", diamond.address, 100_000_000 * 10**6)
    system = Gtrade(diamond, token, feed, dollar, owner, keeper, terms)
    system.set_price(price)
    return system.set_terms(terms)


FACETS = ("GtradeTrading", "GtradeAnswers", "GtradeResizing")


def _diamond(chain: Chain, owner: Address, *args: object) -> Contract:
    """The diamond with its facets, and the interface of all of them."""
    main = own_artifact("GtradeDiamond")
    diamond, entries = chain.deploy(owner, main, *args), list(main.abi)
    for name in FACETS:
        artifact = own_artifact(name)
        facet = chain.deploy(owner, artifact, *args)
        names = [str(entry["name"]) for entry in artifact.abi if entry["type"] == "function"]
        selectors = [facet.abi.functions[name][0].selector for name in names]
        diamond.send(owner, "setFacet", facet.address, selectors)
        entries += [entry for entry in artifact.abi if entry["type"] in ("function", "event", "error")]
    return chain.at("GtradeDiamond", diamond.address, Abi(_once(entries)))


def _once(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    """Each name of a kind once: the facets share their events and errors."""
    return list({(entry["type"], entry.get("name")): entry for entry in entries}.values())
