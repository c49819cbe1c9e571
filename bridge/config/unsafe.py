"""Warnings about a configuration that is valid but unsafe, or in parts without effect."""

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bridge.config.tree import MAX_BYTES, Tree
from bridge.engine.settings import GroupSettings
from bridge.files import read_regular
from bridge.web.settings import WebSettings, is_loopback, web_settings

_SHORT_TOKEN = 16
"""Characters; nobody types a token, so it may be long."""


def unsafe_options(options: Mapping[str, Any], tree: Tree) -> Iterator[str]:
    """Options that let others read or fake what the bridge exchanges."""
    url = urlsplit(options["pbx"]["url"])
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield f"{tree.place(('pbx', 'url'))} pbx.url: the API key crosses the network unencrypted; use https"
    if options["pbx"]["verify_tls"] is False:
        yield (
            f"{tree.place(('pbx', 'verify_tls'))} pbx.verify_tls: the certificate is not verified, so another machine "
            "can pose as the PBX"
        )
    if options["mqtt"]["tls"]["insecure"]:
        yield (
            f"{tree.place(('mqtt', 'tls', 'insecure'))} mqtt.tls.insecure: the certificate is not verified, so another "
            "machine can pose as the broker"
        )
    yield from unsafe_web(web_settings(options["web"]), tree)


def unsafe_web(web: WebSettings, tree: Tree) -> Iterator[str]:
    """Whom the web server lets see what."""
    if not web.enabled:
        return
    place, port = tree.place(("web", "host")), f"port {web.port} of {web.host}"
    if not is_loopback(web.host):
        yield (
            f"{place} web.host: every machine that reaches {port} can read metrics and probes without a login; "
            "restrict access by a firewall"
        )
        if web.board and not web.serves_board:
            yield (
                f"{place} web.host: the board stays off, as every machine that reaches {port} could look: set "
                "web.password (or web.open: true, if everybody may)"
            )
    if web.serves_board and web.open:
        yield (
            f"{tree.place(('web', 'open'))} web.open: whoever reaches {port} sees who is on the phone with whom, "
            "without a login"
        )


def ineffective_groups(groups: Mapping[str, GroupSettings], sources: Collection[str], tree: Tree) -> Iterator[str]:
    """Members of `groups:` that no source reports; `sources` are those that are on."""
    for name, group in groups.items():
        for kind, source, named in (("departments", "users", group.departments), ("queues", "queues", group.queues)):
            if named and source not in sources:
                place = tree.place(("groups", name, kind))
                yield f"{place} groups.{name}.{kind}: has no members, as the source {source} is off"


def odd_secrets(options: Mapping[str, Any], tree: Tree) -> Iterator[str]:
    """Secrets that hold what was hardly meant to be part of them; they are used as they are."""
    for key in (("pbx", "client_secret"), ("mqtt", "password"), ("web", "password")):
        secret = options[key[0]][key[1]]
        if not secret:
            continue
        place = f"{tree.place(key)} {'.'.join(key)}"
        if secret != secret.strip():
            yield f"{place}: begins or ends with a blank, which is taken for a part of it"
        elif len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "\"'":
            yield f"{place}: begins and ends with a quote, which is taken for a part of it: leave the quotes out"
    for index, token in enumerate(options["web"]["tokens"]):
        if len(token["token"]) < _SHORT_TOKEN:
            place = tree.place(("web", "tokens", str(index), "token"))
            yield f"{place} web.tokens.{index}.token: is short enough to be guessed; write 20 random characters"


def unsafe_files(tree: Tree, secrets: Iterable[str]) -> Iterator[str]:
    """Files with secrets that every account on this machine may read.

    Those under /run are left out: container engines and systemd put secrets there, for this process alone.
    """
    files = set(tree.secret_files)
    content = read_regular(tree.path, MAX_BYTES).decode("utf-8", "replace")
    if any(secret in content for secret in secrets):
        files.add(tree.path)
    for path in sorted(files):
        if path.stat().st_mode & stat.S_IROTH and not path.is_relative_to("/run"):
            yield f"{path} contains a secret and every account on this machine can read it: chmod o-r {path}"
