"""The hashes of many contracts' code in one ``eth_call``: a program that is never deployed asks EXTCODEHASH.

What a creation returns would become code, so it must not begin with 0xEF (EIP-3541): a word of zero comes
first.
"""

from __future__ import annotations

from agent.errors import DecodeMismatch
from agent.values.address import Address
from agent.values.call import Answer, Codes

ADDRESS, WORD = 20, 32
MOST = 700  # 24,576 bytes of code less the first word (EIP-170)
_PUSH20, _EXTCODEHASH, _PUSH2, _MSTORE, _RETURN = 0x73, 0x3F, 0x61, 0x52, 0xF3
_PUSH1_ZERO = b"\x60\x00"


def codes_of(addresses: tuple[Address, ...]) -> Codes:
    """The call that asks for all of them: at least one, at most ``MOST``."""
    if not 0 < len(addresses) <= MOST:
        raise ValueError(f"{len(addresses)} addresses; 1 to {MOST} can be asked at once")
    data = b"".join(bytes.fromhex(address[2:]) for address in addresses)
    return Codes(addresses[0], data, label="code hashes")


def addresses_of(call: Codes) -> list[str]:
    """The addresses asked for, in order, in lower case."""
    return ["0x" + call.data[at : at + ADDRESS].hex() for at in range(0, len(call.data), ADDRESS)]


def program(call: Codes) -> bytes:
    """The creation code that returns a word of zero and the hashes."""
    code = bytearray()
    count = len(call.data) // ADDRESS
    for index in range(count):
        place = ((index + 1) * WORD).to_bytes(2, "big")
        code += bytes([_PUSH20]) + call.data[index * ADDRESS : (index + 1) * ADDRESS]
        code += bytes([_EXTCODEHASH, _PUSH2]) + place + bytes([_MSTORE])
    size = ((count + 1) * WORD).to_bytes(2, "big")
    return bytes(code) + bytes([_PUSH2]) + size + _PUSH1_ZERO + bytes([_RETURN])


def hashes(call: Codes, answer: Answer) -> Answer:
    """The answer without the first word. Raises DecodeMismatch if it is not as long as was asked for."""
    words = len(call.data) // ADDRESS
    if answer.ok and len(answer.data) != (words + 1) * WORD:
        raise DecodeMismatch(
            label=call.label,
            target=call.target,
            expected=f"{words + 1} words",
            reason=f"{len(answer.data)} bytes came",
        )
    return Answer(answer.ok, answer.data[WORD:]) if answer.ok else answer
