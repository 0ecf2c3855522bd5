"""gTrade's events that tell what became of an order: all of the diamond, with the order's owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent.values.address import Address, parse_address
from agent.values.log import Filter, Log
from agent.venues.deployments import GtradeDeployment
from agent.venues.gtrade.fragment import GTRADE

STORED, TIMED_OUT = "PendingOrderStored", "ChainlinkCallbackTimeout"
OPENED, EXECUTED, TRIGGERED = "TradeStored", "MarketExecuted", "LimitExecuted"
OPEN_CANCELED, CLOSE_CANCELED = "MarketOpenCanceled", "MarketCloseCanceled"
LEVERAGE_UPDATED, RESIZED = "LeverageUpdateExecuted", "TradePositionUpdated"
INCREASED, DECREASED = "PositionSizeIncreaseExecuted", "PositionSizeDecreaseExecuted"
NAMES = (
    STORED,
    TIMED_OUT,
    OPENED,
    EXECUTED,
    TRIGGERED,
    OPEN_CANCELED,
    CLOSE_CANCELED,
    LEVERAGE_UPDATED,
    RESIZED,
    INCREASED,
    DECREASED,
)
TOPICS = {bytes.fromhex(GTRADE.events[name].topic[2:]): name for name in NAMES}
# ITradingCallbacks.CancelReason
REASONS = (
    "none",
    "paused",
    "market closed",
    "slippage",
    "take profit reached",
    "stop loss reached",
    "exposure limits",
    "price impact",
    "largest leverage",
    "no trade",
    "wrong trade",
    "not hit",
    "liquidation reached",
    "counter trade canceled",
)


@dataclass(frozen=True, slots=True)
class Told:
    """One event by its names."""

    name: str
    items: Mapping[str, object]
    log: Log

    def integer(self, name: str) -> int:
        return cast(int, self.items[name])

    def words(self, name: str) -> tuple[object, ...]:
        return cast(tuple[object, ...], self.items[name])

    def address(self, name: str) -> Address:
        return parse_address(str(self.items[name]))

    @property
    def order(self) -> tuple[Address, int]:
        """Whose order, and its number."""
        owner, index = self.words("pendingOrderId" if self.name == TIMED_OUT else "orderId")
        return parse_address(str(owner)), cast(int, index)

    @property
    def reason(self) -> str:
        """Why it was not filled; empty if it was."""
        number = self.integer("cancelReason")
        return "" if number == 0 else REASONS[number] if number < len(REASONS) else f"reason {number}"


def filter_of(gtrade: GtradeDeployment) -> Filter:
    """Every event of orders and trades; whose it is stands in the data of some, so it is sorted out after."""
    return Filter((Address(gtrade.diamond),), (tuple(TOPICS),))


def decode(gtrade: GtradeDeployment, log: Log) -> Told | None:
    """The event, if it is one of those. Raises DecodeMismatch."""
    if log.address != gtrade.diamond or not log.topics or log.topics[0] not in TOPICS:
        return None
    name = TOPICS[log.topics[0]]
    topics = ["0x" + topic.hex() for topic in log.topics]
    return Told(name, GTRADE.events[name].decode(topics, log.data, log.address), log)
