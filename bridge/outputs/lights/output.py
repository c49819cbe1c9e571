"""All lights: takes in the users' states, sends commands when they are due, and publishes what each light shows."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from voluptuous import Invalid, MultipleInvalid

from bridge.domain.clock import Clock, unix_seconds, utc_text
from bridge.domain.dn import pattern
from bridge.domain.light import MOST_BRIGHT, Followed, Look, QueueWord
from bridge.domain.message import Message, Rank
from bridge.domain.model import Bridge, CallEvent, Group, State, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.errors import BridgeError
from bridge.outputs.lights.light import NEVER, Light, Override, Shown
from bridge.outputs.lights.protocol import Availability, Command
from bridge.outputs.lights.settings import OVERRIDE, LightSettings, look_of
from bridge.ports import Publisher
from bridge.topics import Topics, to_json

Observe = Callable[[str, Mapping[str, object]], None]

_KEYS = ("pause", "override")
_WILD = set("*?[")

_logger = logging.getLogger(__name__)


class LightsOutput:
    """An Output that renders nothing: commands to a light are spaced and blink, so `tick` sends them when they are due.

    The caller sets `on_change` to learn that `tick` has something to do before the time that it returned.
    """

    def __init__(
        self,
        topics: Topics,
        lights: Sequence[LightSettings],
        publisher: Publisher,
        clock: Clock,
        observe: Observe = lambda _name, _document: None,
    ) -> None:
        """`observe` is called with the name and the document of a light whenever that is published."""
        self._topics = topics
        self._observe = observe
        self._publisher = publisher
        self._clock = clock
        self._lights = {light.name: Light(light) for light in lights}
        self._exact: dict[str, list[Light]] = {}
        self._globs: dict[re.Pattern[str], list[Light]] = {}
        """Lights with the same globs share one pattern, which is matched once per DN for all of them."""
        self._of_group: dict[str, list[Light]] = {}
        """The lights that follow a group, by its name."""
        self._of_queue: dict[str, list[Light]] = {}
        """Those that follow a queue, by its DN."""
        for light in lights:
            if light.group is not None:
                self._of_group.setdefault(light.group, []).append(self._lights[light.name])
            if light.queue is not None:
                self._of_queue.setdefault(light.queue, []).append(self._lights[light.name])
            self._note_users(light.users, self._lights[light.name])
        self._followers: dict[str, tuple[Light, ...]] = {}
        """The lights that follow a user, by DN; filled as users appear, as matching every glob for every change of
        10,000 users would cost more than all else."""
        self._published: dict[str, tuple[object, ...]] = {}
        """What was last published about each light, by its name."""
        self._changed = set(self._lights)
        """Names of the lights to update at the next tick."""
        self._next: dict[str, float] = {}
        """When each is due again at the latest (monotonic)."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when `tick` should be called soon."""

    @property
    def listeners(self) -> Mapping[str, Callable[[bytes, bool], None]]:
        """A listener per availability topic; several lights may share one topic."""
        by_topic: dict[str, list[tuple[Light, Availability]]] = {}
        for light in self._lights.values():
            if availability := light.settings.driver.availability:
                by_topic.setdefault(availability.topic, []).append((light, availability))
        return {topic: partial(self._receive_availability, lights) for topic, lights in by_topic.items()}

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """Note the user's state; `tick` sends what it changes."""
        user = after or before
        if user is not None:
            for light in self._followers_of(user.number):
                light.follow(user.number, None if after is None else after.state, self._clock.monotonic())
                self._mark_changed(light)
            if after is None:
                del self._followers[user.number]
        yield from ()

    def call(self, _user: User, _event: CallEvent) -> Iterator[Message]:
        """Nothing: lights show states."""
        yield from ()

    def today(self, _dn: str, _before: Today | None, _after: Today) -> Iterator[Message]:
        """Nothing: lights show states."""
        yield from ()

    def group(self, _before: Group | None, after: Group) -> Iterator[Message]:
        """Note who is in the group, and the members' states; `tick` sends what it changes."""
        if lights := self._of_group.get(after.name):
            states = {dn: state for dn, state, _ in after.members}
            for light in lights:
                light.follow_only(states, self._clock.monotonic())
                self._mark_changed(light)
        yield from ()

    def queue(self, before: QueueState | None, after: QueueState | None) -> Iterator[Message]:
        """Note whether callers wait; `tick` sends what it changes."""
        queue = after or before
        if queue is not None:
            for light in self._of_queue.get(queue.number, ()):
                light.follow(queue.number, None if after is None else _word(after), self._clock.monotonic())
                self._mark_changed(light)
        yield from ()

    def bridge(self, _before: Bridge | None, _after: Bridge) -> Iterator[Message]:
        """Nothing: when the PBX is unreachable, the users' states become unknown."""
        yield from ()

    def adopt(self, documents: Mapping[str, Mapping[str, object]]) -> None:
        """Take over pauses and overrides from the documents that an earlier run left retained, by light."""
        for name, document in documents.items():
            light = self._lights.get(name)
            if light is not None:
                light.paused = document.get("paused") is True
                light.override = _remembered(document.get("override"))

    def reconnected(self) -> None:
        """Start over after a connect: every user is reported again, and lights may have missed commands."""
        for light in self._lights.values():
            light.forget_users()
            light.online = None  # the retained availability comes again with the subscription
            light.send_again()

    def retained(self) -> Iterator[Message]:
        """What should be retained now."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for light in self._lights.values():
            shown = light.shown(now, wall)
            self._published[light.name] = (shown, light.paused, light.override, light.online)
            self._mark_changed(light)
            yield self._published_document(light, shown)

    def documents(self) -> Iterator[Message]:
        """The same for a look at it: nothing is sent to the lights after this."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for light in self._lights.values():
            yield self._message(light, _document(light, light.shown(now, wall)))

    def tick(self) -> float:
        """Send what is due; returns when to call again at the latest (monotonic)."""
        if not self._publisher.in_sync:
            return NEVER  # the next connect makes every light send again and calls `on_change`
        now, wall = self._clock.monotonic(), self._clock.wall()
        for name, light in self._lights.items():
            if name in self._changed or self._next.get(name, NEVER) <= now or light.depends_on_time:
                self._update(light, now, wall)
        self._changed.clear()
        return min(self._next.values(), default=NEVER)

    def _update(self, light: Light, now: float, wall: float) -> None:
        if light.override is not None and wall >= light.override.until:
            light.override = None
        shown = light.shown(now, wall)
        for command in light.due(shown, now):
            self._publisher.publish(as_message(command))
        self._next[light.name] = light.next_time(shown, now)
        content = (shown, light.paused, light.override, light.online)
        if self._published.get(light.name) != content:
            self._published[light.name] = content
            self._publisher.publish(self._published_document(light, shown))

    @property
    def topics(self) -> frozenset[str]:
        """All topics that commands to lights go to."""
        return frozenset(topic for light in self._lights.values() for topic in light.settings.driver.topics)

    def resend(self, topics: frozenset[str]) -> None:
        """Send the current commands for these topics again: the broker had denied the last ones."""
        for light in self._lights.values():
            if topics & light.settings.driver.topics:
                light.send_again()
                self._mark_changed(light)

    def farewell(self) -> Iterator[Message]:
        """The commands to send when the bridge stops or no longer drives a light."""
        for light in self._lights.values():
            yield from map(as_message, light.farewell(self._clock.wall()))

    def receive(self, name: str, request: Mapping[str, object]) -> None:
        """Pause or override the light `name`, or all lights (""); BridgeError says what a request should look like."""
        if not request or any(key not in _KEYS for key in request):
            raise BridgeError('write {"pause": true} or {"override": {"color": "#ff00ff", "for": "5m"}}')
        lights = list(self._lights.values()) if not name else [self._lights[name]] if name in self._lights else []
        if not lights:
            raise BridgeError(f"there is no light {name!r}")
        pause = request.get("pause")
        if "pause" in request and not isinstance(pause, bool):
            raise BridgeError(f"pause must be true or false, not {pause!r}")
        wanted = None if request.get("override") is None else _validated(request["override"])
        for light in lights:
            if isinstance(pause, bool):
                light.paused = pause
            if "override" in request:
                light.override = None if wanted is None else self._override(light, wanted)
            self._mark_changed(light)

    def _override(self, light: Light, wanted: Mapping[str, Any]) -> Override:
        until = NEVER if wanted["for"] is None else self._clock.wall() + wanted["for"]
        return Override(look_of(wanted, light.settings.brightness), until)

    def _followers_of(self, dn: str) -> tuple[Light, ...]:
        if dn not in self._followers:
            found = list(self._exact.get(dn, ()))
            found += [light for matches, lights in self._globs.items() if matches.match(dn) for light in lights]
            self._followers[dn] = tuple(dict.fromkeys(found))
        return self._followers[dn]

    def _note_users(self, users: Iterable[str], light: Light) -> None:
        """Most lights follow one user by number: those are found by a dictionary instead of a pattern."""
        globs = [each for each in users if set(each) & _WILD]
        if matches := pattern(globs):
            self._globs.setdefault(matches, []).append(light)
        for dn in users:
            if dn not in globs:
                self._exact.setdefault(dn, []).append(light)

    def _mark_changed(self, light: Light) -> None:
        self._changed.add(light.name)
        self.on_change()

    def _receive_availability(
        self,
        lights: Iterable[tuple[Light, Availability]],
        payload: bytes,
        retained: bool,  # noqa: FBT001  # as Listener demands
    ) -> None:
        for light, availability in lights:
            online = availability.is_online(payload.decode("utf-8", "replace"))
            if online is None:
                continue
            if online and not (retained and light.online is None):
                # It was switched on and lost the last command. A retained `online` at connect does not mean that.
                light.send_again()
            if online is not light.online:
                _logger.debug("the light %s is %s", light.name, "online" if online else "offline")
            light.online = online
            self._mark_changed(light)

    def _published_document(self, light: Light, shown: Shown) -> Message:
        """For a publication: observers are told."""
        document = _document(light, shown)
        self._observe(light.name, document)
        return self._message(light, document)

    def _message(self, light: Light, document: Mapping[str, object]) -> Message:
        payload = to_json(document).encode("utf-8", "replace")
        return Message(self._topics.light_state(light.name), payload, Rank.DETAIL)


