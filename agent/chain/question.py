"""Named questions to contracts, and their replies: how a reading is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from agent.chain.abi import Function, Value
from agent.errors import DecodeMismatch
from agent.values.address import Address
from agent.values.call import Answer, Call, Reading

K = TypeVar("K")
Row = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A view of one contract with its arguments."""

    target: Address
    function: Function
    arguments: tuple[object, ...] = ()

    @property
    def call(self) -> Call:
        return self.function.asked(self.target, self.arguments)


@dataclass(frozen=True, slots=True)
class Reply:
    """A question and its answer, not yet decoded: each way to read it raises ReadReverted if the contract
    refused and DecodeMismatch if the bytes are not of that shape.
    """

    question: Question
    call: Call
    answer: Answer

    @property
    def ok(self) -> bool:
        """Whether the contract answered at all."""
        return self.answer.ok

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self.question.function.read(self.call, self.answer)

    @property
    def integer(self) -> int:
        """The one output, a number or a flag."""
        return self.question.function.integer(self.call, self.answer)

    @property
    def integers(self) -> tuple[int, ...]:
        """All outputs, numbers and flags, structs flattened."""
        return self.question.function.integers(self.call, self.answer)

    @property
    def row(self) -> Row:
        """The first output, a struct of ints."""
        return cast(Row, self.outputs[0])

    @property
    def rows(self) -> tuple[Row, ...]:
        """The first output, a list of structs of ints."""
        return cast(tuple[Row, ...], self.outputs[0])

    @property
    def address(self) -> Address:
        return self.question.function.address(self.call, self.answer)

    @property
    def text(self) -> str:
        return self.question.function.text(self.call, self.answer)

    def mismatch(self, expected: str, reason: str) -> DecodeMismatch:
        """For an answer that decodes and cannot be true."""
        return DecodeMismatch(
            label=self.call.label, target=self.call.target, expected=expected, reason=reason
        )


def ask(questions: Mapping[K, Question]) -> Reading[dict[K, Reply]]:
    """One round: every question in one batch, the replies by the same names. None asked, none sent."""
    if not questions:
        return {}
    calls = tuple(question.call for question in questions.values())
    answers = yield calls
    return {
        name: Reply(question, call, answer)
        for (name, question), call, answer in zip(questions.items(), calls, answers, strict=True)
    }
