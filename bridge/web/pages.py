"""The board's own files: read once, served from memory, so that no address can lead out of their folder."""

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from bridge.web.settings import BoardLanguage

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_WORDS = "i18n/{}.json"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served."""

    content: bytes
    content_type: str
    tag: str
    """Changes with the content, for the browser's cache."""


class Pages:
    """The board's page, its login, and what they load."""

    def __init__(self, language: BoardLanguage) -> None:
        self._language = language
        self._files = dict(_files(resources.files("bridge.web") / "static"))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that there are words for; adding a file adds one."""
        found = (re.fullmatch(_WORDS.format(r"([a-z]{2,3})"), name) for name in sorted(self._files))
        return tuple(match[1] for match in found if match)

    def file(self, request: web.Request) -> web.Response:
        """One of the files, with 304 for a browser that has it."""
        file = self._files.get(request.match_info["name"])
        if file is None or file.content_type == "text/html":
            raise web.HTTPNotFound
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.content, headers=headers, content_type=file.content_type, charset="utf-8")

    def board(self, request: web.Request) -> web.Response:
        """The page of the board."""
        return self._page("index.html", request, {"languages": " ".join(self.languages)})

    def login(self, request: web.Request, problem: str | None = None) -> web.Response:
        """The form for the password; `problem` is the key of a text that says why it is shown again."""
        message = "" if problem is None else self._words(request)[problem]
        query = "" if not request.query_string else f"?{request.query_string}"
        status = 401 if request.method == "GET" and request.path != "/login" else 403 if problem else 200
        return self._page("login.html", request, {"problem": message, "query": query}, status)

    def _page(self, name: str, request: web.Request, values: Mapping[str, str], status: int = 200) -> web.Response:
        """The file with each `{{word}}` replaced, by one of `values` or by a text in the language of the browser."""
        known = {**self._words(request), **values, "language": self.language(request)}
        text = self._files[name].content.decode()
        filled = re.sub(r"\{\{([\w.]+)\}\}", lambda match: html.escape(known[match[1]]), text)
        return web.Response(status=status, text=filled, content_type="text/html")

    def language(self, request: web.Request) -> str:
        """`?lang=`, else the configured one, else the first of the browser's that there is, else English."""
        asked = request.query.get("lang", "")
        configured = "" if self._language is BoardLanguage.AUTO else self._language.value
        accepted = (each.partition(";")[0].strip() for each in request.headers.get("Accept-Language", "").split(","))
        wanted = (asked, configured, *(each.partition("-")[0].lower() for each in accepted))
        return next((each for each in wanted if each in self.languages), "en")

    def _words(self, request: web.Request) -> dict[str, str]:
        words: dict[str, str] = json.loads(self._files[_WORDS.format(self.language(request))].content)
        return words


def _files(folder: Traversable, above: str = "") -> list[tuple[str, File]]:
    found = []
    for entry in folder.iterdir():
        name = f"{above}{entry.name}"
        if entry.is_dir():
            found += _files(entry, f"{name}/")
        elif (kind := _TYPES.get(f".{entry.name.rpartition('.')[2]}")) is not None:
            content = entry.read_bytes()
            found.append((name, File(content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')))
    return found
