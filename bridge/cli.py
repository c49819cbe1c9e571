"""The command line: picks the command, runs it, and turns errors into exit codes."""

import argparse
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

from bridge import __version__
from bridge.errors import EXIT_CONFIG, EXIT_REFUSED, EXIT_UNREACHABLE, BridgeError

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    EXIT_OK: "success, also with warnings",
    EXIT_FAILURE: "anything that no other code says",
    EXIT_USAGE: "wrong usage",
    EXIT_UNREACHABLE: "PBX or broker not reachable",
    EXIT_REFUSED: "PBX or broker refused the login",
    EXIT_CONFIG: "wrong configuration",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C before it was done",
}
"""What each exit code means, for `--help` and the reference. Of several the first of 78, 77, 69, 1 counts."""

_COMPLETION = "--print-completion"

_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""A full disk and the like, where output goes to a file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One command: the name of its module in `bridge.commands`, and its line in `--help`."""

    module: str
    help: str
    defers: tuple[str, ...] = ()
    """Signals that wait until the command handles them and has unblocked them; they would end it before. By name, as
    Windows, where usb-light runs, lacks some."""


COMMANDS = {
    "init": Row("init", "ask for PBX and broker, try each answer, write the configuration"),
    "example": Row("example", "print the example configuration: every option with its default"),
    "run": Row("run", "the daemon", defers=("SIGHUP",)),
    "health": Row("health", "whether the daemon on this machine works; for containers"),
    "check": Row("check", "try configuration, broker and PBX; say what to fix"),
    "users": Row("users", "all users with state, profile, queue, phone and call"),
    "dashboard": Row("dashboard", "print a dashboard of all users for Home Assistant"),
    "cleanup": Row("cleanup", "clear every retained topic of the bridge, discovery included"),
    "diagnose": Row("diagnose", "write one redacted archive for a bug report"),
    "record": Row("record", "record what the PBX says, redacted, to replay or to attach to a bug report"),
    "light-test": Row("light_test", "show every look of one light's palette in turn"),
    "simulate": Row("simulate", "a simulated 3CX, for trying lights and dashboards"),
    "demo": Row("demo", "simulated 3CX, MQTT broker and bridge in one, to look at"),
    "usb-light": Row("usb_light", "let USB busy lights at this PC follow one user"),
}
"""In the order of `--help`."""


class CommandModule(Protocol):
    """What each module of `bridge.commands` that has a row in COMMANDS exports."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def main(self, options: argparse.Namespace) -> int:
        """Run the command and return its exit code. BridgeError carries the code of what went wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Wrong usage raises SystemExit(2), as argparse does."""
    words = sys.argv[1:] if arguments is None else arguments
    # No option of the program itself takes a value, so the first word that is no option names the command.
    chosen = next((word for word in words if not word.startswith("-")), "")
    _open_closed_streams()
    with _deferred(COMMANDS[chosen].defers if chosen in COMMANDS else ()):
        return _run(_parse(words, chosen))


@contextmanager
def _deferred(signals: Sequence[str]) -> Iterator[None]:
    if not signals:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.Signals[name] for name in signals])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(options: argparse.Namespace) -> int:
    """Run the command that was parsed; its errors become exit codes and a line on stderr each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal's encoding may lack letters that names have
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(options.main(options))
        sys.stdout.flush()  # here, where it can still be told that what was printed has not arrived
    except BridgeError as error:
        from bridge.commands.output import report  # noqa: PLC0415  # `--help` imports no command

        return report(error)
    except KeyboardInterrupt:
        return int(options.interrupted)
    except BrokenPipeError:  # the reader, such as `head`, has ended
        _discard_output()
        return EXIT_OK
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _discard_output()
        print(f"3cx2mqtt: the output cannot be written: {error.strerror}", file=sys.stderr)
        return EXIT_FAILURE
    return code


def _open_closed_streams() -> None:
    """Let standard streams that the caller has closed (`2>&-`) lead nowhere.

    Otherwise the next file or socket that is opened gets the stream's descriptor, and receives what is meant for it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free one, so usually that of the stream
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, mode))


def _discard_output() -> None:
    """Python flushes stdout once more at exit, which would fail again, with a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: Sequence[str], chosen: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="3cx2mqtt",
        description="Publishes the state of every 3CX user to retained MQTT topics, with Home Assistant discovery.",
        epilog="\n".join(("exit codes:", *(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items()))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(interrupted=EXIT_INTERRUPTED)
    parser.add_argument("--version", action="version", version=f"3cx2mqtt {__version__}")
    completes = _COMPLETION in arguments
    if completes or not chosen:  # imported here: it is rarely needed, and `health` runs once a minute
        shtab = importlib.import_module("shtab")
        shtab.add_argument_to(
            parser, _COMPLETION, help="print a script by which the shell completes commands and options"
        )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, row in COMMANDS.items():
        subparser = commands.add_parser(name, help=row.help)
        if completes or name == chosen:  # the others are not imported, so that `--help` answers at once
            command = cast("CommandModule", importlib.import_module(f"bridge.commands.{row.module}"))
            command.add_arguments(subparser)
            subparser.set_defaults(main=command.main)
    return parser.parse_args(arguments)
