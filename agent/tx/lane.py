"""How patient and how generous the lane is, by urgency."""

from __future__ import annotations

from dataclasses import dataclass

from agent.market.intent import Urgency
from agent.tx.attempt import Pace
from agent.tx.fees import FeePolicy, patience


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """``confirm_depth`` 1 is the block itself; ``bump_after``: blocks before an urgency is outbid;
    ``private_for``: blocks for which only builders are shown it, where there are private channels;
    ``ladder_rungs``: replacements signed in advance."""

    fees: FeePolicy
    confirm_depth: int = 2
    bump_after_housekeeping: int = 6
    bump_after_normal: int = 3
    bump_after_rescue: int = 1
    private_for_housekeeping: int = 10
    private_for_normal: int = 5
    private_for_rescue: int = 2
    ladder_rungs: int = 0

    def pace(self, urgency: Urgency, pressure_bps: int = 0) -> Pace:
        """How patient to be with an errand of this urgency; the more presses, the less."""
        bump_after, private_for = {
            Urgency.HOUSEKEEPING: (self.bump_after_housekeeping, self.private_for_housekeeping),
            Urgency.NORMAL: (self.bump_after_normal, self.private_for_normal),
            Urgency.RESCUE: (self.bump_after_rescue, self.private_for_rescue),
        }[urgency]
        return Pace(self.confirm_depth, patience(bump_after, pressure_bps), private_for)
