"""What the answers mean: an address's accounts and the markets, from the replies of the reader's rounds.

What was read from storage is held against the contract's own margins: a market whose layout has changed is
refused instead of misjudged.
"""

from __future__ import annotations

from typing import cast

from agent.chain.question import Reply
from agent.errors import ContractMismatch
from agent.values.address import Address
from agent.values.amount import Token
from agent.values.block import Block
from agent.venues.deployments import SynthetixDeployment
from agent.venues.synthetix import storage
from agent.venues.synthetix.fragment import (
    FLAG,
    LIQUIDATE,
    STRATEGY_ID,
    USD_ID,
    Replies,
    market_name,
    synth_name,
)
from agent.venues.synthetix.margin import SynthetixMargin, frozen
from agent.venues.synthetix.market import Fees, Funding, Leg, MarginTerms
from agent.venues.synthetix.state import MarketView, PendingOrder, Strategy
from agent.venues.synthetix.terms import Collateral, Interest, Keeper

DECIMALS_NEEDED = 18


def token_of(synthetix: SynthetixDeployment, replies: Replies) -> Token:
    """The dollar token. Raises ContractMismatch if it has not 18 decimals."""
    symbol, decimals = replies[("symbol", "")].text, replies[("decimals", "")].integer
    if decimals != DECIMALS_NEEDED:
        raise ContractMismatch(
            target=synthetix.usd_token,
            expected=f"a token of {DECIMALS_NEEDED} decimals",
            reason=f"{symbol} has {decimals}",
        )
    return Token(Address(synthetix.usd_token), symbol, decimals)


def market_of(key: int, asset: str, first: Replies) -> MarketView:
    """One market's terms and where it stands."""
    initial, minimum, scalar, flag, margin = first[("margin terms", key)].integers
    limit, window_s = cast(tuple[int, int], first[("limit terms", key)].outputs[:2])
    skew_scale, velocity = first[("funding terms", key)].integers
    maker, taker = first[("fees", key)].integers
    strategy = cast(tuple[object, ...], first[("strategy", key)].outputs[0])
    return MarketView(
        id=key,
        market=market_name(key),
        asset=asset,
        price_wad=first[("price", key)].integer,
        size_wad=first[("size", key)].integer,
        max_size_wad=first[("max size", key)].integer,
        funding=Funding(
            rate=storage.signed(first[("rate", key)].integer),
            value=storage.signed(first[("value", key)].integer),
            time_s=first[("time", key)].integer,
            skew_wad=storage.signed(first[("skew", key)].integer),
            skew_scale=skew_scale,
            max_velocity=velocity,
        ),
        margin=MarginTerms(
            initial_ratio=initial,
            minimum_initial_ratio=minimum,
            maintenance_scalar=scalar,
            flag_ratio=flag,
            minimum_margin=margin,
            locked_oi_ratio=first[("locked", key)].integer,
            limit_multiplier=limit,
            limit_window_s=window_s,
        ),
        fees=Fees(maker, taker),
        strategy=Strategy(
            id=STRATEGY_ID,
            delay_s=cast(int, strategy[1]),
            window_s=cast(int, strategy[2]),
            reward_wad=cast(int, strategy[5]),
            is_disabled=bool(strategy[6]),
        ),
    )


def keeper_of(first: Replies, second: Replies) -> Keeper:
    """What keepers are paid, for every number of feeds that was asked for."""
    minimum, profit, maximum, ratio = first[("guards", "")].integers
    return Keeper(
        liquidation_cost=cost_of(second[("cost", (LIQUIDATE, 0))]),
        flag_costs=_flag_costs(second),
        minimum_reward=minimum,
        minimum_profit_ratio=profit,
        maximum_reward=maximum,
        maximum_ratio=ratio,
        collateral_ratio=first[("collateral ratio", "")].integer,
    )


def _flag_costs(second: Replies) -> tuple[int, ...]:
    """By the number of feeds, from none upward."""
    costs: list[int] = []
    while ("cost", (FLAG, len(costs))) in second:
        costs.append(cost_of(second[("cost", (FLAG, len(costs)))]))
    return tuple(costs)


def cost_of(reply: Reply) -> int:
    """The price that a node answers: the first of its four members."""
    return reply.integers[0]


