"""Services on loopback that really sign (secp256k1), speak a vendor's wire form, and misbehave on demand.

They check what is asked of them (who asks, checksums, tokens) with code that is not the agent's.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from coincurve import PrivateKey
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from agent.tx.signer import GROUP_ORDER, address_of

TOKEN = "token-that-nobody-may-see"
OWN_SECRET = "secret-that-nobody-may-see"
API_KEY = "api-key-that-nobody-may-see"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
RSA_PEM = RSA_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
Reply = tuple[int, bytes]
T = TypeVar("T", bound="Service")


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """What all of them share: a key, a mood and a memory. ``mood`` holds for signatures only."""

    key: PrivateKey = field(
        default_factory=lambda: PrivateKey(hashlib.sha256(b"a key of the tests").digest())
    )
    mood: str = "well"
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def address(self) -> str:
        return address_of(self.key.public_key)

    @property
    def spki(self) -> bytes:
        return _public(self.key).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def pem(self) -> str:
        return (
            _public(self.key)
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @property
    def point(self) -> bytes:
        return self.key.public_key.format(compressed=False)

    def signed(self, digest: bytes) -> tuple[int, int]:
        """(r, s) in the present mood; well, s is high for half of the digests, as with an HSM."""
        key = PrivateKey(b"\x09" * 32) if self.mood == "another key" else self.key
        if self.mood == "another digest":
            digest = keccak(digest)
        raw = key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")
        if self.mood == "high" or digest[0] & 1:
            s = GROUP_ORDER - s
        return {
            "zero r": (0, s),
            "zero s": (r, 0),
            "r too big": (GROUP_ORDER + 5, s),
            "s too big": (r, GROUP_ORDER),
            "no point": (5, s),  # no point of the curve has this coordinate
        }.get(self.mood, (r, s))

    def raw(self, digest: bytes) -> bytes:
        """r || s; truncated in that mood."""
        r, s = self.signed(digest)
        return (r.to_bytes(32, "big") + s.to_bytes(32, "big"))[: 40 if self.mood == "truncated" else 64]

    def der(self, digest: bytes) -> bytes:
        """The same in DER."""
        der = encode_dss_signature(*self.signed(digest))
        return der[:-3] if self.mood == "truncated" else der

    def handle(self, asked: Asked) -> Reply:
        """The answer, in the vendor's form."""
        raise NotImplementedError

    def refusal(self, status: int, code: str) -> Reply:
        """An error in the vendor's form. Its text repeats what was sent, as texts of services do."""
        return status, json.dumps({"error": {"code": code, "message": _echo(self.asked[-1])}}).encode()

    def mooded(self, answer: Callable[[], Reply]) -> Reply:
        """``answer``, or what comes instead of it."""
        match self.mood:
            case "refuse":
                return self.refusal(403, "Forbidden")
            case "throttle":
                return self.refusal(429, "Throttled")
            case "down":
                return 503, b"<html>" + _echo(self.asked[-1]).encode()
            case "garbage":
                return 200, b"<html>" + _echo(self.asked[-1]).encode()
            case "empty":
                return 200, b""
            case "other json":
                return 200, b"[1, 2]"
            case "slow":
                time.sleep(1.2)
            case "endless":
                return 200, b"x" * 100_000
        return answer()


MOODS_OF_NUMBERS = ("another key", "another digest", "zero r", "zero s", "r too big", "s too big", "no point")


