"""Compiled calldata and answers against eth-abi: the same, and nothing taken that it refuses."""

from __future__ import annotations

import pytest
from eth_abi import abi as peer
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from agent.chain.codec import Unfit, decoder, encoder

WORDS = (
    "uint256",
    "uint128",
    "uint64",
    "uint8",
    "int256",
    "int128",
    "int24",
    "bool",
    "address",
    "bytes32",
    "bytes4",
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    structs = st.lists(inner, min_size=1, max_size=4).map(lambda parts: f"({','.join(parts)})")
    arrays = st.tuples(inner, st.integers(1, 3)).map(lambda pair: f"{pair[0]}[{pair[1]}]")
    return structs | arrays


kinds = st.recursive(st.sampled_from(WORDS), nested, max_leaves=6)


def values(kind: str) -> st.SearchStrategy[object]:
    """Values of a static type, edges among them."""
    if kind.endswith("]"):
        inner, _, count = kind[:-1].rpartition("[")
        return st.tuples(*[values(inner)] * int(count))
    if kind.startswith("("):
        return st.tuples(*map(values, members(kind)))
    if kind == "bool":
        return st.booleans()
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(to_checksum_address)
    if kind.startswith("bytes"):
        size = int(kind[5:])
        return st.binary(min_size=size, max_size=size)
    bits = int(kind.lstrip("uint"))
    low, high = (0, 2**bits - 1) if kind.startswith("uint") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.sampled_from([0, 1, low, high]) | st.integers(low, high)


def members(kind: str) -> list[str]:
    found, depth, start = [], 0, 1
    for at, char in enumerate(kind):
        depth += (char == "(") - (char == ")")
        if (char == "," and depth == 1) or (char == ")" and depth == 0):
            found.append(kind[start:at])
            start = at + 1
    return found


def as_peer(kind: str, value: object) -> object:
    """Addresses as eth-abi gives them back, all the rest alike."""
    if kind == "address":
        return str(value).lower()
    if kind.endswith("]") and isinstance(value, tuple):
        inner = kind[: kind.rindex("[")]
        return tuple(as_peer(inner, one) for one in value)
    if kind.startswith("(") and isinstance(value, tuple):
        return tuple(as_peer(inner, one) for inner, one in zip(members(kind), value, strict=True))
    return value


@given(st.lists(kinds, max_size=4), st.data())
def test_arguments_are_written_as_eth_abi_writes_them(types: list[str], data: st.DataObject) -> None:
    given_values = data.draw(st.tuples(*map(values, types)))
    write = encoder(tuple(types))
    assert write is not None
    assert write(given_values) == peer.encode(types, given_values)


@given(st.lists(kinds, min_size=1, max_size=4), st.data())
def test_answers_are_read_as_eth_abi_reads_them(types: list[str], data: st.DataObject) -> None:
    given_values = data.draw(st.tuples(*map(values, types)))
    read = decoder(tuple(types))
    assert read is not None
    assert read(peer.encode(types, given_values)) == given_values


@given(kinds, st.data())
def test_a_list_of_static_things_is_read_as_eth_abi_reads_it(kind: str, data: st.DataObject) -> None:
    given_values = tuple(data.draw(st.lists(values(kind), max_size=5)))
    read = decoder((f"{kind}[]",))
    assert read is not None
    assert read(peer.encode([f"{kind}[]"], [given_values])) == (given_values,)


@given(st.lists(kinds, min_size=1, max_size=3), st.data())
def test_bytes_of_any_kind_are_read_as_eth_abi_reads_them_or_left_to_it(
    types: list[str], data: st.DataObject
) -> None:
    whole = bytearray(peer.encode(types, data.draw(st.tuples(*map(values, types)))))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(whole)[: len(whole) - data.draw(st.sampled_from([0, 0, 1, 32]))]
    read = decoder(tuple(types))
    assert read is not None
    try:
        theirs: object = tuple(peer.decode(types, raw))
    except DecodingError:
        with pytest.raises(Unfit):
            read(raw)
        return
    if len(raw) == len(whole):
        mine = read(raw)
        assert tuple(as_peer(kind, one) for kind, one in zip(types, mine, strict=True)) == theirs


@given(st.lists(kinds, min_size=1, max_size=2), st.data())
def test_arguments_of_another_kind_are_left_to_eth_abi(types: list[str], data: st.DataObject) -> None:
    strange = st.sampled_from([-1, 2**256, 1.0, None, "x", b"", (), True, "0x12", b"\xff" * 33])
    given_values = tuple(data.draw(strange) for _ in types)
    write = encoder(tuple(types))
    assert write is not None
    try:
        theirs = peer.encode(types, given_values)
    except (EncodingError, ValueError, TypeError):
        with pytest.raises(Unfit):
            write(given_values)
        return
    try:
        assert write(given_values) == theirs
    except Unfit:
        return  # eth-abi takes it, and is asked


@pytest.mark.parametrize(
    "types", [("string",), ("bytes",), ("uint256[]", "bool"), ("(uint8,bytes)[]",), ("(uint256[])",)]
)
def test_what_has_no_fixed_size_is_not_compiled(types: tuple[str, ...]) -> None:
    assert decoder(types) is None
