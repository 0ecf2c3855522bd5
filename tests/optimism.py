"""The OP stack's own gas price oracle, as its publisher shipped it, on a chain of ours.

Fetched once with npm into the toolchain's folder and compared with the sha512 below. It is the last release
on npm: of Fjord's time. Isthmus' operator fee came after it and is stood in for by a contract of our own.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from eth_abi import abi as codec

from agent.sim.node import Node
from agent.sim.package import Npm, Pin, find_npm, run_npm
from agent.tx.rollup import ORACLE
from agent.values.address import parse_address

PIN = Pin(
    package="@eth-optimism/contracts-bedrock",
    version="0.17.3",
    integrity="sha512-cHPO7ntWeOBDLO7ZFFSZGI1D7CDqf4loRbRVJrFIsqLEz+hysWIqA0e3dv2GnrjVeuYePBfI2NTBEG4uwz9bQQ==",
)
CONTRACTS = ("GasPriceOracle", "L1Block")
L1_BLOCK = parse_address("0x4200000000000000000000000000000000000015")
DEPOSITOR = parse_address("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001")

SET_ECOTONE, SET_FJORD = "0x22b90ab3", "0x8e98b106"
SET_VALUES_ECOTONE = bytes.fromhex("440a5e20")
SET_VALUES_BEDROCK = bytes.fromhex("015d8eb9")


def _isthmus() -> bytes:
    """An oracle of the shape the Isthmus specification gives it, in EVM assembly by hand: getL1Fee says 5,
    isIsthmus yes, getOperatorFee thrice the gas, and anything else reverts.
    """
    bodies = {
        "49948e0e": "6005",  # getL1Fee(bytes)
        "b54501bc": "6001",  # isIsthmus()
        "275aedd2": "6004356003" + "02",  # getOperatorFee(uint256)
    }
    code, at = bytes.fromhex("5f3560e01c"), 5 + 11 * len(bodies) + 3
    tail = b""
    for selector, value in bodies.items():
        code += bytes.fromhex(f"8063{selector}1461{at + len(tail):04x}57")
        tail += bytes.fromhex(f"5b{value}5f5260205ff3")
    return code + bytes.fromhex("5f5ffd") + tail


ISTHMUS = _isthmus()


def unpacked(root: Path) -> Path:
    """The folder with the two artifacts under the toolchain's, fetched if it is not there."""
    folder = root / "tests" / "optimism"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / PIN.version).exists():
            run_npm(
                Npm(find_npm(), lock.fileno()),
                ["pack", "--pack-destination", str(folder), f"{PIN.package}@{PIN.version}"],
                folder,
            )
            _unpack(folder / PIN.tarball, folder)
            (folder / PIN.version).touch()
    return folder


def _unpack(tarball: Path, folder: Path) -> None:
    actual = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    assert actual == PIN.integrity
    with tarfile.open(tarball) as archive:
        for name in CONTRACTS:
            file = archive.extractfile(f"package/forge-artifacts/{name}.sol/{name}.json")
            assert file is not None
            (folder / f"{name}.json").write_bytes(file.read())
    tarball.unlink()


@dataclass
class Stack:
    """A chain with the two predeploys, spoken to as the depositor does."""

    node: Node

    def fork(self, selector: str) -> None:
        """Activate a fork on the oracle."""
        self._send(ORACLE, bytes.fromhex(selector[2:]))

    def bedrock(self, basefee_wei: int, overhead: int, scalar: int) -> None:
        """The L1 attributes as they were before Ecotone."""
        values = (1, 1, basefee_wei, bytes(32), 0, bytes(32), overhead, scalar)
        kinds = ("uint64", "uint64", "uint256", "bytes32", "uint64", "bytes32", "uint256", "uint256")
        self._send(L1_BLOCK, SET_VALUES_BEDROCK + codec.encode(kinds, values))

    def ecotone(self, basefee_wei: int, blob_wei: int, scalar: int, blob_scalar: int) -> None:
        """The L1 attributes since then, packed as the protocol packs them."""
        packed = scalar.to_bytes(4, "big") + blob_scalar.to_bytes(4, "big") + 3 * (1).to_bytes(8, "big")
        packed += basefee_wei.to_bytes(32, "big") + blob_wei.to_bytes(32, "big") + bytes(64)
        self._send(L1_BLOCK, SET_VALUES_ECOTONE + packed)

    def _send(self, target: str, data: bytes) -> None:
        tx = {"from": DEPOSITOR, "to": target, "data": "0x" + data.hex(), "gas": hex(1_000_000)}
        receipt = self.node.receipt(str(self.node.request("eth_sendTransaction", tx)))
        assert receipt["status"] == "0x1"


def predeploy(node: Node, root: Path) -> Stack:
    """Put the published contracts where every OP-stack chain has them."""
    folder = unpacked(root)
    for name, address in zip(CONTRACTS, (ORACLE, L1_BLOCK), strict=True):
        code = json.loads((folder / f"{name}.json").read_text())["deployedBytecode"]["object"]
        node.set_code(address, bytes.fromhex(code[2:]))
    node.impersonate(DEPOSITOR)
    node.set_balance(DEPOSITOR, 10**20)
    return Stack(node)
