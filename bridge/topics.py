"""Every topic of the bridge, built in one place, and the JSON that goes onto them."""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from bridge.domain.dn import is_unfit
from bridge.options import Text

ORIGIN = "3cx2mqtt"

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLAIN = frozenset((string.ascii_letters + string.digits + "-").encode())


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one bridge: its own under `base`, Home Assistant's under `discovery_prefix`."""

    base: str
    pbx_name: str
    discovery_prefix: str

    @property
    def bridge_state(self) -> str:
        """`online` or `offline`; also the topic of the MQTT will."""
        return f"{self.base}/bridge/state"

    @property
    def bridge_pbx(self) -> str:
        """`online` or `offline`: whether the PBX answers."""
        return f"{self.base}/bridge/pbx"

    @property
    def bridge_info(self) -> str:
        """Version, sources, options and configuration as JSON; names the owner of everything under `base`."""
        return f"{self.base}/bridge/info"

    @property
    def bridge_users(self) -> str:
        """The roster as JSON: number, name and topic of each user."""
        return f"{self.base}/bridge/users"

    @property
    def bridge_users_busy(self) -> str:
        """How many users are busy."""
        return f"{self.base}/bridge/users_busy"

    @property
    def bridge_count(self) -> str:
        """The total that the PBX reported for `$count`."""
        return f"{self.base}/bridge/count"

    @property
    def bridge_health(self) -> str:
        """Counters of the bridge as JSON, once a minute."""
        return f"{self.base}/bridge/health"

    @property
    def bridge_log_level(self) -> str:
        """The log level in force."""
        return f"{self.base}/bridge/log_level"

    @property
    def bridge_log(self) -> str:
        """Warnings and errors as JSON. Never retained."""
        return f"{self.base}/bridge/log"

    @property
    def bridge_check(self) -> str:
        """Where the bridge publishes to itself: only an echo proves the right to publish. Never retained."""
        return f"{self.base}/bridge/check"

    @property
    def discovery_check(self) -> str:
        """The same under the discovery prefix, on a topic that Home Assistant ignores."""
        return f"{self.discovery_prefix}/device/{self.device_prefix}/check"

    def request(self, operation: str) -> str:
        """Where clients publish requests to the bridge."""
        return f"{self.base}/bridge/request/{operation}"

    def response(self, operation: str) -> str:
        """Where the bridge publishes its response."""
        return f"{self.base}/bridge/response/{operation}"

    def user(self, dn: str) -> str:
        """The user's JSON document."""
        return f"{self.base}/users/{dn}"

    def user_state(self, dn: str) -> str:
        """The state alone, as plain text."""
        return f"{self.base}/users/{dn}/state"

    def user_busy(self, dn: str) -> str:
        """`ON`, `OFF` or `None`."""
        return f"{self.base}/users/{dn}/busy"

    def user_monitor(self, dn: str) -> str:
        """The row of GetMonitorStatus()."""
        return f"{self.base}/users/{dn}/monitor"

    def user_call(self, dn: str) -> str:
        """Events of the user's calls. Never retained."""
        return f"{self.base}/users/{dn}/call"

    def user_today(self, dn: str) -> str:
        """What the user's calls of the day add up to, as JSON."""
        return f"{self.base}/users/{dn}/today"

    def today_of(self, topic: str) -> str | None:
        """The DN whose calls of the day are counted under `topic`, or None when it is another topic."""
        dn = topic.removeprefix(f"{self.base}/users/").removesuffix("/today")
        return dn if self.user_today(dn) == topic and "/" not in dn else None

    def user_set(self, dn: str) -> str:
        """Where clients publish commands that change the user in the PBX."""
        return f"{self.base}/users/{dn}/set"

    def group(self, name: str) -> str:
        """The group's JSON document."""
        return f"{self.base}/groups/{name}"

    def group_busy(self, name: str) -> str:
        """`ON` while at least one user of the group is busy."""
        return f"{self.base}/groups/{name}/busy"

    def queue(self, number: str) -> str:
        """A queue's JSON document."""
        return f"{self.base}/queues/{number}"

    def queue_waiting(self, number: str) -> str:
        """How many callers wait in a queue, as plain text; `None`: not known."""
        return f"{self.base}/queues/{number}/waiting"

    @property
    def system(self) -> str:
        """What the PBX says about itself as a whole, as JSON."""
        return f"{self.base}/system"

    def light_state(self, name: str) -> str:
        """What a light shows and why, as JSON."""
        return f"{self.base}/lights/{name}/state"

    def light_set(self, name: str) -> str:
        """Where clients pause a light or override its look."""
        return f"{self.base}/lights/{name}/set"

    @property
    def lights_set(self) -> str:
        """The same for all lights at once."""
        return f"{self.base}/lights/set"

    def light_of_state(self, topic: str) -> str | None:
        """The light whose `state` topic this is, or None when it is another topic."""
        name = topic.removeprefix(f"{self.base}/lights/").removesuffix("/state")
        return name if self.light_state(name) == topic and "/" not in name else None

    def light_of_set(self, topic: str) -> str | None:
        """The light whose `set` topic this is, "" for all of them, or None when it is another topic."""
        if topic == self.lights_set:
            return ""
        name = topic.removeprefix(f"{self.base}/lights/").removesuffix("/set")
        return name if self.light_set(name) == topic and "/" not in name else None

    def document_of(self, topic: str) -> str | None:
        """The DN whose JSON document lives under `topic`, or None when it is another topic."""
        prefix = f"{self.base}/users/"
        dn = topic.removeprefix(prefix)
        return dn if dn != topic and "/" not in dn else None

    def user_of(self, topic: str) -> str | None:
        """The DN of the user whom `topic` is about, discovery too, or None when it is another topic."""
        prefix = f"{self.base}/users/"
        if topic.startswith(prefix):
            return topic.removeprefix(prefix).split("/")[0]
        device = topic.removeprefix(f"{self.discovery_prefix}/device/{self.device_prefix}/").removesuffix("/config")
        return user_number(device) if self.discovery(device) == topic else None

    def user_of_set(self, topic: str) -> str | None:
        """The DN whose `set` topic this is, or None when it is another topic."""
        dn = topic.removeprefix(f"{self.base}/users/").removesuffix("/set")
        return dn if self.user_set(dn) == topic and "/" not in dn else None

    @property
    def device_prefix(self) -> str:
        """The prefix of every `unique_id` and device identifier of this bridge."""
        return f"{ORIGIN}_{self.pbx_name}"

    def discovery(self, object_id: str, prefix: str | None = None) -> str:
        """Home Assistant's discovery topic of one of this bridge's devices."""
        return f"{prefix or self.discovery_prefix}/device/{self.device_prefix}/{object_id}/config"

    def of_user(self, dn: str) -> tuple[str, ...]:
        """All topics of one user that may be retained."""
        named = self.user, self.user_state, self.user_busy, self.user_monitor, self.user_today
        return (*(each(dn) for each in named), self.discovery(object_id("user", dn)))

    def of_group(self, name: str) -> tuple[str, ...]:
        """The same for a group."""
        return self.group(name), self.group_busy(name), self.discovery(object_id("group", name))

    def of_queue(self, number: str) -> tuple[str, ...]:
        """The same for a queue."""
        return self.queue(number), self.queue_waiting(number), self.discovery(object_id("queue", number))

    def of_light(self, name: str) -> tuple[str, ...]:
        """The same for a light."""
        return self.light_state(name), self.discovery(object_id("light", name))

    def of_bridge(self) -> tuple[str, ...]:
        """All retained topics of the bridge itself but `bridge/state`, the will, and `bridge/health`."""
        return (
            self.bridge_info,
            self.bridge_pbx,
            self.bridge_users,
            self.bridge_users_busy,
            self.bridge_count,
            self.bridge_log_level,
        )

    def own_filters(self) -> tuple[str, ...]:
        """Topic filters that match everything this bridge may have left retained."""
        return (f"{self.base}/bridge/+", *self.filters_of_all())

    def filters_of_all(self) -> tuple[str, ...]:
        """Topic filters that match all retained topics of all users, groups and lights, discovery too.

        None matches topics of commands, which are subscribed to all the time (requests, `set`): brokers deliver a
        message once for every subscription that matches it, so a command would be executed twice.
        """
        return (
            *(each("+") for each in (self.user, self.user_state, self.user_busy, self.user_monitor, self.user_today)),
            *(each("+") for each in (self.group, self.group_busy, self.light_state, self.discovery)),
            *(each("+") for each in (self.queue, self.queue_waiting)),
            self.system,
        )

    def all_filters(self) -> tuple[str, ...]:
        """The same and all else under the base topic, such as requests; for clients without other subscriptions."""
        return (*filters_under(self.base), self.discovery("+"))

    def signature_filters(self) -> tuple[str, ...]:
        """Topic filters that find bridges under any base topic of one or two levels, with owner and state."""
        return ("+/bridge/info", "+/bridge/state", "+/+/bridge/info", "+/+/bridge/state")

    def is_discovery(self, topic: str) -> bool:
        """Whether `topic` is a discovery topic of this bridge."""
        return topic.startswith(f"{self.discovery_prefix}/device/{self.device_prefix}/")

    def is_discovery_of_group(self, topic: str) -> bool:
        """Whether `topic` is the discovery topic of a group of this bridge."""
        return topic.startswith(f"{self.discovery_prefix}/device/{self.device_prefix}/{object_id('group', '')}")

    def is_discovery_of_this_pbx(self, topic: str) -> bool:
        """The same under any discovery prefix."""
        return topic.endswith("/config") and f"/device/{self.device_prefix}/" in topic


