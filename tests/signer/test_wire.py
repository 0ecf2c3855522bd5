"""TLS, slow bodies and redirects of a signing service."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from eth_utils.crypto import keccak

from agent.errors import KeyUnreadable, SignerRefused, SignerUnavailable
from agent.tx.custody.web3signer import Web3Signer
from agent.tx.custody.wire import Tls, Wire
from agent.tx.signer import recover, sign_preimage
from agent.values.address import Address
from tests.signer import service as fake
from tests.signer.service import serving

HOST = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass(frozen=True)
class Papers:
    """An authority of the tests, and a pair of files for each end."""

    authority: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    root = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(key: ec.EllipticCurvePrivateKey, subject: str, *, is_root: bool) -> x509.Certificate:
        whose = name if is_root else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        return (
            x509.CertificateBuilder()
            .subject_name(whose)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([HOST]), critical=False)
            .sign(root, hashes.SHA256())
        )

    def written(subject: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        paths = (folder / f"{subject}.pem", folder / f"{subject}.key")
        paths[0].write_bytes(
            certificate(key, subject, is_root=False).public_bytes(serialization.Encoding.PEM)
        )
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    authority = folder / "authority.pem"
    authority.write_bytes(certificate(root, "", is_root=True).public_bytes(serialization.Encoding.PEM))
    return Papers(authority, written("server"), written("client"))


@pytest.fixture
def guarded(papers: Papers) -> Iterator[fake.Service]:
    """A Web3Signer that wants to see a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=papers.authority)
    context.load_cert_chain(*papers.server)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(fake.Web3SignerService(), context) as service:
        yield service


def test_a_service_that_asks_for_a_certificate_is_shown_one(guarded: fake.Service, papers: Papers) -> None:
    account, tls = Address(guarded.address), Tls(papers.authority, *papers.client)
    signer = Web3Signer(guarded.url, account, 30.0, fake.TOKEN, tls)
    assert recover(keccak(b"tls"), sign_preimage(signer, b"tls")) == account


def test_a_service_of_an_unknown_authority_is_not_spoken_to(guarded: fake.Service, papers: Papers) -> None:
    for tls in (None, Tls(papers.authority)):  # nor one that we show nothing
        with pytest.raises(SignerUnavailable, match="connection failed"):
            Web3Signer(guarded.url, Address(guarded.address), 30.0, fake.TOKEN, tls)
    assert guarded.asked == []


def test_a_certificates_file_that_is_none_is_named(papers: Papers, tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    for tls, key in (
        (Tls(none), "signer.ca_file"),
        (Tls(papers.server[1]), "signer.ca_file"),
        (Tls(None, none), "signer.client_cert"),
        (Tls(None, papers.client[0], papers.server[1]), "signer.client_cert"),
    ):
        with pytest.raises(KeyUnreadable, match=key.replace(".", r"\.")):
            Wire("test", "https://127.0.0.1:1", 1.0, tls)


def test_a_redirect_is_not_followed_lest_a_token_travels_on() -> None:
    class Redirecting(fake.Service):
        def handle(self, asked: fake.Asked) -> fake.Reply:
            return 307, b""

    with serving(Redirecting()) as service, pytest.raises(SignerRefused, match="HTTP 307"):
        Wire("test", service.url, 30.0).expect("GET", "/x", headers={"Authorization": "Bearer t"})


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server whose body never ends, one byte at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not done.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    done.set()
    thread.join(5)
    listener.close()


def test_an_answer_that_drips_is_given_up_in_time(dripping: str) -> None:
    begun = time.monotonic()
    with pytest.raises(SignerUnavailable, match="no whole answer within"):
        Wire("test", dripping, 0.2).ask("GET", "/")
    assert time.monotonic() - begun < 1.5


def test_an_error_names_the_service_without_its_path_and_query() -> None:
    with pytest.raises(SignerUnavailable) as caught:
        Wire("test", "http://127.0.0.1:1/key-in-path?key-in-query", 1.0).ask("GET", "")
    assert "test at http://127.0.0.1:1 " in caught.value.message
    assert "key-in" not in caught.value.message
