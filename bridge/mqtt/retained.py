"""The bridge's own topics as the broker retains them: what differs from what should be, and what they remember."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeGuard, TypeVar

from bridge.domain.message import Message, Rank
from bridge.domain.remembered import Remembered
from bridge.domain.today import Today
from bridge.mqtt.remembered import counted_today, listed_numbers, remembered_user
from bridge.mqtt.wanted import Wanted
from bridge.topics import ORIGIN, Topics, filters_under, json_object, topic_problem

_INFO = "/bridge/info"
_STATE = "/bridge/state"
_PBX = "/bridge/pbx"

_MOST_BASES = 100
"""Base topics whose `bridge/info` is looked at: other programs have such topics too."""
_MOST_LIGHTS = 1000
"""Documents under the topics of lights; what is more than a bridge has lights for is none of ours."""

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class RetainedTopics:
    """Collects retained messages after connecting; keeps a digest of each, so that 10,000 users take little memory.

    The bridge owns discovery payloads with its own origin and an identifier of exactly its `pbx.name`, and what lies
    under a base topic whose `bridge/info` names that `pbx.name`: its own, and one that it had before. Nothing else is
    ever cleared.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._digests: dict[str, int | None] = {}
        """Of the payload, by topic; None: something may be retained there, and what cannot be read."""
        self._users: dict[str, Remembered] = {}
        self._lights: dict[str, dict[str, object]] = {}
        self._todays: dict[str, Today] = {}
        self._roster: tuple[str, ...] = ()
        self._infos: dict[str, dict[str, object]] = {}
        """Contents of `bridge/info`, by base topic."""
        self._running: set[str] = set()
        """Base topics whose `bridge/state` is online."""
        self._former_bases: set[str] = set()

    def add(self, topic: str, payload: bytes) -> None:
        """Take one retained message; an empty one says that nothing is retained there any more."""
        if not payload:
            self._digests.pop(topic, None)
            return
        if self._topics.is_discovery_of_this_pbx(topic):
            content = json_object(payload) or {}
            if not self._owns(content):
                return
            self._note_base(content)
        self._digests[topic] = hash(payload)
        if topic.endswith(_INFO):
            base = topic.removesuffix(_INFO)
            if base == self._topics.base or len(self._infos) < _MOST_BASES:
                self._infos[base] = json_object(payload) or {}
        elif topic.endswith(_STATE) and payload == b"online":
            self._running.add(topic.removesuffix(_STATE))
        else:
            self._remember(topic, payload)

    def _remember(self, topic: str, payload: bytes) -> None:
        """Read what a new process goes on with. No payload is kept, as anybody may have left any number of them."""
        if topic == self._topics.bridge_users:
            self._roster = listed_numbers(payload)
        elif (dn := self._topics.document_of(topic)) is not None:
            _note(self._users, dn, remembered_user(json_object(payload)))
        elif (dn := self._topics.today_of(topic)) is not None:
            _note(self._todays, dn, counted_today(json_object(payload)))
        elif (light := self._topics.light_of_state(topic)) is not None and len(self._lights) < _MOST_LIGHTS:
            _note(self._lights, light, json_object(payload))

    @property
    def roster(self) -> tuple[str, ...]:
        """The numbers of the users in `bridge/users`."""
        return self._roster

    def unread(self) -> tuple[str, ...]:
        """The topics, by name, that a new process needs to read where wildcards did not bring them."""
        topics = self._topics
        of_users = (each(dn) for dn in self._roster for each in (topics.user, topics.user_today))
        return tuple(
            each for each in (*of_users, *map(topics.light_state, self._named("lights"))) if each not in self._digests
        )

    def assume(self) -> None:
        """Count every topic of the users, groups and lights that the bridge names as retained, read or not."""
        topics = self._topics
        if self.owner != topics.pbx_name:
            return
        groups, lights = self._named("groups"), self._named("lights")
        for topic in (
            *(each for dn in self._roster for each in topics.of_user(dn)),
            *(each for name in groups for each in topics.of_group(name)),
            *(each for name in lights for each in topics.of_light(name)),
            *(each for dn in self._listed_queues() for each in topics.of_queue(dn)),
            topics.system,
            topics.discovery("bridge"),
            topics.bridge_health,
        ):
            self._digests.setdefault(topic, None)

    @property
    def owner(self) -> str | None:
        """The `pbx.name` that owns everything under the base topic; None where there is no `bridge/info`."""
        return self._owner_of(self._topics.base)

    @property
    def options(self) -> object:
        """The options in force when `bridge/info` was written."""
        return self._infos.get(self._topics.base, {}).get("options")

    def elsewhere(self) -> tuple[str, ...]:
        """Topic filters for what an earlier configuration may have left under other base topics and prefixes.

        A base topic is ours where `bridge/info` names our PBX, unless a bridge is online there.
        """
        signed = {
            base for base in self._infos if self._owner_of(base) == self._topics.pbx_name and not self._runs(base)
        }
        bases = (self._former_bases | signed) - {self._topics.base}
        prefixes = {self._prefix_in(base) for base in signed} - {None, self._topics.discovery_prefix}
        return (
            *(each for base in sorted(bases) for each in filters_under(base)),
            *(self._topics.discovery("+", prefix=prefix) for prefix in sorted(filter(None, prefixes))),
        )

    def remembered(self) -> dict[str, Remembered]:
        """The users that this bridge published in an earlier run, by DN; malformed documents are left out."""
        if self.owner != self._topics.pbx_name:
            return {}
        return {dn: replace(past, today=self._todays.get(dn)) for dn, past in self._users.items()}

    def lights(self) -> dict[str, dict[str, object]]:
        """The state documents of this bridge's lights, by name."""
        if self.owner != self._topics.pbx_name:
            return {}
        return self._lights

    def difference(self, wanted: Iterable[Message]) -> Iterator[Message]:
        """What to publish so that the broker retains `wanted` and nothing else of ours; clears come last.

        Messages of rank ONLINE are always published. `bridge/state` is left to the session, which publishes it last.
        """
        self._digests.pop(self._topics.bridge_state, None)
        for message in wanted:
            digest = self._digests.pop(message.topic, None)
            if digest != hash(message.payload) or message.rank is Rank.ONLINE:
                yield message
        yield from self.owned()

    def wrong(self, wanted: Wanted) -> Iterator[tuple[str, bool]]:
        """The own topics under which something else than `wanted` is retained, and whether anything is."""
        base = f"{self._topics.base}/"
        for topic in wanted:
            digest = self._digests.get(topic)
            if topic != self._topics.bridge_health and not wanted.has(topic, digest):
                yield topic, digest is not None
        yield from ((topic, True) for topic in self._digests if topic.startswith(base) and topic not in wanted)

    def owned(self) -> Iterator[Message]:
        """Messages that clear what is left of all that this bridge owns.

        Discovery goes first, as Home Assistant would show entities without a state for a while otherwise.
        """
        ours = [each for base in self._infos if self._may_clear(base) for each in filters_under(base)]
        exact = {each for each in ours if not each.endswith("#")}
        beginnings = tuple(each.removesuffix("#") for each in ours if each.endswith("#"))
        is_discovery = self._topics.is_discovery_of_this_pbx
        discovery = (each for each in self._digests if is_discovery(each))
        under = (each for each in self._digests if each in exact or each.startswith(beginnings))
        others = (each for each in under if not is_discovery(each))
        yield from (Message(each, b"", Rank.CLEAR) for each in (*discovery, *others))

    def _listed_queues(self) -> tuple[str, ...]:
        """The queues in `bridge/info`."""
        found = self._infos.get(self._topics.base, {}).get("queues")
        return _topic_levels(found if isinstance(found, list) else [])

    def _named(self, section: str) -> tuple[str, ...]:
        """The names of the groups or lights in the configuration in force when `bridge/info` was written."""
        config = self._infos.get(self._topics.base, {}).get("config")
        content = config.get(section) if _is_object(config) else None
        if _is_object(content):
            names: list[object] = list(content)
        else:
            names = [each.get("name") for each in content if _is_object(each)] if isinstance(content, list) else []
        return _topic_levels(names)

    def _runs(self, base: str) -> bool:
        """Whether another bridge is online there."""
        return base != self._topics.base and base in self._running

    def _may_clear(self, base: str) -> bool:
        if self._owner_of(base) != self._topics.pbx_name:
            return False
        if self._runs(base):
            _logger.error(
                "another bridge of a PBX %r is running under %s: give each PBX its own pbx.name",
                self._topics.pbx_name,
                base,
                extra={"subject": base},
            )
            return False
        return True

    def _owner_of(self, base: str) -> str | None:
        return _owner(self._infos.get(base, {}))

    def _owns(self, content: dict[str, object]) -> bool:
        origin, device = content.get("origin"), content.get("device")
        if not _is_object(origin) or origin.get("name") != ORIGIN or not _is_object(device):
            return False
        prefix = f"{self._topics.device_prefix}_"
        identifiers = device.get("identifiers")
        return isinstance(identifiers, list) and any(
            isinstance(identifier, str) and identifier.startswith(prefix) for identifier in identifiers
        )

    def _prefix_in(self, base: str) -> str | None:
        """The discovery prefix that was in force when `bridge/info` was written."""
        config = self._infos[base].get("config")
        section = config.get("homeassistant") if _is_object(config) else None
        prefix = section.get("discovery_prefix") if _is_object(section) else None
        return prefix if isinstance(prefix, str) and _is_topic(prefix) else None

    def _note_base(self, content: dict[str, object]) -> None:
        """Discovery of the bridge's own device names a topic under the base topic then in force."""
        components = content.get("components")
        pbx = components.get("pbx") if _is_object(components) else None
        topic = pbx.get("state_topic") if _is_object(pbx) else None
        if isinstance(topic, str) and topic.endswith(_PBX):
            base = topic.removesuffix(_PBX)
            if _is_topic(base) and base != self._topics.base:
                self._former_bases.add(base)


def signature(info: bytes) -> tuple[str | None, dict[str, object]]:
    """The `pbx.name` that a payload of `bridge/info` names, and the configuration in force."""
    content = json_object(info) or {}
    config = content.get("config")
    return _owner(content), config if _is_object(config) else {}


def _note(found: dict[str, T], name: str, content: T | None) -> None:
    """Keep what could be read; a later and malformed one removes what was there before."""
    found.pop(name, None)
    if content is not None:
        found[name] = content


def _owner(info: dict[str, object]) -> str | None:
    pbx = info.get("pbx")
    name = pbx.get("name") if _is_object(pbx) else None
    return name if isinstance(name, str) else None


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _topic_levels(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(each for each in names if isinstance(each, str) and _is_topic(each) and "/" not in each)


def _is_topic(value: object) -> bool:
    return isinstance(value, str) and bool(value) and topic_problem(value) is None
