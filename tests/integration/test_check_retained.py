"""`check` says what can be done with what the broker retains."""

from pathlib import Path

import pytest

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support.bridges import write_config
from tests.support.broker_habits import Habit, habitual
from tests.support.mosquitto import Mosquitto


@pytest.mark.parametrize(
    ("habit", "code", "line"),
    [
        (None, 0, "ok    retained: the broker keeps retained messages and shows them"),
        (Habit.LATE, 0, "ok    retained: the broker sends retained messages 0.5 s late, which is waited for"),
        (Habit.WILDCARDS_NEVER, 0, "warn  retained: the broker sends no retained messages to subscriptions with wild"),
        (Habit.NEVER, 1, "FAIL  retained: the broker sends no retained messages: `since` does not survive a restart"),
    ],
)
async def test_it_tries_what_the_broker_shows(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, habit: Habit | None, code: int, line: str
) -> None:
    if habit is None:
        result = await command("check", "-c", write_config(tmp_path, pbx, url, broker.port))
    else:
        async with habitual(habit, broker.port) as port:
            result = await command("check", "-c", write_config(tmp_path, pbx, url, port))
    assert line in result[1]
    assert result[0] == code
