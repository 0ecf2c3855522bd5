"""Are the contracts still what is known of them? Asked with every look, in the same round trip.

Code is compared by its hash, a proxy by the word that names its implementation, answers by their length. What
differs is told in words; what to make of it is `standing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from agent.chain import code_hash
from agent.market.standing import Access, Standing
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Answer, Call, Reading, Slot
from agent.venues.deployments import Deployment
from agent.venues.manifest import Contract, Manifest, Stage, strictest
from agent.venues.record import Record, addresses_of

T = TypeVar("T")

NO_CODE = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"  # keccak of nothing
WORD = 32
SEEN = "chain"  # the basis of what was read on the chain itself

_ACCESS = {Stage.OPEN: Access.FULL, Stage.CLOSE_ONLY: Access.REDUCE, Stage.ENDED: Access.LEAVE}

Drifts = dict[str, tuple[str, ...]]  # by venue, what differs


@dataclass(frozen=True, slots=True)
class Watch:
    """What is expected of a deployment's contracts. ``unpinned``: those that are named and of which nothing
    is expected; they are held against the code that they had at the first look, in ``first``.
    ``codeless``: venues that take no account with code; ``one_by_one``: the node runs no program without an
    address, so that all code has to be fetched; unpinned contracts are then left out.
    """

    expected: tuple[
        tuple[str, str, Contract], ...
    ] = ()  # venue, what the contract is there, what it should be
    codeless: tuple[str, ...] = ()
    one_by_one: bool = False
    unpinned: tuple[tuple[str, str, Address], ...] = ()  # venue, what it is there, where
    first: dict[Address, str] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(deployment: Deployment) -> Watch:
        """Everything that the deployment's manifests expect."""
        expected, unpinned = [], []
        for venue, record in deployment.venues.items():
            places = places_of(record)
            for contract in deployment.manifest(venue).contracts:
                address = Address(contract.address)
                place = places.get(address, "contract")
                if contract.is_expected:
                    expected.append((venue, place, contract))
                else:
                    unpinned.append((venue, place, address))
        codeless = (name for name, one in deployment.manifests.items() if one.needs_codeless_account)
        return Watch(tuple(expected), tuple(codeless), unpinned=tuple(unpinned))

    def look(self, account: Address) -> Reading[Drifts]:
        """What differs at this block, by venue. One round; nothing is asked where nothing is expected."""
        hashed = [Address(contract.address) for _, _, contract in self.expected if contract.code_hash]
        hashed += [
            Address(c.implementation)
            for _, _, c in self.expected
            if c.implementation_hash and c.implementation
        ]
        unpinned = () if self.one_by_one else self.unpinned
        hashed += [address for _, _, address in unpinned]
        hashed += [account] if self.codeless else []
        wanted = tuple(dict.fromkeys(hashed))
        proxies = [contract for _, _, contract in self.expected if contract.implementation]
        slots: tuple[Call, ...] = tuple(
            Slot(Address(one.address), bytes.fromhex(one.slot[2:]), label="implementation") for one in proxies
        )
        codes = code_hash.questions(wanted, one_by_one=self.one_by_one)
        if not slots and not codes:
            return {}
        answers = yield (*slots, *codes)
        words = {one.address: answer for one, answer in zip(proxies, answers, strict=False)}
        found = dict(zip(wanted, code_hash.hashes(wanted, codes, answers[len(slots) :]), strict=True))
        drifts: dict[str, list[str]] = {}
        for venue, place, contract in self.expected:
            drifts.setdefault(venue, []).extend(_drift(place, contract, words.get(contract.address), found))
        for venue, place, address in unpinned:
            code = _code(found[address])
            first = self.first.setdefault(address, code)
            if code != first:
                told = f"{place} {address} runs {code}, at the first look it ran {first}"
                drifts.setdefault(venue, []).append(told)
        if found.get(account, "0" * 64) not in {NO_CODE, "0" * 64}:
            for venue in self.codeless:
                drifts.setdefault(venue, []).append(
                    f"it takes no orders of an account with code, and {account} has some"
                )
        return {venue: tuple(told) for venue, told in drifts.items() if told}


@dataclass(slots=True)
class Gauge:
    """Measures the answers of one venue's reading against ``words``, and tells what was of another length."""

    words: dict[str, int]
    drifts: list[str] = field(default_factory=list)

    def measured(self, reading: Reading[T]) -> Reading[T]:
        """The same reading; an answer with words added at its end is cut to those that are known, so that
        the venue can go on being watched. One that is too short fails as always.
        """
        try:
            calls = next(reading)
            while True:
                answers = yield calls
                calls = reading.send(tuple(map(self._fit, calls, answers)))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            reading.close()

    def _fit(self, call: Call, answer: Answer) -> Answer:
        words = self.words.get(call.label)
        if words is None or not answer.ok or len(answer.data) == words * WORD:
            return answer
        told = f"{call.label} answers {len(answer.data) // WORD} words, not {words}"
        if told not in self.drifts:
            self.drifts.append(told)
        return Answer(ok=True, data=answer.data[: words * WORD])


def standing(
    venue: str, manifest: Manifest, told: Stage, drifts: Sequence[str], block: Block, lead_s: int = 0
) -> Standing:
    """What may be done at a venue. ``told``: its stage by its own contracts; ``lead_s``: how long before its
    end nothing new is begun there.
    """
    left_s = manifest.seconds_left(block.timestamp_s)
    is_near = left_s is not None and left_s <= lead_s
    stage = strictest(manifest.stage_at(block.timestamp_s), told, Stage.CLOSE_ONLY if is_near else Stage.OPEN)
    access = _ACCESS[stage]
    reasons = []
    if stage is not Stage.OPEN:
        by = "its contracts say so" if told is stage else "the manifest says so"
        if is_near and stage is Stage.CLOSE_ONLY and left_s is not None:
            by = f"it ends in {left_s / 3600:.1f} h"
        reasons.append(f"{stage.value}: {by}")
    if drifts:
        access = Access.WATCH
    return Standing(venue, access, tuple(drifts), tuple(reasons), stage.value, left_s)


def places_of(record: Record) -> dict[Address, str]:
    """What each address of a venue's record is, by the first place it stands in."""
    found: dict[Address, str] = {}
    for place, address in addresses_of(record).items():
        found.setdefault(address, place)
    return found


def _code(found: str) -> str:
    """In words; an account without code is as one that is not there."""
    return "no code" if found in {NO_CODE, "0" * 64} else f"code 0x{found}"


def _drift(place: str, contract: Contract, slot: Answer | None, codes: dict[Address, str]) -> list[str]:
    told = []
    name = f"{place} {contract.address}"
    if contract.code_hash is not None:
        told += _hash_drift(name, contract.code_hash, codes.get(Address(contract.address)), contract.basis)
    if contract.implementation is not None:
        expected = contract.implementation
        actual = (
            "0x" + slot.data[-20:].hex() if slot is not None and slot.ok else "nothing that could be read"
        )
        if actual != expected.lower():
            told.append(f"{name} runs the implementation {actual}, the manifest says {expected}")
        elif contract.implementation_hash is not None:
            found = codes.get(Address(expected))
            what = f"implementation {expected} of {name}"
            told += _hash_drift(what, contract.implementation_hash, found, contract.basis)
    return told


def _hash_drift(name: str, expected: str, found: str | None, basis: str) -> list[str]:
    if found == expected[2:]:
        return []
    if found in {None, NO_CODE, "0" * 64}:
        return [f"{name} has no code"]
    how = f" ({basis})" if basis and basis != SEEN else ""
    return [f"{name} runs code 0x{found}, the manifest says {expected}{how}"]
