"""JSON in, JSON out, over one kept-alive HTTP connection per thread.

Nothing is ever sent twice: a request whose answer was lost may have been carried out, and only the caller
knows whether it may be repeated.
"""

from __future__ import annotations

import http.client
import select
import ssl
import threading
import time
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from agent.errors import ConfigInvalid, DecodeMismatch, RateLimited, RpcUnavailable
from agent.errors import RpcTimeout as Timeout

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

TOO_MANY_REQUESTS = 429
CHUNK = 1 << 20
EXCERPT = 120


def redacted(endpoint: str) -> str:
    """Scheme, host and port only: keys travel in the path, the query and the user part of such addresses."""
    parts = urlsplit(endpoint)
    host = parts.hostname or "?"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}"


class Transport:
    """POSTs bodies to one endpoint. Threads may share it: each has a connection of its own.

    Raises ConfigInvalid if the endpoint is no http(s) address.
    """

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        self._parts = _split(endpoint)
        self.endpoint = redacted(endpoint)
        self.timeout_s = timeout_s
        self._path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": "evenkeel"}
        if self._parts.username is not None:
            user = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        self._local = threading.local()

    def post(self, payload: object, method: str) -> Json:
        """The answer's JSON. ``method`` names the request in errors.

        Raises RpcTimeout, RpcUnavailable, RateLimited, or DecodeMismatch if the answer is not JSON.
        """
        body = orjson.dumps(payload, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        deadline = time.monotonic() + self.timeout_s
        try:
            connection = self._connection()
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            raw = self._body(response, deadline)
        except TimeoutError as error:
            self.close()
            raise Timeout(endpoint=self.endpoint, method=method, timeout_s=self.timeout_s) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise RpcUnavailable(endpoint=self.endpoint, method=method, reason=reason) from error
        return self._decoded(raw, response, method)

    def close(self) -> None:
        """Drop this thread's connection; the next request opens another."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is not None and found.sock is not None and _is_dropped(found):
            found.close()  # the server ended it while it was idle: nothing of ours was on it
        if found is None:
            found = self._local.connection = self._open()
        return found

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s)

    def _body(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        """The whole body by the deadline: a socket time-out alone would let an answer drip for ever."""
        expected, chunks, size = (
            response.length,
            [],
            0,
        )  # None: the body is chunked or ends with the connection
        while expected is None or size < expected:
            chunk = response.read1(CHUNK)
            if not chunk:
                if expected is not None:
                    raise http.client.IncompleteRead(b"", expected - size)
                break
            chunks.append(chunk)
            size += len(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError
        response.close()
        return b"".join(chunks)

    def _decoded(self, raw: bytes, response: http.client.HTTPResponse, method: str) -> Json:
        if response.status == TOO_MANY_REQUESTS:
            wait_s = response.getheader("Retry-After", "") or "unknown"
            raise RateLimited(endpoint=self.endpoint, method=method, retry_after_s=wait_s)
        try:
            answer: Json = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            if response.status != http.client.OK:
                raise self._unavailable(response, method) from error
            raise DecodeMismatch(
                label=method,
                target=self.endpoint,
                expected="JSON",
                reason=f"{error}: {raw[:EXCERPT].decode(errors='replace')!r}",
            ) from error
        if response.status != http.client.OK and not _is_json_rpc(answer):
            raise self._unavailable(response, method)
        return answer

    def _unavailable(self, response: http.client.HTTPResponse, method: str) -> RpcUnavailable:
        reason = f"HTTP {response.status} {response.reason}".strip()
        return RpcUnavailable(endpoint=self.endpoint, method=method, reason=reason)


def _split(endpoint: str) -> SplitResult:
    try:
        parts = urlsplit(endpoint)
        has_place = bool(parts.hostname) and parts.port != 0  # a malformed port raises when it is looked at
    except ValueError as error:
        raise ConfigInvalid(key="rpc.url", value="?", reason=f"no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not has_place:
        raise ConfigInvalid(
            key="rpc.url",
            value=parts.scheme + "://...",
            reason="it must begin with http:// or https:// and a host",
        )
    return parts


def _is_dropped(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has anything to read, which can only be its end."""
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _is_json_rpc(answer: Json) -> bool:
    """Some nodes send JSON-RPC errors with an HTTP status of failure."""
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)
