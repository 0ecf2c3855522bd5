"""What is asked of a pair, and how the answers become its terms for one account."""

from __future__ import annotations

from typing import cast

from agent.chain.question import Question
from agent.values.address import Address
from agent.values.fixed import div_down
from agent.venues.deployments import GtradeDeployment, GtradePair
from agent.venues.gtrade.curve import SIZES_USD, Curve
from agent.venues.gtrade.fragment import GTRADE, P_10, Key, Replies
from agent.venues.gtrade.holding import BorrowingTerms, FundingTerms, OpenInterest
from agent.venues.gtrade.pair import LiquidationTerms, Money, Pair

PLAIN = (
    "pairTotalPositionSizeFeeP",
    "pairMinPositionSizeUsd",
    "pairMinFeeUsd",
    "pairMinLeverage",
    "pairMaxLeverage",
    "pairCounter",
    "getPairLiquidationParams",
)
LISTED = (
    "getPairFundingFeeParams",
    "getPairFundingFeeData",
    "getPairBorrowingFeeParams",
    "getPairBorrowingFeeData",
    "getPairGlobalParamsArray",
)
OF_COLLATERAL = ("getPairOiAfterV10Token", "getPairOisBeforeV10Collateral", "getPairMaxOiCollateral")
ALIAS = {"pairCounter": "getPairCounterTradeFeeRateMultiplier"}


def first(gtrade: GtradeDeployment, pair: GtradePair, account: Address) -> dict[Key, Question]:
    """What depends on no price."""
    diamond, money = Address(gtrade.diamond), gtrade.collateral_index
    asked: dict[Key, Question] = {
        ("spread", pair.index): Question(diamond, GTRADE["pairSpreadP"], (account, pair.index))
    }
    for name in PLAIN:
        asked[(name, pair.index)] = Question(diamond, GTRADE[ALIAS.get(name, name)], (pair.index,))
    for name in LISTED:
        asked[(name, pair.index)] = Question(diamond, GTRADE[name], ((money,), (pair.index,)))
    for name in OF_COLLATERAL:
        asked[(name, pair.index)] = Question(diamond, GTRADE[name], (money, pair.index))
    return asked


def second(
    gtrade: GtradeDeployment, pair: GtradePair, account: Address, price: int, money: Money
) -> dict[Key, Question]:
    """What sizes cost at that price, and whether their group has room."""
    diamond = Address(gtrade.diamond)
    asked: dict[Key, Question] = {}
    for usd in SIZES_USD:
        usd_wad = usd * 10**18
        tokens, amount = usd_wad * P_10 // price, money.of_usd(usd_wad)
        for buys in (True, False):
            volume = (account, pair.index, buys, usd_wad, False, True, 0)
            skew = (money.index, pair.index, buys, tokens, True)
            room = (money.index, pair.index, buys, amount)
            asked |= {
                ("volume", pair.index, usd, buys): Question(
                    diamond, GTRADE["getTradeCumulVolPriceImpactP"], volume
                ),
                ("skew", pair.index, usd, buys): Question(diamond, GTRADE["getTradeSkewPriceImpactP"], skew),
                ("group", pair.index, usd, buys): Question(
                    diamond, GTRADE["withinMaxBorrowingGroupOi"], room
                ),
            }
    return asked


def decode_liquidation(words: tuple[int, ...]) -> LiquidationTerms:
    """Of ``IPairsStorage.GroupLiquidationParams``."""
    return LiquidationTerms(*words)


def decode(pair: GtradePair, price: int, money: Money, gov_fee: int, one: Replies, two: Replies) -> Pair:
    """The pair's terms. Raises ReadReverted or DecodeMismatch."""

    def listed(name: str) -> tuple[int, ...]:
        return one[(name, pair.index)].rows[0]

    skew_coefficient, velocity_cap, rate_cap, theta, is_enabled, has_multiplier, _ = listed(LISTED[0])
    acc_long, acc_short, rate, funded_s, _ = listed(LISTED[1])
    borrowing_acc, borrowed_s, _ = listed(LISTED[3])
    interest = OpenInterest(*one[(OF_COLLATERAL[0], pair.index)].row)
    before = cast(tuple[int, int], one[(OF_COLLATERAL[1], pair.index)].integers)
    most = one[(OF_COLLATERAL[2], pair.index)].integer
    rooms = []
    for is_long in (True, False):
        tokens = interest.long if is_long else interest.short
        held = before[0 if is_long else 1] + tokens * price // P_10 // money.delta
        room = min(max(0, most - held), _skew_room(listed(LISTED[4])[0], interest, price, money, is_long))
        rooms.append(min(room, _group_room(pair, money, is_long, two)))
    numbers = [one[(name, pair.index)].integer for name in PLAIN[:-1]]
    return Pair(
        index=pair.index,
        money=money,
        spread=one[("spread", pair.index)].integer,
        fee=numbers[0],
        min_size_usd=numbers[1],
        min_fee_usd=numbers[2],
        min_leverage=numbers[3],
        max_leverage=numbers[4],
        counter_multiplier=numbers[5],
        gov_fee=gov_fee,
        liquidation=decode_liquidation(one[(PLAIN[-1], pair.index)].row),
        funding=FundingTerms(
            skew_coefficient,
            velocity_cap,
            rate_cap,
            theta,
            bool(is_enabled),
            bool(has_multiplier),
            acc_long,
            acc_short,
            rate,
            funded_s,
        ),
        borrowing=BorrowingTerms(listed(LISTED[2])[0], borrowing_acc, borrowed_s),
        interest=interest,
        buying=_curve(pair, two, buys=True),
        selling=_curve(pair, two, buys=False),
        room_long=rooms[0],
        room_short=rooms[1],
    )


def _curve(pair: GtradePair, two: Replies, *, buys: bool) -> Curve:
    sign = 1 if buys else -1
    return Curve(
        tuple(
            (
                usd,
                sign
                * (
                    two[("volume", pair.index, usd, buys)].integer
                    + two[("skew", pair.index, usd, buys)].integer
                ),
            )
            for usd in SIZES_USD
        )
    )


def _skew_room(most: int, interest: OpenInterest, price: int, money: Money, is_long: bool) -> int:
    """Until the imbalance is as large as it may be; ``most`` has 10 decimals, 0 is no limit."""
    if most == 0:
        return 2**120
    now = interest.skew * price // 10**18
    left = most - now if is_long else most + now
    return max(0, div_down(left * 10**8, money.delta))


def _group_room(pair: GtradePair, money: Money, is_long: bool, two: Replies) -> int:
    """The largest of the sizes asked about that the pair's group still takes."""
    room = 0
    for usd in SIZES_USD:
        if not two[("group", pair.index, usd, is_long)].integer:
            return room
        room = money.of_usd(usd * 10**18)
    return room
