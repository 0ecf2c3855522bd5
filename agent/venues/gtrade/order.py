"""A pending order as gTrade stores it, and as a request: what was asked for, in our words.

An order to close or change a trade does not say how large that trade is, nor on which side: `Shape` does. It
is bound by the price after spread and impact, and by the slippage of the order or of its trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from agent.market.request import Request
from agent.values.address import Address, TxHash, parse_address
from agent.values.fixed import WAD, mul_div_down, mul_div_up, rescale_down
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade.fragment import (
    DEFAULT_SLIPPAGE,
    LEVERAGE,
    MARKET_CLOSE,
    MARKET_OPEN,
    P_10,
    PARTIAL_CLOSE,
    PARTIAL_OPEN,
    SLIPPAGE,
    UPDATE_LEVERAGE,
    market_name,
    order_name,
    trade_name,
    wad_of,
)

KINDS = frozenset({MARKET_OPEN, MARKET_CLOSE, UPDATE_LEVERAGE, PARTIAL_OPEN, PARTIAL_CLOSE})


@dataclass(frozen=True, slots=True)
class Shape:
    """A trade, as far as its orders need it. ``collateral`` in the token's unit."""

    index: int
    pair: int
    collateral_index: int
    is_long: bool
    collateral: int
    leverage: int
    open_price: int
    slippage: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """What the order says; what ``collateral``, ``leverage`` and ``price`` mean is its ``kind``'s."""

    owner: Address
    index: int
    trade: int
    pair: int
    collateral_index: int
    kind: int
    is_long: bool
    collateral: int
    leverage: int
    price: int
    slippage: int
    created_block: int


def decode_trade(words: tuple[object, ...], slippage: int = 0) -> Shape:
    """Of ``ITradingStorage.Trade``."""
    values = cast(tuple[int, ...], words)
    return Shape(
        index=values[1],
        pair=values[2],
        collateral_index=values[6],
        is_long=bool(values[4]),
        collateral=values[8],
        leverage=values[3],
        open_price=values[9],
        slippage=slippage,
    )


def decode_order(words: tuple[object, ...]) -> Placed:
    """Of ``ITradingStorage.PendingOrder``."""
    shape = decode_trade(cast(tuple[object, ...], words[0]))
    index, _, kind, created, slippage = cast(tuple[int, ...], words[2:])
    return Placed(
        owner=parse_address(str(words[1])),
        index=index,
        trade=shape.index,
        pair=shape.pair,
        collateral_index=shape.collateral_index,
        kind=kind,
        is_long=shape.is_long,
        collateral=shape.collateral,
        leverage=shape.leverage,
        price=shape.open_price,
        slippage=slippage,
        created_block=created,
    )


def request_of(
    gtrade: GtradeDeployment,
    placed: Placed,
    shape: Shape | None,
    requested_at_s: int,
    waits_s: int,
    *,
    block_number: int = 0,
    tx_hash: TxHash | None = None,
) -> Request | None:
    """The order as a request; None where its pair or collateral is not configured, or nothing is known of
    its trade (``shape``).
    """
    if placed.kind == MARKET_OPEN:
        shape = Shape(
            placed.trade,
            placed.pair,
            placed.collateral_index,
            placed.is_long,
            placed.collateral,
            placed.leverage,
            placed.price,
            placed.slippage,
        )
    if shape is None or shape.collateral_index != gtrade.collateral_index or placed.kind not in KINDS:
        return None
    pair = next((one for one in gtrade.pairs if one.index == shape.pair), None)
    if pair is None:
        return None
    decimals = gtrade.collateral_decimals
    size_wad, amount = _meant(placed, shape, decimals)
    return Request(
        venue="gtrade",
        key=order_name(placed.owner, placed.index),
        market=market_name(pair.index),
        asset=pair.asset,
        size_wad=size_wad,
        price_wad=_worst_wad(placed, shape, buys=size_wad > 0) if size_wad else 0,
        collateral_wad=rescale_down(amount, decimals, 18),
        requested_at_s=requested_at_s,
        cancel_at_s=requested_at_s + waits_s,
        margin_key="" if placed.kind == MARKET_OPEN else trade_name(shape.index),
        block_number=block_number,
        tx_hash=tx_hash,
    )


def wait_s(gtrade: GtradeDeployment, blocks: int) -> int:
    """How long an order binds that may be taken back after so many blocks, rounded up."""
    return -(-blocks * gtrade.block_ms // 1_000)


def _meant(placed: Placed, shape: Shape, decimals: int) -> tuple[int, int]:
    """(signed size in wads, collateral in the token's unit: > 0 goes in)."""
    sign = 1 if shape.is_long else -1
    if placed.kind == UPDATE_LEVERAGE:
        return 0, placed.collateral if placed.leverage < shape.leverage else -placed.collateral
    if placed.kind == MARKET_OPEN:
        return sign * tokens_of(
            placed.collateral * placed.leverage, placed.price, decimals
        ), placed.collateral
    if placed.kind == PARTIAL_OPEN:
        whole = (placed.collateral or shape.collateral) * placed.leverage
        if placed.collateral:  # its leverage rounds: what counts is the position it comes to
            before = shape.collateral * shape.leverage // LEVERAGE
            collateral = shape.collateral + placed.collateral
            leverage = (before + whole // LEVERAGE) * LEVERAGE // collateral
            whole = (collateral * leverage // LEVERAGE - before) * LEVERAGE
        return sign * tokens_of(whole, placed.price, decimals), placed.collateral
    if placed.kind == PARTIAL_CLOSE:
        whole = (
            placed.collateral * shape.leverage if placed.collateral else shape.collateral * placed.leverage
        )
        return -sign * tokens_of(whole, shape.open_price, decimals), -placed.collateral
    whole = shape.collateral * shape.leverage
    return -sign * tokens_of(whole, shape.open_price, decimals), -shape.collateral


def tokens_of(whole: int, price: int, decimals: int) -> int:
    """Collateral times leverage at a price, as a wad of the asset, rounded down."""
    return rescale_down(whole, decimals, 18) * P_10 // LEVERAGE // price if price else 0


def _worst_wad(placed: Placed, shape: Shape, *, buys: bool) -> int:
    opens = placed.kind in (MARKET_OPEN, PARTIAL_OPEN)
    slippage = placed.slippage if opens else shape.slippage or DEFAULT_SLIPPAGE
    most = placed.price * slippage // SLIPPAGE
    return wad_of(placed.price + most) if buys else wad_of(max(0, placed.price - most))


def expected_price(limit_wad: int, slippage: int, *, buys: bool) -> int:
    """The price to name in an order that closes, so that ``limit_wad`` is the worst it may be filled at: the
    slippage is the trade's own, or else gTrade's; 10 decimals.
    """
    unit, share = WAD // P_10, slippage or DEFAULT_SLIPPAGE
    if buys:
        return mul_div_down(limit_wad, SLIPPAGE, (SLIPPAGE + share) * unit)
    return mul_div_up(limit_wad, SLIPPAGE, (SLIPPAGE - share) * unit)
