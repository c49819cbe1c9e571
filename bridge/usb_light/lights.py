"""The USB lights of this PC. The only module that imports busylight-core, and only once lights are needed.

What busylight-core 2.5 does, and what it leaves to its user:

- A Kuando light goes dark some 15 s after the last command. `on()` starts a task that sends keep-alives, in the running
  loop if there is one; the first error ends it, and nothing reports that.
- hidapi does not raise when a device is gone: `write` returns -1, which busylight-core ignores.

So every look is written again every few seconds, whether it changed or not: that restarts a keep-alive that has ended,
detects a light that was unplugged, and restores one that lost its power for a moment.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from bridge.aio import wait_for
from bridge.domain.light import OFF, Look
from bridge.errors import BridgeError
from bridge.log import RepeatedFailure
from bridge.usb_light.timing import USUAL, UsbTiming

HINT = (
    "Linux lets you use it once there is a udev rule: '3cx2mqtt usb-light --udev-rules' prints one for every light"
    if sys.platform == "linux"
    else "another program may be using it"
)

_WRITES = ("write", "send_feature_report")

_logger = logging.getLogger(__name__)


class UsbMissing(BridgeError):
    """The packages for USB lights are not installed."""


class Handle(Protocol):
    """An open HID device or serial port."""

    def write(self, payload: bytes) -> int | None:
        """Return how many bytes were written; hidapi returns -1 where none were."""


class Hardware(Protocol):
    """The part of `busylight_core.Hardware` that is used here."""

    path: bytes
    serial_number: str | None
    device_id: tuple[int, int]
    handle: Handle


class Light(Protocol):
    """The part of `busylight_core.Light` that is used here."""

    hardware: Hardware
    name: str
    is_lit: bool

    def on(self, color: tuple[int, int, int]) -> None:
        """Show a colour, and keep sending it to devices that go dark otherwise."""

    def off(self) -> None:
        """Go dark."""

    def cancel_tasks(self) -> None:
        """End the keep-alives."""

    def release(self) -> None:
        """Close the device."""


Found = tuple[Any, Hardware]
"""A subclass of `busylight_core.Light`, and a device for it."""


class Library:
    """busylight-core, imported. UsbMissing where it is not installed."""

    def __init__(self) -> None:
        try:
            self._core: Any = importlib.import_module("busylight_core")
        except ImportError as error:
            raise UsbMissing(f"USB lights need more packages: pip install '3cx2mqtt[usb]' ({error})") from error
        self.gone: tuple[type[Exception], ...] = (OSError, self._core.LightUnavailableError)
        """Raised by the library when a device cannot be used, or no longer."""

    def plugged_in(self, serials: Collection[str] = ()) -> Iterator[Found]:
        """The lights at this PC, or those with one of the serial numbers `serials`. Opens none."""
        by_kind: Mapping[Any, Sequence[Hardware]] = self._core.Light.available_hardware()
        for kind, devices in by_kind.items():
            for hardware in devices:
                if not serials or hardware.serial_number in serials:
                    yield kind, hardware

    def udev_rules(self) -> Iterator[str]:
        """Lines for a file in /etc/udev/rules.d."""
        for lines in self._core.Light.udev_rules().values():
            yield from lines

    def open(self, found: Found) -> Light:
        """Open a light, so that a write to it that fails raises."""
        kind, hardware = found
        light: Light = kind(hardware, reset=False, exclusive=True)
        handle = hardware.handle
        for name in _WRITES:
            if hasattr(handle, name):
                setattr(handle, name, _strict(getattr(handle, name)))
        if hasattr(handle, "write_timeout"):  # a serial port blocks without end otherwise
            handle.write_timeout = 1.0
        return light


def name_of(found: Found) -> str:
    """The name for messages: `Luxafor Flag`, with its serial number where it has one."""
    kind, hardware = found
    name = f"{kind.vendor()} {kind.supported_device_ids[hardware.device_id]}"
    return f"{name} ({hardware.serial_number})" if hardware.serial_number else name


class Lights:
    """Shows one look on all lights, including those plugged in later."""

    def __init__(
        self,
        library: Library,
        monotonic: Callable[[], float],
        serials: Collection[str] = (),
        timing: UsbTiming = USUAL,
    ) -> None:
        """`serials`: use only lights with these serial numbers; empty: all."""
        self._library = library
        self._monotonic = monotonic
        self._serials = serials
        self._timing = timing
        self._look = OFF
        self._stopping = False
        self._changed = asyncio.Event()
        self._lights: dict[bytes, tuple[str, Light]] = {}
        self._search_at = monotonic()
        self._failures = RepeatedFailure(_logger)
        self._missing = f"no USB light is plugged in, waiting for one. If there is one: {HINT}"

    def show(self, look: Look) -> None:
        """Show this from now on."""
        if look != self._look:
            self._look = look
            self._changed.set()

    def stop(self) -> None:
        """Switch off, and end `run`."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Show until stopped."""
        try:
            while not self._stopping:
                self._changed.clear()
                for look, seconds in phases(self._look, self._timing):
                    self._write(look)
                    if self._monotonic() >= self._search_at:
                        self._search(look)
                    await asyncio.sleep(self._timing.apart)
                    if await wait_for(self._changed, seconds - self._timing.apart):
                        break
        finally:
            for _, light in self._lights.values():
                with suppress(*self._library.gone):
                    light.off()
                self._close(light)

    def _search(self, look: Look) -> None:
        """Open the lights that were plugged in since the last search, and show `look` on them."""
        problems = []
        for found in self._found():
            path = found[1].path
            if path not in self._lights and (problem := self._take(found, look)):
                problems.append(problem)
        if not self._lights:
            problems = problems or [self._missing]
        if problems:
            self._failures.failed("; ".join(problems))
        self._search_at = self._monotonic() + (self._timing.search if self._lights else self._timing.rewrite)

    def _found(self) -> Iterable[Found]:
        try:
            return list(self._library.plugged_in(self._serials))
        except (
            OSError,
            AttributeError,
            ValueError,
        ) as error:  # the library fails on devices without a name, or without permission
            _logger.debug("cannot look for USB lights", exc_info=error)
            return ()

    def _take(self, found: Found, look: Look) -> str | None:
        """Open a light and show `look` on it; returns the problem, or None."""
        name, light = name_of(found), None
        try:
            light = self._library.open(found)
            _put(light, look)
        except self._library.gone as error:
            if light is not None:
                self._close(light)
            return f"{name} is plugged in and cannot be used ({error}). {HINT}"
        self._lights[found[1].path] = name, light
        self._failures = RepeatedFailure(_logger)
        _logger.info("showing on %s", name)
        return None

    def _write(self, look: Look) -> None:
        for path, (name, light) in list(self._lights.items()):
            try:
                _put(light, look)
            except self._library.gone:
                del self._lights[path]
                self._close(light)
                self._missing = f"{name} no longer answers: unplugged? Waiting for it to come back"
                self._failures.failed(self._missing)
                self._search_at = min(self._search_at, self._monotonic() + self._timing.rewrite)

    def _close(self, light: Light) -> None:
        light.cancel_tasks()
        with suppress(*self._library.gone):
            light.release()


def phases(look: Look, timing: UsbTiming = USUAL) -> tuple[tuple[Look, float], ...]:
    """The looks to write in turn, each with its seconds."""
    return ((look, timing.phase), (OFF, timing.phase)) if look.blink else ((look, timing.rewrite),)


def _put(light: Light, look: Look) -> None:
    if look.color is None:
        light.off()
        return
    for color in (look.color.dimmed(look.brightness), look.color):
        light.on((color.red, color.green, color.blue))
        if light.is_lit:  # a light that knows only a few full colours takes a dim one for black
            break


def _strict(write: Callable[[bytes], int | None]) -> Callable[[bytes], int | None]:
    def checked(payload: bytes) -> int | None:
        written = write(payload)
        if written is not None and written < 0:
            raise OSError("nothing could be written")
        return written

    return checked
