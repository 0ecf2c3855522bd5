"""JSON-RPC over a transport: requests into envelopes, envelopes into results, each checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.chain import shape
from agent.chain.error_table import is_rate_limit
from agent.chain.transport import Json, Transport
from agent.errors import DecodeMismatch, RateLimited, RpcRejected

Params = Sequence[object]
RpcCall = tuple[str, Params]


@dataclass(frozen=True, slots=True)
class RpcResult:
    """One answer of a batch: a value, or the node's refusal."""

    value: Json = None
    error: RpcRejected | None = None

    def unwrap(self) -> Json:
        """The value. Raises the RpcRejected."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class Request:
    """One round trip: a single call, or a batch of at least one."""

    calls: tuple[RpcCall, ...]
    is_batch: bool

    @property
    def label(self) -> str:
        """Its name in errors."""
        method = self.calls[0][0]
        return f"a batch of {len(self.calls)} x {method}" if self.is_batch else method


def single(method: str, params: Params = ()) -> Request:
    """A request of one call."""
    return Request(((method, params),), is_batch=False)


class Wire(Protocol):
    """Whatever `Rpc` can speak through: a line, an endpoint with its limits, a pool of endpoints."""

    @property
    def endpoint(self) -> str:
        """Its name, without secrets."""

    @property
    def parts(self) -> Sequence[Wire]:
        """What it is made of, each to be spoken to alone; itself if it is one."""

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """One result per call, in order, all within ``timeout_s``."""

    def close(self) -> None:
        """Drop connections that are not in use."""


class Line:
    """The wire to one endpoint and nothing more: no limits, no memory, no second try."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.endpoint = transport.endpoint

    @property
    def parts(self) -> tuple[Line, ...]:
        return (self,)

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """Raises RpcUnavailable, RpcTimeout, RateLimited, DecodeMismatch, and RpcRejected if a batch was
        refused as a whole.
        """
        if not request.is_batch:
            ((method, params),) = request.calls
            answer = self._transport.post(_envelope(0, method, params), method, timeout_s)
            return [self._result(shape.record(answer, method), method)]
        body = [_envelope(index, *call) for index, call in enumerate(request.calls)]
        label = request.label
        answer = self._transport.post(body, label, timeout_s)
        if isinstance(answer, dict):  # the batch as a whole was refused
            self._result(answer, label).unwrap()
        by_id = {
            number: entry
            for entry in (shape.record(item, label) for item in shape.items(answer, label))
            if isinstance(number := entry.get("id"), int)
        }
        if len(by_id) != len(body) or any(index not in by_id for index in range(len(body))):
            raise shape.mismatch(label, f"{len(body)} answers with our ids", sorted(by_id))
        return [self._result(by_id[index], method) for index, (method, _) in enumerate(request.calls)]

    def close(self) -> None:
        self._transport.close()

    def _result(self, entry: Mapping[str, Json], method: str) -> RpcResult:
        error = entry.get("error")
        if error is None:
            if "result" not in entry:
                raise DecodeMismatch(
                    label=method,
                    target=self.endpoint,
                    expected="a JSON-RPC answer",
                    reason="it has neither result nor error",
                )
            return RpcResult(value=entry["result"])
        fields = shape.record(error, method)
        code, message = fields.get("code"), self._transport.scrubbed(str(fields.get("message")))
        rpc_code = code if isinstance(code, int) else 0
        if is_rate_limit(rpc_code, message):
            wait_s = _backoff_s(fields.get("data"))
            raise RateLimited(
                endpoint=self.endpoint, method=method, retry_after_s="unknown" if wait_s is None else wait_s
            )
        return RpcResult(
            error=RpcRejected(
                endpoint=self.endpoint,
                method=method,
                reason=message,
                rpc_code=rpc_code,
                data=fields.get("data"),
            )
        )


def _envelope(number: int, method: str, params: Params) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def _backoff_s(data: Json) -> int | None:
    """Infura says in ``error.data.rate.backoff_seconds`` how long to wait. Whole seconds, rounded up."""
    rate = data.get("rate") if isinstance(data, dict) else None
    wait_s = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    is_number = isinstance(wait_s, int | float) and not isinstance(wait_s, bool) and math.isfinite(wait_s)
    return math.ceil(max(0, wait_s)) if is_number and isinstance(wait_s, int | float) else None
