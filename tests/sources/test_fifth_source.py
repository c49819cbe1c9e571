"""A new source needs its own file and a row in the table: one is added to a running bridge, another to the engine."""

import asyncio
import sys
from pathlib import Path

from bridge.domain.model import CallStatus, FactKind, SourceDescription, State
from bridge.domain.updates import Calls, UserCalls
from bridge.errors import SourceUnavailable
from bridge.simulator import SimulatedPbx
from tests.support.bridges import BridgeProcess, write_config
from tests.support.clock import FakeClock
from tests.support.limits import limit
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber
from tests.support.world import USERS, World, leg, user

ADD_THE_ROW = "from bridge.sources.table import TABLE; from tests.sources.fifth import ROW; TABLE[ROW.name] = ROW"


async def test_its_people_are_published_and_check_names_it(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    path = write_config(tmp_path, pbx, url, broker.port, users_source="interval: 500ms")
    text = path.read_text()
    path.write_text(text.replace("sources:\n", 'sources:\n  directory: {names: ["Zoe Example", "Yves"]}\n'))
    async with BridgeProcess.start(path, prelude=ADD_THE_ROW) as bridge:
        await subscriber.until_latest("3cx/bridge/state", "online", limit(20))
        await subscriber.until_latest("3cx/users/901/state", "away", limit(10))
        assert subscriber.json("3cx/users/900")["name"] == "Zoe Example"
        assert {"100", "101", "102", "900", "901"} == {each["number"] for each in subscriber.json("3cx/bridge/users")}
        assert subscriber.json("3cx/bridge/info")["sources"]["directory"] == {"in_use": True}
        await bridge.says("5 users from monitor_status, users, directory", limit(5))
        assert "ok    directory: 2 rows" in await checked(path)


async def checked(path: Path) -> str:
    """What `check` prints about it."""
    program = f"{ADD_THE_ROW}\nimport sys\nfrom bridge.cli import main\nsys.exit(main())"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "check", "-c", str(path)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), limit(20))
    return output.decode()


def switchboard(*, introduces_users: bool = False) -> SourceDescription:
    """Another source of calls that pushes."""
    return SourceDescription(
        "switchboard", FactKind.CALLS, pushes=True, introduces_users=introduces_users, uncovered_advice="call them"
    )


def test_its_calls_are_published(clock: FakeClock) -> None:
    world = World(clock, sources=(USERS,), more_sources=[switchboard()])
    world.users(user("101"), user("102"))
    assert world.user("101").state is State.UNKNOWN
    ringing = leg(CallStatus.RINGING)
    covered = frozenset({"101"})
    world.engine.apply(Calls("switchboard", {"101": (ringing,)}, covered, clock.now, 135.0, live=True))
    assert (world.user("101").state, world.user("102").state) == (State.RINGING, State.UNKNOWN)
    world.engine.apply(UserCalls("switchboard", "101", ()))
    assert world.user("101").state is State.AVAILABLE
    reports = {report.name: report for report in world.engine.sources()}
    assert reports["switchboard"].reason == "does not cover 1 of 2 users (102): call them"
    world.fail(SourceUnavailable("the connection was lost"), "switchboard")
    world.wait(21)
    assert world.user("101").state is State.UNKNOWN


def test_it_introduces_users_where_no_source_of_people_is_on(clock: FakeClock) -> None:
    world = World(clock, sources=(), more_sources=[switchboard(introduces_users=True)])
    world.engine.apply(Calls("switchboard", {}, frozenset({"101"}), clock.now, 135.0, live=True))
    assert world.wire.dns() == {"101"}
