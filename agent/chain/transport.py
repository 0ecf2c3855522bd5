"""JSON in, JSON out, over kept-alive HTTP connections to one endpoint.

Nothing is ever sent twice: a request whose answer was lost may have been carried out, and only the caller
knows whether it may be repeated.
"""

from __future__ import annotations

import binascii
import http.client
import math
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from agent.chain.connection import Connection, HttpAnswer
from agent.errors import ConfigInvalid, DecodeMismatch, RateLimited, RpcRejected, RpcUnavailable
from agent.errors import RpcTimeout as Timeout

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

TOO_MANY_REQUESTS = 429
EXCERPT = 120
SECRET_LENGTH = 8  # a shorter part of an address is no key


def redacted(endpoint: str) -> str:
    """Scheme, host and port only: keys travel in the path, the query and the user part of such addresses."""
    parts = urlsplit(endpoint)
    host = parts.hostname or "?"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}"


def retry_after_s(value: str, now_s: float) -> int | None:
    """Whole seconds, rounded up, that a ``Retry-After`` header asks for: a number or an HTTP date (RFC 9110).

    ``now_s`` is the wall clock. None if it says nothing that can be understood.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        moment = parsedate_tz(text)
        return None if moment is None else max(0, math.ceil(mktime_tz(moment) - now_s))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


class Transport:
    """POSTs bodies to one endpoint. Threads may share it: as many connections are kept as were used at once.

    ``name`` is shown instead of scheme, host and port; ``key`` is the config key the address came from.
    Raises ConfigInvalid if it is no http(s) address.
    """

    def __init__(
        self,
        endpoint: str,
        timeout_s: float,
        name: str = "",
        key: str = "rpc.url",
        wall: Callable[[], float] = time.time,
        verb: str = "POST",
    ) -> None:
        self._parts = _split(endpoint, key)
        self.endpoint = name or redacted(endpoint)
        self._secrets = _secrets(self._parts)
        self.timeout_s = timeout_s
        self._wall = wall
        self._head = _head(self._parts, verb)
        self._tls = ssl.create_default_context() if self._parts.scheme == "https" else None
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    def post(self, payload: object, method: str, timeout_s: float | None = None) -> Json:
        """The answer's JSON, all of it within ``timeout_s`` (the transport's own unless given).

        ``method`` names the request in errors. Raises RpcTimeout, RpcUnavailable, RateLimited, RpcRejected
        if the request was too large, or DecodeMismatch if the answer is not JSON.
        """
        return self._decoded(self._answered(payload, method, timeout_s), method)

    def post_hexed(
        self, payload: object, method: str, timeout_s: float | None = None
    ) -> tuple[Json, bytes | None]:
        """The same for one call whose result is long hex: the answer with its result emptied, and the bytes;
        an answer of any other form as it is, and None.
        """
        answer = self._answered(payload, method, timeout_s)
        found = _without_hex(answer.body) if answer.status == http.client.OK else None
        return found or (self._decoded(answer, method), None)

    def _answered(self, payload: object, method: str, timeout_s: float | None) -> HttpAnswer:
        body = b"" if payload is None else orjson.dumps(payload, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        allowed_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + allowed_s
        connection: Connection | None = None
        try:
            connection = self._taken() or Connection(self._parts, self._head, self._tls, deadline)
            answer = connection.post(body, deadline)
        except (OSError, http.client.HTTPException) as error:
            if connection is not None:
                connection.close()
            self.close()  # the others may be as dead
            if isinstance(error, TimeoutError):
                raise Timeout(endpoint=self.endpoint, method=method, timeout_s=round(allowed_s, 3)) from error
            reason = str(error) or type(error).__name__
            raise RpcUnavailable(endpoint=self.endpoint, method=method, reason=reason) from error
        if answer.is_last:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return answer

    def get(self, name: str) -> Json:
        """The JSON at the endpoint, of a transport whose ``verb`` is GET. Raises as `post` does."""
        return self.post(None, name)

    def scrubbed(self, text: str) -> str:
        """A node's words without what was secret in its address: some repeat the key they refuse."""
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text

    def close(self) -> None:
        """Drop the connections that are not in use; the next request opens another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _taken(self) -> Connection | None:
        """A kept connection. One that the server ended while it was idle had nothing of ours on it."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.is_dropped():
                return connection
            connection.close()

    def _decoded(self, answer: HttpAnswer, method: str) -> Json:
        if answer.status == TOO_MANY_REQUESTS:
            wait_s = retry_after_s(answer.retry_after, self._wall())
            raise RateLimited(
                endpoint=self.endpoint, method=method, retry_after_s="unknown" if wait_s is None else wait_s
            )
        if answer.status == http.client.REQUEST_ENTITY_TOO_LARGE:  # asked less at once, it will answer
            raise RpcRejected(
                endpoint=self.endpoint,
                method=method,
                reason=f"HTTP {answer.status}: the request is too large",
                rpc_code=0,
                data=None,
            )
        try:
            value: Json = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            if answer.status != http.client.OK:
                raise self._unavailable(answer, method) from error
            raise DecodeMismatch(
                label=method,
                target=self.endpoint,
                expected="JSON",
                reason=f"{error}: {self.scrubbed(answer.body[:4096].decode(errors='replace'))[:EXCERPT]!r}",
            ) from error
        if answer.status != http.client.OK and not _is_json_rpc(value):
            raise self._unavailable(answer, method)
        return value

    def _unavailable(self, answer: HttpAnswer, method: str) -> RpcUnavailable:
        reason = self.scrubbed(f"HTTP {answer.status} {answer.reason}".strip())
        return RpcUnavailable(endpoint=self.endpoint, method=method, reason=reason)