class Google(Service):
    """Cloud KMS, and the server that gives tokens for it."""

    name = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    algorithm = "EC_SIGN_SECP256K1_SHA256"
    wrong_checksums = 0  # so many answers carry a wrong one
    revoked = False

    def handle(self, asked: Asked) -> Reply:
        if asked.path == "/token":
            form = parse_qs(asked.body.decode())
            claims = checked_jwt(form["assertion"][0])
            assert claims["aud"] == self.url + "/token" and claims["iss"] == "agent@project"
            return 200, json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()
        if asked.path.startswith("/computeMetadata/"):
            assert asked.headers["metadata-flavor"] == "Google"
            return 200, json.dumps({"access_token": TOKEN, "expires_in": 3600}).encode()
        if asked.headers.get("authorization") != f"Bearer {TOKEN}" or self.revoked:
            self.revoked = False
            return self.refusal(401, "UNAUTHENTICATED")
        if asked.path == f"/v1/{self.name}/publicKey":
            pem = self.pem
            return 200, json.dumps(
                {
                    "pem": pem,
                    "algorithm": self.algorithm,
                    "pemCrc32c": self._crc(pem.encode()),
                    "name": self.name,
                }
            ).encode()
        assert asked.path == f"/v1/{self.name}:asymmetricSign"
        return self.mooded(lambda: self._sign(json.loads(asked.body)))

    def _sign(self, body: dict[str, object]) -> Reply:
        digest = base64.b64decode(body["digest"]["sha256"])  # type: ignore[index]
        assert body["digestCrc32c"] == str(slow_crc32c(digest))
        der = self.der(digest)
        return 200, json.dumps(
            {
                "signature": base64.b64encode(der).decode(),
                "signatureCrc32c": self._crc(der),
                "verifiedDigestCrc32c": self.mood != "unverified",
                "name": self.name[:-1] + "2" if self.mood == "another name" else self.name,
            }
        ).encode()

    def _crc(self, data: bytes) -> str:
        if self.wrong_checksums > 0:
            self.wrong_checksums -= 1
            return str(slow_crc32c(data) ^ 1)
        return str(slow_crc32c(data))

    def refusal(self, status: int, code: str) -> Reply:
        error = {"code": status, "status": code, "message": _echo(self.asked[-1])}
        return status, json.dumps({"error": error}).encode()


