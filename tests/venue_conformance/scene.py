"""A bench as the agent sees it: its deployment with everything expected, its venue, its account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

from agent.assembly import eye_of, venues_of
from agent.chain.lens import read_one
from agent.chain.listing import Listing
from agent.chain.rpc import At, Rpc
from agent.chain.wire import Errand
from agent.market.intent import Order
from agent.market.margin import MarginAccount
from agent.market.snapshot import Snapshot, VenueState
from agent.runtime.prove import Proof, prove
from agent.runtime.see import Eye
from agent.sim.fingerprint import recorded
from agent.values.address import Address
from agent.values.block import Block
from agent.values.call import Answer, Call
from agent.values.check import Check
from agent.venues.deployments import Deployment
from agent.venues.manifest import Manifest
from agent.venues.venue import Venue
from tests.venue_conformance.bench import Bench, Done

T = TypeVar("T")

DEADLINE_S = 2**40


@dataclass(frozen=True)
class Scene:
    """Everything at the newest block unless a block is given."""

    bench: Bench
    rpc: Rpc
    deployment: Deployment

    @staticmethod
    def of(bench: Bench) -> Scene:
        return Scene(bench, Rpc(bench.node.url, 60.0), recorded(bench.node, bench.deployment))

    @cached_property
    def venue(self) -> Venue[VenueState]:
        return next(one for one in venues_of(self.deployment) if one.name == self.bench.name)

    def block(self) -> Block:
        return self.rpc.block("latest")

    def read(self, block: Block | None = None) -> VenueState:
        block = block or self.block()
        return read_one(self.rpc, block, self.venue.read(self.bench.account, block))

    def margin(self, key: str) -> MarginAccount:
        return next(one for one in self.read().margins if one.key == key)

    def eye(self, manifest: Manifest | None = None, rpc: Rpc | None = None) -> Eye:
        """The agent's eye on the whole deployment, with another manifest of this venue if one is given."""
        deployment = self.deployment
        if manifest is not None:
            manifests = {**deployment.manifests, self.bench.name: manifest}
            deployment = deployment.model_copy(update={"manifests": manifests})
        return eye_of(rpc or self.rpc, deployment, self.block())

    def see(self, eye: Eye) -> Snapshot:
        return eye.see(self.bench.account, self.block())

    def prove(self, checks: Sequence[Check]) -> tuple[Proof, ...]:
        block = self.block()
        native_wei = self.rpc.balance(self.bench.account, block)
        return read_one(self.rpc, block, prove(checks, block, native_wei))

    def carry_out(self, order: Order) -> Done:
        """With its checks, as the executor makes them."""
        assert all(proof.kept for proof in self.prove(order.pre))
        return self.bench.carry_out(order)


class _Overheard(Rpc):
    """A node whose answers to calls are looked at, whichever way they are asked for."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 60.0)

    def heard(self, calls: Sequence[Call], at: At, answers: list[Answer]) -> list[Answer]:
        raise NotImplementedError

    def calls(self, calls: Sequence[Call], at: At) -> list[Answer]:
        return self.heard(calls, at, super().calls(calls, at))

    def carry(self, errand: Errand[T]) -> T:
        brought = super().carry(errand)
        if isinstance(errand, Listing):
            answers = self.heard(errand.calls, errand.block, cast(list[Answer], brought))
            return cast(T, answers)
        return brought


class Lengthened(_Overheard):
    """A node of which some contracts answer one more word at the end of what has this label."""

    def __init__(self, url: str, label: str, targets: set[Address]) -> None:
        super().__init__(url)
        self.label = label
        self.targets = targets

    def heard(self, calls: Sequence[Call], at: At, answers: list[Answer]) -> list[Answer]:
        return [
            Answer(answer.ok, answer.data + bytes(32))
            if call.label == self.label and call.target in self.targets and answer.ok
            else answer
            for call, answer in zip(calls, answers, strict=True)
        ]


class Recorder(_Overheard):
    """A node that remembers what it was asked, at which block, and how long the answers were."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[Call, At, Answer]] = []

    def heard(self, calls: Sequence[Call], at: At, answers: list[Answer]) -> list[Answer]:
        self.asked += [(call, at, answer) for call, answer in zip(calls, answers, strict=True)]
        return answers
