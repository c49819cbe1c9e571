"""What the site has beside docs/: pages that follow from the code, and the files outside that pages link to.

mkdocs calls the functions whose names begin with `on_`.
"""

import io
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bridge.cli import COMMANDS, main
from bridge.domain.clock import Clock
from bridge.domain.model import SourceReport, User
from bridge.statistics import Statistics
from bridge.web.metrics import Metrics

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
_PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "project/SECURITY.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
    "addon/DOCS.md": "project/app.md",
    "addon/README.md": "project/app-development.md",
}
"""Pages outside of docs/, by their path in the repository."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for path, uri in _PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text()))
    for uri, content in (
        ("reference/options.md", options_page()),
        ("reference/metrics.md", metrics_page()),
        ("reference/help.md", help_page()),
    ):
        files.append(File.generated(config, uri, content=content))
    for path in sorted(_linked_files(files)):
        if (ROOT / path).is_dir():
            files.append(File.generated(config, f"files/{path}/index.md", content=_folder_page(path)))
            for inner in sorted(_files_in(path)):
                files.append(File.generated(config, f"files/{inner}", abs_src_path=str(ROOT / inner)))
        elif f"files/{path}" not in files.src_uris:
            files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # mkdocs' names
    """Lead the links of the repository to the places of the site."""
    origin = _origin(page.file.src_uri)
    return _LINK.sub(lambda match: match[1] + _led(match[2], origin, page.file.src_uri) + match[3], markdown)


def _led(target: str, origin: str, uri: str) -> str:
    path = _resolved(target, origin)
    return target if path is None else posixpath.relpath(_place(path), posixpath.dirname(uri) or ".")


def _resolved(target: str, origin: str) -> str | None:
    """The path in the repository that a link leads to; None where it leads elsewhere."""
    if "://" in target or target.startswith(("mailto:", "/")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    return path if (ROOT / path).exists() else None


def _place(path: str) -> str:
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in _PAGES:
        return _PAGES[path]
    return f"files/{path}/index.md" if (ROOT / path).is_dir() else f"files/{path}"


def _origin(uri: str) -> str:
    return next((path for path, place in _PAGES.items() if place == uri), f"docs/{uri}")


def _linked_files(files: Files) -> Iterator[str]:
    for file in files.documentation_pages():
        origin = _origin(file.src_uri)
        for match in _LINK.finditer(file.content_string):
            path = _resolved(match[2], origin)
            if path is not None and not path.startswith("docs/") and path not in _PAGES:
                yield path


def _files_in(folder: str) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()]


def _folder_page(folder: str) -> str:
    names = [posixpath.relpath(path, folder) for path in sorted(_files_in(folder))]
    return f"# {folder}\n\n" + "\n".join(f"- [{name}]({name})" for name in names) + "\n"


def options_page() -> str:
    """Every option, from the schema for editors."""
    schema = json.loads((ROOT / "config.schema.json").read_text())
    rows = ["# Options", "", "Every option of `config.yaml`.", "", "| option | default | type | |", "|---|---|---|---|"]
    for key, option in _options(schema):
        default, words = _code(option.get("default", _REQUIRED)), _cell(option.get("description", ""))
        rows.append(f"| `{key}` | {default} | {_type(option)} | {words} |")
    return "\n".join(rows) + "\n"


_REQUIRED = object()


def _options(schema: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in schema.get("properties", {}).items():
        key = f"{above}{name}"
        if "properties" in option and "default" not in option:
            yield from _options(option, f"{key}.")
        else:
            yield key, option
            items = option.get("items", {})
            if "properties" in items:
                yield from _options(items, f"{key}[].")


def _code(value: object) -> str:
    return "" if value is _REQUIRED else f"`{_cell(json.dumps(value, ensure_ascii=False))}`"


def _type(option: Mapping[str, Any]) -> str:
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in dict.fromkeys(map(str, option["enum"])))
    kinds = [option, *option.get("anyOf", ())]
    named = [kind.get("type") for kind in kinds if kind.get("type")]
    flat = [each for kind in named for each in (kind if isinstance(kind, list) else [kind])]
    if {"string", "number"} == set(flat) - {"null"}:
        return "text"  # of which an editor may see digits as a number
    return " or ".join(dict.fromkeys(each for each in flat if each != "null"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


class _Nothing:
    """The status of a bridge that knows nothing yet."""

    in_sync = pbx_online = False
    pbx_version = None

    def users(self) -> list[User]:
        return []

    def sources(self) -> list[SourceReport]:
        return []

    def calls_today(self) -> dict[str, int]:
        return {}

    def publish(self, _message: object) -> None:
        return None


def metrics_page() -> str:
    """Every metric, from those that are served."""
    nothing = _Nothing()
    metrics = Metrics(nothing, nothing, Statistics(Clock()), list)
    rows = ["# Metrics", "", "What `/metrics` has; [monitoring](../monitoring.md) explains them.", ""]
    rows += ["| metric | type | |", "|---|---|---|"]
    rows += [f"| `{each.name}` | {each.type} | {_cell(each.documentation)} |" for each in metrics.collect()]
    return "\n".join(rows) + "\n"


def help_page() -> str:
    """What `--help` of each command prints."""
    parts = ["# Help of all commands\n"]
    for command in COMMANDS:
        printed = io.StringIO()
        with redirect_stdout(printed), suppress(SystemExit):
            main([command, "--help"])
        parts.append(f"## {command}\n\n```\n{printed.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)
