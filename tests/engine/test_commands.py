"""What a request under `users/<dn>/set` may ask for, and why it is refused."""

from collections.abc import Generator

import pytest

from bridge.domain.model import Command, Queue
from bridge.engine.commands import CommandDesk, CommandsSettings
from bridge.errors import BridgeError

PUBLISHED = "101"


class Submitted(list[Command]):
    """Commands that are carried out at once."""

    def __call__(self, command: Command) -> "Submitted":
        self.append(command)
        return self

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def received(
    request: dict[str, object], *, dn: str = PUBLISHED, profile: bool = True, queue: bool = True
) -> list[Command]:
    """The commands that follow from a request."""
    commands = Submitted()
    desk = CommandDesk(CommandsSettings(profile, queue), lambda found: found == PUBLISHED, commands)
    desk.receive(dn, request)
    return commands


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        ({"profile": "Away"}, Command("101", "Away")),
        ({"profile": "out of OFFICE"}, Command("101", "Out of office")),
        ({"profile": "OutOfOffice"}, Command("101", "Out of office")),
        ({"profile": "custom1"}, Command("101", "Custom 1")),
        ({"queue": "logged_in"}, Command("101", None, Queue.LOGGED_IN)),
        ({"queue": "logged_out"}, Command("101", None, Queue.LOGGED_OUT)),
        ({"queue": "logged_out", "profile": "Available"}, Command("101", "Available", Queue.LOGGED_OUT)),
    ],
)
def test_a_request_becomes_one_command(request_: dict[str, object], command: Command) -> None:
    assert received(request_) == [command]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, 'write {"profile"'),
        ({"state": "away"}, 'write {"profile"'),
        ({"profile": "Away", "state": "away"}, 'write {"profile"'),
        ({"profile": None}, 'write {"profile"'),
        ({"profile": "Away", "queue": None}, 'write {"profile"'),
        ({"profile": "Siesta"}, "'Siesta' is not a profile: write one of Available, Away, Out of office, Custom 1"),
        ({"profile": ""}, "'' is not a profile"),
        ({"profile": 7}, "7 is not a profile"),
        ({"profile": ["Away"]}, r"\['Away'\] is not a profile"),
        ({"queue": True}, "True is not a queue login: write logged_in or logged_out"),
        ({"queue": "LoggedIn"}, "'LoggedIn' is not a queue login"),
        ({"queue": ["logged_in"]}, "is not a queue login"),
        ({"queue": {"logged_in": 1}}, "is not a queue login"),
        ({"profile": "Away", "queue": "in"}, "'in' is not a queue login"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: dict[str, object], why: str) -> None:
    with pytest.raises(BridgeError, match=why):
        received(request_)


@pytest.mark.parametrize("request_", [{"profile": "Away"}, {"profile": "Away", "queue": "logged_in"}])
def test_a_profile_is_refused_while_that_is_switched_off(request_: dict[str, object]) -> None:
    with pytest.raises(BridgeError, match=r"set commands\.profile to true"):
        received(request_, profile=False)


@pytest.mark.parametrize("request_", [{"queue": "logged_in"}, {"profile": "Away", "queue": "logged_in"}])
def test_a_queue_login_is_refused_while_that_is_switched_off(request_: dict[str, object]) -> None:
    with pytest.raises(BridgeError, match=r"set commands\.queue to true"):
        received(request_, queue=False)


def test_each_is_allowed_without_the_other() -> None:
    assert received({"profile": "Away"}, queue=False) == [Command("101", "Away")]
    assert received({"queue": "logged_in"}, profile=False) == [Command("101", None, Queue.LOGGED_IN)]


def test_a_user_who_is_not_published_is_refused() -> None:
    with pytest.raises(BridgeError, match="there is no user '999'"):
        received({"queue": "logged_in"}, dn="999")


def test_a_refusal_of_the_writer_reaches_the_caller() -> None:
    def full(_command: Command) -> Submitted:
        raise BridgeError("100 commands are waiting already")

    desk = CommandDesk(CommandsSettings(profile=True, queue=True), lambda _: True, full)
    with pytest.raises(BridgeError, match="100 commands are waiting already"):
        desk.receive("101", {"profile": "Away"})


@pytest.mark.parametrize(
    ("profile", "queue", "any_"), [(False, False, False), (True, False, True), (False, True, True), (True, True, True)]
)
def test_one_that_is_allowed_is_enough_to_listen(profile: bool, queue: bool, any_: bool) -> None:
    assert CommandsSettings(profile, queue).any is any_
