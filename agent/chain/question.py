"""Named questions to contracts, and their replies: how a reading is written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar, cast

from agent.chain.abi import Function, Value
from agent.errors import DecodeMismatch
from agent.values.address import Address
from agent.values.call import Answer, Call, Reading

K = TypeVar("K")
Row = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A view of one contract with its arguments. ``is_direct``: see `agent.values.call.Call`."""

    target: Address
    function: Function
    arguments: tuple[object, ...] = ()
    is_direct: bool = field(default=False, kw_only=True)

    @property
    def call(self) -> Call:
        call = self.function.asked(self.target, self.arguments)
        return replace(call, is_direct=True) if self.is_direct else call


@dataclass(slots=True)  # one is made for every look at an answer, and a frozen one is slow to make
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
        (value,) = self.question.function.integers(self.call, self.answer)
        return value

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


class Round(Generic[K]):
    """Named questions that are asked in one batch, again and again: their calls are written once."""

    __slots__ = ("calls", "places", "questions")

    def __init__(self, questions: Mapping[K, Question]) -> None:
        self.places = {name: place for place, name in enumerate(questions)}
        self.questions = tuple(questions.values())
        self.calls = tuple(question.call for question in self.questions)


class Replies(Mapping[K, Reply]):
    """The replies to a round by the questions' names, each made when it is looked at."""

    __slots__ = ("_round", "answers")

    def __init__(self, asked: Round[K], answers: tuple[Answer, ...]) -> None:
        self._round = asked
        self.answers = answers

    def __getitem__(self, name: K) -> Reply:
        place = self._round.places[name]
        return Reply(self._round.questions[place], self._round.calls[place], self.answers[place])

    def __iter__(self) -> Iterator[K]:
        return iter(self._round.places)

    def __len__(self) -> int:
        return len(self.answers)

    def data(self, names: Iterable[K]) -> tuple[bytes | None, ...]:
        """What came back under each name; None where the contract refused: two times the same is the same."""
        places, answers = self._round.places, self.answers
        found = [answers[places[name]] for name in names]
        return tuple([answer.data if answer.ok else None for answer in found])


def ask_again(asked: Round[K]) -> Reading[Replies[K]]:
    """One round. None asked, none sent."""
    if not asked.calls:
        return Replies(asked, ())
    answers = yield asked.calls
    return Replies(asked, answers)


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
