"""The command `cleanup`: clears every retained topic that a bridge owns, once it is no longer wanted."""

import asyncio
from collections.abc import Iterable, Sequence

from bridge.config import Config
from bridge.domain.message import Message
from bridge.errors import BridgeError
from bridge.mqtt.oneshot_client import NoAnswer, OneshotClient, Silence, visiting
from bridge.mqtt.retained import RetainedTopics
from bridge.topics import Topics

MOMENT = 1.0
"""Seconds between a device's discovery and its states: Home Assistant complains of empty states of a living entity."""

_AT_ONCE = 500


async def owned(config: Config, topics: Topics) -> list[Message]:
    """What clears all that the bridge of `topics` has left; BridgeError where that bridge is running."""
    async with visiting(config.mqtt, topics, "cleanup") as visit:
        await _must_not_run(visit, topics)
        readback = RetainedTopics(topics)
        await _read(visit, readback, (*topics.all_filters(), *topics.signature_filters()))
        await _read(visit, readback, readback.elsewhere())
        return sorted(readback.owned(), key=lambda message: message.topic)


async def clear(config: Config, topics: Topics, found: Sequence[Message]) -> None:
    """Clear it, devices first; BridgeError where that bridge is running by now, or a right is missing."""
    async with visiting(config.mqtt, topics, "cleanup") as visit:
        await _must_not_run(visit, topics)
        await _publish(visit, (each for each in found if topics.is_discovery_of_this_pbx(each.topic)))
        await asyncio.sleep(MOMENT)
        await _publish(visit, (each for each in found if not topics.is_discovery_of_this_pbx(each.topic)))


async def _must_not_run(visit: OneshotClient, topics: Topics) -> None:
    """A bridge that runs would publish everything again. One that died without a word is no hindrance."""
    sight = await visit.look()
    if sight.online and sight.owner in {None, topics.pbx_name}:
        try:
            await visit.ask("check")
        except Silence:
            return
        except NoAnswer:
            pass  # somebody lives there, whatever else is wrong
        raise BridgeError(f"the bridge of {topics.pbx_name!r} is running under {topics.base}/#: stop it first")


async def _read(visit: OneshotClient, readback: RetainedTopics, filters: Sequence[str]) -> None:
    for topic, payload in await visit.retained_under(filters):
        readback.add(topic, payload)


async def _publish(visit: OneshotClient, messages: Iterable[Message]) -> None:
    waiting = list(messages)
    for start in range(0, len(waiting), _AT_ONCE):
        await visit.publish(waiting[start : start + _AT_ONCE])
