"""Keys, signatures and checksums in their outer forms, against another library and published values."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from agent.tx.custody.checksum import crc32c
from agent.tx.custody.form import (
    bytes_of_hex,
    key_of_pem,
    key_of_point,
    key_of_spki,
    signature_of_bytes,
    signature_of_der,
    signature_of_hex,
)
from agent.tx.custody.token import RsaKey
from tests.signer.service import RSA_KEY, Service, slow_crc32c

NUMBER = st.integers(min_value=1, max_value=2**256 - 1)
SERVICE = Service()
FORM = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@given(NUMBER, NUMBER)
def test_der_as_another_library_writes_it_is_read(r: int, s: int) -> None:
    assert signature_of_der(encode_dss_signature(r, s)) == (r, s)


@given(NUMBER, NUMBER, st.data())
def test_der_with_a_byte_cut_off_or_added_is_not_read(r: int, s: int, data: st.DataObject) -> None:
    der = encode_dss_signature(r, s)
    cut = data.draw(st.integers(0, len(der) - 1))
    for wrong in (der[:cut], der + b"\0", b"\x31" + der[1:]):
        with pytest.raises(ValueError):
            signature_of_der(wrong)


@given(st.binary(max_size=90))
def test_no_bytes_make_the_reader_of_der_fail_otherwise(raw: bytes) -> None:
    try:
        r, s = signature_of_der(raw)
    except ValueError:
        return
    assert encode_dss_signature(r, s) == raw


@pytest.mark.parametrize(
    "text", ["3006020100020101", "3006020101020180", "300702020001020101", "30060201010201", "", "30", "3000"]
)
def test_zero_is_read_and_negative_padded_or_short_numbers_are_not(text: str) -> None:
    if text == "3006020100020101":
        assert signature_of_der(bytes.fromhex(text)) == (0, 1)
    else:
        with pytest.raises(ValueError):
            signature_of_der(bytes.fromhex(text))


def test_a_public_key_is_read_in_every_form_it_travels_in() -> None:
    key = SERVICE.key.public_key
    point, compressed = key.format(compressed=False), key.format()
    assert key_of_spki(SERVICE.spki) == key
    assert key_of_pem(SERVICE.pem) == key
    for raw in (point, compressed, point[1:], b"\x04\x41" + point, b"\x04\x21" + compressed):
        assert key_of_point(raw) == key


def test_a_public_key_of_another_curve_or_kind_is_refused() -> None:
    others = [ec.generate_private_key(curve()).public_key() for curve in (ec.SECP256R1, ec.SECP384R1)]
    for other in (*others, RSA_KEY.public_key()):
        with pytest.raises(ValueError):
            key_of_spki(other.public_bytes(*FORM))
    for raw in (b"", b"\x04" + bytes(64), bytes(64), SERVICE.point[:-1]):
        with pytest.raises(ValueError):
            key_of_point(raw)
    for text in ("", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----", SERVICE.pem * 2):
        with pytest.raises(ValueError):
            key_of_pem(text)


def test_raw_signatures_have_64_bytes_or_65() -> None:
    assert signature_of_bytes(bytes(31) + b"\1" + bytes(31) + b"\2") == (1, 2)
    assert signature_of_hex("0x" + "00" * 31 + "01" + "00" * 31 + "02" + "1b") == (1, 2)
    for wrong in (b"", bytes(63), bytes(66)):
        with pytest.raises(ValueError):
            signature_of_bytes(wrong)
    for text in ("", "0x", "0xabc", "00" * 64, "0x" + "zz" * 64, None, 5):
        with pytest.raises(ValueError):
            bytes_of_hex(text)


def test_crc32c_is_that_of_rfc_3720() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=200))
def test_crc32c_by_table_is_crc32c_by_definition(data: bytes) -> None:
    assert crc32c(data) == slow_crc32c(data)


def test_an_rsa_key_must_be_a_private_one() -> None:
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for text in ("", "nonsense", public.decode(), PrivateKey(b"\1" * 32).to_pem().decode()):
        with pytest.raises(ValueError, match="it holds"):
            RsaKey(text)
