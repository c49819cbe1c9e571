"""Types of options, with which every part declares its settings: each checks and converts a value, as JSON Schema too.

A configuration file yields text, null, lists and mappings only; the type of the option decides whether `off` is a word
or a boolean. Values that already have the right type pass, so that defaults take the same way.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from voluptuous import Invalid, Marker, MultipleInvalid, Optional, Required

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
JsonSchema = dict[str, Any]

_ANYTHING = r"[\s\S]*"


class Option(Protocol):
    """The type of an option: called with a value it returns the converted one or raises `voluptuous.Invalid`."""

    def __call__(self, value: object) -> Any:
        """The converted value."""

    def json_schema(self) -> JsonSchema:
        """The JSON Schema by which editors check the value."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is not empty; `pattern` must match all of it, `hint` is the message if it does not."""

    pattern: str = _ANYTHING
    hint: str = ""
    check: Callable[[str], str | None] | None = None
    """Returns what is wrong with the text, or None."""
    secret: bool = False
    """Its value is never shown, not even in an error message."""

    def __call__(self, value: object) -> str:
        if not isinstance(value, str):
            raise Invalid(f"expected text, not {_kind(value)}")
        if not value:
            raise Invalid("must not be empty")
        problem = self.check(value) if self.check else None
        if problem is None and not re.fullmatch(self.pattern, value):
            problem = self.hint
        if problem is not None:
            raise Invalid(problem if self.secret else f"{_shown(value)} {problem}")
        return value

    def json_schema(self) -> JsonSchema:
        # An editor's YAML parser makes 101 a number, where our loader keeps the text.
        schema: JsonSchema = {"type": ["string", "number"], "minLength": 1}
        return schema if self.pattern == _ANYTHING else schema | {"pattern": f"^({self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `low` to `high`."""

    low: int
    high: int

    def __call__(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Invalid(f"expected a whole number, not {_kind(value)}")
        try:
            # int() takes digits of every script; configurations hold ASCII ones.
            number = int(value) if isinstance(value, int) or value.isascii() else None
        except ValueError:
            number = None
        if number is None:
            raise Invalid(f"{_shown(value)} is not a whole number")
        _must_be_within(number, self.low, self.high, str(number))
        return number

    def json_schema(self) -> JsonSchema:
        # Text as well: quoted numbers are converted, and an editor sees `!env PORT` as the text PORT.
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "string", "pattern": r"^-?\d+$"}]}


