"""JSON-RPC over a transport: requests into envelopes, envelopes into results, each checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.chain import shape
from agent.chain.error_table import is_rate_limit
from agent.chain.manner import Manner
from agent.chain.transport import Json, Transport
from agent.errors import DecodeMismatch, RateLimited, RpcRejected

Params = Sequence[object]
RpcCall = tuple[str, Params]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class RpcResult:
    """One answer of a batch: a value, or the node's refusal. ``data``: the bytes of a hex result, instead of
    the value, where the request asked for that.
    """

    value: Json = None
    error: RpcRejected | None = None
    data: bytes | None = None

    def unwrap(self) -> Json:
        """The value. Raises the RpcRejected."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class Request:
    """One round trip: a single call, or a batch of at least one. ``is_hex``: the result of a single one is
    long hex and wanted as bytes, without a JSON string between.
    """

    calls: tuple[RpcCall, ...]
    is_batch: bool
    is_hex: bool = False

    @property
    def label(self) -> str:
        """Its name in errors."""
        method = self.calls[0][0]
        return f"a batch of {len(self.calls)} x {method}" if self.is_batch else method


def single(method: str, params: Params = ()) -> Request:
    """A request of one call."""
    return Request(((method, params),), is_batch=False)


class Errand(Protocol[T_co]):
    """Something read in as many requests as it takes, worded as the one endpoint that is asked needs it; all
    of one block, so that another endpoint may do it again.
    """

    @property
    def label(self) -> str:
        """Its name in errors."""

    @property
    def block_hash(self) -> str:
        """Of which block it is."""

    def run(self, part: Part, timeout_s: float) -> T_co:
        """Do it there, each request within ``timeout_s``. Raises ReadUnpinned and what the wire raises."""


class Part(Protocol):
    """One endpoint, as an errand sees it."""

    @property
    def endpoint(self) -> str:
        """Its name, without secrets."""

    @property
    def manner(self) -> Manner:
        """What it has shown of itself."""

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """One result per call, in order, all within ``timeout_s``."""


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

    def carry(self, errand: Errand[T], timeout_s: float) -> T:
        """What the errand brings, done at one endpoint; each request within ``timeout_s``."""

    def close(self) -> None:
        """Drop connections that are not in use."""


class Line:
    """The wire to one endpoint and nothing more: no limits, no memory, no second try."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.endpoint = transport.endpoint
        self.manner = Manner()

    @property
    def parts(self) -> tuple[Line, ...]:
        return (self,)

    def ask(self, request: Request, timeout_s: float) -> list[RpcResult]:
        """Raises RpcUnavailable, RpcTimeout, RateLimited, DecodeMismatch, and RpcRejected if a batch was
        refused as a whole.
        """
        if not request.is_batch:
            ((method, params),) = request.calls
            if request.is_hex:
                return [self._hexed(method, params, timeout_s)]
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

    def carry(self, errand: Errand[T], timeout_s: float) -> T:
        return errand.run(self, timeout_s)

    def close(self) -> None:
        self._transport.close()

    def _hexed(self, method: str, params: Params, timeout_s: float) -> RpcResult:
        answer, data = self._transport.post_hexed(_envelope(0, method, params), method, timeout_s)
        fields = shape.record(answer, method)
        result = self._result(fields, method)
        if fields.get("id", 0) not in (0, None):  # a refusal may have none
            raise shape.mismatch(method, "an answer with our id", fields.get("id"))
        if result.error is None and data is None:
            data = shape.hex_bytes(result.value, method)
        return RpcResult(error=result.error, data=data)

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
