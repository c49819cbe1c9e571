"""The command `diagnose`: one archive for a public bug report.

Secrets are left out as everywhere. Hosts, accounts, names and numbers are left out too: each is replaced by a label
such as `user-1`, the same one throughout the archive, so that it can still be followed.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import re
import socket
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from bridge import __version__
from bridge.commands import arguments
from bridge.commands.check import check
from bridge.commands.masking import Masking, vocabulary
from bridge.commands.tenants import for_each
from bridge.config import Config
from bridge.domain.presence import DEFAULT_PROFILES, profile_key
from bridge.errors import BridgeError, BrokerError
from bridge.log import redacted
from bridge.mqtt.oneshot_client import oneshot_client
from bridge.topics import json_object, to_json

PACKAGES = ("aiohttp", "paho-mqtt", "pyyaml", "voluptuous", "prometheus-client", "busylight-core")

_README = """\
Made by `3cx2mqtt diagnose` for a bug report. Hosts, accounts, names and numbers were replaced by labels such as user-1,
and all words that the program does not know by labels such as word-x1.
Please look through it before you attach it.

about.txt    versions
config.json  the configuration in force, without secrets
check.txt    the findings of `3cx2mqtt check`
shapes.json  the shapes of what the PBX sends, and how often each was counted: letters are A, digits are 9
topics.txt   the broker's retained topics under the base topic, and those of discovery
"""
_MOST_PAYLOAD = 2000
"""Characters of each payload."""
_MOST_TOPICS = 2000
_OWN = {"bridge", "users", "groups", "lights", "queues", "system"}
"""First levels of the bridge's own topics."""
_PRIVATE_KEYS = {"name", "department", "party"}
"""Keys of a user's document, and of the call in it."""
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){1,3}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: 3cx2mqtt-diagnose-<time>.tar.gz")


@for_each
def main(options: argparse.Namespace) -> int:
    """Write the archive; BridgeError where its file exists already, or cannot be written."""
    settings = arguments.load_configuration(options)
    now = int(time.time())
    content = asyncio.run(archive(settings, now))
    of = f"{settings.pbx.name}-" if options.tenant else ""
    path = options.output or Path(time.strftime(f"3cx2mqtt-diagnose-{of}%Y%m%d-%H%M%S.tar.gz", time.gmtime(now)))
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
    findings = [str(finding) async for finding in check(config, shapes=shapes)]
    retained = await _retained(config)
    return _packed(masked_files(config, findings, shapes, retained), now)


def masked_files(
    config: Config, findings: Sequence[str], shapes: Mapping[str, object], retained: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """The files of the archive: name → content. `retained` are topics and payloads on the broker."""
    secrets = config.secrets()
    findings = [redacted(finding, secrets) for finding in findings]
    masking = Masking(_private_texts(config, retained), _kept(config, retained))
    topics = [
        # shortened last: half a name would not be recognised
        f"{masking.text(topic)} ({len(text)}): {_payload(config, masking, topic, redacted(text, secrets))}"
        for topic, text in retained[:_MOST_TOPICS]
    ]
    if len(retained) > _MOST_TOPICS:
        topics.append(f"and {len(retained) - _MOST_TOPICS} more")
    return {
        "README.txt": _README,
        "about.txt": "\n".join(_about()),
        "config.json": json.dumps(masking.value(config.public()), indent=2),
        "check.txt": "\n".join(map(masking.text, findings)),
        "shapes.json": json.dumps(shapes, indent=2),
        "topics.txt": "\n".join(topics),
    }


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


def _kept(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Words and numbers that help and name nobody."""
    yield from map(str, (config.mqtt.port, urlsplit(config.pbx.url).port, config.web.port))
    yield __version__
    info = json_object(dict(retained).get(config.topics.bridge_info, "")) or {}
    for version in _texts(info):
        if _VERSION.fullmatch(version):
            yield version


def _private_texts(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs of a private text and the label that stands for it."""
    mqtt = config.mqtt
    usual_profiles = {profile_key(name) for name in DEFAULT_PROFILES}
    yield urlsplit(config.pbx.url).hostname or "", "pbx-host"
    yield mqtt.host, "broker-host"
    yield config.web.host, "web-host"
    yield socket.gethostname(), "machine"
    yield config.pbx.client_id, "api-client"
    yield mqtt.username or "", "broker-account"
    yield mqtt.client_id, "mqtt-client"
    for text, usual, label in (
        (config.topics.pbx_name, "3cx", "pbx-name"),
        (config.topics.base, "3cx", "base-topic"),
        (config.topics.discovery_prefix, "homeassistant", "discovery-prefix"),
    ):
        if text != usual:
            yield text, label
    for kind, found in (
        ("light", [light.name for light in config.lights]),
        ("group", config.groups),
        (
            "profile",
            [name for name in config.options["presence"]["profiles"] if profile_key(name) not in usual_profiles],
        ),
    ):
        for number, text in enumerate(found, start=1):
            yield text, f"{kind}-{number}"
    yield from _people(config, retained)
    harmless = {config.pbx.url, "3cx", "homeassistant", "homeassistant/status"} | vocabulary()
    for number, text in enumerate(_texts(config.public()), start=1):
        if text not in harmless:  # of the URL it is the host
            yield text, f"option-{number}"


def _people(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """DN, names, department and party of each published user, with their labels."""
    for number, (topic, text) in enumerate(retained, start=1):
        dn = config.topics.user_of(topic)
        if dn is not None:
            yield dn, f"user-{number}"
        if config.topics.document_of(topic) is not None:
            document = json_object(text) or {}
            call = document.get("call")
            for key, value in (*document.items(), *(call.items() if isinstance(call, dict) else ())):
                if key in _PRIVATE_KEYS and isinstance(value, str):
                    yield value, f"{key}-{number}"


def _texts(value: object) -> Iterator[str]:
    """All texts in a value of JSON that were chosen freely, not keys and not words from a list."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and not isinstance(value, Enum):
        yield value


def _payload(config: Config, masking: Masking, topic: str, text: str) -> str:
    """What is shown of a payload: nothing of other clients' topics, of rows of GetMonitorStatus() no texts."""
    topics = config.topics
    if not topics.is_discovery(topic) and topic.removeprefix(f"{topics.base}/").split("/")[0] not in _OWN:
        return "not of the bridge"
    try:
        document = json.loads(text)
    except ValueError:
        return masking.text(text)[:_MOST_PAYLOAD]
    if topic.endswith("/monitor"):
        document = _blank(document)
    elif isinstance(document, dict) and isinstance(row := document.get("monitor"), dict):
        document["monitor"] = _blank(row)
    return to_json(masking.value(document))[:_MOST_PAYLOAD]


def _blank(row: object) -> object:
    """A row without its values, except the state: some builds put names and numbers into other fields."""
    if not isinstance(row, Mapping):
        return "…"
    return {key: value if key == "State" or value is None else "…" for key, value in row.items()}


def _packed(files: Mapping[str, str], now: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            content = f"{text}\n".encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"3cx2mqtt-diagnose/{name}")
            entry.size, entry.mtime, entry.mode = len(content), now, 0o600
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
