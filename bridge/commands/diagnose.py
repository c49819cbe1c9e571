"""The command `diagnose`: one archive for a public bug report.

Secrets are left out as everywhere. Hosts, accounts, names and numbers are left out too: each is replaced by a word such
as `user-1`, the same one throughout the archive, so that it can still be followed.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import re
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from bridge import __version__
from bridge.commands import arguments
from bridge.commands.check import check
from bridge.config import Config
from bridge.errors import BridgeError, BrokerError
from bridge.log import redacted
from bridge.mqtt.oneshot_client import oneshot_client
from bridge.topics import json_object, to_json

PACKAGES = ("aiohttp", "paho-mqtt", "pyyaml", "voluptuous", "prometheus-client", "busylight-core")

_README = """\
Made by `3cx2mqtt diagnose` for a bug report. Hosts, accounts, names and numbers were replaced by words such as user-1.
Please look through it before you attach it.

about.txt    versions
config.json  the configuration in force, without secrets
check.txt    the findings of `3cx2mqtt check`
shapes.json  the shapes of what the PBX sends, and how often each was counted: letters are A, digits are 9
topics.txt   the broker's retained topics under the base topic, and those of discovery
"""
_MOST_PAYLOAD = 2000
"""Characters of each payload."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: 3cx2mqtt-diagnose-<time>.tar.gz")


def main(options: argparse.Namespace) -> int:
    """Write the archive; BridgeError where its file exists already, or cannot be written."""
    settings = arguments.load_configuration(options)
    now = int(time.time())
    content = asyncio.run(archive(settings, now))
    path = options.output or Path(time.strftime("3cx2mqtt-diagnose-%Y%m%d-%H%M%S.tar.gz", time.gmtime(now)))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise BridgeError(f"cannot write {path}: {error.strerror}") from error
    print(f"{path}: look through it before you attach it to a bug report")
    return 0


async def archive(config: Config, now: int) -> bytes:
    """A gzipped tar archive; `now` (Unix seconds) dates the files in it."""
    shapes: dict[str, object] = {}
    findings = [finding async for finding in check(config, shapes=shapes)]
    retained = await _retained(config)
    files = {
        "README.txt": _README,
        "about.txt": "\n".join(_about()),
        "config.json": json.dumps(config.public(), indent=2, ensure_ascii=False),
        "check.txt": "\n".join(map(str, findings)),
        "shapes.json": json.dumps(shapes, indent=2),
    }
    replace = _replacer(dict(_spellings(_private_words(config, retained))))
    files = {name: replace(text) for name, text in files.items()}
    files["topics.txt"] = "\n".join(
        # shortened last: half a name would not be recognised
        f"{replace(topic)} ({len(text)}): {replace(_without_rows(topic, text))[:_MOST_PAYLOAD]}"
        for topic, text in retained
    )
    secrets = config.secrets()
    return _packed({name: redacted(text, secrets) for name, text in files.items()}, now)


def _about() -> Iterator[str]:
    yield f"3cx2mqtt {__version__}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    for package in PACKAGES:
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            yield f"{package} is not installed"


async def _retained(config: Config) -> list[tuple[str, str]]:
    """Topics and payloads of the bridge; none where the broker cannot be reached, which `check` has reported."""
    topics = config.topics
    try:
        async with oneshot_client(config.mqtt, topics, "diagnose") as client:
            found = await client.retained_under(topics.all_filters())
    except BrokerError:
        return []
    return sorted((topic, payload.decode("utf-8", "replace")) for topic, payload in found)


def _private_words(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs of a private word and its replacement."""
    yield urlsplit(config.pbx.url).hostname or "", "pbx-host"
    yield config.mqtt.host, "broker-host"
    yield config.pbx.client_id, "api-client"
    yield config.mqtt.username or "", "broker-account"
    yield config.mqtt.client_id, "mqtt-client"
    options = [*config.users.include, *config.users.exclude]
    for source in config.sources.values():
        options += [source.query.search or "", source.query.filter or ""]
    groups = config.groups.values()
    members = [member for group in groups for member in (*group.users, *group.queues)]
    members += [member for light in config.lights for member in light.users]
    for kind, found in (
        ("option", options),
        ("light", [light.name for light in config.lights]),
        ("light-topic", [str(light["topic"]) for light in config.public()["lights"]]),
        ("member", members),
        ("group", config.groups),
        ("department", {*_departments(config, retained), *(each for group in groups for each in group.departments)}),
    ):
        for number, word in enumerate(found, start=1):
            yield word, f"{kind}-{number}"
    for number, (dn, name, party, caller) in enumerate(_people(config, retained), start=1):
        yield dn, f"user-{number}"
        yield name, f"name-{number}"
        yield party, f"party-{number}"
        yield caller, f"caller-{number}"


def _departments(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Those of the users."""
    for topic, text in retained:
        if config.topics.document_of(topic) is not None:
            name = (json_object(text) or {}).get("department")
            if isinstance(name, str):
                yield name


def _spellings(words: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each word as it is, and as JSON writes it.

    Words without a letter or digit are left out: options such as `*` would be replaced all over the text.
    """
    for private, word in words:
        if any(map(str.isalnum, private)):
            yield private, word
            yield json.dumps(private, ensure_ascii=False)[1:-1], word


def _without_rows(topic: str, text: str) -> str:
    """Rows of GetMonitorStatus() without their texts, except the state: some builds put names into other fields."""
    document = json_object(text)
    if document is None:
        return text
    if topic.endswith("/monitor"):
        document = _blank(document)
    elif isinstance(row := document.get("monitor"), dict):
        document = {**document, "monitor": _blank(row)}
    return to_json(document)


def _blank(row: Mapping[str, object]) -> dict[str, object]:
    return {
        key: value if key == "State" or not isinstance(value, str | list | dict) else "…" for key, value in row.items()
    }


def _people(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str, str]]:
    """DN, name, party of the call and its name, of each published user; empty where there is none."""
    for topic, text in retained:
        dn = config.topics.document_of(topic)
        if dn is None:
            continue
        document = json_object(text) or {}
        call = document.get("call")
        party, caller = (call.get("party"), call.get("name")) if isinstance(call, dict) else (None, None)
        yield dn, str(document.get("name") or ""), str(party or ""), str(caller or "")


def _replacer(words: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces every private word in a text; not within other words, as 101 is part of 1013."""
    # longer ones first: a name may be part of another
    private = sorted(filter(None, words), key=len, reverse=True)
    if not private:
        return lambda text: text
    alternatives = "|".join(map(re.escape, private))
    pattern = re.compile(rf"(?<![0-9A-Za-z.])(?:{alternatives})(?![0-9A-Za-z])")
    return lambda text: pattern.sub(lambda match: words[match[0]], text)


def _packed(files: Mapping[str, str], now: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            content = f"{text}\n".encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"3cx2mqtt-diagnose/{name}")
            entry.size, entry.mtime, entry.mode = len(content), now, 0o600
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
