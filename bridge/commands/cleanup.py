"""The command `cleanup`: clears every retained topic that a bridge owns, once it is no longer wanted."""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence

from bridge.commands import arguments
from bridge.commands.tenants import for_each
from bridge.config import Config
from bridge.domain.message import Message
from bridge.errors import BridgeError
from bridge.log import harmless
from bridge.mqtt.oneshot_client import NoAnswer, NoReply, OneshotClient, oneshot_client
from bridge.mqtt.read_back import Reading, Wildcards
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.topics import Topics

PAUSE = 1.0
"""Seconds between clearing discovery and clearing states: Home Assistant logs errors for empty states of an entity
that it has not removed yet.
"""

_BATCH = 500
"""So many messages are published before their acknowledgements are awaited: brokers drop what exceeds their queues, by
default 1,000 messages in Mosquitto."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    arguments.add_configuration(parser)
    parser.add_argument(
        "--pbx-name", type=arguments.pbx_name, metavar="OLD", help="an earlier pbx.name; default: the configured one"
    )
    parser.add_argument("--base-topic", type=arguments.topic, metavar="OLD", help="an earlier mqtt.base_topic")
    parser.add_argument("--yes", action="store_true", help="do not ask")


@for_each
def main(options: argparse.Namespace) -> int:
    """List the topics, ask, and clear them."""
    settings = arguments.load_configuration(options)
    own = settings.topics
    topics = Topics(options.base_topic or own.base, options.pbx_name or own.pbx_name, own.discovery_prefix)
    found, unseen = asyncio.run(owned(settings, topics))
    for message in found:
        print(harmless(message.topic))
    if found and (options.yes or _confirmed(len(found), topics)):
        asyncio.run(clear(settings, topics, found))
        left, _ = asyncio.run(owned(settings, topics))
        print(f"{len(found) - len(left)} topics cleared")
        if left:
            unseen = f"{len(left)} topics are still there: does another client publish them again?"
    elif unseen is None:
        print(f"nothing of {topics.pbx_name!r} was cleared")
    if unseen is not None:
        raise BridgeError(unseen)
    return 0


def _confirmed(count: int, topics: Topics) -> bool:
    """Whether the user agrees; BridgeError where there is no terminal to ask at."""
    if not sys.stdin.isatty():
        raise BridgeError(f"nothing was cleared: --yes clears these {count} topics")
    try:
        answer = input(f"Clear these {count} topics of {topics.pbx_name!r}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in {"y", "yes"}


async def owned(config: Config, topics: Topics, timing: MqttTiming = USUAL) -> tuple[list[Message], str | None]:
    """The messages that clear everything the bridge of `topics` has left, and why there may be more, or None.

    BridgeError where that bridge is running.
    """
    async with oneshot_client(config.mqtt, topics, "cleanup", timing) as client:
        await _must_not_run(client, topics)
        retained, reading = await client.read_back(
            (*topics.of_bridge(), *topics.all_filters()), topics.signature_filters()
        )
        return sorted(retained.owned(), key=lambda message: message.topic), _unseen(reading, topics)


async def clear(
    config: Config, topics: Topics, found: Sequence[Message], pause: float = PAUSE, timing: MqttTiming = USUAL
) -> None:
    """Publish them, discovery first; BridgeError where the bridge has been started meanwhile, or a right is missing."""
    async with oneshot_client(config.mqtt, topics, "cleanup", timing) as client:
        await _must_not_run(client, topics)
        await _publish(client, (each for each in found if topics.is_discovery_of_this_pbx(each.topic)))
        await asyncio.sleep(pause)
        await _publish(client, (each for each in found if not topics.is_discovery_of_this_pbx(each.topic)))


async def _must_not_run(client: OneshotClient, topics: Topics) -> None:
    """BridgeError where a bridge is running: it would publish everything again.

    A retained `online` alone proves nothing, as a bridge may have died without its will: it has to answer.
    """
    result = await client.probe()
    if result.online and result.owner in {None, topics.pbx_name}:
        try:
            await client.ask("check")
        except NoReply:
            return
        except NoAnswer:
            pass  # it answered, if only with an error: so it is running
        raise BridgeError(f"the bridge of {topics.pbx_name!r} is running under {topics.base}/#: stop it first")


def _unseen(reading: Reading, topics: Topics) -> str | None:
    """Why not everything that is retained could be seen, for people; None: it could."""
    if reading.wildcards is Wildcards.UNKNOWN:
        return f"this login may not read or not publish to {topics.bridge_check}: there may be more than was found"
    return None if reading.problem is None else f"there may be more than was found: {reading.problem}"


async def _publish(client: OneshotClient, messages: Iterable[Message]) -> None:
    waiting = list(messages)
    for start in range(0, len(waiting), _BATCH):
        await client.publish(waiting[start : start + _BATCH])
