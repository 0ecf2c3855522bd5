"""An errand's next bid: the market, the budget, and what a rollup takes beside gas."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.tx.errand import Errand
from agent.tx.fees import FeePolicy, bid, bump
from agent.tx.network import Network
from agent.tx.rollup import Rollup
from agent.tx.transaction import Transaction
from agent.values.block import Block


@dataclass(frozen=True, slots=True)
class Priced:
    """A transaction with its bid. ``cap_wei``: the most its gas may cost; ``data_fee_wei``: what a rollup
    may take beside it."""

    transaction: Transaction
    cap_wei: int
    data_fee_wei: int


class Pricer:
    """Asks the node what a place costs."""

    def __init__(self, network: Network, rollup: Rollup, policy: FeePolicy) -> None:
        self._network = network
        self._rollup = rollup
        self._policy = policy

    def price(self, errand: Errand, draft: Transaction, head: Block) -> Priced:
        """``draft`` with its bid: the first of the errand, or one that replaces the errand's last.

        What a rollup takes for the bytes comes off the budget first. Raises FeeCapExceeded.
        """
        data_fee_wei = self._rollup.data_fee(draft, head).most_wei
        history, policy, urgency = self._network.history(), self._policy, errand.urgency
        pressure_bps, budget_wei = errand.pressure_bps, errand.budget_wei
        if errand.attempts:
            last = errand.base.fee
            fee = bump(
                last,
                history,
                urgency,
                policy,
                draft.gas,
                pressure_bps=pressure_bps,
                budget_wei=budget_wei,
                data_fee_wei=data_fee_wei,
            )
        else:
            fee = bid(
                history,
                urgency,
                policy,
                draft.gas,
                pressure_bps=pressure_bps,
                budget_wei=budget_wei,
                data_fee_wei=data_fee_wei,
            )
        cap_wei = policy.cap_wei(urgency, budget_wei) - data_fee_wei
        return Priced(replace(draft, fee=fee), cap_wei, data_fee_wei)
