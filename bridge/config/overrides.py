"""Values from elsewhere that take the place of what the file says: environment variables, and files with secrets."""

from collections.abc import Iterator, Mapping

from bridge.config.schema import OPTIONS, is_scalar
from bridge.config.tree import MISSING, Key, Tree, read_secret_file
from bridge.options import ListOf, Record, is_secret

VARIABLE_PREFIX = "THREECX2MQTT_"
_OTHER_VARIABLES = {f"{VARIABLE_PREFIX}{name}" for name in ("CONFIG", "SHARD", "USB_PASSWORD")}
"""Variables of commands, which override no option."""


def override(tree: Tree, environ: Mapping[str, str]) -> Iterator[str]:
    """Apply `THREECX2MQTT_MQTT__HOST` to `mqtt.host` etc.; yields warnings about variables that match no option."""
    for variable in sorted(environ):
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        key = tuple(variable.removeprefix(VARIABLE_PREFIX).lower().split("__"))
        option, plain = OPTIONS.get(key), _without_file(key)
        if plain is not None:
            other = plain
        elif option is not None and is_scalar(option):
            other = (*key[:-1], f"{key[-1]}_file")
        else:
            yield f"the environment variable {variable} is ignored: no single option has this name"
            continue
        section = tree.parent(key)
        if section is not None:
            section.pop(other[-1], None)  # the variable replaces both forms of a secret
            value = environ[variable]
            section[key[-1]] = value or None  # an empty variable means null
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                yield f"{variable} begins and ends with a quote, which is taken for a part of it: leave the quotes out"
            tree.places[key] = variable


def read_secret_files(tree: Tree) -> None:
    """Replace each `X_file` by `X` with the content of that file."""
    for key in list(_secret_keys(tree)):
        section, name = tree.parent(key), key[-1]
        file_key = (*key[:-1], f"{name}_file")
        if section is None or section.get(file_key[-1]) is None:
            continue
        file = section.pop(file_key[-1])
        if section.get(name) is not None:
            tree.complain(file_key, f"{name} is set as well: keep one of them")
            continue
        tree.places[key] = tree.place(file_key)
        section[name] = MISSING
        if file is MISSING:
            continue
        tree.secret_files.add(tree.path.parent / str(file))
        try:
            section[name] = read_secret_file(tree.path.parent / str(file))
        except ValueError as error:
            tree.complain(file_key, str(error))


def _secret_keys(tree: Tree) -> Iterator[Key]:
    """The keys of all options that are secrets, in the entries that the tree's lists have too."""
    for key, option in OPTIONS.items():
        if is_secret(option):
            yield key
        elif isinstance(option, ListOf) and isinstance(option.inner, Record):
            names = [str(marker) for marker, inner in option.inner.fields.items() if is_secret(inner)]
            entries = (tree.parent(key) or {}).get(key[-1]) if names else None
            if isinstance(entries, list):
                yield from ((*key, str(index), name) for index in range(len(entries)) for name in names)


def _without_file(key: Key) -> Key | None:
    """The key of the secret whose file is named at `key` (`X` for `X_file`), or None."""
    plain = (*key[:-1], key[-1].removesuffix("_file"))
    return plain if plain != key and is_secret(OPTIONS.get(plain)) else None
