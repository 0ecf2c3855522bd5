"""Which calls read an account, and how their answers become its state: two rounds of them.

First what depends on nobody's prices: the account's trades and orders, every pair's terms, and the feeds.
Then, with prices that were looked at, what the contract itself says each trade owes and where it ends, and
what sizes cost. What the contract says has to be what our model of it says: if not, the protocol has changed
and nothing is read.
"""

from __future__ import annotations

from typing import cast

from agent.chain.question import Question, ask
from agent.errors import ContractMismatch
from agent.market.request import Request
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.values.call import Reading
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade import questions
from agent.venues.gtrade.fragment import (
    ERC20,
    GTRADE,
    PENDING_ORDERS,
    TRADE,
    Key,
    Replies,
    market_name,
)
from agent.venues.gtrade.held import Held
from agent.venues.gtrade.margin import GtradeMargin
from agent.venues.gtrade.order import Placed, Shape, decode_order, decode_trade, request_of, wait_s
from agent.venues.gtrade.pair import Money, Pair
from agent.venues.gtrade.price import PriceSource, feed_questions, judge
from agent.venues.gtrade.state import GtradeState, View

WHOLE = 10**18  # of a partial close: all of it
LATER_BLOCKS = 10_000  # how far ahead the old borrowing's rate is asked for
Words = tuple[int, ...]


def read(
    gtrade: GtradeDeployment, source: PriceSource | None, account: Address, block: Block
) -> Reading[GtradeState]:
    """The account at ``block``. Raises ReadReverted, DecodeMismatch, ContractMismatch, PriceStale or
    PriceImplausible.
    """
    told = source.fetch() if source is not None else {}
    one = yield from ask(_first(gtrade, account))
    prices = judge(gtrade, told, one, block)
    money = _money(gtrade, one)
    trades = _trades(gtrade, account, one)
    two = yield from ask(_second(gtrade, account, block, prices, money, trades))
    gov_fee = one[("fees",)].row[1]
    pairs = {
        pair.index: questions.decode(pair, prices[pair.index], money, gov_fee, one, two)
        for pair in gtrade.pairs
    }
    token = Token(Address(gtrade.collateral_token), one[("symbol",)].text, one[("decimals",)].integer)
    margins = tuple(
        _margin(gtrade, block, trade, pairs[trade[0][2]], prices[trade[0][2]], token, two) for trade in trades
    )
    blocks = one[("timeout",)].integer
    orders, asked = _orders(gtrade, block, trades, one, blocks)
    return GtradeState(
        at_s=block.timestamp_s,
        views=tuple(View(pairs[pair.index], pair.asset, prices[pair.index]) for pair in gtrade.pairs),
        margins=margins,
        orders=orders,
        asked=asked,
        token=token,
        balance=one[("balance",)].integer,
        allowance=one[("allowance",)].integer,
        next_order=one[("counter",)].row[0],
        activated=one[("activated",)].integer,
        collateral_bps=gtrade.collateral_bps,
        wait_s=wait_s(gtrade, blocks),
    )


Trade = tuple[Words, Words, Words]  # Trade, TradeInfo, GroupLiquidationParams


def _first(gtrade: GtradeDeployment, account: Address) -> dict[Key, Question]:
    diamond, token = Address(gtrade.diamond), Address(gtrade.collateral_token)
    asked: dict[Key, Question] = {
        ("trades",): Question(diamond, GTRADE["getTrades"], (account,)),
        ("infos",): Question(diamond, GTRADE["getTradeInfos"], (account,)),
        ("liquidations",): Question(diamond, GTRADE["getTradesLiquidationParams"], (account,)),
        ("orders",): Question(diamond, GTRADE["getPendingOrders"], (account,)),
        ("counter",): Question(diamond, GTRADE["getCounters"], (account, PENDING_ORDERS)),
        ("activated",): Question(diamond, GTRADE["getTradingActivated"]),
        ("timeout",): Question(diamond, GTRADE["getMarketOrdersTimeoutBlocks"]),
        ("fees",): Question(diamond, GTRADE["getGlobalTradeFeeParams"]),
        ("collateral",): Question(diamond, GTRADE["getCollateral"], (gtrade.collateral_index,)),
        ("usd",): Question(diamond, GTRADE["getCollateralPriceUsd"], (gtrade.collateral_index,)),
        ("symbol",): Question(token, ERC20["symbol"]),
        ("decimals",): Question(token, ERC20["decimals"]),
        ("balance",): Question(token, ERC20["balanceOf"], (account,)),
        ("allowance",): Question(token, ERC20["allowance"], (account, diamond)),
    }
    for pair in gtrade.pairs:
        asked |= questions.first(gtrade, pair, account)
    return asked | feed_questions(gtrade)


def _money(gtrade: GtradeDeployment, one: Replies) -> Money:
    *_, delta = one[("collateral",)].row
    usd = one[("usd",)].integer
    if usd <= 0:
        raise one[("usd",)].mismatch(expected="a price", reason=f"it is {usd}")
    return Money(gtrade.collateral_index, delta, usd)


