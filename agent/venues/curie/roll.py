"""Whom Curie's events speak of: everybody who ever paid in or traded, and whose numbers an event changed."""

from __future__ import annotations

from agent.values.address import Address
from agent.values.log import Filter, Log
from agent.venues.curie.reader import CURIE
from agent.venues.deployments import CurieDeployment

# which topic names the account, and whether the event proves that there is one
_PLACES = {
    "Deposited": (2, True),
    "Withdrawn": (2, True),
    "CollateralLiquidated": (1, True),
    "BadDebtSettled": (1, False),
    "PositionChanged": (1, True),
    "PositionClosed": (1, True),
    "PositionLiquidated": (1, True),
    "LiquidityChanged": (1, True),
    "FundingPaymentSettled": (1, False),
    "PnlRealized": (1, False),  # the insurance fund's too, which is no account
}
_LIQUIDATOR = 3  # word of PositionLiquidated's data: who took the position over
_WORD = 32

_BY_TOPIC = {bytes.fromhex(CURIE.events[name].topic[2:]): (name, *place) for name, place in _PLACES.items()}


def homes(curie: CurieDeployment) -> tuple[Address, ...]:
    """The contracts whose events these are."""
    return tuple(Address(one) for one in (curie.vault, curie.clearing_house, curie.account_balance))


def events(curie: CurieDeployment) -> Filter:
    """All of them."""
    return Filter(homes(curie), (tuple(_BY_TOPIC),))


def introduced(log: Log) -> tuple[int, ...]:
    """The accounts that are known to exist from this event on."""
    found = _BY_TOPIC.get(log.topics[0]) if log.topics else None
    return _named(log) if found is not None and found[2] else ()


def touched(log: Log) -> tuple[int, ...]:
    """The accounts whose numbers it changed."""
    return _named(log) if log.topics and log.topics[0] in _BY_TOPIC else ()


def _named(log: Log) -> tuple[int, ...]:
    name, place, _ = _BY_TOPIC[log.topics[0]]
    if len(log.topics) <= place:
        return ()
    found = [int.from_bytes(log.topics[place], "big")]
    if name == "PositionLiquidated":
        found.append(int.from_bytes(log.data[_LIQUIDATOR * _WORD :][:_WORD], "big"))
    return tuple(found)
