"""Which calls read an account, and how their answers become its state: two rounds of them.

First what depends on nobody's prices: the store's numbers of every configured market, the account's orders
and allowances, and the feeds. Then, with prices that were looked at, the account's positions as the protocol
reckons them now, and imbalances that several markets share. What the protocol says of a position's funding
and borrowing has to be what our model of it says: if not, the protocol has changed and nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agent.chain.question import Question, Reply, ask
from agent.errors import ContractMismatch, ReadReverted
from agent.values.address import Address, MarketId
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.deployments import GmxDeployment, GmxMarket, GmxToken
from agent.venues.gmx.decode import decode_market, market_questions
from agent.venues.gmx.fragment import (
    ERC20,
    GMX,
    MOST_ORDERS,
    MOST_POSITIONS,
    Key,
    Replies,
    market_name,
    token_name,
)
from agent.venues.gmx.key import key_of
from agent.venues.gmx.margin import GmxMargin, Held, Priced
from agent.venues.gmx.market import Market
from agent.venues.gmx.order import Placed, decode_order, request_of
from agent.venues.gmx.price import wad_of_unit
from agent.venues.gmx.sheet import PriceSource, Sheet, feed_questions, judge
from agent.venues.gmx.state import Claimable, Execution, GmxState, MarketView, Purse

ZERO_WORD = bytes(32)
Rows = tuple[tuple[object, ...], ...]


def read(gmx: GmxDeployment, source: PriceSource | None, account: Address, block: Block) -> Reading[GmxState]:
    """The account at ``block``. Raises ReadReverted, DecodeMismatch, ContractMismatch, PriceStale or
    PriceImplausible.
    """
    told = source.fetch() if source is not None else {}
    first = yield from ask(_first(gmx, account))
    sheet = judge(gmx, told, first, block)
    second = yield from ask(_second(gmx, account, sheet, first))
    tokens = {Address(token.address): decode_token(token, first) for token in gmx.tokens}
    markets = {Address(market.address): decode_market(market, first, second) for market in gmx.markets}
    orders, expiry_s = _orders(first), first[("number", "REQUEST_EXPIRATION_TIME")].integer
    if expiry_s != gmx.expiry_s:
        raise ContractMismatch(
            target=gmx.data_store,
            expected=f"orders that bind for {gmx.expiry_s} s, as the deployment file says",
            reason=f"REQUEST_EXPIRATION_TIME is {expiry_s}",
        )
    margins, claimables = _positions(gmx, account, block, sheet, tokens, markets, second)
    return GmxState(
        at_s=block.timestamp_s,
        markets=tuple(
            _view(gmx, market, markets[Address(market.address)], sheet, first) for market in gmx.markets
        ),
        margins=tuple(margins),
        orders=orders,
        asked=tuple(
            request for placed in orders if (request := request_of(gmx, placed, expiry_s)) is not None
        ),
        claimables=tuple(claimables),
        purses=tuple(_purse(token, first) for token in tokens.values()),
        execution=Execution(
            increase_gas=first[("number", "INCREASE_ORDER_GAS_LIMIT")].integer,
            decrease_gas=first[("number", "DECREASE_ORDER_GAS_LIMIT")].integer,
            base_gas=first[("number", "ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1")].integer,
            gas_per_price=first[("number", "ESTIMATED_GAS_FEE_PER_ORACLE_PRICE")].integer,
            multiplier=first[("number", "ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR")].integer,
            gas_price_wei=2 * block.base_fee_wei + gmx.execution_tip_wei,
            expiry_s=expiry_s,
        ),
        native_wad=_native_wad(gmx, sheet),
        collateral_bps=gmx.collateral_bps,
    )


NUMBERS = (
    "INCREASE_ORDER_GAS_LIMIT",
    "DECREASE_ORDER_GAS_LIMIT",
    "ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1",
    "ESTIMATED_GAS_FEE_PER_ORACLE_PRICE",
    "ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR",
    "REQUEST_EXPIRATION_TIME",
    "MIN_COLLATERAL_USD",
    "MIN_POSITION_SIZE_USD",
)
FLAGS = ("USE_OPEN_INTEREST_IN_TOKENS_FOR_BALANCE", "SKIP_BORROWING_FEE_FOR_SMALLER_SIDE")


def is_contract(gmx: GmxDeployment, token: GmxToken) -> bool:
    """Whether the token is held by anybody: an index token that is nobody's collateral need not exist."""
    return any(token.address in (market.long_token, market.short_token) for market in gmx.markets)


