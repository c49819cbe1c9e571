"""`3cx2mqtt usb-light`: real busylight-core over a made-up USB port, a real Mosquitto, and what people see."""

import asyncio
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import busylight_core
import pytest
import pytest_asyncio

from bridge.cli import main
from bridge.domain.light import OFF, Color, Look, color
from bridge.domain.model import State
from bridge.usb_light import agent
from bridge.usb_light.following import Following, looks
from bridge.usb_light.lights import HINT, Library, Lights, UsbMissing, phases
from bridge.usb_light.timing import USUAL, UsbTiming
from tests.integration.test_broker import old_broker
from tests.support.beside import beside
from tests.support.bridges import Hasty, started
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto, free_port, with_passwords
from tests.support.subscriber import Subscriber
from tests.support.usb import Device, Usb, blink1, fit_statusb, flag, omega

QUICK = UsbTiming(phase=0.05, apart=0.01, rewrite=0.05, no_data=0.2)
RARE = replace(QUICK, rewrite=60.0)
"""Nothing is written again within a test."""

LOOKS = looks({}, 100, blink_busy=False)
RED = Look(color("red"))
GREEN = Look(color("green"))

# What a Luxafor Flag gets: 1, all LEDs, red, green, blue.
FLAG_OFF = bytes([1, 0xFF, 0, 0, 0])
FLAG_RED = bytes([1, 0xFF, 255, 0, 0])
FLAG_GREEN = bytes([1, 0xFF, 0, 255, 0])
FLAG_YELLOW = bytes([1, 0xFF, 255, 255, 0])
FLAG_DIM = bytes([1, 0xFF, 26, 26, 26])


def kuando(step: bytes) -> bytes:
    """What a Kuando light gets: seven steps of which one is used, sensor settings, and a sum over all of that."""
    report = step.ljust(56, b"\0") + bytes([0, 0, 0, 0, 0x0F, 0xFF])
    return report + sum(report).to_bytes(2, "big")


# Jump to step 0; repeat; red, green, blue in percent.
OMEGA_RED = kuando(bytes([0x10, 0, 100, 0, 0]))
OMEGA_OFF = kuando(bytes([0x10, 0, 0, 0, 0]))
OMEGA_AWAKE = kuando(bytes([0x8F]))


@pytest_asyncio.fixture
async def usb(monkeypatch: pytest.MonkeyPatch) -> Usb:
    """Without a device."""
    return Usb(monkeypatch)


@asynccontextmanager
async def lit(look: Look, *serials: str, timing: UsbTiming = QUICK) -> AsyncIterator[Lights]:
    """Lights in the test's own loop, switched off at the end."""
    shown = Lights(Library(), time.monotonic, serials, timing)
    shown.show(look)
    life = asyncio.create_task(shown.run())
    try:
        yield shown
    finally:
        shown.stop()
        await asyncio.wait_for(life, limit(10))


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


async def logged(log: pytest.LogCaptureFixture, text: str) -> None:
    """Wait until the log holds `text`."""
    async with asyncio.timeout(limit(10)):
        while text not in log.text:
            await asyncio.sleep(0.01)


