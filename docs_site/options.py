"""The page of all options, from the JSON Schema of the configuration."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from docs_site.markdown import code, prose, table

_HEAD = """# Options

Every key of `config.yaml`. Only those marked as required must be set. `[]` stands for each entry of a list, `*` for a
name that you choose. [The example](../source/config.example.yaml/index.md) has all of them in one file.

Durations are seconds, or a number with a unit: `500ms`, `5s`, `2m`, `1h`. Any value can be `!secret name` (from
`secrets.yaml` beside the file) or `!env NAME`. The environment can set single values, with two underscores for each
level down: `THREECX2MQTT_MQTT__HOST` sets `mqtt.host`.
"""

_DURATION = r"^\d+(\.\d+)? ?(ms|s|m|h)?$"
_WHOLE_NUMBER = r"^-?\d+$"
_PLAIN = {"null": code("null"), "boolean": "`true` or `false`", "object": "keys below"}


@dataclass(frozen=True, slots=True)
class Row:
    """One option: its full key, such as `web.tokens[].name`, and Markdown for the rest."""

    key: str
    kind: str
    default: str
    """Also says that the option is required."""
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the configuration that is a mapping with fixed keys, or an option at the top level by itself."""

    key: str
    description: str
    """Empty where its only row says it."""
    rows: tuple[Row, ...]


def page(schema: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(_rendered(section) for section in sections(schema))])


def sections(schema: Mapping[str, Any], above: str = "") -> Iterator[Section]:
    """All sections in the order of the schema, each followed by those within it."""
    for name, inner in schema["properties"].items():
        key = f"{above}{name}"
        if _is_section(inner):
            needed = _required(inner)
            values = {option: each for option, each in inner["properties"].items() if not _is_section(each)}
            rows = [
                row for option, each in values.items() for row in _rows(f"{key}.{option}", each, needed.get(option))
            ]
            yield Section(key, inner["description"], tuple(rows))
            yield from sections(inner, f"{key}.")
        elif not above:
            yield Section(key, "", tuple(_rows(key, inner, None)))


def _rendered(section: Section) -> str:
    level = "##" if "." not in section.key else "###"
    head = f"{level} {section.key}\n"
    if section.description:
        head += f"\n{prose(section.description)}.\n"
    if not section.rows:
        return head
    return f"{head}\n{table(('key', 'what it is', 'default'), map(_cells, section.rows))}"


def _cells(row: Row) -> tuple[str, str, str]:
    # An anchor for each key, so that a single option can be linked to. Three columns fit on a phone.
    key = f"{code(row.key)}{{ #{_anchor(row.key)} }}"
    return key, f"{prose(row.description)}<br><small>{row.kind}</small>", row.default


def _anchor(key: str) -> str:
    # Distinct from the anchors of headings, which are the keys of sections.
    return f"option-{key.replace('[]', '').replace('.*', '').replace('.', '-')}"


def _is_section(schema: Mapping[str, Any]) -> bool:
    return "properties" in schema


def _required(schema: Mapping[str, Any]) -> dict[str, str]:
    """What to say of each key that must be set."""
    needed = dict.fromkeys(schema.get("required", ()), "required")
    for condition in schema.get("allOf", ()):
        choices = [name for choice in condition.get("anyOf", [condition]) for name in choice["required"]]
        needed[choices[0]] = ", here or as ".join(["required", *map(code, choices[1:])])
    return needed


def _rows(key: str, schema: Mapping[str, Any], required: str | None) -> Iterator[Row]:
    """The option itself, and what its entries consist of."""
    default = _value(schema["default"]) if "default" in schema else (required or "")
    yield Row(key, _kind(schema), default, schema["description"])
    yield from _entries(key, schema)


def _entries(key: str, schema: Mapping[str, Any]) -> Iterator[Row]:
    for choice in schema.get("anyOf", ()):
        yield from _entries(key, choice)
    if "items" in schema:
        yield from _entries(f"{key}[]", schema["items"])
    if isinstance(others := schema.get("additionalProperties"), dict):
        yield from _entries(f"{key}.*", others)
    needed = _required(schema)
    for name, inner in schema.get("properties", {}).items():
        yield from _rows(f"{key}.{name}", inner, needed.get(name))


def _value(default: object) -> str:
    if isinstance(default, str):
        return code(default)
    if isinstance(default, list):
        return code(yaml.safe_dump(default, default_flow_style=True, width=1000).strip())
    return code(json.dumps(default))


def _kind(schema: Mapping[str, Any]) -> str:
    """What may be written there, in words."""
    if "enum" in schema:
        # `true` stands there as a word too, and a number as its digits.
        return _either([code(word) for word in schema["enum"] if isinstance(word, str)])
    if "anyOf" in schema:
        return _one_of(schema["anyOf"])
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if isinstance(others := schema.get("additionalProperties"), dict):
        return f"name → {_kind(others)}"
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    # What is left: a list of types is text of which an editor may make a number or a boolean.
    return _PLAIN.get(str(schema["type"]), "text")


def _one_of(choices: list[Mapping[str, Any]]) -> str:
    patterns = {choice.get("pattern") for choice in choices}
    if _DURATION in patterns:
        (limits,) = (choice for choice in choices if choice["type"] == "number")
        return f"duration, {_span(limits['minimum'])} to {_span(limits['maximum'])}"
    kinds = [_kind(choice) for choice in choices if choice.get("pattern") != _WHOLE_NUMBER]
    return _either(sorted(kinds, key=code("null").__eq__))


def _span(seconds: float) -> str:
    """In the largest unit of which it is a whole number, as a configuration has it."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds * 1000:.0f}ms"


def _either(words: list[str]) -> str:
    """`a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
