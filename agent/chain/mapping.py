"""Words of a contract's own mapping, of many keys in one call: for what no cheap getter tells.

The contract's code is replaced for the call (a state override) by one that looks its keys up in its own
storage. Whoever reads so has to hold a sample against a getter: a layout is no promise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.chain.rpc import Rpc
from agent.chain.table import LIMBS, Table
from agent.errors import DecodeMismatch, ReadReverted
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Call

WORD = 32
KEYS = 4_000  # of one call: 12 million gas, a quarter of what nodes allow
# Calldata: the mapping's slot, then the keys. Answer: of each key the word at keccak(key . slot). No PUSH0,
# which not every chain has; RETURNDATASIZE is nothing as long as nothing was called.
_CODE = bytes.fromhex(
    "3d35602052"  # memory 32 = the slot
    "6020"  # i = 32
    "5b3681101560" + "23" + "57"  # while i < calldatasize
    "80353d52"  # memory 0 = key
    "60403d2054"  # its word
    "8160200152"  # memory i + 32 = word
    "602001" + "600756"  # i += 32
    "5b60203603" + "6040f3"  # all but the first two words
)


def read_mapping(rpc: Rpc, block: Block, target: Address, slot: int, keys: Sequence[int]) -> Table:
    """One column of one word per key, at ``block``'s hash.

    Raises RpcRejected where a node refuses overrides, ReadReverted, DecodeMismatch, ReadUnpinned and what
    else `Rpc` raises.
    """
    found = bytearray()
    for start in range(0, len(keys), KEYS):
        some = keys[start : start + KEYS]
        data = slot.to_bytes(WORD, "big") + b"".join(key.to_bytes(WORD, "big") for key in some)
        call = Call(target, data, label="mapping")
        answer = rpc.call(call, block, overrides={target: {"code": "0x" + _CODE.hex()}})
        if not answer.ok:
            raise ReadReverted(label=call.label, target=target, reason="the overriding code was not run")
        if len(answer.data) != WORD * len(some):
            raise DecodeMismatch(
                label=call.label,
                target=target,
                expected=f"{len(some)} words",
                reason=f"{len(answer.data)} bytes came",
            )
        found += answer.data
    words = np.frombuffer(bytes(found), ">u8").astype(np.uint64).reshape(len(keys), 1, LIMBS)
    return Table(np.ones((len(keys), 1), np.bool_), (words,))
