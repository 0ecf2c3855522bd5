"""From a config to the signer it names. A back-end and its library are imported once they are named."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agent.config import Config
from agent.config.secret import PREFIX, read_document
from agent.errors import ConfigInvalid, KeyUnreadable, LibraryMissing
from agent.tx.custody.keystore import KeystoreSigner
from agent.tx.signer import AnySigner


def signer_of(config: Config) -> AnySigner:
    """The signer of the account.

    Raises ConfigInvalid, KeyUnreadable, LibraryMissing, and from a service SignerUnavailable, SignerRefused.
    """
    build = {
        "keystore": _keystore,
        "pkcs11": _pkcs11,
        "aws": _aws,
        "gcp": _gcp,
        "azure": _azure,
        "web3signer": _web3signer,
        "jsonrpc": _jsonrpc,
        "custodian": _custodian,
    }[config.signer.kind]
    try:
        signer = build(config)
    except ModuleNotFoundError as error:
        if error.name not in ("pkcs11", "boto3", "botocore"):
            raise
        raise LibraryMissing(key="signer.kind", value=config.signer.kind, package=error.name) from error
    if signer.address != config.account:
        raise ConfigInvalid(
            key="chain.account",
            value=config.account,
            reason=f"the key of signer.kind = {config.signer.kind} is of {signer.address}",
        )
    return signer


def _keystore(config: Config) -> AnySigner:
    path = config.signer.keystore
    if path is None:
        raise ConfigInvalid(key="signer.keystore", value=None, reason="a live run needs a key file")
    signer = KeystoreSigner(path, config.key_password())
    if signer.address != config.account:
        raise KeyUnreadable(
            key="signer.keystore",
            path=path,
            reason=f"it holds the key of {signer.address}, not of {config.account}",
        )
    return signer


def _pkcs11(config: Config) -> AnySigner:
    from agent.tx.custody.pkcs11 import Pkcs11Signer

    part = config.signer
    return Pkcs11Signer(
        cast(Path, part.module),
        cast(str, part.token),
        _needed(config, "PKCS11_PIN"),
        part.timeout_s,
        part.key_label,
        None if part.key_id is None else bytes.fromhex(part.key_id),
    )


def _aws(config: Config) -> AnySigner:
    from agent.tx.custody.aws import AwsSigner

    part = config.signer
    return AwsSigner(cast(str, part.key), part.timeout_s, part.region, _url(config, None))


def _gcp(config: Config) -> AnySigner:
    from agent.tx.custody import gcp

    part = config.signer
    if part.credentials_file is None:
        bearer = gcp.machine_identity(part.timeout_s)
    else:
        document = read_document(part.credentials_file, "signer.credentials_file")
        bearer = gcp.service_account(document, part.timeout_s)
    return gcp.GoogleSigner(cast(str, part.key), bearer, part.timeout_s, _url(config, gcp.URL) or gcp.URL)


def _azure(config: Config) -> AnySigner:
    from agent.tx.custody import azure

    part, vault = config.signer, _url(config, None) or ""
    if part.tenant is None:
        bearer = azure.machine_identity(vault, part.timeout_s, part.client_id)
    else:
        bearer = azure.application(
            vault,
            part.tenant,
            cast(str, part.client_id),
            _needed(config, "AZURE_CLIENT_SECRET"),
            part.timeout_s,
            part.authority or azure.AUTHORITY,
        )
    return azure.AzureSigner(vault, cast(str, part.key), bearer, part.timeout_s)


def _web3signer(config: Config) -> AnySigner:
    from agent.tx.custody.web3signer import Web3Signer
    from agent.tx.custody.wire import Tls

    part = config.signer
    tls = Tls(part.ca_file, part.client_cert, part.client_key)
    token = config.signer_secret("SIGNER_TOKEN")
    return Web3Signer(_url(config, None) or "", config.account, part.timeout_s, token, tls)


def _jsonrpc(config: Config) -> AnySigner:
    from agent.tx.custody.jsonrpc import JsonRpcSigner
    from agent.tx.custody.wire import Tls

    part = config.signer
    tls = Tls(part.ca_file, part.client_cert, part.client_key)
    token = config.signer_secret("SIGNER_TOKEN")
    return JsonRpcSigner(_url(config, None) or "", config.account, part.timeout_s, part.namespace, token, tls)


def _custodian(config: Config) -> AnySigner:
    from agent.tx.custody import custodian
    from agent.tx.custody.token import RsaKey

    part = config.signer
    path = cast(Path, part.credentials_file)
    try:
        rsa = RsaKey(read_document(path, "signer.credentials_file"))
    except ValueError as error:
        raise KeyUnreadable(key="signer.credentials_file", path=path, reason=str(error)) from None
    return custodian.CustodianSigner(
        config.account,
        cast(str, part.vault),
        _needed(config, "CUSTODIAN_API_KEY"),
        rsa,
        part.timeout_s,
        part.asset,
        _url(config, custodian.URL) or custodian.URL,
    )


def _url(config: Config, default: str | None) -> str | None:
    return default if config.signer.url is None else config.signer.url.get_secret_value()


def _needed(config: Config, name: str) -> str:
    found = config.signer_secret(name)
    if not found:
        reason = f"signer.kind = {config.signer.kind} needs it, or {PREFIX}{name}_FILE"
        raise ConfigInvalid(key=PREFIX + name, value=None, reason=reason)
    return found
