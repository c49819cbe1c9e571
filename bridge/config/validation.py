"""Validates what a file holds against the schema; every mistake is noted with its place."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voluptuous import Invalid, Marker, MultipleInvalid, RequiredFieldInvalid, Schema

from bridge.config.schema import OPTIONS, SCHEMA
from bridge.config.tree import MISSING, Key, Tree
from bridge.options import is_secret, unknown_key
from bridge.tls import UnusableKey, load_client_certificate, trusting


def validated(tree: Tree, schema: Mapping[Marker, Any] = SCHEMA) -> dict[str, Any] | None:
    """The options with their types and defaults; None if some are wrong, which is noted in `tree.problems`."""
    missing = set(_drop_missing(tree.values))
    try:
        return dict(Schema(schema)(_with_sections(tree.values)))
    except MultipleInvalid as errors:
        for error in errors.errors:
            key = tuple(map(str, error.path))
            if key not in missing:  # a required value that could not be read is reported already
                tree.complain(*_message(key, error))
        return None


def check_files(tree: Tree, options: dict[str, Any]) -> None:
    """Resolve paths of files against the configuration's folder, and note files that are missing or unusable."""
    for section, key, name in (
        (options["pbx"], ("pbx", "verify_tls"), "verify_tls"),
        *((options["mqtt"]["tls"], ("mqtt", "tls", name), name) for name in ("ca", "cert", "key")),
    ):
        if isinstance(section[name], Path):
            section[name] = tree.path.parent / section[name]
            if not section[name].is_file():
                tree.complain(key, f"there is no file {section[name]}")
            elif name in {"verify_tls", "ca"}:
                _check_certificate(tree, key, section[name])
    tls = options["mqtt"]["tls"]
    if all(isinstance(tls[name], Path) and tls[name].is_file() for name in ("cert", "key")):
        _check_client_certificate(tree, tls["cert"], tls["key"])


def _drop_missing(values: dict[str, Any], above: Key = ()) -> Iterator[Key]:
    """Remove values that could not be read, so that the schema does not report them a second time."""
    for name, value in list(values.items()):
        if value is MISSING:
            del values[name]
            yield (*above, name)
        elif isinstance(value, dict):
            yield from _drop_missing(value, (*above, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _drop_missing(item, (*above, name, str(index)))


def _with_sections(values: dict[str, Any], above: Key = ()) -> dict[str, Any]:
    """With an empty section for each section without content (`mqtt:` alone is null in YAML)."""
    return {
        name: (
            _with_sections(value or {}, (*above, name))
            if isinstance(OPTIONS.get((*above, name)), dict) and isinstance(value, dict | None)
            else value
        )
        for name, value in values.items()
    }


def _message(key: Key, error: Invalid) -> tuple[Key, str]:
    """What to report for an error of voluptuous, whose own messages suit programmers."""
    if any(not isinstance(OPTIONS.get(key[:length], {}), dict) for length in range(1, len(key))):
        return key, error.msg  # within a list or a mapping, whose options have messages of their own
    if key not in OPTIONS:
        return key, unknown_key(key[-1], [known[-1] for known in OPTIONS if known[:-1] == key[:-1]])
    if isinstance(error, RequiredFieldInvalid):
        file = f" or {key[-1]}_file" if is_secret(OPTIONS.get(key)) else ""
        return key, f"is required: add {key[-1]}{file}"
    if isinstance(OPTIONS.get(key), dict):
        switch = f"; to switch it on or off write {key[-1]}: {{enabled: false}}" if (*key, "enabled") in OPTIONS else ""
        return key, f"expected a section: keys and values, indented{switch}"
    return key, error.msg


def _check_certificate(tree: Tree, key: Key, path: Path) -> None:
    try:
        trusting(path)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        tree.complain(key, f"{path} contains no usable certificate ({reason})")


def _check_client_certificate(tree: Tree, cert: Path, key: Path) -> None:
    try:
        load_client_certificate(ssl.create_default_context(), cert, key)
    except UnusableKey as error:
        tree.complain(("mqtt", "tls", "key" if error.in_key else "cert"), str(error))
    except OSError as error:
        tree.complain(("mqtt", "tls", "cert"), f"{cert} and {key} cannot be used ({error.strerror})")
