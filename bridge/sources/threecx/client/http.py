"""All HTTP to the PBX: time-outs, a limit of size, no redirects, errors in the bridge's own classes."""

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ECONNRESET
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bridge import __version__
from bridge.aio import in_daemon_thread
from bridge.errors import (
    SourceError,
    SourceMissing,
    SourcePermissionError,
    SourceProtocolError,
    SourceUnavailable,
)
from bridge.sources.threecx.client.intermediary import describe, media_type
from bridge.sources.threecx.client.tap import TappedSocket, TapPoint
from bridge.sources.threecx.client.trust import Trust
from bridge.sources.threecx.settings import PbxSettings
from bridge.tls import Mistrust, is_no_tls, mistrust

T = TypeVar("T")

MAX_BODY = 8 * 1024 * 1024
"""Bytes of the largest answer or websocket message that is read: far more than a page of 100 rows needs."""
_CHUNK = 64 * 1024
_logger = logging.getLogger(__name__)

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_CLOSE_TIMEOUT = 1.0
"""Seconds to wait for the other side's close frame when a websocket is closed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer of any status below 500, redirects excepted."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether the answer is declared as JSON. nginx in front of the PBX answers HTML while the PBX is down."""
        kind = media_type(self.headers)
        return kind in {"application/json", "text/json"} or kind.endswith("+json")


class TokenRefused(SourcePermissionError):
    """HTTP 401: the token is no longer valid, or a right is missing."""


class NotThePbx(SourceUnavailable):
    """What answered is not the PBX, so its refusal says nothing about the API client."""


class Http:
    """Requests to one PBX over kept-alive connections. Use as an async context manager."""

    def __init__(self, settings: PbxSettings, permitted: Callable[[], bool] = lambda: True) -> None:
        """`permitted` is asked before anything is sent; SourceUnavailable where it says no."""
        self._settings = settings
        self.permitted = permitted
        self._trust = Trust(settings.verify_tls)
        self._session: aiohttp.ClientSession | None = None
        self.point = TapPoint()
        """Where a recording listens."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=8, resolver=_Resolver()),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            ws_response_class=TappedSocket,
            trace_configs=[self._watch_for_redirects()],
            headers={"User-Agent": f"3cx2mqtt/{__version__}", "Accept": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> Answer:
        """Send `target` (path and encoded query) and read the whole answer.

        Raises SourceUnavailable if there is no answer from the PBX itself: network error, time-out, 5xx, redirect, a
        refusal by a proxy; and SourceProtocolError if the answer is too large.
        """

        async def send(trusted: ssl.SSLContext | bool) -> Answer:  # noqa: FBT001  # as aiohttp has it
            self._check_permit()
            async with self._open_session().request(
                method, self._url(target), headers=headers, data=form, json=json, allow_redirects=False, ssl=trusted
            ) as response:
                return Answer(response.status, response.headers, await self._body(response))

        started = time.monotonic()
        with self._translated():
            answer = await self._with_trust(send)
        took = time.monotonic() - started
        _logger.debug("%s %s: HTTP %d, %d bytes in %.3f s", method, target, answer.status, len(answer.body), took)
        self._tap(method, target, answer)
        return self._checked(answer)

    async def websocket(
        self, path: str, headers: Mapping[str, str], heartbeat: float
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket, or raise the SourceError that says why not.

        It is closed when no pong has come half a heartbeat (seconds) after a ping.
        """

        async def connect(trusted: ssl.SSLContext | bool) -> aiohttp.ClientWebSocketResponse:  # noqa: FBT001  # see above
            self._check_permit()
            return await self._open_session().ws_connect(
                self._url(path),
                headers=headers,
                heartbeat=heartbeat,
                max_msg_size=MAX_BODY,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT),
                ssl=trusted,
            )

        with self._translated():
            try:
                async with asyncio.timeout(self._settings.timeout):
                    return await self._with_trust(connect)
            except aiohttp.WSServerHandshakeError as error:
                self._tap("GET", path, Answer(error.status, CIMultiDictProxy(CIMultiDict(error.headers or {})), b""))
                if (stranger := describe(self._settings.url, error.status, error.headers or {})) is not None:
                    raise NotThePbx(stranger) from None
                raise _refused_upgrade(path, error.status) from None

    async def _with_trust(self, send: Callable[[ssl.SSLContext | bool], Awaitable[T]]) -> T:
        """The result of `send`; called again where the certificate was not accepted and the CA file has changed."""
        trusted = self._settings.url.startswith("http:") or await self._trust.context()
        try:
            return await send(trusted)
        except aiohttp.ClientConnectorCertificateError:
            if not await self._trust.renewed():
                raise
        return await send(await self._trust.context())

    def _check_permit(self) -> None:
        if not self.permitted():
            raise SourceUnavailable("nothing is sent to the PBX: another bridge of the pair may be active")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Http is used outside of its context")
        return self._session

    def _url(self, target: str) -> URL:
        return URL(self._settings.url + target, encoded=True)

    def _watch_for_redirects(self) -> aiohttp.TraceConfig:
        """aiohttp follows redirects when it opens a websocket, and has no argument against it: a trace stops them."""

        async def redirected(_session: object, _context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
            params.response.close()
            raise self._redirect(params.response.status, params.response.headers)

        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(redirected)
        return trace

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translates errors of aiohttp and the network into SourceUnavailable."""
        try:
            yield
        except TimeoutError:
            raise SourceUnavailable(
                f"no answer from {self._settings.url} within {self._settings.timeout:g} s"
            ) from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            plain = self._settings.url.startswith("http:")
            raise SourceUnavailable(f"cannot reach {self._settings.url}: {_in_words(error, plain=plain)}") from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            chunks += chunk
            if len(chunks) > MAX_BODY:
                raise SourceProtocolError(f"the PBX's answer is over {MAX_BODY // 2**20} MiB")
        return bytes(chunks)

    def _tap(self, method: str, target: str, answer: Answer) -> None:
        if self.point.current is not None:
            self.point.current.answered(method, target, answer.status, answer.headers, answer.body)

    def _checked(self, answer: Answer) -> Answer:
        if answer.status == HTTPStatus.NOT_IMPLEMENTED:
            raise SourceUnavailable(
                f"{self._settings.url} does not support such requests (HTTP 501): is it the address of a 3CX V20?"
            )
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceUnavailable(
                f"{self._settings.url} answered HTTP {answer.status}: the PBX behind that server is down or starting",
                retry_in=_retry_after(answer),
            )
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise SourceUnavailable(
                "the PBX asks for fewer requests (HTTP 429)", retry_in=_retry_after(answer), answered=True
            )
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            raise self._redirect(answer.status, answer.headers)
        if (stranger := describe(self._settings.url, answer.status, answer.headers, answer.body)) is not None:
            raise NotThePbx(stranger)
        return answer

    def _redirect(self, status: int, headers: Mapping[str, str]) -> SourceUnavailable:
        try:
            place = URL(headers.get("Location", "")).host or "another page"
        except ValueError:
            place = "an invalid address"
        return SourceUnavailable(
            f"{self._settings.url} redirects to {place} (HTTP {status}): set pbx.url to the PBX itself"
        )


class _Resolver(AbstractResolver):
    """Resolves names by the system's resolver in a daemon thread.

    aiohttp's own resolver uses threads that the process waits for at its end: for as long as a name server hangs.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`, with the scope of link-local ones."""

        def ask() -> list[tuple[socket.AddressFamily, int, str]]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            return [(kind, protocol, socket.getnameinfo(place, numeric)[0]) for kind, _, protocol, _, place in found]

        found = await in_daemon_thread("resolve", ask, lambda _: None)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=protocol, flags=_NUMERIC)
            for kind, protocol, address in found
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _refused_upgrade(path: str, status: int) -> SourceError:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        kind = TokenRefused if status == HTTPStatus.UNAUTHORIZED else SourcePermissionError
        return kind(f"{path}: the PBX refuses this API client (HTTP {status})")
    if status == HTTPStatus.NOT_FOUND:
        return SourceMissing(f"{path} does not exist here (HTTP 404)")
    return SourceUnavailable(f"{path} answered HTTP {status} instead of opening a websocket")


