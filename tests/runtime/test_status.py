"""The status line that systemd shows."""

import pytest

from bridge.runtime.status import status_line


@pytest.mark.parametrize(
    ("problem", "online", "lost", "denial", "line"),
    [
        (None, True, None, None, "3 users; PBX online; broker online"),
        ("refused", True, None, None, "3 users; PBX online, but refused; broker online"),
        ("refused", False, None, None, "3 users; no PBX: refused; broker online"),
        (None, False, None, None, "3 users; no PBX: it has not answered for a while; broker online"),
        (None, True, "timed out", "denied", "3 users; PBX online; no broker: timed out"),
        (None, True, None, "denied", "3 users; PBX online; broker online, but denied"),
    ],
)
def test_problems_stand_in_the_line(
    problem: str | None, online: bool, lost: str | None, denial: str | None, line: str
) -> None:
    assert status_line(3, pbx_online=online, pbx_problem=problem, broker_lost=lost, broker_denial=denial) == line
