import pytest

from bridge.domain.model import MonitorRow, State
from bridge.domain.presence import derive


def row(state: State | None) -> MonitorRow:
    return MonitorRow("101", None, state, "{}")


@pytest.mark.parametrize(
    ("state", "reason", "busy"),
    [
        (State.AVAILABLE, "available", False),
        (State.AWAY, "profile: Away", False),
        (State.DO_NOT_DISTURB, "profile: Out of office", True),
        (State.RINGING, "ringing", True),
        (State.DIALING, "dialing", True),
        (State.ON_CALL, "on_call", True),
        (State.ON_HOLD, "on_hold", True),
        (State.OFFLINE, "not registered", False),
        (State.UNKNOWN, "a state word the bridge does not know", None),
    ],
)
def test_a_fresh_state_word_decides(state: State, reason: str, busy: bool | None) -> None:
    presence = derive(row(state), fresh=True)
    assert (presence.state, presence.reason, presence.busy) == (state, reason, busy)


@pytest.mark.parametrize("state", list(State))
def test_no_news_is_never_good_news(state: State) -> None:
    presence = derive(row(state), fresh=False)
    assert (presence.state, presence.reason) == (State.UNKNOWN, "no news from the PBX")


def test_a_row_without_a_word_and_no_row_at_all_are_told_apart() -> None:
    assert derive(row(None), fresh=True).reason == "monitor status tells no presence"
    assert derive(None, fresh=True).reason == "not reported by the PBX"