def topic_problem(topic: str) -> str | None:
    """Why `topic` cannot be published to, or None."""
    if any(character in "+#" or is_unfit(character) for character in topic):
        return "must not contain +, # or control characters"
    if topic.startswith("$") or "" in topic.split("/"):
        return "must not start with $, start or end with /, or contain //"
    if len(topic.encode("utf-8", "replace")) > _LONGEST_TOPIC:
        return f"is longer than {_LONGEST_TOPIC} bytes"
    return None


def device_topic_problem(topic: str) -> str | None:
    """The same for a device's own topic, which may start with /: some people's do."""
    return topic_problem(topic.removeprefix("/"))


# MQTT allows 65,535 bytes, but users, names and suffixes are appended to it, and some brokers allow less.
_LONGEST_TOPIC = 200

TOPIC = Text(check=topic_problem)
"""Option: an MQTT topic to publish under."""
DEVICE_TOPIC = Text(check=device_topic_problem)
"""Option: a topic of a device."""


def filters_under(base: str) -> tuple[str, ...]:
    """Topic filters for everything that a bridge retains under its base topic."""
    parts = ("bridge/#", "users/#", "groups/#", "lights/#", "queues/#", "system")
    return tuple(f"{base}/{part}" for part in parts)


def object_id(kind: str, number: str) -> str:
    """An id that Home Assistant accepts: `user_101`; every byte outside [A-Za-z0-9-] is written `_xx`."""
    return f"{kind}_{''.join(_escaped(number))}"


def user_number(object_id: str) -> str | None:
    """The number in an `object_id` of a user, or None where it is of something else."""
    if not object_id.startswith("user_"):
        return None
    try:
        return unquote_to_bytes(object_id.removeprefix("user_").replace("_", "%")).decode()
    except UnicodeDecodeError:
        return None


def _escaped(text: str) -> Iterator[str]:
    # `_` is escaped as well, so that no two numbers have the same id.
    for byte in text.encode():
        yield chr(byte) if byte in _PLAIN else f"_{byte:02x}"


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """A payload from another client, if it is a JSON object; None for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # the latter for thousands of nested brackets
        return None
    return content if isinstance(content, dict) else None


def to_json(value: object) -> str:
    """Compact JSON, keys in the order given, non-ASCII characters unescaped."""
    return _JSON.encode(value)