class Azure(Service):
    """Key Vault, Entra and the metadata of a machine."""

    curve = "P-256K"
    revoked = False

    @property
    def kid(self) -> str:
        return f"{self.url}/keys/hedge/0123abcd"

    def handle(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        if parts.path == "/tenant/oauth2/v2.0/token":
            form = parse_qs(asked.body.decode())
            if (form["client_secret"], form["client_id"]) != ([OWN_SECRET], ["client"]):
                said = {"error": "invalid_client", "error_description": _echo(asked)}
                return 401, json.dumps(said).encode()
            return 200, json.dumps({"access_token": TOKEN, "expires_in": 3599}).encode()
        if parts.path == "/metadata/identity/oauth2/token":
            assert asked.headers["metadata"] == "true" and "resource" in parse_qs(parts.query)
            return 200, json.dumps({"access_token": TOKEN, "expires_in": "3599"}).encode()
        if asked.headers.get("authorization") != f"Bearer {TOKEN}" or self.revoked:
            self.revoked = False
            return self.refusal(401, "Unauthorized")
        assert parts.query == "api-version=7.4"
        if asked.method == "GET":
            assert parts.path in ("/keys/hedge", "/keys/hedge/0123abcd")
            x, y = (self.point[1:33], self.point[33:])
            jwk = {"kid": self.kid, "kty": "EC-HSM", "crv": self.curve, "x": _b64url(x), "y": _b64url(y)}
            return 200, json.dumps({"key": jwk}).encode()
        assert parts.path == "/keys/hedge/0123abcd/sign"
        return self.mooded(lambda: self._sign(json.loads(asked.body)))

    def _sign(self, body: dict[str, str]) -> Reply:
        assert body["alg"] == "ES256K"
        digest = base64.urlsafe_b64decode(body["value"] + "==")
        kid = self.kid + "0" if self.mood == "another name" else self.kid
        return 200, json.dumps({"kid": kid, "value": _b64url(self.raw(digest))}).encode()


class Aws(Service):
    """KMS in its own JSON, with a Sign that takes digests as they are."""

    arn = "arn:aws:kms:eu-west-1:000000000000:key/k"
    usage = "SIGN_VERIFY"

    def handle(self, asked: Asked) -> Reply:
        verb, body = asked.headers["x-amz-target"], json.loads(asked.body)
        if verb == "TrentService.GetPublicKey":
            return 200, json.dumps(
                {
                    "KeyId": self.arn,
                    "PublicKey": base64.b64encode(self.spki).decode(),
                    "KeyUsage": self.usage,
                    "KeySpec": "ECC_SECG_P256K1",
                    "SigningAlgorithms": ["ECDSA_SHA_256"],
                }
            ).encode()
        assert verb == "TrentService.Sign"
        return self.mooded(lambda: self._sign(body))

    def _sign(self, body: dict[str, str]) -> Reply:
        assert (body["KeyId"], body["MessageType"]) == (self.arn, "DIGEST")
        assert body["SigningAlgorithm"] == "ECDSA_SHA_256"
        der = self.der(base64.b64decode(body["Message"]))
        return 200, json.dumps({"KeyId": self.arn, "Signature": base64.b64encode(der).decode()}).encode()

    def refusal(self, status: int, code: str) -> Reply:
        names = {403: "AccessDeniedException", 429: "ThrottlingException"}
        return 400, json.dumps({"__type": names[status], "message": _echo(self.asked[-1])}).encode()


class Web3SignerService(Service):
    """Web3Signer's /api/v1/eth1: it hashes by itself."""

    def handle(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b""
        name = "0x" + self.point[1:].hex()
        if asked.path == "/api/v1/eth1/publicKeys":
            other = PrivateKey(b"\x0b" * 32).public_key.format(compressed=False)
            return 200, json.dumps(["0x" + other[1:].hex(), name]).encode()
        assert asked.path == f"/api/v1/eth1/sign/{name}"
        preimage = bytes.fromhex(json.loads(asked.body)["data"][2:])
        return self.mooded(lambda: (200, b"0x" + (self.raw(keccak(preimage)).hex() + "1b").encode()))


class Clef(Service):
    """Clef's account_ methods, signed by eth-account: another implementation than ours."""

    lies: dict[str, object] = {}  # noqa: RUF012 - set per test, on the instance
    code = -32000

    def handle(self, asked: Asked) -> Reply:
        body = json.loads(asked.body)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, b""
        return self.mooded(lambda: (200, json.dumps(self._answer(body)).encode()))

    def _answer(self, body: dict[str, object]) -> dict[str, object]:
        number = 99 if self.mood == "another name" else body["id"]
        if self.mood == "denied":
            error = {"code": self.code, "message": "Request denied " + _echo(self.asked[-1])}
            return {"jsonrpc": "2.0", "id": number, "error": error}
        verb = str(body["method"]).partition("_")[2]
        result = (
            self._transaction(body["params"][0]) if verb == "signTransaction" else self._typed(body["params"])
        )  # type: ignore[index]
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _transaction(self, asked: dict[str, object]) -> object:
        tx: dict[str, object] = {k: v for k, v in asked.items() if k != "from"} | self.lies
        key = b"\x09" * 32 if self.mood == "another key" else self.key.secret
        signed = Account.from_key(key).sign_transaction({"type": 2, **tx})
        raw = bytes(signed.raw_transaction)
        if self.mood == "truncated":
            raw = raw[:-3]
        return {"raw": "0x" + raw.hex(), "tx": asked}

    def _typed(self, params: list[object]) -> str:
        address, typed = params
        assert address == self.address
        message = encode_typed_data(full_message=typed)  # type: ignore[arg-type]
        digest = keccak(b"\x19" + message.version + message.header + message.body)
        return "0x" + self.raw(digest).hex() + "1c"


class Fireblocks(Service):
    """An MPC custodian: requests take a while, and a name is taken for good."""

    looks = 1  # at a request until it has ended
    ends = "COMPLETED"
    loses_reply = False  # of the next submission, which is carried out all the same

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, dict[str, object]] = {}
        self._nonces: set[str] = set()
        self._lock = threading.Lock()

    def handle(self, asked: Asked) -> Reply:
        claims = checked_jwt(asked.headers["authorization"].removeprefix("Bearer "))
        assert claims["uri"] == asked.path
        assert claims["sub"] == asked.headers["x-api-key"] == API_KEY
        assert claims["bodyHash"] == hashlib.sha256(asked.body).hexdigest()
        assert claims["exp"] - claims["iat"] < 30 and claims["nonce"] not in self._nonces
        with self._lock:
            self._nonces.add(claims["nonce"])
            return self._answer(asked)

    def _answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/vault/accounts/7/ETH/addresses_paginated":
            return 200, json.dumps({"addresses": [{"address": self.address.lower()}]}).encode()
        if asked.path == "/v1/transactions":
            return self.mooded(lambda: self._submit(json.loads(asked.body)))
        place, name = asked.path.removeprefix("/v1/transactions/").rpartition("/")[::2]
        found = self.requests.get(name)
        if place == "external_tx_id":
            found = next((r for r in self.requests.values() if r["externalTxId"] == name), None)
        if found is None:
            return self.refusal(404, "NotFound")
        return 200, json.dumps(self._seen(found)).encode()

    def _submit(self, body: dict[str, object]) -> Reply:
        assert (body["operation"], body["source"]) == ("RAW", {"type": "VAULT_ACCOUNT", "id": "7"})
        name = str(body["externalTxId"])
        if any(request["externalTxId"] == name for request in self.requests.values()):
            return 400, json.dumps({"code": 1438, "message": "external tx id is taken"}).encode()
        message = body["extraParameters"]["rawMessageData"]["messages"][0]  # type: ignore[index]
        number = f"id-{len(self.requests)}"
        self.requests[number] = {
            "id": number,
            "externalTxId": name,
            "digest": message["content"],
            "looks": self.looks,
            "ends": self.ends,
        }
        if self.loses_reply:
            self.loses_reply = False
            return 502, b""
        return 200, json.dumps({"id": number, "status": "SUBMITTED"}).encode()

    def _seen(self, request: dict[str, object]) -> dict[str, object]:
        left = int(str(request["looks"]))
        request["looks"] = left - 1
        if left > 1:
            return {"id": request["id"], "status": "PENDING_SIGNATURE"}
        answer: dict[str, object] = {"id": request["id"], "status": request["ends"]}
        if request["ends"] == "COMPLETED":
            digest = bytes.fromhex(str(request["digest"]))
            raw = self.raw(digest)
            said = keccak(digest) if self.mood == "another name" else digest
            signature = {"r": raw[:32].hex(), "s": raw[32:].hex(), "v": 0, "fullSig": raw.hex()}
            answer["signedMessages"] = [{"content": said.hex(), "signature": signature}]
        return answer


@contextlib.contextmanager
def serving(service: T, tls: ssl.SSLContext | None = None) -> Iterator[T]:
    """The service on a free port of loopback."""

    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: else the second waits for a delayed acknowledgement

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            service.asked.append(asked)
            if service.mood == "hang up":
                self.close_connection = True
                return
            status, content = service.handle(asked)
            with contextlib.suppress(OSError):  # who waits no longer has gone
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

        do_GET = do_POST = _serve

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], OSError):  # one who hangs up is no fault of the service
                faults.append(str(sys.exc_info()[1]))

    faults: list[str] = []
    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    service.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        for connection in connections:  # those that are kept alive would be served on
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
    assert faults == [], "what was asked of the service was not as its vendor wants it"


def checked_jwt(token: str) -> dict[str, object]:
    """The claims of a token signed with our RSA key; anything else fails."""
    head, claims, signature = token.split(".")
    RSA_KEY.public_key().verify(
        _unb64(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert json.loads(_unb64(head))["alg"] == "RS256"
    return json.loads(_unb64(claims))


def slow_crc32c(data: bytes) -> int:
    """CRC-32C bit by bit, from its definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if (crc ^ (byte >> bit)) & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _public(key: PrivateKey) -> ec.EllipticCurvePublicKey:
    return ec.derive_private_key(int.from_bytes(key.secret, "big"), ec.SECP256K1()).public_key()


def _echo(asked: Asked) -> str:
    return f"{asked.headers.get('authorization')} {asked.headers.get('x-api-key')} {asked.body.decode()}"


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
