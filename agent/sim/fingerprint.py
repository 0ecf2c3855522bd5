"""What runs on our own chain, written into its deployment file, so that a change of it is noticed."""

from __future__ import annotations

from agent.chain import code_hash
from agent.sim.node import Node
from agent.values.call import Answer
from agent.venues.deployments import Deployment
from agent.venues.manifest import Contract, Manifest
from agent.venues.watch import NO_CODE, SEEN, places_of

SOURCE = "deployed by the local chain"


def recorded(node: Node, deployment: Deployment) -> Deployment:
    """The deployment with the hash of the code that each of its venues' contracts has now."""
    manifests: dict[str, Manifest] = {}
    for venue, record in deployment.venues.items():
        addresses = tuple(places_of(record))
        data = "0x" + code_hash.program(addresses).hex()
        answer = bytes.fromhex(str(node.request("eth_call", {"data": data}, "latest"))[2:])
        calls = code_hash.questions(addresses)
        hashes = code_hash.hashes(addresses, calls, (Answer(ok=True, data=answer),))
        contracts = tuple(
            Contract(address=address, source=SOURCE, code_hash="0x" + found, basis=SEEN)
            for address, found in zip(addresses, hashes, strict=True)
            if found not in {NO_CODE, "0" * 64}
        )
        manifests[venue] = deployment.manifest(venue).model_copy(update={"contracts": contracts})
    return deployment.model_copy(update={"manifests": manifests})
