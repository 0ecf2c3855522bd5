"""Who is told of a transaction: every public node at once, or only those that keep it to themselves."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from agent.chain.rpc import Rpc
from agent.errors import DecodeMismatch, RateLimited, RpcRejected, RpcTimeout, RpcUnavailable
from agent.tx.errand import Fault, Reply, Route
from agent.tx.fault import classify
from agent.values.address import TxHash

NO_SUCH_METHOD = -32601
PRIVATE_BLOCKS = 25  # how far ahead a relay may still try, if it asks


class Method(Enum):
    """How an endpoint takes a signed transaction."""

    RAW = "eth_sendRawTransaction"
    SYNC = "eth_sendRawTransactionSync"  # EIP-7966: answers with the receipt, or its own time-out
    PRIVATE = "eth_sendPrivateTransaction"  # with the last block it may be in


@dataclass(frozen=True, slots=True)
class Channel:
    """One endpoint and what it does with what it is sent."""

    rpc: Rpc
    route: Route = Route.PUBLIC
    method: Method = Method.RAW


@dataclass(frozen=True, slots=True)
class Broadcast:
    """How a send ended."""

    reply: Reply
    fault: Fault
    reason: str


# The best answer counts: one node that has it is enough, and only if all refused it is it nowhere.
_RANK = {Reply.ACCEPTED: 0, Reply.UNKNOWN: 1, Reply.REJECTED: 2}
# Among refusals, the one that says what to do next.
_FAULT_RANK = {Fault.UNDERPRICED: 0, Fault.CROWDED: 1}


def broadcast(channels: Sequence[Channel], raw: bytes, tx_hash: TxHash, head: int) -> Broadcast:
    """Once to each, all at the same time. No channel at all is a refusal: nothing has left."""
    if not channels:
        return Broadcast(Reply.REJECTED, Fault.INVALID, "there is no endpoint to send to")
    if len(channels) == 1:
        return send(channels[0], raw, tx_hash, head)
    with ThreadPoolExecutor(len(channels)) as pool:
        answers = list(pool.map(lambda channel: send(channel, raw, tx_hash, head), channels))
    return min(answers, key=lambda answer: (_RANK[answer.reply], _FAULT_RANK.get(answer.fault, 2)))


def send(channel: Channel, raw: bytes, tx_hash: TxHash, head: int) -> Broadcast:
    """Once. Anything that is not a clear yes or a provable no is UNKNOWN."""
    try:
        answer = _ask(channel, raw, head)
    except RpcRejected as error:
        reason = str(error.fields["reason"])
        code = error.fields["rpc_code"]
        return Broadcast(*classify(reason, code if isinstance(code, int) else 0), reason)
    except (RpcTimeout, RpcUnavailable, RateLimited, DecodeMismatch) as error:
        return Broadcast(Reply.UNKNOWN, Fault.UNSURE, error.message)
    if answer != tx_hash:
        return Broadcast(Reply.UNKNOWN, Fault.UNSURE, f"the node answered with the hash {answer}")
    return Broadcast(Reply.ACCEPTED, Fault.NONE, "")


def _ask(channel: Channel, raw: bytes, head: int) -> TxHash:
    match channel.method:
        case Method.RAW:
            return channel.rpc.send_raw(raw)
        case Method.SYNC:
            try:
                return channel.rpc.send_raw_sync(raw)
            except RpcRejected as error:
                if error.fields["rpc_code"] != NO_SUCH_METHOD:
                    raise
            return channel.rpc.send_raw(raw)  # what does not know the method has not taken anything
        case Method.PRIVATE:
            return channel.rpc.send_private(raw, head + PRIVATE_BLOCKS)
