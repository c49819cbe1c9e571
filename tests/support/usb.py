"""USB ports below busylight-core: acts as hidapi and pyserial do, and keeps what was written to each device."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.limits import limit


@dataclass(eq=False)
class Device:
    """A light by its USB ids. `written` holds every report, in order, as the device would get it."""

    vendor_id: int
    product_id: int
    product_string: str = ""
    serial_number: str = ""
    release_number: int = 0
    allowed: bool = True
    """Whether this process may open it."""
    broken: bool = False
    """Whether every write to it fails."""
    written: list[bytes] = field(default_factory=list)
    plugged_in: int = 0
    """How many times so far; a handle is good for one time."""


def flag(serial_number: str = "") -> Device:
    return Device(0x04D8, 0xF372, "LUXAFOR FLAG", serial_number)


def omega() -> Device:
    return Device(0x27BB, 0x3BCD, "BUSYLIGHT")


def blink1() -> Device:
    return Device(0x27B8, 0x01ED, "blink(1) mk2")


def fit_statusb() -> Device:
    return Device(0x2047, 0x03DF, "fit-statUSB")


class Usb:
    """Devices come and go by `plug` and `unplug`. Lights may write from any thread."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ports: dict[bytes, tuple[Device, bool]] = {}
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.on_write: Callable[[], object] = lambda: None
        """Called before every write, in the thread that writes."""
        self.searches = 0
        patch.setattr("hid.enumerate", self._hid_devices)
        patch.setattr("hid.device", lambda: _Hid(self))
        patch.setattr("serial.tools.list_ports.comports", self._serial_ports)
        patch.setattr("serial.Serial", lambda **_: _Serial(self))

    def plug(self, *devices: Device, serial: bool = False) -> None:
        for device in devices:
            device.plugged_in += 1
            path = next(path for path in map(b"port-%d".__mod__, count()) if path not in self._ports)
            self._ports[path] = device, serial

    def unplug(self, device: Device) -> None:
        self._ports = {path: each for path, each in self._ports.items() if each[0] is not device}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is checked after every write and every search for devices."""
        async with asyncio.timeout(limit(10)):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_last(self, device: Device, *reports: bytes) -> None:
        """Wait until the last that was written to `device` is one of these."""
        try:
            await self.until(lambda: bool(device.written) and device.written[-1] in reports)
        except TimeoutError:
            raise AssertionError(f"{reports!r} is not what was written last: {device.written[-5:]}") from None

    def happened(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    def open(self, path: bytes) -> tuple[Device, int]:
        device, _ = self._ports.get(path, (None, False))
        if device is None or not device.allowed:
            raise OSError("open failed")
        return device, device.plugged_in

    def write(self, handle: tuple[Device, int], report: bytes) -> int:
        """As hidapi: how many bytes, or -1 where the device is gone."""
        device, time = handle
        self.on_write()
        good = (
            time == device.plugged_in and not device.broken and any(each is device for each, _ in self._ports.values())
        )
        if good:
            device.written.append(bytes(report))
        self.happened()
        return len(report) if good else -1

    def _hid_devices(self) -> list[dict[str, Any]]:
        self.searches += 1
        self.happened()
        return [
            {
                "path": path,
                "vendor_id": device.vendor_id,
                "product_id": device.product_id,
                "serial_number": device.serial_number,
                "release_number": device.release_number,
                "manufacturer_string": "",
                "product_string": device.product_string,
                "usage_page": 0,
                "usage": 0,
                "interface_number": 1,
                "bus_type": 1,
            }
            for path, (device, serial) in self._ports.items()
            if not serial
        ]

    def _serial_ports(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                device=path.decode(),
                vid=device.vendor_id,
                pid=device.product_id,
                serial_number=device.serial_number,
                manufacturer="",
                product=device.product_string,
            )
            for path, (device, serial) in self._ports.items()
            if serial
        ]


class _Hid:
    """`hid.device` of hidapi."""

    def __init__(self, usb: Usb) -> None:
        self._usb = usb
        self._open: tuple[Device, int] | None = None

    def open_path(self, path: bytes) -> None:
        self._open = self._usb.open(path)

    def write(self, report: bytes) -> int:
        if self._open is None:
            raise ValueError("not open")
        return self._usb.write(self._open, report)

    def send_feature_report(self, report: bytes) -> int:
        return self.write(report)

    def close(self) -> None:
        self._open = None


class _Serial(_Hid):
    """`serial.Serial` of pyserial: raises where the device is gone."""

    port = ""
    write_timeout: float | None = None

    def open(self) -> None:
        self.open_path(self.port.encode())

    def write(self, report: bytes) -> int:
        assert self.write_timeout, "would wait for ever"
        if (written := super().write(report)) < 0:
            raise OSError("write failed")
        return written
