"""A folder with one configuration per PBX, and with `fleet.yaml` for what the process has once."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.config.config import Config, secrets_of
from bridge.config.load import load, pbx_name
from bridge.config.overrides import VARIABLE_PREFIX, override, read_secret_files
from bridge.config.schema import SCHEMA
from bridge.config.tree import Tree, read
from bridge.config.unsafe import unsafe_web
from bridge.config.validation import validated
from bridge.errors import ConfigError, Problem
from bridge.log import LogSettings
from bridge.web import settings as web

PROCESS_FILE = "fleet.yaml"
_SECTIONS = ("web", "log")
"""What a process has once."""
_NOT_IN_A_FLEET = ("PBX__", "MQTT__CLIENT_ID", "MQTT__BASE_TOPIC")
"""Variables that would give all PBXs what each needs for itself."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several processes that share a folder."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From `2/5`; ValueError says what is wrong."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"{text!r} is no shard: write 2/5 for the second of five")
        return cls(int(match[1]), int(match[2]))

    def holds(self, stem: str) -> bool:
        """Whether the file `<stem>.yaml` belongs to this process."""
        return 1 + int(hashlib.sha256(stem.encode()).hexdigest()[:8], 16) % self.of == self.number


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """What `fleet.yaml` says."""

    web: web.WebSettings
    log: LogSettings
    warnings: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """All files of a folder, as they were read at one time."""

    process: ProcessConfig | None
    """None: `fleet.yaml` is wrong, see `problems`."""
    tenants: Mapping[str, Config]
    """The valid ones, by stem: the name of the file without `.yaml`."""
    broken: Mapping[str, tuple[Problem, ...]]
    """What is wrong with the others."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with `fleet.yaml`."""

    def secrets(self) -> tuple[str, ...]:
        """All secrets, for redaction."""
        own = () if self.process is None else self.process.secrets
        return (*own, *(secret for config in self.tenants.values() for secret in config.secrets()))


def tenant_files(directory: Path) -> list[Path]:
    """The files of PBXs in a folder, by name; ConfigError where it cannot be read."""
    try:
        found = sorted(directory.glob("*.yaml"))
    except OSError as error:
        raise ConfigError([Problem(str(directory), "", f"cannot be read: {error.strerror}")]) from None
    return [each for each in found if _is_tenant(each.name)]


def _is_tenant(name: str) -> bool:
    special = name in {PROCESS_FILE, "secrets.yaml"} or name.endswith(".secrets.yaml")
    return not special and not name.startswith(".")


def named(directory: Path, name: str | None, environ: Mapping[str, str]) -> list[Path]:
    """The files of a folder, or that of the PBX `name`, which is a `pbx.name` or a file without .yaml.

    ConfigError where there is none.
    """
    check_environment(environ)
    files = tenant_files(directory)
    found = [each for each in files if name is None or name in {each.stem, name_in(each)}]
    if not found:
        missing = "no file NAME.yaml" if name is None else f"no PBX {name!r}"
        there = f": there are {', '.join(each.stem for each in files)}" if files else ""
        raise ConfigError([Problem(str(directory), "", f"has {missing}{there}")])
    return found


def name_in(file: Path) -> str | None:
    """The `pbx.name` in a file; None where it does not say."""
    try:
        return pbx_name(file, {})
    except ConfigError:
        return None


