"""What a request asks for: whether it only reads, and of which moment of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from agent.chain.wire import Params, Request, RpcCall

# A list of what is allowed and not of what is forbidden: an unknown method might write.
READS = frozenset(
    {
        "eth_call",
        "eth_estimateGas",
        "eth_createAccessList",
        "eth_simulateV1",
        "eth_chainId",
        "eth_blockNumber",
        "eth_gasPrice",
        "eth_maxPriorityFeePerGas",
        "eth_blobBaseFee",
        "eth_feeHistory",
        "eth_syncing",
        "eth_protocolVersion",
        "net_version",
        "net_listening",
        "net_peerCount",
        "web3_clientVersion",
        "rpc_modules",
        "txpool_status",
        "txpool_inspect",
        "txpool_content",
        "txpool_contentFrom",
    }
)
READ_PREFIXES = ("eth_getBlock", "eth_getTransaction", "eth_getUncle", "debug_trace", "trace_")
READ_GETTERS = frozenset(
    f"eth_get{name}" for name in ("Balance", "Code", "StorageAt", "Proof", "Logs", "HeaderByNumber")
)
STATIC = frozenset({"eth_chainId", "net_version", "web3_clientVersion", "rpc_modules", "eth_protocolVersion"})
HASH_LENGTH = 66  # of a block's hash in hex
HASHED = ("ByHash", "ByBlockHash", "ByBlockHashAndIndex")


class Moment(Enum):
    """Of which the answer tells."""

    ANY = "does not depend on the chain's state"
    PINNED = "one block, by its hash"
    NOW = "the newest state the node has"


def is_read(request: Request) -> bool:
    """Whether asking twice, or somebody else, can do no harm."""
    return all(
        method in READS or method in READ_GETTERS or method.startswith(READ_PREFIXES)
        for method, _ in request.calls
    )


def moment(request: Request) -> Moment:
    """The least certain moment among the calls."""
    moments = {_moment(call) for call in request.calls}
    return next(kind for kind in (Moment.NOW, Moment.PINNED, Moment.ANY) if kind in moments)


def pinned_hash(request: Request) -> str | None:
    """The block that a pinned request names first."""
    return next((found for call in request.calls if (found := _block_hash(*call)) is not None), None)


def asks_head(call: RpcCall) -> bool:
    """Whether the answer is the newest header."""
    method, params = call
    return method == "eth_getBlockByNumber" and len(params) > 0 and params[0] == "latest"


def _moment(call: RpcCall) -> Moment:
    if call[0] in STATIC:
        return Moment.ANY
    return Moment.NOW if _block_hash(*call) is None else Moment.PINNED


def _block_hash(method: str, params: Params) -> str | None:
    if method.startswith("eth_getBlock") and method.endswith(HASHED):
        return str(params[0]) if params else None
    if method == "eth_getBlockReceipts" and params and len(str(params[0])) == HASH_LENGTH:
        return str(params[0])
    for param in params:
        if isinstance(param, Mapping) and isinstance(found := param.get("blockHash"), str):
            return found
    return None