class TestFollowing:
    def following(self) -> Following:
        return Following("3cx", "101", LOOKS)

    def online(self) -> Following:
        following = self.following()
        following.receive("3cx/bridge/state", b"online")
        following.receive("3cx/bridge/pbx", b"online")
        return following

    def test_it_needs_three_topics_only(self) -> None:
        assert self.following().topics == ("3cx/users/101/state", "3cx/bridge/state", "3cx/bridge/pbx")

    @pytest.mark.parametrize("state", list(State))
    def test_the_user_s_state_shows(self, state: State) -> None:
        following = self.online()
        following.receive("3cx/users/101/state", state.encode())
        assert following.state is state
        assert following.look == LOOKS[state]

    @pytest.mark.parametrize("topic", ["3cx/bridge/state", "3cx/bridge/pbx"])
    @pytest.mark.parametrize("payload", [b"offline", b"", b"\xff"])
    def test_the_state_is_unknown_while_bridge_or_pbx_are_not_online(self, topic: str, payload: bytes) -> None:
        following = self.online()
        following.receive("3cx/users/101/state", b"available")
        following.receive(topic, payload)
        assert following.look == LOOKS[State.UNKNOWN]
        following.receive(topic, b"online")
        assert following.look == LOOKS[State.AVAILABLE]

    @pytest.mark.parametrize("payload", [b"", b"dancing", b"\xff"])
    def test_a_cleared_topic_and_a_state_of_a_newer_bridge_are_unknown(self, payload: bytes) -> None:
        following = self.online()
        following.receive("3cx/users/101/state", b"available")
        following.receive("3cx/users/101/state", payload)
        assert following.state is State.UNKNOWN

    def test_a_lost_connection_makes_everything_unknown(self) -> None:
        following = self.online()
        following.receive("3cx/users/101/state", b"available")
        assert following.missing == ()
        following.forget()
        assert following.state is State.UNKNOWN
        assert following.missing == following.topics

    def test_the_palette(self) -> None:
        assert {
            state: (look.color and look.color.hex, look.brightness, look.blink) for state, look in LOOKS.items()
        } == {
            State.AVAILABLE: ("#00ff00", 100, False),
            State.AWAY: ("#ffff00", 100, False),
            State.DO_NOT_DISTURB: ("#0000ff", 100, False),
            State.RINGING: ("#ff0000", 100, True),
            State.DIALING: ("#ff0000", 100, False),
            State.ON_CALL: ("#ff0000", 100, False),
            State.ON_HOLD: ("#ffff00", 100, True),
            State.OFFLINE: (None, 100, False),
            State.UNKNOWN: ("#ffffff", 10, False),
        }

    def test_colours_brightness_and_blinking_can_be_chosen(self) -> None:
        palette = looks({State.ON_CALL: Color(255, 0, 255), State.AVAILABLE: None}, 50, blink_busy=True)
        assert palette[State.ON_CALL] == Look(Color(255, 0, 255), 50, blink=True)
        assert palette[State.AVAILABLE].color is None
        assert palette[State.UNKNOWN] == Look(color("white"), 5)
        assert {state for state, look in palette.items() if look.blink} == {
            State.RINGING,
            State.DIALING,
            State.ON_CALL,
            State.ON_HOLD,
            State.DO_NOT_DISTURB,
        }

    def test_what_blinks_does_so_once_a_second(self) -> None:
        assert phases(Look(color("red"), blink=True)) == ((Look(color("red"), blink=True), 0.5), (OFF, 0.5))
        assert phases(RED) == ((RED, USUAL.rewrite),)

    def test_no_light_is_written_to_more_often_than_three_flashes_a_second_allow(self) -> None:
        assert 1 / (2 * USUAL.apart) < 3