def _split(endpoint: str, key: str) -> SplitResult:
    try:
        parts = urlsplit(endpoint)
        has_place = bool(parts.hostname) and parts.port != 0  # a malformed port raises when it is looked at
    except ValueError as error:
        raise ConfigInvalid(key=key, value="?", reason=f"no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not has_place:
        raise ConfigInvalid(
            key=key,
            value=parts.scheme + "://...",
            reason="it must begin with http:// or https:// and a host",
        )
    if any(not "!" <= letter <= "~" for letter in parts.path + parts.query + parts.netloc):
        raise ConfigInvalid(key=key, value=parts.scheme + "://...", reason="it has a letter no address has")
    return parts


def _head(parts: SplitResult, verb: str) -> bytes:
    """The request's line and headers, but for the length."""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    place = parts.netloc.rpartition("@")[2]
    lines = [f"{verb} {path} HTTP/1.1", f"Host: {place}", "Accept-Encoding: identity"]
    lines += ["Content-Type: application/json", "User-Agent: evenkeel"]
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(user.encode()).decode()}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _secrets(parts: SplitResult) -> tuple[str, ...]:
    """Whatever in an address may be a key, longest first."""
    words = [parts.username or "", parts.password or "", *parts.path.split("/")]
    words += [word for pair in parts.query.split("&") for word in pair.split("=")]
    found = {form for word in words for form in (word, unquote(word)) if len(form) >= SECRET_LENGTH}
    return tuple(sorted(found, key=len, reverse=True))


def _without_hex(body: bytes) -> tuple[Json, bytes] | None:
    """An answer whose result is a hex string, parsed with an empty one in its place, and the bytes; None if
    it is not of that form. To parse megabytes of hex as JSON costs more than all the rest.
    """
    start = body.find(b'"result"', 0, EXCERPT)
    start = body.find(b'"', start + len(b'"result"'), start + EXCERPT) + 1 if start >= 0 else 0
    end = body.find(b'"', start)
    if not start or end < 0 or body[start : start + 2] != b"0x":
        return None
    try:
        value: Json = orjson.loads(body[:start] + body[end:])
        data = binascii.unhexlify(memoryview(body)[start + 2 : end])
    except (orjson.JSONDecodeError, binascii.Error):
        return None
    is_whole = isinstance(value, dict) and value.get("result") == ""
    return (value, data) if is_whole else None


def _is_json_rpc(answer: Json) -> bool:
    """Some nodes send JSON-RPC errors with an HTTP status of failure."""
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)
