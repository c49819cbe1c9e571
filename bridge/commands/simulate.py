"""The command `simulate`: a simulated 3CX on loopback, with a prompt at which its users can be changed."""

import argparse
import asyncio
import random
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

from bridge.commands import arguments, replay
from bridge.commands.output import print_now
from bridge.errors import BridgeError
from bridge.simulator import Rows, SimulatedPbx
from bridge.simulator.life import live, settle
from bridge.simulator.prompt import HELP, Prompt

_INTRODUCTION = """\
A simulated 3CX {version} with {users} people is at {url}  (Ctrl-C ends it)

In config.yaml:

pbx:
  url: {url}
  client_id: {client_id}
  client_secret: {client_secret}

People call and go away by themselves until you type the first command, which ends all their calls:

{help}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(interrupted=0)  # Ctrl-C is the usual end
    parser.add_argument(
        "--port",
        type=arguments.listening_port,
        default=0,
        metavar="N",
        help="TCP port on loopback; default: a free one",
    )
    parser.add_argument(
        "--users", type=arguments.user_count, default=8, metavar="N", help="how many people; default: 8"
    )
    parser.add_argument(
        "--pbx-version", type=arguments.pbx_version, default="20.0.8", metavar="V", help="3CX build; default: 20.0.8"
    )
    parser.add_argument(
        "--rows",
        choices=("official", "extended"),
        default="official",
        help="rows of GetMonitorStatus(): as documented, or with a state word; default: official",
    )
    replay.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Run until Ctrl-C."""
    if options.replay is not None:
        return replay.run(options)
    asyncio.run(_simulate(port=options.port, users=options.users, version=options.pbx_version, rows=options.rows))
    return 0


async def _simulate(*, port: int, users: int, version: str, rows: Rows) -> None:
    """Serve a simulated PBX on loopback until cancelled, and carry out what is typed."""
    pbx = SimulatedPbx(users=users, version=version, rows=rows)
    settle(pbx)
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(pbx.serve(port=port))
        except OSError as error:
            raise BridgeError(f"cannot serve on port {port}: {error.strerror}") from error
        print(
            _INTRODUCTION.format(
                version=version,
                users=users,
                url=url,
                client_id=pbx.client_id,
                client_secret=pbx.client_secret,
                help=HELP,
            ),
            flush=True,
        )
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        life = tasks.create_task(live(pbx, rng=random.Random(), report=print_now), name="people")  # noqa: S311
        prompt = Prompt(pbx)
        async for line in _typed():
            if life.cancel():  # the first command: from now on nothing happens by itself
                for call in list(pbx.exchange.calls):
                    pbx.exchange.end(call)
            print(prompt.do(line), flush=True)
        await asyncio.Event().wait()  # standard input has ended; the PBX is served until Ctrl-C


async def _typed() -> AsyncIterator[str]:
    """The lines that are typed; a thread reads them, since a terminal or a file cannot be awaited."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed: the command is ending
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="prompt", daemon=True).start()
    while (line := await lines.get()) is not None:
        if line.strip():
            yield line.strip()
