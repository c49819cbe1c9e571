"""What only a broker that misbehaves shows; the rest is in tests/integration."""

import asyncio
from dataclasses import replace

import pytest

from bridge.errors import BrokerUnavailable
from bridge.mqtt.oneshot_client import Inbox, NoReply, oneshot_client
from bridge.mqtt.timing import MqttTiming
from bridge.topics import Topics
from tests.mqtt.test_session import settings
from tests.support.limits import limit
from tests.support.scripted_broker import ScriptedBroker, scripted

TOPICS = Topics("3cx", "hq", "homeassistant")


async def test_more_messages_than_an_inbox_holds_are_an_error_and_not_a_wrong_result() -> None:
    inbox = Inbox()
    for number in range(10_001):
        inbox.put("3cx/users/100", b"%d" % number, True)
    with pytest.raises(BrokerUnavailable, match="more than 10000 messages at once"):
        await inbox.get()
    inbox.clear()
    inbox.put("3cx/users/100", b"later", True)
    assert await asyncio.wait_for(inbox.get(), limit(5)) == ("3cx/users/100", b"later", True)


async def test_a_broker_without_an_echo_and_a_bridge_without_an_answer_are_waited_for_as_long_as_set() -> None:
    timing = MqttTiming(echo=0.1, answer=0.1)
    async with (
        scripted(ScriptedBroker()) as broker,
        oneshot_client(replace(settings(broker.port), client_id="hq"), TOPICS, "check", timing) as client,
    ):
        assert (await client.probe()).clear
        assert not await client.echo("3cx/elsewhere")
        with pytest.raises(NoReply, match=r"no answer to 3cx/bridge/request/users within 0\.1 s"):
            await client.ask("users")
