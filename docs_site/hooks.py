"""What MkDocs calls while it builds the site, as mkdocs.yml says."""

import json
import re
from collections.abc import Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs_site import commands, metrics, options, repository
from docs_site.repository import PAGES, ROOT

_ICON = "bridge/web/static/icon.svg"
_PICTURE = re.compile(r"!\[([^]]*)\]\(([\w/.-]+)\.png\)")


def on_config(config: MkDocsConfig) -> None:
    """Leaves out the links to edit a page where the repository's address is not known."""
    if not config.repo_url:
        config.edit_uri = ""


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages made from the code, and what the pages link to outside of docs/."""
    for name, text in _reference():
        # Who searches for a key or a metric wants its definition first.
        found_first = f"---\nsearch: {{boost: 2}}\n---\n\n{text}"
        files.append(File.generated(config, f"reference/{name}.md", content=found_first))
    files.append(File.generated(config, "assets/icon.svg", content=(ROOT / _ICON).read_bytes()))
    outside = {path: page for path, page in PAGES.items() if page not in files.src_uris}
    for path, page in outside.items():
        text = (ROOT / path).read_text()
        files.append(File.generated(config, page, content=repository.with_links_of_site(text, path, page)))
    written = [f"docs/{file.src_uri}" for file in files.documentation_pages() if file.generated_by is None]
    for path in repository.linked([*written, *outside]):
        _add_source(path, files, config)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # MkDocs names them
    """Lets links that lead out of docs/ in the repository lead to pages of the site."""
    if page.file.generated_by is not None:
        return markdown
    text = repository.with_links_of_site(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
    return _PICTURE.sub(lambda picture: _for_both_schemes(picture, files), text)


def _for_both_schemes(picture: re.Match[str], files: Files) -> str:
    """The picture, or where there is one of the dark board too, each in its colour scheme."""
    alternative, name = picture.groups()
    if f"{name}-dark.png" not in files.src_uris:
        return picture[0]
    return f"![{alternative}]({name}.png#only-light)![{alternative}]({name}-dark.png#only-dark)"


def _reference() -> Iterator[tuple[str, str]]:
    yield "options", options.page(json.loads((ROOT / "config.schema.json").read_text()))
    yield "commands", commands.page()
    yield "metrics", metrics.page()


def _add_source(path: str, files: Files, config: MkDocsConfig) -> None:
    page = repository.page_of(path)
    text = repository.source_page(path)
    files.append(File.generated(config, page, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    for each in repository.files_of(path):
        if repository.download_of(each) not in files.src_uris:
            content = (ROOT / each).read_bytes()
            files.append(File.generated(config, repository.download_of(each), content=content))
