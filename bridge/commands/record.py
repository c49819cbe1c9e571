"""The command `record`: what the PBX says, redacted, in one file. A running bridge records it itself, if it may."""

import argparse
import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from bridge.commands import arguments, running_bridge
from bridge.commands.output import show
from bridge.config import Config
from bridge.domain.finding import Finding, Verdict, fail, most_severe
from bridge.errors import EXIT_UNREACHABLE, BridgeError
from bridge.mqtt.oneshot_client import NoAnswer, OneshotClient, ProbeResult
from bridge.sources.threecx.recording import USUAL

_LATE = 30.0
"""Seconds for which the bridge's file is waited for after its end."""
_LOOK = 0.5
"""Seconds between two looks whether it is there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    arguments.add_force(parser)
    parser.add_argument(
        "--for",
        dest="seconds",
        type=arguments.recording_time,
        default=USUAL,
        metavar="TIME",
        help="how long, such as 90s or 5m; at most 10m; default: 2m",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the file to write, such as recording.jsonl.gz")


def main(options: argparse.Namespace) -> int:
    """Record; the code is that of the most severe finding."""
    settings = arguments.load_configuration(options)
    if options.output.exists():
        raise BridgeError(f"{options.output} exists already")
    if not os.access(options.output.absolute().parent, os.W_OK):
        raise BridgeError(f"cannot write into {options.output.absolute().parent}")
    findings = asyncio.run(record(settings, options.seconds, options.output, force=options.force))
    for finding in findings:
        show(finding, sys.stderr)
    return most_severe(finding.exit_code for finding in findings)


async def record(config: Config, seconds: float, output: Path, *, force: bool = False) -> list[Finding]:
    """Write `output`, or have the running bridge record and copy its file; returns what is wrong.

    `force`: log in to the PBX, whether or not a bridge is running.
    """
    findings: list[Finding] = []
    answers: list[object] = []
    if not force:

        async def ask_to_record(client: OneshotClient, result: ProbeResult) -> list[Finding]:
            if not result.online or result.owner not in {None, config.pbx.name}:
                return []
            try:
                answers.append(await client.ask("record", **{"for": seconds}))
            except NoAnswer as error:
                message = f"{error}; --force logs in to the PBX itself, after which the bridge has to log in again"
                return [fail("bridge", message, error.exit_code)]
            return []

        report = await running_bridge.ask(config, "record", force=False, and_then=ask_to_record)
        findings = [finding for finding in report.findings if finding.verdict is not Verdict.OK]
        if not report.may_log_in:
            return findings + [finding for answer in answers for finding in await _fetched(answer, output)]
    await _own(config, seconds, output, force=force)
    return findings


async def _own(config: Config, seconds: float, output: Path, *, force: bool) -> None:
    async with running_bridge.reading_pbx(config, force=force) as (_, reader):
        _say(f"recording for {seconds:g} s; Ctrl-C ends it earlier")
        try:
            await reader.recorder.record(seconds, output)
        except asyncio.CancelledError:
            if output.exists():  # noqa: ASYNC240  # at the end of the command
                _say(_written(output))
            raise
    _say(_written(output))


async def _fetched(answer: object, output: Path) -> list[Finding]:
    """Copy the file that the bridge writes, once it is there, where this account may read it."""
    match answer:
        case {"path": str(name), "seconds": int() | float() as seconds}:
            path = Path(name)
        case _:
            return [fail("bridge", "the running bridge answered with no path: is it of another version?")]
    ready = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
    _say(f"the running bridge records into {path}, until {ready}")
    try:
        content = await _content(path, seconds + _LATE)
    except OSError as error:
        _say(f"it cannot be copied from here ({error.strerror}): take it from there once it has ended")
        return []
    if content is None:
        return [fail("bridge", f"{path} is not there: the bridge's log may say why", EXIT_UNREACHABLE)]
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise BridgeError(f"cannot write {output}: {error.strerror}") from error
    _say(_written(output))
    return []


async def _content(path: Path, patience: float) -> bytes | None:
    """The file's content, once it is there; OSError where this account, or this machine, cannot look there."""
    os.scandir(path.parent).close()
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while True:
                try:
                    return path.read_bytes()  # noqa: ASYNC240  # a local file of at most a few MiB
                except FileNotFoundError:
                    await asyncio.sleep(_LOOK)
    return None


def _written(output: Path) -> str:
    return f"{output}: look through it before you give it away: zcat {output} | less"


def _say(line: str) -> None:
    print(line, flush=True)
