"""An order as GMX stores it, and as a request: what was asked for, in our words.

GMX counts increases in dollars and closes in dollars of opened size, so that how many tokens an order moves
depends on the price or on the position. Our own orders carry the signed size they mean, and the margin that
travels, in the list of words that GMX keeps with an order and does not read. Of others' the size is what the
dollars are at the acceptable price; one without such a price, or that is of collateral alone, has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent.market.request import Phase, Request
from agent.values.address import Address, TxHash
from agent.values.fixed import mul_div_down, rescale_down
from agent.venues.deployments import GmxDeployment, GmxToken
from agent.venues.gmx.fragment import (
    INCREASES,
    MARKET_ORDERS,
    market_name,
    position_name,
)
from agent.venues.gmx.key import key_of, position_key

MARK = key_of("EVENKEEL_ORDER")  # the first of our words: it says that the others are ours
WORDS = 2
MAX_UINT = 2**256 - 1
INT_LIMIT = 2**255
UNBOUNDED_WAD = 2**128


@dataclass(frozen=True, slots=True)
class Placed:
    """What the order says. Dollars at 30 decimals, prices per smallest unit of the index token."""

    key: bytes
    account: Address
    market: Address
    token: Address
    kind: int
    size_usd: int
    amount: int
    acceptable: int
    execution_fee_wei: int
    updated_at_s: int
    is_long: bool
    is_frozen: bool
    words: tuple[bytes, ...]

    @property
    def is_increase(self) -> bool:
        return self.kind in INCREASES

    @property
    def position(self) -> bytes:
        """The key of the position it changes."""
        return position_key(self.account, self.market, self.token, is_long=self.is_long)


def decode_order(item: tuple[object, ...]) -> Placed:
    """Of ``Reader.getAccountOrders``: a key and an order."""
    key, order = item
    addresses, numbers, flags, words = cast(tuple[tuple[object, ...], ...], order)
    values = cast(tuple[int, ...], numbers)
    return Placed(
        key=cast(bytes, key),
        account=cast(Address, addresses[0]),
        market=cast(Address, addresses[5]),
        token=cast(Address, addresses[6]),
        kind=values[0],
        size_usd=values[2],
        amount=values[3],
        acceptable=values[5],
        execution_fee_wei=values[6],
        updated_at_s=values[9],
        is_long=bool(flags[0]),
        is_frozen=bool(flags[2]),
        words=cast(tuple[bytes, ...], words),
    )


def words_of(size_wad: int, price_wad: int) -> tuple[bytes, ...]:
    """What our orders carry: the mark, the signed size, and the worst average price, fees in."""
    return (MARK, (size_wad % (1 << 256)).to_bytes(32), price_wad.to_bytes(32))


def request_of(
    gmx: GmxDeployment,
    placed: Placed,
    expiry_s: int,
    *,
    block_number: int = 0,
    tx_hash: TxHash | None = None,
) -> Request | None:
    """The order as a request; None of an order in a market that is not configured, which moves nothing that
    the agent reckons with.
    """
    market = next((item for item in gmx.markets if item.address == placed.market), None)
    if market is None:
        return None
    tokens: Mapping[str, GmxToken] = {token.address: token for token in gmx.tokens}
    decimals = tokens[market.index_token].decimals
    size_wad, price_wad = _meant(placed, decimals)
    collateral = tokens.get(placed.token)
    amount_wad = 0 if collateral is None else rescale_down(placed.amount, collateral.decimals, 18)
    # a limit order waits for its price and can be taken back at once
    wait_s = expiry_s if placed.kind in MARKET_ORDERS else 0
    return Request(
        venue="gmx",
        key="0x" + placed.key.hex(),
        market=market_name(placed.market),
        asset=market.asset,
        size_wad=size_wad,
        price_wad=price_wad,
        collateral_wad=amount_wad if placed.is_increase else -amount_wad,
        requested_at_s=placed.updated_at_s,
        cancel_at_s=placed.updated_at_s + wait_s,
        phase=Phase.FROZEN if placed.is_frozen else Phase.REQUESTED,
        margin_key=position_name(placed.position),
        block_number=block_number,
        tx_hash=tx_hash,
    )


def _meant(placed: Placed, decimals: int) -> tuple[int, int]:
    """(signed size, worst average price): from our words, or else from the dollars and the price."""
    if len(placed.words) > WORDS and placed.words[0] == MARK:
        size_wad = int.from_bytes(placed.words[1])
        if size_wad >= INT_LIMIT:
            size_wad -= 2 * INT_LIMIT
        return size_wad, int.from_bytes(placed.words[2])
    if placed.size_usd == 0:
        return 0, 0
    buys = placed.is_increase is placed.is_long
    if placed.acceptable in (0, MAX_UINT):
        return 0, UNBOUNDED_WAD if buys else 0
    tokens = placed.size_usd // placed.acceptable
    size_wad = rescale_down(tokens, decimals, 18)
    price_wad = mul_div_down(placed.acceptable, 10 ** (18 + decimals), 10**30)
    return (size_wad if buys else -size_wad), price_wad
