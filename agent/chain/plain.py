"""Calls one by one, in JSON-RPC batches as large as the node takes: the way that every node knows."""

from __future__ import annotations

from collections.abc import Sequence

from agent.chain.rpc import read_call, revert
from agent.chain.wire import Part, Request, RpcCall, RpcResult
from agent.errors import RpcRejected, RpcTimeout
from agent.values.block import Block
from agent.values.call import Call

SMALL = 50  # a batch of no more is not made smaller because it took too long
ENOUGH = 8  # single requests refused, none answered: it is not about them


def ask_plain(part: Part, block: Block, calls: Sequence[Call], timeout_s: float) -> list[RpcResult]:
    """The node's own answer to every call, in order; a refusal stays in its own result."""
    return ask_batch(part, [read_call(call, block) for call in calls], timeout_s)


def ask_batch(
    part: Part, calls: Sequence[RpcCall], timeout_s: float, most: int | None = None
) -> list[RpcResult]:
    """The same for any requests, at most ``most`` at once. A batch that is refused as a whole, or takes too
    long, is asked again in halves. Raises RpcRejected if single requests are refused, too, one after the
    other, and what the wire raises.
    """
    ceiling = part.manner.batch
    results: list[RpcResult] = []
    is_late, refused = False, 0
    while len(results) < len(calls):
        size = ceiling.now if most is None else min(ceiling.now, most)
        piece = tuple(calls[len(results) : len(results) + size])
        try:
            found = part.ask(Request(piece, is_batch=len(piece) > 1), timeout_s)
        except RpcRejected as error:
            if len(piece) > 1:
                ceiling.shrink(len(piece))
                continue
            found = [RpcResult(error=error)]
        except RpcTimeout:
            ceiling.shrink(len(piece))
            if is_late or len(piece) <= SMALL:
                raise
            is_late = True
            continue
        results += found
        ceiling.grow(len(piece))
        refusal = found[0].error
        if len(piece) > 1 or refusal is None or revert(refusal) is not None:
            refused = -len(calls)  # it does answer
        else:
            refused += 1
            if refused >= ENOUGH:
                raise refusal
    return results
