"""Somebody who fills orders for others, some time, or does not: the keeper of the local chain's GMX.

What he does with the n-th order he ever sees depends on the seed and on n alone. He looks at a head and acts
in the block after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import cast

from agent.sim.deploy.gmx import FLOAT, NO_PRICES, key_of
from agent.sim.localnet import Localnet
from agent.values.call import Call

ACT_GAS = 5_000_000
MOST = 1_000  # orders that are looked at
REASON = (
    bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"busy".ljust(32, b"\0")
)


class Whim(Enum):
    """What becomes of an order."""

    FILL = "executeOrder"
    PART = "executePartly"
    CANCEL = "cancelWith"
    FREEZE = "freezeWith"
    NOTHING = ""


# out of a hundred orders
WHIMS = ((Whim.FILL, 66), (Whim.PART, 10), (Whim.CANCEL, 12), (Whim.FREEZE, 5), (Whim.NOTHING, 7))
DELAYS = (0, 0, 1, 1, 2, 3, 6)  # blocks he takes his time


@dataclass(slots=True)
class _Case:
    """One order: what he will do, when, and of a part how much."""

    whim: Whim
    due: int
    share: int


class Keeper:
    """Knows the orders that the store lists, nothing of whose they are."""

    def __init__(self, localnet: Localnet, seed: int) -> None:
        self._net = localnet
        self._seed = seed
        self._cases: dict[bytes, _Case] = {}
        for key in self._orders():  # of before
            self._cases[key] = _Case(Whim.NOTHING, 0, 0)

    def calls(self) -> tuple[Call, ...]:
        """What to send at this head."""
        head = self._net.node.block_number()
        found = []
        for key in self._orders():
            case = self._cases.get(key)
            if case is None:
                case = self._cases[key] = self._judge(len(self._cases), head)
            if case.due <= head and case.whim is not Whim.NOTHING:
                found.append(self._call(key, case))
                case.whim = Whim.NOTHING
        return tuple(found)

    def _orders(self) -> list[bytes]:
        return cast(
            list[bytes], self._net.gmx.store.call("getBytes32ValuesAt", key_of("ORDER_LIST"), 0, MOST)[0]
        )

    def _judge(self, number: int, head: int) -> _Case:
        random = Random(f"keeper {self._seed} {number}")
        (whim,) = random.choices([whim for whim, _ in WHIMS], [weight for _, weight in WHIMS])
        return _Case(whim, head + random.choice(DELAYS), FLOAT * random.randint(20, 80) // 100)

    def _call(self, key: bytes, case: _Case) -> Call:
        arguments: dict[Whim, tuple[object, ...]] = {
            Whim.FILL: (NO_PRICES,),
            Whim.PART: (NO_PRICES, case.share),
            Whim.CANCEL: (REASON,),
            Whim.FREEZE: (REASON,),
        }
        handler, name = self._net.gmx.handler, case.whim.value
        data = handler.encode(name, key, *arguments[case.whim])
        return Call(handler.address, data, label=f"gmx.{name}", gas_hint=ACT_GAS)
