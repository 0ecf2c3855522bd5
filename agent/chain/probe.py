"""Which means of reading an endpoint offers: found out by asking it for next to nothing."""

from __future__ import annotations

from agent.chain import multicall, packing, shape
from agent.chain.error_table import REVERTED, is_unpinned
from agent.chain.manner import Means
from agent.chain.packing import LENS, MAGIC, WORD, Header
from agent.chain.rpc import block_param, revert, unpinned
from agent.chain.wire import Part, Request, RpcCall, RpcResult
from agent.errors import RpcRejected
from agent.values.block import Block
from agent.values.call import Call

PROBE_CAP = 10_000


def settled(part: Part, block: Block, timeout_s: float) -> Means:
    """The best means that works there; remembered. Raises ReadUnpinned and what the wire raises."""
    manner = part.manner
    known = manner.means
    if known is not None:
        return known
    for means in manner.allowed:
        gas = _gas(part, means, block, timeout_s)
        if gas is not None:
            manner.settle(means, gas)
            return means
    raise AssertionError("plain calls are always possible")


def lens_call(part: Part, means: Means, name: str, payload: bytes, block: Block) -> RpcCall:
    """The request that asks the lens ``name``."""
    if means is Means.DEPLOYLESS:
        data = packing.deployless(name, payload, reverts=part.manner.reverts)
        return "eth_call", ({"data": "0x" + data.hex()}, block_param(block))
    fields = {"to": LENS, "data": "0x" + payload.hex()}
    code = {LENS: {"code": "0x" + packing.runtime(name).hex()}}
    return "eth_call", (fields, block_param(block), code)


def multicall_call(payload: bytes, block: Block) -> RpcCall:
    """The request that asks Multicall3."""
    return "eth_call", ({"to": multicall.MULTICALL3, "data": "0x" + payload.hex()}, block_param(block))


def answer_bytes(result: RpcResult, block: Block) -> bytes:
    """What came back, also what a deployless lens left with by revert; nothing where it was refused.

    Raises ReadUnpinned or DecodeMismatch.
    """
    if result.error is None:
        return shape.hex_bytes(result.value, "eth_call") if result.data is None else result.data
    if is_unpinned(str(result.error.fields["reason"])):
        raise unpinned(result.error, block)
    data = revert(result.error) or b""
    return data if data.startswith(MAGIC) else b""


def ask_bytes(part: Part, call: RpcCall, block: Block, timeout_s: float) -> bytes:
    """What one packed call brings; nothing where it is refused. Raises ReadUnpinned and what the wire raises,
    but for RpcRejected.
    """
    try:
        (result,) = part.ask(Request((call,), is_batch=False, is_hex=True), timeout_s)
    except RpcRejected:
        return b""
    return answer_bytes(result, block)


def is_plain_revert(result: RpcResult) -> bool:
    """Whether a call ended with the contract's own revert, as against for want of gas or by a fault."""
    error = result.error
    return error is not None and (
        error.fields["rpc_code"] == REVERTED or "execution reverted" in str(error.fields["reason"]).lower()
    )


def _gas(part: Part, means: Means, block: Block, timeout_s: float) -> int | None:
    """The gas that is there at the beginning of such a read; None if it does not work, 0 if it is unknown."""
    if means is Means.PLAIN:
        return 0
    if means is Means.MULTICALL:
        return _multicall(part, block, timeout_s)
    for reverts in (True, False):
        part.manner.reverts = reverts
        found = _lens(part, means, block, timeout_s)
        if found is not None:
            return found.began_gas
        if means is Means.OVERRIDE:
            break
    return None


def _lens(part: Part, means: Means, block: Block, timeout_s: float) -> Header | None:
    payload = packing.table_payload((), 1, b"", PROBE_CAP, PROBE_CAP)
    answer = ask_bytes(part, lens_call(part, means, "TableLens", payload, block), block, timeout_s)
    return packing.header(answer)


def _multicall(part: Part, block: Block, timeout_s: float) -> int | None:
    """It is there if it knows the time of the block that we named."""
    payload = multicall.list_payload([Call(multicall.MULTICALL3, multicall.TIMESTAMP)])
    answers = multicall.list_answers(
        ask_bytes(part, multicall_call(payload, block), block, timeout_s), count=1
    )
    expected = block.timestamp_s.to_bytes(WORD, "big")
    return 0 if answers is not None and answers[0].ok and answers[0].data == expected else None
