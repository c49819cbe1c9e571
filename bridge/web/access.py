"""Who may look at the board, and who may change something.

The configuration decides whether a login is needed, never the client's address: a proxy or a container's port mapping
makes every client look like this machine.
"""

import ipaddress
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from bridge.web.attempts import Attempts
from bridge.web.sessions import ADMIN, Sessions, cookie_name, same
from bridge.web.settings import ScreenToken, WebSettings

INGRESS_PEER = "172.30.32.2"
"""Home Assistant's Supervisor, which sends the requests of users whom Home Assistant has logged in
(https://developers.home-assistant.io/docs/apps/presentation#ingress)."""

_TOO_MANY = "too many failed attempts: wait, then try again"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who sends a request."""

    admin: bool = False
    """Logged in: may change what the configuration lets be changed."""
    token: ScreenToken | None = None
    """A screen, and what it shows."""
    by_link: bool = False
    """The token is in the address."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, behind proxies that are trusted."""

    address: str
    host: str
    """Name or address by which the client reached the board, with the port where it named one."""
    secure: bool
    """Whether the client used https."""
    ingress: bool
    """Whether Home Assistant passed it on."""


class Access:
    """Decides by `web:` and by what requests bring along."""

    def __init__(
        self,
        settings: WebSettings,
        pbxs: Iterable[str],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        ingress_peer: str = INGRESS_PEER,
    ) -> None:
        self._settings = settings
        self._ingress_peer = ingress_peer
        self._tokens = {token.name: token for token in settings.tokens}
        secrets = {name: token.token for name, token in self._tokens.items()}
        if settings.password is not None:
            secrets[ADMIN] = settings.password
        self.sessions = Sessions(secrets, wall)
        self.cookie = cookie_name(pbxs, settings.port)
        self._attempts = Attempts(monotonic)

    def origin(self, request: web.BaseRequest) -> Origin:
        """Where the request comes from; headers of proxies count only where these are trusted."""
        peer = _peer(request)
        ingress = self._settings.ingress and peer == self._ingress_peer and "X-Ingress-Path" in request.headers
        host = request.headers.get("Host", "")
        if not ingress and not self._is_trusted(peer):
            return Origin(peer, host, secure=False, ingress=False)
        address = peer
        for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            if _is_address(hop.strip()):
                address = hop.strip()
            if not self._is_trusted(address):
                break
        host = request.headers.get("X-Forwarded-Host", host).rpartition(",")[2].strip()
        secure = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower() == "https"
        return Origin(address, host, secure, ingress)

    def knows(self, origin: Origin) -> bool:
        """Whether the board may be reached by this name: a foreign one shows DNS rebinding (RFC 9110, 15.5.20)."""
        name = _without_port(origin.host).lower()
        own = {"localhost", self._settings.host.lower(), *self._settings.allowed_hosts}
        return origin.ingress or _is_address(name) or name in own

    def viewer(self, request: web.Request, origin: Origin) -> Viewer | None:
        """Who looks; None: needs a login. Raises HTTPTooManyRequests for a token, where too many were wrong."""
        if origin.ingress:
            return Viewer(admin=bool(request.headers.get("X-Remote-User-Id")))
        if "token" in request.query:
            self._check_wait(origin)
            token = next((each for each in self._tokens.values() if same(request.query["token"], each.token)), None)
            if token is not None:
                return Viewer(token=token, by_link=True)
            self._attempts.failed(origin.address)
        name = self.sessions.check(request.cookies.get(self.cookie, ""))
        if name == ADMIN:
            return Viewer(admin=True)
        if name is not None:
            return Viewer(token=self._tokens[name])
        return None if self._settings.needs_login else Viewer()

    def log_in(self, password: str, origin: Origin) -> str | None:
        """The cookie for whoever knows the password; None: it is wrong. Raises HTTPTooManyRequests."""
        self._check_wait(origin)
        if self._settings.password is not None and same(password, self._settings.password):
            return self.sessions.issue(ADMIN)
        self._attempts.failed(origin.address)
        return None

    @property
    def can_log_in(self) -> bool:
        """Whether there is a password, so that something can be changed."""
        return self._settings.password is not None

    def is_own(self, request: web.BaseRequest, origin: Origin) -> bool:
        """Whether a POST comes from a page of the board, or from no browser: browsers name the page's site."""
        fetched = request.headers.get("Sec-Fetch-Site")  # which browsers leave out on http
        if fetched not in {None, "same-origin", "none"}:
            return False
        site = request.headers.get("Origin")
        if site is None or (site == "null" and fetched == "same-origin"):
            return True
        with suppress(ValueError):
            return urlsplit(site).netloc.lower() in {origin.host.lower(), request.headers.get("Host", "").lower()}
        return False

    def set_cookie(self, response: web.StreamResponse, value: str, origin: Origin, lasts: int) -> None:
        """Give the client a cookie, or take it away with `lasts` 0.

        Without a path it holds for the folder of the address that set it, so it works behind any prefix.
        """
        secure = "; Secure" if origin.secure else ""
        response.headers["Set-Cookie"] = f"{self.cookie}={value}; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}"

    def _check_wait(self, origin: Origin) -> None:
        if wait := math.ceil(self._attempts.wait(origin.address)):
            raise web.HTTPTooManyRequests(text=f"{_TOO_MANY}\n", headers={"Retry-After": str(wait)})

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._settings.trusted_proxies)


def _peer(request: web.BaseRequest) -> str:
    """The address of the other side; an IPv4 one as such, also on a socket of both versions."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    address = str(name[0]).partition("%")[0] if isinstance(name, tuple) else ""
    with suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return str(mapped or parsed)
    return address


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
