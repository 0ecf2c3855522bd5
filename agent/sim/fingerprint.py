"""What runs on our own chain, written into its deployment file, so that a change of it is noticed: the hash
of every contract's code, and how long the structs are that are read.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.chain import abi, code_hash
from agent.sim.node import Node
from agent.values.call import Answer
from agent.venues.deployments import Deployment
from agent.venues.manifest import Contract, Manifest
from agent.venues.watch import NO_CODE, SEEN, places_of

SOURCE = "deployed by the local chain"
# The structs of fixed length that the venues' readings ask for, by the label of their call
STRUCTS = {
    "curie": (
        "curie.getPnlAndPendingFee",
        "curie.getMarketInfoByTrader",
        "uniswap_pool.slot0",
        "uniswap_pool.ticks",
    ),
    "gmx": ("gmx.latestRoundData",),
    "lyra": (
        "lyra.getMinCollatParams",
        "lyra.getPartialCollatParams",
        "lyra.getGreekCacheParams",
        "lyra.getOptionMarketParams",
        "lyra.getTradeLimitParams",
        "lyra.getPricingParams",
        "lyra.getSettlementParameters",
    ),
    "panoptic": (
        "panoptic.getOracleTicks",
        "panoptic.getPoolData",
        "panoptic.interestState",
        "uniswap_pool.slot0",
        "uniswap_pool.ticks",
    ),
    "synthetix": (
        "synthetix.getFundingParameters",
        "synthetix.getLiquidationParameters",
        "synthetix.getMaxLiquidationParameters",
        "synthetix.getOrderFees",
        "synthetix.getSettlementStrategy",
        "synthetix.getOrder",
        "synthetix.getRequiredMargins",
        "synthetix.getKeeperRewardGuards",
        "synthetix.getCollateralConfigurationFull",
        "synthetix.processWithRuntime",
    ),
    "uniswap": ("uniswap_pool.slot0", "uniswap_pool.ticks"),
}


def lengths(venue: str) -> Mapping[str, int]:
    """How many words each struct of a venue's reading has, by its ABI: what its manifest should say."""
    found = {}
    for label in STRUCTS.get(venue, ()):
        sheet, _, name = label.partition(".")
        words = abi.load(sheet)[name].words
        if words is not None:
            found[label] = words
    return found


def recorded(node: Node, deployment: Deployment) -> Deployment:
    """The deployment with the hash of the code that each of its venues' contracts has now, and the lengths of
    their structs.
    """
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
        changes = {"contracts": contracts, "words": lengths(venue)}
        manifests[venue] = deployment.manifest(venue).model_copy(update=changes)
    return deployment.model_copy(update={"manifests": manifests})
