"""Other bridges that publish under the same base topic: which of two goes on, and which is silent."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from bridge.mqtt.application import Application
from bridge.mqtt.retained import signature
from bridge.mqtt.timing import MqttTiming
from bridge.topics import json_object

_MOST = 8
"""Instances that are remembered: each start of another bridge is one."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rival:
    """Another bridge, or what somebody replays of one."""

    name: str
    """Its `pbx.name`."""
    instance: str
    uptime: float
    heard: float
    """When `bridge/health` came last (monotonic)."""
    lives: bool
    """Its uptime has risen between two messages: nobody replays these."""


class Rivals:
    """Hears `bridge/health` of others. Of two bridges the one with the smaller (`pbx.name`, `instance`) goes on."""

    def __init__(self, timing: MqttTiming, monotonic: Callable[[], float]) -> None:
        self._timing = timing
        self._monotonic = monotonic
        self._names: dict[str, str] = {}
        """`pbx.name` by instance, from `bridge/info`."""
        self._heard: dict[str, Rival] = {}

    def note_info(self, payload: bytes) -> None:
        """Another client has published this to `bridge/info`."""
        name, _ = signature(payload)
        instance = (json_object(payload) or {}).get("instance")
        if name is not None and isinstance(instance, str):
            self._names[instance] = name
            _drop_oldest(self._names)

    def note_health(self, application: Application, payload: bytes) -> bool:
        """Somebody has published this to `bridge/health`; says whether another bridge has just shown that it works."""
        content = json_object(payload) or {}
        instance, uptime = content.get("instance"), content.get("uptime")
        if not isinstance(instance, str) or not isinstance(uptime, int | float):
            return False
        if instance == application.statistics.instance:
            return False
        now, before = self._monotonic(), self._heard.pop(instance, None)
        rises = before is not None and uptime > before.uptime and now - before.heard <= self._timing.rival_lives
        name = self._names.get(instance, application.topics.pbx_name)
        self._heard[instance] = Rival(name, instance, uptime, now, lives=rises or (before is not None and before.lives))
        _drop_oldest(self._heard)
        return rises and not (before is not None and before.lives)

    def problem(self, application: Application) -> str | None:
        """That another bridge is at work here too, for people."""
        rival = self._living()
        if rival is None:
            return None
        silent = "this one is silent" if self.silence(application) else "this one goes on"
        return (
            f"another bridge (pbx.name {rival.name!r}, instance {rival.instance}) publishes under "
            f"{application.topics.base}/# too, and {silent}: give each bridge its own mqtt.base_topic, or stop one"
        )

    def silence(self, application: Application) -> float:
        """Seconds for which this bridge must not publish; 0: it may."""
        rival = self._living()
        own = (application.topics.pbx_name, application.statistics.instance)
        if rival is None or (rival.name, rival.instance) > own:
            return 0.0
        return rival.heard + self._timing.rival_silence - self._monotonic()

    def _living(self) -> Rival | None:
        """The one that goes on if we do not."""
        now = self._monotonic()
        living = (each for each in self._heard.values() if each.lives and now - each.heard < self._timing.rival_silence)
        return min(living, key=lambda rival: (rival.name, rival.instance), default=None)


def _drop_oldest(found: dict[str, str] | dict[str, Rival]) -> None:
    if len(found) > _MOST:
        del found[next(iter(found))]
