"""Answers that are not the PBX's own although they look like a refusal: HTTP 400, 401 and 403 of what stands in front.

A PBX refuses in JSON, or with an empty body. A web page, a challenge for browsers, or a demand for another login than a
bearer token comes from a proxy or another web server, and says nothing about the API client or its rights.
"""

import html
import re
from collections.abc import Mapping
from http import HTTPStatus

_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_TITLE = re.compile(rb"<title[^>]*>(.{1,400}?)</title", re.IGNORECASE | re.DOTALL)
_PLAIN_HTTP = (b"plain http", b"http request to an https server")
"""What nginx, Apache and Go's server say to plain HTTP on a port of TLS, in lower case."""
_LONGEST_WORD = 30
"""A longer word could be a token."""
_LONGEST = 80
"""Characters quoted of a page's title or of a header."""


def media_type(headers: Mapping[str, str]) -> str:
    """The Content-Type in lower case, without its parameters; empty where there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def describe(url: str, status: int, headers: Mapping[str, str], body: bytes | None = None) -> str | None:
    """Who answered in place of the PBX, what was seen, and what to do; None: it may have been the PBX itself.

    `headers` are looked up in any case, as aiohttp's are. `url` is the configured one. `body` is None where it was not
    read, as of an answer to the upgrade to a websocket.
    """
    if status not in _REFUSALS:
        return None
    is_page = media_type(headers) == "text/html" and headers.get("Content-Length") != "0" and body != b""
    challenge, login = headers.get("cf-mitigated"), headers.get("WWW-Authenticate", "").strip()
    if url.startswith("http://") and any(words in (body or b"").lower() for words in _PLAIN_HTTP):
        return f"{url} expects TLS on this port ({seen(status, headers, body)}): use https in pbx.url"
    if challenge is not None:
        return (
            f"a proxy answered in place of {url}, with a challenge for browsers ({seen(status, headers, body)}, "
            f"cf-mitigated: {_quoted(challenge)}): exempt this machine from it, or set pbx.url to the PBX itself"
        )
    if login and not login.lower().startswith("bearer"):
        return (
            f"a proxy answered in place of {url}, and asks for a login of its own ({seen(status, headers, body)}, "
            f"WWW-Authenticate: {_quoted(login)}): exempt this machine from it, or set pbx.url to the PBX itself"
        )
    return another_server(url, status, headers, body) if is_page else None


def another_server(url: str, status: int, headers: Mapping[str, str], body: bytes | None) -> str:
    """As `describe`, where it is certain that the answer is not the PBX's own."""
    return (
        f"a proxy answered in place of {url}, or another web server ({seen(status, headers, body)}): "
        "set pbx.url to the PBX itself"
    )


def seen(status: int, headers: Mapping[str, str], body: bytes | None) -> str:
    """The answer in a few words: `HTTP 403, text/html, 'Just a moment...'`."""
    found = _TITLE.search(body or b"")
    title = f"'{_quoted(found[1].decode('utf-8', 'replace'))}'" if found else ""
    kind = "no content" if body == b"" else media_type(headers)
    return ", ".join(filter(None, (f"HTTP {status}", _quoted(kind), title)))


def _quoted(text: str) -> str:
    """One line without control codes and without what could be a token."""
    words = html.unescape(text).split()
    line = " ".join(word if len(word) <= _LONGEST_WORD else "…" for word in words)
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST]
