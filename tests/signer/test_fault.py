"""Services that are slow, down, refusing, wrong or lying: always a typed error, never a wrong signature."""

from __future__ import annotations

import io
import logging
import time
import traceback
from collections.abc import Iterator

import pytest
from eth_utils.crypto import keccak

from agent.errors import EvenkeelError, SignatureMismatch, SignerRefused, SignerUnavailable
from agent.tx.signer import (
    GROUP_ORDER,
    AnySigner,
    TransactionSigner,
    recover,
    sign_preimage,
    sign_transaction,
    sign_typed,
)
from tests.signer import service as fake
from tests.signer.bench import AWS_SECRET, SERVICES, Bench
from tests.signer.service import MOODS_OF_NUMBERS, serving
from tests.signer.test_every import TRANSACTION, TYPED

PREIMAGE = b"what is asked to be signed, and shown to nobody"
HASHING = [kind for kind in SERVICES if kind != "clef"]
SECRETS = (fake.TOKEN, fake.OWN_SECRET, fake.API_KEY, AWS_SECRET, "PRIVATE KEY", "AKIDOFTHETESTS")


@pytest.fixture(scope="module", params=SERVICES)
def one(request: pytest.FixtureRequest) -> Iterator[Bench]:
    make, over = SERVICES[request.param]
    with serving(make()) as service:
        yield Bench(request.param, over(service), service)


@pytest.fixture
def bench(one: Bench) -> Iterator[Bench]:
    assert one.service is not None
    yield one
    one.service.mood = "well"
    ask(one.signer)  # whatever went before, the next signature is good


def ask(signer: AnySigner) -> None:
    if isinstance(signer, TransactionSigner):
        sign_transaction(signer, TRANSACTION)
    else:
        sign_preimage(signer, PREIMAGE + str(time.monotonic()).encode())


def failing(bench: Bench, mood: str) -> EvenkeelError:
    assert bench.service is not None
    bench.service.mood = mood
    with pytest.raises(EvenkeelError) as caught:
        ask(bench.signer)
    return caught.value


@pytest.mark.parametrize("kind", HASHING)
def test_every_high_s_is_brought_down(kind: str) -> None:
    make, over = SERVICES[kind]
    with serving(make()) as service:
        signer = over(service)
        service.mood = "high"
        assert not isinstance(signer, TransactionSigner)
        for number in range(8):
            preimage = b"high %d" % number
            signature = sign_preimage(signer, preimage)
            assert 0 < signature.s <= GROUP_ORDER // 2
            assert recover(keccak(preimage), signature) == signer.address


@pytest.mark.parametrize("kind", HASHING)
def test_a_wrong_key_a_wrong_digest_and_numbers_out_of_range_are_no_signature(kind: str) -> None:
    make, over = SERVICES[kind]
    with serving(make()) as service:
        signer = over(service)
        for mood in MOODS_OF_NUMBERS:
            assert isinstance(failing(Bench(kind, signer, service), mood), SignatureMismatch), mood


def test_a_truncated_signature_is_none(bench: Bench) -> None:
    assert isinstance(failing(bench, "truncated"), SignatureMismatch)


@pytest.mark.parametrize("mood", ["garbage", "empty", "other json"])
def test_an_answer_that_makes_no_sense_is_no_signature(bench: Bench, mood: str) -> None:
    assert isinstance(failing(bench, mood), SignatureMismatch)


@pytest.mark.parametrize("kind", ["gcp", "azure", "custodian"])
def test_an_answer_about_another_key_or_digest_is_refused_though_the_signature_is_right(kind: str) -> None:
    make, over = SERVICES[kind]
    with serving(make()) as service:
        error = failing(Bench(kind, over(service), service), "another name")
    assert isinstance(error, SignatureMismatch)
    assert "another" in error.message


def test_a_refusal_is_a_refusal(bench: Bench) -> None:
    assert isinstance(failing(bench, "refuse"), SignerRefused)


@pytest.mark.parametrize("mood", ["throttle", "down", "hang up"])
def test_what_passes_by_itself_is_transient(bench: Bench, mood: str) -> None:
    assert isinstance(failing(bench, mood), SignerUnavailable)


