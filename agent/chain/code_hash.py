"""The hashes of many contracts' code in one ``eth_call``: a program that is never deployed asks EXTCODEHASH.

What a creation returns would become code, so it must not begin with 0xEF (EIP-3541): a word of zero comes
first.
"""

from __future__ import annotations

from eth_utils.crypto import keccak

from agent.errors import DecodeMismatch
from agent.values.address import Address
from agent.values.call import Answer, Call, Code, Codes

WORD = 32
MOST = 700  # 24,576 bytes of code less the first word (EIP-170)
_PUSH20, _EXTCODEHASH, _PUSH2, _MSTORE, _RETURN = 0x73, 0x3F, 0x61, 0x52, 0xF3
_ZERO = b"\x60\x00"  # not PUSH0, which some chains do not know


def questions(addresses: tuple[Address, ...], *, one_by_one: bool = False) -> tuple[Call, ...]:
    """The calls that ask for the hashes of all of them: one, or the code of each where a node runs no program
    that has no address. Raises ValueError for more than ``MOST``.
    """
    if len(addresses) > MOST:
        raise ValueError(f"{len(addresses)} addresses; {MOST} can be asked at once")
    if one_by_one:
        return tuple(Code(address, b"", label="code") for address in addresses)
    return (Codes(addresses[0], program(addresses), label="code hashes"),) if addresses else ()


def program(addresses: tuple[Address, ...]) -> bytes:
    """The creation code that returns a word of zero and the hashes."""
    code = bytearray()
    for index, address in enumerate(addresses, 1):
        place = (index * WORD).to_bytes(2, "big")
        code += bytes([_PUSH20]) + bytes.fromhex(address[2:])
        code += bytes([_EXTCODEHASH, _PUSH2]) + place + bytes([_MSTORE])
    size = ((len(addresses) + 1) * WORD).to_bytes(2, "big")
    return bytes(code) + bytes([_PUSH2]) + size + _ZERO + bytes([_RETURN])


def hashes(addresses: tuple[Address, ...], calls: tuple[Call, ...], answers: tuple[Answer, ...]) -> list[str]:
    """The hash of each address' code, 64 hex digits (all zero where there is no account).

    Raises DecodeMismatch if the answer is not as long as was asked for.
    """
    if not addresses:
        return []
    if isinstance(calls[0], Code):
        return [keccak(answer.data).hex() for answer in answers]
    (call,), (answer,) = calls, answers
    data = answer.data
    if not answer.ok or len(data) != (len(addresses) + 1) * WORD:
        raise DecodeMismatch(
            label=call.label,
            target=call.target,
            expected=f"{len(addresses) + 1} words",
            reason=f"{len(data)} bytes came" if answer.ok else "the program reverted",
        )
    return [data[at : at + WORD].hex() for at in range(WORD, len(data), WORD)]
