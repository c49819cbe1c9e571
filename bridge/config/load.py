"""From file and environment to settings, or to the list of everything that is wrong."""

import ipaddress
import ssl
import stat
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from voluptuous import ALLOW_EXTRA, Invalid, MultipleInvalid, RequiredFieldInvalid, Schema

from bridge.config.schema import OPTIONS, SCHEMA, is_scalar, is_secret
from bridge.config.tree import MISSING, Key, Tree, read, read_secret_file
from bridge.domain.model import SourceDescription
from bridge.domain.presence import Rules
from bridge.domain.privacy import CallerId
from bridge.engine.commands import CommandsSettings
from bridge.engine.settings import UsersSettings, presence_rules
from bridge.errors import ConfigError, Problem
from bridge.log import LogSettings
from bridge.mqtt.settings import MqttSettings, contradictions, mqtt_settings
from bridge.options import unknown_key
from bridge.outputs.hass.settings import HassSettings
from bridge.outputs.lights import settings as lights
from bridge.outputs.lights.settings import LightSettings
from bridge.sources.table import TABLE
from bridge.sources.threecx.settings import PBX_SCHEMA, PbxSettings, SourceSettings, pbx_settings
from bridge.topics import Topics
from bridge.web.settings import WebSettings

VARIABLE_PREFIX = "THREECX2MQTT_"
_OTHER_VARIABLES = {f"{VARIABLE_PREFIX}CONFIG", f"{VARIABLE_PREFIX}USB_PASSWORD"}
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration in force."""

    pbx: PbxSettings
    sources: Mapping[str, SourceSettings]
    """By name, all that the table of sources has."""
    users: UsersSettings
    groups: Mapping[str, tuple[str, ...]]
    rules: Rules
    caller_id: CallerId
    commands: CommandsSettings
    mqtt: MqttSettings
    homeassistant: HassSettings
    lights: tuple[LightSettings, ...]
    web: WebSettings
    log: LogSettings
    warnings: tuple[str, ...]
    """Sentences for people: legal, but perhaps not meant."""
    options: Mapping[str, Any] = field(repr=False)
    tree: Tree = field(repr=False)

    @property
    def source_descriptions(self) -> tuple[SourceDescription, ...]:
        """What the engine has to know about the sources."""
        return tuple(TABLE[name].description(settings) for name, settings in self.sources.items())

    @property
    def topics(self) -> Topics:
        """The topics of this bridge."""
        return Topics(self.mqtt.base_topic, self.pbx.name, self.homeassistant.discovery_prefix)

    def place(self, key: str) -> str:
        """Where the option (`users.include`) was written: `config.yaml:14`, or a variable's name."""
        return self.tree.place(tuple(key.split(".")))

    def public(self) -> dict[str, Any]:
        """Everything in force, as JSON values, without secrets."""
        return dict(_public(self.options, self.tree.secrets))

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (*_secrets(self.options), *self.tree.secrets)


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, override, check; ConfigError lists every mistake in the order of the file."""
    tree = read(path, environ)
    if tree.problems and not tree.values:
        raise ConfigError(tree.problems)
    warnings = list(_override(tree, environ))
    _read_secret_files(tree)
    options = _validated(tree)
    if options is not None:
        _check_files(tree, options)
        for key, message in contradictions(options["mqtt"]):
            tree.complain(("mqtt", *key.split(".")), message)
        sources = {name: source.settings(options["sources"][name]) for name, source in TABLE.items()}
        if not any(source.on for source in sources.values()):
            tree.complain(("sources",), "all of them are switched off, so nothing would be read: switch one on")
        for key, message in lights.contradictions(options["lights"], options["groups"]):
            tree.complain(("lights", *key.split(".")), message)
    if tree.problems or options is None:
        raise ConfigError(sorted(tree.problems, key=_in_file_order))
    pbx = pbx_settings(options["pbx"])
    rules, groups = presence_rules(options["presence"]), options["groups"]
    return Config(
        pbx=pbx,
        sources=sources,
        users=UsersSettings(**options["users"]),
        groups=groups,
        rules=rules,
        caller_id=options["privacy"]["caller_id"],
        commands=CommandsSettings(**options["commands"]),
        mqtt=mqtt_settings(options["mqtt"], pbx.name),
        homeassistant=HassSettings(**options["homeassistant"]),
        lights=lights.light_settings(options["lights"], options["palette"], groups, rules.busy),
        web=WebSettings(**options["web"]),
        log=LogSettings(**options["log"]),
        warnings=(*warnings, *_doubts(options, tree), *_open_files(tree, _secrets(options))),
        options=options,
        tree=tree,
    )


def pbx_name(path: Path, environ: Mapping[str, str]) -> str:
    """`pbx.name` alone, whatever else may be wrong or missing; ConfigError where it cannot be told."""
    tree = read(path, environ)
    if tree.problems and not tree.values:
        raise ConfigError(tree.problems)
    for _ in _override(tree, environ):
        pass
    (marker,) = (marker for marker in PBX_SCHEMA if marker == "name")
    section = tree.values.get("pbx")
    try:
        named = Schema({marker: PBX_SCHEMA[marker]}, extra=ALLOW_EXTRA)(section if isinstance(section, dict) else {})
    except MultipleInvalid as error:
        raise ConfigError([Problem(tree.place(("pbx", "name")), "pbx.name", error.msg)]) from None
    return str(named["name"])


def _secrets(options: Mapping[str, Any]) -> tuple[str, ...]:
    found = (options["pbx"]["client_secret"], options["mqtt"]["password"])
    return tuple(secret for secret in found if secret)


def _override(tree: Tree, environ: Mapping[str, str]) -> Iterator[str]:
    """Put variables in place of what the file says; yields warnings about those that mean nothing."""
    for variable in sorted(environ):
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        key = tuple(variable.removeprefix(VARIABLE_PREFIX).lower().split("__"))
        option, twin = OPTIONS.get(key), _without_file(key)
        if twin is not None:
            other = twin
        elif option is not None and is_scalar(option):
            other = (*key[:-1], f"{key[-1]}_file")
        else:
            yield f"the environment variable {variable} is ignored: there is no such single option"
            continue
        section = tree.parent(key)
        if section is not None:
            section.pop(other[-1], None)
            section[key[-1]] = environ[variable] or None  # an empty variable means null
            tree.places[key] = variable


def _read_secret_files(tree: Tree) -> None:
    """Put the content of the files named by `X_file` under `X`."""
    for key in [key for key, option in OPTIONS.items() if is_secret(option)]:
        section, name = tree.parent(key), key[-1]
        twin = (*key[:-1], f"{name}_file")
        if section is None or section.get(twin[-1]) is None:
            continue
        file = section.pop(twin[-1])
        if section.get(name) is not None:
            tree.complain(twin, f"stands beside {name}: keep one of them")
            continue
        tree.places[key] = tree.place(twin)
        section[name] = MISSING
        if file is MISSING:
            continue
        tree.secret_files.add(tree.path.parent / str(file))
        try:
            section[name] = read_secret_file(tree.path.parent / str(file))
        except ValueError as error:
            tree.complain(twin, str(error))


def _validated(tree: Tree) -> dict[str, Any] | None:
    """The options with their types and defaults; None when some are wrong, which is then noted."""
    missing = set(_drop_missing(tree.values))
    try:
        return dict(Schema(SCHEMA)(_with_sections(tree.values)))
    except MultipleInvalid as errors:
        for error in errors.errors:
            key = tuple(map(str, error.path))
            if key not in missing:
                tree.complain(*_in_words(key, error))
        return None


def _drop_missing(values: dict[str, Any], above: Key = ()) -> Iterator[Key]:
    """Take out what could not be read, so that the schema does not complain of it a second time."""
    for name, value in list(values.items()):
        if value is MISSING:
            del values[name]
            yield (*above, name)
        elif isinstance(value, dict):
            yield from _drop_missing(value, (*above, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _drop_missing(item, (*above, name, str(index)))


def _with_sections(values: dict[str, Any], above: Key = ()) -> dict[str, Any]:
    """A section without content (`mqtt:`) is an empty section."""
    return {
        name: (
            _with_sections(value or {}, (*above, name))
            if isinstance(OPTIONS.get((*above, name)), dict) and isinstance(value, dict | None)
            else value
        )
        for name, value in values.items()
    }


def _in_words(key: Key, error: Invalid) -> tuple[Key, str]:
    if any(not isinstance(OPTIONS.get(key[:length], {}), dict) for length in range(1, len(key))):
        return key, error.msg  # within a list or a mapping
    if key not in OPTIONS:
        return key, unknown_key(key[-1], [known[-1] for known in OPTIONS if known[:-1] == key[:-1]])
    if isinstance(error, RequiredFieldInvalid):
        file = f" or {key[-1]}_file" if is_secret(OPTIONS.get(key)) else ""
        return key, f"is required: add {key[-1]}{file}"
    if isinstance(OPTIONS.get(key), dict):
        return key, "a section is expected here: keys and values, indented"
    return key, error.msg


def _check_files(tree: Tree, options: dict[str, Any]) -> None:
    """Files are looked for from the folder of the configuration, and must be there."""
    for section, key, name in (
        (options["pbx"], ("pbx", "verify_tls"), "verify_tls"),
        *((options["mqtt"]["tls"], ("mqtt", "tls", name), name) for name in ("ca", "cert", "key")),
    ):
        if isinstance(section[name], Path):
            section[name] = tree.path.parent / section[name]
            if not section[name].is_file():
                tree.complain(key, f"there is no file {section[name]}")
            elif name in {"verify_tls", "ca"}:
                _check_certificate(tree, key, section[name])


def _check_certificate(tree: Tree, key: Key, path: Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        tree.complain(key, f"{path} holds no certificates that can be used ({reason})")


def _doubts(options: Mapping[str, Any], tree: Tree) -> Iterator[str]:
    url = urlsplit(options["pbx"]["url"])
    if url.scheme == "http" and not _is_this_machine(url.hostname or ""):
        yield f"{tree.place(('pbx', 'url'))} pbx.url: the API key crosses the network unencrypted; use https"
    if options["pbx"]["verify_tls"] is False:
        yield f"{tree.place(('pbx', 'verify_tls'))} pbx.verify_tls: anybody in between can pose as the PBX"
    if options["mqtt"]["tls"]["insecure"]:
        yield f"{tree.place(('mqtt', 'tls', 'insecure'))} mqtt.tls.insecure: anybody in between can pose as the broker"
    web = options["web"]
    if web["enabled"] and not _is_this_machine(web["host"]):
        yield (
            f"{tree.place(('web', 'host'))} web.host: whoever reaches port {web['port']} of {web['host']} can read "
            "metrics and probes, without a login; see to it that only those can who should"
        )


def _open_files(tree: Tree, secrets: Iterable[str]) -> Iterator[str]:
    """Files with secrets that everybody on this machine may read; those of containers and services are theirs alone."""
    files = set(tree.secret_files)
    if any(secret in tree.path.read_text("utf-8", "replace") for secret in secrets):
        files.add(tree.path)
    for path in sorted(files):
        if path.stat().st_mode & stat.S_IROTH and not path.is_relative_to("/run"):
            yield f"{path} holds a secret and may be read by everybody on this machine: chmod o-r {path}"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _public(options: Mapping[str, Any], secrets: AbstractSet[str], above: Key = ()) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        key = (*above, name)
        if is_secret(OPTIONS.get(key)):
            yield name, None if value is None else _HIDDEN
        else:
            yield name, _shown(value, secrets, key)


def _shown(value: Any, secrets: AbstractSet[str], key: Key) -> Any:
    """As JSON has it; what `!secret` stood for is hidden wherever it stands."""
    if isinstance(value, Mapping):
        return dict(_public(value, secrets, key))
    if isinstance(value, list | tuple):
        return [_shown(item, secrets, (*key, str(index))) for index, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    return _HIDDEN if isinstance(value, str) and value in secrets else value


def _without_file(key: Key) -> Key | None:
    """The secret whose twin `X_file` is at `key`, or None."""
    plain = (*key[:-1], key[-1].removesuffix("_file"))
    return plain if plain != key and is_secret(OPTIONS.get(plain)) else None


def _in_file_order(problem: Problem) -> tuple[str, int, str]:
    path, _, line = problem.place.rpartition(":")
    return (path, int(line), problem.key) if line.isdecimal() else (problem.place, 0, problem.key)
