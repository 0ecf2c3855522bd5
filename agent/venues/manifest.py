"""What is known of a venue's contracts on one chain, beside where they are: what their code should be, where
that is from, and how long the venue will live.

Nothing here is needed to start: what is not said is not expected, and `evenkeel venues` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, model_validator

from agent.values.address import Address
from agent.venues.record import AddressField, Record, WordField

# keccak256("eip1967.proxy.implementation") - 1 and its like; OpenZeppelin's older one before the standard
SLOTS = {
    "eip1967": "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc",
    "eip1967-beacon": "0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50",
    "zeppelinos": "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3",
}


class Stage(Enum):
    """Where a venue stands in its life, from the freest to the last."""

    OPEN = "open"
    CLOSE_ONLY = "close-only"
    ENDED = "ended"


_STRICTNESS = {stage: place for place, stage in enumerate(Stage)}


def strictest(*stages: Stage) -> Stage:
    """The one that allows least."""
    return max(stages, key=_STRICTNESS.__getitem__)


def _slot(text: str) -> str:
    known = SLOTS.get(text, text)
    if len(known) != 66 or not known.startswith("0x"):
        raise ValueError(f"{text!r} is neither a slot of 32 bytes nor one of {', '.join(SLOTS)}")
    return known.lower()


class Contract(Record):
    """One contract. ``code_hash``: keccak of the code that runs there, immutables and metadata included;
    of a proxy that is the proxy's own. ``implementation``: what its ``slot`` must point at, and the hash of
    that one's code. ``basis``: how the expectation came to be ("chain", "computed from ...").
    """

    address: AddressField
    source: str = ""
    code_hash: WordField | None = None
    implementation: AddressField | None = None
    slot: Annotated[str, AfterValidator(_slot)] = SLOTS["eip1967"]
    implementation_hash: WordField | None = None
    basis: str = ""

    @property
    def is_expected(self) -> bool:
        """Whether anything is known that it could drift from."""
        return self.code_hash is not None or self.implementation is not None


class Verified(Record):
    """When the expectations were last seen to be true on the chain itself."""

    date: date
    block: int | None = None


class Manifest(Record):
    """``close_only_from`` and ``ends`` with a time zone. ``words``: by the label of a call
    ("curie.getAccountInfo"), how many words its answer has. ``needs_codeless_account``: the protocol takes
    no orders of an account with code, so not of a delegated one.
    """

    contracts: tuple[Contract, ...] = ()
    words: Mapping[str, int] = {}
    stage: Stage = Stage.OPEN
    close_only_from: AwareDatetime | None = None
    ends: AwareDatetime | None = None
    needs_codeless_account: bool = False
    verified: Verified | None = None
    note: str = ""

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        addresses = [contract.address for contract in self.contracts]
        twice = {address for address in addresses if addresses.count(address) > 1}
        if twice:
            raise ValueError(f"{min(twice)} is named twice among the contracts")
        if self.close_only_from and self.ends and self.close_only_from > self.ends:
            raise ValueError("close_only_from <= ends is needed")
        if any(count < 1 for count in self.words.values()):
            raise ValueError("an answer has one word at least")
        return self

    def stage_at(self, at_s: int) -> Stage:
        """As the dates and ``stage`` say."""
        if self.ends is None and self.close_only_from is None:
            return self.stage
        now = datetime.fromtimestamp(at_s, UTC)
        if self.ends is not None and now >= self.ends:
            return Stage.ENDED
        if self.close_only_from is not None and now >= self.close_only_from:
            return strictest(self.stage, Stage.CLOSE_ONLY)
        return self.stage

    def seconds_left(self, at_s: int) -> int | None:
        """Until the venue ends; below 0 after it; None if it is not known to end."""
        return None if self.ends is None else int(self.ends.timestamp()) - at_s

    def contract(self, address: Address) -> Contract:
        """What is known of one; nothing, if it is not named."""
        for contract in self.contracts:
            if contract.address == address:
                return contract
        return Contract(address=address)
