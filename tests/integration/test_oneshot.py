"""`check` and `users`: what they say and with which code they end, with a bridge running and without."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from bridge.commands import check as check_command
from bridge.commands.users import as_table, users
from bridge.domain.finding import Finding, Verdict, most_severe
from bridge.mqtt.timing import USUAL, MqttTiming
from bridge.simulator import SimulatedPbx
from tests.support.bridges import read_config, running, started, write_config
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, with_passwords, with_rules
from tests.support.subscriber import Subscriber

EVERY_SOURCE = {
    "users_source": "interval: 500ms",
    "active_calls": "interval: 500ms",
    "call_control": "enabled: auto",
}


HASTY = MqttTiming(answer=0.2)
"""For a bridge that will never answer."""


async def check(path: Path, *, force: bool = False, timing: MqttTiming = USUAL) -> list[Finding]:
    return [finding async for finding in check_command.check(read_config(path), force=force, timing=timing)]


def verdicts(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.about, finding.verdict.value) for finding in findings]


def the(findings: list[Finding], verdict: Verdict) -> Finding:
    """The only finding with this verdict."""
    (found,) = [finding for finding in findings if finding.verdict is verdict]
    return found


async def command(*arguments: str | Path) -> tuple[int | None, str, str]:
    """Run `3cx2mqtt` with these arguments; gives exit code, output and errors."""
    async with started(*arguments) as process, asyncio.timeout(limit(30)):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_a_check_tries_broker_token_version_and_every_source(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    findings = await check(write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE))
    assert verdicts(findings) == [
        ("broker", "ok"),
        ("topics", "ok"),
        ("retained", "ok"),
        ("topics", "ok"),
        ("will", "ok"),
        ("size", "ok"),
        ("token", "ok"),
        ("version", "ok"),
        ("monitor_status", "ok"),
        ("users", "ok"),
        ("active_calls", "ok"),
        ("call_control", "ok"),
        ("queues", "ok"),
        ("system", "ok"),
    ]
    assert findings[7].message == "3CX 20.0.8.1109"
    assert pbx.tokens.granted == 1


async def test_optional_sources_that_the_pbx_lacks_are_no_failure(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.version, pbx.may_control_calls = "20.0.10.51", False
    findings = await check(write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE))
    assert {finding.exit_code for finding in findings} == {0}
    assert "not used: this 3CX 20.0.10.51 has no GetMonitorStatus()" in findings[8].message
    assert the(findings, Verdict.WARN).about == "call_control"
    assert "tick 'Call Control API Access'" in the(findings, Verdict.WARN).message


async def test_extensions_that_are_not_monitored_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.peers = {"100", "101"}
    findings = await check(write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE))
    assert "does not cover 1 of 3 users (102)" in the(findings, Verdict.WARN).message


async def test_rows_without_presence_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.rows = "official"
    findings = await check(write_config(tmp_path, pbx, url, broker.port))
    assert "monitor status reports no presence" in the(findings, Verdict.WARN).message


async def test_wrong_credentials_are_reported_once_with_77_whatever_else_is_wrong(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    path = write_config(tmp_path, pbx, url, free_port(), client_secret="wrong", **EVERY_SOURCE)
    code, output, errors = await command("check", "-c", path)
    assert code == 77
    assert [line.split(":")[0] for line in output.splitlines()] == [
        *("ok    configuration", "FAIL  broker", "warn  bridge", "FAIL  token", "", "Next, mend broker")
    ]
    assert "compare both with Integrations > API" in output
    assert errors == ""
    assert pbx.tokens.refused == 1
    code, output, errors = await command("users", "-c", path)
    assert (code, output) == (77, "")
    assert "refused client_id 'busylights'" in errors


async def test_a_refused_key_is_not_tried_again_by_the_next_command_unless_it_has_to(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, client_secret="wrong")
    for force in (False, False, True):
        assert the(await check(path, force=force), Verdict.FAIL).exit_code == 77
    assert pbx.tokens.refused == 2


async def test_a_pbx_or_a_broker_that_cannot_be_reached_is_69(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    findings = await check(write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port()))
    assert [(finding.about, finding.exit_code) for finding in findings] == [
        ("broker", 69),
        ("bridge", 0),
        ("token", 69),
    ]


async def test_a_rejected_filter_is_a_mistake_in_the_configuration(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, source='filter: "Nope eq 1"')
    failed = the(await check(path), Verdict.FAIL)
    assert (failed.about, failed.exit_code) == ("monitor_status", 78)
    assert f"{path}:3 sources.monitor_status.filter: the PBX rejected the query" in failed.message
    assert "Could not find a property named 'Nope'" in failed.message


async def test_a_missing_right_is_reported_with_what_to_do(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.may_read_calls = False
    failed = the(await check(write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE)), Verdict.FAIL)
    assert (failed.about, failed.exit_code) == ("active_calls", 1)
    assert "give it a role that may read users and calls" in failed.message


async def test_offline_checks_the_configuration_alone(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    path = write_config(tmp_path, pbx, "https://192.0.2.1", free_port())
    path.write_text(path.read_text().replace("timeout: 2s", "timeout: 2s, verify_tls: false"))
    code, output, _ = await command("check", "--offline", "-c", path)
    assert code == 0
    first, second = output.splitlines()
    assert first == f"ok    configuration: {path} is valid"
    assert second.startswith(f"warn  configuration: {path}:1 pbx.verify_tls: the certificate is not verified")
    path.write_text(path.read_text().replace("timeout: 2s", "timeout: never") + "weather: fine\n")
    code, output, errors = await command("check", "--offline", "-c", path)
    assert (code, output) == (78, "")
    assert [line.split(": ")[0] for line in errors.splitlines()] == [f"{path}:1 pbx.timeout", f"{path}:14 weather"]


async def test_a_running_bridge_is_asked_and_not_disturbed(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE)
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
        pbx.exchange.ring("0301234567", "101")
        await subscriber.until(lambda: subscriber.json("3cx/users/101")["state"] == "ringing")
        findings = await check(path)
        assert verdicts(findings) == [
            ("broker", "ok"),
            ("bridge", "ok"),
            ("token", "ok"),
            ("version", "ok"),
            ("monitor_status", "ok"),
            ("users", "ok"),
            ("active_calls", "ok"),
            ("call_control", "ok"),
            ("queues", "ok"),
            ("system", "ok"),
            ("topics", "ok"),
            ("retained", "ok"),
            ("topics", "ok"),
            ("will", "ok"),
            ("size", "ok"),
        ]
        found, findings = await users(read_config(path))
        await subscriber.until(lambda: found == [subscriber.json(f"3cx/users/{dn}") for dn in pbx.users])
        assert findings == []
        assert pbx.tokens.granted == 1
        assert set(subscriber.payloads("3cx/bridge/state")) == {"online"}
        await check(path, force=True)
        assert pbx.tokens.granted > 1
    async with Subscriber(broker.port) as later:
        await later.until_latest("3cx/bridge/state", "offline")
        assert not [topic for topic in later.latest if topic.endswith("/check")]


async def test_a_running_bridge_with_another_configuration_is_a_warning(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port)
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
        write_config(tmp_path, pbx, "http://127.0.0.1:1", broker.port, source='interval: 5s, filter: "Nope eq 1"')
        different = the(await check(path), Verdict.WARN)
        assert different.about == "bridge"
        assert (
            "another configuration (pbx.url, sources.monitor_status.filter, sources.monitor_status.interval)"
        ) in different.message
        found, findings = await users(read_config(path))
        assert (len(found), findings) == (3, [different])


async def test_failures_of_the_running_bridge_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, client_secret="wrong")
    async with running(path):
        await subscriber.until_latest("3cx/bridge/state", "online")
        failed = the(await check(path), Verdict.FAIL)
        assert (failed.about, failed.exit_code) == ("token", 77)
        found, findings = await users(read_config(path))
        assert (found, the(findings, Verdict.FAIL)) == ([], failed)
        assert pbx.tokens.refused == 1


async def test_a_bridge_that_is_online_and_does_not_answer_keeps_the_command_from_logging_in(
    tmp_path: Path,
    pbx: SimulatedPbx,
    url: str,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    await subscriber.leave_a_dead_bridge()
    path = write_config(tmp_path, pbx, url, broker.port)
    failed = the(await check(path, timing=HASTY), Verdict.FAIL)
    assert (failed.about, failed.exit_code) == ("bridge", 69)
    assert "--force" in failed.message
    found, findings = await users(read_config(path), timing=HASTY)
    assert (found, findings) == ([], [failed])
    assert pbx.tokens.granted == 0
    found, _ = await users(read_config(path), force=True)
    assert [user["number"] for user in found] == ["100", "101", "102"]


async def test_topics_of_another_pbx_s_bridge_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.publish("3cx/bridge/state", "online", retain=True)
    await subscriber.publish("3cx/bridge/info", '{"pbx":{"name":"branch"}}', retain=True)
    findings = await check(write_config(tmp_path, pbx, url, broker.port))
    failed = [finding.message for finding in findings if finding.verdict is Verdict.FAIL]
    assert "is running here, but for the PBX 'branch'; so the PBX was not asked" in failed[0]
    assert "belongs to the bridge of the PBX 'branch': set another mqtt.base_topic" in failed[1]
    assert pbx.tokens.granted == 0


@pytest.mark.parametrize(
    "answer",
    [
        "no json TRANSACTION",
        '["TRANSACTION"]',
        '{"status": "ok", "transaction": "TRANSACTION"}',
        '{"status": "ok", "data": null, "transaction": "TRANSACTION"}',
        '{"status": "ok", "data": "text", "transaction": "TRANSACTION"}',
        '{"status": "error", "error": "not today", "transaction": "TRANSACTION"}',
        '{"status": "perhaps", "transaction": "TRANSACTION"}',
    ],
)
async def test_answers_that_make_no_sense_are_reported(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber, answer: str
) -> None:
    await subscriber.publish("3cx/bridge/state", "online", retain=True)
    path = write_config(tmp_path, pbx, url, broker.port)
    asked = asyncio.ensure_future(check(path))
    await subscriber.until(lambda: "3cx/bridge/request/check" in subscriber.latest)
    transaction = subscriber.json("3cx/bridge/request/check")["transaction"]
    await subscriber.publish("3cx/bridge/response/check", answer.replace("TRANSACTION", transaction))
    failed = the(await asked, Verdict.FAIL)
    assert (failed.about, failed.exit_code) == ("bridge", 69)
    assert pbx.tokens.granted == 0


async def test_odd_findings_and_users_of_another_version_do_no_harm(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    await subscriber.publish("3cx/bridge/state", "online", retain=True)
    path = write_config(tmp_path, pbx, url, broker.port)
    asked = asyncio.ensure_future(users(read_config(path)))
    odd = ['[{"about": "x", "verdict": "maybe"}, 7, {}]', '["text", {"number": "101", "call": "text", "state": 7}]']
    for operation, data in zip(("check", "users"), odd, strict=True):
        await subscriber.until(lambda name=operation: f"3cx/bridge/request/{name}" in subscriber.latest)  # type: ignore[misc]
        transaction = subscriber.json(f"3cx/bridge/request/{operation}")["transaction"]
        answer = f'{{"status": "ok", "data": {data}, "transaction": "{transaction}"}}'
        await subscriber.publish(f"3cx/bridge/response/{operation}", answer)
    found, findings = await asked
    assert [finding.verdict for finding in findings] == [Verdict.WARN, Verdict.WARN]
    assert list(as_table(found))[1].split() == ["101", "-", "7", "-", "-", "-", "-"]


async def test_the_pbx_is_left_alone_where_a_bridge_may_run_unseen(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    rules = "user bridge\ntopic write 3cx/#\ntopic readwrite homeassistant/#\n"
    async with Mosquitto(folder, options=with_rules(folder, rules)) as broker:
        path = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        async with running(path):
            findings = await check(path, timing=MqttTiming(echo=0.3))
            assert ("bridge", "FAIL") in verdicts(findings)
            assert "may be running, but this login may not read 3cx/bridge/#" in findings[1].message
            assert pbx.tokens.granted == 1


async def test_texts_of_the_pbx_show_no_secret_and_move_no_cursor(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    async def nasty(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith("/token"):
            return None
        body = {"error": "x", "error_description": f"\x1b[2Jthe key {pbx.client_secret} \ud800 is wrong"}
        return web.json_response(body, status=401)

    pbx.intercept = nasty
    code, output, errors = await command("check", "-c", write_config(tmp_path, pbx, url, broker.port))
    assert (code, errors) == (77, "")
    assert "?[2Jthe key *** ? is wrong" in output


async def test_too_many_requests_are_no_login(tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto) -> None:
    async def busy(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=429) if request.path.endswith("/token") else None

    pbx.intercept = busy
    failed = the(await check(write_config(tmp_path, pbx, url, broker.port)), Verdict.FAIL)
    assert (failed.about, failed.exit_code) == ("token", 69)
    assert "fewer requests" in failed.message


async def test_thousands_of_users_are_asked_for_in_parts(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx = SimulatedPbx(users=1200)
    async with pbx.serve() as url:
        fast = {"users_source": "interval: 1h", "mqtt": "max_rate: 0", "homeassistant": "enabled: false"}
        path = write_config(tmp_path, pbx, url, broker.port, **fast)
        async with running(path):
            await subscriber.until_latest("3cx/bridge/state", "online", timeout=30)
            found, _ = await users(read_config(path))
            assert [user["number"] for user in found] == sorted(pbx.users)
            await subscriber.until(lambda: len(subscriber.payloads("3cx/bridge/response/users")) == 9)


async def test_what_the_broker_forbids_is_reported_though_it_acknowledges_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with Mosquitto(folder, options=with_rules(folder, "user bridge\ntopic readwrite 3cx/#\n")) as broker:
        path = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge")
        failed = the(await check(path), Verdict.FAIL)
    assert failed.exit_code == 1
    assert "allow this login to write homeassistant/device/3cx2mqtt_hq/#" in failed.message


async def test_a_broker_that_refuses_the_login_is_77(tmp_path: Path, pbx: SimulatedPbx, url: str) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with Mosquitto(folder, options=with_passwords(folder, bridge="right")) as broker:
        path = write_config(tmp_path, pbx, url, broker.port, mqtt="username: bridge, password: wrong, protocol: 3.1.1")
        findings = await check(path)
    assert (findings[0].about, findings[0].exit_code) == ("broker", 77)
    assert most_severe(finding.exit_code for finding in findings) == 77


async def test_users_are_shown_in_columns_or_as_json_and_move_no_cursor(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    pbx.change("100", name="Eve\x1b[2J")
    pbx.change("102", profile="Away", registered=False, queue="LoggedIn")
    pbx.exchange.ring("0301234567", "101")
    path = write_config(tmp_path, pbx, url, broker.port, **EVERY_SOURCE)
    code, output, errors = await command("users", "-c", path)
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "NUMBER  NAME           STATE      PROFILE    QUEUE       REGISTERED  CALL",
        "100     Eve?[2J        available  Available  logged_out  yes         -",
        "101     Bruno O'Brien  ringing    Available  logged_out  yes         ringing inbound …567",
        "102     Chloé Müller   away       Away       logged_in   no          -",
    ]
    code, output, _ = await command("users", "--json", "-c", path)
    assert code == 0
    assert [user["state"] for user in json.loads(output)] == ["available", "ringing", "away"]


@pytest.mark.parametrize(
    ("met", "code"), [([], 0), ([0, 0], 0), ([1, 69], 69), ([69, 77, 1], 77), ([1, 77, 69, 78], 78), ([1, 0], 1)]
)
def test_the_most_severe_finding_decides_the_exit_code(met: list[int], code: int) -> None:
    assert most_severe(met) == code


async def test_check_says_that_the_pbx_ignores_search(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    async def ignoring(request: web.Request) -> web.StreamResponse | None:
        if "$search" not in request.query:
            return None
        return web.json_response({"@odata.count": len(pbx.users), "value": pbx.monitor_rows()})

    pbx.intercept = ignoring
    path = write_config(tmp_path, pbx, url, broker.port, source="search: sales team, filter: 'Expiration eq 0'")
    finding = the(await check(path), Verdict.WARN)
    assert finding.about == "monitor_status"
    expected = 'sources.monitor_status.search: the PBX ignores $search: "sales team" selects 3 of 3 users; use filter'
    assert expected in finding.message
    async with running(path), asyncio.timeout(limit(20)):
        while finding not in await check(path):
            await asyncio.sleep(0.05)


async def test_check_ends_with_the_most_useful_next_step(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto
) -> None:
    async def last_line(**options: str) -> str:
        path = write_config(tmp_path, pbx, url, broker.port, **options)
        return (await command("check", "-c", path))[1].splitlines()[-1]

    assert await last_line() == f"Everything works. Next: 3cx2mqtt run -c {tmp_path / 'config.yaml'}"
    hidden = await last_line(users_source="filter: \"Number eq '9'\"")
    assert hidden.endswith("config.yaml:4 sources.users.filter lets nobody through")
    pbx.peers = {"100"}
    assert (await last_line(call_control="enabled: true")).startswith("It works. Next, look at call_control: ")
    assert (await last_line(client_secret="wrong")).startswith("Next, mend token: ")
