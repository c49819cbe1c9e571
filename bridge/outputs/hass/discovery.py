"""Home Assistant's device discovery: one retained payload per user, one per group, and one for the bridge."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bridge import __version__
from bridge.documents import encode
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.outputs.hass.entities import (
    BRIDGE,
    CALLERS_WAITING,
    GROUP,
    LIGHT,
    LIGHT_CONNECTED,
    MONITORED,
    PROFILE,
    QUEUE,
    QUEUE_SWITCH,
    SYSTEM,
    TRIGGERS,
    USER,
    Entity,
    call_event,
    profile_select,
)
from bridge.outputs.hass.names import Language, name_in
from bridge.topics import ORIGIN, Topics, object_id, to_json

_NO_AREA = "default"
"""3CX's department of users who were assigned to none, `DEFAULT` or `__DEFAULT__`, is no place in a house."""

_SUPPORT = "https://pypi.org/project/3cx2mqtt/"
"""Where people find the documentation."""

_MOST_MEMBERS = 200
"""Members of a group that Home Assistant is told of."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the entities depend on, by the configuration."""

    profiles: tuple[str, ...] = ()
    """The profiles that can be selected; none: commands for them are off."""
    queue: bool = False
    """Whether users can be logged in to the queues, and out."""
    monitor: str | None = None
    """The source of monitor rows, where it is on."""
    system: str | None = None
    """The source of the PBX's own counts, where it is on."""
    lights: Mapping[str, bool] = field(default_factory=dict)
    """The lights by name, and whether each reports that it is online."""
    callers_in_clear: bool = False
    """Then the event of calls is disabled until a user enables it: Home Assistant keeps a history of its events."""
    language: Language = Language.EN


