"""The access token: requested once, shared by all requests, renewed by one of them for all.

Source (3CX's XAPI tutorial, and captures): client credentials are sent as form fields to /connect/token. One access
token per API client is valid at a time; it lives 60 minutes; `expires_in` is in minutes before 20.0.9 and in seconds
since. A PBX blocks the IP address of a client after a few failed logins, and with it every phone behind the same NAT.
"""

import asyncio
import base64
import binascii
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from bridge.domain.clock import Clock
from bridge.errors import SourceAuthError, SourceError, SourceProtocolError
from bridge.sources.threecx import parse
from bridge.sources.threecx.client.http import Answer, Http, NotThePbx
from bridge.sources.threecx.client.intermediary import another_server
from bridge.sources.threecx.client.login_backoff import LoginBackoff
from bridge.sources.threecx.client.token_losses import TokenLosses
from bridge.sources.threecx.settings import PbxSettings

TOKEN_PATH = "/connect/token"  # noqa: S105  # a path

_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_MINUTES_BELOW = 300
"""An `expires_in` under this is taken for minutes (3CX sends 60), otherwise for seconds (3CX sends 3600)."""
_LEAST_LIFETIME = 60.0
"""Seconds, for tokens that say nothing about their life."""
_LARGEST_TIME = 1e12
"""A number over this is no time in seconds, neither a duration nor Unix time."""
_FIRST_NO_PBX, _LONGEST_NO_PBX = 5.0, 60.0
"""Seconds before the API key is sent again to a server whose answer to a login is not that of a PBX: they double.
Whatever stood in front for a moment is forgotten soon, and nobody is sent the key again and again."""
_RENEW_EARLY = 0.1
"""A token is renewed when this part of its life is left, so that no request meets an expired one."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, when it was granted and when to stop using it, on the monotonic clock."""

    value: str
    granted_at: float
    renew_at: float


