"""What a deployed protocol is to the simulation: named contracts, found again by their addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

from agent.sim.abi import Abi
from agent.sim.contract import Chain, Contract
from agent.sim.toolchain import Toolchain
from agent.values.address import Address


@dataclass(frozen=True)
class System:
    """A subclass has one `Contract` field per contract; ``SOURCES`` says which artifact each is."""

    SOURCES: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def addresses(self) -> dict[str, Address]:
        """Address by field name, for the manifest."""
        return {part.name: getattr(self, part.name).address for part in fields(self)}

    @classmethod
    def attach(cls, chain: Chain, toolchain: Toolchain, addresses: Mapping[str, str]) -> Self:
        """The system at known addresses. Raises KeyError naming a contract the manifest lacks."""
        contracts = {}
        for name, (protocol, artifact) in cls.SOURCES.items():
            abi = Abi(toolchain.artifact(protocol, artifact).abi)
            contracts[name] = chain.at(artifact, addresses[name], abi)
        return cls(**contracts)

    @classmethod
    def create(cls, chain: Chain, toolchain: Toolchain, owner: str, name: str, *args: object) -> Contract:
        """Deploy the contract of field ``name`` (one without libraries)."""
        return chain.deploy(owner, toolchain.artifact(*cls.SOURCES[name]), *args)
