"""What became of our orders, from the events alone.

A fill is two events: what was done to the position, which says at what price and how many tokens, and that
the order was executed. A cancelled or frozen order carries the error that made it so.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.chain.abi import decode_error
from agent.market.request import Phase, Request
from agent.values.address import Address
from agent.values.fixed import mul_div_down, rescale_down
from agent.values.log import Log
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx import event
from agent.venues.gmx.event import Told
from agent.venues.gmx.fragment import GMX
from agent.venues.gmx.order import Placed, request_of


def born(gmx: GmxDeployment, account: Address, logs: Sequence[Log], expiry_s: int) -> tuple[Request, ...]:
    """The account's requests that ``logs`` created, as they were at birth. Raises DecodeMismatch."""
    found = []
    for log in logs:
        told = event.decode(gmx, log)
        if told is None or told.name != event.CREATED or told.address("account") != account:
            continue
        request = request_of(gmx, _placed(told), expiry_s, block_number=log.block_number, tx_hash=log.tx_hash)
        if request is not None:
            found.append(request)
    return tuple(found)


def follow(gmx: GmxDeployment, requests: Sequence[Request], logs: Sequence[Log]) -> tuple[Request, ...]:
    """The same requests after ``logs``. Raises RequestContradicted or DecodeMismatch."""
    now = {request.key: request for request in requests}
    fills: dict[str, Told] = {}
    asked_usd: dict[str, int] = {}
    for log in logs:
        told = event.decode(gmx, log)
        if told is None:
            continue
        is_fill = told.name in event.OF_POSITIONS
        key = "0x" + told.word("orderKey" if is_fill else "key").hex()
        if key not in now or log.block_number < now[key].block_number:
            continue
        if told.name in (event.CREATED, event.UPDATED):
            asked_usd[key] = told.integer("sizeDeltaUsd")
        if is_fill:
            fills[key] = told
        elif told.name == event.EXECUTED:
            now[key] = _executed(gmx, now[key], fills.get(key), asked_usd.get(key, 0))
        elif told.name == event.CANCELLED:
            now[key] = now[key].ended(why(told))
        elif told.name == event.FROZEN:
            now[key] = now[key].frozen(why(told))
        elif told.name == event.UPDATED and now[key].phase is Phase.FROZEN:
            now[key] = now[key].to(Phase.REQUESTED, "updated")
    return tuple(now[request.key] for request in requests)


def why(told: Told) -> str:
    """The reason in words: GMX's own, or the error's."""
    raw = told.word("reasonBytes")
    text = told.text("reason")
    return decode_error(raw, GMX.errors) if raw else text or "no reason given"


def _executed(gmx: GmxDeployment, request: Request, fill: Told | None, asked_usd: int) -> Request:
    """``asked_usd``: the order's own dollars, which alone say whether the fill is all of it."""
    if request.size_wad == 0 or fill is None:
        return request.executed(request.price_wad)
    market = next(item for item in gmx.markets if item.address == fill.address("market"))
    decimals = next(token.decimals for token in gmx.tokens if token.address == market.index_token)
    size_wad = rescale_down(fill.integer("sizeDeltaInTokens"), decimals, 18)
    price_wad = mul_div_down(fill.integer("executionPrice"), 10 ** (18 + decimals), 10**30)
    signed = size_wad if request.size_wad > 0 else -size_wad
    if fill.integer("sizeDeltaUsd") < asked_usd:
        partly = request.filled(signed, price_wad)
        return partly.ended("the venue filled a part and gave the rest up")
    return request.executed(price_wad, signed)


def _placed(told: Told) -> Placed:
    words = told.lists.get("dataList", ())
    return Placed(
        key=told.word("key"),
        account=told.address("account"),
        market=told.address("market"),
        token=told.address("initialCollateralToken"),
        kind=told.integer("orderType"),
        size_usd=told.integer("sizeDeltaUsd"),
        amount=told.integer("initialCollateralDeltaAmount"),
        acceptable=told.integer("acceptablePrice"),
        execution_fee_wei=told.integer("executionFee"),
        updated_at_s=told.integer("updatedAtTime"),
        is_long=bool(told.integer("isLong")),
        is_frozen=False,
        words=tuple(bytes(word) for word in words if isinstance(word, bytes)),
    )