def order_of(reply: Reply, markets: tuple[MarketView, ...], now_s: int) -> PendingOrder | None:
    """The account's order if a keeper may still fill it: ``AsyncOrder.checkPendingOrder``."""
    committed_s, request = cast(tuple[int, tuple[int, ...]], reply.outputs[0])
    market_id, account_id, size_wad, strategy_id, acceptable_wad = request[:5]
    market = next((market for market in markets if market.id == market_id), None)
    if size_wad == 0:
        return None
    if market is not None and strategy_id == market.strategy.id:
        expires_s = committed_s + market.strategy.delay_s + market.strategy.window_s
        if now_s > expires_s:
            return None
    return PendingOrder(account_id, market_name(market_id), size_wad, acceptable_wad, committed_s)


def margin_of(
    synthetix: SynthetixDeployment,
    key: int,
    markets: tuple[MarketView, ...],
    keeper: Keeper,
    block: Block,
    replies: Replies,
    order: PendingOrder | None,
) -> SynthetixMargin:
    """The account of that number. Raises ContractMismatch if it has a stake in what is not configured."""
    synths = {synth.id: synth for synth in synthetix.collaterals}
    _require_known(synthetix, replies[("collaterals", key)], {USD_ID, *synths})
    _require_known(synthetix, replies[("positions", key)], {market.id for market in markets})
    posted = {number: replies[("amount", (key, number))].integer for number in synths}
    held = {number: amount for number, amount in posted.items() if amount}
    marks = {market.market: market.price_wad for market in markets}
    marks |= {synth_name(number): replies[("synth price", number)].integer for number in held}
    flagged = cast(tuple[int, ...], replies[("flagged", "")].outputs[0])
    return SynthetixMargin(
        collateral_token=token_of(synthetix, replies),
        account_id=key,
        usd_wad=replies[("amount", (key, USD_ID))].integer,
        debt_wad=replies[("debt", key)].integer,
        collaterals=tuple(
            _collateral(number, synths[number].asset, amount, replies) for number, amount in held.items()
        ),
        legs=tuple(_leg(market, key, replies) for market in markets),
        interest=Interest(
            replies[("interest", "")].integer,
            replies[("interest rate", "")].integer,
            replies[("interest time", "")].integer,
        ),
        keeper=keeper,
        is_flagged=key in flagged,
        is_pending=order is not None,
        at_s=block.timestamp_s,
        marks=frozen(marks),
    )


def _collateral(key: int, asset: str, amount_wad: int, first: Replies) -> Collateral:
    _, upper, lower, scalar = first[("synth terms", key)].integers
    return Collateral(
        market=synth_name(key),
        asset=asset,
        amount_wad=amount_wad,
        skew_scale=first[("synth scale", key)].integer,
        upper_discount=upper,
        lower_discount=lower,
        discount_scalar=scalar,
    )


def _leg(market: MarketView, account_id: int, third: Replies) -> Leg:
    where = (account_id, market.id)
    _, size_wad = storage.halves(third[("size", where)].integer)
    entry_wad, entry_funding = storage.halves(third[("entry", where)].integer)
    return Leg(
        market=market.market,
        asset=market.asset,
        size_wad=size_wad,
        entry_wad=entry_wad,
        entry_funding=entry_funding,
        entry_interest=third[("interest", where)].integer,
        funding=market.funding,
        margin=market.margin,
        fees=market.fees,
    )


def _require_known(synthetix: SynthetixDeployment, reply: Reply, known: set[int]) -> None:
    """What is not configured could not be judged, so nothing is."""
    for found in cast(tuple[int, ...], reply.outputs[0]):
        if found not in known:
            raise ContractMismatch(
                target=synthetix.perps_market,
                expected=f"only markets and collaterals of the deployment file ({sorted(known)})",
                reason=f"the account has a stake in number {found}",
            )


def require_agreement(margin: SynthetixMargin, third: Replies) -> None:
    """What was read from storage must give the contract's own margins. Raises DecodeMismatch."""
    available, required = third[("available", margin.account_id)], third[("required", margin.account_id)]
    equity = margin.equity_wad(margin.marks, margin.at_s)
    if available.integer != equity:
        raise available.mismatch(f"{equity}, as its storage says", f"it is {available.integer}")
    if margin.open_legs:
        requirement = margin.requirement_wad(margin.marks, margin.at_s)
        if required.integers[1] != requirement:
            raise required.mismatch(f"{requirement}, as its terms say", f"it is {required.integers[1]}")