class TestLights:
    async def test_every_light_shows_the_look_and_goes_off_at_the_end(self, usb: Usb) -> None:
        one, other, serial = flag(), blink1(), fit_statusb()
        usb.plug(one, other)
        usb.plug(serial, serial=True)
        async with lit(RED) as shown:
            await usb.until_last(one, FLAG_RED)
            await usb.until_last(other, bytes([1, ord("c"), 255, 0, 0, 0, 10, 0]))
            await usb.until_last(serial, b"B#ff0000\n")
            shown.show(Look(color("white"), brightness=10))
            await usb.until_last(one, FLAG_DIM)
            await usb.until_last(serial, b"B#1a1a1a\n")
        assert one.written[-1] == FLAG_OFF
        assert other.written[-1] == bytes([1, ord("c"), 0, 0, 0, 0, 10, 0])
        assert serial.written[-1] == b"B#000000\n"

    async def test_a_light_blinks(self, usb: Usb) -> None:
        light = flag()
        usb.plug(light)
        async with lit(Look(color("red"), blink=True)):
            await usb.until(lambda: len(light.written) >= 5)
        assert light.written[:5] == [FLAG_RED, FLAG_OFF, FLAG_RED, FLAG_OFF, FLAG_RED]

    async def test_a_change_shows_at_once_though_nothing_else_is_due(self, usb: Usb) -> None:
        light = flag()
        usb.plug(light)
        async with lit(RED, timing=RARE) as shown:
            await usb.until_last(light, FLAG_RED)
            shown.show(GREEN)
            await usb.until_last(light, FLAG_GREEN)

    async def test_only_the_lights_that_are_named_are_used(self, usb: Usb) -> None:
        mine, other = flag("1"), flag("2")
        usb.plug(mine, other)
        async with lit(RED, "1"):
            await usb.until_last(mine, FLAG_RED)
        assert other.written == []

    async def test_a_kuando_light_is_kept_awake(self, usb: Usb) -> None:
        light = omega()
        usb.plug(light)
        async with lit(RED):
            await usb.until(lambda: light.written.count(OMEGA_AWAKE) >= 3)
        assert light.written[:2] == [OMEGA_RED, OMEGA_AWAKE]
        assert set(light.written[:-1]) == {OMEGA_RED, OMEGA_AWAKE}
        assert light.written[-1] == OMEGA_OFF

    async def test_the_library_s_own_keep_alives_run_in_our_loop(
        self, usb: Usb, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(busylight_core.BusylightOmega, "REFRESH_INTERVAL", 0.02)
        light = omega()
        usb.plug(light)
        async with lit(RED, timing=RARE):
            await usb.until(lambda: len(light.written) >= 5)
        assert light.written[:5] == [OMEGA_RED, *[OMEGA_AWAKE] * 4]
        assert light.written[-1] == OMEGA_OFF

    def test_lights_are_written_to_often_enough_to_stay_awake(self) -> None:
        assert USUAL.rewrite < busylight_core.BusylightOmega.KEEPALIVE_INTERVAL / 2

    async def test_a_light_that_comes_back_shows_the_current_look(
        self, usb: Usb, caplog: pytest.LogCaptureFixture
    ) -> None:
        light = flag("7")
        usb.plug(light)
        async with lit(RED) as shown:
            await usb.until_last(light, FLAG_RED)
            usb.unplug(light)
            await usb.until(lambda: bool(warnings(caplog)))
            shown.show(GREEN)
            searched = usb.searches
            await usb.until(lambda: usb.searches > searched + 3)
            usb.plug(light)
            await usb.until_last(light, FLAG_GREEN)
            assert warnings(caplog) == ["Luxafor Flag (7) no longer answers: unplugged? Waiting for it to come back"]
            usb.unplug(light)
            usb.plug(light)  # too quick for a look at what is there, and yet the old handle is dead
            written = len(light.written)
            await usb.until(lambda: len(light.written) > written)
            assert len(warnings(caplog)) == 2

    async def test_the_others_go_on_when_one_is_unplugged(self, usb: Usb, caplog: pytest.LogCaptureFixture) -> None:
        gone, left = flag(), blink1()
        usb.plug(gone, left)
        async with lit(RED) as shown:
            await usb.until_last(gone, FLAG_RED)
            usb.unplug(gone)
            await usb.until(lambda: bool(warnings(caplog)))
            shown.show(GREEN)
            await usb.until_last(left, bytes([1, ord("c"), 0, 255, 0, 0, 10, 0]))
            usb.plug(gone)
            await usb.until_last(gone, FLAG_GREEN)

    async def test_a_missing_light_is_reported_once_and_waited_for(
        self, usb: Usb, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with lit(RED):
            await usb.until(lambda: usb.searches > 3)
            assert warnings(caplog) == [f"no USB light is plugged in, waiting for one. If there is one: {HINT}"]
            light = flag()
            usb.plug(light)
            await usb.until_last(light, FLAG_RED)

    async def test_a_light_that_may_not_be_used_is_reported_once_and_tried_again(
        self, usb: Usb, caplog: pytest.LogCaptureFixture
    ) -> None:
        locked, broken = flag("1"), flag("2")
        locked.allowed, broken.broken = False, True
        usb.plug(locked, broken)
        async with lit(RED):
            await usb.until(lambda: usb.searches > 3)
            (warning,) = warnings(caplog)
            assert f"Luxafor Flag (1) is plugged in and cannot be used (open failed). {HINT}" in warning
            assert "Luxafor Flag (2) is plugged in and cannot be used" in warning
            locked.allowed, broken.broken = True, False
            await usb.until_last(locked, FLAG_RED)
            await usb.until_last(broken, FLAG_RED)

    async def test_devices_that_the_library_fails_on_do_no_harm(self, usb: Usb) -> None:
        nameless: Any = flag()
        nameless.product_string = None  # so some systems tell of a device that may not be opened
        usb.plug(nameless)
        async with lit(RED):
            await usb.until(lambda: usb.searches > 3)
            nameless.product_string = "LUXAFOR FLAG"
            await usb.until_last(nameless, FLAG_RED)

    @pytest.mark.parametrize(
        ("device", "white"),
        [
            (Device(0x1130, 0x0001), bytes.fromhex("555342430040028f")),
            (Device(0x20A0, 0x42DA), bytes([0, 7])),
        ],
    )
    async def test_a_light_without_shades_is_lit_where_it_should_be_dim(
        self, usb: Usb, device: Device, white: bytes
    ) -> None:
        usb.plug(device)
        async with lit(Look(color("white"), brightness=10)):
            await usb.until_last(device, white)


def settings(port: int, **more: Any) -> agent.Settings:
    login = (more.pop("username", None), more.pop("password", None))
    mqtt = agent.mqtt_settings("127.0.0.1", port, login, None, "101", "3cx", tls=False)
    fields: dict[str, Any] = {"colors": {}, "brightness": 100, "blink_busy": False, "serials": frozenset()}
    return agent.Settings(mqtt, "101", **(fields | more))


@asynccontextmanager
async def following(wanted: agent.Settings, timing: UsbTiming = QUICK) -> AsyncIterator[None]:
    """The agent, for the length of the block; ended as SIGTERM ends it."""
    async with beside(agent.run(wanted, Library(), Hasty(), timing)):
        yield


async def publish(subscriber: Subscriber, **payloads: str) -> None:
    topics = {"bridge": "3cx/bridge/state", "pbx": "3cx/bridge/pbx", "user": "3cx/users/101/state"}
    for name, payload in payloads.items():
        await subscriber.publish(topics[name], payload, retain=True)


class TestAgent:
    async def test_a_light_follows_its_user(self, usb: Usb, broker: Mosquitto, subscriber: Subscriber) -> None:
        light = flag()
        usb.plug(light)
        await publish(subscriber, bridge="online", pbx="online", user="available")
        async with following(settings(broker.port)):
            await usb.until_last(light, FLAG_GREEN)
            await publish(subscriber, user="on_call")
            await usb.until_last(light, FLAG_RED)
            await publish(subscriber, user="on_hold")
            await usb.until_last(light, FLAG_YELLOW)
            await usb.until_last(light, FLAG_OFF)
            await usb.until_last(light, FLAG_YELLOW)
            await publish(subscriber, user="offline")
            await usb.until_last(light, FLAG_OFF)
            await publish(subscriber, user="available")
            await usb.until_last(light, FLAG_GREEN)
            for name, then in (("pbx", "online"), ("bridge", "online"), ("user", "available")):
                await publish(subscriber, **{name: "offline" if then == "online" else ""})
                await usb.until_last(light, FLAG_DIM)
                await publish(subscriber, **{name: then})
                await usb.until_last(light, FLAG_GREEN)
        assert light.written[-1] == FLAG_OFF

    async def test_a_kuando_light_is_kept_awake_by_the_agent(
        self, usb: Usb, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(busylight_core.BusylightOmega, "REFRESH_INTERVAL", 0.02)
        light = omega()
        usb.plug(light)
        await publish(subscriber, bridge="online", pbx="online", user="on_call")
        async with following(settings(broker.port), RARE):
            await usb.until(lambda: OMEGA_RED in light.written)
            written = len(light.written)
            await usb.until(lambda: len(light.written) > written + 4)
            assert light.written[-1] == OMEGA_AWAKE
        assert light.written[-1] == OMEGA_OFF

    async def test_without_a_broker_nothing_is_known_and_that_is_reported_once(
        self, usb: Usb, broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "bridge")
        light = flag()
        usb.plug(light)
        await publish(subscriber, bridge="online", pbx="online", user="available")
        async with following(settings(broker.port)):
            await usb.until_last(light, FLAG_GREEN)
            await broker.stop()
            await usb.until_last(light, FLAG_DIM)
            await usb.until(lambda: "cannot connect" in caplog.text)
            await broker.start()
            async with Subscriber(broker.port) as later:
                await publish(later, bridge="online", pbx="online", user="on_call")
                await usb.until_last(light, FLAG_RED)
        assert "MQTT broker reachable again" in caplog.text
        assert len(warnings(caplog)) == len(set(warnings(caplog))) <= 2

    async def test_a_broker_without_mqtt_5_is_used_with_3_1_1(
        self, usb: Usb, broker: Mosquitto, subscriber: Subscriber
    ) -> None:
        light = flag()
        usb.plug(light)
        await publish(subscriber, bridge="online", pbx="online", user="available")
        async with old_broker(broker.port) as port, following(settings(port)):
            await usb.until_last(light, FLAG_GREEN)

    async def test_a_broker_that_goes_much_later_is_noticed_too(
        self, usb: Usb, broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "bridge")
        light = flag()
        usb.plug(light)
        await publish(subscriber, bridge="online", pbx="online")
        async with following(settings(broker.port)):
            await logged(caplog, "no message on")
            await publish(subscriber, user="available")
            await usb.until_last(light, FLAG_GREEN)
            await broker.stop()
            await usb.until_last(light, FLAG_DIM)

    async def test_a_refused_login_is_reported_with_the_option_to_fix(
        self, usb: Usb, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "strict"
        light = flag()
        usb.plug(light)
        async with Mosquitto(folder, options=with_passwords(folder, **{"light-101": "right"})) as strict:
            async with following(settings(strict.port, username="light-101", password="wrong")):
                await usb.until(lambda: bool(warnings(caplog)))
                await usb.until_last(light, FLAG_DIM)
            (warning,) = warnings(caplog)
            assert "refused the login of 'light-101'" in warning
            assert "check --username and the password" in warning

    async def test_topics_without_a_message_are_reported(
        self, usb: Usb, broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
    ) -> None:
        usb.plug(flag())
        await publish(subscriber, bridge="online", pbx="online")
        async with following(settings(broker.port)):
            await usb.until(lambda: bool(warnings(caplog)))
        (warning,) = warnings(caplog)
        assert warning.startswith("no message on 3cx/users/101/state: is it published")

    async def test_a_light_that_hangs_blocks_neither_mqtt_nor_the_end(
        self, usb: Usb, broker: Mosquitto, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "bridge")
        hanging, free = threading.Event(), threading.Event()

        def hang() -> None:
            hanging.set()
            usb.happened()
            free.wait(limit(10))

        usb.on_write = hang
        light = flag()
        usb.plug(light)
        try:
            async with asyncio.timeout(limit(5)):
                async with following(settings(broker.port), replace(QUICK, farewell=0.1)):
                    await usb.until(hanging.is_set)
                    await logged(caplog, "no message on")
            assert "a USB light does not react" in caplog.text
        finally:
            usb.on_write = lambda: None
            free.set()
            await usb.until_last(light, FLAG_OFF)

    async def test_an_internal_error_in_the_lights_ends_the_agent(
        self, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise LookupError("a bug")

        monkeypatch.setattr(Library, "plugged_in", broken)
        with pytest.raises(ExceptionGroup) as caught:
            await agent.run(settings(broker.port), Library(), random.Random(1))
        assert caught.group_contains(LookupError)


class TestCommand:
    @pytest.fixture(autouse=True)
    def quiet(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.delenv("THREECX2MQTT_USB_PASSWORD", raising=False)
        root, own = logging.getLogger(), logging.getLogger("bridge")
        kept = root.handlers[:], root.level, own.level
        yield
        root.handlers[:], root.level, own.level = kept

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[agent.Settings]:
        """What the command would run with."""
        asked: list[agent.Settings] = []
        monkeypatch.setattr(agent, "main", asked.append)
        return asked

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_ends_it_with_0(self, number: signal.Signals, broker: Mosquitto) -> None:
        async with started("usb-light", "--host", "127.0.0.1", "--port", str(broker.port), "--user", "101") as process:
            await self.printed(process, b"connected to")
            await self.ends_well(process, number)

    async def test_a_signal_ends_it_while_there_is_no_broker(self) -> None:
        async with started("usb-light", "--host", "127.0.0.1", "--port", str(free_port()), "--user", "101") as process:
            await self.printed(process, b"cannot connect")
            await self.ends_well(process, signal.SIGTERM)

    async def printed(self, process: asyncio.subprocess.Process, text: bytes) -> None:
        """Wait until it has logged `text`."""
        assert process.stderr is not None
        async with asyncio.timeout(limit(30)):
            while text not in await process.stderr.readline():
                assert not process.stderr.at_eof()

    async def ends_well(self, process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        process.send_signal(number)
        async with asyncio.timeout(limit(5)):
            _, errors = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in errors

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--host", "broker"], "--host and --user are required"),
            (["--user", "101"], "--host and --user are required"),
            (["--host", "broker", "--user", "1/1"], "is no user's number"),
            (["--host", "broker", "--user", "101", "--base-topic", "3cx/#"], "must not contain"),
            (["--host", "broker", "--user", "101", "--password", "geheim"], "unrecognized"),
            (["--host", "broker", "--user", "101", "--password-file", "/nowhere"], "cannot read /nowhere"),
            (["--host", "broker", "--user", "101", "--color", "red"], "write STATE=COLOR"),
            (["--host", "broker", "--user", "101", "--color", "asleep=red"], "write STATE=COLOR"),
            (["--host", "broker", "--user", "101", "--color", "away=ochre"], "write a name"),
            (["--host", "broker", "--user", "101", "--brightness", "0"], "no number from 1 to 100"),
            (["--host", "broker", "--user", "101", "--port", "0"], "no number from 1 to 65535"),
            (["--list", "--udev-rules"], "not allowed"),
        ],
    )
    def test_wrong_usage_ends_with_2(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["usb-light", *arguments])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err

    def test_the_options_become_settings(self, asked: list[agent.Settings], tmp_path: Path) -> None:
        secret = tmp_path / "password"
        secret.write_text("geheim\n")
        arguments = ["--host", "broker", "--user", "101", "--base-topic", "office/3cx", "--username", "light-101"]
        arguments += ["--password-file", str(secret), "--color", "on_call=#ff00ff", "--color", "available=off"]
        arguments += ["--brightness", "40", "--blink-busy", "--serial", "7", "--ca", "ca.pem"]
        assert main(["usb-light", *arguments]) == 0
        (wanted,) = asked
        assert (wanted.mqtt.host, wanted.mqtt.port, wanted.mqtt.base_topic) == ("broker", 8883, "office/3cx")
        assert (wanted.mqtt.username, wanted.mqtt.password) == ("light-101", "geheim")
        assert (wanted.mqtt.tls.enabled, wanted.mqtt.tls.ca) == (True, Path("ca.pem"))
        assert wanted.mqtt.client_id.startswith("3cx2mqtt-usb-101-")
        assert wanted.mqtt.client_id.endswith(f"-{os.getpid()}")
        assert wanted.colors == {State.ON_CALL: Color(255, 0, 255), State.AVAILABLE: None}
        assert (wanted.dn, wanted.brightness, wanted.blink_busy) == ("101", 40, True)
        assert wanted.serials == {"7"}
        assert "geheim" not in repr(wanted)

    def test_the_password_may_come_from_the_environment_and_goes_with_a_name(
        self, asked: list[agent.Settings], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["usb-light", "--host", "broker", "--user", "101"]) == 0
        assert (asked[0].mqtt.port, asked[0].mqtt.password, asked[0].mqtt.tls.enabled) == (1883, None, False)
        monkeypatch.setenv("THREECX2MQTT_USB_PASSWORD", "geheim")
        assert main(["usb-light", "--host", "broker", "--user", "101", "--username", "me"]) == 0
        assert asked[1].mqtt.password == "geheim"
        with pytest.raises(SystemExit):
            main(["usb-light", "--host", "broker", "--user", "101"])

    async def test_lights_are_listed(self, usb: Usb, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["usb-light", "--list"]) == 1
        assert "no USB light is plugged in" in capsys.readouterr().out
        usb.plug(flag("7"), omega())
        assert main(["usb-light", "--list"]) == 0
        assert capsys.readouterr().out == "Luxafor Flag (7)\nKuando Busylight Omega\n"

    def test_udev_rules_are_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["usb-light", "--udev-rules"]) == 0
        rules = capsys.readouterr().out
        assert 'KERNEL=="hidraw*", ATTRS{idVendor}=="27bb", ATTRS{idProduct}=="3bcd", MODE="0666"\n' in rules

    def test_without_the_extra_it_says_how_to_install_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "busylight_core", None)
        assert main(["usb-light", "--host", "127.0.0.1", "--user", "101"]) == 1
        assert "pip install '3cx2mqtt[usb]'" in capsys.readouterr().err
        with pytest.raises(UsbMissing):
            Library()