def test_an_answer_without_end_is_not_read_to_its_end(bench: Bench) -> None:
    # botocore reads it all, and then finds that it is none of KMS's.
    expected = SignatureMismatch if bench.kind == "aws" else SignerUnavailable
    assert isinstance(failing(bench, "endless"), expected)


def test_a_signature_that_takes_too_long_is_not_waited_for(bench: Bench) -> None:
    deadline = bench.signer._deadline  # type: ignore[union-attr]
    patience_s, deadline.timeout_s = deadline.timeout_s, 0.2
    begun = time.monotonic()
    error = failing(bench, "slow")
    taken_s = time.monotonic() - begun
    deadline.timeout_s = patience_s
    assert isinstance(error, SignerUnavailable)
    assert "within 0.2 s" in error.message
    assert taken_s < 1.0


@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_that_is_not_there_is_unavailable(kind: str) -> None:
    make, over = SERVICES[kind]
    with serving(make()) as service:
        signer = over(service)
    with pytest.raises(SignerUnavailable) as caught:
        ask(signer)
    assert isinstance(caught.value, SignerUnavailable)


def test_no_secret_and_no_request_is_in_an_error_a_log_or_a_traceback(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bench.service is not None
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        traces: list[str] = []
        told = [repr(bench.signer), str(bench.signer), f"{bench.signer!s}{bench.signer!r}"]
        for mood in ("well", "refuse", "throttle", "down", "garbage", "truncated", "hang up", "endless"):
            bench.service.mood = mood
            try:
                if isinstance(bench.signer, TransactionSigner):
                    sign_transaction(bench.signer, TRANSACTION)
                else:
                    sign_preimage(bench.signer, PREIMAGE)
            except EvenkeelError as error:
                told += [str(error), repr(error), str(error.fields)]
                traces += traceback.format_exception(error)
            else:
                assert mood == "well"
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    captured = capfd.readouterr()
    said = "\n".join([*told, written.getvalue(), captured.out, captured.err])
    text = said + "".join(traces)
    asked = (PREIMAGE.hex(), keccak(PREIMAGE).hex(), TRANSACTION.data.hex(), bench.service.key.secret.hex())
    assert len(told) > 10
    assert [secret for secret in (*SECRETS, *asked) if secret in text] == []
    assert [path for path in ("/v1/", "/api/", "/keys/", "api-version") if path in said] == []


def test_clef_signing_something_else_than_asked_is_found_out_field_by_field() -> None:
    lies: dict[str, object] = {
        "nonce": 8,
        "gas": 1,
        "value": 4,
        "to": "0x000000000000000000000000000000000000bEEF",
        "data": "0x00",
        "chainId": 1,
        "maxFeePerGas": 1_000_000_000_000,
        "maxPriorityFeePerGas": 1,
    }
    make, over = SERVICES["clef"]
    with serving(make()) as service:
        assert isinstance(service, fake.Clef)
        signer = over(service)
        for name, value in lies.items():
            service.lies = {name: value}
            with pytest.raises(SignatureMismatch, match="differs in"):
                sign_transaction(signer, TRANSACTION)
        service.lies = {}
        service.mood = "another key"
        with pytest.raises(SignatureMismatch, match="another account"):
            sign_transaction(signer, TRANSACTION)
        service.mood = "another digest"
        with pytest.raises(SignatureMismatch, match="another account"):
            sign_typed(signer, TYPED)
        service.mood = "high"
        assert sign_typed(signer, TYPED).s <= GROUP_ORDER // 2
        service.mood = "another name"
        with pytest.raises(SignatureMismatch, match="another question"):
            sign_transaction(signer, TRANSACTION)


def test_clef_whose_owner_says_no_has_refused() -> None:
    make, over = SERVICES["clef"]
    with serving(make()) as service:
        signer = over(service)
        service.mood = "denied"
        with pytest.raises(SignerRefused, match="-32000") as caught:
            sign_transaction(signer, TRANSACTION)
    assert "denied" not in caught.value.message  # the service's words may repeat the request