def decode_token(token: GmxToken, first: Replies) -> Token:
    """The token as its contract says; of one without a contract, as configured. Raises ContractMismatch if
    it has other decimals than the deployment file says.
    """
    if ("symbol", token.address) not in first:
        return Token(Address(token.address), token.asset, token.decimals)
    symbol = first[("symbol", token.address)].text
    decimals = first[("decimals", token.address)].integer
    if decimals != token.decimals:
        raise ContractMismatch(
            target=token.address,
            expected=f"a token of {token.decimals} decimals",
            reason=f"{symbol} has {decimals}",
        )
    return Token(Address(token.address), symbol, decimals)


def _first(gmx: GmxDeployment, account: Address) -> dict[Key, Question]:
    store = Address(gmx.data_store)
    asked: dict[Key, Question] = dict(feed_questions(gmx))
    for name in NUMBERS:
        asked[("number", name)] = Question(store, GMX["getUint"], (key_of(name),))
    for name in FLAGS:
        asked[("flag", name)] = Question(store, GMX["getBool"], (key_of(name),))
    for token in gmx.tokens:
        if is_contract(gmx, token):
            address = Address(token.address)
            asked |= {
                ("symbol", address): Question(address, ERC20["symbol"]),
                ("decimals", address): Question(address, ERC20["decimals"]),
                ("balance", address): Question(address, ERC20["balanceOf"], (account,)),
                ("allowance", address): Question(address, ERC20["allowance"], (account, Address(gmx.router))),
            }
    for market in gmx.markets:
        asked |= market_questions(gmx, market, account)
    asked[("order count",)] = Question(
        store, GMX["getBytes32Count"], (key_of("ACCOUNT_ORDER_LIST", account),)
    )
    asked[("position count",)] = Question(
        store, GMX["getBytes32Count"], (key_of("ACCOUNT_POSITION_LIST", account),)
    )
    asked[("orders",)] = Question(
        Address(gmx.reader), GMX["getAccountOrders"], (store, account, 0, MOST_ORDERS)
    )
    return asked


def _second(gmx: GmxDeployment, account: Address, sheet: Sheet, first: Replies) -> dict[Key, Question]:
    store = Address(gmx.data_store)
    counts_tokens = bool(first[("flag", FLAGS[0])].integer)
    name = "VIRTUAL_INVENTORY_FOR_POSITIONS" + ("_IN_TOKENS" if counts_tokens else "")
    asked: dict[Key, Question] = {}
    for market in gmx.markets:
        (virtual,) = first[("virtual token", market.address)].outputs
        if virtual != ZERO_WORD:
            key = key_of(name, cast(bytes, virtual))
            asked[("inventory", market.address)] = Question(store, GMX["getInt"], (key,))
    if first[("position count",)].integer:
        markets = tuple(Address(market.address) for market in gmx.markets)
        prices = tuple(sheet.prices(market).words for market in gmx.markets)
        zero = Address("0x" + 40 * "0")
        asked[("positions",)] = Question(
            Address(gmx.reader),
            GMX["getAccountPositionInfoList"],
            (store, Address(gmx.referral_storage), account, markets, prices, zero, 0, MOST_POSITIONS),
        )
    if first[("position count",)].integer > MOST_POSITIONS or first[("order count",)].integer > MOST_ORDERS:
        raise ContractMismatch(
            target=account,
            expected=f"an account of at most {MOST_POSITIONS} positions and {MOST_ORDERS} orders",
            reason="it has more, and they are not all read",
        )
    return asked


