"""Names of things on a chain. Each is its own type so that none can stand in for another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType

from eth_utils.address import is_checksum_address, to_checksum_address

from agent.errors import AddressMalformed

Address = NewType("Address", str)  # EIP-55 checksummed
TxHash = NewType("TxHash", str)  # 0x + 64 lower-case hex digits
BlockHash = NewType("BlockHash", str)  # 0x + 64 lower-case hex digits
IntentId = NewType("IntentId", str)  # 0x + 64 lower-case hex digits
ChainId = NewType("ChainId", int)
MarketId = NewType("MarketId", str)  # "<venue>:<address or number>", from the contract, never a symbol

ZERO = Address("0x0000000000000000000000000000000000000000")


def parse_address(text: str) -> Address:
    """The checksummed address in ``text``. Raises AddressMalformed on anything else.

    All-lower and all-upper hex is accepted; mixed case must carry a valid EIP-55 checksum.
    """
    if not isinstance(text, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise AddressMalformed(text=text, reason="it is not 0x followed by 40 hex digits")
    digits = text[2:]
    mixed = digits != digits.lower() and digits != digits.upper()
    if mixed and not is_checksum_address(text):
        raise AddressMalformed(text=text, reason="its mixed-case checksum is wrong")
    return _checksummed(digits.lower())


@lru_cache(maxsize=4096)
def _checksummed(digits: str) -> Address:
    """A hash of its own; events name the same few contracts over and over."""
    return Address(str(to_checksum_address("0x" + digits)))
