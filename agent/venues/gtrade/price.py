"""Which prices are believed: gTrade's are signed off the chain, so they are dated and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.chain.question import Question
from agent.errors import PriceImplausible, PriceStale
from agent.values.address import Address
from agent.values.block import Block
from agent.venues.deployments import GtradeDeployment, GtradePair
from agent.venues.gtrade.fragment import ERC20, GTRADE, PRICE_DECIMALS, Key, Replies

PPM = 1_000_000
AHEAD_S = 60  # the service's clock may be that far before the chain's
MOST = 2**64  # the contract's own type


@dataclass(frozen=True, slots=True)
class Told:
    """What a source says of one pair (10 decimals), and of when. ``source`` is shown to people."""

    price: int
    at_s: int
    source: str


class PriceSource(Protocol):
    """Prices that are not on the chain."""

    def fetch(self) -> Mapping[int, Told]:
        """Of every pair it knows, by number, now. Raises a Transient error or DecodeMismatch."""
        ...


def feed_questions(gtrade: GtradeDeployment) -> dict[Key, Question]:
    """What `judge` needs of the chain."""
    asked: dict[Key, Question] = {}
    for pair in gtrade.pairs:
        if pair.feed is not None:
            feed = Address(pair.feed)
            asked[("feed", pair.index)] = Question(feed, GTRADE["latestRoundData"])
            asked[("feed decimals", pair.index)] = Question(feed, ERC20["decimals"])
    return asked


def judge(
    gtrade: GtradeDeployment, told: Mapping[int, Told], replies: Replies, block: Block
) -> dict[int, int]:
    """One believed price of every pair. Raises PriceStale or PriceImplausible naming the pair."""
    return {pair.index: _believed(gtrade, pair, told, replies, block) for pair in gtrade.pairs}


def _believed(
    gtrade: GtradeDeployment, pair: GtradePair, told: Mapping[int, Told], replies: Replies, block: Block
) -> int:
    feed = _from_feed(pair, replies)
    found = told.get(pair.index)
    if found is None:
        if gtrade.prices_url or feed is None:
            raise _implausible(pair, gtrade.prices_url or "nowhere", "it names no price")
        return _dated(feed, pair, block, gtrade.max_feed_age_s).price
    found = _dated(found, pair, block, gtrade.max_age_s)
    if not 0 < found.price < MOST:
        raise _implausible(pair, found.source, f"it says {found.price}")
    if feed is not None:
        middle = _dated(feed, pair, block, gtrade.max_feed_age_s).price
        if abs(found.price - middle) * PPM > middle * gtrade.max_deviation_ppm:
            share = gtrade.max_deviation_ppm / PPM
            reason = f"it says {found.price}, the feed {middle}: more than {share:.2%} apart"
            raise _implausible(pair, found.source, reason)
    return found.price


def _dated(told: Told, pair: GtradePair, block: Block, limit_s: int) -> Told:
    age_s = block.timestamp_s - told.at_s
    if age_s > limit_s or age_s < -max(AHEAD_S, limit_s):
        raise PriceStale(
            venue="gtrade", token=f"pair {pair.index}", source=told.source, age_s=age_s, limit_s=limit_s
        )
    return told


def _from_feed(pair: GtradePair, replies: Replies) -> Told | None:
    if pair.feed is None:
        return None
    _, answer, _, updated_at_s, _ = replies[("feed", pair.index)].integers
    decimals = replies[("feed decimals", pair.index)].integer
    price = answer * 10**PRICE_DECIMALS // 10**decimals
    if not 0 < price < MOST:
        raise _implausible(pair, f"feed {pair.feed}", f"it says {answer}")
    return Told(price, updated_at_s, f"feed {pair.feed}")


def _implausible(pair: GtradePair, source: str, reason: str) -> PriceImplausible:
    return PriceImplausible(venue="gtrade", token=f"pair {pair.index}", source=source, reason=reason)
