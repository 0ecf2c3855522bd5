"""What the judging of one venue came to."""

from __future__ import annotations

from dataclasses import dataclass, field

RELATIVE = 1e-9  # how far a solved flip may be from the contract's, unless one price step is further


@dataclass
class Tally:
    """``max_relative_error`` is |solved - contract's| / contract's flip, the largest found, and ``tolerance``
    says what is allowed of it. ``judged`` counts answers of the contract by what was asked. ``troubles`` say
    in words what was not as it should be.
    """

    accounts: int = 0
    by_transaction: int = 0
    wrong_side: int = 0
    max_relative_error: float = 0.0
    tolerance: str = ""
    troubles: list[str] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, times: int = 1) -> None:
        self.judged[what] = self.judged.get(what, 0) + times

    def judge(self, what: str, *, is_right: bool) -> None:
        """One answer of the contract: on the side that was foretold, or not."""
        self.count(what.split(":", maxsplit=1)[0])
        if not is_right:
            self.wrong_side += 1
            self.troubles.append(what)

    def measure(self, what: str, solved: int, contracts: int, allowed: int) -> None:
        """How far a solved flip is from the contract's own; ``allowed`` is one step of the venue's price."""
        self.count("bisected")
        error = abs(solved - contracts) / contracts if contracts else float(solved != 0)
        self.max_relative_error = max(self.max_relative_error, error)
        if error > RELATIVE and abs(solved - contracts) > allowed:
            self.troubles.append(f"{what}: solved {solved}, the contract's flip is {contracts}")

    @property
    def is_clean(self) -> bool:
        return self.wrong_side == 0 and not self.troubles