def _trades(gtrade: GtradeDeployment, account: Address, one: Replies) -> tuple[Trade, ...]:
    """The account's open trades. Raises ContractMismatch for one that is not of a configured pair in the
    configured collateral: it could be liquidated and nobody would look.
    """
    rows = [one[(name,)].rows for name in ("trades", "infos", "liquidations")]
    if len({len(row) for row in rows}) != 1:
        raise one[("infos",)].mismatch(expected=f"{len(rows[0])} trades", reason=f"{len(rows[1])} are told")
    configured = {pair.index for pair in gtrade.pairs}
    found = []
    for trade, info, liquidation in zip(*rows, strict=True):
        if trade[7] != TRADE:
            continue  # it waits for its price, and is nothing yet
        if trade[2] not in configured or trade[6] != gtrade.collateral_index:
            raise ContractMismatch(
                target=account,
                expected=f"trades in pairs {sorted(configured)} with collateral {gtrade.collateral_index}",
                reason=f"trade {trade[1]} is in pair {trade[2]} with collateral {trade[6]}",
            )
        found.append((trade, info, liquidation))
    return tuple(found)


def _second(
    gtrade: GtradeDeployment,
    account: Address,
    block: Block,
    prices: dict[int, int],
    money: Money,
    trades: tuple[Trade, ...],
) -> dict[Key, Question]:
    diamond = Address(gtrade.diamond)
    asked: dict[Key, Question] = {}
    for pair in gtrade.pairs:
        price = prices[pair.index]
        asked |= questions.second(gtrade, pair, account, price, money)
        for later in (0, LATER_BLOCKS):
            arguments = (money.index, pair.index, block.number + later, price)
            asked[("old", pair.index, later)] = Question(
                diamond, GTRADE["getBorrowingPairPendingAccFees"], arguments
            )
    for trade, _, liquidation in trades:
        index, price = trade[1], prices[trade[2]]
        asked[("data", index)] = Question(diamond, GTRADE["getTradeFeesData"], (account, index))
        asked[("holding", index)] = Question(
            diamond, GTRADE["getTradePendingHoldingFeesCollateral"], (account, index, price)
        )
        wanted = (
            *(trade[6], account, trade[2], index, trade[9], trade[4], trade[8], trade[3], 0),
            *(liquidation, price, trade[12], WHOLE, False),
        )
        asked[("end", index)] = Question(diamond, GTRADE["getTradeLiquidationPrice"], (wanted,))
    return asked


def _margin(
    gtrade: GtradeDeployment, block: Block, words: Trade, pair: Pair, price: int, token: Token, two: Replies
) -> GtradeMargin:
    trade, info, liquidation = words
    index, is_long = trade[1], bool(trade[4])
    charged, profit, _, _, _, _, funding_acc, borrowing_acc = two[("data", index)].row
    owed, end = two[("holding", index)], two[("end", index)]
    old_owed = owed.row[2]
    margin = GtradeMargin(
        held=Held(
            index=index,
            is_long=is_long,
            collateral=trade[8],
            leverage=trade[3],
            open_price=trade[9],
            is_counter=bool(trade[12]),
            version=info[6],
            slippage=info[3],
            liquidation=questions.decode_liquidation(liquidation),
            realized=profit - charged,
            funding_acc=funding_acc,
            borrowing_acc=borrowing_acc,
            old_owed=old_owed,
            old_rate=_old_rate(gtrade, pair, is_long=is_long, two=two),
        ),
        pair=pair,
        asset=next(one.asset for one in gtrade.pairs if one.index == pair.index),
        token=token,
        price=price,
        at_s=block.timestamp_s,
    )
    found = margin.holding(price, block.timestamp_s)
    if (found.funding, found.borrowing, old_owed, found.total) != owed.row:
        raise owed.mismatch(
            expected=f"funding {found.funding} and borrowing {found.borrowing} of {margin.key}",
            reason=f"it says {owed.row}: the protocol does not reckon as it did",
        )
    reckoned = margin.liquidation_price(price, block.timestamp_s)
    if reckoned != end.integer:
        raise end.mismatch(
            expected=f"{reckoned} as the liquidation price of {margin.key} in {market_name(pair.index)}",
            reason=f"it says {end.integer}: the protocol does not reckon as it did",
        )
    return margin


def _old_rate(gtrade: GtradeDeployment, pair: Pair, *, is_long: bool, two: Replies) -> int:
    """How fast the pair's old borrowing grows: percent at 10 decimals in 1e9 seconds, rounded up."""
    side = 0 if is_long else 1
    now, later = (two[("old", pair.index, blocks)].integers[side] for blocks in (0, LATER_BLOCKS))
    return -(-(later - now) * 10**12 // (LATER_BLOCKS * gtrade.block_ms))


def _orders(
    gtrade: GtradeDeployment, block: Block, trades: tuple[Trade, ...], one: Replies, blocks: int
) -> tuple[tuple[Placed, ...], tuple[Request, ...]]:
    """The account's pending orders, and those of them that are requests. When they were left is reckoned back
    from their block.
    """
    (found,) = one[("orders",)].outputs
    orders = tuple(decode_order(item) for item in cast(tuple[tuple[object, ...], ...], found))
    shapes: dict[int, Shape] = {
        trade[1]: decode_trade(cast(tuple[object, ...], trade), slippage=info[3]) for trade, info, _ in trades
    }
    asked = []
    for placed in orders:
        past_s = max(0, block.number - placed.created_block) * gtrade.block_ms // 1_000
        at_s, shape = block.timestamp_s - past_s, shapes.get(placed.trade)
        request = request_of(gtrade, placed, shape, at_s, wait_s(gtrade, blocks))
        if request is not None:
            asked.append(request)
    return orders, tuple(asked)
