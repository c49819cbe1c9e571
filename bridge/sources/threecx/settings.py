"""How to reach the PBX and what to read from it: `pbx:` and the sections of `sources:`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from voluptuous import Invalid, Optional, Required

from bridge.options import Boolean, Choice, Duration, Integer, JsonSchema, Nullable, Text

_MOST_ROWS = 100_000


class Enabled(StrEnum):
    """Whether a source is used. `auto`: where the PBX has it and allows it; `true`: that it does not is an error."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class PbxSettings:
    """`pbx:`. `url` is `scheme://host[:port]`; `timeout` is for one HTTP request, in seconds."""

    name: str
    url: str
    client_id: str
    client_secret: str = field(repr=False)
    verify_tls: bool | Path
    timeout: float


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The OData options of a source, as configured."""

    top: int | None = None
    skip: int = 0
    search: str | None = None
    filter: str | None = None
    count: bool = True
    orderby: str | None = None


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """A section of `sources:`. A source with options of its own derives a class from this one."""

    enabled: Enabled
    interval: float
    """Seconds from the start of one complete reading to the start of the next."""
    query: QueryOptions = QueryOptions()
    """The OData options, of sources that have them."""

    @property
    def on(self) -> bool:
        """Whether the source is used, if only where the PBX has it."""
        return self.enabled is not Enabled.FALSE

    @property
    def required(self) -> bool:
        """Whether it is an error that the PBX does not have it, or denies access to it."""
        return self.enabled is Enabled.TRUE


class Url:
    """The address of the PBX; path, query and fragment, as in a browser's address line, are dropped."""

    def __call__(self, value: object) -> str:
        text = Text()(value).strip()
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise Invalid(f"{text!r} is no URL ({error})") from None
        return self._address(text, parts, host, port)

    def _address(self, text: str, parts: SplitResult, host: str | None, port: int | None) -> str:
        if parts.username is not None or parts.password is not None:
            raise Invalid("leave user and password out of the URL: the PBX takes client_id and client_secret")
        if parts.scheme not in {"http", "https"} or not host or any(map(str.isspace, host)):
            raise Invalid(f"{text!r} is not like https://pbx.example.com:5001")
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")

    def json_schema(self) -> JsonSchema:
        """Anything that starts like a web address."""
        return {"type": "string", "pattern": "^https?://"}


class VerifyTls:
    """true, false, or the file of the CA that signed the PBX's certificate."""

    def __call__(self, value: object) -> bool | Path:
        if isinstance(value, Path):
            return value
        is_word = isinstance(value, bool | str) and value in {"true", "false", True, False}
        return Boolean()(value) if is_word else Path(Text()(value))

    def json_schema(self) -> JsonSchema:
        """Either form."""
        return {"type": ["boolean", "string"]}


PBX_NAME = "[a-zA-Z0-9-]+"
PBX_SCHEMA = {
    Optional("name", default="3cx", description="Name of the PBX in every id; letters, digits and -"): Text(
        pattern=PBX_NAME, hint="may hold letters, digits and - only"
    ),
    Required("url", description="Address of the PBX, such as https://pbx.example.com:5001"): Url(),
    Required("client_id", description="Client id from Integrations > API in the 3CX admin console"): Text(),
    Required("client_secret", description="The API key, shown once when the client is added"): Text(secret=True),
    Optional(
        "verify_tls", default=True, description="true, false (do not verify the certificate), or the path of a CA file"
    ): VerifyTls(),
    Optional("timeout", default="10s", description="Time-out of one HTTP request"): Duration(1, 120),
}

_INTERVAL = Optional("interval", default="5s", description="From the start of one poll to the start of the next")
_QUERY = {
    Optional("top", default=None, description="$top: maximum number of rows; null: all"): Nullable(
        Integer(1, _MOST_ROWS)
    ),
    Optional("skip", default=0, description="$skip: number of rows to skip"): Integer(0, _MOST_ROWS),
    Optional(
        "search",
        default=None,
        description="$search: one phrase, quoted where it has to be; a value in double quotes is passed as written",
    ): Nullable(Text()),
    Optional("filter", default=None, description="$filter: OData, passed through as written"): Nullable(Text()),
    Optional("count", default=True, description="$count: publish the total as bridge/count"): Boolean(),
}

MONITOR_STATUS_SCHEMA = {
    Optional(
        "enabled",
        default="auto",
        description="auto: if the PBX has it (20.0.4 to 20.0.8); true: its absence is an error",
    ): Choice(Enabled),
    _INTERVAL: Duration(0.5, 3600),
    **_QUERY,
}

USERS_SOURCE_SCHEMA = {
    Optional("enabled", default=True, description="Read names, profiles, queue login, registration"): Boolean(),
    _INTERVAL: Duration(0.5, 3600),
    **_QUERY,
    Optional("orderby", default="Number", description="$orderby: keeps rows from moving between pages"): Nullable(
        Text()
    ),
}

ACTIVE_CALLS_SCHEMA = {
    Optional("enabled", default=True, description="Poll calls"): Boolean(),
    Optional("interval", default="2s", description="From poll to poll; 15 s while all calls are pushed"): Duration(
        0.5, 3600
    ),
}

CALL_CONTROL_SCHEMA = {
    Optional(
        "enabled",
        default="auto",
        description="Calls by push; auto: if this API client may; true: an error if it may not",
    ): Choice(Enabled),
    Optional("resync", default="45s", description="How often everything is read again"): Duration(5, 3600),
}

QUEUES_SCHEMA = {
    Optional(
        "enabled",
        default="auto",
        description="Queues with agents and waiting callers; auto: if this API client may; true: an error if not",
    ): Choice(Enabled),
    Optional("interval", default="30s", description="From poll to poll, of names and agents"): Duration(1, 3600),
}

SYSTEM_SCHEMA = {
    Optional(
        "enabled",
        default="auto",
        description="Calls, trunks and licence of the PBX; auto: if this API client may; true: an error if not",
    ): Choice(Enabled),
    Optional("interval", default="60s", description="From poll to poll"): Duration(5, 3600),
}


def pbx_settings(options: Mapping[str, Any]) -> PbxSettings:
    """From options that PBX_SCHEMA has passed."""
    return PbxSettings(**options)


def source_settings(options: Mapping[str, Any]) -> SourceSettings:
    """From the options of a source that is polled every `interval`."""
    return SourceSettings(_enabled(options), options["interval"], _query(options))


def call_control_settings(options: Mapping[str, Any]) -> SourceSettings:
    """From options that CALL_CONTROL_SCHEMA has passed."""
    return SourceSettings(_enabled(options), options["resync"])


def _enabled(options: Mapping[str, Any]) -> Enabled:
    """Sources that every build of 3CX has know no `auto`: their option is a boolean."""
    word = options["enabled"]
    return Enabled(str(word).lower()) if isinstance(word, bool) else Enabled(word)


def _query(options: Mapping[str, Any]) -> QueryOptions:
    names = {each.name for each in fields(QueryOptions)}
    return QueryOptions(**{name: value for name, value in options.items() if name in names})
