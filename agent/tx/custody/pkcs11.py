"""A key in an HSM or token, through its PKCS#11 driver. The key never leaves the token.

Mechanism CKM_ECDSA over 32 bytes that are already hashed; the answer is r || s.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

import pkcs11
from coincurve import PublicKey
from pkcs11 import exceptions as fault

from agent.errors import ConfigInvalid, KeyUnreadable, SignatureMismatch, SignerRefused, SignerUnavailable
from agent.tx.custody.deadline import Deadline
from agent.tx.custody.form import key_of_point, signature_of_bytes
from agent.tx.custody.veil import veiled
from agent.tx.signer import address_of
from agent.values.address import Address

# A token locks itself after a few wrong PINs, so one refusal is the last try.
PIN_FAULTS = (
    fault.PinIncorrect,
    fault.PinInvalid,
    fault.PinLenRange,
    fault.PinExpired,
    fault.PinLocked,
    fault.UserPinNotInitialized,
)


@veiled
class Pkcs11Signer:
    """Signs in the token. Threads may share it; one signature at a time. A lost session is opened again."""

    __slots__ = (
        "_barred",
        "_deadline",
        "_id",
        "_key",
        "_label",
        "_lock",
        "_module",
        "_pin",
        "_session",
        "_token",
        "address",
    )

    def __init__(
        self,
        module: Path,
        token: str,
        pin: str,
        timeout_s: float,
        key_label: str | None = None,
        key_id: bytes | None = None,
    ) -> None:
        """The key is the one of ``token`` with ``key_label``, or ``key_id`` (CKA_ID), or both.

        Raises KeyUnreadable for a driver that cannot be loaded, ConfigInvalid for a token, PIN or key that
        is not there, SignerUnavailable.
        """
        self._module = module
        self._token = token
        self._pin = pin
        self._label, self._id = key_label, key_id
        self._session: pkcs11.Session | None = None
        self._key: pkcs11.PrivateKey | None = None
        self._barred = False
        self._lock = threading.Lock()
        self._deadline = Deadline(f"PKCS#11 token {token}", timeout_s)
        self.address: Address = self._deadline.run(self._first)

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        """(r, s). Raises SignerUnavailable, SignerRefused, SignatureMismatch."""
        raw = self._deadline.run(lambda: self._sign(digest))
        try:
            return signature_of_bytes(raw)
        except ValueError as error:
            raise SignatureMismatch(address=self.address, reason=str(error)) from None

    def _sign(self, digest: bytes) -> bytes:
        with self._lock:
            if self._key is not None:
                try:
                    return _signed(self._key, digest)
                except fault.PKCS11Error:
                    self._close()  # whatever it was, a new session is the cure, if there is one
            try:
                key = self._key = self._opened()
                return _signed(key, digest)
            except PIN_FAULTS as error:
                self._barred = True
                raise self._refused(f"it does not take the PIN ({_name(error)})") from None
            except (fault.NoSuchKey, fault.FunctionRejected, fault.MechanismInvalid) as error:
                self._close()
                raise self._refused(_name(error)) from None
            except fault.PKCS11Error as error:
                self._close()
                raise SignerUnavailable(signer=self._deadline.signer, reason=_name(error)) from None

    def _first(self) -> Address:
        """Everything that can be wrong in the config shows here."""
        try:
            pkcs11.lib(str(self._module))
        except fault.PKCS11Error:
            raise KeyUnreadable(
                key="signer.module", path=self._module, reason="it is no PKCS#11 driver that loads"
            ) from None
        with self._lock:
            try:
                self._key = self._opened()
                return address_of(self._public(cast(pkcs11.Session, self._session)))
            except (fault.PKCS11Error, ValueError) as error:
                self._close()
                raise self._misfit(error) from None

    def _misfit(self, error: fault.PKCS11Error | ValueError) -> ConfigInvalid | SignerUnavailable:
        """What keeps us from starting, in the words of the config."""
        named, held = ("signer.key_label", self._label) if self._label else ("signer.key_id", self._shown_id)
        if isinstance(error, fault.NoSuchToken | fault.MultipleTokensReturned):
            reason = "the driver knows no such token, or several"
            return ConfigInvalid(key="signer.token", value=self._token, reason=reason)
        if isinstance(error, PIN_FAULTS):
            reason = f"the token does not take the PIN ({_name(error)})"
            return ConfigInvalid(key="EVENKEEL_PKCS11_PIN", value="...", reason=reason)
        if isinstance(error, fault.NoSuchKey | fault.MultipleObjectsReturned):
            reason = "the token needs exactly one private and one public key of that name"
            return ConfigInvalid(key=named, value=held, reason=reason)
        if isinstance(error, ValueError):
            return ConfigInvalid(key=named, value=held, reason="it is no key of secp256k1")
        return SignerUnavailable(signer=self._deadline.signer, reason=_name(error))

    def _opened(self) -> pkcs11.PrivateKey:
        if self._barred:
            raise self._refused("it did not take the PIN before, and is not asked again lest it locks")
        token = pkcs11.lib(str(self._module)).get_token(token_label=self._token)
        try:
            self._session = token.open(user_pin=self._pin)
        except fault.UserAlreadyLoggedIn:  # of this process and this token; the login is shared
            self._session = token.open()
        return cast(pkcs11.PrivateKey, self._found(self._session, pkcs11.ObjectClass.PRIVATE_KEY))

    def _found(self, session: pkcs11.Session, kind: pkcs11.ObjectClass) -> pkcs11.Object:
        wanted: dict[pkcs11.Attribute, object] = {pkcs11.Attribute.CLASS: kind}
        if self._label is not None:
            wanted[pkcs11.Attribute.LABEL] = self._label
        if self._id is not None:
            wanted[pkcs11.Attribute.ID] = self._id
        # All of them: a search that is not read to its end keeps the session's lock.
        found = list(session.get_objects(wanted))
        if len(found) != 1:
            raise fault.MultipleObjectsReturned if found else fault.NoSuchKey
        return found[0]

    def _public(self, session: pkcs11.Session) -> PublicKey:
        found = self._found(session, pkcs11.ObjectClass.PUBLIC_KEY)
        return key_of_point(bytes(found[pkcs11.Attribute.EC_POINT]))

    def _close(self) -> None:
        session, self._session, self._key = self._session, None, None
        if session is not None:
            with suppress(fault.PKCS11Error):
                session.close()

    def _refused(self, reason: str) -> SignerRefused:
        return SignerRefused(signer=self._deadline.signer, reason=reason)

    @property
    def _shown_id(self) -> str:
        return (self._id or b"").hex()


def _signed(key: pkcs11.PrivateKey, digest: bytes) -> bytes:
    # The library adds the class of keys that sign at run time, which its type does not say.
    return bytes(cast(pkcs11.SignMixin, key).sign(digest, mechanism=pkcs11.Mechanism.ECDSA))


def _name(error: fault.PKCS11Error) -> str:
    return type(error).__name__
