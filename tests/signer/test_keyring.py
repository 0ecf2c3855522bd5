"""From a config file to a signer, and the command that tries it, for every kind."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from agent.cli.command import run
from agent.config import load
from agent.config.custody import USES, SignerSection
from agent.errors import ConfigInvalid, EvenkeelError, KeyUnreadable, LibraryMissing
from agent.keyring import signer_of
from tests.signer import bench as benches
from tests.signer import service as fake
from tests.signer.bench import AWS_SECRET, PASSWORD, PIN, Hsm
from tests.signer.service import serving

STRANGER = "0x000000000000000000000000000000000000dEaD"
SECRETS = (PIN, PASSWORD, AWS_SECRET, fake.TOKEN, fake.OWN_SECRET, fake.API_KEY, "PRIVATE KEY")
Setting = tuple[dict[str, object], str, dict[str, str]]  # of [signer], the account, the environment


def owned(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def written(folder: Path, signer: dict[str, object], account: str) -> Path:
    lines = [f"{name} = {json.dumps(value)}" for name, value in signer.items()]
    path = folder / "evenkeel.toml"
    path.write_text(
        f'[chain]\ndeployment = "d.json"\naccount = "{account}"\n[rpc]\nurl = "http://127.0.0.1:1"\n[signer]\n'
        + "\n".join(lines)
        + "\n"
    )
    return path


class World:
    """What each kind needs around it."""

    def __init__(self, folder: Path, stack: ExitStack, hsm: Callable[[], Hsm]) -> None:
        self.folder, self.stack, self.hsm = folder, stack, hsm

    def keystore(self) -> Setting:
        account = benches.keystore(self.folder).address
        return {"keystore": "key.json"}, account, {"EVENKEEL_KEY_PASSWORD": PASSWORD}

    def pkcs11(self) -> Setting:
        hsm = self.hsm()
        pin = owned(self.folder / "pin", PIN + "\n")
        keys = {"module": str(hsm.module), "token": hsm.token, "key_label": "hedge", "key_id": "01"}
        return keys, hsm.signer().address, {"EVENKEEL_PKCS11_PIN_FILE": str(pin)}

    def aws(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Aws()))
        self.stack.enter_context(benches.aws_environment())
        return {"key": "alias/hedge", "region": "eu-west-1", "url": service.url}, service.address, {}

    def gcp(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Google()))
        owned(self.folder / "account.json", benches.account_document(service.url))
        keys = {"key": fake.Google.name, "credentials_file": "account.json", "url": service.url}
        return keys, service.address, {}

    def azure(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Azure()))
        keys = {"url": service.url, "key": "hedge", "tenant": "tenant", "client_id": "client"}
        environment = {"EVENKEEL_AZURE_CLIENT_SECRET": fake.OWN_SECRET}
        return keys | {"authority": service.url}, service.address, environment

    def web3signer(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Web3SignerService()))
        return {"url": service.url}, service.address, {"EVENKEEL_SIGNER_TOKEN": fake.TOKEN}

    def jsonrpc(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Clef()))
        return {"url": service.url}, service.address, {"EVENKEEL_SIGNER_TOKEN": fake.TOKEN}

    def custodian(self) -> Setting:
        service = self.stack.enter_context(serving(fake.Fireblocks()))
        owned(self.folder / "rsa.pem", fake.RSA_PEM)
        keys = {"vault": "7", "credentials_file": "rsa.pem", "url": service.url}
        return keys, service.address, {"EVENKEEL_CUSTODIAN_API_KEY": fake.API_KEY}


@pytest.fixture
def world(tmp_path: Path, lazy_hsm: Callable[[], Hsm]) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack, lazy_hsm)


def set_up(world: World, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    keys, account, environment = getattr(world, kind)()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return written(world.folder, {"kind": kind, "timeout_s": 30, **keys}, account), account


@pytest.mark.parametrize("kind", USES)
def test_the_command_shows_kind_address_and_time(
    kind: str, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, account = set_up(world, kind, monkeypatch)
    assert run(["signer", "-c", str(path), "--json"]) == 0, capsys.readouterr().err
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["address"]) == (kind, account)
    assert told["sign_ms"] > 0 and told["open_ms"] > 0
    assert run(["signer", "-c", str(path)]) == 0
    assert account in capsys.readouterr().out


@pytest.mark.parametrize("kind", [kind for kind in USES if kind != "jsonrpc"])  # its first signature tells
def test_a_key_of_another_account_is_refused_before_anything_is_signed(
    kind: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = set_up(world, kind, monkeypatch)
    with pytest.raises(EvenkeelError) as caught:
        signer_of(load(path, [f"chain.account={STRANGER}"]))
    assert isinstance(caught.value, ConfigInvalid | KeyUnreadable)
    assert STRANGER in str(caught.value)


@pytest.mark.parametrize("kind", USES)
def test_config_show_and_a_wrong_secret_tell_no_secret(
    kind: str, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path, _ = set_up(world, kind, monkeypatch)
    assert run(["config", "show", "-c", str(path), "--json"]) == 0
    config = load(path)
    told = [repr(config), str(config.signer), repr(signer_of(config))]
    for name in ("EVENKEEL_KEY_PASSWORD", "EVENKEEL_AZURE_CLIENT_SECRET", "EVENKEEL_SIGNER_TOKEN"):
        monkeypatch.setenv(name, "another-" + fake.OWN_SECRET)
    try:
        signer_of(load(path))
    except EvenkeelError as error:
        told += [str(error), str(error.fields), *traceback.format_exception(error)]
    captured = capfd.readouterr()
    text = "".join([*told, captured.out, captured.err])
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize("kind", USES)
def test_a_key_that_is_missing_names_itself(kind: str) -> None:
    values = {"module": "m", "token": "t", "key": "k", "url": "u", "vault": "1", "credentials_file": "c"}
    for missing in USES[kind].needs:
        given = {name: values[name] for name in USES[kind].needs if name != missing}
        with pytest.raises(ConfigInvalid) as caught:
            SignerSection.model_validate({"kind": kind, **given})
        assert caught.value.fields["key"] == f"signer.{missing}"
        assert kind in str(caught.value)


@pytest.mark.parametrize(
    ("signer", "key"),
    [
        ({"kind": "pkcs11", "module": "m", "token": "t"}, "signer.key_label"),
        ({"kind": "azure", "url": "u", "key": "k", "tenant": "t"}, "signer.client_id"),
        ({"kind": "web3signer", "url": "u", "client_key": "k"}, "signer.client_cert"),
        ({"kind": "aws", "key": "k", "keystore": "f"}, "signer.keystore"),
        ({"module": "m"}, "signer.module"),
        ({"kind": "pkcs11", "module": "m", "token": "t", "key_id": "xyz"}, "signer.key_id"),
        ({"kind": "ledger"}, "signer.kind"),
        ({"timeout_s": 0}, "signer.timeout_s"),
        ({"kind": "custodian", "vault": "7/../8", "credentials_file": "c"}, "signer.vault"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_keys_that_do_not_go_together_are_refused_by_name(
    signer: dict[str, object], key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(written(tmp_path, signer, STRANGER), environment={})
    assert caught.value.fields["key"] == key


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("pkcs11", "EVENKEEL_PKCS11_PIN"),
        ("azure", "EVENKEEL_AZURE_CLIENT_SECRET"),
        ("custodian", "EVENKEEL_CUSTODIAN_API_KEY"),
    ],
)
def test_a_secret_that_is_missing_names_its_variable(
    kind: str, variable: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = set_up(world, kind, monkeypatch)
    for name in (variable, variable + "_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigInvalid, match=f"{variable}_FILE") as caught:
        signer_of(load(path))
    assert caught.value.fields["key"] == variable


def test_a_credentials_file_must_be_its_owners_alone_and_hold_a_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = set_up(world, "custodian", monkeypatch)
    (world.folder / "rsa.pem").chmod(0o640)
    with pytest.raises(KeyUnreadable, match="0640"):
        signer_of(load(path))
    owned(world.folder / "rsa.pem", "nothing")
    with pytest.raises(KeyUnreadable, match="no RSA private key"):
        signer_of(load(path))


@pytest.mark.parametrize(("kind", "package"), [("pkcs11", "pkcs11"), ("aws", "boto3")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    kind: str, package: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = set_up(world, kind, monkeypatch)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"agent.tx.custody.{kind}")
    with pytest.raises(LibraryMissing, match=rf"{package}, which is not installed.*evenkeel\[{kind}\]"):
        signer_of(load(path))


def test_aws_needs_no_region_of_ours_where_boto3_has_one(world: World, tmp_path: Path) -> None:
    with benches.aws_environment(), mock_aws():
        made = boto3.client("kms").create_key(KeySpec="ECC_SECG_P256K1", KeyUsage="SIGN_VERIFY")
        key = made["KeyMetadata"]["KeyId"]
        path = written(tmp_path, {"kind": "aws", "key": key}, STRANGER)
        with pytest.raises(ConfigInvalid, match=r"chain\.account.*the key of signer\.kind = aws is of 0x"):
            signer_of(load(path))
