"""The command `diagnose`: one archive for a bug report, with nothing in it that is not for everybody's eyes.

Secrets are left out as everywhere. Hosts, accounts, names and numbers are left out too: each becomes a word such as
`user-1`, the same one throughout the archive, so that it can still be followed.
"""

import io
import json
import platform
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from urllib.parse import urlsplit

from bridge import __version__
from bridge.commands.running_bridge import check
from bridge.config import Config
from bridge.errors import BrokerError
from bridge.log import redacted
from bridge.mqtt.oneshot_client import visiting
from bridge.topics import json_object, to_json

PACKAGES = ("aiohttp", "paho-mqtt", "pyyaml", "voluptuous", "prometheus-client", "busylight-core")

_README = """\
Made by `3cx2mqtt diagnose` for a bug report. Hosts, accounts, names and numbers were replaced by words such as user-1.
Please look through it all the same before you attach it.

about.txt    versions
config.json  the configuration in force, without secrets
check.txt    what `3cx2mqtt check` says
topics.txt   what the broker retains under the base topic and of discovery
"""
_MOST_PAYLOAD = 2000


async def archive(config: Config, now: int) -> bytes:
    """A gzipped tar archive; `now` (Unix seconds) dates the files in it."""
    findings = [finding async for finding in check(config)]
    retained = await _retained(config)
    files = {
        "README.txt": _README,
        "about.txt": "\n".join(_about()),
        "config.json": json.dumps(config.public(), indent=2, ensure_ascii=False),
        "check.txt": "\n".join(map(str, findings)),
    }
    replaced = _replacement(dict(_spelt(_private_words(config, retained))))
    files = {name: replaced(text) for name, text in files.items()}
    files["topics.txt"] = "\n".join(
        f"{replaced(topic)} ({len(text)}): {replaced(_without_rows(topic, text))[:_MOST_PAYLOAD]}"
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
    """Topics and payloads of the bridge; nothing where the broker cannot be visited, which `check` has told."""
    topics = config.topics
    try:
        async with visiting(config.mqtt, topics, "diagnose") as visit:
            found = await visit.retained_under(topics.all_filters())
    except BrokerError:
        return []
    return sorted((topic, payload.decode("utf-8", "replace")) for topic, payload in found)


def _private_words(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What must not be seen → what stands for it."""
    yield urlsplit(config.pbx.url).hostname or "", "pbx-host"
    yield config.mqtt.host, "broker-host"
    yield config.pbx.client_id, "api-client"
    yield config.mqtt.username or "", "broker-account"
    yield config.mqtt.client_id, "mqtt-client"
    options = [*config.users.include, *config.users.exclude]
    for source in config.sources.values():
        options += [source.query.search or "", source.query.filter or ""]
    members = [member for group in config.groups.values() for member in group]
    members += [member for light in config.lights for member in light.users]
    for kind, found in (
        ("option", options),
        ("light", [light.name for light in config.lights]),
        ("light-topic", [str(light["topic"]) for light in config.public()["lights"]]),
        ("member", members),
        ("group", config.groups),
        ("department", set(_departments(config, retained))),
    ):
        for number, word in enumerate(found, start=1):
            yield word, f"{kind}-{number}"
    for number, (dn, name, party, caller) in enumerate(_people(config, retained), start=1):
        yield dn, f"user-{number}"
        yield name, f"name-{number}"
        yield party, f"party-{number}"
        yield caller, f"caller-{number}"


def _departments(config: Config, retained: Iterable[tuple[str, str]]) -> Iterator[str]:
    """As Home Assistant is told them."""
    for topic, text in retained:
        device = (json_object(text) or {}).get("device") if config.topics.is_discovery(topic) else None
        area = device.get("suggested_area") if isinstance(device, dict) else None
        if isinstance(area, str):
            yield area


def _spelt(words: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """As they stand, and as JSON writes them; what is no word at all is left out."""
    for private, word in words:
        if any(map(str.isalnum, private)):
            yield private, word
            yield json.dumps(private, ensure_ascii=False)[1:-1], word


def _without_rows(topic: str, text: str) -> str:
    """Rows of GetMonitorStatus() without their texts, but for the state word: builds may put names into them."""
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
    for topic, text in retained:
        dn = config.topics.document_of(topic)
        if dn is None:
            continue
        told = json_object(text) or {}
        call = told.get("call")
        party, caller = (call.get("party"), call.get("name")) if isinstance(call, dict) else (None, None)
        yield dn, str(told.get("name") or ""), str(party or ""), str(caller or "")


def _replacement(words: Mapping[str, str]) -> Callable[[str], str]:
    """Puts what stands for it in place of every private word, longer ones first; no part of a number is one."""
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
