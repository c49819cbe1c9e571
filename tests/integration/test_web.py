"""Metrics and probes of a bridge at work."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.runtime.timing import Timing
from bridge.simulator import SimulatedPbx
from bridge.sources.threecx.timing import ThreecxTiming
from bridge.web.timing import WebTiming
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber


class Pages:
    """What the bridge shows at a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.option = f"web: {{enabled: true, port: {self.port}}}"

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text; status 0 where no server listens."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                return response.status, await response.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def until(self, path: str, holds: Callable[[int, str], bool]) -> str:
        """Ask again until the answer is as wanted; gives its text."""
        answer = (0, "")
        try:
            async with asyncio.timeout(limit(10)):
                while not holds(*(answer := await self.get(path))):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{path} still says {answer}") from None
        return answer[1]

    async def until_missing(self, *missing: str) -> None:
        """Wait until /readyz misses these, and nothing else."""
        status = 503 if missing else 200
        text = await self.until(
            "/readyz", lambda code, text: code == status and set(json.loads(text)["missing"]) == set(missing)
        )
        assert json.loads(text)["ready"] is (not missing)

    async def values(self) -> dict[tuple[str, ...], float]:
        """All metrics by name and label values."""
        status, text = await self.get("/metrics")
        assert status == 200
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def pages() -> Pages:
    return Pages()


async def test_a_connection_is_cut_off_after_the_time_that_the_bridge_was_given(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, pages: Pages
) -> None:
    timing = Timing(web=WebTiming(longest_connection=0.2))
    async with running(write_config(tmp_path, pbx, url, broker.port, more=pages.option), timing=timing):
        await pages.until("/healthz", lambda code, _: code == 200)
        reader, writer = await asyncio.open_connection("127.0.0.1", pages.port)
        async with asyncio.timeout(limit(5)):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_it_is_ready_once_the_broker_is_there_and_the_pbx_answers(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, pages: Pages
) -> None:
    timing = Timing(threecx=ThreecxTiming(shortest_trust=1.5))
    await broker.stop()
    async with running(write_config(tmp_path, pbx, url, broker.port, more=pages.option), timing=timing):
        await pages.until_missing("broker")
        assert await pages.get("/healthz") == (200, "ok\n")
        await broker.start()
        await pages.until_missing()

        async def silent(_: object) -> None:
            await asyncio.sleep(60)

        pbx.intercept = silent
        await pages.until_missing("pbx")
        pbx.intercept = None
        await pages.until_missing()
        await broker.stop()
        await pages.until_missing("broker")
        assert await pages.get("/healthz") == (200, "ok\n")
        await broker.start()
        await pages.until_missing()
        assert (await pages.values())["threecx2mqtt_broker_reconnects_total",] == 1
    assert await pages.get("/healthz") == (0, "")


async def test_metrics_change_with_users_and_calls(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, pages: Pages
) -> None:
    on = {"users_source": "interval: 500ms", "active_calls": "interval: 500ms", "call_control": ""}
    async with running(write_config(tmp_path, pbx, url, broker.port, more=pages.option, **on)):
        await subscriber.until_latest("3cx/users/101/state", "available")
        await pages.until_missing()
        before = await pages.values()
        assert before["threecx2mqtt_users", "available"] == 3
        call = pbx.exchange.ring("0301234567", "101")
        pbx.exchange.answer(call)
        await subscriber.until_latest("3cx/users/101/state", "on_call")
        after = await pages.values()
        assert (after["threecx2mqtt_users", "available"], after["threecx2mqtt_users", "on_call"]) == (2, 1)
        assert (after["threecx2mqtt_users_busy",], after["threecx2mqtt_pbx_online",]) == (1, 1)
        assert after["threecx2mqtt_broker_connected",] == 1
        assert after["threecx2mqtt_messages_published_total",] > before["threecx2mqtt_messages_published_total",]
        assert after["threecx2mqtt_polls_total", "ok", "users"] >= 1
        assert after["threecx2mqtt_polls_total", "failed", "users"] == 0
        assert after["threecx2mqtt_poll_duration_seconds_count", "users"] >= 1
        names = ("monitor_status", "users", "active_calls", "call_control")
        assert {after["threecx2mqtt_source_in_use", name] for name in names} == {1}
        assert {after["threecx2mqtt_source_failing", name] for name in names} == {0}
        assert next(key for key in after if key[0] == "threecx2mqtt_build_info")[1] == pbx.version
        _, text = await pages.get("/metrics")
        for personal in (*pbx.users, *(user.name for user in pbx.users.values()), "4567", pbx.client_id):
            assert f'"{personal}"' not in text
        pbx.exchange.end(call)
        await subscriber.until_latest("3cx/users/101/state", "available")
        assert (await pages.values())["threecx2mqtt_users_busy",] == 0


async def test_a_source_that_the_pbx_forbids_is_shown_as_failing(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, pages: Pages
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port, more=pages.option, source="enabled: true")):
        await pages.until_missing()
        pbx.may_read_users = False
        await subscriber.publish("3cx/bridge/request/refresh", "")
        await pages.until(
            "/metrics", lambda _, text: 'threecx2mqtt_source_failing{source="monitor_status"} 1.0' in text
        )
        values = await pages.values()
        assert values["threecx2mqtt_source_in_use", "monitor_status"] == 0
        assert values["threecx2mqtt_polls_total", "failed", "monitor_status"] == 1
        await pages.until_missing()  # it did answer


async def test_without_the_option_no_port_is_open(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, pages: Pages
) -> None:
    off = pages.option.replace("true", "false")
    async with running(write_config(tmp_path, pbx, url, broker.port, more=off)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert await pages.get("/healthz") == (0, "")


async def test_a_taken_port_keeps_nothing_from_working(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, pages: Pages
) -> None:
    other = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", pages.port)
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, more=pages.option)) as bridge:
        await subscriber.until_latest("3cx/users/101/state", "available")
        await bridge.says(f"web: cannot listen on 127.0.0.1:{pages.port} (address already in use)")
        other.close()
        await other.wait_closed()
        await bridge.says("web: listening again")
        await pages.until_missing()
        assert bridge.log().count("ERROR") == 1


async def test_a_reload_opens_moves_and_closes_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, pages: Pages
) -> None:
    elsewhere = Pages()
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, more=pages.option)) as bridge:
        await pages.until_missing()
        bridge.hang_up()
        await bridge.says("configuration read again")
        await pages.until_missing()
        write_config(tmp_path, pbx, url, broker.port, more=elsewhere.option)
        bridge.hang_up()
        await elsewhere.until_missing()
        assert await pages.get("/healthz") == (0, "")
        write_config(tmp_path, pbx, url, broker.port)
        bridge.hang_up()
        await elsewhere.until("/healthz", lambda status, _: status == 0)
        assert "ERROR" not in bridge.log()


async def test_an_address_open_to_the_network_is_a_warning(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, pages: Pages
) -> None:
    wide = pages.option.replace("port:", "host: 0.0.0.0, port:")
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port, more=wide)) as bridge:
        await bridge.says("config.yaml:10 web.host: ")
        await pages.until_missing()
        assert logging.getLevelName(logging.WARNING) in bridge.log()
