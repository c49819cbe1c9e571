"""All lights: follows the users, sends commands when they are due, and tells what each light shows and why."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from voluptuous import Invalid, MultipleInvalid

from bridge.domain.clock import Clock, unix_seconds, utc_text
from bridge.domain.dn import pattern
from bridge.domain.light import MOST_BRIGHT, Look
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.errors import BridgeError
from bridge.outputs.lights.light import NEVER, Light, Override, Shown
from bridge.outputs.lights.protocol import Availability, Command
from bridge.outputs.lights.settings import OVERRIDE, LightSettings, look_of
from bridge.ports import Publisher
from bridge.topics import Topics, to_json

_KEYS = ("pause", "override")
_WILD = set("*?[")

_logger = logging.getLogger(__name__)


class LightsOutput:
    """An Output that renders nothing by itself: commands have a time of their own, so `tick` sends them."""

    def __init__(self, topics: Topics, lights: Sequence[LightSettings], publisher: Publisher, clock: Clock) -> None:
        self._topics = topics
        self._publisher = publisher
        self._clock = clock
        self._lamps = {light.name: Light(light) for light in lights}
        self._exact: dict[str, list[Light]] = {}
        self._globs: dict[re.Pattern[str], list[Light]] = {}
        """The same globs are the same key, so that they are tried once for all lights."""
        for light in lights:
            self._note_users(light.users, self._lamps[light.name])
        self._followers: dict[str, tuple[Light, ...]] = {}
        """By DN."""
        self._told: dict[str, tuple[object, ...]] = {}
        """What was published of each light."""
        self._changed = set(self._lamps)
        """Lights to look after at the next tick."""
        self._next: dict[str, float] = {}
        """When to look after each, at the latest (monotonic)."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when `tick` should be called soon."""

    @property
    def listeners(self) -> Mapping[str, Callable[[bytes, bool], None]]:
        """The topics where lights say that they come and go; several lights may share one."""
        by_topic: dict[str, list[tuple[Light, Availability]]] = {}
        for lamp in self._lamps.values():
            if availability := lamp.settings.driver.availability:
                by_topic.setdefault(availability.topic, []).append((lamp, availability))
        return {topic: partial(self._light_spoke, lamps) for topic, lamps in by_topic.items()}

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """Note what a user does; the lights are told by `tick`."""
        user = after or before
        if user is not None:
            for lamp in self._of(user.number):
                lamp.follow(user.number, None if after is None else after.state, self._clock.monotonic())
                self._touch(lamp)
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
        now, wall = self._clock.monotonic(), self._clock.wall()
        for lamp in self._lamps.values():
            shown = lamp.shown(now, wall)
            self._told[lamp.name] = (shown, lamp.paused, lamp.override, lamp.online)
            self._touch(lamp)
            yield self._document(lamp, shown)

    def tick(self) -> float:
        """Send what is due; returns when to call again at the latest (monotonic)."""
        if not self._publisher.in_step:
            return NEVER
        now, wall = self._clock.monotonic(), self._clock.wall()
        for name, lamp in self._lamps.items():
            if name in self._changed or self._next.get(name, NEVER) <= now or lamp.watches_the_clock:
                self._look_after(lamp, now, wall)
        self._changed.clear()
        return min(self._next.values(), default=NEVER)

    def _look_after(self, lamp: Light, now: float, wall: float) -> None:
        if lamp.override is not None and wall >= lamp.override.until:
            lamp.override = None
        shown = lamp.shown(now, wall)
        for command in lamp.due(shown, now):
            self._publisher.publish(as_message(command))
        self._next[lamp.name] = lamp.next_time(shown, now)
        told = (shown, lamp.paused, lamp.override, lamp.online)
        if self._told.get(lamp.name) != told:
            self._told[lamp.name] = told
            self._publisher.publish(self._document(lamp, shown))

    @property
    def topics(self) -> frozenset[str]:
        """Where the lights are told what to show."""
        return frozenset(topic for lamp in self._lamps.values() for topic in lamp.settings.driver.topics)

    def not_told(self, topics: frozenset[str]) -> None:
        """What was sent to these topics did not get through."""
        for lamp in self._lamps.values():
            if topics & lamp.settings.driver.topics:
                lamp.send_again()
                self._touch(lamp)

    def farewell(self) -> Iterator[Message]:
        """What the lights get when they are followed no more."""
        for lamp in self._lamps.values():
            yield from map(as_message, lamp.farewell(self._clock.wall()))

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
            self._touch(lamp)

    def _override(self, lamp: Light, wanted: Mapping[str, Any]) -> Override:
        until = NEVER if wanted["for"] is None else self._clock.wall() + wanted["for"]
        return Override(look_of(wanted, lamp.settings.brightness), until)

    def _of(self, dn: str) -> tuple[Light, ...]:
        if dn not in self._followers:
            found = list(self._exact.get(dn, ()))
            found += [lamp for matches, lamps in self._globs.items() if matches.match(dn) for lamp in lamps]
            self._followers[dn] = tuple(dict.fromkeys(found))
        return self._followers[dn]

    def _note_users(self, users: Iterable[str], lamp: Light) -> None:
        """Most lights follow one user by number: no pattern is tried for those."""
        globs = [each for each in users if set(each) & _WILD]
        if matches := pattern(globs):
            self._globs.setdefault(matches, []).append(lamp)
        for dn in users:
            if dn not in globs:
                self._exact.setdefault(dn, []).append(lamp)

    def _touch(self, lamp: Light) -> None:
        self._changed.add(lamp.name)
        self.on_change()

    def _light_spoke(self, lamps: Iterable[tuple[Light, Availability]], payload: bytes, retained: bool) -> None:  # noqa: FBT001  # as the router calls it
        for lamp, availability in lamps:
            online = availability.is_online(payload.decode("utf-8", "replace"))
            if online is None:
                continue
            if online and not (retained and lamp.online is None):
                lamp.send_again()  # it is back, and knows nothing
            if online is not lamp.online:
                _logger.debug("the light %s is %s", lamp.name, "online" if online else "offline")
            lamp.online = online
            self._touch(lamp)

    def _document(self, lamp: Light, shown: Shown) -> Message:
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
    payload = command.payload.encode("utf-8", "replace")
    return Message(command.topic, payload, Rank.STATE, retain=False, least_qos=1, newest=True)


def _look_as_json(look: Look) -> dict[str, object]:
    if look.color is None:
        return {"color": None, "brightness": 0, "blink": False}
    return {"color": look.color.hex, "brightness": look.brightness, "blink": look.blink}


def _override_as_json(override: Override) -> dict[str, object]:
    until = None if override.until == NEVER else utc_text(override.until)
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
    until = value.get("until")
    written = {"color": value.get("color"), "brightness": value.get("brightness") or None, "blink": value.get("blink")}
    try:
        end = NEVER if until is None else unix_seconds(until)
        return Override(look_of(OVERRIDE(written), MOST_BRIGHT), end)
    except (Invalid, ValueError, TypeError, OverflowError):
        return None
