"""Metrics and probes by HTTP: `web:`."""

from dataclasses import dataclass

from voluptuous import Optional

from bridge.options import Boolean, Integer, Text


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`web:`."""

    enabled: bool
    host: str
    port: int


WEB_SCHEMA = {
    Optional("enabled", default=False, description="Serve /metrics, /healthz and /readyz"): Boolean(),
    Optional("host", default="127.0.0.1", description="Address to listen on; 0.0.0.0: all of IPv4, '::': all"): Text(),
    Optional("port", default=9321, description="TCP port to listen on"): Integer(1, 65535),
}
