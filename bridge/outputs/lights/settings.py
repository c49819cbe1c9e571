"""Lights that follow users: `palette:` and `lights:`."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import Any

from voluptuous import Invalid, Optional, Required

from bridge.domain.dn import why_unpublishable
from bridge.domain.light import BLACK, OFF, Color, Followed, Look, QueueWord, color
from bridge.domain.model import State
from bridge.options import (
    TIME_ZONE,
    Boolean,
    Choice,
    Duration,
    Integer,
    JsonSchema,
    ListOf,
    MapOf,
    Nullable,
    Record,
    Text,
    zone,
)
from bridge.outputs.lights.hours import After, Hours, Weekday
from bridge.outputs.lights.protocol import Driver, DriverOptions
from bridge.outputs.lights.table import DRIVERS
from bridge.topics import DEVICE_TOPIC

_ENTITY_ID = re.compile(r"(?:light|switch|group|scene|script)\.[a-z0-9_]+")

PALETTE: dict[Followed, dict[str, Any]] = {
    State.AVAILABLE: {"color": "green"},
    State.AWAY: {"color": "yellow"},
    State.DO_NOT_DISTURB: {"color": "blue"},
    State.RINGING: {"color": "red", "blink": True},
    State.DIALING: {"color": "red"},
    State.ON_CALL: {"color": "red"},
    State.ON_HOLD: {"color": "yellow", "blink": True},
    State.OFFLINE: {"color": None},
    State.UNKNOWN: {"color": "white", "brightness": 10},
    QueueWord.WAITING: {"color": "red", "blink": True},
    QueueWord.IDLE: {"color": None},
}
"""What each state looks like unless the configuration says otherwise."""

_TIME_OF_DAY = "([01][0-9]|2[0-3]):[0-5][0-9]|24:00"

PRIORITY: tuple[Followed, ...] = (
    State.ON_CALL,
    State.ON_HOLD,
    State.RINGING,
    State.DIALING,
    State.DO_NOT_DISTURB,
    State.UNKNOWN,
    State.AWAY,
    State.AVAILABLE,
    State.OFFLINE,
)
"""The state that a light for several users shows: the first of theirs in this order. `unknown` comes before the states
that look free, as a light must not be green on a guess."""

_QUEUE_PRIORITY: tuple[Followed, ...] = (QueueWord.WAITING, State.UNKNOWN, QueueWord.IDLE)


class OnExit(StrEnum):
    """What a light is set to when the bridge stops."""

    OFF = "off"
    UNKNOWN = "unknown"
    KEEP = "keep"


class Cue(StrEnum):
    """A second sign of being busy beside the colour, for people who cannot tell red from green."""

    NONE = "none"
    BLINK = "blink"


@dataclass(frozen=True, slots=True)
class LightSettings:
    """One of `lights:`. It follows `users` (DNs or globs), the members of `group`, or the callers in `queue`.

    Times are in seconds.
    """

    name: str
    driver: Driver
    blinker: Driver
    """The same without transitions: a light that the bridge makes blink must change at once."""
    users: tuple[str, ...]
    looks: Mapping[Followed, Look | None]
    """None: the light is left alone. Of a queue: of QueueWord and `unknown`."""
    priority: tuple[Followed, ...]
    hours: Hours | None
    on_exit: OnExit
    after_call: float
    brightness: int
    """Percent, where a look names none."""
    group: str | None = None
    queue: str | None = None

    @property
    def follows(self) -> dict[str, object]:
        """Whom it follows: `{"users": […]}`, `{"group": …}` or `{"queue": …}`."""
        if self.group is not None:
            return {"group": self.group}
        return {"users": self.users} if self.queue is None else {"queue": self.queue}


class LookOption:
    """`off`, a colour, or a mapping of `color`, `blink` and `brightness`; validation returns the mapping."""

    def __call__(self, value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return _LOOK(value)
        return {"color": _SHADE(value), "blink": False, "brightness": None}

    def json_schema(self) -> JsonSchema:
        return {"anyOf": [_SHADE.json_schema(), _LOOK.json_schema()]}


@dataclass(frozen=True, slots=True)
class _ColorOption:
    more: tuple[str, ...] = ()
    """Words besides colours and `off`."""
    empty: bool = False
    """Whether null is off: in JSON, where it is no accident."""

    def __call__(self, value: object) -> str | None:
        """`#rrggbb`, None for off, or one of `more`."""
        if value is False or value == "off" or (value is None and self.empty):
            return None
        if value in self.more:
            return str(value)
        if value is None:
            raise Invalid(
                "must not be empty: a colour that begins with # needs quotes, such as '#ff0000'; or write off"
            )
        if not isinstance(value, str):
            raise Invalid("must be a colour, such as red, or off")
        try:
            shade = color(value)
        except ValueError as error:
            raise Invalid(f"{value!r} is no colour: {', '.join([str(error), *self.more])}, or off") from None
        return None if shade == BLACK else shade.hex

    def json_schema(self) -> JsonSchema:
        return {"type": ["string", "boolean"]}


class _TimeOption:
    def __call__(self, value: object) -> str:
        """`08:00`; `24:00` is midnight."""
        if not isinstance(value, str) or not re.fullmatch(_TIME_OF_DAY, value):
            raise Invalid(f"{value!r} is no time of day: write 08:00")
        return "00:00" if value == "24:00" else value

    def json_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^({_TIME_OF_DAY})$"}


_PERCENT = Integer(1, 100)
KEEP = "keep"
"""In a palette: the light is left alone."""
_SHADE = _ColorOption((KEEP,))
_LOOK = Record(
    {
        Required("color", description="A name, '#rrggbb' or 'r,g,b'; off; or keep: leave the light alone"): _SHADE,
        Optional("blink", default=False, description="Blink once a second"): Boolean(),
        Optional("brightness", default=None, description="Percent; null: the light's brightness"): Nullable(_PERCENT),
    }
)
_HOURS = Record(
    {
        Optional("days", default=[day.value for day in Weekday], description="Days on which the light works"): ListOf(
            Choice(Weekday)
        ),
        Required("from", description="Time of day, such as 08:00"): _TimeOption(),
        Required("to", description="Time of day; at or before `from`: on the next day"): _TimeOption(),
        Optional(
            "after", default="off", description="Outside of the hours: off, or keep (no commands are sent)"
        ): Choice(After),
        Optional("tz", default=None, description="Time zone; null: `time_zone`"): TIME_ZONE,
    }
)

OVERRIDE = Record(
    {
        **_LOOK.fields,
        Required("color"): _ColorOption(empty=True),
        Optional("for", default=None): Nullable(Duration(1, 30 * 86400)),
    }
)
"""A look requested by MQTT, and for how long."""


class _FollowedOption:
    """A state of users, or a word of queues."""

    def __call__(self, value: object) -> Followed:
        for words in (State, QueueWord):
            if isinstance(value, str) and value in set(words):
                return words(value)
        raise Invalid(f"{value!r} is not one of {', '.join([*State, *QueueWord])}")

    def json_schema(self) -> JsonSchema:
        return {"enum": [*State, *QueueWord]}


PALETTE_OPTION = MapOf(_FollowedOption(), LookOption(), "such as {away: orange}")

_LIGHT = Record(
    {
        Required("name", description="Name in topics and in Home Assistant"): Text(check=why_unpublishable),
        Required("driver", description=", ".join(DRIVERS)): Text(
            check=lambda name: None if name in DRIVERS else f"is no driver: there are {', '.join(DRIVERS)}"
        ),
        Required("topic", description="The light's own topic, as its documentation calls it"): DEVICE_TOPIC,
        Optional(
            "users", default=[], description="DNs or globs; with several users the most important state is shown"
        ): (ListOf(Text())),
        Optional("group", default=None, description="Name of one of `groups:`, instead of users"): Nullable(Text()),
        Optional("queue", default=None, description="DN of a queue, whose waiting callers are shown"): Nullable(Text()),
        Optional("brightness", default=100, description="Percent"): _PERCENT,
        Optional("palette", default={}, description="Looks of this light that differ from `palette:`"): PALETTE_OPTION,
        Optional(
            "priority",
            default=[state.value for state in PRIORITY],
            description="States by importance; the first is shown",
        ): ListOf(Choice(State)),
        Optional("cue", default="none", description="blink: busy states blink in addition to their colour"): Choice(
            Cue
        ),
        Optional("hours", default=None, description="When the light works; null: always"): Nullable(_HOURS),
        Optional("on_exit", default="unknown", description="What is sent when the bridge stops"): Choice(OnExit),
        Optional("after_call", default="0s", description="How long a call is shown after it has ended"): Duration(
            0, 3600
        ),
        Optional("transition", default="0s", description="Fade time from one colour to the next"): Duration(0, 10),
        Optional("effect", default=None, description="Name of the light's own effect that blinks"): Nullable(Text()),
        Optional("channel", default=0, description="Number of the output, for devices with several"): Integer(0, 31),
        Optional("component", default=None, description="Kind of output of shelly_gen2: rgb or rgbw"): Nullable(Text()),
        Optional("availability", default=None, description="Topic on which the light reports that it is online"): (
            Nullable(DEVICE_TOPIC)
        ),
        Optional("payloads", default={}, description="Driver template only: payload by state"): MapOf(
            Text(), Text(), "such as {default: '$hex'}"
        ),
    }
)
LIGHTS = ListOf(_LIGHT, "[{name: desk, driver: wled, topic: wled/1a2b3c, users: ['101']}]")


Palette = Mapping[Followed, Mapping[str, Any]]


def light_settings(
    lights: Sequence[Mapping[str, Any]], palette: Palette, busy: frozenset[State], time_zone: str | None
) -> tuple[LightSettings, ...]:
    """From validated options (LIGHTS, PALETTE_OPTION) in which `contradictions` found nothing."""
    return tuple(_light(options, palette, busy, time_zone) for options in lights)


def contradictions(lights: Sequence[Mapping[str, Any]], groups: Container[str]) -> Iterator[tuple[str, str]]:
    """Options that are valid by themselves and not together: (key below `lights`, what to do)."""
    names: set[str] = set()
    taken: dict[str, str] = {}
    for index, options in enumerate(lights):
        name = options["name"]
        if name in names:
            yield f"{index}.name", f"{name!r} is used twice: give each light a name of its own"
        names.add(name)
        group = options["group"]
        if [bool(options["users"]), group is not None, options["queue"] is not None].count(True) != 1:
            yield str(index), "must name whom the light follows: one of users, group and queue"
        elif group is not None and group not in groups:
            yield f"{index}.group", f"{group!r} is not one of groups"
        if _ENTITY_ID.fullmatch(options["topic"]):
            yield (
                f"{index}.topic",
                f"{options['topic']} is an entity of Home Assistant: write the light's own MQTT topic",
            )
        try:
            driver = _driver(options)
        except ValueError as error:
            key, _, message = str(error).partition(": ")  # as DRIVERS promises
            yield f"{index}.{key}", message
            continue
        for topic in driver.topics:
            if topic in taken:
                yield (
                    f"{index}.topic",
                    f"{topic} is the topic of the light {taken[topic]!r} too: use another",
                )
            taken[topic] = name


def _light(
    options: Mapping[str, Any], palette: Palette, busy: frozenset[State], time_zone: str | None
) -> LightSettings:
    blinking = busy if options["cue"] is Cue.BLINK else frozenset()
    words = _QUEUE_PRIORITY if options["queue"] is not None else PRIORITY
    looks = {
        state: None if written["color"] == KEEP else _look(written, options["brightness"], must_blink=state in blinking)
        for state, written in {**PALETTE, **palette, **options["palette"]}.items()
        if state in words
    }
    priority: tuple[Followed, ...] = options["priority"] if words is PRIORITY else ()
    return LightSettings(
        name=options["name"],
        driver=_driver(options),
        blinker=_driver({**options, "transition": 0.0}),
        users=options["users"],
        group=options["group"],
        queue=options["queue"],
        looks=looks,
        priority=(*priority, *(state for state in words if state not in priority)),
        hours=None if options["hours"] is None else _hours(options["hours"], time_zone),
        on_exit=options["on_exit"],
        after_call=options["after_call"],
        brightness=options["brightness"],
    )


def look_of(options: Mapping[str, Any], brightness: int) -> Look:
    """A look from validated options of OVERRIDE or a palette; `brightness` applies where they give none."""
    return _look(options, brightness, must_blink=False)


def _look(options: Mapping[str, Any], brightness: int, *, must_blink: bool) -> Look:
    written = options["color"]
    if written is None:
        return OFF
    own = options.get("brightness")
    shade: Color = color(written)
    return Look(shade, brightness if own is None else own, blink=must_blink or options.get("blink", False))


def _hours(options: Mapping[str, Any], time_zone: str | None) -> Hours:
    return Hours(
        days=frozenset(list(Weekday).index(day) for day in options["days"]),
        begin=time.fromisoformat(options["from"]),
        end=time.fromisoformat(options["to"]),
        after=options["after"],
        zone=zone(options["tz"] or time_zone),
    )


def _driver(options: Mapping[str, Any]) -> Driver:
    return DRIVERS[options["driver"]](
        DriverOptions(
            topic=options["topic"],
            transition=options["transition"],
            effect=options["effect"],
            channel=options["channel"],
            component=options["component"],
            availability=options["availability"],
            payloads=options["payloads"],
        )
    )
