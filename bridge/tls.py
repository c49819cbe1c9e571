"""TLS as a client: what its errors mean, and client certificates, for the connections to the PBX and to the broker."""

import ssl
from enum import Enum, auto
from pathlib import Path

from bridge.files import check_regular

_OTHER_NAME = {62, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL's x509_vfy.h."""
_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF"}
"""OpenSSL's reasons where the other side answered in plain text, or closed the connection at the first message.

Builds differ in which of the first four they give.
"""


class Mistrust(Enum):
    """Why a certificate is not accepted."""

    OTHER_NAME = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    UNKNOWN_ISSUER = auto()


class UnusableKey(OSError):
    """A client certificate that cannot be used; `in_key`: because of the file of its key."""

    def __init__(self, message: str, *, in_key: bool) -> None:
        super().__init__(message)
        self.in_key = in_key


def mistrust(error: ssl.SSLCertVerificationError) -> Mistrust:
    """Why the certificate of the other side is not accepted."""
    if error.verify_code in _OTHER_NAME:
        return Mistrust.OTHER_NAME
    return {_EXPIRED: Mistrust.EXPIRED, _NOT_YET_VALID: Mistrust.NOT_YET_VALID}.get(
        error.verify_code, Mistrust.UNKNOWN_ISSUER
    )


def is_no_tls(error: ssl.SSLError) -> bool:
    """Whether the other side probably does not speak TLS on this port."""
    return isinstance(error, ssl.SSLEOFError) or (error.reason or "").upper().replace(" ", "_") in _NO_TLS


def trusting(ca: Path | None) -> ssl.SSLContext:
    """Trusts the CAs in this file, or the system's; OSError (an ssl.SSLError is one) where it cannot be used."""
    return ssl.create_default_context(cafile=ca)


def load_client_certificate(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Load the certificate and its key (None: the same file); UnusableKey where that fails, other OSErrors as they are.

    OpenSSL would ask for the passphrase of an encrypted key at the terminal, and wait for it.
    """

    def refuse() -> str:
        raise UnusableKey(f"the key in {key or cert} is encrypted: store it without a passphrase", in_key=True)

    for path in filter(None, (cert, key)):
        check_regular(path)
    try:
        context.load_cert_chain(cert, key, password=refuse)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UnusableKey(f"the key in {key or cert} does not belong to {cert}", in_key=True) from error
        if _holds_certificate(cert):
            raise UnusableKey(f"{key or cert} contains no usable key", in_key=True) from error
        raise UnusableKey(f"{cert} contains no usable certificate", in_key=False) from error


def _holds_certificate(path: Path) -> bool:
    try:
        ssl.PEM_cert_to_DER_cert(_first_certificate(path.read_text("ascii", "replace")))
    except (OSError, ValueError):
        return False
    return True


def _first_certificate(text: str) -> str:
    start, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    return text[start : end + len(ssl.PEM_FOOTER)] if 0 <= start < end else ""
