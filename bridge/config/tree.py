"""Reading a YAML file into plain values, each with its place; `!secret`, `!env` and file twins resolved on the way.

No plain scalar but null is resolved: `0100` is the DN 0100, `off` the word off, `08:00` the time. What a word means
is the schema's business.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bridge.errors import Problem

Key = tuple[str, ...]
"""Where a value stands, from the top: ("mqtt", "port")."""

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 20
_MAX_NODES = 200_000
_NULLS = {"", "~", "null", "Null", "NULL"}


class _Loader(yaml.SafeLoader):
    """Composes nodes; every scalar stays the text it is."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # overrides PyYAML's own


@dataclass(slots=True)
class Tree:
    """What a file says: `values`, the `places` of its keys (`config.yaml:14`), and the `problems` met while reading."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    secret_files: set[Path] = field(default_factory=set)
    """Files beside this one that secrets were read from."""
    secrets: set[str] = field(default_factory=set)
    """What `!secret` stands for, wherever it was written."""

    def place(self, key: Key) -> str:
        """Where `key` was written, or the closest section above it, or the file."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        return str(self.path)

    def complain(self, key: Key, message: str) -> None:
        """Note a mistake at `key`."""
        self.problems.append(Problem(self.place(key), ".".join(key), message))

    def parent(self, key: Key) -> dict[str, Any] | None:
        """The mapping that holds `key`, made where it is missing; None where something else is in the way."""
        node = self.values
        for name in key[:-1]:
            if node.get(name) is None:
                node[name] = {}
            node = node[name]
            if not isinstance(node, dict):
                return None
        return node


def read(path: Path, environ: Mapping[str, str]) -> Tree:
    """The configuration at `path`. Never raises for what is in the file: see `problems`."""
    tree = Tree(path)
    text = _text(tree)
    if text is not None:
        _Reader(tree, environ).read(text)
    return tree


def read_secret_file(path: Path) -> str:
    """The secret that a file holds, without the newline at its end; ValueError says why there is none."""
    try:
        secret = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        hint = ""
        if isinstance(error, PermissionError) and "CREDENTIALS_DIRECTORY" in os.environ:
            hint = ": a service gets its secrets as credentials, see docs/systemd.md"
        raise ValueError(f"cannot read {path}: {_in_words(error)}{hint}") from None
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


def _text(tree: Tree) -> str | None:
    try:
        with tree.path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            tree.complain((), "is over 1 MiB: that is no configuration")
            return None
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        tree.problems.append(Problem(f"{tree.path}:{line}", "", "is not UTF-8: save it in that encoding"))
    except OSError as error:
        tree.complain((), f"cannot be read: {_in_words(error)}")
    return None


class _Reader:
    """One reading of one file."""

    def __init__(self, tree: Tree, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._environ = environ
        self._nodes = 0
        self._secrets: Mapping[str, Any] | None = None
        self._secrets_are_no_good = False

    def read(self, text: str) -> None:
        try:
            root = yaml.compose(text, Loader=_Loader)
            values = {} if root is None else self._value(root, ())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._complain_at(line, f"is not valid YAML: {error.problem or error}")
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
        return None if plain and node.value in _NULLS else node.value

    def _item(self, node: yaml.Node, key: Key) -> Any:
        self._tree.places[key] = f"{self._tree.path}:{node.start_mark.line + 1}"
        return self._value(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self._complain_at(line, "a key must be a word", key)
                continue
            inner = (*key, name_node.value)
            if name_node.value in values:
                first = self._tree.places[inner].rpartition(":")[2]
                self._complain_at(line, f"stands twice, first in line {first}: keep one", inner)
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
                self._tree.complain(key, f"unknown tag {node.tag}: there are !secret and !env")
        return MISSING

    def _secret(self, name: str, key: Key) -> Any:
        path = self._tree.path.parent / "secrets.yaml"
        if self._secrets is None and not path.exists():
            self._tree.complain(key, f"there is no {path} to read {name!r} from: make it, with a line {name}: …")
            return MISSING
        if self._secrets is None:
            self._tree.secret_files.add(path)
            secrets = read(path, {})
            self._tree.problems += secrets.problems
            self._secrets = secrets.values
            self._secrets_are_no_good = bool(secrets.problems)
        if self._secrets_are_no_good:
            return MISSING  # which is told already
        if name in self._secrets:
            self._tree.secrets |= {self._secrets[name]} if isinstance(self._secrets[name], str) else set()
            return self._secrets[name]
        self._tree.complain(key, f"there is no {name!r} in {path}: add a line {name}: …")
        return MISSING

    def _variable(self, name: str, default: str | None, key: Key) -> Any:
        value = self._environ.get(name, default)
        if value is None:
            self._tree.complain(key, f"the environment has no {name}: set it, or write !env [{name}, default]")
            return MISSING
        return value

    def _complain_at(self, line: int, message: str, key: Key = ()) -> None:
        self._tree.problems.append(Problem(f"{self._tree.path}:{line}", ".".join(key), message))


class _Missing:
    """Stands for a value that could not be had; the problem is noted already, so nobody should complain again."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


def _is_pair(node: yaml.SequenceNode) -> bool:
    return len(node.value) == len(("name", "default")) and all(isinstance(item, yaml.ScalarNode) for item in node.value)


def _in_words(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "permission denied, whoever runs this must be able to read it"
    strerror = getattr(error, "strerror", None)
    return strerror.lower() if isinstance(strerror, str) else re.sub(r"\s+", " ", str(error))