def load_tenant(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration of one PBX of a fleet; ConfigError with all mistakes."""
    return load(path, {name: value for name, value in environ.items() if not _of_process(name)}, tenant=True)


def load_fleet(directory: Path, environ: Mapping[str, str], shard: Shard | None = None) -> FleetConfig:
    """Read all files of a folder; ConfigError only where none of them can be used."""
    check_environment(environ)
    files = tenant_files(directory)
    if not files:
        raise ConfigError([Problem(str(directory), "", "holds no configuration: add one file NAME.yaml for each PBX")])
    process, problems = _process_config(directory, environ)
    tenants: dict[str, Config] = {}
    broken: dict[str, tuple[Problem, ...]] = {}
    for path in files:
        if shard is None or shard.holds(path.stem):
            try:
                tenants[path.stem] = load_tenant(path, environ)
            except ConfigError as error:
                broken[path.stem] = tuple(error.problems)
    if broken and not tenants:
        raise ConfigError([problem for each in broken.values() for problem in each])
    return FleetConfig(process, tenants, broken, problems)


def check_environment(environ: Mapping[str, str]) -> None:
    """ConfigError where a variable would give all PBXs of a fleet what each needs for itself."""
    wrong = [
        name for name in sorted(environ) if name.startswith(tuple(VARIABLE_PREFIX + each for each in _NOT_IN_A_FLEET))
    ]
    if wrong:
        text = "cannot hold for all PBXs of a fleet: write it into the file of each"
        raise ConfigError([Problem(name, "", text) for name in wrong])


def conflicts(tenants: Mapping[str, Config], running: Mapping[str, Config]) -> Iterator[tuple[str, str]]:
    """Which tenants may not run beside others, and why. Who is running goes first, then who is first by name."""
    taken: dict[tuple[str, str, str], str] = {}
    refused: set[str] = set()

    def unchanged(stem: str) -> bool:
        return stem in running and set(_claims(running[stem])) == set(_claims(tenants[stem]))

    for stem in sorted(tenants, key=lambda stem: (not unchanged(stem), stem)):
        claims = _claims(tenants[stem])
        for claim in claims:
            if claim in taken:
                what, _, value = claim
                refused.add(stem)
                other = f"{taken[claim]}.yaml"
                yield stem, f"{what} {value!r} is that of {other} too: {other} runs, {stem}.yaml does not"
                break
        if stem not in refused:
            taken.update(dict.fromkeys(claims, stem))


def _claims(config: Config) -> Collection[tuple[str, str, str]]:
    """What no two bridges may share: option, place where it counts, value."""
    broker = f"{config.mqtt.host.lower()}:{config.mqtt.port}"
    return (
        ("pbx.name", "", config.pbx.name),
        ("mqtt.base_topic", broker, config.mqtt.base_topic),
        ("mqtt.client_id", broker, config.mqtt.client_id),
        ("pbx.client_id", config.pbx.url.lower(), config.pbx.client_id),
    )


def _of_process(variable: str) -> bool:
    return variable.startswith(tuple(f"{VARIABLE_PREFIX}{name.upper()}__" for name in _SECTIONS))


def _process_config(directory: Path, environ: Mapping[str, str]) -> tuple[ProcessConfig | None, tuple[Problem, ...]]:
    path = directory / PROCESS_FILE
    tree = read(path, environ) if path.exists() else Tree(path)
    for name in [name for name in tree.values if name not in _SECTIONS]:
        tree.complain((name,), f"belongs into the file of a PBX: {PROCESS_FILE} has web: and log: only")
        del tree.values[name]
    warnings = list(override(tree, {name: value for name, value in environ.items() if _of_process(name)}))
    read_secret_files(tree)
    tree.values = {name: value for name, value in tree.values.items() if name in _SECTIONS}  # others are empty
    options = validated(tree, {marker: SCHEMA[marker] for marker in SCHEMA if marker in _SECTIONS})
    if tree.problems or options is None:
        return None, tuple(tree.problems)
    return _from_options(options, tree, warnings)


def _from_options(
    options: Mapping[str, Any], tree: Tree, warnings: list[str]
) -> tuple[ProcessConfig | None, tuple[Problem, ...]]:
    for key, message in web.contradictions(options["web"], None):
        tree.complain(("web", *key.split(".")), message)
    if tree.problems:
        return None, tuple(tree.problems)
    settings = web.web_settings(options["web"])
    secrets = (*secrets_of(options), *tree.secrets)
    all_warnings = (*warnings, *unsafe_web(settings, tree))
    return ProcessConfig(settings, LogSettings(**options["log"]), all_warnings, secrets), ()


def with_level(config: FleetConfig, level: Any) -> FleetConfig:
    """The same with another level of the log."""
    if config.process is None:
        return config
    return replace(config, process=replace(config.process, log=replace(config.process.log, level=level)))
