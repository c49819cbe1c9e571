"""TLS to the broker: certificates from files, and what its errors mean."""

import socket
import ssl

from bridge.errors import BrokerUnavailable
from bridge.mqtt.settings import TlsSettings
from bridge.tls import load_client_certificate, trusting


class ClosingSslSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when the handshake fails.

    paho drops its reference to a socket whose handshake failed without closing it, and the garbage collector may take
    hours to do so.
    """

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # as SSLSocket has it
        """Shake hands, or close the socket and raise what went wrong."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, verified against `tls.ca` or the system's CAs; with a client certificate where one is set.

    Reads files, so call it in a thread. Raises BrokerUnavailable where they cannot be used: they may be fixed while
    the bridge runs, so the session tries again.
    """
    try:
        context = trusting(tls.ca)
        if tls.cert is not None:
            load_client_certificate(context, tls.cert, tls.key)
    except OSError as error:
        raise BrokerUnavailable(f"mqtt.tls: the certificates cannot be used: {error}") from error
    context.sslsocket_class = ClosingSslSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def pending(connected: socket.socket) -> bool:
    """Whether TLS holds bytes that it has read and decrypted already, which the event loop cannot see."""
    return isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
