"""Which prices are believed: whoever asks GMX hands them in, so they are dated, ordered and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.chain.question import Question, Reply
from agent.errors import PriceImplausible, PriceStale
from agent.values.address import Address
from agent.values.block import Block
from agent.venues.deployments import GmxDeployment, GmxMarket, GmxToken
from agent.venues.gmx.fragment import ERC20, GMX, Key, Replies
from agent.venues.gmx.price import PRICE_DECIMALS, Price, Prices

PPM = 1_000_000
AHEAD_S = 60  # the service's clock may be that far before the chain's


@dataclass(frozen=True, slots=True)
class Told:
    """What a source says of one token, and of when. ``source`` is shown to people."""

    price: Price
    at_s: int
    source: str


class PriceSource(Protocol):
    """Prices that are not on the chain."""

    def fetch(self) -> Mapping[Address, Told]:
        """Of every token it knows, now. Raises a Transient error or DecodeMismatch."""
        ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """Prices that were looked at, by token."""

    told: Mapping[Address, Told]

    def prices(self, market: GmxMarket) -> Prices:
        """Of the market's three tokens."""
        index, long, short = (
            self.told[Address(token)].price
            for token in (market.index_token, market.long_token, market.short_token)
        )
        return Prices(index, long, short)


def feed_questions(gmx: GmxDeployment) -> dict[Key, Question]:
    """What `judge` needs of the chain."""
    asked: dict[Key, Question] = {}
    for token in gmx.tokens:
        if token.feed is not None:
            feed = Address(token.feed)
            asked[("feed", token.address)] = Question(feed, GMX["latestRoundData"])
            asked[("feed decimals", token.address)] = Question(feed, ERC20["decimals"])
    return asked


def judge(gmx: GmxDeployment, told: Mapping[Address, Told], replies: Replies, block: Block) -> Sheet:
    """One believed price of every token. Raises PriceStale or PriceImplausible naming the token."""
    return Sheet(
        {Address(token.address): _believed(gmx, token, told, replies, block) for token in gmx.tokens}
    )


def _believed(
    gmx: GmxDeployment, token: GmxToken, told: Mapping[Address, Told], replies: Replies, block: Block
) -> Told:
    feed = _from_feed(gmx, token, replies)
    found = told.get(Address(token.address))
    if found is None:
        if gmx.prices_url or feed is None:
            raise PriceImplausible(
                venue="gmx",
                token=token.address,
                source=gmx.prices_url or "nowhere",
                reason="it names no price",
            )
        return _dated(feed, token, block, gmx.max_feed_age_s)
    found = _dated(found, token, block, gmx.max_age_s)
    if found.price.low <= 0 or found.price.low > found.price.high:
        reason = f"its lowest price is {found.price.low} and its highest {found.price.high}"
        raise PriceImplausible(venue="gmx", token=token.address, source=found.source, reason=reason)
    if feed is not None:
        feed = _dated(feed, token, block, gmx.max_feed_age_s)
        middle = feed.price.middle
        worst = max(abs(found.price.low - middle), abs(found.price.high - middle))
        if worst * PPM > middle * gmx.max_deviation_ppm:
            reason = (
                f"it says {found.price.low} to {found.price.high}, the feed {middle}: "
                f"more than {gmx.max_deviation_ppm / PPM:.2%} apart"
            )
            raise PriceImplausible(venue="gmx", token=token.address, source=found.source, reason=reason)
    return found


def _dated(told: Told, token: GmxToken, block: Block, limit_s: int) -> Told:
    age_s = block.timestamp_s - told.at_s
    if age_s > limit_s or age_s < -max(AHEAD_S, limit_s):
        raise PriceStale(venue="gmx", token=token.address, source=told.source, age_s=age_s, limit_s=limit_s)
    return told


def _from_feed(gmx: GmxDeployment, token: GmxToken, replies: Replies) -> Told | None:
    """The feed's answer with the configured spread around it."""
    if token.feed is None:
        return None
    reply: Reply = replies[("feed", token.address)]
    _, answer, _, updated_at_s, _ = reply.integers
    if answer <= 0:
        raise PriceImplausible(
            venue="gmx", token=token.address, source=f"feed {token.feed}", reason=f"it says {answer}"
        )
    decimals = replies[("feed decimals", token.address)].integer
    middle = answer * 10 ** (PRICE_DECIMALS - token.decimals) // 10**decimals
    spread = gmx.feed_spread_ppm
    price = Price(middle * (PPM - spread) // PPM, middle * (PPM + spread) // PPM)
    return Told(price, updated_at_s, f"feed {token.feed}")
