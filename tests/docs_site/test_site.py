"""The site as it is built: every link leads somewhere, and a wrong one fails the build."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs_site.repository import page_of, with_links_of_site
from tests.support.limits import limit

ROOT = Path(__file__).parents[2]


def build(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(words, cwd=root, check=False, capture_output=True, text=True, timeout=limit(120))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    return target


class Page(HTMLParser):
    """Addresses of what a page links to and loads, its anchors, and its text outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""
        self._in_code = 0
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("img", "script", "link"):
            self.loads += [values[name] for name in ("src", "href") if name in values]
        self._in_code += tag in ("code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.text += data


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("index.html"))}


def is_lost(path: Path, address: str, pages: dict[Path, Page]) -> bool:
    """Whether a relative address on that page leads to no file, or to no anchor of it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return True
    return bool(parts.fragment) and target in pages and unquote(parts.fragment) not in pages[target].anchors


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    links = {(path, link) for path, page in pages.items() for link in {*page.links, *page.loads}}
    assert len({path for path, _ in links}) > 40
    assert [(str(path), link) for path, link in sorted(links) if is_lost(path, link, pages)] == []


def test_every_page_of_the_documentation_is_there(site: Path) -> None:
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    made = {
        "reference/options",
        "reference/commands",
        "reference/metrics",
        "changelog",
        "contributing",
        "security",
        "app",
    }
    assert [name for name in sorted(names | made) if not (site / name / "index.html").is_file()] == []


def test_files_that_pages_link_to_are_shown_and_can_be_downloaded(site: Path) -> None:
    for name in (
        "examples/node-red/flows.json",
        "docs/mosquitto.acl",
        "config.example.yaml",
        "examples/prometheus/alerts.yaml",
    ):
        assert (site / "download" / name).read_bytes() == (ROOT / name).read_bytes()
    assert "examples/node-red/flows.json" in Page(site / "source/examples/node-red/flows.json/index.html").text
    assert "grafana.json" in Page(site / "source/examples/prometheus/index.html").text


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


def test_code_within_lists_is_code(pages: dict[Path, Page]) -> None:
    """Python-Markdown wants it indented by four spaces; with fewer it shows the fence as text."""
    assert [str(path) for path, page in pages.items() if "```" in page.text] == []


def test_lists_within_lists_are_indented_by_four_spaces() -> None:
    """With fewer Python-Markdown makes one list of both; GitHub takes either."""
    for path in [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]:
        text = re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"^ {1,3}(?:[-*]|\d+\.) .*", text, re.MULTILINE) == [], path


def test_what_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "tests", "benchmarks")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=ignored)
    with (copy / "docs" / "lights.md").open("a") as page:
        page.write("\n[a](gone.md) [b](../examples/gone.yaml) [c](board.md#gone) [d](../gone)\n")
    (copy / "docs" / "unlisted.md").write_text("# Unlisted\n")
    done = build(copy, tmp_path / "site")
    assert done.returncode == 1
    wrong = ("'gone.md'", "'../examples/gone.yaml'", "'board.md#gone'", "'../gone'", "unlisted.md")
    assert [each for each in wrong if each not in done.stderr] == []


@pytest.mark.parametrize(
    ("path", "link", "becomes"),
    [
        ("docs/lights.md", "board.md#screens", "board.md#screens"),
        ("docs/lights.md", "../README.md", "index.md"),
        ("docs/lights.md", "../SECURITY.md#x", "security.md#x"),
        ("docs/lights.md", "../systemd", "source/systemd/index.md"),
        ("docs/lights.md", "mosquitto.acl", "source/docs/mosquitto.acl/index.md"),
        ("docs/lights.md", "img/board.png", "img/board.png"),
        ("docs/lights.md", "../gone.md", "../gone.md"),
        ("docs/lights.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("SECURITY.md", "docs/board.md", "board.md"),
        ("SECURITY.md", "docs/mosquitto.acl", "source/docs/mosquitto.acl/index.md"),
    ],
)
def test_links_of_github_become_links_of_the_site(path: str, link: str, becomes: str) -> None:
    assert with_links_of_site(f"[a]({link})", path, page_of(path)) == f"[a]({becomes})"
