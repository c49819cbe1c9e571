"""The options of the broker connection: `mqtt:`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from voluptuous import Optional

from bridge.mqtt.host import BrokerHost
from bridge.options import Boolean, Choice, Duration, File, Integer, Nullable, Text
from bridge.topics import TOPIC


class Protocol(StrEnum):
    """The version of MQTT; `auto`: 5, then 3.1.1 where the broker refuses 5."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`mqtt.tls:`."""

    enabled: bool
    ca: Path | None
    cert: Path | None
    key: Path | None
    insecure: bool


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """`mqtt:`. `keepalive` is in seconds, `max_rate` in messages a second (0: no limit)."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: TlsSettings
    protocol: Protocol
    client_id: str
    keepalive: int
    base_topic: str
    qos: int
    max_rate: int
    repair_interval: float = 300.0
    """Seconds; 0: never."""


MQTT_SCHEMA = {
    Optional("host", default="localhost", description="Name or address of the broker"): BrokerHost(),
    Optional("port", default=None, description="TCP port; null: 1883, with TLS 8883"): Nullable(Integer(1, 65535)),
    Optional("username", default=None, description="For brokers that ask for a login"): Nullable(Text()),
    Optional("password", default=None, description="Password of that username"): Nullable(Text(secret=True)),
    Optional("tls", default={}, description="Encryption of the connection"): {
        Optional("enabled", default=False, description="Connect to the broker by TLS"): Boolean(),
        Optional("ca", default=None, description="Path of a CA file; null: the system's CAs"): Nullable(File()),
        Optional("cert", default=None, description="Path of the client certificate"): Nullable(File()),
        Optional("key", default=None, description="Path of the key of the client certificate"): Nullable(File()),
        Optional("insecure", default=False, description="Do not verify the certificate"): Boolean(),
    },
    Optional("protocol", default="auto", description="auto: MQTT 5, then 3.1.1 if the broker refuses 5"): Choice(
        Protocol
    ),
    Optional("client_id", default=None, description="null: 3cx2mqtt-<pbx.name>"): Nullable(Text()),
    Optional(
        "keepalive", default="30s", description="MQTT keep-alive: how soon a dead connection is detected"
    ): Duration(5, 65535),
    Optional("base_topic", default="3cx", description="Prefix of all topics of the bridge; one per bridge"): TOPIC,
    Optional("qos", default=1, description="QoS of published messages"): Integer(0, 2),
    Optional("max_rate", default=1000, description="Messages per second after a burst of 500; 0: no limit"): Integer(
        0, 1_000_000
    ),
    Optional(
        "repair_interval",
        default="5m",
        description="How often what others may have changed is read back at brokers of MQTT 3.1.1; 0: never",
    ): Duration(0, 86400),
}


def mqtt_settings(options: Mapping[str, Any], pbx_name: str) -> MqttSettings:
    """From options that MQTT_SCHEMA has passed."""
    tls = TlsSettings(**options["tls"])
    derived = {
        "tls": tls,
        "port": options["port"] or (8883 if tls.enabled else 1883),
        "client_id": options["client_id"] or f"3cx2mqtt-{pbx_name}",
        "keepalive": int(options["keepalive"]),
    }
    return MqttSettings(**{**options, **derived})


def contradictions(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that contradict each other: (key, what to do)."""
    if options["password"] is not None and options["username"] is None:
        yield "password", "needs a username beside it"
    tls = options["tls"]
    for one, other in (("cert", "key"), ("key", "cert")):
        if tls[one] is not None and tls[other] is None:
            yield f"tls.{one}", f"needs tls.{other} beside it"
    if not tls["enabled"] and any(tls[name] is not None for name in ("ca", "cert", "key")):
        yield "tls.enabled", "is false although certificates are set: set it to true"
