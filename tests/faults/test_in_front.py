"""What stands in front of the PBX answers the login, once or for a while; afterwards all is as it should be."""

from collections.abc import Callable

import pytest
from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.faults.conftest import Configure, Note
from tests.support.faults import Log, living, until, until_correct
from tests.support.limits import limit
from tests.support.subscriber import Subscriber

RIGHT_WITHIN = limit(8.0)
"""Seconds: the key is sent again after 5 s, the probe notices within another 0.5 s."""


def page(status: int, title: str, **headers: str) -> web.Response:
    text = f"<html><head><title>{title}</title></head></html>"
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        pytest.param(
            lambda: page(400, "400 The plain HTTP request was sent to HTTPS port"),
            "use https in pbx.url",
            id="plain HTTP",
        ),
        pytest.param(
            lambda: page(403, "Just a moment...", **{"cf-mitigated": "challenge"}),
            "with a challenge for browsers",
            id="challenge",
        ),
        pytest.param(
            lambda: page(401, "401", **{"WWW-Authenticate": 'Basic realm="intern"'}),
            "asks for a login of its own",
            id="login of a proxy",
        ),
    ],
)
async def test_a_login_that_a_proxy_answered_once_is_repeated_after_seconds(
    pbx: SimulatedPbx,
    configure: Configure,
    subscriber: Subscriber,
    log: Log,
    note: Note,
    response: Callable[[], web.Response],
    words: str,
) -> None:
    answered = 0

    async def in_front(request: web.Request) -> web.Response | None:
        nonlocal answered
        if request.path != "/connect/token" or answered:
            return None
        answered += 1
        return response()

    pbx.intercept = in_front
    async with living(configure()):
        await until(lambda: any(words in message for message in log.warnings()), limit(5.0))
        note("right_after", await until_correct(subscriber, pbx, RIGHT_WITHIN))
    assert len(pbx.requests_to("/connect/token")) == 2
    assert [times for message, times in log.warnings().items() if words in message] == [1]
    assert pbx.tokens.refused == 0