class TokenAuth:
    """The current access token of one API client."""

    def __init__(
        self,
        http: Http,
        settings: PbxSettings,
        refusals: LoginBackoff,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._settings = settings
        self._refusals = refusals
        self._clock = clock
        self._sleep = sleep
        self._losses = TokenLosses(settings.client_id, clock)
        self._token: Token | None = None
        self._lost: Token | None = None
        """The last one that the PBX refused before its time."""
        self._lock = asyncio.Lock()
        self._attempts = 0
        self._last_error: SourceError | None = None
        self._not_before = float("-inf")
        self._no_pbx = _FIRST_NO_PBX

    @property
    def granted(self) -> bool:
        """Whether the PBX has accepted the credentials."""
        return self._token is not None

    @property
    def shared(self) -> str | None:
        """What to do, where another program logs in with the same API client; None where no sign of that was seen."""
        return self._losses.problem

    def current(self, token: str) -> Token | None:
        """More about this token, where it is the one that was granted last; else None."""
        return self._token if self._token is not None and self._token.value == token else None

    def was_lost(self, token: Token) -> None:
        """The PBX refused this token, and accepted the next one for the same request.

        Every request that was under way with the token reports this, but a token is lost only once.
        """
        if token is not self._lost:
            self._lost = token
            self._losses.lost(self._clock.monotonic() - token.granted_at)

    async def token(self) -> str:
        """The current token; logs in only if there is none or it is about to expire."""
        return (await self._current(refused=None)).value

    async def renew(self, refused: str) -> str:
        """A token other than `refused`; logs in only if no other request has replaced it meanwhile."""
        return (await self._current(refused=refused)).value

    async def _current(self, refused: str | None) -> Token:
        attempts = self._attempts
        if token := self._usable(refused):
            return token
        async with self._lock:
            if token := self._usable(refused):
                return token
            # All requests wait here for one login. If it failed, its error holds for all of them: each trying again
            # would be a series of failed logins, for which the PBX blocks this machine.
            tried = self._attempts != attempts
            if self._last_error is not None and (tried or self._clock.monotonic() < self._not_before):
                raise self._again(self._last_error)
            self._last_error = None
            try:
                self._token = await self._login()
            except SourceError as error:
                self._last_error = error
                if isinstance(error, NotThePbx | SourceProtocolError):
                    self._not_before = self._clock.monotonic() + self._no_pbx
                    self._no_pbx = min(2 * self._no_pbx, _LONGEST_NO_PBX)
                raise self._again(error) from error.__cause__
            else:
                self._no_pbx = _FIRST_NO_PBX
                return self._token
            finally:
                self._attempts += 1

    def _again(self, error: SourceError) -> SourceError:
        """The error for another request that would log in now: it says when the next login is tried."""
        if isinstance(error, NotThePbx):
            return NotThePbx(str(error), retry_in=max(0.0, self._not_before - self._clock.monotonic()))
        return error

    def _usable(self, refused: str | None) -> Token | None:
        token = self._token
        if token is None or token.value == refused or self._clock.monotonic() >= token.renew_at:
            return None
        return token

    async def _login(self) -> Token:
        wait = self._refusals.wait()
        if wait > 0:
            earlier = (
                f"the PBX refused client_id {self._settings.client_id!r} with this client_secret earlier: compare both "
                f"with Integrations > API in the 3CX admin console; the next login is tried {self._when(wait)}"
            )
            self._refusals.last_message = self._refusals.last_message or earlier
            raise SourceAuthError(self._refusals.last_message, retry_in=wait)
        if (pause := self._losses.wait()) > 0:
            # Waiting, not failing: all requests need the token, and are as late as it is.
            await self._sleep(pause)
        answer = await self._http.request(
            "POST",
            TOKEN_PATH,
            form={
                "client_id": self._settings.client_id,
                "client_secret": self._settings.client_secret,
                "grant_type": "client_credentials",
            },
        )
        if answer.status in _REFUSED:
            if not _is_refusal(answer.body):
                raise NotThePbx(another_server(self._settings.url, answer.status, answer.headers, answer.body))
            raise self._refused(answer)
        token = self._parse(answer)
        self._refusals.forget()
        self._losses.granted()
        return token

    def _refused(self, answer: Answer) -> SourceAuthError:
        wait = self._refusals.note()
        said = parse.error_message(answer.body) or f"HTTP {answer.status}"
        self._refusals.last_message = (
            f"the PBX refused client_id {self._settings.client_id!r} with this client_secret ({said}): compare both "
            "with Integrations > API in the 3CX admin console; since a PBX blocks the address after a few bad logins, "
            f"the next one is tried {self._when(wait)}"
        )
        return SourceAuthError(self._refusals.last_message, retry_in=wait)

    def _when(self, wait: float) -> str:
        """When the next login is tried. A service of systemd has copies of its secrets, which only a restart renews."""
        at = time.strftime("%H:%M", time.localtime(self._clock.wall() + wait))
        copied = "CREDENTIALS_DIRECTORY" in os.environ
        change = "after a restart with other credentials" if copied else "when the credentials change"
        return f"in {_minutes(wait)} ({at}) or {change}"

    def _parse(self, answer: Answer) -> Token:
        try:
            body = json.loads(answer.body)
            value, expires_in = body["access_token"], body.get("expires_in")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            value, expires_in = None, None
        if answer.status != HTTPStatus.OK or not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
            raise SourceProtocolError(
                f"{self._settings.url}{TOKEN_PATH} answered HTTP {answer.status} without a token: "
                "is pbx.url the address of a 3CX V20?"
            )
        life = lifetime(value, expires_in, self._clock.wall())
        now = self._clock.monotonic()
        return Token(value, now, now + life * (1 - _RENEW_EARLY))


def _is_refusal(body: bytes) -> bool:
    """Whether this is an error as OAuth (RFC 6749, 5.2) has it: an object with `error`."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and "error" in answer


def lifetime(token: str, expires_in: object, now: float) -> float:
    """Seconds that a token is valid: by its own `exp` and `iat` if it is a JWT, else by `expires_in` in either unit.

    The difference of `exp` and `iat` does not depend on this machine's clock; without `iat`, `now` (Unix time) counts.
    """
    claims = _claims(token)
    begin, end = _number(claims.get("iat", claims.get("nbf", now))), _number(claims.get("exp"))
    if begin is not None and end is not None and end > begin:
        return end - begin
    given = _number(expires_in)
    if given is None or given <= 0:
        return _LEAST_LIFETIME
    return given * 60 if given < _MINUTES_BELOW else given


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGEST_TIME else None


def _claims(token: str) -> dict[str, object]:
    """The claims in a JWT's payload, unverified; empty for any other token."""
    _, _, rest = token.partition(".")
    payload, signed, _ = rest.partition(".")
    if not signed:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min"
