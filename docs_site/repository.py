"""Pages for what is in the repository and outside of docs/, so that one link serves GitHub and the site.

Pages in docs/ link to other files by their relative path in the repository (`../examples/node-red/flows.json`). On the
site such a path is a page that shows the file and offers it for download, or that shows all files of a folder. The
Markdown files at the root are pages like those in docs/.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from docs_site.markdown import block

ROOT = Path(__file__).parents[1]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "addon/DOCS.md": "app.md",
    "addon/README.md": "app-development.md",
}
"""Where on the site the Markdown files outside of docs/ are. In place of the README there is docs/index.md."""

_OF_SITE = {".md", ".png", ".svg"}
"""Kinds of files in docs/ that the site has under their own name; others are shown as those outside are."""

_SHOWN_AS = {".json": "json", ".yaml": "yaml", ".service": "ini", ".py": "python"}
"""The language in which files are highlighted."""

_LINK = re.compile(r"(?<=\]\()(?![\w+.-]+:|[#/])([^)#\s]+)")
"""The path of a relative link or picture."""


def page_of(path: str) -> str:
    """Where on the site a file or folder of the repository is; both paths are relative."""
    if path in PAGES:
        return PAGES[path]
    inside = path.removeprefix("docs/")
    if inside != path and PurePosixPath(path).suffix in _OF_SITE:
        return inside
    return f"source/{path}/index.md"


def download_of(path: str) -> str:
    """Where on the site a file of the repository is for download."""
    return f"download/{path}"


def with_links_of_site(text: str, path: str, page: str) -> str:
    """The text of the file `path` for the site's page `page`.

    Links to what does not exist stay as they are, for MkDocs to report.
    """

    def rewritten(link: re.Match[str]) -> str:
        target = _target(path, link[1])
        if not (ROOT / target).exists():
            return link[1]
        return posixpath.relpath(page_of(target), posixpath.dirname(page))

    return _LINK.sub(rewritten, text)


def linked(paths: Iterable[str]) -> Iterator[str]:
    """Files and folders to which those files link, and for which pages must be made."""
    found = {_target(path, link) for path in paths for link in _LINK.findall((ROOT / path).read_text())}
    return iter(sorted(each for each in found if page_of(each).startswith("source/") and (ROOT / each).exists()))


def files_of(path: str) -> list[str]:
    """The file itself, or all files of the folder but those that may hold secrets."""
    start = ROOT / path
    found = sorted(each for each in start.rglob("*") if each.is_file()) if start.is_dir() else [start]
    relative = [each.relative_to(ROOT) for each in found]
    return [str(each) for each in relative if not any(part == "secrets" or part[0] == "." for part in each.parts)]


def source_page(path: str) -> str:
    """The page that shows a file, or all files of a folder, as Markdown."""
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n"
    files = files_of(path)
    return "\n".join([head, *(_shown(each, path, titled=files != [path]) for each in files)])


def _shown(path: str, page: str, *, titled: bool) -> str:
    up = posixpath.relpath(download_of(path), posixpath.dirname(page_of(page)))
    title = f"## {posixpath.relpath(path, page)}\n\n" if titled else ""
    file = ROOT / path
    return f"{title}[Download]({up})\n\n{block(file.read_text(), _SHOWN_AS.get(file.suffix, 'text'))}"


def _target(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
