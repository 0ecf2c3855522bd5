"""GMX's public price service: the lowest and highest price of every token, as its oracle last signed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.chain.transport import Json, Transport
from agent.errors import AddressMalformed, DecodeMismatch
from agent.values.address import Address, parse_address
from agent.venues.gmx.price import Price
from agent.venues.gmx.sheet import Told

TIMEOUT_S = 5.0
MILLISECONDS = 10**11  # a time above it is not in seconds
LABEL = "gmx.tickers"


@dataclass(frozen=True, slots=True)
class Tickers:
    """``GET <url>``: a list of objects with ``tokenAddress``, ``minPrice``, ``maxPrice`` and ``updatedAt``.

    Prices are USD at 30 decimals per smallest unit. Raises ConfigInvalid if the url is none.
    """

    transport: Transport

    @classmethod
    def at(cls, url: str) -> Tickers:
        return cls(Transport(url, TIMEOUT_S, key="chain.deployment:gmx.prices_url", verb="GET"))

    def fetch(self) -> Mapping[Address, Told]:
        """Every ticker, by token. Raises RpcTimeout, RpcUnavailable, RateLimited or DecodeMismatch."""
        answer = self.transport.get(LABEL)
        if not isinstance(answer, list):
            raise self._mismatch("it is no list")
        return dict(self._told(item) for item in answer)

    def _told(self, item: Json) -> tuple[Address, Told]:
        if not isinstance(item, dict):
            raise self._mismatch(f"{item!r} is no ticker")
        try:
            token = parse_address(str(item["tokenAddress"]).lower())
            low, high = (int(str(item[key])) for key in ("minPrice", "maxPrice"))
            at = int(str(item["updatedAt"]))
        except (KeyError, ValueError, AddressMalformed) as error:
            raise self._mismatch(f"{item!r}: {error}"[:200]) from error
        at_s = at // 1_000 if at > MILLISECONDS else at
        return token, Told(Price(low, high), at_s, self.transport.endpoint)

    def _mismatch(self, reason: str) -> DecodeMismatch:
        expected = "a list of {tokenAddress, minPrice, maxPrice, updatedAt}"
        return DecodeMismatch(label=LABEL, target=self.transport.endpoint, expected=expected, reason=reason)
