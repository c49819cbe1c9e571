"""The bridge as a program: health, log, log level, and the requests that it answers."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

from bridge.runtime.timing import USUAL, Timing
from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber


async def test_health_is_retained_and_published_again(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port), timing=Timing(health_interval=0.05)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: len(subscriber.payloads("3cx/bridge/health")) > 2)
        health = subscriber.json("3cx/bridge/health")
        assert (health["users"], health["reconnects"]) == (3, 0)
        assert health["polls"]["monitor_status"]["failed"] == 0
        assert health["polls"]["monitor_status"]["ok"] >= 1
        assert health["published"] > 20


async def test_the_log_level_can_be_changed_while_it_runs(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port)
    config.write_text(config.read_text().replace("level: debug", "level: info"))
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/log_level", "info")
        await subscriber.publish("3cx/bridge/request/log_level", '{"level": "debug", "transaction": "a"}')
        await subscriber.until_latest("3cx/bridge/log_level", "debug")
        answer = {"status": "ok", "data": {"level": "debug"}, "error": None, "transaction": "a"}
        await subscriber.until(lambda: json.loads(subscriber.latest["3cx/bridge/response/log_level"]) == answer)
        await subscriber.publish("3cx/bridge/request/log_level", '{"level": "chatty"}')
        await subscriber.until(lambda: "'chatty' is no log level" in subscriber.latest["3cx/bridge/response/log_level"])
        await bridge.says("request log_level: 'chatty' is no log level")


async def test_warnings_and_errors_are_published_as_they_come(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        secret = pbx.client_secret
        logging.getLogger("bridge.test").warning("the key %s is known", secret)
        logging.getLogger("bridge.test").info("of no interest")
        await subscriber.until(lambda: "3cx/bridge/log" in subscriber.latest)
        line = subscriber.json("3cx/bridge/log")
        assert (line["level"], line["message"]) == ("warning", "the key *** is known")
        assert not [retained for topic, _, retained in subscriber.log if topic == "3cx/bridge/log" and retained]
    count = len(subscriber.payloads("3cx/bridge/log"))
    logging.getLogger("bridge.test").warning("after the end of the bridge")
    await subscriber.until_latest("3cx/bridge/state", "offline")
    assert len(subscriber.payloads("3cx/bridge/log")) == count


async def test_the_request_users_answers_with_all_documents(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.publish("3cx/bridge/request/users", "")
        await subscriber.until(lambda: "3cx/bridge/response/users" in subscriber.latest)
        answer = subscriber.json("3cx/bridge/response/users")
        assert answer["status"] == "ok"
        assert answer["data"] == [subscriber.json(f"3cx/users/{dn}") for dn in pbx.users]


async def test_the_request_users_can_be_split_into_parts(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        answers = "3cx/bridge/response/users"
        for number, (request, numbers) in enumerate(
            [
                ('{"top": 2}', ["100", "101"]),
                ('{"skip": 2, "top": 2}', ["102"]),
                ('{"skip": 3}', []),
                ('{"top": -1}', None),
                ('{"skip": true}', None),
            ]
        ):
            await subscriber.publish("3cx/bridge/request/users", request)
            await subscriber.until(lambda number=number: len(subscriber.payloads(answers)) == number + 1)  # type: ignore[misc]
            answer = subscriber.json(answers)
            listed = None if answer["data"] is None else [user["number"] for user in answer["data"]]
            assert (listed, answer["status"]) == (numbers, "error" if numbers is None else "ok")


async def test_bridge_info_shows_the_shapes_of_what_the_pbx_sends_and_names_the_process(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    call = pbx.exchange.ring("0301234567", "101")
    path = write_config(tmp_path, pbx, url, broker.port, active_calls="interval: 500ms")
    timing = replace(USUAL, threecx=replace(USUAL.threecx, shapes_interval=1.0), health_interval=0.2)
    async with running(path, timing=timing):
        await subscriber.until(lambda: "call_status" in subscriber.latest.get("3cx/bridge/info", ""))
        info = subscriber.json("3cx/bridge/info")
        assert "0301234567" not in subscriber.latest["3cx/bridge/info"]
        assert info["shapes"]["call_status"] == ["Routing"]
        assert re.fullmatch("[0-9a-f]{8}", info["instance"])
        await subscriber.until(lambda: "3cx/bridge/health" in subscriber.latest)
        assert subscriber.json("3cx/bridge/health")["instance"] == info["instance"]
        written = len(subscriber.payloads("3cx/bridge/info"))
        pbx.exchange.answer(call)
        await subscriber.until(lambda: "Talking" in subscriber.latest["3cx/bridge/info"])
        assert len(subscriber.payloads("3cx/bridge/info")) == written + 1
        await subscriber.publish("3cx/bridge/request/shapes", "")
        await subscriber.until(lambda: "3cx/bridge/response/shapes" in subscriber.latest)
        counts = subscriber.json("3cx/bridge/response/shapes")["data"]
        assert {kind: sorted(texts) for kind, texts in counts.items()} == subscriber.json("3cx/bridge/info")["shapes"]
    async with running(path):
        await subscriber.until(lambda: subscriber.json("3cx/bridge/info")["instance"] != info["instance"])