_LEFT_ALONE = {"color": None, "brightness": None, "blink": None}
"""Of a light that the bridge leaves alone: what it shows is not known."""


def _document(light: Light, shown: Shown) -> dict[str, object]:
    return {
        "shows": shown.shows,
        "why": shown.why,
        **(_LEFT_ALONE if shown.look is None else _look_as_json(shown.look)),
        "paused": light.paused,
        "override": None if light.override is None else _override_as_json(light.override),
        "online": light.online,
    }


def _word(queue: QueueState) -> Followed:
    if queue.waiting is None:
        return State.UNKNOWN
    return QueueWord.WAITING if queue.waiting else QueueWord.IDLE


def as_message(command: Command) -> Message:
    """The command as a message. Never retained: a light that comes back later would carry out an old command."""
    payload = command.payload.encode("utf-8", "replace")
    return Message(command.topic, payload, Rank.STATE, retain=False, least_qos=1, newest=True)


def _look_as_json(look: Look) -> dict[str, object]:
    if look.color is None:
        return {"color": None, "brightness": 0, "blink": False}
    return {"color": look.color.hex, "brightness": look.brightness, "blink": look.blink}


def _override_as_json(override: Override) -> dict[str, object]:
    until = None if override.until == NEVER else utc_text(override.until)
    return {**_look_as_json(override.look), "until": until}


def _validated(value: object) -> dict[str, Any]:
    """The options of an override after validation; BridgeError names every invalid one."""
    try:
        return OVERRIDE(value)
    except MultipleInvalid as errors:
        problems = [f"{'.'.join(['override', *map(str, error.path)])}: {error.msg}" for error in errors.errors]
        raise BridgeError("; ".join(problems)) from None
    except Invalid as error:
        raise BridgeError(f"override: {error.msg}") from None


def _remembered(value: object) -> Override | None:
    """An override from the document that was published of it; None where it cannot be read."""
    if not isinstance(value, dict):
        return None
    until = value.get("until")
    written = {"color": value.get("color"), "brightness": value.get("brightness") or None, "blink": value.get("blink")}
    try:
        end = NEVER if until is None else unix_seconds(until)
        return Override(look_of(OVERRIDE(written), MOST_BRIGHT), end)
    except (Invalid, ValueError, TypeError, OverflowError):
        return None
