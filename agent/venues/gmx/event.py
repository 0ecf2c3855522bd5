"""GMX's events: one emitter, a name, and named items. Which of them tell what became of an order.

``EventLog2`` for orders (topics: the name's hash, the order's key, the account), ``EventLog1`` for what was
done to a position (topics: the name's hash, the account).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from eth_abi import abi as codec
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from agent.errors import DecodeMismatch
from agent.values.address import Address, parse_address
from agent.values.log import Filter, Log
from agent.venues.deployments import GmxDeployment
from agent.venues.gmx.fragment import GMX

ONE, TWO = (bytes.fromhex(GMX.events[name].topic[2:]) for name in ("EventLog1", "EventLog2"))
CREATED, EXECUTED, CANCELLED, FROZEN = "OrderCreated", "OrderExecuted", "OrderCancelled", "OrderFrozen"
UPDATED, INCREASED, DECREASED = "OrderUpdated", "PositionIncrease", "PositionDecrease"
OF_ORDERS, OF_POSITIONS = (CREATED, EXECUTED, CANCELLED, FROZEN, UPDATED), (INCREASED, DECREASED)
TOPICS = {keccak(text=name): name for name in (*OF_ORDERS, *OF_POSITIONS)}
_BODY = tuple(
    kind
    for kind, is_indexed in zip(GMX.events["EventLog2"].inputs, GMX.events["EventLog2"].indexed, strict=True)
    if not is_indexed
)


@dataclass(frozen=True, slots=True)
class Told:
    """One event: its single items by name, and its lists. Names are unique within an event."""

    name: str
    items: Mapping[str, object]
    lists: Mapping[str, tuple[object, ...]]
    log: Log

    def integer(self, name: str) -> int:
        return cast(int, self._item(name))

    def address(self, name: str) -> Address:
        return parse_address(str(self._item(name)))

    def word(self, name: str) -> bytes:
        return cast(bytes, self._item(name))

    def text(self, name: str) -> str:
        return str(self._item(name))

    def _item(self, name: str) -> object:
        if name not in self.items:
            raise _mismatch(self.log, f"{self.name} with an item {name}", f"it has {sorted(self.items)}")
        return self.items[name]


def filter_of(gmx: GmxDeployment) -> Filter:
    """Every event of orders and positions. Whose it is stands in the third topic of some and the fourth of
    others, so it is sorted out afterwards.
    """
    return Filter((Address(gmx.event_emitter),), ((ONE, TWO), tuple(TOPICS)))


def decode(gmx: GmxDeployment, log: Log) -> Told | None:
    """The event, if it is one of those. Raises DecodeMismatch."""
    if log.address != gmx.event_emitter or len(log.topics) < 3 or log.topics[0] not in (ONE, TWO):
        return None
    name = TOPICS.get(log.topics[1])
    if name is None:
        return None
    try:
        _, told, data = codec.decode(_BODY, log.data)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise _mismatch(log, f"({','.join(_BODY)})", str(error)) from error
    if told != name:
        raise _mismatch(log, name, f"it calls itself {told}")
    items: dict[str, object] = {}
    lists: dict[str, tuple[object, ...]] = {}
    for plain, listed in data:
        items |= dict(plain)
        lists |= {key: tuple(value) for key, value in listed}
    return Told(name, items, lists, log)


def _mismatch(log: Log, expected: str, reason: str) -> DecodeMismatch:
    return DecodeMismatch(label="gmx.event", target=log.address, expected=expected, reason=reason)
