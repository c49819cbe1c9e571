"""Every topic the bridge owns, built in one place."""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.domain.dn import is_unfit
from bridge.options import Text

ORIGIN = "3cx2mqtt"

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLAIN = frozenset((string.ascii_letters + string.digits + "-").encode())


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one bridge: `base` for its own, `discovery_prefix` for Home Assistant's."""

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
        """The roster as JSON."""
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
        """How the bridge is, once a minute, as JSON."""
        return f"{self.base}/bridge/health"

    @property
    def bridge_log_level(self) -> str:
        """How much is logged."""
        return f"{self.base}/bridge/log_level"

    @property
    def bridge_log(self) -> str:
        """Warnings and errors as JSON. Never retained."""
        return f"{self.base}/bridge/log"

    @property
    def bridge_check(self) -> str:
        """Where the bridge sends itself a message to see that the broker lets it through. Never retained."""
        return f"{self.base}/bridge/check"

    @property
    def discovery_check(self) -> str:
        """The same under the discovery prefix, where Home Assistant does not look."""
        return f"{self.discovery_prefix}/device/{self.device_prefix}/check"

    def request(self, operation: str) -> str:
        """Where others ask the bridge to do something."""
        return f"{self.base}/bridge/request/{operation}"

    def response(self, operation: str) -> str:
        """Where the bridge answers."""
        return f"{self.base}/bridge/response/{operation}"

    def user(self, dn: str) -> str:
        """The user's JSON document."""
        return f"{self.base}/users/{dn}"

    def user_state(self, dn: str) -> str:
        """The state word alone."""
        return f"{self.base}/users/{dn}/state"

    def user_busy(self, dn: str) -> str:
        """`ON`, `OFF` or `None`."""
        return f"{self.base}/users/{dn}/busy"

    def user_monitor(self, dn: str) -> str:
        """The row of GetMonitorStatus()."""
        return f"{self.base}/users/{dn}/monitor"

    def user_call(self, dn: str) -> str:
        """What happens to the user's calls. Never retained."""
        return f"{self.base}/users/{dn}/call"

    def user_set(self, dn: str) -> str:
        """Where others ask for a change of the user in the PBX."""
        return f"{self.base}/users/{dn}/set"

    def group(self, name: str) -> str:
        """The group's JSON document."""
        return f"{self.base}/groups/{name}"

    def group_busy(self, name: str) -> str:
        """`ON` while anybody in the group is busy."""
        return f"{self.base}/groups/{name}/busy"

    def light_state(self, name: str) -> str:
        """What a light shows and why, as JSON."""
        return f"{self.base}/lights/{name}/state"

    def light_set(self, name: str) -> str:
        """Where others pause a light or give it another look."""
        return f"{self.base}/lights/{name}/set"

    @property
    def lights_set(self) -> str:
        """The same for all lights."""
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

    def user_of_set(self, topic: str) -> str | None:
        """The DN whose `set` topic this is, or None when it is another topic."""
        dn = topic.removeprefix(f"{self.base}/users/").removesuffix("/set")
        return dn if self.user_set(dn) == topic and "/" not in dn else None

    @property
    def device_prefix(self) -> str:
        """What every `unique_id` and device identifier of this bridge starts with."""
        return f"{ORIGIN}_{self.pbx_name}"

    def discovery(self, object_id: str, prefix: str | None = None) -> str:
        """Home Assistant's discovery topic of one of this bridge's devices."""
        return f"{prefix or self.discovery_prefix}/device/{self.device_prefix}/{object_id}/config"

    def own_filters(self) -> tuple[str, ...]:
        """Topic filters that match everything this bridge may have left retained.

        None matches what others write and the bridge listens to all the time (requests, `set`): brokers deliver a
        message once for every subscription that matches it, and a command would be carried out twice.
        """
        return (
            f"{self.base}/bridge/+",
            *(each("+") for each in (self.user, self.user_state, self.user_busy, self.user_monitor)),
            *(each("+") for each in (self.group, self.group_busy, self.light_state, self.discovery)),
        )

    def all_filters(self) -> tuple[str, ...]:
        """The same, and whatever else lies there, such as requests; for who listens to nothing else meanwhile."""
        return (*filters_under(self.base), self.discovery("+"))

    def signature_filters(self) -> tuple[str, ...]:
        """Topic filters for whose topics are under a base of one level or two, and whether a bridge runs there."""
        return ("+/bridge/info", "+/bridge/state", "+/+/bridge/info", "+/+/bridge/state")

    def is_discovery(self, topic: str) -> bool:
        """Whether `topic` is one that Home Assistant looks for devices of this bridge in."""
        return topic.startswith(f"{self.discovery_prefix}/device/{self.device_prefix}/")

    def is_discovery_of_this_pbx(self, topic: str) -> bool:
        """The same under any discovery prefix."""
        return topic.endswith("/config") and f"/device/{self.device_prefix}/" in topic


def topic_problem(topic: str) -> str | None:
    """What keeps `topic` from being published to, or None."""
    if any(character in "+#" or is_unfit(character) for character in topic):
        return "must not hold +, # or control characters"
    if topic.startswith("$") or "" in topic.split("/"):
        return "must not start with $, nor start or end with /, nor hold //"
    if len(topic.encode("utf-8", "replace")) > _LONGEST_TOPIC:
        return f"is over {_LONGEST_TOPIC} bytes"
    return None


_LONGEST_TOPIC = 200

TOPIC = Text(check=topic_problem)
"""An MQTT topic to publish under."""


def filters_under(base: str) -> tuple[str, ...]:
    """Topic filters for all that a bridge retains under its base topic."""
    return (f"{base}/bridge/#", f"{base}/users/#", f"{base}/groups/#", f"{base}/lights/#")


def object_id(kind: str, number: str) -> str:
    """An id that Home Assistant accepts: `user_101`; every byte outside [A-Za-z0-9-] is written `_xx`."""
    return f"{kind}_{''.join(_escaped(number))}"


def _escaped(text: str) -> Iterator[str]:
    for byte in text.encode():
        yield chr(byte) if byte in _PLAIN else f"_{byte:02x}"


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """What somebody else has published, if it is a JSON object; None for all else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def to_json(value: object) -> str:
    """Compact JSON, keys in the order given, readable letters as they are."""
    return _JSON.encode(value)
