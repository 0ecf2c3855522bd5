"""What only one vendor does: checksums, tokens, key versions, requests that take a while."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest import mock

import boto3
import pytest
from eth_utils.crypto import keccak
from moto import mock_aws

from agent.errors import ConfigInvalid, KeyUnreadable, SignatureMismatch, SignerRefused, SignerUnavailable
from agent.tx.custody import azure, gcp
from agent.tx.custody.aws import AwsSigner
from agent.tx.custody.custodian import CustodianSigner
from agent.tx.custody.jsonrpc import JsonRpcSigner
from agent.tx.custody.token import Bearer, RsaKey
from agent.tx.custody.web3signer import Web3Signer
from agent.tx.signer import AnySigner, TransactionSigner, recover, sign_preimage, sign_transaction
from agent.values.address import Address
from tests.signer import bench
from tests.signer import service as fake
from tests.signer.service import Service, serving
from tests.signer.test_every import TRANSACTION

T = TypeVar("T", bound=Service)
STRANGER = Address("0x000000000000000000000000000000000000dEaD")


@contextmanager
def over(
    service: T, make: Callable[..., AnySigner], timeout_s: float = 60.0
) -> Iterator[tuple[T, AnySigner]]:
    with serving(service):
        yield service, make(service, timeout_s)


def signs(signer: AnySigner, preimage: bytes = b"hedge") -> bool:
    assert not isinstance(signer, TransactionSigner)
    return recover(keccak(preimage), sign_preimage(signer, preimage)) == signer.address


def counted(service: Service, part: str) -> int:
    return sum(part in asked.path for asked in service.asked)


# --- Google ------------------------------------------------------------------------------------------


def test_google_is_asked_again_after_a_wrong_checksum_and_not_for_ever() -> None:
    with over(fake.Google(), bench.over_google) as (service, signer):
        service.wrong_checksums = 2
        assert signs(signer)
        assert counted(service, ":asymmetricSign") == 3
        service.wrong_checksums = 99
        with pytest.raises(SignerUnavailable, match="3 times in a row"):
            signs(signer)
        assert counted(service, ":asymmetricSign") == 6
        service.wrong_checksums = 0
        service.mood = "unverified"  # it did not look at the checksum of the digest
        with pytest.raises(SignerUnavailable, match="checksums"):
            signs(signer)


def test_googles_public_key_is_checked_by_its_checksum_too() -> None:
    service = fake.Google()
    service.wrong_checksums = 2
    with over(service, bench.over_google) as (_, signer):
        assert signs(signer)
    service.wrong_checksums = 99
    with pytest.raises(SignerUnavailable, match="checksums"), over(service, bench.over_google):
        pass


def test_a_google_key_of_another_algorithm_is_refused_at_the_start() -> None:
    service = fake.Google()
    service.algorithm = "EC_SIGN_P256_SHA256"
    wrong = pytest.raises(ConfigInvalid, match=r"signer\.key.*EC_SIGN_SECP256K1_SHA256")
    with wrong, over(service, bench.over_google):
        pass


@pytest.mark.parametrize(
    ("make", "build"), [(fake.Google, bench.over_google), (fake.Azure, bench.over_azure)]
)
def test_one_token_serves_many_signatures_and_a_withdrawn_one_is_replaced_at_once(
    make: type[fake.Google | fake.Azure], build: Callable[..., AnySigner]
) -> None:
    with over(make(), build) as (service, signer):
        assert all(signs(signer, b"%d" % number) for number in range(5))
        assert counted(service, "/token") == 1
        service.revoked = True
        assert signs(signer)
        assert counted(service, "/token") == 2


def test_a_token_is_renewed_before_it_expires() -> None:
    given = iter([("one", 60.5), ("two", 3600.0)])
    bearer = Bearer(lambda: next(given))
    assert bearer.header() == {"Authorization": "Bearer one"}
    time.sleep(0.6)  # it has a minute left, and that is too little
    assert [bearer.header()["Authorization"] for _ in range(3)] == ["Bearer two"] * 3
    assert "two" not in repr(bearer)


def test_a_google_machine_proves_itself_by_its_metadata() -> None:
    with serving(fake.Google()) as service:
        bearer = gcp.machine_identity(30.0, service.url)
        assert signs(gcp.GoogleSigner(fake.Google.name, bearer, 30.0, service.url))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"client_email": 1}'])
def test_what_is_no_service_account_is_refused_unshown(text: str) -> None:
    with pytest.raises(KeyUnreadable, match="credentials_file"):
        gcp.service_account(text, 1.0)


def test_a_secret_does_not_travel_over_plain_http_to_another_machine() -> None:
    document = bench.account_document("http://tokens.example")
    with pytest.raises(ConfigInvalid, match="https"):
        gcp.service_account(document, 1.0)
    with pytest.raises(ConfigInvalid, match="https"):
        azure.AzureSigner("http://vault.example", "hedge", Bearer(lambda: ("", 1.0)), 1.0)
    for make in (Web3Signer, JsonRpcSigner):
        with pytest.raises(ConfigInvalid, match="https"):
            make("http://signer.example", STRANGER, 1.0, token="t")  # type: ignore[operator]
    for url in ("", "ftp://x", "http://", "signer", "http://user:word@127.0.0.1:1"):
        with pytest.raises(ConfigInvalid, match=r"signer\.url") as caught:
            JsonRpcSigner(url, STRANGER, 1.0)
        assert "word" not in str(caught.value)


# --- Azure -------------------------------------------------------------------------------------------


def test_azure_signs_with_the_version_that_was_newest_at_the_start() -> None:
    with over(fake.Azure(), bench.over_azure) as (service, signer):
        assert signs(signer)
        assert counted(service, "/keys/hedge/0123abcd/sign") == 1


def test_an_azure_key_of_another_curve_is_refused_at_the_start() -> None:
    service = fake.Azure()
    service.curve = "P-256"
    with pytest.raises(ConfigInvalid, match=r"signer\.key.*P-256K"), over(service, bench.over_azure):
        pass


def test_an_azure_machine_proves_itself_by_its_metadata() -> None:
    with serving(fake.Azure()) as service:
        for client_id in (None, "client"):
            bearer = azure.machine_identity(service.url, 30.0, client_id, service.url)
            assert signs(azure.AzureSigner(service.url, "hedge/0123abcd", bearer, 30.0))


@pytest.mark.parametrize("key", ["", "../secrets/x", "a/b/c", "a?b", "a b"])
def test_an_azure_key_that_is_no_name_is_refused(key: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"signer\.key"):
        azure.AzureSigner("https://v.example", key, Bearer(lambda: ("", 1.0)), 1.0)


# --- AWS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "usage"),
    [("ECC_NIST_P256", "SIGN_VERIFY"), ("RSA_2048", "SIGN_VERIFY"), ("RSA_2048", "ENCRYPT_DECRYPT")],
)
def test_an_aws_key_that_cannot_sign_for_an_account_is_refused_at_the_start(spec: str, usage: str) -> None:
    with bench.aws_environment(), mock_aws():
        kms = boto3.client("kms", region_name="eu-west-1")
        made = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
        with pytest.raises(ConfigInvalid, match=r"signer\.key"):
            AwsSigner(made, 30.0, "eu-west-1")
        with pytest.raises(SignerRefused, match="NotFoundException"):
            AwsSigner("alias/none", 30.0, "eu-west-1")


def test_an_aws_alias_means_at_the_end_what_it_meant_at_the_start() -> None:
    with (
        bench.aws_environment(),
        mock_aws(),
        mock.patch.object(bench.ECDSAPrivateKey, "sign", bench._sign_prehashed),
    ):
        kms = boto3.client("kms", region_name="eu-west-1")
        keys = [kms.create_key(KeySpec="ECC_SECG_P256K1", KeyUsage="SIGN_VERIFY") for _ in range(2)]
        first, second = (key["KeyMetadata"]["KeyId"] for key in keys)
        kms.create_alias(AliasName="alias/hedge", TargetKeyId=first)
        signer = AwsSigner("alias/hedge", 30.0, "eu-west-1")
        kms.update_alias(AliasName="alias/hedge", TargetKeyId=second)
        assert signs(signer)


def test_moto_as_it_is_hashes_a_digest_again_and_that_is_noticed() -> None:
    with bench.aws_environment(), mock_aws():
        kms = boto3.client("kms", region_name="eu-west-1")
        made = kms.create_key(KeySpec="ECC_SECG_P256K1", KeyUsage="SIGN_VERIFY")
        signer = AwsSigner(made["KeyMetadata"]["KeyId"], 30.0, "eu-west-1")
        with pytest.raises(SignatureMismatch, match="another account"):
            signs(signer)


def test_aws_without_credentials_or_region_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    with pytest.raises(SignerRefused, match="no credentials"):
        AwsSigner("k", 10.0, "eu-west-1", "http://127.0.0.1:1")
    with pytest.raises(ConfigInvalid, match=r"signer\.region"):
        AwsSigner("k", 10.0)


# --- Web3Signer and Clef -----------------------------------------------------------------------------


def test_web3signer_without_the_accounts_key_is_refused_at_the_start() -> None:
    with serving(fake.Web3SignerService()) as service:
        with pytest.raises(ConfigInvalid, match="none of its 2 keys"):
            Web3Signer(service.url, STRANGER, 30.0, fake.TOKEN)
        with pytest.raises(SignerRefused, match="HTTP 401"):
            Web3Signer(service.url, Address(service.address), 30.0, "wrong")


def test_web3signer_is_given_what_is_hashed_and_not_the_hash() -> None:
    with over(fake.Web3SignerService(), bench.over_web3signer) as (service, signer):
        sign_transaction(signer, TRANSACTION)
        assert json.loads(service.asked[-1].body) == {"data": "0x" + TRANSACTION.unsigned.hex()}


def test_a_service_may_live_below_a_path_and_speak_eth() -> None:
    class Proxy(fake.Clef):
        def handle(self, asked: fake.Asked) -> fake.Reply:
            assert asked.path == "/eth?network=1"
            status, content = super().handle(asked)
            answer = json.loads(content)
            answer["result"] = answer["result"]["raw"]  # as Web3Signer's eth_signTransaction answers
            assert json.loads(asked.body)["method"] == "eth_signTransaction"
            return status, json.dumps(answer).encode()

    with serving(Proxy()) as service:
        url, account = service.url + "/eth?network=1", Address(service.address)
        signer = JsonRpcSigner(url, account, 30.0, "eth", fake.TOKEN)
        assert sign_transaction(signer, TRANSACTION).transaction == TRANSACTION


# --- the custodian -----------------------------------------------------------------------------------


def test_a_custodian_that_takes_its_time_is_waited_for() -> None:
    with over(fake.Fireblocks(), bench.over_fireblocks) as (service, signer):
        service.looks = 6
        assert signs(signer)
        assert counted(service, "/v1/transactions/id-0") == 6


def test_a_custodian_that_takes_too_long_is_waited_for_again_and_not_asked_twice() -> None:
    with over(fake.Fireblocks(), bench.over_fireblocks) as (service, signer):
        service.looks = 10**9
        signer._deadline.timeout_s = 0.3  # type: ignore[union-attr]
        with pytest.raises(SignerUnavailable, match=r"still PENDING_SIGNATURE|no answer within"):
            signs(signer)
        signer._deadline.timeout_s = 30.0  # type: ignore[union-attr]
        service.requests["id-0"]["looks"] = 1  # now somebody has approved it
        assert signs(signer)
        assert len(service.requests) == 1


def test_a_custodian_whose_reply_was_lost_is_not_asked_for_a_second_signature() -> None:
    with over(fake.Fireblocks(), bench.over_fireblocks) as (service, signer):
        service.loses_reply = True
        with pytest.raises(SignerUnavailable, match="HTTP 502"):
            signs(signer)
        assert signs(signer)
        assert len(service.requests) == 1


@pytest.mark.parametrize("ends", ["REJECTED", "BLOCKED", "CANCELLED"])
def test_a_custodian_that_says_no_has_refused_and_may_be_asked_again(ends: str) -> None:
    with over(fake.Fireblocks(), bench.over_fireblocks) as (service, signer):
        service.ends = ends
        with pytest.raises(SignerRefused, match=ends):
            signs(signer)
        service.ends = "COMPLETED"
        assert signs(signer)
        assert [request["externalTxId"][-2:] for request in service.requests.values()] == ["-0", "-1"]  # type: ignore[index]


def test_a_request_that_broke_is_transient_and_one_digest_is_not_asked_for_without_end() -> None:
    with over(fake.Fireblocks(), bench.over_fireblocks) as (service, signer):
        service.ends = "FAILED"
        for _ in range(8):
            with pytest.raises(SignerUnavailable, match="FAILED"):
                signs(signer)
        with pytest.raises(SignerRefused, match="8 requests"):
            signs(signer)
        assert len(service.requests) == 8


def test_a_vault_that_is_not_of_the_account_is_refused_at_the_start() -> None:
    with serving(fake.Fireblocks()) as service, pytest.raises(ConfigInvalid, match=r"signer\.vault"):
        CustodianSigner(STRANGER, "7", fake.API_KEY, RsaKey(fake.RSA_PEM), 30.0, url=service.url)
