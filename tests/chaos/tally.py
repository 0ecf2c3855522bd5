"""What a storm came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What an act came to. ``troubles`` say in words what was not as it should be."""

    faults: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)  # by commit and side
    intents: int = 0
    wanted: int = 0
    lost: int = 0
    doubled: int = 0
    stranded: int = 0
    operator_actions: int = 0
    crashes: int = 0
    blocks: int = 0
    starts: int = 0
    settle_blocks: list[int] = field(default_factory=list)
    halts: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in vars(self):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, mine + theirs)

    @property
    def is_clean(self) -> bool:
        return (
            not (self.lost or self.doubled or self.stranded or self.operator_actions or self.crashes)
            and not self.troubles
        )
