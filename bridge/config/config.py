"""The configuration in force, as the program uses it."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bridge.config.schema import option_at
from bridge.config.tree import Key, Tree
from bridge.domain.model import SourceDescription
from bridge.domain.presence import Rules
from bridge.domain.privacy import CallerId
from bridge.engine.commands import CommandsSettings
from bridge.engine.settings import GroupSettings, UsersSettings
from bridge.log import LogSettings
from bridge.mqtt.settings import MqttSettings
from bridge.mqtt.standby.settings import StandbySettings
from bridge.options import is_secret
from bridge.outputs.hass.settings import HassSettings
from bridge.outputs.lights.settings import LightSettings
from bridge.sources.table import TABLE
from bridge.sources.threecx.settings import PbxSettings, SourceSettings
from bridge.topics import Topics
from bridge.web.settings import WebSettings

_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration in force."""

    pbx: PbxSettings
    sources: Mapping[str, SourceSettings]
    """By name, in the order of the table of sources."""
    users: UsersSettings
    groups: Mapping[str, GroupSettings]
    rules: Rules
    caller_id: CallerId
    commands: CommandsSettings
    mqtt: MqttSettings
    standby: StandbySettings
    homeassistant: HassSettings
    zone: ZoneInfo | None
    """Of the calls of a day; None: this machine's."""
    lights: tuple[LightSettings, ...]
    web: WebSettings
    log: LogSettings
    warnings: tuple[str, ...]
    """Messages about options that are valid but unsafe, or perhaps not intended."""
    options: Mapping[str, Any] = field(repr=False)
    """The validated options by section, as the schema converts them."""
    tree: Tree = field(repr=False)

    @property
    def source_descriptions(self) -> tuple[SourceDescription, ...]:
        """What the engine needs to know about the sources."""
        return tuple(TABLE[name].description(settings) for name, settings in self.sources.items())

    @property
    def topics(self) -> Topics:
        """The topics of this bridge."""
        return Topics(self.mqtt.base_topic, self.pbx.name, self.homeassistant.discovery_prefix)

    def place(self, key: str) -> str:
        """Where the option (`users.include`) was written: `config.yaml:14`, or a variable's name."""
        return self.tree.place(tuple(key.split(".")))

    def public(self) -> dict[str, Any]:
        """All options in force, as JSON values, with `***` for secrets."""
        return dict(_public(self.options, self.tree.secrets))

    def secrets(self) -> tuple[str, ...]:
        """All secrets, for redaction."""
        return (*secrets_of(self.options), *self.tree.secrets)


def secrets_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets among validated options."""
    return tuple(_secrets(options))


def _secrets(value: Any, key: Key = ()) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, (*key, str(name)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*key, str(index)))
    elif value and is_secret(option_at(key)):
        yield value


def _public(options: Mapping[str, Any], secrets: AbstractSet[str], above: Key = ()) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        key = (*above, name)
        if is_secret(option_at(key)):
            yield name, None if value is None else _HIDDEN
        else:
            yield name, _shown(value, secrets, key)


def _shown(value: Any, secrets: AbstractSet[str], key: Key) -> Any:
    """As a JSON value. What was written as `!secret` is hidden, also in options that are no secrets by themselves."""
    if isinstance(value, Mapping):
        return dict(_public(value, secrets, key))
    if isinstance(value, list | tuple):
        return [_shown(item, secrets, (*key, str(index))) for index, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    return _HIDDEN if isinstance(value, str) and value in secrets else value
