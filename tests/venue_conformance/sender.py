"""What benches share: sending an order's calls, and reading the transfers it made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.market.intent import Order
from agent.sim.contract import Chain
from agent.values.address import Address

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def send_all(chain: Chain, account: Address, order: Order) -> tuple[Mapping[str, object], ...]:
    """Each call in a transaction of its own; all their events. Raises TransactionReverted."""
    logs: list[Mapping[str, object]] = []
    for call in order.calls:
        logs += chain.send(account, call.target, call.data, call.label, call.value_wei).logs
    return tuple(logs)


def paid_raw(logs: Iterable[Mapping[str, object]], token: Address, account: Address) -> int:
    """What left the account of that token, less what came, by the token's own events."""
    own = "0x" + account[2:].lower().rjust(64, "0")
    total = 0
    for log in logs:
        topics = log["topics"]
        assert isinstance(topics, list)
        if str(log["address"]).lower() != token.lower() or not topics or topics[0] != TRANSFER:
            continue
        amount = int(str(log["data"]), 16)
        total += amount * ((topics[1] == own) - (topics[2] == own))
    return total