_BOOLEANS = {spell(word): word == "true" for word in ("true", "false") for spell in (str, str.title, str.upper)}


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`; also as YAML 1.2 has them, `True` and `TRUE`."""

    def __call__(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in _BOOLEANS:
            return _BOOLEANS[value]
        raise Invalid(f"{_shown(value)} is neither true nor false")

    def json_schema(self) -> JsonSchema:
        return {"type": "boolean"}


_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds (`5`, `0.5`) or a number with a unit (`500ms`, `5s`, `2m`, `1h`), as seconds from `low` to `high`."""

    low: float
    high: float

    def __call__(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Invalid(f"expected a duration, not {_kind(value)}")
        # No more than nine digits: float() of a longer number could be infinite.
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|)", str(value).strip())
        if match is None:
            raise Invalid(f"{_shown(value)} is not a duration: write 500ms, 5s, 2m or 1h")
        seconds = float(match[1]) * _UNITS[match[2]]
        _must_be_within(seconds, self.low, self.high, str(value), _duration)
        return seconds

    def json_schema(self) -> JsonSchema:
        text = {"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|m|h)?$"}
        return {"anyOf": [{"type": "number", "minimum": self.low, "maximum": self.high}, text]}


@dataclass(frozen=True, slots=True)
class Choice(Generic[E]):
    """One of the values of an enumeration."""

    words: type[E]

    def __call__(self, value: object) -> E:
        # JSON and defaults have True where an enumeration has "true".
        word = str(value).lower() if isinstance(value, bool) or value in _BOOLEANS else value
        try:
            return self.words(word)  # type: ignore[arg-type]  # anything else is a ValueError
        except ValueError:
            raise Invalid(f"{_shown(value)} is not one of {', '.join(self.words)}") from None

    def json_schema(self) -> JsonSchema:
        # `enabled: true` and `protocol: 5` reach an editor as a boolean and a number.
        natives = [{"true": True, "false": False}.get(word) for word in self.words]
        numbers = [int(word) for word in self.words if word.isdecimal()]
        return {"enum": [*self.words, *(native for native in natives if native is not None), *numbers]}


@dataclass(frozen=True, slots=True)
class Nullable:
    """`inner`, or null for none."""

    inner: Option

    def __call__(self, value: object) -> Any:
        return None if value is None else self.inner(value)

    def json_schema(self) -> JsonSchema:
        return {"anyOf": [{"type": "null"}, self.inner.json_schema()]}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; converted to a tuple."""

    inner: Option
    example: str = '["101"]'
    """Shown in error messages."""

    def __call__(self, value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Invalid(f"expected a list, such as {self.example}, not {_kind(value)}")
        return tuple(_each((str(index), self.inner, item) for index, item in enumerate(value)))

    def json_schema(self) -> JsonSchema:
        return {"type": "array", "items": self.inner.json_schema()}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with keys chosen by the user; `example` shows one in error messages."""

    name: Option
    inner: Option
    example: str

    def __call__(self, value: object) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise Invalid(f"expected a mapping, {self.example}, not {_kind(value)}")
        # Names and values are checked in one go, so that mistakes in both are reported together.
        names = [(str(name), self.name, name) for name in value]
        converted = _each([*names, *((str(name), self.inner, item) for name, item in value.items())])
        return dict(zip(converted[: len(names)], converted[len(names) :], strict=True))

    def json_schema(self) -> JsonSchema:
        return {"type": "object", "additionalProperties": self.inner.json_schema()}


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with fixed keys in places where a section is not possible: in a list, or where null is allowed."""

    fields: Mapping[Marker, Option]

    def __call__(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Invalid(f"expected keys and values, not {_kind(value)}")
        names = [str(marker) for marker in self.fields]
        # An unknown key takes part as an option that refuses its value, and so is reported with its place.
        items: list[tuple[str, Callable[[object], Any], object]] = [
            (str(name), _Refusal(unknown_key(str(name), names)), None) for name in value if name not in names
        ]
        for marker, option in self.fields.items():
            name = str(marker)
            if name in value:
                items.append((name, option, value[name]))
            elif isinstance(marker, Optional):
                items.append((name, option, marker.default()))  # type: ignore[operator]  # every option has one
            else:
                items.append((name, _Refusal(f"is required: add {name}"), None))
        return dict(zip(names, _each(items), strict=True))

    def json_schema(self) -> JsonSchema:
        properties = {
            str(marker): option.json_schema() | {"description": marker.description} | _default(marker)
            for marker, option in self.fields.items()
        }
        required = [str(marker) for marker in self.fields if isinstance(marker, Required)]
        secrets = [str(marker) for marker, option in self.fields.items() if is_secret(option)]
        properties |= {
            f"{name}_file": {"type": "string", "description": f"A file that holds {name}"} for name in secrets
        }
        schema = {"type": "object", "additionalProperties": False, "properties": properties}
        one_of_both = [{"anyOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in secrets]
        plain = [name for name in required if name not in secrets]
        return schema | {"required": plain} | ({"allOf": one_of_both} if one_of_both else {})


def _default(marker: Marker) -> JsonSchema:
    return {"default": marker.default()} if isinstance(marker, Optional) else {}  # type: ignore[operator]  # every option has one


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Refuses every value with `message`."""

    message: str

    def __call__(self, _value: object) -> Any:
        raise Invalid(self.message)


def is_secret(option: object) -> bool:
    """Whether the option's value is never shown and may come from a file (`X_file`)."""
    inner = option.inner if isinstance(option, Nullable) else option
    return isinstance(inner, Text) and inner.secret


def unknown_key(name: str, known: Sequence[str]) -> str:
    """The message for an unknown key, with the most similar known one."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class File:
    """The path of a file, relative to the configuration's folder; the loader resolves it and checks that it exists."""

    def __call__(self, value: object) -> Path:
        if isinstance(value, Path):
            return value
        return Path(Text()(value))

    def json_schema(self) -> JsonSchema:
        return {"type": "string", "minLength": 1}


def _each(items: Iterable[tuple[str, Callable[[object], Any], object]]) -> list[Any]:
    """Convert every (place, option, value); raises MultipleInvalid with all mistakes, each with its place."""
    converted, errors = [], []
    for place, option, value in items:
        try:
            converted.append(option(value))
        except MultipleInvalid as several:
            several.prepend([place])
            errors += several.errors
        except Invalid as error:
            error.prepend([place])
            errors.append(error)
    if errors:
        raise MultipleInvalid(errors)
    return converted


def _must_be_within(number: float, low: float, high: float, shown: str, unit: Callable[[float], str] = str) -> None:
    if number < low:
        raise Invalid(f"{shown} is under {unit(low)}")
    if number > high:
        raise Invalid(f"{shown} is over {unit(high)}")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "…")  # noqa: PLR2004  # keeps the message on one line of a terminal


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", list: "a list", dict: "a mapping"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "text")


def _zone_problem(name: str) -> str | None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "is no time zone that this machine knows: write one such as Europe/Berlin"
    return None


TIME_ZONE = Nullable(Text(check=_zone_problem))
"""The name of a time zone, or null: the machine's."""


def zone(name: str | None) -> ZoneInfo | None:
    """The time zone that TIME_ZONE has checked."""
    return None if name is None else ZoneInfo(name)
