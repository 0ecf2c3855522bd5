"""What became of our orders, from the events alone.

An order to close or change a trade does not say how large the trade is; other events of the trade do
(`Diary`). An order of whose trade there is none is left to the venue's storage, which knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from agent.market.request import Request
from agent.values.address import Address
from agent.values.log import Log
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade import event
from agent.venues.gtrade.diary import Diary
from agent.venues.gtrade.event import Told
from agent.venues.gtrade.fragment import LEVERAGE, order_name, wad_of
from agent.venues.gtrade.order import decode_order, decode_trade, request_of, tokens_of, wait_s

PART = (9, 10)  # of what was asked: a fill of less is no matter of the price
ENDS = frozenset(
    {
        event.TIMED_OUT,
        event.EXECUTED,
        event.OPEN_CANCELED,
        event.CLOSE_CANCELED,
        event.LEVERAGE_UPDATED,
        event.INCREASED,
        event.DECREASED,
    }
)


def born(
    gtrade: GtradeDeployment, account: Address, logs: Sequence[Log], timestamps_s: Mapping[int, int]
) -> tuple[Request, ...]:
    """The account's requests that ``logs`` stored, as they were at birth. Raises DecodeMismatch."""
    told = [one for log in logs if (one := event.decode(gtrade, log)) is not None]
    diary = Diary.of(account, told)
    found = []
    for place, one in enumerate(told):
        if one.name != event.STORED:
            continue
        placed, log = decode_order(one.words("pendingOrder")), one.log
        if placed.owner != account:
            continue
        request = request_of(
            gtrade,
            placed,
            diary.at(place, placed),
            timestamps_s[log.block_number],
            wait_s(gtrade, gtrade.timeout_blocks),
            block_number=log.block_number,
            tx_hash=log.tx_hash,
        )
        if request is not None:
            found.append(request)
    return tuple(found)


def follow(gtrade: GtradeDeployment, requests: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
    """The same requests after ``logs``. Raises RequestContradicted or DecodeMismatch."""
    now = {request.key: request for request in requests}
    for log in logs:
        told = event.decode(gtrade, log)
        if told is None or told.name not in ENDS:
            continue
        key = order_name(*told.order)
        if key in now and log.block_number >= now[key].block_number:
            now[key] = _after(gtrade, now[key], told)
    return tuple(now[request.key] for request in requests)


def _after(gtrade: GtradeDeployment, request: Request, told: Told) -> Request:
    if told.name == event.TIMED_OUT:
        return request.ended("taken back: no keeper acted in time")
    if told.name == event.EXECUTED:
        shape, price = decode_trade(told.words("t")), told.integer("marketPrice")
        return _filled(gtrade, request, shape.collateral * shape.leverage, shape.open_price, price)
    if told.reason:
        return request.ended(told.reason)
    if told.name == event.LEVERAGE_UPDATED:
        return request.executed(request.price_wad)
    values = told.words("values")
    price = cast(tuple[int, ...], values[5])[5]
    if told.name == event.DECREASED:
        return request.executed(wad_of(price))
    return _filled(gtrade, request, cast(int, values[0]) * LEVERAGE, price, price)


def _filled(gtrade: GtradeDeployment, request: Request, whole: int, opened: int, price: int) -> Request:
    """gTrade fills a position of so much money: of the asset it is what its opening price makes of it. A
    trade against the imbalance is cut down to it, and the rest is given back.
    """
    size_wad = tokens_of(whole, opened, gtrade.collateral_decimals)
    if request.size_wad == 0 or size_wad == 0:
        return request.executed(wad_of(price))
    signed = size_wad if request.size_wad > 0 else -size_wad
    if size_wad * PART[1] < abs(request.size_wad) * PART[0]:
        part = request.filled(signed, wad_of(price))
        return part.ended("the venue filled a part and gave the rest back")
    return request.executed(wad_of(price), signed)
