"""From what people write or copy as the address of their PBX to the address that answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

_PORTS = (443, 5001)
"""Where a PBX listens by https: behind its own name, or as 3CX installs itself."""
_PLAIN_PORT = 5000
_LONGEST = 8.0
"""Seconds for one attempt."""
_ASKED = "/xapi/v1/Users?$top=1"
_LOGIN_NEEDED = (401, 403)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address that was tried."""

    url: str
    found: bool = False
    """Whether a 3CX with XAPI answers there."""
    untrusted: bool = False
    """It answers, but this machine does not trust its certificate."""
    problem: str = ""


def candidates(written: str) -> list[str]:
    """The addresses to try, the most likely first; ValueError where there is no host in it."""
    text = written.strip().strip("\"'<>")
    scheme = match[1].lower() if (match := re.match(r"(https?)://", text, re.IGNORECASE)) else None
    try:
        parts = urlsplit(text if scheme else f"//{text.lstrip('/')}")
        host, port = parts.hostname or "", parts.port
    except ValueError:  # brackets that do not close, a port that is none
        host, port = "", None
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        raise ValueError(f"{written!r} holds no name or address of a machine: write it as in the browser")
    return list(dict.fromkeys(_urls(scheme, f"[{host}]" if ":" in host else host, port)))


def _urls(scheme: str | None, host: str, port: int | None) -> Iterator[str]:
    if port is not None:
        yield from (f"{each}://{host}:{port}" for each in ([scheme] if scheme else ["https", "http"]))
        return
    if scheme == "http":
        yield f"http://{host}"
        yield f"http://{host}:{_PLAIN_PORT}"
    yield from (f"https://{host}" if each == _PORTS[0] else f"https://{host}:{each}" for each in _PORTS)
    yield f"http://{host}:{_PLAIN_PORT}"


async def find(urls: list[str]) -> Attempt:
    """The first address where a 3CX answers; else the attempt that says most about why there is none.

    Nothing is sent but a request without a login.
    """
    attempts = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LONGEST)) as session:
        for url in urls:
            attempt = await _try(session, url)
            if attempt.found or attempt.untrusted:
                return attempt
            attempts.append(attempt)
    return next((each for each in attempts if "answers" in each.problem), attempts[0])


async def _try(session: aiohttp.ClientSession, url: str) -> Attempt:
    try:
        async with session.get(f"{url}{_ASKED}", allow_redirects=False) as response:
            found = response.status in _LOGIN_NEEDED
            other = f"{url} answers, but not as a 3CX V20 does (status {response.status}): is it another server?"
            return Attempt(url, found=found, problem="" if found else other)
    except aiohttp.ClientConnectorCertificateError as error:
        return Attempt(url, untrusted=True, problem=f"{error.certificate_error}")
    except (aiohttp.ClientError, OSError) as error:
        return Attempt(url, problem=f"{url} {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return "answers, but not by TLS"
    if isinstance(error, TimeoutError):
        return f"does not answer within {_LONGEST:g} s: is the address right, is a firewall between?"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "is not known: there is no machine of this name, as far as this one knows"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"does not answer: {str(reason).lower()}"
