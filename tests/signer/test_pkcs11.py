"""The PKCS#11 signer on SoftHSM2: a real driver, and keys that were made in the token and cannot leave it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest
from eth_utils.crypto import keccak

from agent.errors import ConfigInvalid, EvenkeelError, KeyUnreadable, SignerRefused, SignerUnavailable
from agent.tx.custody.pkcs11 import Pkcs11Signer
from agent.tx.signer import recover, sign_preimage
from tests.signer.bench import PIN, Hsm, make_key, opened


def signs(signer: Pkcs11Signer, preimage: bytes = b"hedge") -> bool:
    return recover(keccak(preimage), sign_preimage(signer, preimage)) == signer.address


def session_of(signer: Pkcs11Signer) -> pkcs11.Session:
    session = signer._session
    assert session is not None
    return session


@pytest.fixture(autouse=True)
def logged_out(hsm: Hsm) -> None:
    """A login is of the whole process: without this, a test would use that of the one before."""
    pkcs11.lib(str(hsm.module)).reinitialize()


@pytest.fixture
def signer(hsm: Hsm) -> Iterator[Pkcs11Signer]:
    yield hsm.signer()


def test_a_key_is_found_by_label_by_id_and_by_both(hsm: Hsm) -> None:
    by_label = hsm.signer()
    by_id = hsm.signer(key_label=None, key_id=b"\x01")
    by_both = hsm.signer(key_id=b"\x01")
    assert by_label.address == by_id.address == by_both.address
    assert signs(by_label) and signs(by_id) and signs(by_both)


def test_the_key_was_made_in_the_token_and_cannot_leave_it(signer: Pkcs11Signer) -> None:
    key = session_of(signer).get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="hedge")
    assert key[pkcs11.Attribute.LOCAL] and key[pkcs11.Attribute.SENSITIVE]
    assert not key[pkcs11.Attribute.EXTRACTABLE]
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        _ = key[pkcs11.Attribute.VALUE]


def test_a_closed_session_is_opened_again(signer: Pkcs11Signer) -> None:
    session_of(signer).close()
    assert signs(signer)


def test_one_signer_that_ends_its_session_does_not_stop_another_on_the_same_token(hsm: Hsm) -> None:
    one, other = hsm.signer(), hsm.signer()
    for _ in range(3):
        session_of(one).close()  # logs the whole process out of the token
        assert signs(other) and signs(one)


def test_a_driver_that_was_shut_down_and_started_again_signs_again(hsm: Hsm, signer: Pkcs11Signer) -> None:
    pkcs11.lib(str(hsm.module)).reinitialize()
    assert signs(signer)


def test_a_driver_that_was_shut_down_is_started_again(hsm: Hsm, signer: Pkcs11Signer) -> None:
    pkcs11.lib(str(hsm.module)).finalize()
    assert signs(signer)


def test_a_key_that_is_taken_away_is_a_refusal_and_comes_back(hsm: Hsm) -> None:
    make_key(hsm.module, "leaving", b"\x02")
    signer = hsm.signer(key_label="leaving")
    token = pkcs11.lib(str(hsm.module)).get_token(token_label=hsm.token)
    with opened(token) as session:
        found = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="leaving")
        found[pkcs11.Attribute.LABEL] = "left"
        session_of(signer).close()
    with pytest.raises(SignerRefused, match="NoSuchKey"):
        signer.sign_digest(bytes(32))
    with opened(token) as session:
        found = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="left")
        found[pkcs11.Attribute.LABEL] = "leaving"
    assert signs(signer)


def test_a_pin_that_is_refused_is_never_tried_again_lest_the_token_locks(hsm: Hsm) -> None:
    signer = hsm.signer()
    signer._pin = "00000000"
    session_of(signer).close()
    with pytest.raises(SignerRefused, match="PinIncorrect"):
        signer.sign_digest(bytes(32))
    signer._pin = PIN
    with pytest.raises(SignerRefused, match="not asked again"):
        signer.sign_digest(bytes(32))
    assert signs(hsm.signer())  # the token is not locked


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"token": "none"}, "signer.token"),
        ({"key_label": "none"}, "signer.key_label"),
        ({"key_label": None, "key_id": b"\xff"}, "signer.key_id"),
        ({"key_label": "of another curve"}, "signer.key_label"),
        ({"key_label": "twins"}, "signer.key_label"),
    ],
    ids=str,
)
def test_what_is_wrong_in_the_config_is_named(hsm: Hsm, changes: dict[str, object], key: str) -> None:
    if changes.get("key_label") == "of another curve":
        make_key(hsm.module, "of another curve", b"\x03", "secp256r1")
    if changes.get("key_label") == "twins":
        make_key(hsm.module, "twins", b"\x04")
        make_key(hsm.module, "twins", b"\x05")
    with pytest.raises(ConfigInvalid) as caught:
        hsm.signer(**changes)
    assert caught.value.fields["key"] == key


def test_a_wrong_pin_is_named_and_not_shown(hsm: Hsm) -> None:
    wrong = PIN[::-1]
    with pytest.raises(ConfigInvalid, match="EVENKEEL_PKCS11_PIN") as caught:
        hsm.signer(pin=wrong)
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert signs(hsm.signer())


def test_a_file_that_is_no_driver_is_named(hsm: Hsm, tmp_path: Path) -> None:
    (tmp_path / "driver.so").write_text("nothing")
    for module in (tmp_path / "driver.so", tmp_path / "none.so"):
        with pytest.raises(KeyUnreadable, match=r"`signer\.module`"):
            hsm.signer(module=module)


def test_no_pin_is_shown_whatever_goes_wrong(hsm: Hsm, capfd: pytest.CaptureFixture[str]) -> None:
    signer = hsm.signer()
    told = [repr(signer), str(signer)]
    session_of(signer).close()
    signer._label = "none"
    for _ in range(2):
        try:
            signer.sign_digest(bytes(32))
        except EvenkeelError as error:
            told += [str(error), *traceback.format_exception(error)]
    assert len(told) > 4
    captured = capfd.readouterr()
    assert PIN not in "".join([*told, captured.out, captured.err])


class Hanging:
    """What a key is while its network HSM does not answer. SoftHSM cannot be made to hang."""

    def sign(self, *_: object, **__: object) -> bytes:
        time.sleep(1.0)
        return bytes(64)


def test_a_driver_that_hangs_holds_nobody_up(hsm: Hsm) -> None:
    signer = hsm.signer()
    kept = signer._key
    signer._key = Hanging()  # type: ignore[assignment]
    signer._deadline.timeout_s = 0.1
    begun = time.monotonic()
    for _ in range(2):  # the second waits for the first one's place
        with pytest.raises(SignerUnavailable, match=r"within 0\.1 s"):
            signer.sign_digest(bytes(32))
    assert time.monotonic() - begun < 0.8
    signer._key = kept
    signer._deadline.timeout_s = 30.0
    assert signs(signer)
