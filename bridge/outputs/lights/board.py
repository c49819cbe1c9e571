"""All lights: follows the users, sends commands when they are due, and tells what each light shows and why."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from voluptuous import Invalid, MultipleInvalid

from bridge.domain.clock import Clock
from bridge.domain.dn import pattern
from bridge.domain.light import MOST_BRIGHT, Look
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.errors import BridgeError
from bridge.outputs.lights.lamp import NEVER, Lamp, Override
from bridge.outputs.lights.protocol import Command
from bridge.outputs.lights.settings import OVERRIDE, LightSettings, look_of
from bridge.ports import Publisher
from bridge.topics import Topics, to_json

_KEYS = ("pause", "override")
_TIME = "%Y-%m-%dT%H:%M:%SZ"

_logger = logging.getLogger(__name__)


class LightBoard:
    """An Output that renders nothing by itself: commands have a time of their own, so `tick` sends them."""

    def __init__(self, topics: Topics, lights: Sequence[LightSettings], publisher: Publisher, clock: Clock) -> None:
        self._topics = topics
        self._publisher = publisher
        self._clock = clock
        self._lamps = {light.name: Lamp(light) for light in lights}
        self._patterns = [(pattern(light.users), self._lamps[light.name]) for light in lights]
        self._followers: dict[str, tuple[Lamp, ...]] = {}
        """By DN."""
        self._told: dict[str, bytes] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when `tick` should be called soon."""

    @property
    def listeners(self) -> Mapping[str, Callable[[bytes, bool], None]]:
        """The topics where lights say that they come and go; several lights may share one."""
        topics = {
            lamp.settings.driver.availability.topic
            for lamp in self._lamps.values()
            if lamp.settings.driver.availability
        }
        return {topic: self._listener(topic) for topic in topics}

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """Note what a user does; the lights are told by `tick`."""
        user = after or before
        if user is not None:
            for lamp in self._of(user.number):
                lamp.follow(user.number, None if after is None else after.state, self._clock.monotonic())
                self.on_change()
        yield from ()

    def call(self, _user: User, _event: CallEvent) -> Iterator[Message]:
        """Nothing: lights show states."""
        yield from ()

    def group(self, _before: Group | None, _after: Group) -> Iterator[Message]:
        """Nothing: a light for a group follows its members."""
        yield from ()

    def bridge(self, _before: Bridge | None, _after: Bridge) -> Iterator[Message]:
        """Nothing: what is not known shows in the users' states."""
        yield from ()

    def adopt(self, documents: Mapping[str, Mapping[str, object]]) -> None:
        """Take over pauses and overrides from what the broker retained of an earlier run, by light."""
        for name, document in documents.items():
            lamp = self._lamps.get(name)
            if lamp is not None:
                lamp.paused = document.get("paused") is True
                lamp.override = _remembered(document.get("override"))

    def reconnected(self) -> None:
        """The broker is there again: users and lights will be told anew, and these may have missed what was sent."""
        for lamp in self._lamps.values():
            lamp.nobody()
            lamp.online = None
            lamp.send_again()

    def retained(self) -> Iterator[Message]:
        """What should be retained now."""
        for lamp in self._lamps.values():
            document = self._document(lamp)
            self._told[lamp.name] = document.payload
            yield document

    def tick(self) -> float:
        """Send what is due; returns when to call again at the latest (monotonic)."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for lamp in self._lamps.values():
            if lamp.override is not None and wall >= lamp.override.until:
                lamp.override = None
        if not self._publisher.in_step:
            return NEVER
        for lamp in self._lamps.values():
            for command in lamp.due(now, wall):
                self._publisher.publish(as_message(command))
            document = self._document(lamp)
            if self._told.get(lamp.name) != document.payload:
                self._told[lamp.name] = document.payload
                self._publisher.publish(document)
        return min((lamp.next_time(now, wall) for lamp in self._lamps.values()), default=NEVER)

    def farewell(self) -> Iterator[Message]:
        """What the lights get when the bridge stops."""
        for lamp in self._lamps.values():
            yield from map(as_message, lamp.farewell())

    def receive(self, name: str, request: Mapping[str, object]) -> None:
        """Pause or override the light `name`, or all of them (""); the BridgeErrors show how to ask for it."""
        if not request or any(key not in _KEYS for key in request):
            raise BridgeError('write {"pause": true} or {"override": {"color": "#ff00ff", "for": "5m"}}')
        lamps = list(self._lamps.values()) if not name else [self._lamps[name]] if name in self._lamps else []
        if not lamps:
            raise BridgeError(f"there is no light {name!r}")
        pause = request.get("pause")
        if "pause" in request and not isinstance(pause, bool):
            raise BridgeError(f"pause is true or false, not {pause!r}")
        wanted = None if request.get("override") is None else _wanted(request["override"])
        for lamp in lamps:
            if isinstance(pause, bool):
                lamp.paused = pause
            if "override" in request:
                lamp.override = None if wanted is None else self._override(lamp, wanted)
        self.on_change()

    def _override(self, lamp: Lamp, wanted: Mapping[str, Any]) -> Override:
        until = NEVER if wanted["for"] is None else self._clock.wall() + wanted["for"]
        return Override(look_of(wanted, lamp.settings.brightness), until)

    def _of(self, dn: str) -> tuple[Lamp, ...]:
        if dn not in self._followers:
            self._followers[dn] = tuple(lamp for matches, lamp in self._patterns if matches and matches.match(dn))
        return self._followers[dn]

    def _listener(self, topic: str) -> Callable[[bytes, bool], None]:
        lamps = [
            (lamp, availability)
            for lamp in self._lamps.values()
            if (availability := lamp.settings.driver.availability) is not None and availability.topic == topic
        ]

        def heard(payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as the router calls it
            for lamp, availability in lamps:
                online = availability.is_online(payload.decode("utf-8", "replace"))
                if online is None:
                    continue
                if online and not (retained and lamp.online is None):
                    lamp.send_again()  # it is back, and knows nothing
                if online is not lamp.online:
                    _logger.debug("the light %s is %s", lamp.name, "online" if online else "offline")
                lamp.online = online
                self.on_change()

        return heard

    def _document(self, lamp: Lamp) -> Message:
        shown = lamp.shown(self._clock.monotonic(), self._clock.wall())
        document = {
            "shows": shown.word,
            "why": shown.why,
            **(_NOT_OURS if shown.look is None else _look_as_json(shown.look)),
            "paused": lamp.paused,
            "override": None if lamp.override is None else _override_as_json(lamp.override),
            "online": lamp.online,
        }
        payload = to_json(document).encode("utf-8", "replace")
        return Message(self._topics.light_state(lamp.name), payload, Rank.DETAIL)


_NOT_OURS = {"color": None, "brightness": None, "blink": None}
"""Of a light that is left alone."""


def as_message(command: Command) -> Message:
    """Never retained: a light that comes back later would carry out an old command."""
    return Message(command.topic, command.payload.encode(), Rank.STATE, retain=False, least_qos=1)


def _look_as_json(look: Look) -> dict[str, object]:
    if look.color is None:
        return {"color": None, "brightness": 0, "blink": False}
    return {"color": look.color.hex, "brightness": look.brightness, "blink": look.blink}


def _override_as_json(override: Override) -> dict[str, object]:
    until = None if override.until == NEVER else datetime.fromtimestamp(override.until, UTC).strftime(_TIME)
    return {**_look_as_json(override.look), "until": until}


def _wanted(value: object) -> dict[str, Any]:
    """The options of an override, checked; BridgeError says what is wrong with them."""
    try:
        return OVERRIDE(value)
    except MultipleInvalid as errors:
        wrong = [f"{'.'.join(['override', *map(str, error.path)])}: {error.msg}" for error in errors.errors]
        raise BridgeError("; ".join(wrong)) from None
    except Invalid as error:
        raise BridgeError(f"override: {error.msg}") from None


def _remembered(value: object) -> Override | None:
    """An override as it was published; None where that makes no sense."""
    if not isinstance(value, dict):
        return None
    brightness, until = value.get("brightness"), value.get("until")
    try:
        look = look_of({**value, "brightness": brightness or None}, MOST_BRIGHT)
        end = NEVER if until is None else datetime.strptime(until, _TIME).replace(tzinfo=UTC).timestamp()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Override(look, end)
