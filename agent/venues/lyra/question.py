"""One read of a contract: the call it makes and what its answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from agent.chain.abi import Function, decode_error, load
from agent.errors import DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.call import Answer, Call, Reading

Row = tuple[int, ...]

LYRA = load("lyra")
ERC20 = load("erc20")


@dataclass(frozen=True, slots=True)
class Question:
    """A view function of one contract with its arguments."""

    target: Address
    function: Function
    arguments: tuple[object, ...] = ()

    @property
    def call(self) -> Call:
        return self.function.at(self.target, *self.arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """A question and its answer, not yet decoded: each way to read it raises ReadReverted if the contract
    refused and DecodeMismatch if the bytes are not of that shape.
    """

    question: Question
    answer: Answer

    @property
    def outputs(self) -> tuple[object, ...]:
        """Every output."""
        asked, answer = self.question, self.answer
        if not answer.ok:
            raise ReadReverted(
                label=asked.function.label, target=asked.target, reason=decode_error(answer.data, (LYRA,))
            )
        return asked.function.decode(answer.data, asked.target)

    @property
    def integer(self) -> int:
        """The first output, an int (a bool counts 0 or 1)."""
        return int(cast(int, self.outputs[0]))

    @property
    def row(self) -> Row:
        """The first output, a struct of ints."""
        return cast(Row, self.outputs[0])

    @property
    def rows(self) -> tuple[Row, ...]:
        """The first output, a list of structs of ints."""
        return cast(tuple[Row, ...], self.outputs[0])

    def mismatch(self, expected: str, reason: str) -> DecodeMismatch:
        """It decodes, and cannot be true."""
        asked = self.question
        return DecodeMismatch(
            label=asked.function.label, target=asked.target, expected=expected, reason=reason
        )


def ask(questions: Mapping[str, Question]) -> Reading[dict[str, Reply]]:
    """One round: every question in one batch, the replies by the same names."""
    answers = yield tuple(question.call for question in questions.values())
    return {
        name: Reply(question, answer)
        for (name, question), answer in zip(questions.items(), answers, strict=True)
    }
