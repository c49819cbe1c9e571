"""Reads a YAML file into plain values, each with its place, and resolves `!secret` and `!env`.

Of plain scalars only null is resolved; all others stay text. YAML 1.1 would turn the DN `0100` into 64, `off` into
false and `10:00` into 600. The schema converts each value by the type of its option.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bridge.config.yaml_mistakes import explained
from bridge.errors import Problem
from bridge.files import read_regular

Key = tuple[str, ...]
"""The path of a value: ("mqtt", "port")."""

# Bounds, so that a wrong file is refused before it fills the memory: YAML aliases expand a few bytes to gigabytes.
MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 20
_MAX_NODES = 200_000
_NULLS = {"", "~", "null", "Null", "NULL"}


class _Loader(yaml.SafeLoader):
    """Composes nodes whose scalars all stay text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # overrides PyYAML's own


@dataclass(slots=True)
class Tree:
    """The content of a file: `values`, the `places` of its keys (`config.yaml:14`), and the `problems` found."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    secret_files: set[Path] = field(default_factory=set)
    """Other files that secrets were read from."""
    secrets: set[str] = field(default_factory=set)
    """The values of all `!secret` tags."""

    def place(self, key: Key) -> str:
        """The place of `key`, or of the closest section above it, or the file."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        return str(self.path)

    def complain(self, key: Key, message: str) -> None:
        """Note a mistake at `key`."""
        self.problems.append(Problem(self.place(key), self._label(key), message))

    def _label(self, key: Key) -> str:
        """The key; of an entry of a list that has a name, with it: nobody counts lights."""
        entries = self.values.get(key[0]) if len(key) > 1 else None
        label = ".".join(key)
        if not isinstance(entries, list) or not key[1].isdecimal() or int(key[1]) >= len(entries):
            return label
        entry = entries[int(key[1])]
        name = entry.get("name") if isinstance(entry, dict) else None
        return f"{label} ({name})" if isinstance(name, str) else label

    def parent(self, key: Key) -> dict[str, Any] | None:
        """The mapping that holds `key`, created if missing; None if a value above it is not a mapping or list."""
        node: Any = self.values
        for name in key[:-1]:
            if isinstance(node, dict):
                if node.get(name) is None:
                    node[name] = {}
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            else:
                return None
        return node if isinstance(node, dict) else None


def read(path: Path, environ: Mapping[str, str]) -> Tree:
    """Read the file at `path`. Mistakes in it are noted in `problems`, never raised."""
    tree = Tree(path)
    text = _text(tree)
    if text is not None:
        _Reader(tree, environ).read(text)
    return tree


def read_secret_file(path: Path) -> str:
    """The secret in a file, without the newline at its end; raises ValueError with the reason if there is none.

    A byte order mark is left out, as in the configuration.
    """
    try:
        secret = read_regular(path, MAX_BYTES).decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        hint = ""
        if isinstance(error, PermissionError) and "CREDENTIALS_DIRECTORY" in os.environ:
            hint = ": for a systemd service use credentials, see docs/systemd.md"
        raise ValueError(f"cannot read {path}: {_reason(error)}{hint}") from None
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


def _text(tree: Tree) -> str | None:
    try:
        raw = read_regular(tree.path, MAX_BYTES)
        if len(raw) > MAX_BYTES:
            tree.complain((), "is larger than 1 MiB, so it is not a configuration")
            return None
        return raw.decode("utf-8-sig")  # without the byte order mark that some Windows editors write
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        tree.problems.append(Problem(f"{tree.path}:{line}", "", "is not UTF-8: save it in that encoding"))
    except OSError as error:
        tree.complain((), f"cannot be read: {_reason(error)}")
    return None


_UNQUOTED = re.compile(r"[ \t]+#[^\s#]")
"""A comment without a blank behind its #, where a value should be."""


