"""What the board shows of one PBX. An observer of the engine: it is told of every change and asks for nothing."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from bridge.documents import call_event, queue_document, today_document, user_facts
from bridge.domain.clock import utc_text
from bridge.domain.message import Message
from bridge.domain.model import Bridge, CallEvent, Group, User
from bridge.domain.queues import QueueState
from bridge.domain.today import Today
from bridge.topics import to_json
from bridge.web.feed import Feed, Kind

_MOST_WARNINGS = 50
_AT_ONCE = 200
"""Users that are rendered before others have their turn."""

Described = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Contact:
    """Whether what the board shows can be true."""

    broker: bool
    """Whether the broker is connected and in sync."""
    pbx: bool
    """Whether the PBX answers."""
    last_news: float | None
    """When both were last so, Unix seconds; None: never yet."""
    standby: str | None = None
    """That another bridge of the pair is to work, and which one is active; None: this one is."""

    def document(self) -> dict[str, object]:
        """As the API has it; `standby` is there only where the bridge stands by."""
        last = None if self.last_news is None else utc_text(self.last_news)
        standby = {} if self.standby is None else {"standby": self.standby}
        return {"broker": self.broker, "pbx": self.pbx, "last_news": last, **standby}


class Board:
    """The users, groups, queues and lights of one PBX as they are published, and how the bridge is doing."""

    def __init__(
        self, name: str, feed: Feed, contact: Callable[[], Contact], describe: Callable[[], Described]
    ) -> None:
        """`describe` gives what `bridge` holds besides what the engine says: versions, findings, delays."""
        self.name = name
        self._feed = feed
        self._contact = contact
        self._describe = describe
        self._users: dict[str, User] = {}
        self._today: dict[str, Today] = {}
        self._groups: dict[str, Group] = {}
        self._queues: dict[str, QueueState] = {}
        self._lights: dict[str, Described] = {}
        self._bridge: Bridge | None = None
        self._described: Described = {}
        self._warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
        self._texts: dict[str, str] = {}
        """The users that were rendered since they changed last, by DN."""

    @property
    def contact(self) -> Contact:
        """Whether what the board shows can be true."""
        return self._contact()

    def user(self, before: User | None, after: User | None) -> Iterator[Message]:
        """A user has changed, is new or is gone. Monitor rows are not shown."""
        user = after or before
        if user is not None:
            dn = user.number
            if after is None:
                self._users.pop(dn, None)
                self._today.pop(dn, None)
                self._user_changed(dn)
            elif self._users.get(dn) != (shown := replace(after, monitor=None)):
                self._users[dn] = shown
                self._user_changed(dn)
        yield from ()

    def call(self, user: User, event: CallEvent) -> Iterator[Message]:
        """Something happened to a call of a user."""
        self._feed.publish(self.name, Kind.CALL, user.number, lambda: to_json(call_event(event)))
        yield from ()

    def today(self, dn: str, _before: Today | None, after: Today) -> Iterator[Message]:
        """A user's calls of the day add up to this."""
        if dn in self._users and self._today.get(dn) != after:
            self._today[dn] = after
            self._user_changed(dn)
        yield from ()

    def group(self, before: Group | None, after: Group) -> Iterator[Message]:
        """A group has changed; in which state each member is, the users say."""
        self._groups[after.name] = after
        if before is None or before.busy is not after.busy or _numbers(before) != _numbers(after):
            self._feed.publish(self.name, Kind.GROUP, after.name, lambda: to_json(_group(after)))
        yield from ()

    def queue(self, before: QueueState | None, after: QueueState | None) -> Iterator[Message]:
        """A queue has changed, is new or is gone."""
        queue = after or before
        if queue is not None:
            if after is None:
                self._queues.pop(queue.number, None)
            else:
                self._queues[queue.number] = after
            shown = after and queue_document(after)
            self._feed.publish(self.name, Kind.QUEUE, queue.number, lambda: to_json(shown))
        yield from ()

    def bridge(self, before: Bridge | None, after: Bridge) -> Iterator[Message]:
        """What is published about the bridge itself has changed."""
        self._bridge = after
        if before is None or before.sources != after.sources:
            self._feed.publish(self.name, Kind.SOURCES, "", lambda: to_json(self._sources()))
        if before is None or _of_bridge(before) != _of_bridge(after):
            self._bridge_changed()
        yield from ()

    def light(self, name: str, document: Described) -> None:
        """What a light shows, and why."""
        self._lights[name] = document
        self._feed.publish(self.name, Kind.LIGHT, name, lambda: to_json({"name": name, **document}))

    def warning(self, line: str) -> None:
        """A warning or an error was logged, given as JSON, secrets redacted."""
        checked = _checked(line)
        self._warnings.append(checked)
        self._feed.publish(self.name, Kind.LOG, "", lambda: checked)

    def look_again(self) -> None:
        """Publish what `describe` says, where that has changed. To be called now and then: it tells of no change."""
        if self._feed.wanted and self._describe() != self._described:
            self._bridge_changed()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of all users."""
        return tuple(self._users)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of all groups."""
        return tuple(self._groups)

    def shown(self, dn: str) -> User | None:
        """A user, as shown."""
        return self._users.get(dn)

    def members(self, group: str) -> tuple[str, ...]:
        """The numbers of the users in a group; none where there is no such group."""
        known = self._groups.get(group)
        return () if known is None else _numbers(known)

    async def render(self) -> None:
        """Render what `snapshot` needs; other tasks may run meanwhile."""
        missing = [dn for dn in self._users if dn not in self._texts]
        for index, dn in enumerate(missing):
            if dn in self._users:
                self._text_of(dn)
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)

    def snapshot(self) -> str:
        """Everything, as one JSON object. Call `render` before: this renders at once what has changed since then."""
        head: Described = {
            "name": self.name,
            "bridge": self._shown_bridge(),
            "sources": self._sources(),
            "groups": [_group(each) for each in self._groups.values()],
            "queues": [queue_document(each) for _, each in sorted(self._queues.items())],
            "lights": [{"name": name, **document} for name, document in self._lights.items()],
        }
        return f'{to_json(head)[:-1]},"log":[{",".join(self._warnings)}],"users":[{self._all_users(self._users)}]}}'

    def part(self, dns: Iterable[str], groups: Iterable[str]) -> str:
        """The same with these users and groups only, and nothing about the bridge but whether it can be believed."""
        head: Described = {
            "name": self.name,
            "bridge": self._contact().document(),
            "sources": [],
            "groups": [_group(self._groups[name]) for name in groups if name in self._groups],
            "queues": [],
            "lights": [],
            "log": [],
        }
        return f'{to_json(head)[:-1]},"users":[{self._all_users(dns)}]}}'

    def text_of(self, dn: str) -> str:
        """A user as JSON; `null` where there is none."""
        return self._text_of(dn) if dn in self._users else "null"

    def _text_of(self, dn: str) -> str:
        text = self._texts.get(dn)
        if text is None:
            today = self._today.get(dn)
            facts = {**user_facts(self._users[dn]), "today": None if today is None else today_document(today)}
            text = self._texts[dn] = to_json(facts)
        return text

    def _all_users(self, dns: Iterable[str]) -> str:
        return ",".join(self._text_of(dn) for dn in sorted(dns))

    def _user_changed(self, dn: str) -> None:
        self._texts.pop(dn, None)
        self._feed.publish(self.name, Kind.USER, dn, lambda: self.text_of(dn))

    def _bridge_changed(self) -> None:
        self._feed.publish(self.name, Kind.BRIDGE, "", lambda: to_json(self._shown_bridge()))

    def _shown_bridge(self) -> dict[str, object]:
        self._described = self._describe()
        bridge = self._bridge
        system = None if bridge is None or bridge.system is None else asdict(bridge.system)
        version = None if bridge is None else bridge.pbx_version
        return {**self._contact().document(), "pbx_version": version, "system": system, **self._described}

    def _sources(self) -> list[dict[str, object]]:
        reports = () if self._bridge is None else self._bridge.sources
        return [{"name": each.name, "in_use": each.in_use, "reason": each.reason} for each in reports]


def _checked(line: str) -> str:
    """The line, if redaction has left it JSON; else as a text: a broken one would break the whole snapshot."""
    try:
        json.loads(line)
    except ValueError:
        return to_json({"message": line})
    return line


def _numbers(group: Group) -> tuple[str, ...]:
    return tuple(dn for dn, _, _ in group.members)


def _group(group: Group) -> dict[str, object]:
    return {"name": group.name, "busy": group.busy, "members": _numbers(group)}


def _of_bridge(bridge: Bridge) -> tuple[object, ...]:
    """What of the engine's own facts the board shows, but for whether the PBX answers, which each beat says."""
    return bridge.pbx_version, bridge.system
