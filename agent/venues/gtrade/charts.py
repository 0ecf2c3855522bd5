"""gTrade's public price service: the last price of every pair, as its oracle nodes see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from agent.chain.transport import Json, Transport
from agent.errors import DecodeMismatch
from agent.values.fixed import from_decimal
from agent.venues.gtrade.fragment import PRICE_DECIMALS
from agent.venues.gtrade.price import Told

TIMEOUT_S = 5.0
MILLISECONDS = 10**11  # a time above it is not in seconds
LABEL = "gtrade.charts"


@dataclass(frozen=True, slots=True)
class Charts:
    """``GET <url>``: an object with ``time`` and ``closes``, a list of prices by the pair's number.

    Raises ConfigInvalid if the url is none.
    """

    transport: Transport

    @classmethod
    def at(cls, url: str) -> Charts:
        return cls(Transport(url, TIMEOUT_S, key="chain.deployment:gtrade.prices_url", verb="GET"))

    def fetch(self) -> Mapping[int, Told]:
        """Every price, by pair; a pair that has none is left out. Raises RpcTimeout, RpcUnavailable,
        RateLimited or DecodeMismatch.
        """
        answer = self.transport.get(LABEL)
        if not isinstance(answer, dict):
            raise self._mismatch("it is no object")
        at, closes = answer.get("time"), answer.get("closes")
        if not isinstance(at, int | float) or not isinstance(closes, list):
            raise self._mismatch("it has no time or no list of closes")
        at_s = int(at) // 1_000 if at > MILLISECONDS else int(at)
        return {
            index: Told(self._price(index, close), at_s, self.transport.endpoint)
            for index, close in enumerate(closes)
            if close is not None
        }

    def _price(self, index: int, close: Json) -> int:
        if isinstance(close, bool) or not isinstance(close, int | float):
            raise self._mismatch(f"pair {index} closes at {close!r}"[:200])
        # the shortest decimal of the float is what the service wrote
        return from_decimal(Decimal(str(close)), PRICE_DECIMALS)

    def _mismatch(self, reason: str) -> DecodeMismatch:
        expected = "an object with a time and a list of closes"
        return DecodeMismatch(label=LABEL, target=self.transport.endpoint, expected=expected, reason=reason)
