"""`simulate --replay`: a simulated 3CX on loopback that says what a recorded one said."""

import argparse
import asyncio
from pathlib import Path

from bridge.commands import arguments
from bridge.errors import BridgeError
from bridge.simulator.recorded import Recorded, read
from bridge.simulator.replay import ReplayedPbx

_INTRODUCTION = """\
A 3CX that says what was recorded in {file} ({answers} answers, {frames} events, {seconds:.0f} s)
is at {url}  (Ctrl-C ends it)

In config.yaml (any other client_id and client_secret will do as well):

pbx:
  url: {url}
  client_id: {client_id}
  client_secret: {client_secret}

The recording begins with the first request; after its end the last answers stay.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="say what this recording of `3cx2mqtt record` says, and no more"
    )
    parser.add_argument(
        "--speed", type=arguments.speed, default=1.0, metavar="N", help="N times as fast as it was recorded; default: 1"
    )


def run(options: argparse.Namespace) -> int:
    """Serve the recording until Ctrl-C."""
    asyncio.run(_replay(options.replay, read(options.replay), options.port, options.speed))
    return 0


async def _replay(file: Path, recorded: Recorded, port: int, speed: float) -> None:
    pbx = ReplayedPbx(recorded, speed)
    try:
        async with pbx.serve(port=port) as url:
            introduction = _INTRODUCTION.format(
                file=file,
                answers=len(recorded.answers),
                frames=len(recorded.frames),
                seconds=recorded.seconds / speed,
                url=url,
                client_id=pbx.client_id,
                client_secret=pbx.client_secret,
            )
            print(introduction, flush=True)
            await asyncio.Event().wait()
    except OSError as error:
        raise BridgeError(f"cannot serve on port {port}: {error.strerror}") from error