class _Reader:
    """Converts the nodes of one file to values."""

    def __init__(self, tree: Tree, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._environ = environ
        self._nodes = 0
        self._lines: list[str] = []
        self._secrets: Mapping[str, Any] | None = None
        self._secrets_are_unusable = False

    def read(self, text: str) -> None:
        self._lines = text.splitlines()
        try:
            root = yaml.compose(text, Loader=_Loader)
            values = {} if root is None else self._value(root, ())
        except yaml.MarkedYAMLError as error:
            self._complain_at(*explained(error))
        except yaml.YAMLError as error:
            self._complain_at(1, f"is not valid YAML: {str(error).splitlines()[0]}")
        except RecursionError:
            self._complain_at(1, "is nested too deeply")
        else:
            if isinstance(values, dict):
                self._tree.values = values
            elif not self._tree.problems:
                self._complain_at(1, "must hold sections such as pbx: and mqtt:, see config.example.yaml")

    def _value(self, node: yaml.Node, key: Key) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(key) > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, "too large, or nested too deeply", node.start_mark)
        if node.tag.startswith("!"):
            return self._tagged(node, key)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*key, str(index))) for index, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if plain and not node.value and _UNQUOTED.match(self._after(node)):
            self._tree.complain(key, "is empty, as # begins a comment: put the value in quotes, or write null")
            return MISSING
        return None if plain and node.value in _NULLS else node.value

    def _after(self, node: yaml.Node) -> str:
        """The rest of the line behind an empty value."""
        mark = node.end_mark
        return self._lines[mark.line][mark.column :] if mark.line < len(self._lines) else ""

    def _item(self, node: yaml.Node, key: Key) -> Any:
        self._tree.places[key] = f"{self._tree.path}:{node.start_mark.line + 1}"
        return self._value(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self._complain_at(line, "a key must be plain text", key)
                continue
            # PyYAML lets the last of two equal keys win, which hides mistakes after copying sections.
            inner = (*key, name_node.value)
            if name_node.value in values:
                first = self._tree.places[inner].rpartition(":")[2]
                self._complain_at(line, f"duplicate key, first in line {first}: keep one", inner)
                continue
            if name_node.value == "<<":
                self._complain_at(line, "merge keys are not supported: write the options out here", inner)
                continue
            self._tree.places[inner] = f"{self._tree.path}:{line}"
            values[name_node.value] = self._value(value_node, inner)
        return values

    def _tagged(self, node: yaml.Node, key: Key) -> Any:
        self._tree.places.setdefault(key, f"{self._tree.path}:{node.start_mark.line + 1}")
        match node.tag, node:
            case "!secret", yaml.ScalarNode():
                return self._secret(node.value, key)
            case "!env", yaml.ScalarNode():
                return self._variable(node.value, None, key)
            case "!env", yaml.SequenceNode() if _is_pair(node):
                return self._variable(node.value[0].value, node.value[1].value, key)
            case "!env" | "!secret", _:
                self._tree.complain(key, "write !secret NAME, !env NAME or !env [NAME, default]")
            case _:
                self._tree.complain(key, f"unknown tag {node.tag}: use !secret or !env")
        return MISSING

    def _secret(self, name: str, key: Key) -> Any:
        own = self._tree.path.with_suffix(".secrets.yaml")
        path = self._tree.path.parent / "secrets.yaml"
        if self._secrets is None and not (path.exists() or own.exists()):
            self._tree.complain(key, f"there is no file {path} with {name!r}: create it, with a line {name}: …")
            return MISSING
        if self._secrets is None:
            self._secrets = {**self._secrets_in(path), **self._secrets_in(own)}
        if self._secrets_are_unusable:
            return MISSING  # the mistakes in the file are reported already
        path = own if own.exists() else path
        if name in self._secrets:
            self._tree.secrets |= {self._secrets[name]} if isinstance(self._secrets[name], str) else set()
            return self._secrets[name]
        self._tree.complain(key, f"there is no {name!r} in {path}: add a line {name}: …")
        return MISSING

    def _secrets_in(self, path: Path) -> Mapping[str, Any]:
        """What the file holds; nothing where there is none."""
        if not path.exists():
            return {}
        self._tree.secret_files.add(path)
        secrets = read(path, {})  # no environment: such a file is meant to be plain
        self._tree.problems += secrets.problems
        self._secrets_are_unusable |= bool(secrets.problems)
        return secrets.values

    def _variable(self, name: str, default: str | None, key: Key) -> Any:
        value = self._environ.get(name, default)
        if value is None:
            self._tree.complain(key, f"the environment has no {name}: set it, or write !env [{name}, default]")
            return MISSING
        return value

    def _complain_at(self, line: int, message: str, key: Key = ()) -> None:
        self._tree.problems.append(Problem(f"{self._tree.path}:{line}", ".".join(key), message))


class _Missing:
    """Stands for a value that could not be read; the problem is noted already and must not be reported twice."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


def _is_pair(node: yaml.SequenceNode) -> bool:
    return len(node.value) == len(("name", "default")) and all(isinstance(item, yaml.ScalarNode) for item in node.value)


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied: the account that runs this must be able to read it"
    strerror = getattr(error, "strerror", None)
    return strerror.lower() if isinstance(strerror, str) else re.sub(r"\s+", " ", str(error))
