"""The same questions to many accounts at one block: a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from agent.chain.abi import Function, static_size
from agent.chain.manner import Means
from agent.chain.packing import WORD, Template
from agent.chain.rpc import Rpc
from agent.chain.sheet import Sheet
from agent.chain.table import Table
from agent.chain.tabulation import Tabulation
from agent.chain.wire import Part, RpcCall
from agent.values.address import Address
from agent.values.block import Block

__all__ = ["SUBJECT", "Column", "Table", "read_table", "requests_of"]

SELECTOR = 4
MOST_COLUMNS = 255
MOST_SIZE = 0xFFFF  # of a calldata in bytes, and of the words kept


class Hole(Enum):
    """Stands among arguments for what differs from row to row."""

    SUBJECT = "subject"


SUBJECT: Final = Hole.SUBJECT


@dataclass(frozen=True, slots=True)
class Column:
    """A view of one contract, asked for every subject; ``words`` of its answer are kept, from the first.

    The subject stands for a whole argument of one word: an address, a number, a flag or a bytes32.
    """

    target: Address
    function: Function
    arguments: tuple[object, ...]
    words: int

    @property
    def template(self) -> Template:
        """Its calldata with holes. Raises TypeError if the arguments are not the function's, and ValueError
        if it is larger than a lens takes.
        """
        holes, filled, place = [], [], SELECTOR
        for kind, argument in zip(self.function.inputs, self.arguments, strict=True):
            if argument is SUBJECT:
                holes.append(place)
                filled.append(_nothing(kind))
            else:
                filled.append(argument)
            place += static_size((kind,)) or WORD
        template = Template(self.target, self.function.encode(*filled), tuple(holes), self.words)
        if not 0 < self.words <= MOST_SIZE or len(template.data) > MOST_SIZE or len(holes) > MOST_COLUMNS:
            raise ValueError(f"{self.function.label}: {self.words} words of {len(template.data)} bytes asked")
        return template

    @property
    def bits(self) -> int:
        """How large its subjects may be."""
        kinds = zip(self.function.inputs, self.arguments, strict=True)
        return min((_bits(kind) for kind, argument in kinds if argument is SUBJECT), default=8 * WORD)


def read_table(rpc: Rpc, block: Block, columns: Sequence[Column], subjects: Sequence[int]) -> Table:
    """What every column says of every subject (an address or an id, as a number), all at ``block``'s hash.

    Takes as few requests as the node's limits allow. A call that reverts, or cannot be run, spoils its own
    cell only. A lens asks the getters, so ``msg.sender`` is not address zero to them. Raises ReadUnpinned
    and what `Rpc` raises; TypeError and ValueError for columns and subjects that cannot be asked.
    """
    return rpc.carry(Tabulation(_sheet(block, columns, subjects)))


def requests_of(
    part: Part,
    means: Means,
    block: Block,
    columns: Sequence[Column],
    subjects: Sequence[int],
) -> Iterator[RpcCall]:
    """The requests that `read_table` would send to an endpoint that it knows, by a lens: for measurements."""
    sheet = _sheet(block, columns, subjects)
    size = sheet.rows_at_once(part, means, 1)
    for start in range(0, sheet.rows, size):
        yield sheet.lens_request(part, means, start, min(start + size, sheet.rows))


def _sheet(block: Block, columns: Sequence[Column], subjects: Sequence[int]) -> Sheet:
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"{len(columns)} columns, at most {MOST_COLUMNS} can be asked at once")
    bits = min((column.bits for column in columns), default=8 * WORD)
    if subjects and (min(subjects) < 0 or max(subjects).bit_length() > bits):
        raise ValueError(f"a subject is negative or of more than {bits} bits")
    return Sheet([column.template for column in columns], subjects, block)


def _nothing(kind: str) -> object:
    if kind == "address":
        return f"0x{0:040x}"
    if kind == "bytes32":
        return bytes(WORD)
    if kind == "bool":
        return False
    if kind.startswith(("uint", "int")) and not kind.endswith("]"):
        return 0
    raise TypeError(f"a subject is one word, and no {kind}")


def _bits(kind: str) -> int:
    if kind in {"address", "bytes32"}:
        return 160 if kind == "address" else 256
    if kind == "bool":
        return 1
    return int(kind.removeprefix("u").removeprefix("int")) - (not kind.startswith("u"))
