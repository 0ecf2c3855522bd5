"""Words of the perps market's storage that no function tells, read at their slots.

Layouts of Synthetix V3 perps-market 3.13.0: ``storage/PerpsMarket.sol``, ``Position.sol``,
``InterestRate.sol`` and ``PerpsMarketFactory.sol``. Each library keeps its struct at the hash of a name (and
a number).
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi import abi as codec
from eth_utils.crypto import keccak

from agent.chain.abi import Function
from agent.chain.question import Question
from agent.values.address import Address
from agent.values.call import Call, Slot

PREFIX = "io.synthetix.perps-market."

# members of PerpsMarket.Data, counted in slots
SKEW, SIZE, FUNDING_RATE, FUNDING_VALUE, FUNDING_TIME, POSITIONS = 3, 4, 5, 6, 7, 11
# of PerpsMarketFactory.Data
ORACLE, USD_TOKEN, CORE, SPOT_MARKET = range(4)
# of InterestRate.Data
ACCRUED, RATE, RATE_TIME = range(3)

_WORD = Function("synthetix", "storage", (), ("uint256",), ("",), b"")
_HALF = 2**128


@dataclass(frozen=True, slots=True)
class Word(Question):
    """A question for one word of storage; the reply's ``integer`` is the word, unsigned."""

    slot: int = 0
    label: str = ""

    @property
    def call(self) -> Call:
        return Slot(self.target, self.slot.to_bytes(32, "big"), label=f"synthetix.storage.{self.label}")


def word(target: Address, slot: int, label: str) -> Word:
    """The word at ``slot``, and what it is for people."""
    return Word(target, _WORD, (), slot % 2**256, label)


def market_slot(market_id: int) -> int:
    """Where a market's struct begins."""
    return _hashed(["string", "uint128"], [PREFIX + "PerpsMarket", market_id])


def position_slot(market_id: int, account_id: int) -> int:
    """Where an account's position in a market begins; it has three words."""
    return _hashed(["uint256", "uint256"], [account_id, market_slot(market_id) + POSITIONS])


def single_slot(name: str) -> int:
    """Where a struct begins of which there is one: "InterestRate" or "PerpsMarketFactory"."""
    return _hashed(["string"], [PREFIX + name])


def halves(value: int) -> tuple[int, int]:
    """The two 128-bit members that share a word, the first unsigned and the second signed."""
    return value % _HALF, signed(value // _HALF, 128)


def signed(value: int, bits: int = 256) -> int:
    """The signed number in an unsigned word."""
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _hashed(types: list[str], values: list[object]) -> int:
    return int.from_bytes(keccak(codec.encode(types, values)), "big")
