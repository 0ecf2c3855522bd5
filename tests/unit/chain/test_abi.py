"""Calldata and answers against eth-abi, the slow obvious way, and what must be refused."""

from __future__ import annotations

import pytest
from eth_abi import abi as codec
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agent.chain.abi import decode_error, load, parse
from agent.errors import DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.call import Answer

HOME = Address("0x000000000000000000000000000000000000dEaD")


def typed(name: str, kind: str, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


def function(
    name: str, inputs: list[dict[str, object]], outputs: list[dict[str, object]]
) -> dict[str, object]:
    return {"type": "function", "name": name, "inputs": inputs, "outputs": outputs}


STRUCT = typed("order", "tuple", components=[typed("who", "address"), typed("sizes", "uint256[]")])
LOGGED = [typed("who", "address", indexed=True), typed("size", "int256", indexed=False)]
FRAGMENTS = [
    function("place", [STRUCT, typed("b", "bool")], [STRUCT]),
    function("pair", [], [typed("a", "uint256"), typed("b", "int24")]),
    function("row", [], [typed("", "uint128[3]")]),
    function("close", [], []),
    function("close", [typed("x", "uint256")], []),
    {"type": "event", "name": "Done", "inputs": LOGGED},
    {"type": "error", "name": "TooMuch", "inputs": [typed("x", "uint256"), typed("y", "bytes")]},
]
THING = parse("thing", "a test", FRAGMENTS)


@given(st.lists(st.integers(0, 2**256 - 1), max_size=4), st.booleans())
def test_calldata_is_what_eth_abi_makes(sizes: list[int], flag: bool) -> None:
    selector = keccak(text="place((address,uint256[]),bool)")[:4]
    expected = selector + codec.encode(["(address,uint256[])", "bool"], [(HOME, sizes), flag])
    assert THING["place"].encode((HOME, sizes), flag) == expected


@given(st.lists(st.integers(0, 2**256 - 1), max_size=4))
def test_what_was_encoded_decodes_with_checksummed_addresses(sizes: list[int]) -> None:
    data = codec.encode(["(address,uint256[])"], [(HOME.lower(), sizes)])
    assert THING["place"].decode(data) == ((HOME, tuple(sizes)),)


@given(st.integers(0, 2**256 - 1), st.integers(-(2**23), 2**23 - 1))
def test_numbers_come_back_as_they_were(a: int, b: int) -> None:
    call = THING["pair"].at(HOME)
    data = codec.encode(["uint256", "int24"], [a, b])
    assert THING["pair"].integers(call, Answer(True, data)) == (a, b)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 32, b"\0" * 63, b"\0" * 65, b"\0" * 96, b"\0" * 32 + b"\x01" + b"\0" * 31],
    ids=["nothing", "short", "odd short", "odd long", "long", "bad padding of an int24"],
)
def test_an_answer_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeMismatch, match=r"thing\.pair"):
        THING["pair"].decode(data)


@pytest.mark.parametrize("data", [b"\xff" * 64, b"\0" * 64, (2**255).to_bytes(32, "big") * 2])
def test_a_dynamic_answer_with_wild_offsets_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeMismatch):
        THING["place"].decode(data)


def test_fixed_arrays_have_a_fixed_size() -> None:
    assert THING["row"].decode(codec.encode(["uint128[3]"], [[1, 2, 3]])) == ((1, 2, 3),)
    with pytest.raises(DecodeMismatch):
        THING["row"].decode(b"\0" * 128)


def test_the_length_of_an_answer_is_known_where_it_is_fixed() -> None:
    pair = [typed("a", "uint8"), typed("b", "int24[3]")]
    cases = {
        "fixed": ([typed("x", "tuple", components=pair), typed("y", "address")], 5),
        "many": ([typed("x", "tuple[2]", components=pair)], 8),
        "dynamic": ([typed("x", "tuple[]", components=pair)], None),
        "text": ([typed("x", "uint256"), typed("y", "string")], None),
        "nothing": ([], 0),
    }
    contract = parse("some", "here", [function(name, [], outputs) for name, (outputs, _) in cases.items()])
    assert {name: contract[name].words for name in cases} == {
        name: words for name, (_, words) in cases.items()
    }


def test_an_overloaded_function_must_be_asked_for_by_its_signature() -> None:
    assert THING["close()"].encode() != THING["close(uint256)"].encode(1)[:4]
    with pytest.raises(KeyError):
        THING["close"]


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match=r"thing\.close"):
        THING["close(uint256)"].encode(-1)
    with pytest.raises(TypeError, match=r"thing\.close"):
        THING["close(uint256)"].encode()


def test_a_reverted_read_says_why() -> None:
    call = THING["pair"].at(HOME)
    data = bytes.fromhex("08c379a0") + codec.encode(["string"], ["CH_EAV"])
    with pytest.raises(ReadReverted, match=r"thing.pair at 0x.* reverted: CH_EAV"):
        THING["pair"].read(call, Answer(False, data))


def test_revert_data_is_put_into_words() -> None:
    custom = keccak(text="TooMuch(uint256,bytes)")[:4] + codec.encode(["uint256", "bytes"], [7, b"\xab"])
    assert decode_error(custom, THING.errors) == "TooMuch(7, 0xab)"
    assert decode_error(custom) == "error 0x" + custom[:4].hex() + " with 128 bytes"
    panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    assert decode_error(panic) == "panic 0x11 (arithmetic overflow)"
    assert "no reason" in decode_error(b"")
    assert "malformed" in decode_error(bytes.fromhex("08c379a0") + b"\0" * 5)


def test_a_log_is_decoded_by_name() -> None:
    topics = [THING.events["Done"].topic, "0x" + HOME[2:].lower().rjust(64, "0")]
    event = THING.event_of(topics)
    assert event is not None
    assert event.decode(topics, (-5).to_bytes(32, "big", signed=True)) == {"who": HOME, "size": -5}
    assert THING.event_of(["0x" + "00" * 32]) is None
    with pytest.raises(DecodeMismatch):
        event.decode(topics[:1], b"\0" * 32)


def test_the_packages_own_abis_are_found_and_name_their_source() -> None:
    erc20 = load("erc20")
    assert erc20["balanceOf"].selector.hex() == "70a08231"
    assert "eips.ethereum.org" in erc20.source
    with pytest.raises(KeyError, match="nothing_like_it"):
        load("nothing_like_it")
