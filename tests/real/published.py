"""Contracts of a protocol as its deployment records hold them, put at their own addresses on a chain of ours.

A record is a JSON file with ``address``, ``abi``, ``args``, ``bytecode`` (linked) and ``libraries``: what
hardhat-deploy writes. The constructor runs AT the recorded address: its code is placed there, a call returns
the code it makes (immutables in it), a transaction makes its storage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from agent.errors import RpcRejected
from agent.sim.abi import Abi, encode
from agent.sim.contract import Chain, Contract
from agent.values.address import Address, parse_address

GAS = hex(55_000_000)


@dataclass(frozen=True, slots=True)
class Record:
    """One contract or library."""

    name: str
    address: Address
    abi: list[dict[str, object]]
    creation: bytes  # with its arguments
    libraries: dict[str, str]


@dataclass
class Published:
    """All records of one chain, deployed. ``left_out``: whose constructor did not run here, and why."""

    chain: Chain
    records: dict[str, Record]
    left_out: dict[str, str] = field(default_factory=dict)

    def contract(self, name: str) -> Contract:
        """The contract of that record. Raises KeyError."""
        record = self.records[name]
        return self.chain.at(name, record.address, Abi(record.abi))


def read_records(folder: Path) -> Iterator[Record]:
    """Every record of the folder that has code."""
    for path in sorted(folder.glob("[!.]*.json")):
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not raw.get("bytecode"):
            continue
        arguments = encode(Abi(raw["abi"]).constructor, [_plain(value) for value in raw.get("args") or []])
        creation = bytes.fromhex(raw["bytecode"].removeprefix("0x")) + arguments
        yield Record(
            path.stem, parse_address(raw["address"]), raw["abi"], creation, raw.get("libraries") or {}
        )


def publish(chain: Chain, sender: str, folder: Path) -> Published:
    """Put every record of ``folder`` on the chain; ``sender`` is who the constructors take for theirs."""
    records = {record.name: record for record in read_records(folder)}
    published = Published(chain, records)
    node = chain.node
    for record in records.values():
        chain.errors.update(Abi(record.abi).errors)  # what a library refuses comes out of its callers
        node.set_code(record.address, record.creation)
        call = {"from": sender, "to": record.address, "gas": GAS}
        try:
            runtime = str(node.request("eth_call", call, "latest"))
            if any(part.get("type") == "constructor" for part in record.abi):
                chain.send(sender, record.address, b"", f"new {record.name}")
        except RpcRejected as error:
            published.left_out[record.name] = str(error.fields.get("reason", ""))
            runtime = "0x"
        node.set_code(record.address, bytes.fromhex(runtime[2:]))
    for record in records.values():  # some were linked with an older copy of a library: the current one does
        for library, address in record.libraries.items():
            if library in records and node.request("eth_getCode", address, "latest") == "0x":
                code = str(node.request("eth_getCode", records[library].address, "latest"))
                node.set_code(address, bytes.fromhex(code[2:]))
    return published


def _plain(value: object) -> object:
    """Numbers as ints, however JSON held them."""
    if isinstance(value, dict) and value.get("type") == "BigNumber":
        return int(str(value["hex"]), 16)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast(dict[str, object], value).items()}
    return int(value) if isinstance(value, str) and value.isdecimal() else value
