"""One signer of each kind with what it signs on, ready to be tried."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import boto3
import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from eth_account import Account
from moto import mock_aws
from moto.kms.utils import ECDSAPrivateKey
from pkcs11.util.ec import encode_named_curve_parameters

from agent.tx.custody import azure, gcp
from agent.tx.custody.aws import AwsSigner
from agent.tx.custody.custodian import CustodianSigner
from agent.tx.custody.jsonrpc import JsonRpcSigner
from agent.tx.custody.keystore import KeystoreSigner
from agent.tx.custody.pkcs11 import Pkcs11Signer
from agent.tx.custody.token import RsaKey
from agent.tx.custody.web3signer import Web3Signer
from agent.tx.signer import AnySigner
from agent.values.address import Address
from tests.signer import service as fake
from tests.signer.service import Service, serving

PIN = "83920174"
PASSWORD = "password-that-nobody-may-see"
AWS_SECRET = "aws-secret-that-nobody-may-see"
PATIENCE_S = 60.0
DRIVERS = tuple(
    Path(folder) / "libsofthsm2.so"
    for folder in (
        "/usr/lib/softhsm",
        "/usr/lib64/pkcs11",
        "/usr/local/lib/softhsm",
        "/opt/homebrew/lib/softhsm",
    )
)


@dataclass
class Bench:
    """A signer, and the service behind it if that is one of ours."""

    kind: str
    signer: AnySigner
    service: Service | None = None


@dataclass(frozen=True)
class Hsm:
    """A SoftHSM token with a key pair ``hedge`` that was made in it and cannot leave."""

    module: Path
    token: str

    def signer(self, **changes: object) -> Pkcs11Signer:
        """Ours, or one with something else in it."""
        given: dict[str, object] = {
            "module": self.module,
            "token": self.token,
            "pin": PIN,
            "timeout_s": PATIENCE_S,
            "key_label": "hedge",
        }
        return Pkcs11Signer(**(given | changes))  # type: ignore[arg-type]


def softhsm(folder: Path) -> Hsm:
    """A token of its own. Skips, with the reason, where SoftHSM2 is not installed."""
    module = next((path for path in DRIVERS if path.exists()), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("SoftHSM2 is not installed: apt-get install softhsm2")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(conf)  # read once, when the driver is loaded into this process
    command = [tool, "--init-token", "--free", "--label", "evenkeel", "--so-pin", "12345678", "--pin", PIN]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    make_key(module, "hedge", b"\x01")
    return Hsm(module, "evenkeel")


def make_key(module: Path, label: str, key_id: bytes, curve: str = "secp256k1") -> None:
    """A key pair made in the token, sensitive and not extractable."""
    token = pkcs11.lib(str(module)).get_token(token_label="evenkeel")
    with opened(token) as session:
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
            local=True,
        )
        _, private = parameters.generate_keypair(label=label, id=key_id, store=True)
        assert private[pkcs11.Attribute.SENSITIVE] and not private[pkcs11.Attribute.EXTRACTABLE]


def opened(token: pkcs11.Token) -> pkcs11.Session:
    """A session that may write. A login is of the whole process, and there may be one."""
    try:
        return token.open(user_pin=PIN, rw=True)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        return token.open(rw=True)


def account_document(url: str) -> str:
    """A service account's key file."""
    return json.dumps(
        {
            "client_email": "agent@project",
            "private_key": fake.RSA_PEM,
            "private_key_id": "1",
            "token_uri": url + "/token",
        }
    )


def over_google(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    bearer = gcp.service_account(account_document(service.url), timeout_s)
    return gcp.GoogleSigner(fake.Google.name, bearer, timeout_s, service.url)


def over_azure(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    bearer = azure.application(service.url, "tenant", "client", fake.OWN_SECRET, timeout_s, service.url)
    return azure.AzureSigner(service.url, "hedge", bearer, timeout_s)


def over_aws(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    with aws_environment():
        return AwsSigner("alias/hedge", timeout_s, "eu-west-1", service.url)


def over_web3signer(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    return Web3Signer(service.url, Address(service.address), timeout_s, fake.TOKEN)


def over_clef(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    return JsonRpcSigner(service.url, Address(service.address), timeout_s, token=fake.TOKEN)


def over_fireblocks(service: Service, timeout_s: float = PATIENCE_S) -> AnySigner:
    return CustodianSigner(
        Address(service.address),
        "7",
        fake.API_KEY,
        RsaKey(fake.RSA_PEM),
        timeout_s,
        url=service.url,
        poll_s=0.002,
    )


SERVICES: dict[str, tuple[type[Service], Callable[..., AnySigner]]] = {
    "aws": (fake.Aws, over_aws),
    "gcp": (fake.Google, over_google),
    "azure": (fake.Azure, over_azure),
    "web3signer": (fake.Web3SignerService, over_web3signer),
    "clef": (fake.Clef, over_clef),
    "custodian": (fake.Fireblocks, over_fireblocks),
}
KINDS = ("keystore", "pkcs11", "aws on moto", *SERVICES)


@contextmanager
def bench(kind: str, folder: Path, hsm: Callable[[], Hsm]) -> Iterator[Bench]:
    """One of ``KINDS``."""
    if kind == "keystore":
        yield Bench(kind, keystore(folder))
    elif kind == "pkcs11":
        yield Bench(kind, hsm().signer())
    elif kind == "aws on moto":
        with on_moto() as signer:
            yield Bench(kind, signer)
    else:
        make, over = SERVICES[kind]
        with serving(make()) as service:
            yield Bench(kind, over(service), service)


def keystore(folder: Path) -> KeystoreSigner:
    path = folder / "key.json"
    path.write_text(json.dumps(Account.encrypt(b"\x05" * 32, PASSWORD, kdf="pbkdf2", iterations=2)))
    path.chmod(0o600)
    return KeystoreSigner(path, PASSWORD)


@contextmanager
def aws_environment() -> Iterator[None]:
    """Credentials where boto3 looks for them."""
    credentials = {"AWS_ACCESS_KEY_ID": "AKIDOFTHETESTS", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}
    with mock.patch.dict(os.environ, credentials | {"AWS_DEFAULT_REGION": "eu-west-1"}):
        yield


def _sign_prehashed(key: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    assert signing_algorithm == "ECDSA_SHA_256" and len(message) == 32
    return key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))


@contextmanager
def on_moto() -> Iterator[AnySigner]:
    """AWS as moto plays it. Its 5.2 overlooks MessageType and hashes a digest again; here it does not."""
    patched = mock.patch.object(ECDSAPrivateKey, "sign", _sign_prehashed)
    with aws_environment(), mock_aws(), patched:
        kms = boto3.client("kms", region_name="eu-west-1")
        made = kms.create_key(KeySpec="ECC_SECG_P256K1", KeyUsage="SIGN_VERIFY")
        yield AwsSigner(made["KeyMetadata"]["KeyId"], PATIENCE_S, "eu-west-1")
