"""The web server: `web:`. Metrics, probes, the board, and who may look at it."""

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voluptuous import Optional, Required

from bridge.options import Boolean, Choice, Integer, ListOf, Nullable, Record, Text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BoardLanguage(StrEnum):
    """The language of the board's texts; `auto` is the browser's."""

    AUTO = "auto"
    EN = "en"
    DE = "de"


@dataclass(frozen=True, slots=True)
class ScreenToken:
    """One of `web.tokens`: a link for a screen, which shows without a login and changes nothing."""

    name: str
    token: str
    pbxs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()

    @property
    def is_limited(self) -> bool:
        """Whether it shows a part of the board only: certain users and groups, and nothing about the bridge."""
        return bool(self.pbxs or self.groups or self.departments)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`web:`."""

    enabled: bool
    host: str
    port: int
    board: bool = True
    password: str | None = None
    open: bool = False
    tokens: tuple[ScreenToken, ...] = ()
    language: BoardLanguage = BoardLanguage.AUTO
    frame_ancestors: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    ingress: bool = False

    @property
    def needs_login(self) -> bool:
        """Whether looking at the board needs the password, or a token."""
        protected = self.password is not None or bool(self.tokens)
        return not self.open and (protected or not is_loopback(self.host))

    @property
    def serves_board(self) -> bool:
        """Whether the board is there at all: not where it needs a login and none is possible.

        With `ingress` Home Assistant asks for the login, and lets its users in.
        """
        possible = self.password is not None or bool(self.tokens) or self.ingress
        return self.enabled and self.board and (possible or not self.needs_login)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _network_problem(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return "is no IP address or network: write one such as 192.0.2.10 or 10.0.0.0/8"
    return None


_SITE = Text(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?",
    "is no address of a site: write scheme and name alone, such as https://ha.example.com:8123",
)
_HOST = Text(
    r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:]+\]?",
    "is no name of a host: leave out https:// and the port, as in board.example.com",
)
_NAMES = ListOf(Text(), '["sales"]')
_TOKEN = Record(
    {
        Required("name", description="Name of the screen, for the log"): Text(
            r"[A-Za-z0-9_-]{1,64}", "may have letters, digits, - and _, 64 at most"
        ),
        Required("token", description="The secret in the link, best 20 random characters"): Text(
            r"[\x21-\x7e]+", "may have no blanks and ASCII characters only", secret=True
        ),
        Optional("pbxs", default=[], description="Shows only these PBXs, by pbx.name"): _NAMES,
        Optional("groups", default=[], description="Shows only these groups and their users"): _NAMES,
        Optional("departments", default=[], description="Shows only the users of these departments"): _NAMES,
    }
)

WEB_SCHEMA = {
    Optional("enabled", default=False, description="Serve the board, /metrics, /healthz and /readyz"): Boolean(),
    Optional("host", default="127.0.0.1", description="Address to listen on; 0.0.0.0: all of IPv4, '::': all"): Text(),
    Optional("port", default=9321, description="TCP port to listen on"): Integer(1, 65535),
    Optional("board", default=True, description="The board and its API; false: metrics and probes only"): Boolean(),
    Optional(
        "password", default=None, description="Of the board; needed where host is not loopback, and to change anything"
    ): Nullable(Text(secret=True)),
    Optional("open", default=False, description="Whoever reaches the port may look at the board"): Boolean(),
    Optional("tokens", default=[], description="Links for screens, which can only look"): ListOf(
        _TOKEN, "[{name: lobby, token: !secret lobby}]"
    ),
    Optional("language", default="auto", description="Of the board; auto: the browser's"): Choice(BoardLanguage),
    Optional(
        "frame_ancestors", default=[], description="Sites that may show the board in a frame, such as Home Assistant's"
    ): ListOf(_SITE, '["https://ha.example.com:8123"]'),
    Optional(
        "allowed_hosts",
        default=[],
        description="Names by which the board is reached; IP addresses and localhost always",
    ): ListOf(_HOST, '["board.example.com"]'),
    Optional(
        "trusted_proxies", default=[], description="Addresses of proxies whose X-Forwarded-* headers are believed"
    ): ListOf(Text(check=_network_problem), '["192.0.2.10"]'),
    Optional(
        "ingress", default=False, description="Set by the Home Assistant app: Home Assistant asks for the login"
    ): Boolean(),
}


def web_settings(options: Mapping[str, Any]) -> WebSettings:
    """From options that WEB_SCHEMA has checked."""
    converted = {
        "tokens": tuple(ScreenToken(**each) for each in options["tokens"]),
        "trusted_proxies": tuple(ipaddress.ip_network(each) for each in options["trusted_proxies"]),
        "frame_ancestors": tuple(each.rstrip("/") for each in options["frame_ancestors"]),
        "allowed_hosts": tuple(each.strip("[]").lower() for each in options["allowed_hosts"]),
    }
    return WebSettings(**{**options, **converted})


def contradictions(options: Mapping[str, Any], groups: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """(key, message) of options that do not go together; `groups` are the names of `groups:`; None: not known."""
    for key in ("name", "token"):
        seen: set[str] = set()
        for index, token in enumerate(options["tokens"]):
            if token[key] in seen:
                yield f"tokens.{index}.{key}", f"another of web.tokens has the same {key}"
            seen.add(token[key])
    for index, token in enumerate(options["tokens"]):
        for name in token["groups"]:
            if groups is not None and name not in groups:
                yield f"tokens.{index}.groups", f"there is no group {name!r} under groups:"
