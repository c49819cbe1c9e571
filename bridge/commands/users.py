"""The command `users`: prints every user."""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.commands import arguments, running_bridge
from bridge.commands.output import harmless_json, show
from bridge.commands.running_bridge import Documents, Report
from bridge.commands.tenants import codes, for_each
from bridge.config import Config
from bridge.documents import user_documents
from bridge.domain.finding import Finding, Verdict, most_severe
from bridge.log import harmless
from bridge.mqtt.timing import USUAL, MqttTiming

_COLUMNS = ("number", "name", "state", "profile", "queue", "registered", "call")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_force(parser)
    parser.add_argument("--json", action="store_true", help="the documents, as published")


def main(options: argparse.Namespace) -> int:
    """Print the users to stdout and what is wrong to stderr; the code is that of the most severe finding."""
    path = arguments.configuration_path(options)
    if not options.json or options.pbx is not None or not path.is_dir():
        return for_each(_one)(options)
    return _as_one_document(path, options)


def _as_one_document(directory: Path, options: argparse.Namespace) -> int:
    """The documents of all PBXs in one JSON object, by `pbx.name`."""
    documents: dict[str, object] = {}

    def collect(one: argparse.Namespace) -> int:
        settings = arguments.load_configuration(one)
        documents[settings.pbx.name], findings = asyncio.run(users(settings, force=one.force))
        for finding in findings:
            show(finding, sys.stderr)
        return most_severe(finding.exit_code for finding in findings)

    code = most_severe(codes(directory, options, collect, heading=False))
    print(harmless_json(documents))
    return code


def _one(options: argparse.Namespace) -> int:
    settings = arguments.load_configuration(options)
    found, findings = asyncio.run(users(settings, force=options.force))
    code = most_severe(finding.exit_code for finding in findings)
    if found or not code:
        print(harmless_json(found) if options.json else "\n".join(as_table(found)))
    for finding in findings:
        show(finding, sys.stderr)
    return code


async def users(config: Config, *, force: bool = False, timing: MqttTiming = USUAL) -> tuple[Documents, list[Finding]]:
    """All users' documents, and what is wrong; `force`: log in to the PBX, whether or not a bridge is running."""
    if force:
        report = Report([], may_log_in=True)
    else:
        report = await running_bridge.ask(config, "users", force=False, all_users=True, timing=timing)
    findings = _wrong(report.findings)
    if not report.may_log_in:
        return report.users, findings
    async with running_bridge.own_reader(config, force=force) as (engine, reader):
        return user_documents(engine.users()), findings + _wrong(reader.findings())


def _wrong(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is not Verdict.OK]


def as_table(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The documents in columns, for a terminal."""
    rows = [tuple(map(str.upper, _COLUMNS)), *(tuple(_cells(document)) for document in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(document: Mapping[str, Any]) -> Iterator[str]:
    """Tolerant of any document: a running bridge of another version may have sent it."""
    call = document.get("call")
    parts = call if isinstance(call, dict) else {}
    state = document.get("state")
    shown = {
        **document,
        "state": f"unknown ({document.get('reason')})" if state == "unknown" else state,
        "registered": None if document.get("registered") is None else "yes" if document["registered"] else "no",
        "call": " ".join(str(parts[key]) for key in ("status", "direction", "party", "name") if parts.get(key)),
    }
    for column in _COLUMNS:
        yield harmless(str(shown.get(column) or "-"))