def _positions(
    gmx: GmxDeployment,
    account: Address,
    block: Block,
    sheet: Sheet,
    tokens: Mapping[Address, Token],
    markets: Mapping[Address, Market],
    second: Replies,
) -> tuple[list[GmxMargin], list[Claimable]]:
    margins: list[GmxMargin] = []
    claimables: list[Claimable] = []
    if ("positions",) not in second:
        return margins, claimables
    reply = second[("positions",)]
    configured = {Address(market.address): market for market in gmx.markets}
    for info in _infos(reply, account):
        key, position, fees = cast(tuple[bytes, Rows, Rows], info[:3])
        addresses, numbers, flags = position
        _, market_address, token_address = cast(tuple[Address, Address, Address], addresses)
        if market_address not in configured:
            raise ContractMismatch(
                target=market_address,
                expected="a market of the deployment file",
                reason="the account has a position in it",
            )
        settings = configured[market_address]
        referral, pro, funding, borrowing = cast(tuple[tuple[int, ...], ...], fees[:4])
        held = Held(
            *cast(tuple[int, int, int, int, int, int], numbers[:6]),
            is_long=bool(flags[0]),
            discounts=(referral[6], pro[1]),
        )
        index = _priced(_token(gmx, settings.index_token), settings, sheet)
        margin = GmxMargin(
            position_key=key,
            market=markets[market_address],
            held=held,
            tokens=(
                index,
                _priced(_token(gmx, settings.long_token), settings, sheet),
                _priced(_token(gmx, settings.short_token), settings, sheet),
            ),
            token=tokens[token_address],
            at_s=block.timestamp_s,
        )
        _require_own(margin)
        _require_same(reply, margin, funding[0], borrowing[0])
        margins.append(margin)
        claimables.append(Claimable(margin.key, funding[1], funding[2]))
    return margins, claimables


def _infos(reply: Reply, account: Address) -> tuple[tuple[object, ...], ...]:
    """The positions. One in a market that is not configured makes the contract refuse: nothing is judged."""
    try:
        (infos,) = reply.outputs
    except ReadReverted as error:
        raise ContractMismatch(
            target=account,
            expected="an account whose positions are all in markets of the deployment file",
            reason=error.sentence.removesuffix("."),
        ) from error
    return cast(tuple[tuple[object, ...], ...], infos)


def _require_own(margin: GmxMargin) -> None:
    """Collateral that is another asset than the market's would be counted as neither cash nor the asset."""
    priced = margin.tokens[1] if margin.in_long_token else margin.tokens[2]
    if priced.asset not in ("", margin.asset):
        raise ContractMismatch(
            target=margin.token.address,
            expected=f"collateral that is stable or {margin.asset}",
            reason=f"{margin.key} is backed by {priced.asset}",
        )


def _require_same(reply: Reply, margin: GmxMargin, funding: int, borrowing_usd: int) -> None:
    """What the protocol says is owed now, and what our model of it says."""
    found = margin.standing(margin.prices, margin.at_s)
    if (found.funding, found.borrowing_usd) != (funding, borrowing_usd):
        raise reply.mismatch(
            expected=f"funding {found.funding} and borrowing {found.borrowing_usd} of {margin.key}",
            reason=f"it says {funding} and {borrowing_usd}: the protocol does not reckon as it did",
        )


def _token(gmx: GmxDeployment, address: str) -> GmxToken:
    return next(token for token in gmx.tokens if token.address == address)


def _priced(token: GmxToken, market: GmxMarket, sheet: Sheet) -> Priced:
    address = Address(token.address)
    is_index = token.address == market.index_token
    name: MarketId = market_name(Address(market.address)) if is_index else token_name(address)
    asset = market.asset if is_index else token.asset
    return Priced(name, token.decimals, asset, sheet.told[address].price)


def _view(
    gmx: GmxDeployment, settings: GmxMarket, market: Market, sheet: Sheet, first: Replies
) -> MarketView:
    claims = tuple(
        first[("claimable", settings.address, token)].integer
        for token in (settings.long_token, settings.short_token)
    )
    return MarketView(
        market=market,
        asset=settings.asset,
        index=_priced(_token(gmx, settings.index_token), settings, sheet),
        long=_priced(_token(gmx, settings.long_token), settings, sheet),
        short=_priced(_token(gmx, settings.short_token), settings, sheet),
        claimable=cast(tuple[int, int], claims),
    )


def _native_wad(gmx: GmxDeployment, sheet: Sheet) -> int:
    """The price of what keepers are paid in."""
    token = _token(gmx, gmx.native_token)
    return wad_of_unit(sheet.told[Address(token.address)].price.high, token.decimals)


def _orders(first: Replies) -> tuple[Placed, ...]:
    (found,) = first[("orders",)].outputs
    return tuple(decode_order(item) for item in cast(tuple[tuple[object, ...], ...], found))


def _purse(token: Token, first: Replies) -> Purse:
    if ("balance", token.address) not in first:
        return Purse(token, 0, 0)
    return Purse(
        token,
        first[("balance", token.address)].integer,
        first[("allowance", token.address)].integer,
    )