class DiscoveryOutput:
    """Renders the discovery payloads by which Home Assistant shows users, groups, queues, lights and bridge as devices.

    Payloads are byte-identical while nothing changes: Home Assistant ignores repetitions, and loses components when
    two different payloads for one device follow each other closely.
    """

    def __init__(self, topics: Topics, pbx_url: str, features: Features) -> None:
        self._topics = topics
        self._pbx_url = pbx_url
        self._features = features
        self._denied: frozenset[str] = frozenset()
        self._prefix = entity_prefix(topics)
        select = profile_select(features.profiles)
        profile, no_profile = (select, PROFILE) if features.profiles else (PROFILE, select)
        login, no_login = (QUEUE_SWITCH, QUEUE) if features.queue else (QUEUE, QUEUE_SWITCH)
        self._user_entities = (*USER, call_event(enabled=not features.callers_in_clear), profile, login)
        self._removed = {entity.key: {"platform": entity.platform} for entity in (no_profile, no_login)}
        """What an earlier configuration may have published: Home Assistant removes a component with only a platform."""

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """A device per user. Name, number and department are all that it depends on."""
        if after is None:
            if before is not None:
                # Ahead of the empty states, about which Home Assistant logs an error while the entities exist.
                yield Message(self._user_topic(before), b"", Rank.BRIDGE)
        elif before is None or (before.name, before.department) != (after.name, after.department):
            yield Message(self._user_topic(after), encode(self._user_payload(after)), Rank.DISCOVERY)

    def call(self, _user: User, _event: CallEvent) -> Iterator[Message]:
        """Nothing: discovery names the topic of the events."""
        yield from ()

    def today(self, _dn: str, _before: Today | None, _after: Today) -> Iterator[Message]:
        """Nothing: discovery names the topic of the counts."""
        yield from ()

    def group(self, before: Group | None, after: Group) -> Iterator[Message]:
        """A device per group. It depends on the name and on who the members are."""
        if before is None or _numbers(before) != _numbers(after):
            topic = self._topics.discovery(object_id("group", after.name))
            yield Message(topic, encode(self._group_payload(after)), Rank.DISCOVERY)

    def queue(self, before: QueueState | None, after: QueueState | None) -> Iterator[Message]:
        """A device per queue. It depends on number and name."""
        if after is None:
            if before is not None:
                yield Message(self._topics.discovery(object_id("queue", before.number)), b"", Rank.BRIDGE)
        elif before is None or before.name != after.name:
            topic = self._topics.discovery(object_id("queue", after.number))
            yield Message(topic, encode(self._queue_payload(after)), Rank.DISCOVERY)

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterator[Message]:
        """The bridge's own device, first because the others refer to it (`via_device`); and a device per light."""
        self._denied = after.denied
        if before is None or self._tells(before) is not self._tells(after):
            payload = self._bridge_payload(system=self._tells(after))
            yield Message(self._topics.discovery("bridge"), encode(payload), Rank.DISCOVERY)
        if before is None:
            for light in self._features.lights:
                topic = self._topics.discovery(object_id("light", light))
                yield Message(topic, encode(self._light_payload(light)), Rank.DISCOVERY)

    def _tells(self, bridge: Bridge) -> bool:
        """Whether the PBX says something about itself as a whole; an outage is no reason for entities to go."""
        return self._features.system is not None and self._features.system not in bridge.denied

    def _user_topic(self, user: User) -> str:
        return self._topics.discovery(object_id("user", user.number))

    def _user_payload(self, user: User) -> str:
        prefix = f"{self._topics.device_prefix}_{object_id('user', user.number)}"
        device: dict[str, object] = {
            "identifiers": [prefix],
            "name": user.name or f"Extension {user.number}",
            "manufacturer": "3CX",
            "model": "Extension",
            "serial_number": user.number,
            "via_device": f"{self._topics.device_prefix}_bridge",
        }
        if (area := area_of(user.department)) is not None:
            device["suggested_area"] = area
        # The removed ones stay in the payload for good: nothing shows when Home Assistant has read it.
        rows = self._features.monitor is not None and self._features.monitor not in self._denied
        entities = (*self._user_entities, MONITORED) if rows else self._user_entities
        components = (
            self._components(entities, prefix, user.number, slug(user.number))
            | self._removed
            | self._triggers(user.number)
        )
        if not rows:
            components[MONITORED.key] = {"platform": MONITORED.platform}
        return self._payload(device, components, self._bridge_and_pbx)

    def _group_payload(self, group: Group) -> str:
        prefix = f"{self._topics.device_prefix}_{object_id('group', group.name)}"
        device = {
            "identifiers": [prefix],
            "name": group.name,
            "manufacturer": "3CX",
            "model": "Group",
            "via_device": f"{self._topics.device_prefix}_bridge",
        }
        components = self._components(GROUP, prefix, group.name, f"group_{slug(group.name)}")
        # Always present: Home Assistant shows members only for an entity that was created with the key.
        users = (f"{self._topics.device_prefix}_{object_id('user', dn)}" for dn in _numbers(group))
        components["busy"]["group"] = sorted(f"{user}_state" for user in users)[:_MOST_MEMBERS]
        return self._payload(device, components, self._bridge_and_pbx)

    def _queue_payload(self, queue: QueueState) -> str:
        prefix = f"{self._topics.device_prefix}_{object_id('queue', queue.number)}"
        device = {
            "identifiers": [prefix],
            "name": queue.name or f"Queue {queue.number}",
            "manufacturer": "3CX",
            "model": "Queue",
            "serial_number": queue.number,
            "via_device": f"{self._topics.device_prefix}_bridge",
        }
        components = self._components(CALLERS_WAITING, prefix, queue.number, f"queue_{slug(queue.number)}")
        return self._payload(device, components, self._bridge_and_pbx)

    def _light_payload(self, light: str) -> str:
        prefix = f"{self._topics.device_prefix}_{object_id('light', light)}"
        device = {
            "identifiers": [prefix],
            "name": light,
            "manufacturer": ORIGIN,
            "model": "Busy light",
            "via_device": f"{self._topics.device_prefix}_bridge",
        }
        entities = (*LIGHT, LIGHT_CONNECTED) if self._features.lights[light] else LIGHT
        components = self._components(entities, prefix, light, f"light_{slug(light)}")
        return self._payload(device, components, (self._topics.bridge_state,))

    @property
    def _bridge_and_pbx(self) -> tuple[str, str]:
        return self._topics.bridge_state, self._topics.bridge_pbx

    def _bridge_payload(self, *, system: bool) -> str:
        prefix = f"{self._topics.device_prefix}_bridge"
        device = {
            "identifiers": [prefix],
            "name": "3CX" if self._topics.pbx_name == "3cx" else f"3CX {self._topics.pbx_name}",
            "manufacturer": "3cx2mqtt",
            "model": f"Bridge to {urlsplit(self._pbx_url).hostname}",
            "sw_version": __version__,
            "configuration_url": self._pbx_url,
        }
        components = self._components((*BRIDGE, *(SYSTEM if system else ())), prefix, "", "bridge")
        if not system:
            components |= {entity.key: {"platform": entity.platform} for entity in SYSTEM}
        return self._payload(device, components, (self._topics.bridge_state,))

    def _components(self, entities: Iterable[Entity], prefix: str, name: str, own: str) -> dict[str, dict[str, object]]:
        """Components by key. Entity ids are made from numbers, so that they stay when a user is renamed."""
        components: dict[str, dict[str, object]] = {}
        for entity in entities:
            component: dict[str, object] = {
                "platform": entity.platform,
                "unique_id": f"{prefix}_{entity.key}",
                "default_entity_id": f"{entity.platform}.{self._prefix}_{own}_{entity.slug or entity.key}",
            }
            if entity.state is not None:
                component["state_topic"] = entity.state(self._topics, name)
            if entity.command is not None:
                component["command_topic"] = entity.command(self._topics, name)
            components[entity.key] = component | dict(entity.options)
            if (shown := entity.options["name"]) is not None:
                components[entity.key]["name"] = name_in(self._features.language, str(shown))
        return components

    def _triggers(self, dn: str) -> dict[str, dict[str, object]]:
        """Device triggers by key; what a call was about is in the message that fires them."""
        return {
            f"trigger_{trigger.type}": {
                "platform": "device_automation",
                "automation_type": "trigger",
                "type": trigger.type,
                "subtype": "call",
                "topic": self._topics.user_call(dn),
                "value_template": trigger.template,
                "payload": trigger.payload,
            }
            for trigger in TRIGGERS
        }

    def _payload(
        self, device: Mapping[str, object], components: Mapping[str, object], availability: Iterable[str]
    ) -> str:
        return to_json(
            {
                "device": device,
                "origin": {"name": ORIGIN, "sw_version": __version__, "support_url": _SUPPORT},
                "availability": [{"topic": topic} for topic in availability],
                "availability_mode": "all",
                "components": components,
            }
        )


def _numbers(group: Group) -> list[str]:
    return [dn for dn, _, _ in group.members]


def area_of(department: str | None) -> str | None:
    """The department as a place; None for that of users who were assigned to none."""
    return None if department is None or department.strip("_").casefold() == _NO_AREA else department


def entity_prefix(topics: Topics) -> str:
    """What the entity ids of this bridge begin with, behind their platform."""
    return "3cx" if topics.pbx_name == "3cx" else f"3cx_{slug(topics.pbx_name)}"


def slug(text: str) -> str:
    """`text` with all that an entity id may not contain replaced by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower())
