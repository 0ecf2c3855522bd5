"""After the fact: do the postconditions hold at the receipt's block?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import DecodeMismatch, ReadReverted
from agent.values.address import ZERO
from agent.values.block import Block
from agent.values.call import Call, Reading
from agent.values.check import Check, Term
from agent.values.fixed import WAD


@dataclass(frozen=True, slots=True)
class Proof:
    """One check as the chain answers it now. ``value_wad`` is the exact sum times 1e18."""

    name: str
    value_wad: int
    lower: int
    upper: int

    @property
    def kept(self) -> bool:
        """The same comparison the executor makes, without rounding."""
        return self.lower * WAD <= self.value_wad <= self.upper * WAD

    @property
    def value(self) -> int:
        """The value in the check's own unit, rounded down, for display."""
        return self.value_wad // WAD


def prove(checks: Sequence[Check], block: Block, native_wei: int) -> Reading[tuple[Proof, ...]]:
    """Read every term of every check in one batch and compare, as the executor did inside the batch.

    A term of the zero address reads the chain: word 0 the block's time, word 1 the account's native balance.

    Raises ReadReverted when a term cannot be read, DecodeMismatch when its answer is too short.
    """
    terms = [(check, term) for check in checks for term in check.terms]
    read = [(check, term) for check, term in terms if term.target != ZERO]
    answers = yield tuple(Call(term.target, term.data, label=check.name) for check, term in read)
    came = iter(answers)
    sums = dict.fromkeys(range(len(checks)), 0)
    index_of = {id(check): index for index, check in enumerate(checks)}
    for check, term in terms:
        if term.target == ZERO:
            own = block.timestamp_s if term.word == 0 else native_wei
            sums[index_of[id(check)]] += own * term.multiplier_wad
            continue
        answer = next(came)
        if not answer.ok:
            raise ReadReverted(label=check.name, target=term.target, reason="0x" + answer.data.hex())
        sums[index_of[id(check)]] += _word(check, term, answer.data) * term.multiplier_wad
    return tuple(
        Proof(check.name, sums[index], check.lower, check.upper) for index, check in enumerate(checks)
    )


def _word(check: Check, term: Term, data: bytes) -> int:
    start = term.word * 32
    if len(data) < start + 32:
        raise DecodeMismatch(
            label=check.name,
            target=term.target,
            expected=f"at least {term.word + 1} words",
            reason=f"{len(data)} bytes came",
        )
    return int.from_bytes(data[start : start + 32], "big", signed=term.is_signed)
