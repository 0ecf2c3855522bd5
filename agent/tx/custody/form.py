"""The forms in which keys and signatures travel. All raise ValueError for what is not exactly the form.

DER of a signature: RFC 3279 section 2.2.3; of a public key: RFC 5480. Nothing that is not secp256k1 passes.
"""

from __future__ import annotations

import re
from base64 import b64decode

from coincurve import PublicKey

_OF_CURVE = bytes.fromhex("301006072a8648ce3d020106052b8104000a")  # id-ecPublicKey, secp256k1
_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")


def signature_of_der(der: bytes) -> tuple[int, int]:
    """(r, s) of ``SEQUENCE { INTEGER r, INTEGER s }``, and nothing after it."""
    body = _element(der, 0x30)
    r, rest = _integer(body)
    s, rest = _integer(rest)
    if rest:
        raise ValueError("bytes follow the signature")
    return r, s


def signature_of_bytes(raw: bytes) -> tuple[int, int]:
    """(r, s) of r || s, 32 bytes each; a byte for v may follow and is not believed."""
    if len(raw) not in (64, 65):
        raise ValueError(f"{len(raw)} bytes are no r and s")
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


def signature_of_hex(text: str) -> tuple[int, int]:
    """(r, s) of 0x and hex of r || s or r || s || v."""
    return signature_of_bytes(bytes_of_hex(text))


def bytes_of_hex(text: object) -> bytes:
    """The bytes of 0x and hex digits."""
    if not isinstance(text, str) or not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})+", text):
        raise ValueError("it is not 0x and hex digits")
    return bytes.fromhex(text[2:])


def key_of_spki(der: bytes) -> PublicKey:
    """The key of a SubjectPublicKeyInfo."""
    body = _element(der, 0x30)
    if not body.startswith(_OF_CURVE):
        raise ValueError("it is not a key of secp256k1")
    bits = _element(body[len(_OF_CURVE) :], 0x03)
    if bits[:1] != b"\x00":
        raise ValueError("its bits are no whole bytes")
    return PublicKey(bits[1:])


def key_of_pem(text: str) -> PublicKey:
    """The key of a PEM file with one ``PUBLIC KEY``."""
    found = _PEM.fullmatch(text)
    if found is None:
        raise ValueError("it is no PEM of a public key")
    return key_of_spki(b64decode("".join(found[1].split()), validate=True))


def key_of_point(raw: bytes) -> PublicKey:
    """The key of a point: compressed, uncompressed, bare x || y, or wrapped in an octet string (PKCS#11)."""
    if len(raw) in (35, 67) and raw[0] == 0x04:
        raw = _element(raw, 0x04)
    return PublicKey(b"\x04" + raw if len(raw) == 64 else raw)


def _element(der: bytes, tag: int) -> bytes:
    """The content of the one element that ``der`` is; short lengths only, as these forms have."""
    if len(der) < 2 or der[0] != tag or der[1] != len(der) - 2 or der[1] > 127:
        raise ValueError("its DER is truncated or of another form")
    return der[2:]


def _integer(der: bytes) -> tuple[int, bytes]:
    """A positive INTEGER and what follows it."""
    end = 2 + der[1] if len(der) >= 2 else 0
    content = der[2:end]
    if end > len(der) or der[:1] != b"\x02" or not content or content[0] > 127:
        raise ValueError("its DER is truncated or of another form")
    if len(content) > 1 and content[0] == 0 and content[1] < 128:
        raise ValueError("a number in its DER has needless zeros")
    return int.from_bytes(content, "big"), der[end:]