def _retry_after(answer: Answer) -> float | None:
    """Seconds from Retry-After, at most an hour; servers in front of a PBX do not use the form with a date."""
    value = answer.headers.get("Retry-After", "")
    return min(float(value), 3600.0) if value.isdecimal() else None


def _in_words(error: Exception, *, plain: bool) -> str:
    """What the error means; `plain`: pbx.url begins with http:."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _untrusted(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _failed_handshake(error.os_error)
    words = next((words for kind, words in (_PLAIN_WORDS if plain else _WORDS) if isinstance(error, kind)), None)
    if words is not None:
        return words
    if isinstance(error, OSError) and error.errno == ECONNRESET:
        return "connection reset by peer: is the port in pbx.url that of the PBX's web client (443 or 5001 as a rule)?"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        why = os.strerror(number).lower() if number else "the connection was closed while it was being opened"
        return f"{why}; are host and port in pbx.url right?"
    return str(error) or type(error).__name__


def _untrusted(error: Exception) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error})"
    advice = {
        Mistrust.OTHER_NAME: "is for another name ({}): use in pbx.url the name that the certificate is for",
        Mistrust.EXPIRED: "has expired ({}): renew it on the PBX",
        Mistrust.NOT_YET_VALID: "is not valid yet ({}): is this machine's clock right?",
        Mistrust.UNKNOWN_ISSUER: "is not trusted ({}): set pbx.verify_tls to the file of the CA that signed it",
    }[mistrust(error)]
    return f"its TLS certificate {advice.format(error.verify_message)}"


def _failed_handshake(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and not is_no_tls(error):
        return f"TLS failed ({error.reason})"
    return "no TLS on this port: should pbx.url begin with http://, or is it another port?"


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the host name cannot be resolved"),
    (
        aiohttp.ServerDisconnectedError,
        "the connection was closed without an answer (is this machine's IP blocked in 3CX?)",
    ),
    (aiohttp.ClientPayloadError, "its answer is incomplete, or cannot be decompressed"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
)
"""For the last two aiohttp's own texts contain byte counts or the data, so each would be logged as a new failure."""
_PLAIN_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (
        aiohttp.ServerDisconnectedError,
        (
            "the connection was closed without an answer: should pbx.url begin with https://? If not, is it another "
            "port, or is this machine's IP blocked in 3CX?"
        ),
    ),
    (aiohttp.ClientResponseError, "its answer is not HTTP; if this port speaks TLS, use https in pbx.url"),
    *_WORDS,
)
"""The same where pbx.url begins with http:."""
