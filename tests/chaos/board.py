"""A few numbers that conductor and agent share, whatever happens to the agent: memory that outlives it."""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum

NONE = -1


class Field(IntEnum):
    """Where each number is."""

    TARGET = 0  # orders that are wanted: all below this number
    FLOOR = 1  # orders below this number are on chain for good
    FUSE = 2  # the boundary to die at, as an index of worker.BOUNDARIES; NONE: live
    MOOD = 3  # of the signer
    CLOCK_S = 4  # how far the agent's wall clock is off
    DISK_FULL = 5
    SEEN = 6  # first bytes of the hash of the head that was worked on last
    TURNS = 7
    SABOTAGE = 8


class Board:
    """Shared between processes that descend from the one that made it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * len(Field))
        self[Field.FUSE] = NONE

    def __getitem__(self, field: Field) -> int:
        return int(struct.unpack_from("q", self._memory, 8 * field)[0])

    def __setitem__(self, field: Field, value: int) -> None:
        struct.pack_into("q", self._memory, 8 * field, value)
