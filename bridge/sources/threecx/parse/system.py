"""SystemStatus: what is read of it, as it also has the licence key and addresses."""

from collections.abc import Mapping

from bridge.domain.clock import utc_text
from bridge.domain.system import System
from bridge.errors import SourceProtocolError
from bridge.sources.threecx.parse.envelope import load, unix_time

SYSTEM_FIELDS = (
    "CallsActive",
    "MaxSimCalls",
    "TrunksRegistered",
    "TrunksTotal",
    "ExtensionsRegistered",
    "ExtensionsTotal",
    "ExpirationDate",
    "Version",
)
_LONGEST_VERSION = 40


def system(body: bytes) -> System:
    """Of the answer to GET /xapi/v1/SystemStatus these fields alone, each of its own type: nothing else gets out."""
    raw = load(body)
    if not isinstance(raw, Mapping):
        raise SourceProtocolError("SystemStatus sent no object")
    return System(
        calls=_count(raw.get("CallsActive")),
        max_calls=_count(raw.get("MaxSimCalls")),
        trunks_online=_count(raw.get("TrunksRegistered")),
        trunks=_count(raw.get("TrunksTotal")),
        extensions_online=_count(raw.get("ExtensionsRegistered")),
        extensions=_count(raw.get("ExtensionsTotal")),
        licence_expires=_time(raw.get("ExpirationDate")),
        version=_version(raw.get("Version")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _time(value: object) -> str | None:
    seconds = unix_time(value)
    return None if seconds is None else utc_text(seconds)


def _version(value: object) -> str | None:
    """Numbers with dots: anything else is not the version."""
    is_version = isinstance(value, str) and len(value) <= _LONGEST_VERSION and value.replace(".", "").isdecimal()
    return value if isinstance(value, str) and is_version and value.isascii() else None
