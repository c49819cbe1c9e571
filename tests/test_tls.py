"""Client certificates and the errors of TLS."""

import os
import pty
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from bridge.tls import UnusableKey, is_no_tls, load_client_certificate
from tests.support.keys import encrypt_key


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A certificate, its key, the key encrypted, another key, and both in one file."""
    authority = trustme.CA()
    for name in ("client", "other"):
        certificate = authority.issue_cert(f"{name}.example.com")
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    key, encrypted = tmp_path / "client.key", tmp_path / "encrypted.key"
    encrypt_key(key, encrypted)
    (tmp_path / "both.pem").write_text((tmp_path / "client.pem").read_text() + key.read_text())
    (tmp_path / "none").write_text("no certificate")
    return tmp_path


def load(cert: Path, key: Path | None) -> None:
    load_client_certificate(ssl.create_default_context(), cert, key)


def test_a_certificate_with_its_key_is_loaded(files: Path) -> None:
    load(files / "client.pem", files / "client.key")
    load(files / "both.pem", None)


@pytest.mark.parametrize(
    ("cert", "key", "in_key", "message"),
    [
        ("client.pem", "encrypted.key", True, "encrypted.key is encrypted: store it without a passphrase"),
        ("client.pem", "other.key", True, "other.key does not belong to"),
        ("client.pem", "none", True, "none contains no usable key"),
        ("client.pem", None, True, "client.pem contains no usable key"),
        ("none", "client.key", False, "none contains no usable certificate"),
    ],
)
def test_what_cannot_be_used_is_named(files: Path, cert: str, key: str | None, in_key: bool, message: str) -> None:
    with pytest.raises(UnusableKey, match=message) as caught:
        load(files / cert, files / key if key else None)
    assert caught.value.in_key is in_key


def test_an_encrypted_key_does_not_ask_at_the_terminal(files: Path) -> None:
    program = (
        "import ssl, sys; from pathlib import Path; from bridge.tls import load_client_certificate as load\n"
        "try: load(ssl.create_default_context(), Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except OSError as error: print(error)"
    )
    main, terminal = pty.openpty()
    try:
        command = [sys.executable, "-c", program, str(files / "client.pem"), str(files / "encrypted.key")]
        found = subprocess.run(
            command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, timeout=60, check=True, text=True
        )
    finally:
        os.close(terminal)
        os.close(main)
    assert "store it without a passphrase" in found.stdout


@pytest.mark.parametrize(
    ("reason", "no_tls"),
    [
        ("WRONG_VERSION_NUMBER", True),
        ("record layer failure", True),
        ("HTTP_REQUEST", True),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", False),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", False),
        (None, False),
    ],
)
def test_a_port_without_tls_is_told_from_other_failures(reason: str | None, no_tls: bool) -> None:
    error = ssl.SSLError(1, "text")
    error.reason = reason  # type: ignore[assignment]  # typeshed does not know that it may be None
    assert is_no_tls(error) is no_tls
    assert is_no_tls(ssl.SSLEOFError(8, "EOF occurred in violation of protocol"))
