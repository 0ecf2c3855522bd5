"""Tables and packed answers against plain integers and an ABI library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eth_abi import abi as codec
from hypothesis import given
from hypothesis import strategies as st

from agent.chain import multicall, packing
from agent.chain.abi import load, parse
from agent.chain.column import SUBJECT, Column
from agent.chain.manner import Ceiling, Manner, Means, Pace
from agent.chain.packing import Template
from agent.chain.table import Table
from agent.values.address import parse_address
from agent.values.call import Answer, Call

TARGET = parse_address("0x" + "00" * 18 + "1234")
OTHER = parse_address("0x" + "ab" * 20)
EDGES = [0, 1, 2**63, 2**64 - 1, 2**64, 2**128 - 1, 2**192, 2**255 - 1]
SIGNED = st.integers(-(2**255), 2**255 - 1) | st.sampled_from([x for e in EDGES for x in (e, -e)])
UNSIGNED = st.integers(0, 2**256 - 1) | st.sampled_from(EDGES)
ULPS = 4e-16  # two units of the last place


def table_of(values: list[int]) -> Table:
    raw = b"".join((value % 2**256).to_bytes(32, "big") for value in values)
    limbs = np.frombuffer(raw, ">u8").astype(np.uint64).reshape(len(values), 1, 4)
    return Table(np.ones((len(values), 1), np.bool_), (limbs,))


@given(st.lists(SIGNED, min_size=1, max_size=9))
def test_signed_words_are_the_integers(values: list[int]) -> None:
    table = table_of(values)
    assert table.integers(0, 0, signed=True) == values
    for found, value in zip(table.signed(0, 0).tolist(), values, strict=True):
        assert found == value if abs(value) < 2**53 else math.isclose(found, value, rel_tol=ULPS)


@given(st.lists(UNSIGNED, min_size=1, max_size=9))
def test_unsigned_words_are_the_integers(values: list[int]) -> None:
    table = table_of(values)
    assert table.integers(0, 0) == values
    assert table.integers(0, 0, [0]) == values[:1]
    for found, value in zip(table.unsigned(0, 0).tolist(), values, strict=True):
        assert found == value if value < 2**53 else math.isclose(found, value, rel_tol=ULPS)


def test_small_negatives_keep_every_digit() -> None:
    assert table_of([-1, -3, -(2**53) + 1]).signed(0, 0).tolist() == [-1.0, -3.0, -(2.0**53) + 1]


def test_a_cell_that_failed_is_no_number() -> None:
    table = table_of([5, 7])
    table.ok[1, 0] = False
    assert table.unsigned(0, 0)[0] == table.signed(0, 0)[0] == 5
    assert np.isnan(table.unsigned(0, 0)[1])
    assert np.isnan(table.signed(0, 0)[1])
    assert table.integers(0, 0, [0]) == [5]
    for rows in (None, [0, 1], [1]):
        with pytest.raises(ValueError, match="column 0 has no answer in row 1"):
            table.integers(0, 0, rows)


# --- Multicall3 --------------------------------------------------------------------------------------------

CALLS = st.lists(st.tuples(st.sampled_from([TARGET, OTHER]), st.binary(max_size=70)), max_size=5)


def aggregated(calls: list[tuple[str, bytes]]) -> bytes:
    return multicall.AGGREGATE3 + codec.encode(
        ["(address,bool,bytes)[]"], [[(target, True, data) for target, data in calls]]
    )


@given(CALLS)
def test_aggregated_calls_are_the_libraries_bytes(calls: list[tuple[str, bytes]]) -> None:
    assert multicall.list_payload([Call(*call) for call in calls]) == aggregated(calls)


@given(st.lists(st.integers(0, 2**72 - 1), min_size=1, max_size=4), st.integers(0, 3), st.integers(9, 32))
def test_an_aggregated_table_is_the_libraries_bytes(subjects: list[int], more: int, width: int) -> None:
    templates = [
        Template(TARGET, b"abcd" + bytes(32) + b"tail" * more, (4,), 1),
        Template(OTHER, b"efgh" + b"\1" * 32 + bytes(64), (36, 68), 2),
        Template(OTHER, b"none", (), 1),
    ]
    words = [subject.to_bytes(32, "big") for subject in subjects]
    expected = [
        call
        for word in words
        for call in (
            (TARGET, b"abcd" + word + b"tail" * more),
            (OTHER, b"efgh" + b"\1" * 32 + word * 2),
            (OTHER, b"none"),
        )
    ]
    packed = packing.packed_subjects(subjects, width)
    assert multicall.table_payload(templates, width, packed) == aggregated(expected)


ANSWERS = st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=6)


@given(ANSWERS)
def test_an_aggregated_answer_is_read_as_the_library_reads_it(answers: list[tuple[bool, bytes]]) -> None:
    raw = codec.encode(["(bool,bytes)[]"], [answers])
    assert multicall.list_answers(raw, len(answers)) == [Answer(*answer) for answer in answers]
    assert multicall.list_answers(raw, len(answers) + 1) is None
    templates = [Template(TARGET, b"", (), 2)]
    found = multicall.table_cells(raw, templates, len(answers))
    assert found is not None
    succeeded, ok, kept = found
    assert succeeded[:, 0].tolist() == [flag for flag, _ in answers]
    assert ok[:, 0].tolist() == [flag and len(data) >= 64 for flag, data in answers]
    for row, (flag, data) in enumerate(answers):
        expected = data[:64] if flag and len(data) >= 64 else bytes(64)
        assert kept[0][row].astype(">u8").tobytes() == expected


@given(ANSWERS, st.integers(0, 40), st.integers(0, 2**256 - 1), st.integers(0, 300))
def test_a_damaged_answer_is_refused_or_read_within_its_bounds(
    answers: list[tuple[bool, bytes]], place: int, word: int, cut: int
) -> None:
    raw = bytearray(codec.encode(["(bool,bytes)[]"], [answers]))
    raw[place * 32 : place * 32 + 32] = word.to_bytes(32, "big")
    damaged = bytes(raw[: len(raw) - cut])
    found = multicall.list_answers(damaged, len(answers))
    assert found is None or len(found) == len(answers)
    multicall.table_cells(damaged, [Template(TARGET, b"", (), 3)], len(answers))


# --- lenses ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=80), st.integers(0, 5), st.integers(0, 5))
def test_what_is_no_answer_of_a_lens_is_refused(noise: bytes, done: int, most: int) -> None:
    assert packing.header(noise) is None or noise.startswith(packing.MAGIC)
    answer = packing.MAGIC + done.to_bytes(8, "big") + bytes(16) + noise
    header = packing.header(answer)
    assert header is not None
    assert header.done == done
    dtype = packing.row_dtype([Template(TARGET, b"", (), 1)])
    rows = packing.table_rows(answer, header, dtype, most)
    assert (rows is None) == (done > most or len(noise) != done * 33)
    answers = packing.call_answers(answer, header, most)
    assert answers is None or (len(answers) == done <= most)


def test_a_list_is_packed_and_its_answer_unpacked_as_the_contract_says() -> None:
    packed = packing.call_payload([Call(TARGET, b"abc"), Call(OTHER, b"")], [2**40, 5])
    first = bytes.fromhex(TARGET[2:]) + b"\xff" * 4 + b"\0\0\3abc"
    assert packed == first + bytes.fromhex(OTHER[2:]) + b"\0\0\0\5" + b"\0\0\0"
    records = b"\1" + bytes(4) + b"\0\0\0\3xyz" + b"\0" + bytes(8) + b"\3" + bytes(4) + b"\0\0\0\1z"
    answer = packing.MAGIC + (3).to_bytes(8, "big") + bytes(16) + records
    header = packing.header(answer)
    assert header is not None
    expected = [Answer(True, b"xyz"), Answer(False, b""), None]  # the last may have lacked gas
    assert packing.call_answers(answer, header, 3) == expected
    assert packing.call_answers(answer + b"?", header, 3) is None


def test_the_subject_may_stand_in_several_places_among_others() -> None:
    source = "test"
    names = ["bool", "(uint8,bytes32)", "address", "string", "uint16[2]", "int24"]
    inputs: list[dict[str, object]] = [{"type": name, "name": ""} for name in names]
    inputs[1] = {"type": "tuple", "name": "", "components": [{"type": "uint8"}, {"type": "bytes32"}]}
    fragment = {"type": "function", "name": "many", "inputs": inputs, "outputs": []}
    function = parse("test", source, [fragment])["many"]
    column = Column(TARGET, function, (SUBJECT, (3, b"x" * 32), SUBJECT, "text", (1, 2), SUBJECT), 1)
    template = column.template
    data = bytearray(template.data)
    for hole in template.holes:
        data[hole : hole + 32] = (1).to_bytes(32, "big")
    expected = function.encode(True, (3, b"x" * 32), "0x" + "00" * 19 + "01", "text", (1, 2), 1)
    assert bytes(data) == expected
    assert column.bits == 1
    with pytest.raises(TypeError, match="a subject is one word, and no string"):
        _ = Column(TARGET, function, (True, (3, b"x" * 32), OTHER, SUBJECT, (1, 2), 0), 1).template
    assert Column(TARGET, load("erc20")["balanceOf"], (SUBJECT,), 1).bits == 160


# --- what an endpoint has shown ----------------------------------------------------------------------------


@given(st.integers(1, 3_000))
def test_a_ceiling_settles_below_what_is_refused(limit: int) -> None:
    ceiling, refusals = Ceiling(2_000), 0
    sizes = []
    for _ in range(200):
        asked = ceiling.now
        if asked > limit:
            ceiling.shrink(asked)
            refusals += 1
        else:
            ceiling.grow(asked)
            sizes.append(asked)
    assert refusals <= 16
    assert sum(sizes[-50:]) / 50 >= min(limit, 2_000) * 0.6 - 1


def test_one_thing_that_is_always_refused_does_not_lower_the_ceiling() -> None:
    ceiling = Ceiling(1_000)
    ceiling.grow(1_000)
    while ceiling.now > 1:
        ceiling.shrink(ceiling.now)
    ceiling.excuse()
    assert ceiling.now == 1_000


def test_as_many_connections_as_pay() -> None:
    for speeds, best in (
        ({1: 100, 2: 105, 4: 300}, 1),
        ({1: 100, 2: 180, 4: 190}, 2),
        ({1: 1, 2: 2, 4: 4}, 4),
    ):
        pace = Pace()
        pace.learn(pace.width(), 1e9)  # the first is not counted
        seen = []
        for _ in range(20):
            width = pace.width()
            seen.append(width)
            pace.learn(width, speeds[width])
        assert seen[-5:] == [best] * 5
        pace.narrow()
        assert pace.width() == 1


def test_an_endpoint_that_can_do_less_is_tried_again_after_a_while() -> None:
    now_s = [0.0]
    manner = Manner(clock=lambda: now_s[0])
    assert manner.means is None
    manner.settle(Means.PLAIN, 0)
    assert manner.means is Means.PLAIN
    now_s[0] = 601.0
    assert manner.means is None
    manner.settle(Means.OVERRIDE, 30_000_000)
    now_s[0] = 1e6
    assert manner.means is Means.OVERRIDE
    manner.forget()
    assert manner.means is None
    assert Manner(Means.DEPLOYLESS).allowed == (Means.DEPLOYLESS, Means.PLAIN)
