"""From file and environment to the configuration, or to the list of all mistakes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from voluptuous import ALLOW_EXTRA, MultipleInvalid, Schema

from bridge.config.config import Config, secrets_of
from bridge.config.overrides import override, read_secret_files
from bridge.config.tree import Tree, read
from bridge.config.unsafe import ineffective_groups, odd_secrets, unsafe_files, unsafe_options
from bridge.config.validation import check_files, validated
from bridge.engine.commands import CommandsSettings
from bridge.engine.settings import UsersSettings, group_settings, presence_rules
from bridge.errors import ConfigError, Problem
from bridge.log import LogSettings
from bridge.mqtt.settings import contradictions, mqtt_settings
from bridge.mqtt.standby import settings as standby
from bridge.options import zone
from bridge.outputs.hass.settings import HassSettings
from bridge.outputs.lights import settings as lights
from bridge.sources.table import TABLE
from bridge.sources.threecx.settings import PBX_SCHEMA, pbx_settings
from bridge.web import settings as web


def load(path: Path, environ: Mapping[str, str], *, tenant: bool = False) -> Config:
    """Read the file, apply `environ`, validate; raises ConfigError with all mistakes in the order of the file.

    A `tenant` is one PBX of a fleet: it needs a name, and leaves `web:` and `log:` to the process.
    """
    tree, warnings = _read(path, environ)
    if tenant:
        warnings += _as_tenant(tree)
    read_secret_files(tree)
    # From here on mistakes are collected in the tree, so that a user sees all of them at once.
    options = validated(tree)
    if options is not None:
        check_files(tree, options)
        for key, message in contradictions(options["mqtt"]):
            tree.complain(("mqtt", *key.split(".")), message)
        sources = {name: source.settings(options["sources"][name]) for name, source in TABLE.items()}
        if not any(source.on for source in sources.values()):
            tree.complain(("sources",), "all sources are disabled, so there is nothing to publish: enable one")
        for key, message in lights.contradictions(options["lights"], options["groups"]):
            tree.complain(("lights", *key.split(".")), message)
        for key, message in web.contradictions(options["web"], options["groups"]):
            tree.complain(("web", *key.split(".")), message)
        for key, message in standby.contradictions(options):
            tree.complain(tuple(key.split(".")), message)
    if tree.problems or options is None:
        raise ConfigError(sorted(tree.problems, key=_in_file_order))
    pbx = pbx_settings(options["pbx"])
    rules, groups = presence_rules(options["presence"]), group_settings(options["groups"])
    used = {name for name, source in sources.items() if source.on}
    return Config(
        pbx=pbx,
        sources=sources,
        users=UsersSettings(**options["users"]),
        groups=groups,
        rules=rules,
        caller_id=options["privacy"]["caller_id"],
        commands=CommandsSettings(**options["commands"]),
        mqtt=mqtt_settings(options["mqtt"], pbx.name),
        standby=standby.StandbySettings(**options["standby"]),
        homeassistant=HassSettings(**options["homeassistant"]),
        zone=zone(options["time_zone"]),
        lights=lights.light_settings(options["lights"], options["palette"], rules.busy, options["time_zone"]),
        web=web.web_settings(options["web"]),
        log=LogSettings(**options["log"]),
        warnings=(
            *warnings,
            *unsafe_options(options, tree),
            *odd_secrets(options, tree),
            *unsafe_files(tree, secrets_of(options)),
            *ineffective_groups(groups, used, tree),
        ),
        options=options,
        tree=tree,
    )


def _as_tenant(tree: Tree) -> Iterator[str]:
    """Leave out what the process has once, with warnings, and note where the name is missing."""
    for name in ("web", "log"):
        if tree.values.pop(name, None) is not None:
            yield f"{tree.place((name,))} {name}: is ignored: in a fleet it belongs into fleet.yaml"
    section = tree.values.get("pbx")
    if isinstance(section, dict) and section.get("name") is None:
        tree.complain(("pbx", "name"), "is required in a fleet: add name, which no other PBX there has")


def pbx_name(path: Path, environ: Mapping[str, str]) -> str:
    """`pbx.name` alone, for `3cx2mqtt health`, which has to work with a configuration that is otherwise wrong.

    Raises ConfigError if the file cannot be read, or the name itself is wrong.
    """
    tree, _ = _read(path, environ)
    # The schema of this one option: the rest of the section may be wrong.
    (marker,) = (marker for marker in PBX_SCHEMA if marker == "name")
    section = tree.values.get("pbx")
    try:
        named = Schema({marker: PBX_SCHEMA[marker]}, extra=ALLOW_EXTRA)(section if isinstance(section, dict) else {})
    except MultipleInvalid as error:
        raise ConfigError([Problem(tree.place(("pbx", "name")), "pbx.name", error.msg)]) from None
    return str(named["name"])


def _read(path: Path, environ: Mapping[str, str]) -> tuple[Tree, list[str]]:
    """The file with the environment's overrides, and warnings about them; ConfigError if there is nothing to use."""
    tree = read(path, environ)
    if tree.problems and not tree.values:
        raise ConfigError(tree.problems)
    return tree, list(override(tree, environ))


def _in_file_order(problem: Problem) -> tuple[str, int, str]:
    path, _, line = problem.place.rpartition(":")
    return (path, int(line), problem.key) if line.isdecimal() else (problem.place, 0, problem.key)
