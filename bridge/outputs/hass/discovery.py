"""Home Assistant's device discovery: one retained payload per user and one for the bridge."""

from collections.abc import Iterable, Iterator, Mapping

from bridge import __version__
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, User
from bridge.outputs.hass.entities import BRIDGE, USER, Entity
from bridge.outputs.state import encode
from bridge.topics import ORIGIN, Topics, object_id, to_json


class DiscoveryOutput:
    """Publishes what Home Assistant needs to show users and bridge as devices.

    Payloads are byte-identical while nothing changes: Home Assistant ignores repeats, and loses components when two
    different payloads for one device follow each other closely.
    """

    def __init__(self, topics: Topics, pbx_host: str) -> None:
        self._topics = topics
        self._pbx_host = pbx_host

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """A device per user; only name and number are in it."""
        if after is None:
            if before is not None:
                yield Message(self._user_topic(before), b"", Rank.BRIDGE)
        elif before is None or before.name != after.name:
            yield Message(self._user_topic(after), encode(self._user_payload(after)), Rank.DISCOVERY)

    def bridge(self, before: Bridge | None, _after: Bridge) -> Iterator[Message]:
        """The bridge's own device; ahead of the users' devices, which refer to it."""
        if before is None:
            yield Message(self._topics.discovery("bridge"), encode(self._bridge_payload()), Rank.DISCOVERY)

    def _user_topic(self, user: User) -> str:
        return self._topics.discovery(object_id("user", user.number))

    def _user_payload(self, user: User) -> str:
        prefix = f"{self._topics.device_prefix}_{object_id('user', user.number)}"
        device = {
            "identifiers": [prefix],
            "name": user.name or f"Extension {user.number}",
            "manufacturer": "3CX",
            "model": "Extension",
            "serial_number": user.number,
            "via_device": f"{self._topics.device_prefix}_bridge",
        }
        availability = (self._topics.bridge_state, self._topics.bridge_pbx)
        return self._payload(device, self._components(USER, prefix, user.number), availability)

    def _bridge_payload(self) -> str:
        prefix = f"{self._topics.device_prefix}_bridge"
        device = {
            "identifiers": [prefix],
            "name": f"3CX {self._topics.pbx_name}",
            "manufacturer": "3cx2mqtt",
            "model": f"Bridge to {self._pbx_host}",
            "sw_version": __version__,
        }
        return self._payload(device, self._components(BRIDGE, prefix, ""), (self._topics.bridge_state,))

    def _components(self, entities: Iterable[Entity], prefix: str, number: str) -> dict[str, object]:
        return {
            entity.key: {
                "platform": entity.platform,
                "unique_id": f"{prefix}_{entity.key}",
                "state_topic": entity.topic(self._topics, number),
                **entity.options,
            }
            for entity in entities
        }

    def _payload(
        self, device: Mapping[str, object], components: Mapping[str, object], availability: Iterable[str]
    ) -> str:
        return to_json(
            {
                "device": device,
                "origin": {"name": ORIGIN, "sw_version": __version__},
                "availability": [{"topic": topic} for topic in availability],
                "availability_mode": "all",
                "components": components,
            }
        )
