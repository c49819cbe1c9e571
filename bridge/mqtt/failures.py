"""What the broker's reason codes and the errors of connecting mean, as errors with a text for people."""

import socket
import ssl

from bridge.errors import BrokerAuthError, BrokerError, BrokerUnavailable
from bridge.mqtt.settings import MqttSettings
from bridge.tls import Mistrust, is_no_tls, mistrust

_REFUSED_LOGIN = {134, 135, 138, 140}
"""MQTT 5: bad user name or password, not authorized, banned, bad authentication method. paho translates 3.1.1's."""
_WRONG_VERSION = 132
_TAKEN_OVER = 142
_LIMITS = {"Packet too large", "Quota exceeded", "Payload format invalid"}
"""Reasons of a PUBACK that are no matter of rights, in paho's words."""


class WrongProtocol(BrokerUnavailable):
    """The broker does not support this version of MQTT, or did not answer CONNECT, as some do then."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        """`certain`: the broker has said so."""
        super().__init__(message)
        self.certain = certain


class WillRefused(BrokerUnavailable):
    """The broker does not take the will as it was; the next attempt sends one that respects its limits."""


class BrokerFailures:
    """Builds the errors of one connection. A reason code comes as its number and paho's text for it."""

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings

    @property
    def broker(self) -> str:
        """The broker, for messages."""
        return f"the MQTT broker {self._settings.host}:{self._settings.port}"

    def refused(self, code: int, text: str, *, limits_known: bool = False) -> BrokerError:
        """The broker answered CONNECT with a failure; `limits_known`: it has shown limits to be respected next time."""
        if limits_known:
            return WillRefused(f"{self.broker} refused the will ({text})")
        if code == _WRONG_VERSION:
            return WrongProtocol(f"{self.broker} does not support this version of MQTT", certain=True)
        if code in _REFUSED_LOGIN:
            user = self._settings.username
            login = "a connection without a login" if user is None else f"the login of {user!r}"
            return BrokerAuthError(f"{self.broker} refused {login} ({text}): check mqtt.username and mqtt.password")
        return BrokerUnavailable(f"{self.broker} refused the connection ({text})")

    def closed(self, code: int, text: str, *, accepted: bool) -> BrokerError:
        """The connection ended; `accepted`: after CONNACK."""
        if code == _TAKEN_OVER:
            return BrokerUnavailable(
                f"another client with the id {self._settings.client_id!r} took over the session at {self.broker}: "
                "give each bridge its own pbx.name or mqtt.client_id"
            )
        if code in _REFUSED_LOGIN:
            return self.refused(code, text)
        if not accepted:
            tls = "" if self._settings.tls.enabled else "; if this port speaks TLS, set mqtt.tls.enabled"
            return WrongProtocol(f"{self.broker} closed the connection before it answered ({text}){tls}")
        return BrokerUnavailable(f"{self.broker} closed the connection ({text})")

    def no_answer(self, seconds: float, *, connected: bool) -> BrokerError:
        """Nothing came within `seconds`; `connected`: TCP and TLS stood by then."""
        kind = WrongProtocol if connected else BrokerUnavailable
        return kind(f"no answer from {self.broker} within {seconds:g} s")

    def cannot_connect(self, error: Exception) -> BrokerError:
        """DNS, TCP or TLS failed."""
        reason = _reason(error)
        if self._settings.tls.enabled and isinstance(
            error, ConnectionResetError
        ):  # Mosquitto's answer to a TLS greeting
            reason = f"{reason}; {_NO_TLS}"
        return BrokerUnavailable(f"cannot connect to {self.broker}: {reason}")

    def denied(self, topic: str, others: int, text: str) -> str:
        """The broker denied a publish to `topic`, and to so many others."""
        if text in _LIMITS:
            return f"{self.broker} does not take what is published to {topic!a} ({text}): raise its limit"
        user = self._settings.username
        client = "this client" if user is None else repr(user)
        more = f" and {others} more topics" if others else ""
        return (
            f"{self.broker} does not let {client} publish to {topic!a}{more} ({text}): fix its access list "
            "(docs/mosquitto.acl)"
        )


_NO_TLS = "perhaps no TLS on this port: set mqtt.port to the one for TLS (usually 8883), or mqtt.tls.enabled to false"
_RIGHT_PLACE = "are mqtt.host and mqtt.port right?"
_MISTRUST = {
    Mistrust.OTHER_NAME: "is for another name ({}): use in mqtt.host the name that the certificate is for",
    Mistrust.EXPIRED: "has expired ({}): renew it on the broker",
    Mistrust.NOT_YET_VALID: "is not valid yet ({}): is this machine's clock right?",
    Mistrust.UNKNOWN_ISSUER: "is not trusted ({}); set mqtt.tls.ca to the file of your CA",
}


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate {_MISTRUST[mistrust(error)].format(error.verify_message)}"
        case ssl.SSLError():
            return _NO_TLS if is_no_tls(error) else f"TLS failed ({error.reason})"
        case socket.gaierror():
            return "the host name cannot be resolved"
        case ConnectionRefusedError():
            return f"connection refused: does the broker run, and {_RIGHT_PLACE}"
        case OSError(strerror=str(why)):
            return why.lower() if isinstance(error, ConnectionResetError) else f"{why.lower()}: {_RIGHT_PLACE}"
    return str(error) or type(error).__name__
