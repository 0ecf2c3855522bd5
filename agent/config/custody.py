"""Where the key is kept: the keys of ``[signer]``, and which of them go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from agent.errors import ConfigInvalid

PATHS = ("keystore", "password_file", "module", "credentials_file", "ca_file", "client_cert", "client_key")

Kind = Literal["keystore", "pkcs11", "aws", "gcp", "azure", "web3signer", "jsonrpc", "custodian"]


@dataclass(frozen=True, slots=True)
class Uses:
    """The keys that a kind of custody needs, and those it may have."""

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


_TLS = ("ca_file", "client_cert", "client_key")
USES: Mapping[str, Uses] = {
    "keystore": Uses((), ("keystore", "password_file")),  # without one there is only nothing to sign with
    "pkcs11": Uses(("module", "token"), ("key_label", "key_id")),
    "aws": Uses(("key",), ("region", "url")),
    "gcp": Uses(("key",), ("credentials_file", "url")),
    "azure": Uses(("url", "key"), ("tenant", "client_id", "authority")),
    "web3signer": Uses(("url",), _TLS),
    "jsonrpc": Uses(("url",), ("namespace", *_TLS)),
    "custodian": Uses(("vault", "credentials_file"), ("asset", "url")),
}


def _secret(value: object) -> object:
    return SecretStr(value) if isinstance(value, str) else value


Url = Annotated[SecretStr, BeforeValidator(_secret)]


class Section(BaseModel):
    """A part of the config: frozen, and without a key that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignerSection(Section):
    """The account's own key. Without one nothing can be signed."""

    kind: Kind = Field(default="keystore", description="where the key is kept")
    timeout_s: float = Field(default=10.0, gt=0, le=600, description="longest wait for a signature")
    keystore: Path | None = Field(default=None, description="encrypted key file (keystore v3), mode 0600")
    password_file: Path | None = Field(default=None, description="file with its password, mode 0600")
    module: Path | None = Field(default=None, description="pkcs11: the driver, a shared library")
    token: str | None = Field(default=None, description="pkcs11: label of the token")
    key_label: str | None = Field(default=None, description="pkcs11: label of the key pair")
    key_id: str | None = Field(
        default=None, description="pkcs11: its id (CKA_ID) in hex", pattern="^([0-9a-fA-F]{2})+$"
    )
    key: str | None = Field(
        default=None,
        description="aws: id, ARN or alias; gcp: resource name of a key version; azure: name or name/version",
    )
    region: str | None = Field(default=None, description="aws: else that of boto3's own settings")
    url: Url | None = Field(
        default=None, description="address of the vault or service; for aws, gcp and custodian their own one"
    )
    tenant: str | None = Field(default=None, description="azure: tenant of the application")
    client_id: str | None = Field(
        default=None, description="azure: the application; without `tenant` a managed identity of the machine"
    )
    authority: str | None = Field(
        default=None, description="azure: who gives tokens, where that is not login.microsoftonline.com"
    )
    credentials_file: Path | None = Field(
        default=None, description="gcp: key file of a service account; custodian: RSA key (PEM); mode 0600"
    )
    namespace: Literal["account", "eth"] = Field(
        default="account", description="jsonrpc: prefix of its methods; Clef has account_"
    )
    vault: str | None = Field(
        default=None, description="custodian: id of the vault account", pattern="^[0-9A-Za-z-]+$"
    )
    asset: str = Field(
        default="ETH", description="custodian: asset id of the address", pattern="^[0-9A-Za-z_-]+$"
    )
    ca_file: Path | None = Field(default=None, description="certificates to trust instead of the system's")
    client_cert: Path | None = Field(default=None, description="certificate that we show the service (mTLS)")
    client_key: Path | None = Field(default=None, description="its private key, mode 0600")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Raises ConfigInvalid naming a key that is missing, or one that would do nothing."""
        uses = USES[self.kind]
        for name in uses.needs:
            if getattr(self, name) is None:
                raise _missing(name, self.kind)
        if self.kind == "pkcs11" and self.key_label is None and self.key_id is None:
            raise _missing("key_label", self.kind, " (or signer.key_id)")
        if self.kind == "azure" and self.tenant is not None and self.client_id is None:
            raise _missing("client_id", self.kind)
        if self.client_key is not None and self.client_cert is None:
            raise _missing("client_cert", self.kind)
        known = {"kind", "timeout_s", *uses.needs, *uses.may}
        for name in sorted(self.model_fields_set - known):
            owners = ", ".join(kind for kind, other in USES.items() if name in other.needs + other.may)
            reason = f"it does nothing while signer.kind is {self.kind}; it is for {owners}"
            raise ConfigInvalid(key=f"signer.{name}", value="...", reason=reason)
        return self


def _missing(name: str, kind: str, other: str = "") -> ConfigInvalid:
    reason = f"it is missing; signer.kind = {kind} needs it{other}"
    return ConfigInvalid(key=f"signer.{name}", value=None, reason=reason)
