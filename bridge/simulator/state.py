"""The state of the simulated PBX: its users, queues, departments, credentials, rights and faults."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from bridge.simulator.calls import Numbers, RingGroup
from bridge.simulator.exchange import Exchange
from bridge.simulator.odata import Habits
from bridge.simulator.odata_types import Row
from bridge.simulator.people import SimulatedUser, people
from bridge.simulator.stream import Stream
from bridge.simulator.tokens import Tokens

Rows = Literal["official", "extended"]
Intercept = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `query` is decoded."""

    method: str
    path: str
    query: dict[str, str]


class PbxState:
    """Can be changed at any time, and holds from the next request on.

    `rows` are those of GetMonitorStatus(): `official` as documented, `extended` with a state word and a name, which no
    one has seen on a real PBX.
    """

    def __init__(
        self,
        *,
        users: int = 8,
        version: str = "20.0.8",
        rows: Rows = "official",
        client_id: str = "busylights",
        client_secret: str = "simulated-key",  # noqa: S107  # nothing is protected by it
        jwt: bool = True,
        block_seconds: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.version = version
        self.rows: Rows = rows
        self.tokens = Tokens(client_id, client_secret, clock, jwt, block_seconds)
        self.may_read_users = True
        """Whether the API client's role may read users; 403 otherwise."""
        self.may_read_calls = True
        """The same for active calls."""
        self.may_read_departments = True
        """The same for departments; 401 otherwise, whatever the token."""
        self.may_read_numbers = True
        """The same for queues, ring groups and trunks."""
        self.may_read_system = True
        """The same for the system status."""
        self.may_control_calls = True
        """Whether Call Control is enabled for the API client; 403 otherwise."""
        self.peers: set[str] | None = None
        """The DNs that the API client may monitor by Call Control; None: all of them."""
        self.lists_services = False
        """Whether Call Control lists queues, ring groups, receptionists and trunks beside extensions, as it may."""
        self.odata = Habits()
        """How lists answer `$search` and long pages."""
        self.ignores_profiles = False
        """Whether a new profile is accepted without effect, as some builds do."""
        self.labels = {"Custom1Name": "Custom 1", "Custom2Name": "Custom 2"}
        self.intercept: Intercept | None = None
        """Called with each request; where it returns a response, that is the answer. For faults."""
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.numbers = Numbers()
        self.departments = {0: "DEFAULT", 1: "Sales", 2: "Support"}
        self.stream = Stream()
        self.exchange = Exchange(self.numbers, self._notice, clock)
        self._monitored: _Table = _Table(self._monitor_row)
        self._listed: _Table = _Table(lambda user: user.row())
        for user in people(users):
            self.users[user.dn] = user

    @property
    def users(self) -> dict[str, SimulatedUser]:
        """The extensions by DN."""
        return self.numbers.users

    @property
    def queues(self) -> dict[str, str]:
        """The names of the queues by DN."""
        return self.numbers.queues

    @property
    def ring_groups(self) -> dict[str, RingGroup]:
        """The ring groups by DN."""
        return self.numbers.ring_groups

    @property
    def client_id(self) -> str:
        """The id of its one API client."""
        return self.tokens.client_id

    @property
    def client_secret(self) -> str:
        """The key of its one API client."""
        return self.tokens.client_secret

    def add_user(self, dn: str, name: str = "", **changes: object) -> None:
        """Create an extension."""
        highest = max((user.id for user in self.users.values()), default=0)
        self.users[dn] = SimulatedUser(dn, name, highest + 1)
        self._forget_tables()
        self.change(dn, **changes)

    def remove_user(self, dn: str) -> None:
        """Delete an extension."""
        del self.users[dn]
        self._forget_tables()

    def change(self, dn: str, **changes: object) -> None:
        """Set fields of a user, such as `profile="Away"`, `registered=False` or `queue="LoggedIn"`."""
        for name, value in changes.items():
            setattr(self.users[dn], name, value)
        self._touch(dn)

    def set_state(self, dn: str, word: str) -> None:
        """Fix the state word of one user in extended monitor rows, whatever the user does."""
        self.change(dn, word=word)

    def rotate_key(self, client_secret: str) -> None:
        """An administrator creates a new API key: the old one and its token are invalid."""
        self.tokens.client_secret = client_secret
        self.tokens.drop()

    def requests_to(self, path: str) -> list[Request]:
        """The requests so far whose path ends with `path`."""
        return [request for request in self.requests if request.path.endswith(path)]

    @property
    def build(self) -> tuple[int, ...]:
        """The first three numbers of the version."""
        return tuple(int(part) for part in self.version.split(".")[:3] if part.isdecimal())

    def monitor_rows(self) -> list[Row]:
        """All rows of GetMonitorStatus()."""
        return self._monitored.rows(self.users)

    def user_rows(self) -> list[Row]:
        """All rows of Users."""
        return self._listed.rows(self.users)

    def is_peer(self, dn: str) -> bool:
        """Whether the API client may monitor this DN by Call Control."""
        listed = dn in self.users or (self.lists_services and self.numbers.is_service(dn))
        return listed and (self.peers is None or dn in self.peers)

    def _notice(self, dn: str, number: int, gone: bool) -> None:  # noqa: FBT001  # as Notice says
        self._touch(dn)
        if self.is_peer(dn):
            self.stream.event(f"/callcontrol/{dn}/participants/{number}", 1 if gone else 0)

    def _monitor_row(self, user: SimulatedUser) -> dict[str, object]:
        row: dict[str, object] = {"DN": user.dn, "Expiration": user.expiration}
        if self.rows == "official":
            return row
        return row | {"State": user.state_word(self.exchange.word(user.dn)), "Name": user.name}

    def _touch(self, dn: str) -> None:
        user = self.users.get(dn)
        if user is not None:
            for table in (self._monitored, self._listed):
                table.touch(user)

    def _forget_tables(self) -> None:
        for table in (self._monitored, self._listed):
            table.forget()


class _Table:
    """Rows in the order of their DNs; cached, so that a page of 10,000 users is as quick as one of 10."""

    def __init__(self, row: Callable[[SimulatedUser], dict[str, object]]) -> None:
        self._row = row
        self._rows: dict[str, dict[str, object]] = {}
        self._listed: list[Row] | None = None

    def rows(self, users: Mapping[str, SimulatedUser]) -> list[Row]:
        if self._listed is None:
            self._rows = {dn: self._row(users[dn]) for dn in sorted(users)}
            self._listed = list(self._rows.values())
        return self._listed

    def touch(self, user: SimulatedUser) -> None:
        if user.dn in self._rows:
            self._rows[user.dn].update(self._row(user))

    def forget(self) -> None:
        self._listed = None
