"""The option `mqtt.host`: people also write it with blanks, with brackets, or as a URL copied from another program."""

import re
from urllib.parse import urlsplit

from voluptuous import Invalid

from bridge.options import JsonSchema, Text

_TLS_SCHEMES = {"mqtts", "ssl", "tls"}
_WEBSOCKET_SCHEMES = {"ws", "wss", "http", "https"}
_ADDRESS_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+(?:%\w+)?)\]")


class BrokerHost:
    """A host name, an IPv4 address, or an IPv6 address with or without brackets; gives it without blanks and brackets.

    Anything else would fail much later as a name that cannot be resolved, so it is refused with what to write instead.
    """

    def __call__(self, value: object) -> str:
        """The host as the network needs it; Invalid says what to write instead."""
        host = Text()(value).strip()
        if found := _ADDRESS_IN_BRACKETS.fullmatch(host):
            return found[1]
        if (problem := _problem(host)) is not None:
            raise Invalid(problem)
        return host

    def json_schema(self) -> JsonSchema:
        """The same as for any text: an editor cannot give the advice."""
        return Text().json_schema()


def _problem(host: str) -> str | None:
    """What to do about a host that is none. It never quotes user and password, which a URL may hold."""
    problem = None
    if not host:
        problem = "must not be empty"
    elif "://" in host:
        problem = _advice_for_url(host)
    elif host.startswith(("/", ".")):
        problem = (
            f"{host!r} is a path: sockets in the file system are not supported, write the broker's name or address"
        )
    elif "@" in host:
        problem = "holds a login: write only the name or address, and the login as mqtt.username and mqtt.password"
    elif host.count(":") == 1 or host.startswith("["):
        name, _, port = host.rpartition(":")
        problem = f"{host!r} is more than a name or address: write mqtt.host {name or '…'} and mqtt.port {port or '…'}"
    elif re.search(r"[\s/]", host):
        problem = f"{host!r} is no name or address of a broker"
    return problem


def _advice_for_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, name, port = parts.scheme, parts.hostname, parts.port
    except ValueError:  # brackets without an address, or a port that is no number
        return "is a URL: write only the broker's name or address"
    if scheme in _WEBSOCKET_SCHEMES:
        return (
            f"is a URL of {scheme}: MQTT over websockets is not supported, write the host alone and its port for MQTT"
        )
    keys = [f"mqtt.host {name or '…'}"]
    if port is not None:
        keys.append(f"mqtt.port {port}")
    if scheme in _TLS_SCHEMES:
        keys.append("mqtt.tls.enabled true")
    if parts.username is not None:
        keys.append("the login as mqtt.username and mqtt.password")
    return f"is a URL: write {', '.join(keys)}"
