"""A chain with GMX on it, the stand-in's or the real one's: one way to trade, age, price and liquidate.

Both take prices from keepers as (min, max) in the oracle parameters, so that the contract itself can be asked
whether it would liquidate at any prices: `World.liquidates` is an eth_call of ``executeLiquidation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import ReadReverted, RpcRejected
from agent.market.intent import Order
from agent.sim.artifact import own_artifact
from agent.sim.contract import Chain, Contract, Receipt
from agent.sim.deploy import gmx as stand_in
from agent.sim.node import Node, quantity
from agent.tx.executor import DELEGATION_PREFIX, Hedge, Intent, encode_hedge
from agent.values.address import ZERO, Address, ChainId, TxHash, parse_address
from agent.values.fixed import WAD
from agent.values.log import Log
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx import Gmx
from agent.venues.gmx.margin import GmxMargin
from agent.venues.gmx.price import Prices
from agent.venues.gmx.state import GmxState

FLOAT = 10**30
FEE_WEI = 10**17
FAR_S = 2**40
GENESIS_S = 1_790_000_000
NOT_LIQUIDATABLE = "PositionShouldNotBeLiquidated"


@dataclass
class World:
    """One chain. ``liquidator`` is the contract that liquidates, ``provider`` what its oracle asks."""

    node: Node
    chain: Chain
    owner: Address
    keeper: Address
    user: Address
    store: Contract
    exchange: Contract
    vault: Contract
    router: Contract
    emitter: Contract
    order_handler: Contract
    liquidator: Contract
    reader: Contract
    provider: Contract
    tokens: Mapping[str, Contract]  # by symbol
    feeds: Mapping[str, Contract]  # by symbol, 8 decimals
    deployment: GmxDeployment
    epochs: int = 0
    spare: dict[str, object] = field(default_factory=dict)

    @property
    def venue(self) -> Gmx:
        return Gmx(self.deployment)

    # --- the agent's side ------------------------------------------------------------------------------

    def read(self, account: Address | None = None, venue: Gmx | None = None) -> GmxState:
        rpc = Rpc(self.node.url)
        try:
            block = rpc.block("latest")
            return read_one(rpc, block, (venue or self.venue).read(account or self.user, block))
        finally:
            rpc.close()

    def identify(self, venue: Gmx | None = None) -> object:
        rpc = Rpc(self.node.url)
        try:
            return read_one(rpc, rpc.block("latest"), (venue or self.venue).identify())
        finally:
            rpc.close()

    def delegate(self, executor: Address) -> None:
        """The user's account becomes one that executes our batches."""
        self.node.set_code(self.user, DELEGATION_PREFIX + bytes.fromhex(executor[2:]))

    def perform(self, order: Order) -> Receipt:
        """In one transaction of the user's own account, with its checks. Raises TransactionReverted."""
        intent = Intent(ChainId(self.node.chain_id()), self.user, self.epochs)
        hedge = Hedge(intent, FAR_S, order.calls, order.pre, order.post)
        receipt = self.chain.send(self.user, self.user, encode_hedge(hedge), "hedge")
        self.epochs += 1
        return receipt

    def logs(self, from_block: int = 0) -> tuple[Log, ...]:
        """Every event of the emitter since."""
        query = {"address": self.emitter.address, "fromBlock": hex(from_block), "toBlock": "latest"}
        raw = cast(list[dict[str, object]], self.node.request("eth_getLogs", query))
        return tuple(
            Log(
                address=parse_address(str(item["address"])),
                topics=tuple(bytes.fromhex(topic[2:]) for topic in cast(list[str], item["topics"])),
                data=bytes.fromhex(str(item["data"])[2:]),
                block_number=quantity(item["blockNumber"]),
                block_hash=cast("Log", item["blockHash"]),  # type: ignore[arg-type]
                tx_hash=TxHash(str(item["transactionHash"])),
                index=quantity(item["logIndex"]),
            )
            for item in raw
        )

    # --- the keeper's side -----------------------------------------------------------------------------

    def parameters(self, prices: Mapping[Address, tuple[int, int]] | None = None) -> tuple[object, ...]:
        """Oracle parameters: the feeds' prices, or those given (min, max) by token."""
        tokens = [token.address for token in self.deployment.tokens]
        data = [
            b"" if prices is None else b"".join(word.to_bytes(32) for word in prices[Address(token)])
            for token in tokens
        ]
        return (tokens, [self.provider.address] * len(tokens), data)

    def orders(self, account: str) -> list[bytes]:
        key = stand_in.key_of("ACCOUNT_ORDER_LIST", account)
        return cast(list[bytes], self.store.call("getBytes32ValuesAt", key, 0, 100)[0])

    def execute(self, key: bytes, prices: Mapping[Address, tuple[int, int]] | None = None) -> Receipt:
        return self.order_handler.send(self.keeper, "executeOrder", key, self.parameters(prices))

    def open(
        self,
        account: Address,
        market: Address,
        token: str,
        amount: int,
        size_usd: int,
        *,
        is_long: bool,
        prices: Mapping[Address, tuple[int, int]] | None = None,
    ) -> Receipt:
        """Straight through the router, and executed at once: for the crowd, not for the agent."""
        collateral = self.tokens[token]
        self.give(account, token, amount)
        collateral.send(account, "approve", self.router.address, amount)
        parameters = (
            (account, account, ZERO, ZERO, market, collateral.address, []),
            (size_usd, 0, 0, 2**256 - 1 if is_long else 0, FEE_WEI, 0, 0, 0),
            2,
            0,
            is_long,
            False,
            False,
            bytes(32),
            [],
        )
        calls = [
            self.exchange.encode("sendWnt", self.vault.address, FEE_WEI),
            self.exchange.encode("sendTokens", collateral.address, self.vault.address, amount),
            self.exchange.encode("createOrder", parameters),
        ]
        before = set(self.orders(account))
        self.exchange.send(account, "multicall", calls, value_wei=FEE_WEI)
        (key,) = set(self.orders(account)) - before
        return self.execute(key, prices)

    def give(self, account: Address, token: str, amount: int) -> None:
        contract = self.tokens[token]
        if contract.name == "GmxWrapped":
            self.chain.send(account, contract.address, contract.encode("deposit"), "wrap", amount)
        else:
            contract.send(self.owner, "mint", account, amount)

    def set_price(self, symbol: str, price_wad: int) -> None:
        self.feeds[symbol].send(self.owner, "setAnswer", price_wad // 10**10)

    def words(self, margin: GmxMargin, prices: Prices) -> dict[Address, tuple[int, int]]:
        """Of every token: the margin's market's as given, others' at the feed's."""
        known = {
            margin.market.index_token: prices.index.words,
            margin.market.long_token: prices.long.words,
            margin.market.short_token: prices.short.words,
        }
        for token in self.deployment.tokens:
            if token.address not in known:
                low, high = cast(list[int], self.provider.call("price", token.address))
                known[Address(token.address)] = (low, high)
        return known

    def liquidates(self, account: Address, margin: GmxMargin, prices: Mapping[object, int], tag: str) -> bool:
        """Whether ``executeLiquidation`` goes through at block ``tag``, at the prices the margin means."""
        words = self.words(margin, margin.market_prices(cast("Mapping[object, int]", prices)))  # type: ignore[arg-type]
        try:
            self.liquidator.call(
                "executeLiquidation",
                account,
                margin.market.token,
                margin.token.address,
                margin.held.is_long,
                self.parameters(words),
                sender=self.keeper,
                block=tag,
            )
        except ReadReverted as error:
            if NOT_LIQUIDATABLE in str(error):
                return False
            raise
        return True


def stand_in_world(node: Node) -> World:
    """The stand-in with one market of ETH against USDC, four traders in it, and a user with tokens."""
    chain = Chain(node)
    accounts = [parse_address(a) for a in cast(list[str], node.request("eth_accounts"))]
    owner, keeper, user = accounts[:3]
    usdc = chain.deploy(owner, own_artifact("MintableToken"), "USD Coin", "USDC", 6)
    weth = chain.deploy(owner, own_artifact("MintableToken"), "Ether", "WETH", 18)
    feed = chain.deploy(owner, own_artifact("PriceAggregator"), "ETH / USD", 8, owner)
    feed.send(owner, "setAnswer", 2_000 * 10**8)
    gmx = stand_in.deploy(chain, owner, keeper, weth, usdc, feed)
    stand_in.stock(gmx, owner, weth, usdc, 3_000 * WAD, 6_000_000 * 10**6)
    stand_in.seed_traders(gmx, owner, keeper, accounts[3:7], weth, usdc, 2_000 * WAD)
    deployment = gmx.deployment(stand_in.tokens(weth, usdc, feed, "ETH"), "ETH")
    world = World(
        node=node,
        chain=chain,
        owner=owner,
        keeper=keeper,
        user=user,
        store=gmx.store,
        exchange=gmx.exchange,
        vault=gmx.vault,
        router=gmx.router,
        emitter=gmx.events,
        order_handler=gmx.handler,
        liquidator=gmx.engine,
        reader=gmx.reader,
        provider=gmx.prices,
        tokens={"WETH": weth, "USDC": usdc},
        feeds={"ETH": feed, "USDC": gmx.dollar},
        deployment=deployment,
    )
    world.delegate(chain.deploy(owner, own_artifact("HedgeExecutor"), ZERO).address)
    return world


def reworded(world: World, **changes: object) -> Gmx:
    """The venue with another deployment file."""
    return replace(world.venue, deployment=world.deployment.model_copy(update=changes))


def refused(error: BaseException, names: Sequence[str]) -> bool:
    """Whether the error says one of the names."""
    return isinstance(error, RpcRejected) and any(name in str(error) for name in names)
