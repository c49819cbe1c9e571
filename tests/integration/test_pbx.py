"""PBXs refuse, fail, lie, restart and are upgraded; what the bridge publishes stays true."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, running, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber


async def test_a_wrong_key_is_tried_once_and_logged_once(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, client_secret="wrong-key")
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/bridge/pbx"] == "offline"
        reason = subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["reason"]
        assert "the PBX refused client_id 'busylights'" in reason
        await subscriber.publish("3cx/bridge/request/refresh", "")
        await subscriber.until(lambda: "3cx/bridge/response/refresh" in subscriber.latest)
        logged = [line for line in bridge.log().splitlines() if "The client credentials are invalid" in line]
        assert len([line for line in logged if " DEBUG " not in line]) == 1
        bridge.hang_up()
        await subscriber.until(lambda: subscriber.payloads("3cx/bridge/state") == ["online", "online"])
        assert pbx.tokens.refused == 1
        assert "wrong-key" not in bridge.log()


async def test_a_refusal_is_remembered_over_restarts_until_the_key_changes(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    for _ in range(2):
        async with running(write_config(tmp_path, pbx, url, broker.port, client_secret="wrong"), tmp_path):
            await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until_latest("3cx/bridge/state", "offline")
    assert pbx.tokens.refused == 1
    async with running(write_config(tmp_path, pbx, url, broker.port), tmp_path):
        await subscriber.until_latest("3cx/users/100/state", "available")
    assert pbx.tokens.granted == 1


async def test_a_bad_filter_shows_the_pbx_s_own_message_and_the_line(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, source='filter: "Nope eq 1"')
    async with BridgeProcess.start(config) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        expected = (
            f"{config}:3 sources.monitor_status.filter: the PBX rejected the query: The query specified in the URI is "
            "not valid. Could not find a property named 'Nope' on type 'Pbx.MonitoringState'."
        )
        await bridge.says(expected)
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        assert subscriber.json("3cx/bridge/info")["sources"]["monitor_status"] == {"in_use": False, "reason": expected}


async def test_a_bad_search_names_the_search(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port, source='search: \'"x" "\'')):
        await subscriber.until_latest("3cx/bridge/state", "online")
        reason = subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["reason"]
        assert "sources.monitor_status.search: the PBX rejected the query: The query specified in" in reason
        assert 'There is an unterminated string literal at position 5 in \'"x" "\'.' in reason


async def test_a_build_without_the_function_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.version = "20.0.10.100"
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        info = subscriber.json("3cx/bridge/info")
        assert info["pbx_version"] == "20.0.10.100"
        assert "builds 20.0.4 to 20.0.8 have it" in info["sources"]["monitor_status"]["reason"]
        assert not info["sources"]["monitor_status"]["in_use"]


async def test_a_missing_right_is_named(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.may_read_users = False
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.latest["3cx/bridge/pbx"] == "online"
        reason = subscriber.json("3cx/bridge/info")["sources"]["monitor_status"]["reason"]
        assert "The role of this client does not allow this" in reason
    assert pbx.tokens.granted == 1


async def test_a_restarted_pbx_that_voids_tokens_is_logged_in_to_once_more(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.tokens.drop()
        pbx.set_state("100", "Connected")
        await subscriber.until_latest("3cx/users/100/state", "on_call")
    assert pbx.tokens.granted == 2


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (502, "text/html", "<html>Bad Gateway</html>"),
        (200, "text/html", "<html>Welcome</html>"),
        (200, "application/json", '{"value": ['),
        (200, "application/json", '{"value": 7}'),
        (200, "application/json", "[]"),
        (302, "text/html", ""),
    ],
)
async def test_a_failed_round_changes_nothing_and_the_next_good_one_counts(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
    status: int,
    content_type: str,
    body: str,
) -> None:
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        injected = 0

        async def broken(request: web.Request) -> web.Response | None:
            nonlocal injected
            injected += 1
            return web.Response(status=status, text=body, content_type=content_type) if injected < 3 else None

        pbx.intercept = broken
        while injected < 3:
            await asyncio.sleep(0.01)
        assert subscriber.payloads("3cx/users/100/state") == ["available"]
        pbx.set_state("100", "Away")
        await subscriber.until_latest("3cx/users/100/state", "away")
        assert subscriber.payloads("3cx/bridge/pbx")[-1] == "online"


async def test_rows_that_make_no_sense_are_left_out(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async def odd(request: web.Request) -> web.Response | None:
        if not request.path.endswith("GetMonitorStatus()"):
            return None
        rows = [7, None, {"Name": "nobody"}, {"Number": 205, "Status": "talking"}, {"extension": "206"}]
        return web.json_response({"value": rows})

    pbx.intercept = odd
    async with running(write_config(tmp_path, pbx, url, broker.port)):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert [entry["number"] for entry in subscriber.json("3cx/bridge/users")] == ["205", "206"]
        assert subscriber.latest["3cx/users/205/state"] == "on_call"


async def test_tls_of_the_pbx_is_verified(
    tmp_path: Path, pbx: SimulatedPbx, broker: Mosquitto, subscriber: Subscriber
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with pbx.serve(ssl_context=context) as url:
        for verify, states in (("true", None), (str(tmp_path / "ca.pem"), "available"), ("false", "available")):
            config = write_config(tmp_path, pbx, url, broker.port)
            text = config.read_text().replace("timeout: 2s", f"timeout: 2s, verify_tls: {verify}")
            config.write_text(text)
            async with running(config):
                await subscriber.until_latest("3cx/bridge/state", "online")
                assert subscriber.latest.get("3cx/users/100/state") == states
            await subscriber.until_latest("3cx/bridge/state", "offline")


async def test_another_program_with_the_same_api_client_is_named_and_states_stay(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    async with BridgeProcess.start(write_config(tmp_path, pbx, url, broker.port)) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online")
        async with asyncio.timeout(limit(20)):
            while "another program logs in with client_id 'busylights'" not in bridge.log():
                pbx.tokens.login(pbx.client_id, pbx.client_secret, "127.0.0.2")
                await asyncio.sleep(0.1)
        findings: dict[str, Any] = {}
        async with asyncio.timeout(limit(20)):
            while not findings or findings["monitor_status"]["verdict"] != "ok":  # the poll after the last such login
                subscriber.latest.pop("3cx/bridge/response/check", None)
                await subscriber.publish("3cx/bridge/request/check", "")
                await subscriber.until(lambda: "3cx/bridge/response/check" in subscriber.latest)
                findings = {each["about"]: each for each in subscriber.json("3cx/bridge/response/check")["data"]}
        assert findings["token"]["verdict"] == "warn"
        assert "give each program its own API client" in findings["token"]["message"]
